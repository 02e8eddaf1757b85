"""Scalar fields as files."""

from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from amorph.export.cube import write_cube
from amorph.export.npz import write_npz
from amorph.export.suffixes import writer_for
from amorph.export.xsf import write_xsf
from amorph.fields import ScalarField

FIELD_WRITERS: Final = {".npz": write_npz, ".cube": write_cube, ".xsf": write_xsf}
"""Writer of each format by its suffix."""


def write_field(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field with the structure it was made from, in the format that the suffix names.

    Parameters
    ----------
    path
        Name of the file: ``.npz`` (native, loses nothing; its arrays are listed at
        :func:`~amorph.export.npz.write_npz`), ``.cube`` or ``.xsf`` (text with six digits, excluded points as 9999).
    field
        Field to write.
    atoms
        Structure that the field belongs to, in the same cell.

    Raises
    ------
    ValueError
        Unknown suffix; a structure in another cell.
    """
    writer = writer_for(path, FIELD_WRITERS, "field")
    if not np.allclose(field.cell, atoms.cell.array, rtol=0, atol=1e-9):
        raise ValueError(
            f"the cell of the {field.quantity}, {field.cell.tolist()} Å, is not the cell of the structure, "
            f"{atoms.cell.array.tolist()} Å; pass the structure it was made from"
        )
    writer(path, field, atoms)
