"""VASP's CHGCAR of scalar fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.export.fields.order import is_left_handed, x_fastest
from amorph.export.fields.text import FILL, write_lines
from amorph.export.structures import bare, right_handed
from amorph.export.whole_files import replacing
from amorph.fields import ScalarField
from amorph.structure import poscar_order

_PER_LINE = 5


def write_chgcar(path: str | Path, field: ScalarField, atoms: Atoms, *, fill: float = FILL) -> None:
    """Write a field and its structure as VASP writes a charge density.

    The format has lengths in Å, runs through x fastest, leaves the periodic end point out, and holds the values times
    the volume of the cell in Å³: programs that read it divide. The atoms are grouped by element, and a left-handed cell
    is described by the opposite lattice vectors, as in the POSCAR. Values have six digits; the finite `fill` stands at
    points without one (NaN), once the volume is divided out again.
    """
    turned = right_handed(bare(atoms[poscar_order(atoms)]))
    symbols = turned.get_chemical_symbols()
    elements = list(dict.fromkeys(symbols))
    header = [
        " ".join(f"{field.quantity} [{field.unit}] times the volume of the cell; {fill:g} = no value; amorph".split()),
        "1.0",
        *(" ".join(f"{x:21.16f}" for x in vector) for vector in turned.cell.array),
        " ".join(elements),
        " ".join(str(symbols.count(element)) for element in elements),
        "Direct",
        *(" ".join(f"{x:20.16f}" for x in place) for place in turned.get_scaled_positions(wrap=False)),
        "",
        " ".join(map(str, field.grid)),
    ]
    volume = field.cell_volume
    planes = x_fastest(field.values, repeat=False, turned=is_left_handed(field))
    scaled = (np.where(np.isnan(plane), fill, plane) * volume for plane in planes)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        write_lines(file, _whole_lines(scaled), _PER_LINE)


def _whole_lines(planes: Iterator[NDArray[np.floating[Any]]]) -> Iterator[NDArray[np.floating[Any]]]:
    """Cut the stream of values where lines end, not where planes do: readers may count lines."""
    left = np.empty(0)
    for plane in planes:
        stream = np.concatenate([left, plane.ravel()])
        whole = len(stream) - len(stream) % _PER_LINE
        left = stream[whole:]
        if whole:
            yield stream[None, :whole]
    if len(left):
        yield left[None]
