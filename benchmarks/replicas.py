"""Replicas of a small cell together, against one by one and against processes of their own.

Every replica is molecular dynamics of the disordered rocksalt at 3000 K with CHGNet 0.3.0 on the CPU. Together: threads
of one process through one batch. One by one: each with all cores. Processes: one for each core, each replica with one.
"""

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray
from timing import compare, show

from amorph.calculators import Gathering
from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.meltquench import QuenchSchedule, Segment
from amorph.meltquench.dynamics import dynamics
from amorph.rocksalt import build

CORES = len(os.sched_getaffinity(0))
STEPS = 10
SCHEDULE = QuenchSchedule((Segment("melt", "NVT", 3000.0, 3000.0, STEPS / 1000.0),), timestep_fs=1.0)
SERIAL: dict[str, CHGNetCalculator] = {}


def replica(number: int, size: int, calculator: BaseCalculator) -> NDArray[np.float64]:
    """Positions after the last step."""
    rng = np.random.default_rng(number)
    built = build("Li2Ti1/3Mo2/3O3", supercell=(size, size, size), lattice_constant=4.28, rng=rng)
    for frame in dynamics(built.atoms, calculator, SCHEDULE, rng=rng):
        last = frame
    return last.atoms.positions.copy()


def in_a_process(number: int, size: int) -> NDArray[np.float64]:
    """Run a replica with one thread."""
    if not SERIAL:
        SERIAL["0.3.0"] = CHGNetCalculator(device="cpu", threads=1)
    return replica(number, size, SERIAL["0.3.0"])


def together(count: int, size: int, calculator: CHGNetCalculator, batch: CHGNetBatch) -> list[NDArray[np.float64]]:
    """Run the replicas in threads whose structures meet in one batch."""
    gathering = Gathering(count)

    def one(number: int) -> NDArray[np.float64]:
        with gathering.joined():
            return replica(number, size, gathering.calculator(calculator, batch))

    with ThreadPoolExecutor(count) as pool:
        threads = [pool.submit(one, number) for number in range(count)]
        gathering.serve()
    return [thread.result() for thread in threads]


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call in all threads of this process: what other programs on the machine hardly change."""
    started = time.process_time()
    work()
    return time.process_time() - started


def agreement(ours: Any, theirs: Any) -> str:
    """Say how far the final positions are apart."""
    return f"positions differ by at most {max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)):.1g} Å"


def main() -> None:
    """Print the table."""
    calculator = CHGNetCalculator(device="cpu", threads=CORES)
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as processes:
        for size, count in ((2, 2), (2, 4), (3, 2)):
            batch = CHGNetBatch(calculator)
            work = f"{count} replicas of {8 * size**3} atoms, {STEPS} steps"

            def ours(count: int = count, size: int = size, batch: CHGNetBatch = batch) -> list[NDArray[np.float64]]:
                return together(count, size, calculator, batch)

            def alone(count: int = count, size: int = size) -> list[NDArray[np.float64]]:
                return [replica(number, size, calculator) for number in range(count)]

            def apart(count: int = count, size: int = size) -> list[NDArray[np.float64]]:
                return list(processes.map(in_a_process, range(count), [size] * count))

            peers = {f"one by one, {CORES} threads": alone, f"{CORES} processes of one thread": apart}
            show([compare(work, name, ours, theirs, agreement, rounds=3, repeats=1) for name, theirs in peers.items()])
            spent = [statistics.median(processor_seconds(call) for _ in range(3)) for call in (ours, alone)]
            print(f"    processor time together {spent[0]:.3g} s, one by one {spent[1]:.3g} s", flush=True)


if __name__ == "__main__":
    main()
