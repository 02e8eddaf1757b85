"""The members of an ensemble on this machine: one process each, cores and GPUs divided among them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from amorph.ensemble.engines.leash import begin_child
from amorph.ensemble.engines.waiting import Outcome, Waiting
from amorph.ensemble.plan import Member
from amorph.ensemble.status import member_state
from amorph.machine.processors import allowed_threads, own_cores
from amorph.run import StopRequest

_SECONDS_BETWEEN_LOOKS = 0.2

SAFELY = ("-P", "-X", "utf8")
"""Options of Python for every member: no module of the working directory stands in for another; text is UTF-8."""

BEGUN = "begun"
"""What a process with several members says of one that it begins."""


@dataclass(frozen=True)
class Slot:
    """What one worker may use."""

    cores: tuple[int, ...]
    """Numbers of its cores."""
    gpu: str | None
    """Its GPU, as CUDA_VISIBLE_DEVICES names it; None without."""
    threads: int | None = None
    """Its threads; None for one on each core, or as few as OMP_NUM_THREADS and its like allow."""


def slots_of(workers: int | None, waiting: int, *, together: int = 1, gpus: Sequence[str] = ()) -> list[Slot]:
    """Divide the cores of this process, and GPUs, among workers.

    By default there are as many workers as GPUs; where there is no GPU, as many as cores, or one that runs several
    members together. There are no more than waiting members need.

    Raises
    ------
    ValueError
        More workers than cores.
    """
    cores = own_cores()
    if workers is not None and workers > len(cores):
        raise ValueError(f"workers = {workers} on {len(cores)} cores; give at most one for each core")
    number = workers or min(len(gpus) or (len(cores) if together == 1 else 1), len(cores))
    number = max(1, min(-(-waiting // together), number))
    share = len(cores) // number
    return [
        Slot(tuple(cores[k * share : (k + 1) * share]), gpus[k % len(gpus)] if gpus else None) for k in range(number)
    ]


def run_local(
    members: Sequence[Member],
    directory: Path,
    *,
    workers: int | None = None,
    together: int = 1,
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
        Processes at a time; by default one for each GPU, or one for each core.
    together
        Members that each process advances at a time, their structures evaluated as one batch.
    stop
        When it asks, the members at work write a checkpoint and stop.
    update
        Called with the number of finished members and a note.
    """
    stop = stop or StopRequest()
    waiting = Waiting([member.name for member in members], directory)
    update(len(waiting.outcome.finished), "")
    calculators = [member.study[table] for member in members for table in ("calculator", "final_calculator")]
    needs_gpu = any(table["device"] != "cpu" for table in calculators)
    free = slots_of(workers, len(waiting.names), together=together, gpus=own_gpus() if needs_gpu else [])
    share = 1 if together == 1 else -(-len(waiting.names) // len(free))
    at_work: list[MemberProcess] = []
    told = False
    try:
        while not waiting.over(at_work=bool(at_work)):
            if stop.asked and not told:
                told = True
                waiting.stop()
                for process in at_work:
                    process.ask_to_stop()
            while free and (names := waiting.take(share)):
                slot = free.pop()
                at_work.append(
                    MemberProcess(names[0], directory, slot)
                    if together == 1
                    else _Together(names, directory, slot, together)
                )
            for process in list(at_work):
                ended, over = process.ended()
                for name, status in ended.items():
                    waiting.file(name, status, told=told)
                    update(len(waiting.outcome.finished), f"{name} {member_state(directory, name)}")
                if over:
                    free.append(process.slot)
                    at_work.remove(process)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for process in at_work:
            process.ask_to_stop()
        for process in at_work:
            process.wait()
    return waiting.outcome


class MemberProcess:
    """One member at work."""

    def __init__(self, name: str, directory: Path, slot: Slot, *, hours: float | None = None) -> None:
        study = directory / "studies" / f"{name}.toml"
        words = ["amorph", "run", str(study), "--dir", str(directory / name), "--quiet"]
        words += [] if hours is None else ["--max-hours", f"{hours:.5f}"]
        self._start(words, directory / "logs" / f"{name}.log", slot)
        self._names = {name}

    def _start(self, words: Sequence[str], log_file: Path, slot: Slot, *, listen: bool = False) -> None:
        self.slot = slot
        self._log: IO[bytes] = log_file.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, *SAFELY, "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else self._log,
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

    def ended(self) -> tuple[dict[str, int | None], bool]:
        """Return the exit status of each member that ended since the last look, and whether the process has ended.

        None in place of a status: the process ended before it began with that one.
        """
        status = self.poll()
        return ({} if status is None else dict.fromkeys(sorted(self._names), status)), status is not None

    def ask_to_stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        self._process.wait()
        self._log.close()


class _Together(MemberProcess):
    """Several members at work in one process; it says of each how it ended."""

    def __init__(self, names: Sequence[str], directory: Path, slot: Slot, at_a_time: int) -> None:
        words = ["amorph.ensemble.engines.together", str(directory), str(at_a_time), *names]
        self._start(words, directory / "logs" / "together.log", slot, listen=True)
        self._names = set(names)
        self._begun: set[str] = set()
        self._said = b""
        assert self._process.stdout is not None  # it was asked for
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    def ended(self) -> tuple[dict[str, int | None], bool]:
        status = self.poll()  # before the reading, so that nothing said is missed
        *lines, self._said = (self._said + (self._output.read() or b"")).split(b"\n")
        found: dict[str, int | None] = {}
        for name, word in (line.decode().split() for line in lines):
            if word == BEGUN:
                self._begun.add(name)
            else:
                found[name] = int(word)
        self._names -= found.keys()
        self._begun -= found.keys()
        if status is not None:
            self._output.close()
            # A process that dies takes with it those at work in it; if none was, they all share its fault.
            found |= {name: status if name in self._begun or not self._begun else None for name in sorted(self._names)}
        return found, status is not None

    def wait(self) -> None:
        super().wait()
        self._output.close()


def _environment(slot: Slot) -> Mapping[str, str]:
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        # Libraries count the machine's cores instead of the process's own.
        allowed = allowed_threads("OMP_NUM_THREADS", name)
        environment[name] = str(slot.threads or min([len(slot.cores), *allowed]))
    if slot.gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = slot.gpu
    return environment


def _child_of(parent: int, cores: tuple[int, ...]) -> Callable[[], None]:
    """Prepare what a new process does before its program: keep to its cores, and stop when the driver dies."""

    def before() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        begin_child(parent)

    return before


def own_gpus() -> list[str]:
    """List the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in {"", "-1"}]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(k) for k in range(len(list(folder.iterdir())))] if folder.is_dir() else []
