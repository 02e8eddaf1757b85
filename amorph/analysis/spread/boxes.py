"""Is the free volume spread evenly, or gathered in large voids and clusters?

Free volume is what lies on one side of a threshold of a field: points at least a probe radius from every atom, or the
roomy points of a bond-valence map. Each measure is a number to set beside that of another structure, the crystal of the
same composition first of all.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from annotated_types import Ge, Interval, Len
from numpy.typing import NDArray

from amorph.analysis.percolation import Percolation, Side, percolation
from amorph.analysis.spread.nearest import ClarkEvans, clark_evans
from amorph.fields import ScalarField
from amorph.figures import Result, Row, plain
from amorph.parameters import Count, Unit, checked

BOXES: Final = (1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2)
"""Edges of the boxes over those of the cell. Half an edge leaves eight boxes that do not overlap, a third 27."""
HEADLINE_BOX: Final = 1 / 3
"""The box whose figures stand for the others."""

_NOISE: Final = 1e-24
"""Variances this small against the squared mean are rounding."""

SmallVolume = Annotated[float, Ge(0), Unit("Å³")]


@dataclass(frozen=True, slots=True)
class BoxFluctuation:
    """How the free share of a box varies as the box is moved all over the cell."""

    box: float
    """Edges of the box over those of the cell."""
    box_volume: float
    """Volume of the box [Å³]."""
    standard_deviation: float
    """Standard deviation of the free share over all places of the box."""
    grain_volume: float
    """Volume of the grains that, equal and placed independently, would vary as much [Å³]."""
    dispersion: float
    """Variance over that of the same clusters placed independently, where they may overlap: above 1 gathered; below 1
    as clusters are that keep apart, which those of a random field do too. NaN where that is 0."""
    dispersion_error: float
    """Standard deviation of this ratio for one more independent placement: what 1 may be by chance; NaN for one
    placement alone."""
    point_dispersion: float
    """The same in closed form, for clusters small against the box: lower where they are not."""


@dataclass(frozen=True, eq=False)
class Uniformity(Result):
    """How evenly the free volume of a cell is spread."""

    regions: Percolation
    """The clusters: connected regions of free volume, from the largest to the smallest."""
    free_fraction: float
    """Share of the cell that is free."""
    free_volume: float
    """Free volume of the cell [Å³]."""
    clusters: int
    """Clusters of at least `minimum_volume`."""
    minimum_volume: float
    """Smaller clusters are not counted and have no part in `centers` [Å³]."""
    dimension: int
    """The most directions in which one cluster runs through the crystal."""
    largest_share: float
    """Share of the free volume in the largest cluster."""
    placed_largest_share: float
    """The same, mean over the same clusters placed independently, where those that touch are one."""
    mean_cluster_volume: float
    """Mean volume of the cluster that a free point lies in, Σv²/Σv [Å³]."""
    boxes: tuple[BoxFluctuation, ...]
    """Fluctuation in boxes of growing size."""
    centers: ClarkEvans | None
    """Distances between the centers of the clusters that do not percolate; None for fewer than two."""
    placements: int
    """Independent placements that the references are means of."""

    @property
    def headline(self) -> BoxFluctuation:
        """The fluctuation in the box nearest to a third of the cell's edges."""
        return min(self.boxes, key=lambda row: abs(row.box - HEADLINE_BOX))

    def table(self) -> list[dict[str, float]]:
        """Give one row for each size of box."""
        return [
            {
                "box_over_cell": row.box,
                "box_volume_A3": row.box_volume,
                "standard_deviation": row.standard_deviation,
                "grain_volume_A3": row.grain_volume,
                "dispersion": row.dispersion,
                "dispersion_error": row.dispersion_error,
                "point_dispersion": row.point_dispersion,
            }
            for row in self.boxes
        ]

    def figures(self) -> dict[str, Any]:
        """Give every figure; those of boxes are of the box nearest to a third of the cell's edges."""
        row = self.headline
        return {
            "free_fraction": self.free_fraction,
            "free_volume_A3": self.free_volume,
            "clusters": self.clusters,
            "minimum_volume_A3": self.minimum_volume,
            "cluster_volumes_A3": self.regions.volumes.tolist(),
            "dimension": self.dimension,
            "largest_share": self.largest_share,
            "placed_largest_share": plain(self.placed_largest_share),
            "mean_cluster_volume_A3": plain(self.mean_cluster_volume),
            "grain_volume_A3": plain(row.grain_volume),
            "dispersion": plain(row.dispersion),
            "dispersion_error": plain(row.dispersion_error),
            "clark_evans_ratio": None if self.centers is None else plain(self.centers.ratio),
            "clark_evans_error": None if self.centers is None else plain(self.centers.standard_error),
            "placements": self.placements,
            "boxes": plain(self.table()),
        }

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("room v ≤ V + window, share of the cell", self.free_fraction),
            Row("its largest cluster", self.largest_share),
            Row("its spread, like that of random grains of", plain(self.headline.grain_volume), "Å³"),
        ]


