"""Gaussian CUBE files of scalar fields."""

from pathlib import Path

from ase import Atoms
from ase.units import Bohr

from amorph.export.fields.text import FILL, write_lines
from amorph.export.whole_files import replacing
from amorph.fields import ScalarField


def write_cube(path: str | Path, field: ScalarField, atoms: Atoms, *, fill: float = FILL) -> None:
    """Write a field and its structure as a CUBE file.

    The format has lengths in bohr, runs through z fastest, and leaves the periodic end point out. Values keep their
    unit and six digits; at points without one (NaN), which the format cannot express, stands the finite `fill`.
    """
    header = [
        " ".join(f"{field.quantity} [{field.unit}]".split()),
        f"written by amorph; lengths in bohr, z fastest; {fill:g} stands for no value (excluded points)",
        f"{len(atoms):5d} {0.0:14.9f} {0.0:14.9f} {0.0:14.9f}",
    ]
    for n, vector in zip(field.grid, field.cell / Bohr, strict=True):
        header.append(f"{n:5d} " + " ".join(f"{x:14.9f}" for x in vector / n))
    for number, position in zip(atoms.numbers, atoms.positions / Bohr, strict=True):
        header.append(f"{number:5d} {number:14.9f} " + " ".join(f"{x:14.9f}" for x in position))
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        write_lines(file, field.values, fill=fill)
