"""Progress of long work: a bar on a terminal and in a notebook, plain lines in the log elsewhere."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

log = logging.getLogger(__name__)

Update = Callable[[int, str], None]
"""Called with the work done so far and a note ("2950 K")."""

Task = Callable[[str, int], AbstractContextManager[Update]]
"""What opens a display of progress for a label and a number of steps: :meth:`Progress.task`."""

_SECONDS_BETWEEN_BARS: Final = 0.2

PATIENCE_S: Final = 2.0
"""How long work takes before its progress is shown unasked [s]."""

UNASKED: ContextVar[bool] = ContextVar("UNASKED", default=True)
"""Whether progress may be shown that nobody asked for; a command that is told to be quiet says no."""


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
            return
        token = UNASKED.set(False)  # what this work calls shows none of its own
        try:
            if (display := _notebook_display()) is not None:
                yield from self._notebook_bar(display, label, total, done)
            elif sys.stderr.isatty():
                yield from self._bar(label, total, done)
            else:
                yield self._lines(label, total, done)
        finally:
            UNASKED.reset(token)

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

    def _notebook_bar(self, display: Any, label: str, total: int, done: int) -> Iterator[Update]:
        begun = last = time.monotonic()
        handle = display.display(display.HTML(_bar_html(label, done, total, "")), display_id=True)

        def update(now: int, note: str) -> None:
            nonlocal last
            moment = time.monotonic()
            if moment - last < _SECONDS_BETWEEN_BARS:
                return
            last = moment
            said = _rate(now, done, total, moment - begun, note)
            handle.update(display.HTML(_bar_html(label, now, total, said)))

        try:
            yield update
        finally:
            handle.update(display.HTML(""))

    def _lines(self, label: str, total: int, done: int) -> Update:
        begun = last = time.monotonic()

        def update(now: int, note: str) -> None:
            nonlocal last
            moment = time.monotonic()
            if moment - last < self.seconds_between_lines and now < total:
                return
            last = moment
            log.info("%s: %d of %d, %s", label, now, total, _rate(now, done, total, moment - begun, note))

        return update


def task_of(follow: Task | bool | None) -> Task:
    """Give what shows progress as a caller asked for it; unasked, a display that waits two seconds, then appears."""
    if follow is None:
        return _patient
    return Progress(visible=follow).task if isinstance(follow, bool) else follow


@contextlib.contextmanager
def _patient(label: str, total: int) -> Iterator[Update]:
    """Show progress once the work has taken its time, where somebody watches and nothing else is shown."""
    begun = time.monotonic()
    shown: Update | None = None
    with contextlib.ExitStack() as stack:

        def update(now: int, note: str) -> None:
            nonlocal shown
            if shown is None and time.monotonic() - begun > PATIENCE_S and UNASKED.get() and _watched():
                shown = stack.enter_context(Progress(visible=True).task(label, total, done=now))
            if shown is not None:
                shown(now, note)

        yield update


def _watched() -> bool:
    return sys.stderr.isatty() or _notebook_display() is not None


def _notebook_display() -> Any:
    """Give IPython's way to show things where code runs in a notebook; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from importlib import import_module

    return import_module("IPython.display")


def _bar_html(label: str, now: int, total: int, said: str) -> str:
    from html import escape

    return (
        f'<div style="font-family:sans-serif;font-size:13px">{escape(label)} '
        f'<progress value="{now}" max="{total}"></progress> {now} of {total}, {escape(said)}</div>'
    ).replace(", </div>", "</div>")


def _rate(now: int, done: int, total: int, seconds: float, note: str) -> str:
    rate = (now - done) / max(seconds, 1e-9)
    left = f"{_duration((total - now) / rate)} left" if rate > 0 else "time left unknown"
    return f"{rate:.1f}/s, {left}{f', {note}' if note else ''}"


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
