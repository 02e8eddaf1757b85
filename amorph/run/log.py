"""The log of a run: what this process says while it works in the run's directory."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from amorph.figures import printable
from amorph.run.durable import refuse_other_names

log = logging.getLogger(__name__)

_AT_WORK: ContextVar[Path | None] = ContextVar("log of the run that this thread works in", default=None)


@contextlib.contextmanager
def kept_log(path: Path) -> Iterator[None]:
    """Append what the package says to a file for the time of a block, whatever the caller listens to."""
    kept = _RunLog(path, encoding="utf-8")
    try:
        assert kept.stream is not None  # it was opened at once
        refuse_other_names(kept.stream.fileno(), path)
    except ValueError:
        kept.close()
        raise
    kept.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
    # What no run says by itself (a shared force engine, a thread of an analysis) stands in every log.
    kept.addFilter(lambda _: _AT_WORK.get() in (None, path))
    logger = logging.getLogger("amorph")
    level = logger.level
    before = _AT_WORK.set(path)
    logger.addHandler(kept)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(kept)
        _AT_WORK.reset(before)
        with contextlib.suppress(OSError):  # it writes what the disk had no room for before
            kept.close()


class _Lines(logging.Formatter):
    """One line for each record, whatever the names in it hold."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record).replace("\n", " "))


class _RunLog(logging.FileHandler):
    """A log whose disk may be full: it says so once, and what counts goes on."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            log.warning("%s cannot be written: %s", self.baseFilename, error.strerror)
