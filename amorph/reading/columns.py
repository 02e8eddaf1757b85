"""A user's curve: two columns, or three with errors."""

import logging
import re
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import regular_file

log = logging.getLogger(__name__)

_LARGEST: Final = 100_000_000
"""Size of a file that is a curve [bytes]."""
_COMMENT: Final = re.compile(r"^\s*$|^\s*[#!%'\"*/]")
_MARKS: Final = re.compile(r"^\s*[#!%'\"*/]+(L\s)?")
"""What stands before the names of columns; SPEC writes #L."""
_ROW: Final = re.compile(r"[\s\d+.,;eEdD-]*\d[\s\d+.,;eEdD-]*")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_UNIT: Final = re.compile(r"[\s_]*(\(.*\)|\[.*\]|_per_.*|_deg|_A\d?|_nm|/.*)\s*$")
_IN_NM: Final = re.compile(r"((?<!\w)[qr](\W|_|1/|in\b|per)*|^\W*(1/)?)nm(?![a-z])", re.IGNORECASE)
"""Names, or a line of units, that have q or r in nm."""

# names of columns, small letters and digits alone
_X: Final = {"q", "r", "x", "2theta", "2θ", "twotheta", "tth", "2th", "ttheta", "angle"}
_NO_X: Final = dict.fromkeys(("theta", "θ", "th"), "2theta, which is twice that") | dict.fromkeys(
    ("d", "dspacing", "spacing"), "q = 2π/d, or 2theta from λ = 2 d sin θ"
)
"""What is no x, and what to give instead."""
_Y: Final = {"s", "sq", "g", "gr", "gpdf", "i", "iq", "y", "intensity", "counts", "cts", "iobs", "yobs", "sobs", "gobs"}
_ERROR: Final = {"error", "errors", "err", "e", "esd", "sigma", "σ", "std", "stderr", "standarderror", "sd", "unc"}
_ERROR_OF_Y: Final = _ERROR | {"uncertainty", "ds", "dsq", "dg", "dgr", "di", "diq", "dy"}
_NEITHER: Final = {"index", "n", "no", "nr", "point", "row", "id", "dq", "dr", "dx"}

_Commas = Literal["part", "decimal"]


def read_columns(path: str | Path) -> NDArray[np.float64]:
    """Read a measured curve of two columns, or of three with standard errors.

    Columns are apart by blanks, tabs, commas or semicolons. Lines that begin with # ! % ' " * or /, what stands behind
    a #, and text before the first row of numbers are left out. 1,5 is a number where blanks, tabs or semicolons part
    the columns; 1.5D+02 is read as Fortran writes it. Names in the last line before the numbers choose the columns
    where one of them is that of x (q, r, 2theta, angle, x), so that one of point numbers, or more than three columns,
    do no harm; where blanks part words that are no known names, the first must be that of x, for titles have blanks
    too. Without such names the order is x, y, error. q and r are in Å.

    Returns
    -------
    (n, 2) or (n, 3) array
        x, rising, y and errors. Rows that fall are turned around; errors that are all 0 are left out.

    Raises
    ------
    ValueError
        The file is missing, empty, too large or holds no such columns; a line that is none; commas or names that can
        be read in two ways; names that have theta, d, or q or r in nm; an x that repeats or goes up and down; an error
        that is not above 0.
    """
    path = regular_file(path)
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path} is larger than {_LARGEST / 1e6:g} MB; give a curve of two or three columns")
    try:
        lines = path.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    bare = [line for line in map(_bare, lines) if _ROW.fullmatch(line)]
    commas = _meaning_of_commas(path, bare)
    rows: list[list[float]] = []
    header = ""
    for number, line in enumerate(lines, 1):
        values = None if _COMMENT.match(line) else _row(_bare(line), commas)
        if values is not None and len(values) > 1:
            if rows and len(values) != len(rows[0]):
                raise ValueError(f"{path}, line {number}: {len(values)} columns, and {len(rows[0])} before; correct it")
            rows.append(values)
        elif not rows:
            header = line if line.strip() else header
        elif not _COMMENT.match(line):
            raise ValueError(f"{path}, line {number}: '{line.strip()[:40]}' is no row of numbers; correct it")
    if len(rows) < 2:
        raise ValueError(f"{path} has {len(rows)} rows of two or three numbers; give a measured curve")
    if _IN_NM.search(_MARKS.sub("", header)):
        raise ValueError(
            f"{path}: '{header.strip()[:40]}' is in nm; give q in 1/Å, a tenth of that, or r in Å, ten times"
        )
    names = _names(header, len(rows[0]))
    if (
        names is None
        and len(rows[0]) > 2
        and all("," in row and "." not in row and not row.split()[1:] for row in bare)
    ):
        raise ValueError(
            f"{path}: commas may part the columns or be decimal; write decimal points, or name the columns"
        )
    return _sound(path, np.array(rows)[:, _chosen(path, names, len(rows[0]))])