@checked
def uniformity(
    field: ScalarField,
    *,
    threshold: float,
    side: Side = "above",
    boxes: Annotated[tuple[Annotated[float, Interval(gt=0, lt=1)], ...], Len(1)] = BOXES,
    minimum_volume: SmallVolume = 0.1,
    placements: Count = 8,
    rng: np.random.Generator | None = None,
) -> Uniformity:
    r"""Measure how evenly the free volume of a cell is spread.

    Parameters
    ----------
    field
        Field that tells free points: the distance of :func:`~amorph.analysis.voids.voids`, a bond-valence map.
    threshold
        Value that decides, in the field's unit: the probe radius; V + window of a bond-valence map (side "below").
    side
        "above": free are points of the threshold or more; "below": of the threshold or less. NaN is never free.
    boxes
        Edges of the boxes over those of the cell.
    minimum_volume
        Clusters smaller than this are neither counted nor have a center [Å³]; to a fluctuation they count.
    placements
        How often the clusters are placed independently, for the references.
    rng
        Random generator of the placements; by default one of seed 0.

    Returns
    -------
    Uniformity
        Every measure with its reference; where nothing or everything is free, those without a meaning are NaN.

    Notes
    -----
    A box of volume B goes to every place of the periodic cell of volume C (by Fourier transform, so all places count).
    Clusters of volumes :math:`v_k`, small against the box and placed independently, have the variance
    :math:`\sum_k v_k^2 (1 - B/C) / (B C)`; the factor 1 − B/C is that of any quantity whose sum over the cell is fixed.
    The dispersion divides by the mean variance of real placements instead, each cluster shifted by a random lattice
    point, which holds at any size. The grain volume is :math:`\sigma^2 B / [\phi (1 - B/C)]`. A single cluster
    has a dispersion of 1 wherever it is: its size shows in the grain volume and the largest share.

    Examples
    --------
    Of eight voids on a lattice a box of half the cell's edges holds one, wherever it is:

    >>> values = np.zeros((24, 24, 24))
    >>> values[::12, ::12, ::12] = 1.0
    >>> made = uniformity(ScalarField(values, np.eye(3) * 24.0, "void", "1"), threshold=0.5)
    >>> made.clusters, round(made.boxes[-1].dispersion, 9), round(made.centers.mean_distance, 6)
    (8, 0.0, 12.0)
    """
    rng = np.random.default_rng(0) if rng is None else rng
    regions = percolation(field, threshold=threshold, side=side)
    volumes = regions.volumes
    where = np.nonzero(regions.labels)
    owners = regions.labels[where] - 1
    sides = [np.array([max(1, round(edge * n)) for n in field.grid]) for edge in boxes]
    shares = np.array([float(np.prod(s / np.array(field.grid))) for s in sides])
    placed, largest = _placements(where, owners, regions, sides, placements, rng)
    free, squares = float(volumes.sum()), float(np.sum(volumes**2))
    counted = volumes >= minimum_volume
    rows = _fluctuations(boxes, shares, _variances(regions.labels > 0, sides), placed, regions, squares)
    centers = _centers(where, owners, field)[counted & (regions.dimensions == 0)] if free else np.empty((0, 3))
    return Uniformity(
        regions,
        free_fraction=regions.fraction_of_cell,
        free_volume=free,
        clusters=int(counted.sum()),
        minimum_volume=minimum_volume,
        dimension=regions.dimension,
        largest_share=regions.largest_share,
        placed_largest_share=float(largest.mean()) if free else math.nan,
        mean_cluster_volume=squares / free if free else math.nan,
        boxes=rows,
        centers=clark_evans(centers, field.cell) if len(centers) > 1 else None,
        placements=placements,
    )


