"""Scalar fields as files."""

import math
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from amorph.export.fields.chgcar import write_chgcar
from amorph.export.fields.cube import write_cube
from amorph.export.fields.npz import write_npz
from amorph.export.fields.vtk import write_vti, write_vts
from amorph.export.fields.xsf import write_xsf
from amorph.export.whole_files import check_cell, check_room, writer_for
from amorph.fields import Precision, ScalarField

FIELD_WRITERS: Final = {
    ".npz": write_npz,
    ".cube": write_cube,
    ".xsf": write_xsf,
    ".vasp": write_chgcar,
    "CHGCAR": write_chgcar,
    ".vti": write_vti,
    ".vts": write_vts,
}
"""Writer of each format by its suffix, or by the beginning of a name without one of these suffixes."""

_TEXT_BYTES: Final = 13 + 1 / 5
"""Bytes of a number in text, with its share of the line ends."""
_REPEATING: Final = (write_xsf, write_vti, write_vts)
"""Formats with the first point of each axis again as its last."""


def check_field_file(path: str | Path, grid: tuple[int, int, int], *, precision: Precision = "float64") -> None:
    """Refuse a file of a field that no format or no disk can hold, before the field is made."""
    writer = writer_for(path, FIELD_WRITERS, "field")
    if writer is write_npz:  # excluded points take next to nothing there: the size shows when the field is made
        return
    number = np.dtype(precision).itemsize
    of_format = {write_vti: number, write_vts: number + 12}  # with a position of three float32
    points = math.prod(n + 1 for n in grid) if writer in _REPEATING else math.prod(grid)
    check_room(path, math.ceil(points * of_format.get(writer, _TEXT_BYTES)), f"{' × '.join(map(str, grid))} points")


def write_field(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field with the structure it was made from, in the format that the name of the file chooses.

    Parameters
    ----------
    path
        Name of the file: ``.npz`` (native, loses nothing; its arrays are listed at
        :func:`~amorph.export.fields.npz.write_npz`); ``.cube``, ``.xsf``, ``.vasp`` or a name that begins with CHGCAR
        (text with six digits, excluded points as 9999); ``.vti`` for cells with right angles and ``.vts`` for any
        (nothing lost).
    field
        Field to write.
    atoms
        Structure that the field belongs to, in the same cell.

    Raises
    ------
    ValueError
        Unknown suffix; a structure in another cell; a cell or a number of points that the format or the disk cannot
        hold.
    """
    writer = writer_for(path, FIELD_WRITERS, "field")
    check_cell(field.quantity, field.cell, atoms)
    check_field_file(path, field.grid, precision="float32" if field.values.dtype == np.float32 else "float64")
    writer(path, field, atoms)
