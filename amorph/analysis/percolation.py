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
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.fields import ScalarField
from amorph.parameters import checked

Side = Literal["below", "above"]

STEPS: Final = np.array([step for step in product((-1, 0, 1), repeat=3) if any(step)])
"""(26, 3) steps from a grid point to its neighbors."""
_SAMPLE: Final = 100_000
"""Values that a bracket around a threshold is chosen from."""
_HALVINGS: Final = 6
"""How often that bracket is halved."""


@dataclass(frozen=True, eq=False)
class Region:
    """One connected region of a field, its periodic images counted as one."""

    number: int
    """Its number in the labels; 1 is the largest."""
    points: int
    """Grid points in one cell."""
    volume: float
    """Volume in one cell [Å³]."""
    dimension: int
    """Independent directions in which it runs through the crystal: rank of its winding lattice."""
    windings: NDArray[np.int64]
    """(dimension, 3) basis of its winding lattice in lattice vectors, in Hermite normal form."""
    spans: tuple[bool, bool, bool]
    """Whether it meets an image of itself that is shifted along each axis, alone or together with others."""
    extreme: float
    """Its lowest value, or the highest on the side above, in the field's unit."""
    extreme_position: NDArray[np.float64]
    """(3,) grid point of that value, inside the cell [Å]."""


@dataclass(frozen=True, eq=False)
class Percolation:
    """The connected regions of a field at a threshold, from the largest to the smallest."""

    labels: NDArray[np.int32]
    """(nx, ny, nz) number of the region at every point, 0 outside all of them."""
    points: NDArray[np.int64]
    """(n,) grid points of each region in one cell; regions of as many points in the order of their first points."""
    dimensions: NDArray[np.int64]
    """(n,) rank of the winding lattice of each region."""
    windings: NDArray[np.int64]
    """(n, 3, 3) its basis in lattice vectors: the first `dimension` rows, in Hermite normal form; the rest is 0."""
    extremes: NDArray[np.float64]
    """(n,) lowest value of each region, or the highest on the side above [`unit`]."""
    extreme_indices: NDArray[np.int64]
    """(n, 3) grid point of that value."""
    threshold: float
    """Points of this value are inside [`unit`]."""
    side: Side
    """Which side of the threshold is inside."""
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    quantity: str
    """What the field's values are."""
    unit: str
    """Unit of the field."""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def volumes(self) -> NDArray[np.float64]:
        """(n,) volume of each region in one cell [Å³]."""
        return self.points * (abs(np.linalg.det(self.cell)) / self.labels.size)

    @property
    def dimension(self) -> int:
        """The highest dimension of any region; dimensions of different regions do not add up."""
        return int(self.dimensions.max(initial=0))

    @property
    def fraction_of_cell(self) -> float:
        """Share of the cell inside regions."""
        return float(self.points.sum() / self.labels.size)

    @property
    def fractions_by_dimension(self) -> tuple[float, float, float, float]:
        """Shares of the cell inside regions of dimension 0, 1, 2 and 3."""
        counts = np.bincount(self.dimensions, self.points, 4) / self.labels.size
        none, one, two, three = counts.tolist()
        return none, one, two, three

    @property
    def percolating_fraction_of_cell(self) -> float:
        """Share of the cell inside regions that percolate."""
        return sum(self.fractions_by_dimension[1:])

    @property
    def largest_share(self) -> float:
        """Share of all inside points that the largest region has; 0 where there is none."""
        return float(self.points[0] / self.points.sum()) if len(self) else 0.0

    def region(self, number: int) -> Region:
        """Give one region by its number in the labels, from 1.

        Raises
        ------
        ValueError
            There is no region of this number.
        """
        if not 1 <= number <= len(self):
            raise ValueError(f"there is no region {number}; they are numbered from 1 to {len(self)}")
        k = number - 1
        dimension = int(self.dimensions[k])
        along = self.windings[k].any(axis=0).tolist()
        return Region(
            number,
            int(self.points[k]),
            float(self.volumes[k]),
            dimension,
            self.windings[k, :dimension],
            (along[0], along[1], along[2]),
            float(self.extremes[k]),
            _position(self.extreme_indices[k], self.labels.shape, self.cell),
        )

    def table(self) -> list[dict[str, Any]]:
        """Give one row for every region that percolates, or for the largest where none does."""
        shown = np.flatnonzero(self.dimensions) + 1 if self.dimension else np.arange(1, min(len(self), 1) + 1)
        rows = []
        for number in shown.tolist():
            region = self.region(number)
            rows.append(
                {
                    "region": number,
                    "dimension": region.dimension,
                    "windings": winding_text(region.windings),
                    "volume_A3": region.volume,
                    "fraction_of_cell": region.points / self.labels.size,
                    f"extreme_{self.unit}": region.extreme,
                    "at_x_y_z_A": region.extreme_position.round(2),
                }
            )
        return rows


@dataclass(frozen=True, eq=False)
class Crossing:
    """How a region first reaches a dimension as the threshold is moved."""

    dimension: int
    """The dimension that is reached."""
    threshold: float
    """The exact grid value at which it is reached [unit of the field]."""
    barrier: float
    """Distance from the extreme of the whole field to the threshold, never negative [unit of the field]."""
    bottleneck_index: tuple[int, int, int]
    """The grid point that closes the winding: its value is the threshold."""
    bottleneck_position: NDArray[np.float64]
    """(3,) where it is, inside the cell [Å]."""
    windings: NDArray[np.int64]
    """(m, 3) winding lattice at the threshold of the region that holds the bottleneck, in Hermite normal form."""


