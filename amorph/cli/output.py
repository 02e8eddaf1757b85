"""What every verb shares: its log, and results as a table or JSON."""

import contextlib
import json as json_module
import logging
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amorph.figures import heading, plain, printable

if TYPE_CHECKING:
    from ase import Atoms

_DUST = 1e-9
"""What rounding leaves of 0, in Å, eV, shares and the like, whose scale is 1, and beside larger numbers."""

_DECADES = ("cm²/s", "S/cm")
"""Units of what has no scale: a diffusion coefficient of 1e-13 is small, and not 0."""


class CheckFailed(Exception):
    """The result was made and kept, but a check on it failed: exit status 4."""


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
    finish()
    logger = logging.getLogger("amorph")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def finish() -> None:
    """Leave the log as it was before :func:`start`."""
    logger = logging.getLogger("amorph")
    for handler in [handler for handler in logger.handlers if isinstance(handler, _StandardError)]:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def show(rows: Iterable[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print rows as an aligned table on stdout."""
    rows = list(rows)
    if not rows:
        return
    columns = []
    for key in rows[0]:
        values = [row.get(key) for row in rows]
        name = heading(str(key))
        cells = [name, *(text_of(value, name) for value in values)]
        width = max(map(len, cells))
        right = any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        columns.append([cell.rjust(width) if right else cell.ljust(width) for cell in cells])
    if title:
        say(title)
    for line in zip(*columns, strict=True):
        say("  ".join(line).rstrip())


def named(file: Path, atoms: "Atoms") -> str:
    """Name a structure with its density, as every verb does that measures one."""
    from amorph.structure import density_g_cm3

    return f"{file.name}, {density_g_cm3(atoms):.3f} g/cm³"


def show_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, one pair to a line, the values aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        say(f"{name.ljust(width)}  {text_of(value, name)}")


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


def text_of(value: Any, name: str = "") -> str:
    """Write a value as a person reads it; what is left of 0 by rounding, 1e-9 of the largest beside it or 1, is 0.

    A unit in its name that knows no such scale keeps every value as it is.
    """
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        if abs(number) < _DUST and not any(unit in name for unit in _DECADES):
            return "0"
        return f"{number:.4g}" if abs(number) < 1000 else f"{number:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(entry, name)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        largest = max((abs(entry) for entry in value if isinstance(entry, float) and math.isfinite(entry)), default=0.0)
        return " ".join(
            text_of(0.0 if isinstance(entry, float) and abs(entry) < _DUST * largest else entry, name)
            for entry in value
        )
    return str(value)
