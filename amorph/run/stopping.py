"""Asking a run to stop: signals, wall time, and the work that can be asked."""

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from amorph.progress import Progress

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The run stopped where the same command continues it: exit status 3."""


@dataclass
class StopRequest:
    """Whether the run is to stop after the step at hand, and who asked.

    Asking takes no lock, so that a signal may do it at any moment, a second one in the midst of the first.
    """

    by: str = ""
    """Name of the signal or the limit; empty as long as the run may go on."""
    max_hours: float | None = None
    """Wall time after which the run stops by itself, counted from here [h]."""
    ends_process: bool = False
    """Whether the process ends when the run has stopped, as a command does: until then signals are passed over."""

    def __post_init__(self) -> None:
        if self.max_hours is not None and not 0 < self.max_hours < math.inf:
            raise ValueError(f"max_hours = {self.max_hours:g} h must be above 0; leave it out for a run without limit")
        self._end = None if self.max_hours is None else time.monotonic() + 3600.0 * self.max_hours

    @property
    def asked(self) -> bool:
        """Whether a signal came, or the time is up."""
        if not self.by and self._end is not None and time.monotonic() >= self._end:
            self.by = f"the limit of {self.max_hours:g} h"
        return bool(self.by)

    def check(self, where: str) -> None:
        """Stop here, where the same command continues, if that was asked for."""
        if self.asked:
            with contextlib.suppress(OSError):  # whoever listens to the log may be gone
                log.info("%s: stopped %s", self.by, where)
            raise Stopped(f"stopped by {self.by} {where}; run the same command again to continue")


@dataclass(frozen=True)
class Work:
    """What the stages of one process share."""

    progress: Progress = field(default_factory=Progress)
    stop: StopRequest = field(default_factory=StopRequest)
    checkpoint_minutes: float = 5.0
    """Wall time between checkpoints [min]."""


@contextlib.contextmanager
def stop_on_signal(work: Work) -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP end the run after the step at hand, with a checkpoint.

    Signals reach the main thread only; elsewhere nothing is installed. A command that was asked to stop hears none of
    them any more, or the next one would end it with a status of its own while Python shuts down.
    """

    def ask(number: int, _frame: Any) -> None:
        work.stop.by = signal.Signals(number).name

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to go on without a terminal
        numbers.append(signal.SIGHUP)
    try:
        before = {number: signal.signal(number, ask) for number in numbers}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    except SystemExit as error:  # its status would pass for the run's own
        raise RuntimeError(f"the calculator ended Python (exit status {error.code}); mend it, and run again") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if work.stop.by and work.stop.ends_process else handler)
