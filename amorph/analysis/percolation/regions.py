"""Connected regions of a periodic field, and whether they run through the crystal.

Two grid points are neighbors where their indices differ by at most one along each axis: a point has 26 neighbors. The
walls of a site-energy map are steep, and a chain of steps along the axes alone zigzags up and down them: with six
neighbors the barriers of known crystals come out 0.02 to 0.05 eV too high on a grid of 0.1 Å, three times as much on
0.2 Å, and a cubic crystal loses the equality of its three; with 26 they are within 0.03 eV on 0.2 Å already. In return
a wall of excluded points leaks where it is one point thick and runs diagonally (docs/percolation.md has the figures).

A region percolates where it meets its own periodic image, not where it touches two opposite faces. Its winding lattice
holds every lattice vector from the region to an image of itself within the region, and the rank of that lattice is the
dimension of the region: a channel along [110] winds by (1, 1, 0) and has one dimension.
"""

from collections.abc import Callable
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.percolation.result import Crossing, Percolation, PercolationThresholds, Side, position_of
from amorph.fields import ScalarField
from amorph.machine.memory import refuse_beyond_memory
from amorph.parameters import checked

STEPS: Final = np.array([step for step in product((-1, 0, 1), repeat=3) if any(step)])
"""(26, 3) steps from a grid point to its neighbors."""
_SAMPLE: Final = 100_000
"""Values that a bracket around a threshold is chosen from."""
_HALVINGS: Final = 6
"""How often that bracket is halved."""
_TIE: Final = 1e-9
"""Share of a barrier by which rounding may part values that symmetry makes equal."""


@checked
def percolation(field: ScalarField, *, threshold: float, side: Side = "below") -> Percolation:
    r"""Find the connected regions at or below a threshold, and the directions in which each runs through the crystal.

    Parameters
    ----------
    field
        Periodic field on any cell. Points that are not finite are never inside.
    threshold
        Value that decides, in the field's unit; a point of exactly this value is inside.

    Returns
    -------
    Percolation
        Every region with its size, dimension, winding lattice and extreme value, and the label of every point.

    Raises
    ------
    ValueError
        A grid of more than 2³¹ − 1 points, or larger than memory.

    Notes
    -----
    A point has 26 neighbors, those whose indices differ by at most one along each axis, across the faces of the cell
    too. The lattice vectors from a point to its images within the region, :math:`\mathbf{w} \in \mathbb{Z}^3`, form a
    lattice, and its rank is the region's dimension. A region of rank 1 may wind only every second cell: (2, 0, 0).

    Examples
    --------
    A slab fills planes and runs through the crystal in two directions:

    >>> values = np.ones((4, 4, 4))
    >>> values[1] = 0.0
    >>> slab = percolation(ScalarField(values, np.eye(3) * 4.0, "potential", "eV"), threshold=0.5)
    >>> slab.region(1).dimension, round(slab.region(1).volume, 9), slab.region(1).spans
    (2, 16.0, (False, True, True))
    """
    from amorph.analysis.percolation import _regions as kernels

    _refuse_large(field)
    # labels, and the field itself where it is not as the kernels take it
    as_it_is = field.values.dtype == np.float64 and field.values.flags.c_contiguous
    asked = f"labelling a grid of {field.values.size} points"
    refuse_beyond_memory((4 if as_it_is else 12) * field.values.size, asked, "give a field of fewer points")
    values = np.ascontiguousarray(field.values, dtype=np.float64)
    sign = _sign(side)
    firsts, starts, stops, lows, parts, n_parts = kernels.find_runs(values, sign, sign * threshold)
    roots, bases = kernels.join_faces(values.shape, firsts, starts, stops, parts, n_parts)
    found, regions = np.unique(roots, return_inverse=True)
    points, extremes, where = kernels.measure_regions(
        values, sign, firsts, starts, stops, lows, parts, regions, len(found)
    )
    order = np.argsort(-points, kind="stable")
    numbers = np.empty(len(found), np.int32)
    numbers[order] = np.arange(1, len(found) + 1)
    labels = np.zeros(values.shape, np.int32)
    kernels.paint(labels, firsts, starts, stops, parts, numbers[regions])
    # rows in echelon form that are not zero come first
    windings = bases[found[order]]
    empty = ~windings.any(axis=2)
    windings = np.take_along_axis(windings, np.argsort(empty, axis=1, kind="stable")[:, :, None], axis=1)
    return Percolation(
        labels,
        points[order],
        3 - empty.sum(axis=1),
        windings,
        sign * extremes[order] + 0.0,  # no −0.0
        np.stack(np.unravel_index(where[order], values.shape), axis=1),
        threshold,
        side,
        field.cell,
        field.quantity,
        field.unit,
    )


