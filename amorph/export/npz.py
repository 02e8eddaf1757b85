"""The native file of scalar fields: a NumPy archive."""

import json
from pathlib import Path

import numpy as np
from ase import Atoms

from amorph.export.replacing import replacing
from amorph.fields import ScalarField


def write_npz(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field with the structure it was made from as ``.npz``.

    Nothing is lost: excluded points stay NaN, and numbers keep their precision. ``numpy.load(path)`` reads it, without
    pickles, as these arrays:

    ==================== ========= ====================================================================
    ``values``           nx, ny,   the field in its unit; point (i, j, k) at fractional (i/nx, j/ny,
                         nz        k/nz); periodic, the end point left out; NaN where excluded
    ``cell``             3, 3      lattice vectors as rows [Å]
    ``quantity``         text      what the values are
    ``unit``             text      their unit
    ``parameters``       text      how the field was made, as JSON
    ``numbers``          n         atomic numbers
    ``positions``        n, 3      Cartesian positions [Å]
    ``pbc``              3         periodicity along the lattice vectors
    ``oxidation_states`` n         formal charges [e]; only where the structure has them
    ==================== ========= ====================================================================

    Parameters
    ----------
    path
        Name of the file.
    field
        Field to write.
    atoms
        Structure that the field belongs to, in the same cell.
    """
    arrays = {
        "values": field.values,
        "cell": field.cell,
        "quantity": np.array(field.quantity),
        "unit": np.array(field.unit),
        "parameters": np.array(json.dumps(field.parameters, ensure_ascii=False)),
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "pbc": atoms.pbc,
    }
    if "oxidation_states" in atoms.arrays:
        arrays["oxidation_states"] = atoms.arrays["oxidation_states"]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
