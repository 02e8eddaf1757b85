"""Results of percolation: regions of a field at a threshold, and the thresholds at which regions run through."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from amorph.figures import Result, keyed, plain
from amorph.parameters import Meaning

Side = Annotated[
    Literal["below", "above"],
    Meaning(
        'Which points are inside: "below", those of the threshold or less; "above", those of the threshold or more. '
        "What is not finite never is."
    ),
]


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
class Percolation(Result):
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
            position_of(self.extreme_indices[k], self.labels.shape, self.cell),
        )

    def figures(self) -> dict[str, Any]:
        """Give the shares of the cell, and the regions that :meth:`table` lists."""
        return {
            "threshold": self.threshold,
            "n_regions": len(self),
            "dimension": self.dimension,
            "fraction_of_cell": self.fraction_of_cell,
            "fractions_by_dimension": list(self.fractions_by_dimension),
            "percolating_fraction_of_cell": self.percolating_fraction_of_cell,
            "largest_share": self.largest_share,
            "regions": plain(self.table()),
        }

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
                    keyed("extreme", self.unit): region.extreme,
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
    region_barrier: float
    """Distance from the extreme of the region that holds the bottleneck to the threshold: what an ion within it has to
    climb. Less than `barrier` where the field's extreme lies outside of this region [unit of the field]."""
    region_extreme_position: NDArray[np.float64]
    """(3,) where the region's extreme is, inside the cell [Å]."""
    bottleneck_index: tuple[int, int, int]
    """The grid point that closes the winding: its value is the threshold."""
    bottleneck_position: NDArray[np.float64]
    """(3,) where it is, inside the cell [Å]."""
    windings: NDArray[np.int64]
    """(m, 3) winding lattice at the threshold of the region that holds the bottleneck, in Hermite normal form. Points
    that are beyond the threshold by a rounding error alone, 1e-9 of the barrier, count."""


@dataclass(frozen=True, eq=False)
class PercolationThresholds(Result):
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
    _large: ClassVar[frozenset[str]] = frozenset({"cell"})
    _derived: ClassVar[tuple[str, ...]] = ("extreme_position", "thresholds", "barriers")

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
        return None if self.extreme_index is None else position_of(self.extreme_index, self.grid, self.cell)

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each dimension."""
        rows: list[dict[str, Any]] = []
        for dimension, crossing in enumerate(self.crossings, start=1):
            row: dict[str, Any] = {"dimension": f"{dimension}D"}
            if crossing is None:
                rows.append(row | {"windings": "never reached"})
                continue
            row[keyed("threshold", self.unit)] = crossing.threshold
            row[keyed("barrier", self.unit)] = crossing.barrier
            row[keyed("region_barrier", self.unit)] = crossing.region_barrier
            row["windings"] = winding_text(crossing.windings)
            row["bottleneck_x_y_z_A"] = crossing.bottleneck_position.round(2)
            rows.append(row)
        keys = dict.fromkeys(key for row in sorted(rows, key=len, reverse=True) for key in row)
        return [{key: row.get(key) for key in keys} for row in rows]


def winding_text(windings: NDArray[np.int64]) -> str:
    """Write winding vectors as a table shows them.

    >>> winding_text(np.array([[1, 1, 0], [0, 2, 0]]))
    '(1 1 0) (0 2 0)'
    """
    return " ".join(f"({x} {y} {z})" for x, y, z in windings.tolist()) or "none"


def position_of(index: Any, grid: tuple[int, ...], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the place of a grid point, inside the cell [Å]."""
    position: NDArray[np.float64] = np.asarray(index) / np.array(grid) @ cell
    return position
