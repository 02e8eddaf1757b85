"""The first thing to run on a GPU: whether the torch engine holds there what the CPU promises, and how fast it is.

    python benchmarks/chgnet_gpu.py                     # under nine minutes; all that is asked, the most telling first
    python benchmarks/chgnet_gpu.py --device cpu        # walks the same code without a GPU, on small cells

1. Hidden waits: both functions of a step with every wait for the device made an error.
2. Agreement with the numba engine in float64, and equal bits of the first evaluation, a captured one and replays.
3. Time of an evaluation: plain, compiled, captured, both; of inputs, and of a new list; memory against its estimate.
4. Shares of the kernels in one compiled evaluation.
5. Molecular dynamics of a melt: time of a step, graphs captured, lists made, share of evaluations in float64.
6. Replicas in one pass, from 1 to 64: time for each.
7. Too little memory: what is said, and whether capturing survives.

Structures are the rattled rocksalt of chgnet_engine.py. A part that fails is told and the others go on; parts are left
out once `--minutes` are spent. Times are medians, with the slowest in brackets.
"""

import argparse
import logging
import statistics
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from chgnet_engine import rocksalt

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.cpu.engine import Engine
from amorph.chgnet.gpu.capture import Captures
from amorph.chgnet.gpu.engine import TorchEngine
from amorph.chgnet.gpu.full_float32 import full_float32
from amorph.chgnet.gpu.graph import Sizes
from amorph.chgnet.gpu.memory import needed_bytes
from amorph.chgnet.gpu.replicas import Inputs, Replicas, room_for
from amorph.chgnet.weights import load_checkpoint

CHECKPOINT = load_checkpoint("0.3.0")
MELT_K = 5000.0


