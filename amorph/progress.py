"""Progress of long work: a bar on a terminal, plain lines in the log elsewhere."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

log = logging.getLogger(__name__)

Update = Callable[[int, str], None]
"""Called with the work done so far and a note ("2950 K")."""


@dataclass(frozen=True)
class Progress:
    """Where progress goes. Silent unless told otherwise."""

    visible: bool = False
    seconds_between_lines: float = 15.0

    @contextlib.contextmanager
    def task(self, label: str, total: int, *, done: int = 0) -> Iterator[Update]:
        """Follow one piece of work of `total` steps, `done` of which an earlier process did."""
        if not self.visible:
            yield lambda _done, _note: None
        elif sys.stderr.isatty():
            yield from self._bar(label, total, done)
        else:
            yield self._lines(label, total, done)

    def _bar(self, label: str, total: int, done: int) -> Iterator[Update]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress as RichProgress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        begun = time.monotonic()
        bars = RichProgress(*columns, console=Console(stderr=True), transient=True)
        with _shown(bars):
            bar = bars.add_task(label, total=total, completed=done, rate="", note="")

            def update(now: int, note: str) -> None:
                rate = (now - done) / max(time.monotonic() - begun, 1e-9)
                bars.update(bar, completed=now, rate=f"{rate:.1f}/s", note=note)

            yield update

    def _lines(self, label: str, total: int, done: int) -> Update:
        begun = last = time.monotonic()

        def update(now: int, note: str) -> None:
            nonlocal last
            moment = time.monotonic()
            if moment - last < self.seconds_between_lines and now < total:
                return
            last = moment
            rate = (now - done) / max(moment - begun, 1e-9)
            left = f"{_duration((total - now) / rate)} left" if rate > 0 else "time left unknown"
            log.info("%s: %d of %d, %.1f/s, %s%s", label, now, total, rate, left, f", {note}" if note else "")

        return update


@contextlib.contextmanager
def _shown(bars: "RichProgress") -> Iterator[None]:
    """Show bars for the time of a block; a terminal that goes away in the meantime ends nothing."""
    with contextlib.suppress(OSError):
        bars.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            bars.stop()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
