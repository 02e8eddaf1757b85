"""POSCAR, CONTCAR and XDATCAR, and the structures at the beginning of CHGCAR and LOCPOT: one header for all."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ase.units
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.reading.files import RefusedError, note
from amorph.reading.frames import Lines, Unfinished, chosen, frames_of, numbers_in, vectors
from amorph.reading.sites import ion_of

_GRID: Final = re.compile(r"\s*[1-9]\d*\s+[1-9]\d*\s+[1-9]\d*\s*")
"""The points of a density, three whole numbers."""
_STEP: Final = re.compile(r"configuration\s*=\s*(\d+)", re.I)
"""Which step of the run a frame of an XDATCAR is."""
_HELD: Final = re.compile(r"\s*(\S+\s+){3,5}\.?F", re.I)
"""An atom with F or .FALSE. among its three flags."""
_REMARK: Final = re.compile(r"\s*[#!].*")
"""A comment, whole or behind numbers."""
_TAIL: Final = re.compile(r"[_/].*")
"""What follows the element in the name of a potential: Mg_pv, Mg/8f3a0b."""


@dataclass(frozen=True, eq=False)
class Header:
    """Cell and elements."""

    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    scale: NDArray[np.float64]
    """(3,) factors of Cartesian coordinates."""
    symbols: list[str]
    """Element of each atom."""


def is_vasp_text(name: str) -> bool:
    """Tell by its name whether a file begins as a POSCAR does."""
    plain = name.upper()
    return (
        "POSCAR" in plain
        or "CONTCAR" in plain
        or plain.startswith(("CHGCAR", "LOCPOT", "AECCAR", "PARCHG", "ELFCAR"))
        or plain.endswith(".VASP")
    )


def read_poscar(path: Path) -> Atoms:
    """Read a POSCAR, or the structure in front of the densities of a CHGCAR.

    Raises
    ------
    RefusedError
        It names no elements, counts more atoms than it has lines, or is none.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = Lines(file)
        try:
            atoms = poscar_atoms(lines)
            velocities = _velocities(lines, len(atoms))
        except Unfinished as error:
            raise RefusedError(f"is no whole POSCAR or CONTCAR: {error}; give a whole file") from None
    if velocities is not None:
        atoms.set_velocities(velocities)
    return atoms


def read_xdatcar(path: Path, index: str) -> list[Atoms]:
    """Read frames of an XDATCAR, whatever separates them; the header may come again with another cell.

    Raises
    ------
    RefusedError
        As those of :func:`read_poscar`, and of :func:`amorph.reading.frames.frames_of`.
    """
    header: Header | None = None

    def take(lines: Lines) -> tuple[Header, str, list[str], int]:
        nonlocal header
        again = _header(lines) if header is None else _header_again(lines)
        header = again or header
        if header is None:
            raise RefusedError("does not begin with the header of an XDATCAR: a title, the scale, three vectors")
        lines.skip_blank()
        separator = lines.next()
        if len(numbers_in(separator)) >= 3:  # a blank line was the separator
            lines.hold(separator)
            separator = ""
        first = lines.number + 1
        return header, separator, lines.rows(len(header.symbols)), first

    with path.open(encoding="utf-8", errors="replace") as file:
        frames, count, before = [], 0, 0
        for frame_header, separator, rows, first in chosen(frames_of(file, take), index):
            frames.append(_placed(frame_header, separator, rows, first))
            if (step := _STEP.search(separator)) is not None:
                number = int(step[1])
                # one that goes back begins another file behind the first, which goes on from there
                count += number - before if number >= before else number
                frames[-1].info["timestep"] = count
                before = number
    return frames


def poscar_atoms(lines: Lines) -> Atoms:
    """Take the structure of a POSCAR from the beginning of a file."""
    header = _header(lines)
    if header is None:
        raise RefusedError(
            "is no POSCAR or CONTCAR: it does not begin with a title, the scale, three vectors, elements and numbers"
        )
    mode = lines.next()
    if selective := mode.strip()[:1] in {"S", "s"}:
        mode = lines.next()
    first = lines.number + 1
    rows = lines.rows(len(header.symbols))
    if selective and (held := sum(bool(_HELD.match(row)) for row in rows)):
        note(f"the selective dynamics are left out: {held} atoms are held along an axis or more, and are free here")
    # VASP looks at the first letter alone, and takes K, for kartesisch, too
    return _placed(header, "cart" if mode.strip()[:1] in {"C", "c", "K", "k"} else "", rows, first)


def _placed(header: Header, separator: str, rows: list[str], first: int) -> Atoms:
    given = vectors(rows, first)
    atoms = Atoms(header.symbols, cell=header.cell, pbc=True)
    if separator.strip().lower().startswith("cart"):
        atoms.set_positions(given * header.scale)
    else:
        atoms.set_scaled_positions(given)
    return atoms


