"""Members that wait for their turn, and how the others ended: what the engines share that run them.

The run directories are the truth. Another driver, or what a killed one left behind, may be at work in them at any time.
"""

import logging
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from amorph.ensemble.status import FINISHED, member_state, member_status

log = logging.getLogger(__name__)

PATIENCE: Final = 60.0
"""How long members are waited for that nobody here runs [s]: those of a killed driver have stopped by then."""


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


class Waiting:
    """The members that are to be run, in order; those that another process works on keep their place."""

    def __init__(self, names: Iterable[str], directory: Path) -> None:
        self.directory = directory
        self.outcome = Outcome()
        self.names: list[str] = []
        for name in names:
            done = member_state(directory, name) in FINISHED
            (self.outcome.finished if done else self.names).append(name)
        self._last_work = time.monotonic()

    def take(self, most: int = 1) -> list[str]:
        """Take the next members that nobody works on, as many as there are."""
        taken: list[str] = []
        for name in list(self.names):
            if len(taken) == most:
                break
            state = member_state(self.directory, name)
            if state == "running":
                continue
            self.names.remove(name)
            (self.outcome.finished if state in FINISHED else taken).append(name)
        return taken

    def over(self, *, at_work: bool) -> bool:
        """Tell whether nothing is left to be taken; members that others work on are waited for, but not for ever."""
        if at_work:
            self._last_work = time.monotonic()
        elif not self.names or time.monotonic() > self._last_work + PATIENCE:
            self.outcome.elsewhere += self.names
            self.names = []
        return not at_work and not self.names

    def stop(self) -> None:
        """Begin none of those that wait."""
        self.outcome.stopped += self.names
        self.names = []

    def put_back(self, name: str, *, told: bool) -> None:
        """Let a member wait again that has to go on; after a stop it goes on another time."""
        (self.outcome.stopped if told else self.names).append(name)

    def file(self, name: str, status: int | None, *, told: bool) -> None:
        """File a member by what lies in its directory and by the exit status of its run; None: it was not begun."""
        state = member_state(self.directory, name)
        if state in FINISHED:  # whatever the status says: another driver was quicker, or the process lied
            self.outcome.finished.append(name)
        elif status == 3 or (told and status == -signal.SIGTERM):  # asked before it had begun to listen
            self.outcome.stopped.append(name)
        elif status is None or state == "running":
            self.put_back(name, told=told)
        else:
            said = member_status(self.directory, name).note
            self.outcome.failed[name] = said or (
                f"killed by signal {-status}" if status < 0 else f"ended with status {status} before it was done"
            )
            log.warning("%s failed: %s", name, self.outcome.failed[name])
