"""The members of an ensemble on this machine: one process each, cores and GPUs divided among them."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from amorph.ensemble.leash import end_with
from amorph.ensemble.plan import Member
from amorph.ensemble.status import FINISHED, member_status
from amorph.recording import StopRequest

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Slot:
    """What one worker may use."""

    cores: tuple[int, ...]
    """Numbers of its cores."""
    gpu: str | None
    """Its GPU, as CUDA_VISIBLE_DEVICES names it; None without."""
    threads: int | None = None
    """Its threads; None for one on each core."""


@dataclass
class Outcome:
    """How the members ended that were run."""

    finished: list[str] = field(default_factory=list)
    """Members that are done, their checks passed or not."""
    failed: dict[str, str] = field(default_factory=dict)
    """Members that ended with an error, and the error."""
    stopped: list[str] = field(default_factory=list)
    """Members that stopped where they can be continued."""
    elsewhere: list[str] = field(default_factory=list)
    """Members that another process works on."""


def slots_of(workers: int | None, waiting: int) -> list[Slot]:
    """Divide the cores and GPUs of this process among workers.

    By default there are as many workers as GPUs, or as cores where there is no GPU, and no more than members wait.

    Raises
    ------
    ValueError
        More workers than cores.
    """
    cores = own_cores()
    gpus = _gpus()
    if workers is not None and workers > len(cores):
        raise ValueError(f"workers = {workers} on {len(cores)} cores; give at most one for each core")
    number = max(1, min(waiting, workers or min(len(gpus) or len(cores), len(cores))))
    share = len(cores) // number
    return [
        Slot(tuple(cores[k * share : (k + 1) * share]), gpus[k % len(gpus)] if gpus else None) for k in range(number)
    ]


def run_local(
    members: Sequence[Member],
    directory: Path,
    *,
    workers: int | None = None,
    stop: StopRequest | None = None,
    update: Callable[[int, str], None] = lambda _done, _note: None,
) -> Outcome:
    """Run what is missing of an ensemble, each member once, in processes of its own.

    Parameters
    ----------
    members
        The members, prepared in the directory.
    directory
        The ensemble's directory.
    workers
        Members at a time; by default one for each GPU, or one for each core.
    stop
        When it asks, the members at work write a checkpoint and stop.
    update
        Called with the number of finished members and a note.
    """
    stop = stop or StopRequest()
    outcome = Outcome()
    waiting = [member for member in members if not _done_elsewhere(outcome, member.name, directory)]
    update(len(outcome.finished), "")
    free = slots_of(workers, len(waiting))
    at_work: dict[str, MemberProcess] = {}
    told = False
    try:
        while waiting or at_work:
            if stop.asked and not told:
                told = True
                outcome.stopped += [member.name for member in waiting]
                waiting = []
                for process in at_work.values():
                    process.ask_to_stop()
            while waiting and free:
                member = waiting.pop(0)
                if not _done_elsewhere(outcome, member.name, directory):  # another driver may share the directory
                    at_work[member.name] = MemberProcess(member.name, directory, free.pop())
            for name, process in list(at_work.items()):
                if (status := process.poll()) is not None:
                    free.append(process.slot)
                    del at_work[name]
                    file_member(outcome, name, status, directory, told=told)
                    update(len(outcome.finished), f"{name} {member_status(directory, name).state}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for process in at_work.values():
            process.ask_to_stop()
        for process in at_work.values():
            process.wait()
    return outcome


def _done_elsewhere(outcome: Outcome, name: str, directory: Path) -> bool:
    """File a member that is finished, or that another process works on; False for one that is to be run."""
    state = member_status(directory, name).state
    if state in FINISHED:
        outcome.finished.append(name)
    elif state == "running":
        outcome.elsewhere.append(name)
    return state in FINISHED or state == "running"


def file_member(outcome: Outcome, name: str, status: int, directory: Path, *, told: bool) -> None:
    """File a member by the exit status of its run, or by what lies in its directory."""
    if status in (0, 4):
        outcome.finished.append(name)
    elif status == 3 or (told and status == -signal.SIGTERM):  # asked before it had begun to listen
        outcome.stopped.append(name)
    # Another driver was quicker, or it was killed after its last word: what lies there counts, not the status.
    elif not _done_elsewhere(outcome, name, directory):
        said = member_status(directory, name)
        outcome.failed[name] = said.note or (f"killed by signal {-status}" if status < 0 else f"exit status {status}")
        log.warning("%s failed: %s", name, outcome.failed[name])


class MemberProcess:
    """One member at work."""

    def __init__(self, name: str, directory: Path, slot: Slot, *, hours: float | None = None) -> None:
        self.slot = slot
        study = directory / "studies" / f"{name}.toml"
        command = [sys.executable, "-m", "amorph", "run", str(study), "--dir", str(directory / name), "--quiet"]
        command += [] if hours is None else ["--max-hours", f"{hours:.5f}"]
        self._log: IO[bytes] = (directory / "logs" / f"{name}.log").open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=_environment(slot),
            start_new_session=True,  # the terminal's interrupt reaches the driver alone, which passes it on once
            preexec_fn=_child_of(os.getpid(), slot.cores),  # noqa: PLW1509 (this process starts its children from one thread)
        )

    def poll(self) -> int | None:
        status = self._process.poll()
        if status is not None:
            self._log.close()
        return status

    def ask_to_stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        self._process.wait()
        self._log.close()


def _environment(slot: Slot) -> Mapping[str, str]:
    environment = dict(os.environ)
    # Libraries that count the machine's cores instead of the process's own.
    threads = str(slot.threads or len(slot.cores))
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    if slot.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = slot.gpu
    return environment


def _child_of(parent: int, cores: tuple[int, ...]) -> Callable[[], None]:
    """Prepare what a new process does before its program: keep to its cores, and stop when the driver dies."""

    def before() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        end_with(parent)

    return before


def own_cores() -> list[int]:
    """List the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """List the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in {"", "-1"}]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(k) for k in range(len(list(folder.iterdir())))] if folder.is_dir() else []
