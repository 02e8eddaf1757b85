"""What a step of recorded molecular dynamics costs beyond the force call, in processor time.

    python benchmarks/dynamics_overhead.py                       # 64, 216 and 1000 atoms
    python benchmarks/dynamics_overhead.py --repeats 3 --profile  # where the time goes
    python benchmarks/dynamics_overhead.py --engine lammps        # the same in LAMMPS

The force call is the calculator's ``calculate``: guards, neighbor list, model, forces and stress. Beyond it lie the
integrator, the constraint, what ASE does between the two, the checks of every step, and every tenth step the
thermodynamic state and a frame of the trajectory, written as `amorph run` writes them. Processor time counts all
threads, so that other work on the machine changes little. While the force call keeps both cores of an idle machine
busy, the rest keeps one: the last column, the share of the wall time, takes the two threads to be perfectly parallel
and is an upper bound.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from chgnet_engine import rocksalt

from amorph.chgnet import CHGNetCalculator
from amorph.meltquench import QuenchSchedule, Segment
from amorph.pipeline.recording import record_dynamics
from amorph.run import Stage, Work


class Timed(CHGNetCalculator):
    """The calculator of a run, with a clock."""

    seconds = 0.0
    calls = 0

    def calculate(self, *args: Any, **keywords: Any) -> None:
        """Evaluate, and add up processor time and calls."""
        started = time.process_time()
        super().calculate(*args, **keywords)
        self.seconds += time.process_time() - started
        self.calls += 1


def measure(repeat: int, steps: int, threads: int, engine: str | None, *, profile: bool) -> None:
    """Print one line of the table."""
    atoms = rocksalt(repeat)
    calculator = Timed("0.3.0", device="cpu", threads=threads)
    calculator.get_property("forces", atoms)
    calculator.seconds, calculator.calls = 0.0, 0
    timestep_fs = 2.0
    melt = Segment("melt", "NVT", 3000.0, 3000.0, steps * timestep_fs / 1000)
    schedule = QuenchSchedule((melt,), timestep_fs=timestep_fs)
    profiler = cProfile.Profile(time.process_time)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), {"schedule": schedule, "sample_every": 10, "engine": engine}, {})
        started = time.process_time()
        if profile:
            profiler.enable()
        record_dynamics(stage, atoms, calculator, np.random.default_rng(0), Work())
        profiler.disable()
        whole = (time.process_time() - started) / steps
    force = calculator.seconds / steps
    beyond = whole - force
    print(
        f"{len(atoms):6d} {calculator.calls / steps:11.2f} {1e3 * force:11.2f} {1e3 * whole:11.2f} "
        f"{1e3 * beyond:8.2f} {100 * beyond / force:10.1f} {100 * beyond / (force / threads + beyond):10.1f}",
        flush=True,
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, nargs="+", default=[2, 3, 5], help="cells of 8 atoms along each axis")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", choices=["lammps"])
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print("          force calls  force call  whole step   beyond  of force    of wall")
    print(" atoms       per step        [ms]        [ms]     [ms]       [%]  at most [%]")
    for repeat in options.repeats:
        measure(repeat, options.steps, options.threads, options.engine, profile=options.profile)


if __name__ == "__main__":
    main()