class Device:
    """The device, and how much is asked of it: on a CPU just enough to walk the code."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gpu = name != "cpu"
        self.repeats = (1, 2, 3, 5, 10) if self.gpu else (1, 2)
        """Cells of 8 atoms along each axis."""
        self.calls = 20 if self.gpu else 2
        self.steps = 400 if self.gpu else 5
        self.replicas = (1, 4, 16, 64) if self.gpu else (1, 2)

    def milliseconds(self, call: Callable[[], object], calls: int | None = None) -> str:
        """Time a call, after two that may compile and capture."""
        times = []
        for _ in range(2 + (calls or self.calls)):
            self.wait()
            start = time.perf_counter()
            call()
            self.wait()
            times.append(1e3 * (time.perf_counter() - start))
        return f"{statistics.median(times[2:]):.2f} ({max(times[2:]):.1f})"

    def wait(self) -> None:
        """Let the device finish."""
        if self.gpu:
            torch.cuda.synchronize(self.name)

    def engine(
        self, *, compiled: bool = True, captured: bool = True, dtype: torch.dtype = torch.float32
    ) -> TorchEngine:
        """Make an engine, without its compiler or its captures where these are not wanted."""
        engine = TorchEngine(CHECKPOINT, self.name, dtype=dtype)
        if not compiled:
            engine._network._compiled = None
        if not captured:
            engine._captures._on = False
        return engine


def moving(engine: TorchEngine, atoms: Atoms, rng: np.random.Generator) -> Callable[[], object]:
    """Return a step that moves atoms a little and evaluates them."""

    def step() -> None:
        atoms.positions += rng.normal(scale=0.003, size=atoms.positions.shape)
        engine.evaluate(atoms, set())

    return step


def of_last_batch(engine: TorchEngine) -> tuple[Replicas, Inputs]:
    """Return what is kept of the structures that were evaluated last."""
    replicas = next(reversed(engine._replicas.values()))
    inputs = replicas._inputs
    assert inputs is not None  # evaluated
    return replicas, inputs


def hidden_waits(device: Device) -> None:
    """Ask both functions for what would stop a capture."""
    engine = device.engine(compiled=False, captured=False)
    engine.evaluate(rocksalt(2), set())
    _, inputs = of_last_batch(engine)
    room = room_for(Sizes(*map(int, engine._counts(inputs)[:3].tolist())), padded=engine._padded)
    with full_float32(), engine._captures.stream():
        if device.gpu:
            torch.cuda.set_sync_debug_mode("error")
        try:
            engine._counts(inputs)
            for recompute in (False, True):
                engine._values(inputs, room, recompute)
        finally:
            if device.gpu:
                torch.cuda.set_sync_debug_mode("default")
    print("   none")


def agreement(device: Device) -> None:
    """Compare with the numba engine in float64, and evaluations with each other."""
    exact = Engine(CHECKPOINT, threads=4, dtype=np.float64)
    print("   atoms  first[s]  largest force error (rms) [eV/Å]: first, replayed, in float64; equal bits; capt. comp.")
    for repeat in device.repeats[:4]:
        atoms = rocksalt(repeat)
        reference = exact.evaluate(atoms, set())["forces"]

        def error(found: np.ndarray, reference: np.ndarray = reference) -> str:
            return f"{np.abs(found - reference).max():.1e} ({np.sqrt(((found - reference) ** 2).mean()):.1e})"

        engine = device.engine()
        start = time.perf_counter()
        found = [engine.evaluate(atoms, set())["forces"]]
        first = time.perf_counter() - start
        found += [engine.evaluate(atoms, set())["forces"] for _ in range(3)]
        double = device.engine(dtype=torch.float64).evaluate(atoms, set())["forces"]
        same = all(np.array_equal(other, found[0]) for other in found)
        print(
            f"   {len(atoms):5d} {first:9.1f}  {error(found[0])}  {error(found[-1])}  {error(double)}  {same!s:5}  "
            f"{engine.captured!s:5} {engine.compiled!s:5}",
            flush=True,
        )


def times(device: Device) -> None:
    """Time evaluations in each way, and hold memory against its estimate."""
    print("   atoms  plain / compiled / captured / both [ms]; inputs, a new list [ms]; memory, estimate [GB]")
    for repeat in device.repeats[1:]:
        row = []
        for compiled, captured in ((False, False), (True, False), (False, True), (True, True)):
            engine, atoms = device.engine(compiled=compiled, captured=captured), rocksalt(repeat)
            row.append(device.milliseconds(moving(engine, atoms, np.random.default_rng(0))))
        replicas, inputs = of_last_batch(engine)
        copies = device.milliseconds(lambda replicas=replicas, atoms=atoms: replicas.inputs([atoms]))

        def relist(replicas: Replicas = replicas, atoms: Atoms = atoms) -> None:
            replicas.lists._counts = ()
            replicas.lists.update([atoms])

        made = device.milliseconds(relist, 5)
        peak = float("nan")
        estimate = needed_bytes(len(atoms), len(inputs.pairs.i), replicas.granted, itemsize=4, recompute=False)
        if device.gpu:
            engine._captures._on = False
            engine._captures.clear()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            engine.evaluate(atoms, set())
            peak = (torch.cuda.max_memory_allocated() - before) / 1e9
        ways = " / ".join(row)
        print(f"   {len(atoms):5d}  {ways}; {copies}, {made}; {peak:.2f}, {estimate / 1e9:.2f}", flush=True)


def kernel_shares(device: Device) -> None:
    """Profile one evaluation of 1000 atoms."""
    engine, atoms = device.engine(captured=False), rocksalt(5 if device.gpu else 1)
    for _ in range(2):
        engine.evaluate(atoms, set())
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        engine.evaluate(atoms, set())
    order = "cuda_time_total" if device.gpu else "cpu_time_total"
    print(profile.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=60))


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Count the graphs that are captured, their time [ms], and the structures evaluated in each precision."""
    counts: Counter[str] = Counter()
    capture, evaluate = Captures._capture, TorchEngine.evaluate_many

    def counted_capture(captures, evaluation):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        captured = capture(captures, evaluation)
        counts.update(graphs=1, milliseconds=round(1e3 * (time.perf_counter() - start)))
        return captured

    def counted_evaluate(engine, structures, properties):  # type: ignore[no-untyped-def]
        counts[str(engine.dtype)] += len(structures)
        return evaluate(engine, structures, properties)

    Captures._capture, TorchEngine.evaluate_many = counted_capture, counted_evaluate  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        Captures._capture, TorchEngine.evaluate_many = capture, evaluate  # type: ignore[method-assign]


