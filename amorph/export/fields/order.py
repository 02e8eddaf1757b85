"""The orders in which files run through a periodic grid.

Formats that know a cell by its lengths and angles, or that presuppose right-handed axes, cannot hold a left-handed
cell. The opposite lattice vectors span the same lattice: with them every axis runs backwards from the origin, and no
value and no atom moves in space.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.fields import ScalarField

_SLAB: Final = 8
"""Planes gathered at a time: whole cache lines of a field whose last axis is the fastest."""


def is_left_handed(field: ScalarField) -> bool:
    """Tell whether the lattice vectors are left-handed."""
    return bool(np.linalg.det(field.cell) < 0)


def right_handed_cell(field: ScalarField) -> NDArray[np.float64]:
    """Give the lattice vectors, or the opposite ones where they are left-handed."""
    return -field.cell if is_left_handed(field) else field.cell


def x_fastest(
    values: NDArray[np.floating[Any]], *, repeat: bool, turned: bool = False
) -> Iterator[NDArray[np.floating[Any]]]:
    """Run through a field along its first axis fastest: planes (ny, nx) at right angles to the third axis.

    Parameters
    ----------
    values
        (nx, ny, nz) values.
    repeat
        Give the first point of each axis again as its last.
    turned
        Run backwards from the origin along every axis, as in the opposite lattice vectors.
    """
    planes = _indices(values.shape[2], repeat=repeat, turned=turned)
    for first in range(0, len(planes), _SLAB):
        for plane in np.ascontiguousarray(values[:, :, planes[first : first + _SLAB]].T):
            yield _ends(plane, repeat=repeat, turned=turned)


def _indices(n: int, *, repeat: bool, turned: bool) -> NDArray[np.int64]:
    indices = np.arange(n + repeat)
    return (-indices if turned else indices) % n


def _ends(plane: NDArray[np.floating[Any]], *, repeat: bool, turned: bool) -> NDArray[np.floating[Any]]:
    if turned:
        plane = np.roll(plane[::-1, ::-1], 1, axis=(0, 1))
    return np.pad(plane, (0, 1), mode="wrap") if repeat else plane
