"""VTK files of scalar fields, for ParaView: ``.vti`` for cells with right angles, ``.vts`` for any cell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.export.fields.order import is_left_handed, right_handed_cell, x_fastest
from amorph.export.vtk_xml import Appended, write_vtk_xml
from amorph.fields import ScalarField

_SQUARE: Final = 1e-6
"""Cosine of an angle up to which it counts as right: 2e-5 Å in a cell of 20 Å."""


def write_vti(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field as a VTK image, the first point of each axis again as its last; excluded points stay NaN.

    A cell with right angles that is turned in space goes into the direction matrix. The structure stands in the field
    data, which viewers show as a table. Lattice vectors that are not at right angles are refused: not every filter of
    ParaView heeds a skewed direction matrix.
    """
    cell = right_handed_cell(field)
    lengths = np.linalg.norm(cell, axis=1)
    directions = cell / lengths[:, None]
    if np.abs(directions @ directions.T - np.eye(3)).max() > _SQUARE:
        raise ValueError(
            f"the cell of the {field.quantity} is skewed, and {Path(path).name} holds right angles only; write .vts"
        )
    spacing = lengths / field.grid
    whole = (
        f'WholeExtent="{_extent(field)}" Origin="0 0 0" Spacing="{_numbers(spacing)}" '
        f'Direction="{_numbers(directions.T)}"'  # the axes are the columns
    )
    write_vtk_xml(path, "ImageData", whole, f'Extent="{_extent(field)}"', [_values(field)], _facts(field, atoms))


def write_vts(path: str | Path, field: ScalarField, atoms: Atoms) -> None:
    """Write a field as a VTK structured grid, which gives the position of every point; the rest as :func:`write_vti`.

    Positions are float32 [Å].
    """
    extent = _extent(field)
    n_points = int(np.prod(np.array(field.grid) + 1))
    points = Appended("Points", "Points", "<f4", 3, n_points, _positions(field))
    write_vtk_xml(
        path,
        "StructuredGrid",
        f'WholeExtent="{extent}"',
        f'Extent="{extent}"',
        [_values(field), points],
        _facts(field, atoms),
    )


def _values(field: ScalarField) -> Appended:
    kind = "<f4" if field.values.dtype == np.float32 else "<f8"
    n_points = int(np.prod(np.array(field.grid) + 1))
    name = f"{field.quantity} [{field.unit}]" if field.unit else field.quantity
    return Appended(
        "PointData", name, kind, 1, n_points, x_fastest(field.values, repeat=True, turned=is_left_handed(field))
    )


def _positions(field: ScalarField) -> Iterator[NDArray[np.float64]]:
    nx, ny, nz = field.grid
    a, b, c = right_handed_cell(field)
    plane = (np.arange(ny + 1) / ny)[:, None, None] * b + (np.arange(nx + 1) / nx)[:, None] * a
    for k in range(nz + 1):
        yield plane + k / nz * c


def _facts(field: ScalarField, atoms: Atoms) -> dict[str, NDArray[Any] | str]:
    return {
        "lattice_vectors": field.cell,
        "atomic_numbers": atoms.numbers,
        "atomic_positions": atoms.positions,
        "parameters": json.dumps(field.parameters),
        "origin": json.dumps(field.origin),
    }


def _extent(field: ScalarField) -> str:
    return " ".join(f"0 {n}" for n in field.grid)


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(map(repr, values.ravel().tolist()))
