"""Extended XYZ: frames by one rule, each parsed by ASE."""

import io
import re
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import read_xyz

from amorph.reading.files import RefusedError
from amorph.reading.frames import Lines, chosen, frames_of, plain_numbers, word_of
from amorph.reading.sites import ion_of

_PROPERTIES: Final = re.compile(r'\bProperties="?([^"\s]+)')


def read_extxyz(path: Path, index: str) -> list[Atoms]:
    """Read frames of an extended XYZ file; elements may be written as ions, Mg2+, numbers as 1.5D-01.

    Raises
    ------
    RefusedError
        As those of :func:`amorph.reading.frames.frames_of`.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        return [_parsed(frame) for frame in chosen(frames_of(file, _take), index)]


def _take(lines: Lines) -> list[str]:
    """Take the number of atoms, the comment, the atoms and up to three lattice vectors of old files."""
    head = lines.next()
    try:
        number = int(head)
    except ValueError:
        raise RefusedError(
            f"has '{head.strip()[:40]}' in line {lines.number}, where a frame begins with its number of atoms"
        ) from None
    frame = [head, lines.next(), *lines.rows(number)]
    while (ahead := lines.ahead(1)) and ahead[0].lstrip().startswith("VEC"):
        frame.append(lines.next())
    return frame


def _parsed(frame: list[str]) -> Atoms:
    number = int(frame[0])
    head, rows = frame[:2], frame[2 : 2 + number]
    states = None
    if (column := _species_column(frame[1])) is not None:
        species = [word_of(row, column) for row in rows]
        if any(word.capitalize() not in atomic_numbers for word in set(species)):
            known = {word: ion_of(word) for word in set(species)}
            if stranger := next((word for word, ion in known.items() if ion is None), None):
                raise RefusedError(f"has an atom of '{stranger[:20]}', which is no element; give chemical symbols")
            ions = [ion for word in species if (ion := known[word]) is not None]
            words = [row.split() for row in rows]
            for row, (element, _) in zip(words, ions, strict=True):
                row[column] = element
            rows = [" ".join(row) + "\n" for row in words]
            states = [state for _, state in ions]
    text = "".join([head[0], plain_numbers(head[1]), *map(plain_numbers, rows), *frame[2 + number :]])
    atoms: Atoms = next(read_xyz(io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"), 0))
    for name in {"Time", "Timestep"} & atoms.info.keys():  # as LAMMPS writes them
        atoms.info[name.lower()] = atoms.info[name]
    if states and None not in states and "oxidation_states" not in atoms.arrays:
        atoms.set_array("oxidation_states", np.array(states, dtype=np.float64))
    return atoms


def _species_column(comment: str) -> int | None:
    """Find the column of the elements; None where the file has atomic numbers instead."""
    match = _PROPERTIES.search(comment)
    if match is None:
        return 0
    parts = match[1].split(":")
    names, widths = parts[::3], parts[2::3]
    if "species" not in names or not all(width.isdecimal() for width in widths):
        return None
    return sum(map(int, widths[: names.index("species")]))
