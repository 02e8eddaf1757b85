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
from amorph.fields import ScalarField
from amorph.figures import Result, Row, plain
from amorph.parameters import Unit, checked

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
    """Volume of the grains that, equal and placed independently, would vary as much [Å³]; NaN where nothing is free."""


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
    """Smaller clusters are not counted [Å³]."""
    dimension: int
    """The most directions in which one cluster runs through the crystal."""
    largest_share: float
    """Share of the free volume in the largest cluster."""
    mean_cluster_volume: float
    """Mean volume of the cluster that a free point lies in, Σv²/Σv [Å³]; NaN where nothing is free."""
    boxes: tuple[BoxFluctuation, ...]
    """Fluctuation in boxes of growing size."""

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
            }
            for row in self.boxes
        ]

    def figures(self) -> dict[str, Any]:
        """Give every figure; the grain volume is that of the box nearest to a third of the cell's edges."""
        return {
            "free_fraction": self.free_fraction,
            "free_volume_A3": self.free_volume,
            "clusters": self.clusters,
            "minimum_volume_A3": self.minimum_volume,
            "cluster_volumes_A3": self.regions.volumes.tolist(),
            "dimension": self.dimension,
            "largest_share": self.largest_share,
            "mean_cluster_volume_A3": plain(self.mean_cluster_volume),
            "grain_volume_A3": plain(self.headline.grain_volume),
            "boxes": plain(self.table()),
        }

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("room v ≤ V + window, share of the cell", self.free_fraction, share=True),
            Row("its largest cluster", self.largest_share, share=True),
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
) -> Uniformity:
    r"""Measure how evenly the free volume of a cell is spread.

    Parameters
    ----------
    field
        Field that tells free points: the distance of :func:`~amorph.analysis.voids.voids`, a bond-valence map.
    threshold
        Value that decides, in the field's unit: the probe radius; V + window of a bond-valence map (side "below").
    boxes
        Edges of the boxes over those of the cell.
    minimum_volume
        Clusters smaller than this are not counted [Å³]; to every other figure they count.

    Notes
    -----
    A box of volume B goes to every place of the periodic cell of volume C (by Fourier transform, so all places count).
    Grains of volume v, small against the box and placed independently, make the variance
    :math:`\sigma^2 = \phi v (1 - B/C) / B` of its free share, with the mean :math:`\phi`; the factor 1 − B/C is that
    of any quantity whose sum over the cell is fixed. The grain volume solves this for v.

    Examples
    --------
    Of eight voids on a lattice a box of half the cell's edges holds one, wherever it is:

    >>> values = np.zeros((24, 24, 24))
    >>> values[::12, ::12, ::12] = 1.0
    >>> made = uniformity(ScalarField(values, np.eye(3) * 24.0, "void", "1"), threshold=0.5)
    >>> made.clusters, round(made.boxes[-1].grain_volume, 9)
    (8, 0.0)
    """
    regions = percolation(field, threshold=threshold, side=side)
    volumes, fraction = regions.volumes, regions.fraction_of_cell
    free = float(volumes.sum())
    sides = [np.array([max(1, round(edge * n)) for n in field.grid]) for edge in boxes]
    variances = _variances(regions.labels > 0, sides)
    rows = []
    for edge, counts, variance in zip(boxes, sides, variances.tolist(), strict=True):
        share = float(np.prod(counts / np.array(field.grid)))
        volume = share * field.cell_volume
        finite = fraction * (1.0 - share)
        grain = variance * volume / finite if finite else math.nan
        rows.append(BoxFluctuation(edge, volume, math.sqrt(variance), grain))
    return Uniformity(
        regions,
        free_fraction=fraction,
        free_volume=free,
        clusters=int((volumes >= minimum_volume).sum()),
        minimum_volume=minimum_volume,
        dimension=regions.dimension,
        largest_share=regions.largest_share,
        mean_cluster_volume=float(np.sum(volumes**2)) / free if free else math.nan,
        boxes=tuple(rows),
    )


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
