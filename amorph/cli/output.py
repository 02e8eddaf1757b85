"""What every verb shares: its log, and results as a table or JSON."""

import contextlib
import json as json_module
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amorph.figures import cell_of, heading, plain, printable, text_of
from amorph.progress import UNASKED

if TYPE_CHECKING:
    from ase import Atoms


class CheckFailed(Exception):
    """The result was made and kept, but a check on it failed: exit status 4."""


_HANDLER = "amorph's command line"


class _StandardError(logging.Handler):
    """Writes to whatever standard error is at the time: a progress bar puts itself in its place.

    A reader that has gone, or a full disk behind a batch system's file, ends no run.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(printable(self.format(record)) + "\n")


def start(*, quiet: bool) -> None:
    """Send the log to stderr, on a terminal and in batch logs alike; errors only when quiet.

    JSON changes nothing here: it has standard output for itself.
    """
    handler = _StandardError(logging.ERROR if quiet else logging.INFO)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.name = _HANDLER
    finish()
    UNASKED.set(not quiet)
    logger = logging.getLogger("amorph")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def finish() -> None:
    """Leave the log as it was before :func:`start`."""
    UNASKED.set(True)
    logger = logging.getLogger("amorph")
    for handler in [handler for handler in logger.handlers if handler.name == _HANDLER]:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def show(rows: Iterable[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print rows as an aligned table on stdout."""
    rows = list(rows)
    if not rows:
        return
    columns: list[list[str]] = []
    for key in rows[0]:
        values = [row.get(key) for row in rows]
        name = heading(str(key))
        cells = [name, *(cell_of(row, str(key)) for row in rows)]
        width = max(map(len, cells))
        right = any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        columns.append([cell.rjust(width) if right else cell.ljust(width) for cell in cells])
    if title:
        say(title)
    for block in _blocks(columns):
        for line in zip(*block, strict=True):
            say("  ".join(line).rstrip())


def _blocks(columns: list[list[str]]) -> list[list[list[str]]]:
    """Put the columns of a table that is too wide below one another, the first repeated each time."""
    blocks = [columns[:1]]
    for column in columns[1:]:
        if len(blocks[-1]) > 1 and sum(len(each[0]) + 2 for each in [*blocks[-1], column]) - 2 > WIDEST:
            blocks.append(columns[:1])
        blocks[-1] = [*blocks[-1], column]
    return blocks


WIDEST: Final = 100
"""Characters in a line of a table at most."""


def named(file: Path, atoms: "Atoms") -> str:
    """Name a structure with its density, as every verb does that measures one."""
    from amorph.structure import density_g_cm3

    return f"{file.name}, {density_g_cm3(atoms):.3f} g/cm³"


def density_of(*frames: "Atoms") -> dict[str, float]:
    """Give the density as --json has it of every verb that measures a structure; of a trajectory the mean."""
    from amorph.structure import density_g_cm3

    return {"density_g_cm3": sum(map(density_g_cm3, frames)) / len(frames)}


def show_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, one pair to a line, the values aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        say(f"{name.ljust(width)}  {text_of(value, name)}")


def with_error(value: float, error: float | None) -> str:
    """Write a value with its error, where that is known."""
    return text_of(value) if error is None else f"{text_of(value)} ± {error:.1g}"


def say(text: str) -> None:
    """Print a line on stdout."""
    _print(printable(text))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def show_json(value: Any) -> None:
    """Print a result as JSON on stdout; what is not a number is null."""
    text = json_module.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    # A code that JSON knows, for what it lets through.
    _print("".join(sign if sign.isprintable() or sign == "\n" else json_module.dumps(sign)[1:-1] for sign in text))