def _bare(line: str) -> str:
    """Leave out what is no part of a row: comments, and the separators at its end."""
    return "" if _COMMENT.match(line) else line.partition("#")[0].rstrip(" \t,;")


def _meaning_of_commas(path: Path, rows: list[str]) -> _Commas:
    """Tell whether commas part the columns or are decimal; a file has one meaning.

    Raises
    ------
    ValueError
        Both would do.
    """
    points = any("." in row for row in rows)
    parting = decimal = False
    inner: list[str] = []
    for row in rows:
        words = row.replace(";", " ").split()
        if "," not in row:
            continue
        edges = any(word[0] == "," or word[-1] == "," for word in words)
        apart = ";" in row or (len(words) > 1 and not edges)
        if points and apart:
            raise ValueError(f"{path}: '{row.strip()[:40]}' has commas beside decimal points; leave the commas out")
        if edges and not points and any("," in word.strip(",") for word in words):
            raise ValueError(
                f"{path}: '{row.strip()[:40]}' has commas that part and commas within; write decimal points"
            )
        parting, decimal = parting or not apart, decimal or apart
        inner += [word for word in words if "," in word] if apart else []
    if parting and decimal:
        raise ValueError(
            f"{path}: commas part the columns of some rows and are decimal in others; write decimal points"
        )
    if decimal and all(map(_THOUSANDS.fullmatch, inner)) and not any("," in row.split()[0] for row in rows):
        raise ValueError(f"{path}: '{inner[0]}' may be a thousand or a decimal comma; write it without the comma")
    return "decimal" if decimal else "part"


def _row(line: str, commas: _Commas) -> list[float] | None:
    """Read the numbers of a line; None where something in it is no number."""
    words = re.split(r"\s*[,;]\s*|\s+" if commas == "part" else r"\s*;\s*|\s+", line.strip())
    if commas == "decimal":
        words = [word.replace(",", ".") for word in words]
    if not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return [float(word.replace("D", "e").replace("d", "e")) for word in words]


def _names(header: str, columns: int) -> list[str] | None:
    """Give the names of the columns, where a line holds so many.

    Blanks part the words of a title too: all must be known then, or the first alone be one of x.
    """
    text = _MARKS.sub("", header).strip()
    for separator in (r"\t+", ";", ","):
        if len(names := [name.strip(" \"'") for name in re.split(separator, text)]) == columns:
            return names
    names = re.sub(r"\s+[\[(][^\])]*[\])]", "", text).split()
    keys = [_key(name) for name in names]
    known, first = _X | _Y | _ERROR_OF_Y | _NEITHER | _NO_X.keys(), _X | _NO_X.keys()
    one = keys[:1] and keys[0] in first and not first.intersection(keys[1:])
    return names if len(names) == columns and (one or known.issuperset(keys)) else None


def _key(name: str) -> str:
    """Reduce the name of a column to small letters and digits, without its unit."""
    return re.sub(r"[\W_]", "", _UNIT.sub("", name).lower())


def _chosen(path: Path, names: list[str] | None, columns: int) -> list[int]:
    """Give the places of x, y and, where it is there, the error.

    Raises
    ------
    ValueError
        Names that leave it open, or more than three columns without them.
    """
    keys = [_key(name) for name in names or []]
    xs = [n for n, key in enumerate(keys) if key in _X]
    if names and not xs and (wrong := [n for n, key in enumerate(keys) if key in _NO_X]):
        raise ValueError(f"{path} has the column {names[wrong[0]]}; give {_NO_X[keys[wrong[0]]]}")
    numbered = columns > 2 and keys[:1] and keys[0] in _NEITHER | {"i"}
    if names is None or not (xs or numbered):
        if columns > 3:
            raise ValueError(f"{path} has {columns} columns, and 2, or 3 with errors are taken; leave others out")
        return list(range(columns))
    if len(xs) != 1:
        raise ValueError(f"{path} has the columns {', '.join(names)}, and not one x; leave others than x, y, error out")
    others = [n for n in range(columns) if n != xs[0] and keys[n] not in _ERROR_OF_Y | _NEITHER]
    behind = [n for n in others if n > xs[0]] or others
    ys = [n for n in behind if keys[n] in _Y] or behind
    if len(ys) != 1:
        raise ValueError(f"{path} has the columns {', '.join(names)}, and not one y; leave others than x, y, error out")
    errors = [n for n in range(columns) if keys[n] in _ERROR_OF_Y][:1]
    taken = [xs[0], ys[0], *errors]
    if left := [name for n, name in enumerate(names) if n not in taken]:
        log.warning("%s: taken are the columns %s, not %s", path, ", ".join(names[n] for n in taken), ", ".join(left))
    return taken


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
