"""Speed, memory and agreement of the torch engine on one device.

    python benchmarks/chgnet_gpu.py                                         # 216, 1000 and 8000 atoms on "cuda"
    python benchmarks/chgnet_gpu.py --device cpu --repeats 2 --calls 20     # the same code, slower

Structures move as in molecular dynamics that starts at 3000 K: ASE's Langevin for one, leap-frog for a batch, both at 2
fs. Times are means over all steps after the first, so that lists made anew, rooms captured and structures that go in
float64 count with their share; the slowest call is given beside them, and how many lists were made. Agreement is that
of the first structure with the same engine in float64, which the tests hold to stock CHGNet in float64 within 1e-9 eV/Å
(tests/chgnet/gpu/test_torch_engine.py).
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from chgnet_engine import rocksalt

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.gpu.engine import TorchEngine
from amorph.chgnet.weights import load_checkpoint

TIMESTEP = 2 * units.fs
TEMPERATURE_K = 3000.0


def milliseconds(call: Callable[[], object]) -> float:
    """Time of a call [ms]; results come back to the host, so the device is done when it returns."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def memory_GB(device: str) -> float:
    """Largest memory so far: of the device, or of the process on the CPU."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return torch.cuda.max_memory_reserved(device) / 1e9


def hot(repeat: int, seed: int = 0) -> Atoms:
    """Rattled rocksalt with velocities."""
    atoms = rocksalt(repeat, seed=seed)
    thermalize_momenta(atoms, TEMPERATURE_K, rng=np.random.default_rng(seed))
    return atoms


def leap(atoms: Atoms, forces: np.ndarray) -> None:
    """Move one step of leap-frog."""
    atoms.set_momenta(atoms.get_momenta() + TIMESTEP * forces)
    atoms.positions += TIMESTEP * atoms.get_velocities()


def measure(repeat: int, device: str, calls: int, largest_float64: int) -> None:
    """Print one line of the table."""
    atoms = hot(repeat)
    calculator = CHGNetCalculator("0.3.0", device=device, engine="torch")
    engine = calculator.model
    assert isinstance(engine, TorchEngine)
    first = milliseconds(lambda: calculator.get_property("forces", atoms)) / 1e3
    forces = calculator.results["forces"]
    difference = "-"
    if len(atoms) <= largest_float64:
        exact = TorchEngine(load_checkpoint("0.3.0"), "cpu", dtype=torch.float64).evaluate(atoms, {"forces"})
        error = forces - exact["forces"]
        difference = f"{np.abs(error).max():.0e} ({np.sqrt((error**2).mean()):.0e})"
    times: list[float] = []
    calculate = calculator.calculate
    calculator.calculate = lambda *asked: times.append(milliseconds(lambda: calculate(*asked)))  # type: ignore[method-assign]
    atoms.calc = calculator
    dynamics = Langevin(
        atoms,
        TIMESTEP,
        temperature_K=TEMPERATURE_K,
        friction=0.01 / units.fs,
        rng=np.random.default_rng(1),
        fixcm=False,
    )
    lists = engine.rebuilds
    step = milliseconds(lambda: dynamics.run(calls)) / calls
    print(
        f"{len(atoms):6d} {np.mean(times):11.2f} {max(times):12.2f} {step:12.2f} {engine.rebuilds - lists:6d}/{calls} "
        f"{first:9.1f} {memory_GB(device):9.2f} {engine.captured!s:>9} {engine.compiled!s:>9}  {difference}",
        flush=True,
    )


def measure_batch(repeat: int, replicas: int, device: str, calls: int) -> None:
    """Print how much a joined evaluation gains over one by one."""
    calculator = CHGNetCalculator("0.3.0", device=device, engine="torch")
    batch = CHGNetBatch(calculator)

    def mean(evaluate: Callable[[list[Atoms]], list[np.ndarray]], structures: list[Atoms]) -> float:
        evaluate(structures)
        times = []
        for _ in range(calls):
            found: list[np.ndarray] = []
            times.append(milliseconds(lambda found=found: found.extend(evaluate(structures))))
            for atoms, forces in zip(structures, found, strict=True):
                leap(atoms, forces)
        return float(np.mean(times)) / len(structures)

    joined = mean(
        lambda structures: [result["forces"] for result in batch.evaluate(structures)],
        [hot(repeat, seed) for seed in range(replicas)],
    )
    alone = mean(lambda structures: [calculator.get_property("forces", structures[0])], [hot(repeat)])
    print(f"{replicas} replicas of {8 * repeat**3} atoms: {joined:.2f} ms for each in a batch, {alone:.2f} ms alone")


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, nargs="+", default=[3, 5, 10], help="cells of 8 atoms along each axis")
    parser.add_argument("--replicas", type=int, default=16)
    parser.add_argument("--calls", type=int, default=200, help="steps of each measurement")
    parser.add_argument("--largest-float64", type=int, default=1000, help="most atoms that are compared in float64")
    options = parser.parse_args()
    name = "CPU" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads on the host")
    print(
        " atoms  forces[ms]  slowest[ms]  MD step[ms]  lists/steps  first[s]  peak[GB]  captured  compiled  "
        "largest difference from float64 (rms) [eV/Å]"
    )
    for repeat in options.repeats:
        measure(repeat, options.device, options.calls, options.largest_float64)
    measure_batch(min(options.repeats), options.replicas, options.device, options.calls)


if __name__ == "__main__":
    main()
