"""A user's curve: two columns, or three with errors."""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import regular_file

_LARGEST: Final = 100_000_000
"""Size of a file that is a curve [bytes]."""
_COMMENT: Final = re.compile(r"^\s*$|^\s*[#!%'\"*/]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+([eEdD][+-]?\d+)?")


def read_columns(path: str | Path) -> NDArray[np.float64]:
    """Read a measured curve of two columns, or of three with standard errors.

    Columns are apart by blanks, tabs, commas or semicolons. Lines that begin with # ! % ' " * or /, what stands behind
    a #, and text before the first row of numbers are left out. 1,5 is a number where blanks, tabs or semicolons part
    the columns; 1.5D+02 is read as Fortran writes it.

    Returns
    -------
    (n, 2) or (n, 3) array
        x, rising, y and errors. Rows that fall are turned around; errors that are all 0 are left out.

    Raises
    ------
    ValueError
        The file is missing, empty, too large or holds no such columns; a line that is none; an x that repeats or goes
        up and down; an error that is not above 0.
    """
    path = regular_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST / 1e6:g} MB; give a curve of two or three columns")
    try:
        lines = path.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        if _COMMENT.match(line):
            continue
        values = _row(line.split("#")[0])
        if values is None or len(values) < 2:
            if rows:
                raise ValueError(f"{path}, line {number}: '{line.strip()[:40]}' is no row of numbers; correct it")
            continue  # a header
        if len(values) > 3 or (rows and len(values) != len(rows[0])):
            wanted = len(rows[0]) if rows else "2, or 3 with errors"
            raise ValueError(f"{path}, line {number}: {len(values)} columns, and {wanted} are taken; leave others out")
        rows.append(values)
    if len(rows) < 2:
        raise ValueError(f"{path} has {len(rows)} rows of two or three numbers; give a measured curve")
    return _sound(path, np.array(rows))


def _row(line: str) -> list[float] | None:
    """Read the numbers of a line; None where something in it is no number."""
    words = line.replace(";", " ").split()
    if sum(bool(_DECIMAL_COMMA.fullmatch(word)) for word in words) >= 2 or (
        ";" in line and "." not in line and "," in line
    ):
        words = [word.replace(",", ".") for word in words]
    else:
        words = line.replace(";", " ").replace(",", " ").split()
    if not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return [float(word.replace("D", "e").replace("d", "e")) for word in words]


def _sound(path: Path, table: NDArray[np.float64]) -> NDArray[np.float64]:
    if table[0, 0] > table[-1, 0]:
        table = table[::-1]
    if not np.isfinite(table).all():
        raise ValueError(f"{path} has a number too large to hold; correct it")
    if (stuck := np.flatnonzero(np.diff(table[:, 0]) <= 0.0)).size:
        raise ValueError(f"{path}: x = {table[stuck[0] + 1, 0]:g} comes after {table[stuck[0], 0]:g}; sort the rows")
    if table.shape[1] == 3:
        if not table[:, 2].any():
            return table[:, :2].copy()
        if not (table[:, 2] > 0.0).all():
            raise ValueError(
                f"{path} has the error {table[:, 2].min():g}; errors must be above 0: correct or drop them"
            )
    return np.ascontiguousarray(table)
