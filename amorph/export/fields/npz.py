"""The native file of scalar fields: a NumPy archive."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.export.whole_files import check_room, replacing
from amorph.fields import ScalarField


def write_npz(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field with the structure it was made from as ``.npz``.

    Nothing is lost: excluded points stay NaN, and numbers keep their precision. The archive is compressed where that
    makes it less than half as large, as in maps that are mostly excluded. ``numpy.load(path)`` reads it, without
    pickles, as these arrays:

    ==================== ========= ====================================================================
    ``values``           nx, ny,   the field in its unit; point (i, j, k) at fractional (i/nx, j/ny,
                         nz        k/nz); periodic, the end point left out; NaN where excluded
    ``cell``             3, 3      lattice vectors as rows [Å]
    ``quantity``         text      what the values are
    ``unit``             text      their unit
    ``kind``             text      what the values are, one of :data:`amorph.fields.FieldKind`
    ``ion``              text      the mobile ion they belong to; empty where there is none
    ``parameters``       text      how the field was made, as JSON
    ``origin``           text      what was looked up and assumed for it, as JSON: parameters with their sources
    ``numbers``          n         atomic numbers
    ``positions``        n, 3      Cartesian positions [Å]
    ``pbc``              3         periodicity along the lattice vectors
    ``oxidation_states`` n         formal charges [e]; only where the structure has them
    ==================== ========= ====================================================================
    """
    arrays = {
        "values": field.values,
        "cell": field.cell,
        "quantity": np.array(field.quantity),
        "unit": np.array(field.unit),
        "kind": np.array(field.kind),
        "ion": np.array(field.ion or ""),
        "parameters": np.array(json.dumps(field.parameters, ensure_ascii=False)),
        "origin": np.array(json.dumps(field.origin, ensure_ascii=False)),
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "pbc": atoms.pbc,
    }
    if "oxidation_states" in atoms.arrays:
        arrays["oxidation_states"] = atoms.arrays["oxidation_states"]
    compression = zipfile.ZIP_DEFLATED if _shrinks(field.values) else zipfile.ZIP_STORED
    if compression == zipfile.ZIP_STORED:
        check_room(path, field.values.nbytes, f"{' × '.join(map(str, field.grid))} points")
    # deflate's lowest level is twice as quick as its usual one, and no larger on maps that are mostly excluded
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", compression, compresslevel=1) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def _shrinks(values: NDArray[np.floating[Any]]) -> bool:
    """Try on the middle plane whether compression is worth its time: on a map without excluded points it is not."""
    sample = np.ascontiguousarray(values[len(values) // 2]).tobytes()
    return len(zlib.compress(sample, 1)) < len(sample) / 2
