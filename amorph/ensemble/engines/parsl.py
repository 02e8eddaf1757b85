"""The members of an ensemble as tasks of Parsl: on this machine, or in jobs of a SLURM, PBS or LSF queue.

Parsl starts blocks (one job on one node each) and hands members to the workers in them. It knows nothing of what a
member has done: the run directories are the truth, and this driver looks there.
"""

import contextlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from amorph.ensemble.engines.blocks import check_blocks, configuration
from amorph.ensemble.engines.local import MemberProcess, Slot
from amorph.ensemble.engines.waiting import Outcome, Waiting
from amorph.ensemble.plan import Ensemble
from amorph.ensemble.status import member_state, member_status
from amorph.machine.processors import own_cores
from amorph.run import StopRequest

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS: Final = 0.5
_SECONDS_TO_BEGIN: Final = 5.0
"""From a task's start to its member's lock; a stop waits so long for those who have just begun."""
_MOST_FRUITLESS: Final = 3
"""A member is given up after more turns in a row than these that brought it no further: it waits for a person, or it is
what its workers die of."""
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
    waiting = Waiting([member.name for member in plan.members], directory)
    update(len(waiting.outcome.finished), "")
    if waiting.names:
        driver = _Driver(waiting, plan.parsl, stop or StopRequest(), update)
        with parsl.load(configuration(plan.parsl, directory, len(waiting.names))) as kernel:
            driver.run(parsl.python_app(run_member, data_flow_kernel=kernel), Path(kernel.run_dir))
    return waiting.outcome


def run_member(name: str, directory: Path, start: Path, chosen: dict[str, Any], stop_file: Path) -> int | None:
    """Run a member in a worker; returns the exit status of its run, or None where it was not begun.

    The run stops with a checkpoint before the block's end, when the driver has written its stop file, and when the pool
    of workers, which itself ends with the driver, has died.
    """
    pool = os.getppid()
    end = os.environ.get("AMORPH_BLOCK_END")
    hours = None if end is None else (float(end) - time.time()) / 3600
    if stop_file.exists() or (hours is not None and hours < 0.001):
        return None
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
    """What runs, and how often in vain."""

    waiting: Waiting
    chosen: Any
    stop: StopRequest
    update: Callable[[int, str], None]
    at_work: dict[str, Any] = field(default_factory=dict)
    fruitless: Counter[str] = field(default_factory=Counter)
    places: dict[str, tuple[str, int | None, bytes]] = field(default_factory=dict)

    def run(self, task: Callable[..., Any], run_directory: Path) -> None:
        """Hand out members until none is left, or until a stop is asked for."""
        stop_file = run_directory.resolve() / "stop"
        while not self.stop.asked:
            for name in self.waiting.take(len(self.waiting.names)):
                self.at_work[name] = task(name, self.waiting.directory, Path.cwd(), dict(self.chosen), stop_file)
            self._collect(told=False)
            if self.waiting.over(at_work=bool(self.at_work)):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        stop_file.touch()
        self.waiting.stop()
        told = time.monotonic()
        while self.at_work and (time.monotonic() < told + _SECONDS_TO_BEGIN or any(map(self._runs, self.at_work))):
            self._collect(told=True)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self.waiting.outcome.stopped += self.at_work  # these wait for a block that is not needed any more

    def _collect(self, *, told: bool) -> None:
        """File the members whose tasks have ended."""
        for name, future in list(self.at_work.items()):
            if future.done():
                del self.at_work[name]
                self._file(name, future, told=told)
                state = member_state(self.waiting.directory, name)
                self.update(len(self.waiting.outcome.finished), f"{name} {state}")

    def _file(self, name: str, future: Any, *, told: bool) -> None:
        from parsl.executors.errors import BadStateException
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        error = future.exception()
        if isinstance(error, BadStateException):
            raise RuntimeError(error.reason)
        if error is None:
            # Its block ends, or a run that its lost worker left behind has still had the lock.
            if future.result() == _STOPPED and self._goes_on(name):
                self.waiting.put_back(name, told=told)
            else:
                self.waiting.file(name, future.result(), told=told)
        elif not isinstance(error, ManagerLost | WorkerLost):
            self.waiting.outcome.failed[name] = " ".join(str(error).split())
        elif self._goes_on(name):
            log.warning("%s: %s; it goes on with another worker", name, error)
            self.waiting.put_back(name, told=told)
        else:
            self.waiting.outcome.failed[name] = f"{error}, and {_MOST_FRUITLESS} turns before it brought it no further"

    def _goes_on(self, name: str) -> bool:
        """Tell whether a member shall have another turn: not after several in a row that brought it no further."""
        status = member_status(self.waiting.directory, name)
        place = status.stage, status.step, _digest(self.waiting.directory / name / status.stage / "checkpoint.npz")
        self.fruitless[name] = self.fruitless[name] + 1 if self.places.get(name) == place else 0
        self.places[name] = place
        return self.fruitless[name] <= _MOST_FRUITLESS

    def _runs(self, name: str) -> bool:
        return member_state(self.waiting.directory, name) == "running"


def _digest(checkpoint: Path) -> bytes:
    """Read the checksum that a checkpoint begins with; empty where there is none."""
    with contextlib.suppress(OSError), checkpoint.open("rb") as file:
        return file.read(32)
    return b""