def _header(lines: Lines) -> Header | None:
    """Take title, scale, cell, elements and their numbers; None where the lines are no header."""
    title = lines.next()
    factors = numbers_in(lines.next())
    first = lines.number + 1
    rows = [lines.next() for _ in range(3)]
    if not factors or any(len(numbers_in(row)) < 3 for row in rows):
        return None
    cell = vectors(rows, first)
    if len(factors) >= 3 and min(factors[:3]) <= 0:
        raise RefusedError(
            f"has the three scales {' '.join(f'{x:g}' for x in factors[:3])}; give three positive ones, one for each "
            "axis, or one number"
        )
    scale = np.array(factors[:3] if len(factors) >= 3 else [factors[0]] * 3)
    if factors[0] < 0:  # the volume of the cell
        if not abs(volume := np.linalg.det(cell)) > 0:
            raise RefusedError("gives a volume, and three vectors that span none; correct them")
        scale = np.full(3, abs(factors[0] / volume) ** (1 / 3))
    if not scale.all():
        raise RefusedError("has the scale 0; give a length or, as a negative number, the volume")
    words = lines.next().split()
    if words and _is_count(words[0]):  # VASP 4 writes no names here
        counts, names = words, title.split()
    else:
        counts, names = lines.next().split(), words
    numbers = [int(word) for word in _leading_counts(counts)]
    if not numbers:
        return None
    elements = [ion_of(_TAIL.sub("", name)) for name in names[: len(numbers)]]
    symbols = [element[0] for element in elements if element is not None]
    if len(symbols) < len(numbers):
        raise RefusedError("names no elements; write their symbols as a line above the numbers of atoms")
    if not (atoms := sum(numbers)):
        raise RefusedError("counts no atoms; correct the numbers below the elements")
    if atoms > lines.most:
        raise RefusedError(f"counts {atoms} atoms and has not as many lines; give a whole file")
    every = [symbol for symbol, number in zip(symbols, numbers, strict=True) for _ in range(number)]
    return Header(cell * scale, scale, every)


def _header_again(lines: Lines) -> Header | None:
    """Take a header that comes again; where the lines are none they are left as they are."""
    taken = lines.ahead(7)
    is_header = (
        len(taken) == 7
        and len(numbers_in(taken[1])) in {1, 3}
        and all(len(numbers_in(row)) == 3 for row in taken[2:5])
        and len(numbers_in(taken[5])) != 3
        and bool(_leading_counts(taken[5].split()) or _leading_counts(taken[6].split()))
    )
    return _header(lines) if is_header else None


def _leading_counts(words: list[str]) -> list[str]:
    """Give the numbers of atoms at the beginning of a line; a comment may follow."""
    end = next((k for k, word in enumerate(words) if not _is_count(word)), len(words))
    return words[:end]


def _is_count(word: str) -> bool:
    return word.removeprefix("+").isdecimal()


def _velocities(lines: Lines, number: int) -> NDArray[np.float64] | None:
    """Read what may stand behind the coordinates of a CONTCAR, and give the velocities; None where there are none.

    These are the velocities of the lattice, those of the atoms behind a blank line or one of their mode, and the block
    of the predictor-corrector; comments count as nothing, and the grid of a CHGCAR is left where it is.

    Raises
    ------
    RefusedError
        Something else is there, as more atoms than are counted or a second POSCAR.
    """
    mode = _next(lines)
    if mode.strip()[:1] in {"L", "l"}:  # a state, three vectors and three again
        lines.rows(7)
        mode = _next(lines)
    is_mode = mode.strip()[:1] in {"C", "c", "K", "k", "D", "d"}
    if mode.strip() and not is_mode:
        raise _stranger(mode, number)
    if not _skip_remarks(lines) or _GRID.fullmatch(lines.ahead(1)[0]):
        return None
    rows = [_next(lines) for _ in range(number)]
    if wrong := [row for row in rows if not len(_REMARK.sub("", row).split()) == len(numbers_in(row)) == 3]:
        raise _stranger(next((row for row in wrong if row), "the end of the file"), number)
    given = vectors(rows, lines.number - number + 1)
    _check_corrector(lines, number)
    if is_mode and mode.strip()[:1] in {"D", "d"}:
        note("velocities in fractions of the cell are left out")
        return None
    return given * (ase.units.Ang / ase.units.fs)


def _check_corrector(lines: Lines, number: int) -> None:
    """Refuse what follows velocities and is not the predictor-corrector: a state, a step, Nosé's numbers, 3 n rows."""
    if not _skip_remarks(lines):
        return
    first = _next(lines)
    rest = [_next(lines) for _ in range(3 * number + 2)]
    counts = [len(numbers_in(row)) for row in rest]
    if not _is_count(first.strip()) or counts != [1, 4, *[3] * (3 * number)] or _skip_remarks(lines):
        raise _stranger(first, number)


def _next(lines: Lines) -> str:
    """Give the next line that is no comment; an empty one at the end of the file."""
    while lines.ahead(1):
        line = lines.next()
        if not _REMARK.match(line):
            return line
    return ""


def _skip_remarks(lines: Lines) -> bool:
    """Go on to the next line that is neither blank nor a comment; False at the end of the file."""
    while lines.skip_blank():
        if not _REMARK.match(lines.ahead(1)[0]):
            return True
        lines.next()
    return False


def _stranger(line: str, number: int) -> RefusedError:
    return RefusedError(
        f"has behind its {number} atoms '{line.strip()[:40]}', which belongs to no velocities; correct the numbers of "
        "atoms, or give one POSCAR to a file"
    )
