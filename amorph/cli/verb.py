"""What every verb shares: its common flags, its generator, its log, and results as a table or JSON."""

import contextlib
import json as json_module
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter

from amorph.cli.flags import whole_numbers

if TYPE_CHECKING:
    from ase import Atoms

File = Annotated[Path, Parameter(help="Structure file: most formats that ASE or pymatgen reads.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON, and nothing else.")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", help="Print errors only.")]
Output = Annotated[Path | None, Parameter(name=("--output", "-o"), help="File to write; the suffix names the format.")]
Seed = Annotated[
    int,
    Parameter(name="--seed", converter=whole_numbers, help="Seed of the random generator, 0 or a whole number above."),
]
MaxHours = Annotated[
    float | None,
    Parameter(help="Stop after this wall time with a checkpoint and status 3, before the queue's own limit [h]."),
]
Force = Annotated[
    bool,
    Parameter(
        negative="", help="Continue although the study, the weights or a package changed; the difference is recorded."
    ),
]


class CheckFailed(Exception):
    """The result was made and kept, but a check on it failed: exit status 4."""


class Stopped(Exception):
    """The run stopped where it can be continued: exit status 3."""


def generator(seed: int) -> np.random.Generator:
    """Make the random generator of a verb from its seed."""
    if seed < 0:
        raise ValueError(f"seed = {seed} must be a whole number of at least 0 (default 0)")
    return np.random.default_rng(seed)


def check_output(path: Path | None, writer: Callable[[Path], object]) -> None:
    """Refuse a file that cannot be written, before any work is done for it; `writer` refuses unknown suffixes."""
    if path is None:
        return
    writer(path)
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: the folder {path.parent} is read-only; choose another")


def check_field(path: Path | None, atoms: "Atoms", parameters: Mapping[str, Any]) -> None:
    """Refuse a map's file that no disk can hold, before the map is made; `parameters` have its grid and precision."""
    from amorph.analysis.grids import resolve_points
    from amorph.export.fields import check_field_file

    grid, spacing = parameters.get("grid"), parameters.get("spacing")
    sound = (spacing is None or spacing > 0) and (grid is None or min(grid) > 0)  # the map itself refuses others
    if path is not None and sound:
        precision: Any = parameters.get("precision") or "float64"
        points = resolve_points(atoms.cell.array, grid, spacing, bytes_per_point=np.dtype(precision).itemsize)
        check_field_file(path, points, precision=precision)


class _StandardError(logging.Handler):
    """Writes to whatever standard error is at the time: a progress bar puts itself in its place.

    A reader that has gone, or a full disk behind a batch system's file, ends no run.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(self.format(record) + "\n")


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
        cells = [_heading(str(key)), *map(text_of, values)]
        width = max(map(len, cells))
        right = any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        columns.append([cell.rjust(width) if right else cell.ljust(width) for cell in cells])
    if title:
        say(title)
    for line in zip(*columns, strict=True):
        say("  ".join(line).rstrip())


_UNITS = {"_eV": "eV", "_A": "Å", "_A2": "Å²", "_A3": "Å³", "_per_A": "1/Å", "_vu": "v.u.", "_v.u.": "v.u.", "_Å": "Å"}


def _heading(key: str) -> str:
    """Write a column's key as its heading: the unit in brackets; the dotted key of a study as its file has it."""
    for suffix, unit in _UNITS.items():
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')} [{unit}]"
    return key if "." in key else key.replace("_", " ")


def show_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, one pair to a line, the values aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        say(f"{name.ljust(width)}  {text_of(value)}")


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(text + "\n")


def show_json(value: Any) -> None:
    """Print a result as JSON on stdout; what is not a number is null."""
    text = json_module.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")


def figures_of(result: Any, *, without: Iterable[str] = ("atoms",)) -> dict[str, Any]:
    """Name the fields of a result, large ones left out."""
    return {name: getattr(result, name) for name in result.__dataclass_fields__ if name not in without}


def text_of(value: Any) -> str:
    """Write a value as a person reads it."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.4g}" if abs(number) < 1000 else f"{number:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        return " ".join(text_of(entry) for entry in value)
    return str(value)


def _plain(value: Any) -> Any:
    """Reduce a value to what JSON has."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value if value is None or isinstance(value, bool | int | str) else str(value)
