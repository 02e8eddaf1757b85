"""VESTA's own formats of scalar fields: the text ``.grd`` and the binary ``.pgrid``.

Both hold the cell as lengths and angles and no atoms: open the structure (``.cif``) in VESTA and import the field into
it. A left-handed cell is described by the opposite lattice vectors, as in the CIF.
"""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import cell_to_cellpar

from amorph.export.fields.order import is_left_handed, right_handed_cell, x_fastest, z_fastest
from amorph.export.fields.text import FILL, write_lines
from amorph.export.whole_files import replacing
from amorph.fields import ScalarField


def write_grd(path: str | Path, field: ScalarField, atoms: Atoms, *, fill: float = FILL) -> None:
    """Write a field as VESTA's general grid: text, z fastest, the first point of each axis again as its last.

    Parameters
    ----------
    path
        Name of the file.
    field
        Field to write; values keep their unit and six digits.
    atoms
        Structure that the field belongs to; the format has no place for it.
    fill
        Finite value written at points without a value (NaN), which the format cannot express.
    """
    a, b, c, *angles = cell_to_cellpar(right_handed_cell(field))
    header = [
        _title(field, fill),
        " ".join(f"{x:.9f}" for x in (a, b, c, *angles)),
        " ".join(str(n + 1) for n in field.grid),
    ]
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        write_lines(file, z_fastest(field.values, repeat=True, turned=is_left_handed(field)), fill=fill)


def write_pgrid(path: str | Path, field: ScalarField, atoms: Atoms, *, fill: float = FILL) -> None:
    """Write a field as VESTA's periodic grid: float32, x fastest, without the periodic end point.

    Parameters
    ----------
    path
        Name of the file.
    field
        Field to write; values keep their unit, and the seven digits of float32.
    atoms
        Structure that the field belongs to; the format has no place for it.
    fill
        Finite value written at points without a value (NaN).

    Raises
    ------
    ValueError
        More points than the format counts, or a value beyond float32.

    Notes
    -----
    Little-endian: the version 3 0 0 0, a title of 80 bytes, then as int32 the kind of grid (1: periodic), of record (0:
    values alone), the values in a record, the dimensions, the points along the three axes, their product; as float32 a,
    b, c [Å] and α, β, γ [°]; then the values.
    """
    if field.values.size >= 2**31:
        raise ValueError(
            f"{field.values.size} points do not fit {Path(path).name}: a .pgrid file counts to 2147483647; "
            "write .cube or .npz"
        )
    counts = [1, 0, 1, 3, *field.grid, field.values.size]
    title = _title(field, fill).encode("ascii", "replace")[:79].ljust(80, b"\0")
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(np.array([3, 0, 0, 0], "<i4").tobytes() + title + np.array(counts, "<i4").tobytes())
        file.write(cell_to_cellpar(right_handed_cell(field)).astype("<f4").tobytes())
        for plane in x_fastest(field.values, repeat=False, turned=is_left_handed(field)):
            with np.errstate(over="ignore"):
                values = np.where(np.isnan(plane), fill, plane).astype("<f4")
            if not np.isfinite(values).all():
                raise ValueError(
                    f"a value of the {field.quantity} is infinite or beyond 3.4e38 {field.unit}, the most that float32 "
                    "holds; write .npz"
                )
            file.write(values.tobytes())


def _title(field: ScalarField, fill: float) -> str:
    return " ".join(f"{field.quantity} [{field.unit}]; {fill:g} = no value; amorph".split())