def dynamics(device: Device) -> None:
    """Move a melt."""
    for repeat in device.repeats[-3:-1]:
        atoms = rocksalt(repeat)
        thermalize_momenta(atoms, MELT_K, rng=np.random.default_rng(0))
        atoms.calc = calculator = CHGNetCalculator("0.3.0", device=device.name, engine="torch")
        engine = calculator.model
        assert isinstance(engine, TorchEngine)  # asked for
        rng = np.random.default_rng(1)
        langevin = Langevin(atoms, 2 * units.fs, temperature_K=MELT_K, friction=0.01 / units.fs, rng=rng, fixcm=False)
        langevin.run(device.steps // 20)
        lists = engine.rebuilds
        with counting() as counts:
            start = time.perf_counter()
            langevin.run(device.steps)
            step = 1e3 * (time.perf_counter() - start) / device.steps
        print(
            f"   {len(atoms):5d} atoms at {MELT_K:.0f} K: {step:.2f} ms/step over {device.steps}; {counts['graphs']} "
            f"graphs captured in {counts['milliseconds'] / 1e3:.1f} s; {engine.rebuilds - lists} lists; in float64 "
            f"{counts['torch.float64'] / counts['torch.float32']:.1%}",
            flush=True,
        )


def replicas_in_one_pass(device: Device) -> None:
    """Evaluate several structures at once."""
    for repeat in (2, 3) if device.gpu else (1,):
        for number in device.replicas:
            calculator = CHGNetCalculator("0.3.0", device=device.name, engine="torch")
            batch, rng = CHGNetBatch(calculator), np.random.default_rng(0)
            structures = [rocksalt(repeat, seed=seed) for seed in range(number)]

            def step(structures: list[Atoms] = structures, batch: CHGNetBatch = batch, rng=rng) -> None:  # type: ignore[no-untyped-def]
                for atoms in structures:
                    atoms.positions += rng.normal(scale=0.003, size=atoms.positions.shape)
                batch.evaluate(structures)

            median = float(device.milliseconds(step).split()[0])
            print(f"   {number:3d} x {8 * repeat**3}: {median / number:.3f} ms for each", flush=True)


def little_memory(device: Device) -> None:
    """Evaluate 1000 atoms under two limits, one that layers computed twice keep, one that nothing keeps."""
    if not device.gpu:
        print("   asks for a GPU")
        return
    size = torch.cuda.get_device_properties(device.name).total_memory
    try:
        for limit in (4e9, 3e9, 1e9):
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(limit / size, device.name)
            engine, atoms = device.engine(), rocksalt(5)
            try:
                for _ in range(3):
                    engine.evaluate(atoms, set())
                twice = of_last_batch(engine)[0].recompute
                print(f"   {limit / 1e9:.0f} GB: captured {engine.captured}, layers computed twice {twice}", flush=True)
            except ValueError as error:
                print(f"   {limit / 1e9:.0f} GB: {error}", flush=True)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device.name)


PARTS = {
    "hidden waits": hidden_waits,
    "agreement": agreement,
    "times": times,
    "kernel shares": kernel_shares,
    "dynamics of a melt": dynamics,
    "replicas in one pass": replicas_in_one_pass,
    "too little memory": little_memory,
}


def main() -> int:
    """Ask everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins after this time")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="   log: %(message)s", stream=sys.stdout)
    device, start, failed = Device(options.device), time.perf_counter(), 0
    name = torch.cuda.get_device_name(device.name) if device.gpu else "CPU"
    print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads on the host")
    for number, (title, part) in enumerate(PARTS.items(), 1):
        spent = (time.perf_counter() - start) / 60
        if spent > options.minutes:
            print(f"{number}. {title}: left out after {spent:.1f} minutes")
            continue
        print(f"{number}. {title} (after {spent:.1f} minutes)", flush=True)
        try:
            part(device)
        except Exception:  # whatever a first run brings up: the others are asked all the same
            failed += 1
            traceback.print_exc(file=sys.stdout)
    print(f"{failed} of {len(PARTS)} parts failed; {(time.perf_counter() - start) / 60:.1f} minutes")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
