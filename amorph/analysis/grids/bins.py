"""Atoms sorted into bins of a periodic cell, their images included, for maps on a grid."""

import math
from typing import Final, NamedTuple

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

_BIN: Final = 3.0
"""Width of the bins that atoms are sorted into [Å]; only speed depends on it."""


class Bins(NamedTuple):
    """Atoms sorted into bins of the cell, for a walk over periodic images."""

    cell: NDArray[np.float64]
    """(3, 3) the shortest lattice vectors that span the lattice [Å]: in a skewed cell the walk would not end."""
    inverse: NDArray[np.float64]
    """(3, 3) inverse of these [1/Å]."""
    heights: NDArray[np.float64]
    """(3,) distances between opposite faces of their cell [Å]."""
    shape: NDArray[np.int64]
    """(3,) bins along each of them."""
    starts: NDArray[np.int64]
    """First atom of each bin, and the end."""
    positions: NDArray[np.float64]
    """(3, n) positions inside the cell, in the order of the bins [Å]; further rows hold what goes with each atom."""


def make_bins(cell: NDArray[np.float64], positions: NDArray[np.float64], *carried: NDArray[np.float64]) -> Bins:
    """Sort atoms into bins about 3 Å wide, in the cell of the shortest lattice vectors.

    Each of `carried`, (n,) radii or charges, becomes a row below the coordinates.
    """
    reduced, _ = minkowski_reduce(cell)
    return sort_into_bins(np.array(reduced, dtype=np.float64, order="C"), positions, _BIN, *carried)


def sort_into_bins(
    cell: NDArray[np.float64], positions: NDArray[np.float64], width: float, *carried: NDArray[np.float64]
) -> Bins:
    """Sort atoms into bins about as wide as asked for [Å], in a cell that is reduced."""
    inverse, heights = _inverse_and_heights(cell)
    fractional, inside = wrap(cell, positions)
    shape = np.clip(heights / width, 1, 512).astype(np.int64)
    index = np.minimum((fractional * shape).astype(np.int64), shape - 1)
    flat = np.ravel_multi_index(tuple(index.T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    starts = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
    np.cumsum(np.bincount(flat, minlength=starts.size - 1), out=starts[1:])
    return Bins(cell, inverse, heights, shape, starts, np.vstack([inside.T, *carried])[:, order].copy())


def wrap(cell: NDArray[np.float64], positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move positions into a cell by whole lattice vectors; returns fractional and Cartesian coordinates."""
    fractional = positions @ np.linalg.inv(cell)
    shifts = np.floor(fractional)
    return np.ascontiguousarray(fractional - shifts), np.ascontiguousarray(positions - shifts @ cell)


def _inverse_and_heights(cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    return inverse, 1.0 / np.linalg.norm(inverse, axis=0)


def smallest_square_reaching(distance: float) -> float:
    """Find the smallest float64 whose root is at least a distance: √x < distance exactly where x is below it.

    >>> smallest_square_reaching(1.5)
    2.25
    """
    square = distance * distance
    while square > 0.0 and math.sqrt(math.nextafter(square, 0.0)) >= distance:
        square = math.nextafter(square, 0.0)
    while math.sqrt(square) < distance:
        square = math.nextafter(square, math.inf)
    return square


def largest_square_within(distance: float) -> float:
    """Find the largest float64 whose root is at most a distance: √x <= distance exactly where x is at most it."""
    return math.nextafter(smallest_square_reaching(math.nextafter(distance, math.inf)), 0.0)