def _placements(
    where: tuple[NDArray[np.int64], ...],
    owners: NDArray[np.int32],
    regions: Percolation,
    sides: list[NDArray[np.int64]],
    placements: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place the clusters independently: variances in each kind of box, and the largest share, of each placement."""
    placed = np.zeros((placements, len(sides)))
    largest = np.zeros(placements)
    for k in range(placements if len(regions) else 0):
        counts = _place(where, owners, len(regions), regions.labels.shape, rng)
        placed[k] = _variances(counts, sides)
        union = ScalarField(counts.astype(np.float64), regions.cell, regions.quantity, "1")
        largest[k] = percolation(union, threshold=0.5, side="above").largest_share
    return placed, largest


def _fluctuations(
    boxes: tuple[float, ...],
    shares: NDArray[np.float64],
    variance: NDArray[np.float64],
    placed: NDArray[np.float64],
    regions: Percolation,
    squares: float,
) -> tuple[BoxFluctuation, ...]:
    """Compare the variances with those of the placements, by the formulas in the notes of :func:`uniformity`."""
    cell_volume = float(abs(np.linalg.det(regions.cell)))
    fraction, placements, unknown = regions.fraction_of_cell, len(placed), np.full(len(shares), np.nan)
    is_free = len(regions) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        finite = 1.0 - shares
        mean = placed.mean(axis=0)
        # of one more placement about the mean of these, which is uncertain itself
        spread = placed.std(axis=0, ddof=1) * math.sqrt(1.0 + 1.0 / placements) if placements > 1 else mean * np.nan
        columns = zip(
            boxes,
            shares * cell_volume,
            np.sqrt(variance),
            variance * shares * cell_volume / (fraction * finite) if is_free else unknown,
            np.where(mean > 0.0, variance / mean, np.nan),
            np.where(mean > 0.0, spread / mean, np.nan),
            variance * shares * cell_volume**2 / (squares * finite) if is_free else unknown,
            strict=True,
        )
        return tuple(BoxFluctuation(*map(float, column)) for column in columns)


def _variances(density: NDArray[Any], sides: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Compute the variance of the mean density in boxes of some numbers of points, over all places of each box."""
    from scipy.fft import rfftn

    transformed = rfftn(density.astype(np.float64))
    power = transformed.real**2 + transformed.imag**2
    power[0, 0, 0] = 0.0
    # the half of the last axis that a real transform leaves out mirrors the other
    n = density.shape[2]
    power[:, :, 1 : (n + 1) // 2] *= 2.0
    along = [
        np.array([_window(count, points)[: power.shape[axis]] for count in (s[axis] for s in sides)])
        for axis, points in enumerate(density.shape)
    ]
    columns = power @ along[2].T
    total = np.einsum("ijb,bi,bj->b", columns, along[0], along[1], optimize=True)
    variance = total / density.size**2
    # what rounding leaves of a density that is the same in every box
    return np.where(variance > _NOISE * float(density.mean()) ** 2, variance, 0.0)


def _window(count: int, points: int) -> NDArray[np.float64]:
    """Give the squared Fourier transform of a box of `count` of `points` points in a row, 1 at frequency 0."""
    angles = np.pi * np.arange(1, points) / points
    return np.concatenate([[1.0], (np.sin(count * angles) / (count * np.sin(angles))) ** 2])


def _place(
    where: tuple[NDArray[np.int64], ...],
    owners: NDArray[np.int32],
    clusters: int,
    grid: tuple[int, ...],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Shift every cluster by a random number of grid steps; gives how many clusters lie over each point."""
    flat = np.zeros(len(owners), np.int64)
    for axis, n in enumerate(grid):
        flat *= n
        flat += (where[axis] + rng.integers(0, n, clusters)[owners]) % n
    return np.bincount(flat, minlength=math.prod(grid)).reshape(grid)


def _centers(
    where: tuple[NDArray[np.int64], ...], owners: NDArray[np.int32], field: ScalarField
) -> NDArray[np.float64]:
    """Find the centers of mass of clusters, each gathered around its circular mean [Å]."""
    counts = np.bincount(owners)
    fractional = []
    for indices, n in zip(where, field.grid, strict=True):
        angles = 2.0 * np.pi * indices / n
        middle = np.arctan2(np.bincount(owners, np.sin(angles)), np.bincount(owners, np.cos(angles))) / (2.0 * np.pi)
        offsets = indices / n - middle[owners]
        offsets -= np.rint(offsets)
        fractional.append(middle + np.bincount(owners, offsets) / counts)
    return np.stack(fractional, axis=1) @ field.cell
