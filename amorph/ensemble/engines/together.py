"""Members in threads of one process, whose structures are evaluated as one batch.

``python -m amorph.ensemble.engines.together DIRECTORY NUMBER NAME...`` is one worker of the local engine: it runs the
named members, so many at a time, and says on standard output which it begins, and each one's exit status as it ends.
Every member is an ordinary run in its own directory, with its own integrator, generator, checkpoints and log.
"""

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.calculators import (
    Batch,
    GatheredCalculator,
    Gathering,
    ZBLBatch,
    ZBLRepulsion,
    calculator_name,
    make_calculator,
)
from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.ensemble.engines.local import BEGUN
from amorph.pipeline import read_study, run_study
from amorph.run import Stopped, StopRequest, Work, stop_on_signal
from amorph.structure import pair_list


def run_together(
    names: Sequence[str],
    directory: Path,
    *,
    at_a_time: int,
    stop: StopRequest,
    report: Callable[[str, int | None], None],
) -> None:
    """Run members of an ensemble in threads, so many at a time; the calling thread evaluates their batches.

    Parameters
    ----------
    names
        The members, prepared in the directory.
    directory
        The ensemble's directory.
    at_a_time
        Members that advance together.
    stop
        When it asks, each member writes a checkpoint and stops.
    report
        Called in each member's thread with its name: with None when it begins, with its exit status when it has ended.
    """
    # The first pair list hides torch from an import for a moment, which no other thread must see.
    pair_list(Atoms("He", cell=[3.0, 3.0, 3.0], pbc=True), 1.0)
    gathering = Gathering(len(names))
    engines = _Engines(gathering)

    def run(name: str) -> None:
        with gathering.joined():
            report(name, None)
            report(name, _run_member(name, directory, stop, engines.make))

    # Each run sets the level of the log and takes it back when it ends, which must change nothing for the others.
    logger = logging.getLogger("amorph")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        with ThreadPoolExecutor(at_a_time) as pool:
            threads = [pool.submit(run, name) for name in names]
            gathering.serve()
    finally:
        logger.setLevel(before)
    for thread in threads:
        thread.result()


class _Engines:
    """The force engines that the members share: one for each calculator that a study describes."""

    def __init__(self, gathering: Gathering) -> None:
        self._gathering = gathering
        self._made: dict[str, tuple[BaseCalculator, Batch]] = {}
        self._lock = threading.Lock()

    def make(self, **table: Any) -> GatheredCalculator:
        """Make a member's calculator from the keys of its table."""
        with self._lock:
            key = repr(sorted(table.items()))
            if key not in self._made:
                calculator = make_calculator(**table)
                self._made[key] = calculator, _batch_of(calculator)
            return self._gathering.calculator(*self._made[key])


def _batch_of(calculator: Any) -> Batch:
    if isinstance(calculator, CHGNetCalculator):
        return CHGNetBatch(calculator)
    if isinstance(calculator, ZBLRepulsion):
        return ZBLBatch(_batch_of(calculator.calculator))
    if not hasattr(calculator, "batch"):
        raise ValueError(
            f"{calculator_name(calculator)} evaluates one structure at a time: members run together need a calculator "
            "with a method batch(); leave --together out"
        )
    batch: Batch = calculator.batch()
    return batch


def _run_member(name: str, directory: Path, stop: StopRequest, make: Callable[..., BaseCalculator]) -> int:
    """Run one member; returns the exit status that ``amorph run`` would have, and leaves its line in the same log."""
    try:
        if stop.asked:
            raise Stopped(f"stopped by {stop.by} before {name}; run the same command again to continue")
        study = read_study(directory / "studies" / f"{name}.toml")
        summary = run_study(study, directory / name, stop=stop, make=make)
    except Stopped as stopped:
        status, message = 3, str(stopped)
    except Exception as error:  # it must not reach the others
        known = isinstance(error, ValueError | RuntimeError | OSError)
        status, message = 1, str(error) if known and str(error) else f"{type(error).__name__}: {error}"
    else:
        status, message = (4, "done and kept, but " + "; ".join(summary.failed)) if summary.failed else (0, "")
    if message:
        with (directory / "logs" / f"{name}.log").open("a", encoding="utf-8") as file:
            file.write(f"amorph: {' '.join(message.split())}\n")
    return status


def main(arguments: Sequence[str]) -> None:
    """Run one worker; see the head of this file."""
    directory, at_a_time, *names = arguments
    logger = logging.getLogger("amorph")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    warnings.simplefilter("ignore")
    # Readers of files turn sys.stdout away for a moment, and a calculator may print: what is said of members has a
    # descriptor of its own, and all else goes into the log.
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stop = StopRequest(ends_process=True)
    with stop_on_signal(Work(stop=stop)):
        run_together(
            names,
            Path(directory),
            at_a_time=int(at_a_time),
            stop=stop,
            report=lambda name, status: _say(output, name, status),
        )


def _say(output: int, name: str, status: int | None) -> None:
    with contextlib.suppress(BrokenPipeError):  # the driver died; what counts lies in the run directory
        os.write(output, f"{name} {BEGUN if status is None else status}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
