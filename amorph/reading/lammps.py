"""LAMMPS dumps and data files: frames and elements by our rules, each parsed by ASE."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.lammpsdata import read_lammps_data
from ase.io.lammpsrun import read_lammps_dump_text
from numpy.typing import NDArray

from amorph.reading.files import RefusedError, text_of
from amorph.reading.frames import Lines, Unfinished, chosen, frames_of, word_of
from amorph.reading.sites import ion_of

_NAMING: Final = ("element", "typelabel")
_WRAPPED: Final = {"x", "y", "z", "xs", "ys", "zs"}
_PICOSECONDS: Final = {"metal": 1.0, "real": 1e-3}
"""Unit of time of LAMMPS's styles of units whose lengths are Å [ps]."""
_UNITS: Final = re.compile(r"\bunits\s*=\s*(\w+)")
"""What ``write_data`` says of them in the first line."""
_IMAGES: Final = ("ix", "iy", "iz")
_SEVERAL: Final = 3
"""Atoms that do not come back into the cell in one step by chance."""
_MOST: Final = 0.9
"""Share of the atoms that had left it from which they were set back."""
_LABELS: Final = re.compile(
    r"^[ \t]*Atom Type Labels[^\n]*\n((?:[ \t]*(?:#[^\n]*)?\n|[ \t]*\d+[ \t]+\S+[^\n]*\n)+)", re.M
)
_ATOMS: Final = re.compile(r"^\s*(\d+)\s+atoms\b", re.M)