@checked
def percolation_thresholds(field: ScalarField, *, side: Side = "below") -> PercolationThresholds:
    r"""Find the values at which some region of a field first runs through the crystal in one, two and three directions.

    Parameters
    ----------
    field
        Periodic field on any cell. Points that are not finite are never inside.
    side
        "below": inside are points of at most the threshold, which rises, and barriers count from the lowest value;
        "above": points of at least the threshold, which falls, and barriers count from the highest value.

    Returns
    -------
    PercolationThresholds
        For each dimension the exact grid value, the barrier, the point that closed the winding, and the winding lattice
        of its region.

    Raises
    ------
    ValueError
        A grid of more than 2³¹ − 1 points, or larger than memory.

    Notes
    -----
    :math:`E_{nD}` is the lowest value at which one connected region has a winding lattice of rank n or more; ranks of
    different regions are never added up. The barrier is :math:`E_{nD} - \min E` over the whole cell, the usual
    convention, so it counts a pocket that no path reaches, too; the region barrier counts from the lowest value of the
    region itself. Neighbors are as in :func:`percolation`. Values that symmetry makes equal differ by rounding, so that
    the threshold is that of one of them; the windings are those that all of them open together.

    Examples
    --------
    Two walls with holes at different heights, one across x and one across y; z is open:

    >>> values = np.zeros((4, 4, 4))
    >>> values[1], values[:, 1] = 2.0, 3.0
    >>> made = percolation_thresholds(ScalarField(values, np.eye(3) * 4.0, "potential", "eV"))
    >>> made.thresholds, made.crossings[1].windings.tolist()
    ((0.0, 2.0, 3.0), [[1, 0, 0], [0, 0, 1]])
    """
    from amorph.analysis.percolation._regions import sweep

    sign = _sign(side)
    highest = percolation(field, threshold=sign * np.finfo(np.float64).max, side=side).dimension
    values, order = points_in_order(field, side, lambda made: made.dimension == highest)
    closed, windings, lows, _ = sweep(values, order, field.grid, STEPS, _TIE, highest, -1, -1)

    def crossing(rank: int) -> Crossing | None:
        if closed[rank] < 0:
            return None
        value = values[closed[rank]]
        index = _unravel(int(closed[rank]), field.grid)
        basis, low = windings[rank], int(lows[rank])
        return Crossing(
            rank + 1,
            float(sign * value) + 0.0,  # no −0.0
            float(value - values[order[0]]),
            float(value - values[low]),
            position_of(_unravel(low, field.grid), field.grid, field.cell),
            index,
            position_of(index, field.grid, field.cell),
            basis[basis.any(axis=1)],
        )

    return PercolationThresholds(
        (crossing(0), crossing(1), crossing(2)),
        float(sign * values[order[0]]) + 0.0 if len(order) else None,
        _unravel(int(order[0]), field.grid) if len(order) else None,
        side,
        field.grid,
        field.cell,
        field.quantity,
        field.unit,
    )


def points_in_order(
    field: ScalarField, side: Side, reached: Callable[[Percolation], bool]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Prepare a sweep: the values, flat, as if the lowest were wanted, and the finite points from the lowest up.

    Points above some value that suffices for the regions to fulfil `reached` are left out; all are there if none does.
    """
    _refuse_large(field)
    # values and order, and for each point its parent, offset and slot: 8 + 2·8 + 4·5 bytes; labelling a field of
    # lower precision takes a copy of it
    needed = (44 if field.values.dtype == np.float64 else 52) * field.values.size
    asked = f"the sweep over a grid of {field.values.size} points"
    refuse_beyond_memory(needed, asked, "give a field of fewer points")
    sign = _sign(side)
    values = sign * np.asarray(field.values, dtype=np.float64).ravel()
    sample = values[:: values.size // _SAMPLE + 1]
    sample = np.sort(sample[np.isfinite(sample)])
    # labelling all points is quicker than sorting and sweeping a few hundredths of them
    low, high = 0, len(sample)
    while high - low > max(1, len(sample) >> _HALVINGS):
        middle = (low + high) // 2
        if reached(percolation(field, threshold=float(sign * sample[middle]), side=side)):
            high = middle
        else:
            low = middle
    finite = np.isfinite(values)
    enough = np.inf
    if high < len(sample):
        # the sweep looks for ties above the threshold, which is at most this value
        enough = sample[high] + 2.0 * _TIE * (sample[high] - np.min(values, where=finite, initial=np.inf))
    chosen = np.flatnonzero(finite & (values <= enough))
    return values, chosen[np.argsort(values[chosen], kind="stable")]


def _refuse_large(field: ScalarField) -> None:
    if field.values.size > np.iinfo(np.int32).max:
        raise ValueError(
            f"a grid of {field.values.size} points is more than the 2147483647 that can be numbered; "
            "give a field of fewer points"
        )


def _sign(side: Side) -> float:
    return 1.0 if side == "below" else -1.0


def _unravel(place: int, grid: tuple[int, int, int]) -> tuple[int, int, int]:
    i, j, k = (int(index) for index in np.unravel_index(place, grid))
    return i, j, k
