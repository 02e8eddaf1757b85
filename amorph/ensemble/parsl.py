"""The members of an ensemble as tasks of Parsl: on this machine, or in jobs of a SLURM, PBS or LSF queue.

Parsl starts blocks (one job on one node each) and hands members to the workers in them. It knows nothing of what a
member has done: the run directories are the truth, and this driver looks there.
"""

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from amorph.ensemble.blocks import check_blocks, configuration
from amorph.ensemble.local import MemberProcess, Outcome, Slot, file_member, own_cores
from amorph.ensemble.plan import Ensemble
from amorph.ensemble.status import FINISHED, member_status
from amorph.recording import StopRequest

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS: Final = 0.5
_SECONDS_OF_PATIENCE: Final = 60.0
"""How long members are waited for that nobody here runs: those of a killed driver have stopped by then."""
_SECONDS_TO_BEGIN: Final = 5.0
"""From a task's start to its member's lock; a stop waits so long for those who have just begun."""
_MOST_LOSSES: Final = 3
"""A member whose worker died more often than this is given up: it may be the cause."""
_STOPPED: Final = 3


def run_parsl(
    plan: Ensemble,
    directory: Path,
    *,
    stop: StopRequest | None = None,
    update: Callable[[int, str], None] = lambda _done, _note: None,
) -> Outcome:
    """Run what is missing of an ensemble, each member once, by Parsl.

    Parameters
    ----------
    plan
        The ensemble, prepared in the directory; its table [parsl] says where and how.
    directory
        The ensemble's directory, which the workers see too.
    stop
        When it asks, the members at work write a checkpoint and stop.
    update
        Called with the number of finished members and a note.

    Raises
    ------
    ValueError
        Parsl is not installed; the table [parsl] asks for what is not there.
    RuntimeError
        Blocks end before their workers have begun.
    """
    try:
        import parsl
    except ImportError:
        raise ValueError("the engine parsl is not installed here; pip install amorph[hpc]") from None
    directory = directory.resolve()
    check_blocks(plan.parsl, directory)
    driver = _Driver(directory, plan.parsl, stop or StopRequest(), update)
    for member in plan.members:
        done = member_status(directory, member.name).state in FINISHED
        (driver.outcome.finished if done else driver.waiting).append(member.name)
    update(len(driver.outcome.finished), "")
    if driver.waiting:
        with parsl.load(configuration(plan.parsl, directory, len(driver.waiting))) as kernel:
            driver.run(parsl.python_app(run_member, data_flow_kernel=kernel), Path(kernel.run_dir))
    return driver.outcome


def run_member(name: str, directory: Path, start: Path, chosen: dict[str, Any], stop_file: Path) -> int:
    """Run a member in a worker; returns the exit status of its run.

    The run stops with a checkpoint before the block's end, when the driver has written its stop file, and when the pool
    of workers, which itself ends with the driver, has died.
    """
    pool = os.getppid()
    end = os.environ.get("AMORPH_BLOCK_END")
    hours = None if end is None else (float(end) - time.time()) / 3600
    if stop_file.exists() or (hours is not None and hours < 0.001):
        return _STOPPED
    os.chdir(start)  # PBS begins in the home directory
    process = MemberProcess(name, directory, _slot(chosen), hours=hours)
    asked = False
    while (status := process.poll()) is None:
        if not asked and (stop_file.exists() or os.getppid() != pool):
            asked = True
            process.ask_to_stop()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return _STOPPED if status == -signal.SIGTERM else status  # asked before it had begun to listen


def _slot(chosen: dict[str, Any]) -> Slot:
    """Give this worker's share of the cores that the block has; of more than it asked for, the system chooses."""
    cores, share = own_cores(), chosen["cores_per_worker"]
    if chosen["provider"] == "local" or len(cores) == share * chosen["workers"]:
        rank = int(os.environ["PARSL_WORKER_RANK"])
        cores = cores[rank * share : (rank + 1) * share]
    return Slot(tuple(cores), gpu=None, threads=share)  # Parsl has pinned this process to its GPU


@dataclass
class _Driver:
    """What runs, what waits, and what became of the rest."""

    directory: Path
    chosen: Any
    stop: StopRequest
    update: Callable[[int, str], None]
    waiting: list[str] = field(default_factory=list)
    at_work: dict[str, Any] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    outcome: Outcome = field(default_factory=Outcome)

    def run(self, task: Callable[..., Any], run_directory: Path) -> None:
        """Hand out members until none is left, or until a stop is asked for."""
        stop_file = run_directory.resolve() / "stop"
        last_work = time.monotonic()
        while not self.stop.asked:
            for name in list(self.waiting):
                if not self._at_work_elsewhere(name):
                    self.waiting.remove(name)
                    arguments = (name, self.directory, Path.cwd(), dict(self.chosen), stop_file)
                    self.at_work[name] = task(*arguments)
            self._collect(told=False)
            if self.at_work:
                last_work = time.monotonic()
            elif not self.waiting or time.monotonic() > last_work + _SECONDS_OF_PATIENCE:
                self.outcome.elsewhere += self.waiting
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        stop_file.touch()
        told = time.monotonic()
        while self.at_work and (time.monotonic() < told + _SECONDS_TO_BEGIN or any(map(self._runs, self.at_work))):
            self._collect(told=True)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.outcome.stopped += [*self.waiting, *self.at_work]  # these wait for a block that is not needed any more

    def _collect(self, *, told: bool) -> None:
        """File the members whose tasks have ended."""
        for name, future in list(self.at_work.items()):
            if future.done():
                del self.at_work[name]
                self._file(name, future, told=told)
                self.update(len(self.outcome.finished), f"{name} {member_status(self.directory, name).state}")

    def _file(self, name: str, future: Any, *, told: bool) -> None:
        from parsl.executors.errors import BadStateException
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        error = future.exception()
        if isinstance(error, BadStateException):
            raise RuntimeError(error.reason)
        if error is None and (future.result() == _STOPPED or self._runs(name)):
            # Its block ends, or a run that its lost worker left behind has still had the lock.
            (self.outcome.stopped if told else self.waiting).append(name)
        elif error is None:
            file_member(self.outcome, name, future.result(), self.directory, told=told)
        elif not isinstance(error, ManagerLost | WorkerLost):
            self.outcome.failed[name] = " ".join(str(error).split())
        elif self.losses[name] >= _MOST_LOSSES:
            self.outcome.failed[name] = f"{error}, and {self.losses[name]} workers before it"
        else:
            log.warning("%s: %s; it goes on with another worker", name, error)
            self.losses[name] += 1
            (self.outcome.stopped if told else self.waiting).append(name)

    def _runs(self, name: str) -> bool:
        return member_status(self.directory, name).state == "running"

    def _at_work_elsewhere(self, name: str) -> bool:
        """Tell whether another driver's worker has the member, or one that is lost to this one."""
        state = member_status(self.directory, name).state
        if state in FINISHED:
            self.waiting.remove(name)
            self.outcome.finished.append(name)
        return state in FINISHED or state == "running"
