"""Speed, memory and agreement of the torch engine on one device.

    python benchmarks/chgnet_gpu.py                              # 216, 1000 and 8000 atoms on "cuda"
    python benchmarks/chgnet_gpu.py --device cpu --repeats 2     # the same code, slower

Times are medians over calls on structures that move a little between them, after a first call that compiles and
captures. A step is one of ASE's Langevin dynamics at 3000 K with its force call. The batch evaluates copies of the
smallest structure, each rattled on its own. Agreement is with the same engine in float64, which the tests hold to stock
CHGNet in float64 within 1e-9 eV/Å (tests/chgnet/test_torch_engine.py).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import units
from ase.md.langevin import Langevin
from chgnet_engine import peak_memory, rocksalt

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.torch_engine import TorchEngine
from amorph.chgnet.weights import load_checkpoint


def milliseconds(call: Callable[[], object], calls: int) -> float:
    """Median time of a call [ms]; results come back to the host, so the device is done when it returns."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def memory(device: str) -> float:
    """Largest memory so far [GB]: of the device, or of the process on the CPU."""
    return peak_memory() if device == "cpu" else torch.cuda.max_memory_reserved(device) / 1e9


def measure(repeat: int, device: str, calls: int, largest_float64: int) -> None:
    """Print one line of the table."""
    rng = np.random.default_rng(1)
    atoms = rocksalt(repeat)
    calculator = CHGNetCalculator("0.3.0", device=device, engine="torch")
    start = time.perf_counter()
    forces = calculator.get_property("forces", atoms)
    first = time.perf_counter() - start
    difference = "-"
    if len(atoms) <= largest_float64:
        exact = TorchEngine(load_checkpoint("0.3.0"), "cpu", dtype=torch.float64).evaluate(atoms, {"forces"})
        error = forces - exact["forces"]
        difference = f"{np.abs(error).max():.0e} ({np.sqrt((error**2).mean()):.0e})"

    def moved() -> None:
        atoms.positions += rng.normal(scale=0.01, size=atoms.positions.shape)
        calculator.get_property("forces", atoms)

    call = milliseconds(moved, calls)
    atoms.calc = calculator
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=3000, friction=0.01 / units.fs, rng=rng, fixcm=False)
    step = milliseconds(lambda: dynamics.run(1), calls)
    print(f"{len(atoms):6d} {call:10.2f} {step:12.2f} {first:10.1f} {memory(device):9.2f}  {difference}", flush=True)


def measure_batch(repeat: int, replicas: int, device: str, calls: int) -> None:
    """Print how much a joined evaluation gains over one by one."""
    rng = np.random.default_rng(2)
    structures = [rocksalt(repeat, seed=seed) for seed in range(replicas)]
    calculator = CHGNetCalculator("0.3.0", device=device, engine="torch")
    batch = CHGNetBatch(calculator)
    batch.evaluate(structures)
    calculator.get_property("forces", structures[0])

    def joined() -> None:
        for atoms in structures:
            atoms.positions += rng.normal(scale=0.01, size=atoms.positions.shape)
        batch.evaluate(structures)

    def alone() -> None:
        structures[0].positions += rng.normal(scale=0.01, size=structures[0].positions.shape)
        calculator.get_property("forces", structures[0])

    each, one = milliseconds(joined, calls) / replicas, milliseconds(alone, calls)
    print(f"{replicas} replicas of {len(structures[0])} atoms: {each:.2f} ms for each in a batch, {one:.2f} ms alone")


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, nargs="+", default=[3, 5, 10], help="cells of 8 atoms along each axis")
    parser.add_argument("--replicas", type=int, default=16)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--largest-float64", type=int, default=1000, help="most atoms that are compared in float64")
    options = parser.parse_args()
    name = "CPU" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads on the host")
    print(" atoms  forces[ms]  MD step[ms]  first[s]  peak[GB]  largest difference from float64 (rms) [eV/Å]")
    for repeat in options.repeats:
        measure(repeat, options.device, options.calls, options.largest_float64)
    measure_batch(min(options.repeats), options.replicas, options.device, options.calls)


if __name__ == "__main__":
    main()