@dataclass(frozen=True, eq=False)
class PercolationThresholds:
    """At which values of a field some region first reaches one, two and three dimensions."""

    crossings: tuple[Crossing | None, Crossing | None, Crossing | None]
    """For dimensions 1, 2 and 3; None where no region ever reaches it."""
    extreme: float | None
    """Lowest value of the field, or the highest on the side above [`unit`]; None where no value is finite."""
    extreme_index: tuple[int, int, int] | None
    """Its grid point."""
    side: Side
    """Which side of the thresholds is inside."""
    grid: tuple[int, int, int]
    """Number of points along each lattice vector."""
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    quantity: str
    """What the field's values are."""
    unit: str
    """Unit of the field."""

    @property
    def thresholds(self) -> tuple[float | None, float | None, float | None]:
        """Values at which dimension 1, 2 and 3 are reached [`unit`]; None where never."""
        one, two, three = (None if crossing is None else crossing.threshold for crossing in self.crossings)
        return one, two, three

    @property
    def barriers(self) -> tuple[float | None, float | None, float | None]:
        """Distances of the thresholds from the extreme [`unit`]; None where never."""
        one, two, three = (None if crossing is None else crossing.barrier for crossing in self.crossings)
        return one, two, three

    @cached_property
    def extreme_position(self) -> NDArray[np.float64] | None:
        """(3,) where the extreme is, inside the cell [Å]."""
        return None if self.extreme_index is None else _position(self.extreme_index, self.grid, self.cell)

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each dimension."""
        rows: list[dict[str, Any]] = []
        for dimension, crossing in enumerate(self.crossings, start=1):
            row: dict[str, Any] = {"dimension": f"{dimension}D"}
            if crossing is None:
                rows.append(row | {"windings": "never reached"})
                continue
            row[f"threshold_{self.unit}"] = crossing.threshold
            row[f"barrier_{self.unit}"] = crossing.barrier
            row["windings"] = winding_text(crossing.windings)
            row["bottleneck_x_y_z_A"] = crossing.bottleneck_position.round(2)
            rows.append(row)
        keys = dict.fromkeys(key for row in sorted(rows, key=len, reverse=True) for key in row)
        return [{key: row.get(key) for key in keys} for row in rows]


@checked
def percolation(field: ScalarField, *, threshold: float, side: Side = "below") -> Percolation:
    r"""Find the connected regions at or below a threshold, and the directions in which each runs through the crystal.

    Parameters
    ----------
    field
        Periodic field on any cell. Points that are not finite are never inside.
    threshold
        Value that decides, in the field's unit; a point of exactly this value is inside.
    side
        "below": points of the threshold or less are inside; "above": points of the threshold or more.

    Returns
    -------
    Percolation
        Every region with its size, dimension, winding lattice and extreme value, and the label of every point.

    Raises
    ------
    ValueError
        A grid of more than 2³¹ − 1 points.

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
    from amorph.analysis import _percolation_kernels as kernels

    _refuse_large(field)
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
    different regions are never added up. The barrier is :math:`E_{nD} - \min E` over the whole cell, so it counts a
    pocket that no path reaches, too. Neighbors are as in :func:`percolation`.

    Examples
    --------
    Two walls with holes at different heights, one across x and one across y; z is open:

    >>> values = np.zeros((4, 4, 4))
    >>> values[1], values[:, 1] = 2.0, 3.0
    >>> made = percolation_thresholds(ScalarField(values, np.eye(3) * 4.0, "potential", "eV"))
    >>> made.thresholds, made.crossings[1].windings.tolist()
    ((0.0, 2.0, 3.0), [[1, 0, 0], [0, 0, 1]])
    """
    from amorph.analysis._percolation_kernels import sweep

    sign = _sign(side)
    highest = percolation(field, threshold=sign * np.finfo(np.float64).max, side=side).dimension
    values, order = points_in_order(field, side, lambda made: made.dimension == highest)
    closed, windings, _ = sweep(values, order, field.grid, STEPS, highest, -1, -1)

    def crossing(rank: int) -> Crossing | None:
        if closed[rank] < 0:
            return None
        value = values[closed[rank]]
        index = _unravel(int(closed[rank]), field.grid)
        basis = windings[rank]
        return Crossing(
            rank + 1,
            float(sign * value) + 0.0,  # no −0.0
            float(value - values[order[0]]),
            index,
            _position(index, field.grid, field.cell),
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


def winding_text(windings: NDArray[np.int64]) -> str:
    """Write winding vectors as a table shows them.

    >>> winding_text(np.array([[1, 1, 0], [0, 2, 0]]))
    '(1 1 0) (0 2 0)'
    """
    return " ".join(f"({x} {y} {z})" for x, y, z in windings.tolist()) or "none"


def points_in_order(
    field: ScalarField, side: Side, reached: Callable[[Percolation], bool]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Prepare a sweep: the values, flat, as if the lowest were wanted, and the finite points from the lowest up.

    Points above some value that suffices for the regions to fulfil `reached` are left out; all are there if none does.
    """
    _refuse_large(field)
    # values and order, and for each point its parent, its offset and its slot: 8 + 2·8 + 4·5 bytes
    needed, available = 44 * field.values.size, grids.available_memory()
    if needed > available:
        raise ValueError(
            f"the sweep over a grid of {field.values.size} points needs {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are available; give a field of fewer points"
        )
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
    enough = sample[high] if high < len(sample) else np.inf
    chosen = np.flatnonzero(np.isfinite(values) & (values <= enough))
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


def _position(index: Any, grid: tuple[int, ...], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    position: NDArray[np.float64] = np.asarray(index) / np.array(grid) @ cell
    return position