def read_dump(path: Path, index: str, elements: Sequence[str] | None) -> list[Atoms]:
    """Read frames of a LAMMPS dump.

    Parameters
    ----------
    path
        Name of the file.
    index
        "0", "-1" or ":".
    elements
        Elements of the types 1, 2, …; None takes them from the columns element, typelabel or mass.

    Raises
    ------
    RefusedError
        Elements that nothing names; as those of :func:`amorph.reading.frames.frames_of`.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        frames = [_dumped(frame, elements) for frame in chosen(frames_of(file, _take), index)]
    units = {frame.info.pop("units", None) for frame in frames} - {None}  # a dump says them once, at its beginning
    for style in units:
        _check_units(style)
    if len(units) == 1:
        picoseconds = _PICOSECONDS[units.pop()]
        for frame in frames:
            if "time" in frame.info:
                frame.info["time_ps"] = picoseconds * frame.info["time"]
    if not any(frame.info.get("crossed", True) for frame in frames):
        for frame in frames:  # nobody counted: whoever writes wrapped atoms may write 0 0 0 behind them
            frame.arrays.pop("unwrapped_positions", None)
    _count_on(frames)
    return frames


def _count_on(frames: Sequence[Atoms]) -> None:
    """Go on counting where the crossings of the cell's faces were set back, as by a restart from a data file.

    There the atoms that had crossed some are back by as many, but for a few that were on a face. One or two alone could
    have come back by themselves, and were set back only where no atom is beyond the cell.
    """
    before: NDArray[np.float64] | None = None
    lost: NDArray[np.float64] = np.zeros(3)
    for frame in frames:
        if "unwrapped_positions" not in frame.arrays:
            return
        places = frame.cell.scaled_positions(frame.arrays["unwrapped_positions"])
        if before is not None and before.shape == places.shape:
            crossed, jump = np.floor(before), np.round(places - before)
            gone = crossed.any(axis=1)
            back = (jump == -crossed).all(axis=1)[gone]
            if gone.any() and back.mean() > _MOST and (len(back) >= _SEVERAL or not np.floor(places).any()):
                lost = lost - jump
        frame.arrays["unwrapped_positions"] += np.broadcast_to(lost, places.shape) @ frame.cell.array
        before = places


def _check_units(style: str) -> None:
    if style not in _PICOSECONDS:
        known = " or ".join(_PICOSECONDS)
        raise RefusedError(f"is in LAMMPS's units {style}, whose lengths are no Å; give it in units {known}")


def _take(lines: Lines) -> list[str]:
    """Take the items of one time step."""
    frame: list[str] = []
    number: int | None = None
    while True:
        head = lines.next()
        if not head.endswith("\n"):
            raise Unfinished("its last line breaks off")
        if not head.startswith("ITEM:") or (not frame and not re.match(r"ITEM: (TIMESTEP|UNITS|TIME)\b", head)):
            raise RefusedError(f"has '{head.strip()[:40]}' in line {lines.number}, where an ITEM: of LAMMPS belongs")
        frame.append(head)
        if head.startswith("ITEM: ATOMS"):
            break
        values = [lines.next() for _ in range(3 if head.startswith("ITEM: BOX BOUNDS") else 1)]
        if head.startswith("ITEM: NUMBER OF ATOMS"):
            if not values[0].strip().isdecimal():
                raise RefusedError(f"counts '{values[0].strip()[:40]}' atoms in line {lines.number}; correct it")
            number = int(values[0])
        frame += values
    if number is None:
        raise RefusedError(f"lists atoms in line {lines.number} and has not said how many; give a whole file")
    rows = lines.rows(number)
    if broken := next((k for k, row in enumerate(rows) if row.startswith("ITEM:")), None):
        raise RefusedError(
            f"counts {number} atoms and lists {broken} of them before line {lines.number - number + broken + 1}, where "
            "the next item begins: a run that was broken off there was continued; take the broken frame out"
        )
    return frame + rows


def _dumped(frame: list[str], elements: Sequence[str] | None) -> Atoms:
    begin = next(k for k, line in enumerate(frame) if line.startswith("ITEM: ATOMS"))
    columns = frame[begin].split()[2:]
    naming = next((columns.index(name) for name in _NAMING if name in columns), None)
    rows, states = frame[begin + 1 :], None
    if elements is None and naming is None and "mass" not in columns:
        raise _nameless()
    if naming is not None:
        names = [word_of(row, naming) for row in rows]
        ions = {name: _ion(name) if elements is None else ("H", None) for name in set(names)}
        if any(name != element for name, (element, _) in ions.items()):
            rows = [_renamed(row, naming, ions) for row in rows]
        states = {name: state for name, (_, state) in ions.items()}
        columns = ["element" if k == naming else column for k, column in enumerate(columns)]
    atoms = _placed(frame[:begin], columns, rows)
    for item, made in (("TIME", float), ("UNITS", str.strip)):
        if (at := next((k for k in range(begin) if frame[k].split() == ["ITEM:", item]), None)) is not None:
            atoms.info[item.lower()] = made(frame[at + 1])
    if elements is not None:
        return _typed(atoms, elements)
    if states and None not in states.values():
        order = np.arange(len(names))
        if "id" in columns:
            order = np.argsort([int(word_of(row, columns.index("id"))) for row in rows])
        atoms.set_array("oxidation_states", np.array([states[names[k]] for k in order], dtype=np.float64))
    return atoms


def _placed(head: list[str], columns: list[str], rows: list[str]) -> Atoms:
    """Read atoms with ASE and, where the dump knows it, how far they have gone through the faces of the cell.

    Of places within the cell and beyond ASE would take those within; what it sorts by the atoms' numbers and keeps is
    a column whose name begins as that of a fix, `i_ix`.
    """
    flagged = not _WRAPPED.isdisjoint(columns) and set(_IMAGES) <= set(columns)
    beyond = not flagged and any({f"x{s}u", f"y{s}u", f"z{s}u"} <= set(columns) for s in ("", "s"))
    if flagged:
        columns = [f"i_{column}" if column in _IMAGES else column for column in columns]
    elif beyond:
        columns = [f"within_{column}" if column in _WRAPPED else column for column in columns]
    text = "".join([*head, f"ITEM: ATOMS {' '.join(columns)}\n", *rows])
    atoms: Atoms = read_lammps_dump_text(io.StringIO(text), 0)
    if flagged:
        images = np.column_stack([atoms.arrays.pop(f"i_{axis}") for axis in _IMAGES])
        atoms.info["crossed"] = bool(images.any())
        atoms.set_array("unwrapped_positions", atoms.positions + images @ atoms.cell.array)
    elif beyond:
        atoms.set_array("unwrapped_positions", atoms.positions)
    return atoms


def _renamed(row: str, naming: int, ions: Mapping[str, tuple[str, float | None]]) -> str:
    """Write the element in the place of the name of an ion."""
    words = row.split()
    if len(words) > naming:
        words[naming] = ions[words[naming]][0]
    return " ".join(words) + "\n"


def read_data(path: Path, elements: Sequence[str] | None) -> Atoms:
    """Read a LAMMPS data file, whose types the user, their labels or their masses name.

    Raises
    ------
    RefusedError
        Elements that nothing names; more atoms than lines.
    """
    text = text_of(path)
    if (number := _ATOMS.search(text)) is not None and int(number[1]) > text.count("\n") + 1:
        raise RefusedError(f"counts {number[1]} atoms and has {text.count(chr(10)) + 1} lines; give a whole file")
    if (said := _UNITS.search(text.partition("\n")[0])) is not None:
        _check_units(said[1])
    labels: dict[str, int] = {}
    if (section := _LABELS.search(text)) is not None:
        words = [line.split("#")[0].split() for line in section[1].splitlines()]
        labels = {row[1]: int(row[0]) for row in words if len(row) >= 2}
        for label, kind in labels.items():  # ASE reads masses by number alone
            text = re.sub(rf"^([ \t]*){re.escape(label)}(?=[ \t]+[\d.])", rf"\g<1>{kind}", text, flags=re.M)
    if elements is None and not labels and not re.search(r"^\s*Masses", text, re.M):
        raise _nameless()
    # ASE calls types without masses by their numbers; what they are is said below
    kinds = {kind: atomic_numbers[_ion(label)[0]] for label, kind in labels.items()} if elements is None else {}
    atoms: Atoms = read_lammps_data(io.StringIO(text), Z_of_type=kinds or None)
    return atoms if elements is None else _typed(atoms, elements)


def _ion(name: str) -> tuple[str, float | None]:
    if (found := ion_of(name)) is None:
        raise RefusedError(
            f"calls atoms '{name[:20]}', which is no element; give the element of each type, as in --elements Li O"
        )
    return found


def _nameless() -> RefusedError:
    return RefusedError(
        "names no elements, only LAMMPS types; give the element of each type, as in --elements Li Ti Mo O or "
        "elements=['Li', 'Ti', 'Mo', 'O']"
    )


def _typed(atoms: Atoms, elements: Sequence[str]) -> Atoms:
    """Give LAMMPS atom types the elements that the user names; ASE takes type 1 for hydrogen."""
    types = atoms.arrays.get("type")
    if types is None:
        raise RefusedError("has no types that --elements could name; leave it out")
    if unknown := [element for element in elements if atomic_numbers.get(element, 0) == 0]:
        raise RefusedError(f"cannot have the element {unknown[0]!r}; give chemical symbols")
    if not 1 <= types.min() <= types.max() <= len(elements):
        raise RefusedError(
            f"has the LAMMPS types {types.min()} to {types.max()}, but {len(elements)} elements are given"
        )
    atoms.numbers = np.array([atomic_numbers[element] for element in elements])[types.astype(int) - 1]
    return atoms
