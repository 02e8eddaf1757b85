"""Clark and Evans' nearest-neighbor index of points in a periodic cell."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from amorph.figures import Result
from amorph.parameters import checked
from amorph.structure import pair_list

_MEAN_DISTANCE: Final = math.gamma(4 / 3) * (4.0 * math.pi / 3.0) ** (-1 / 3)
_DISTANCE_ERROR: Final = math.sqrt(math.gamma(5 / 3) / math.gamma(4 / 3) ** 2 - 1.0)


@dataclass(frozen=True, slots=True)
class ClarkEvans(Result):
    """How far points are from their nearest neighbours, against points placed at random."""

    count: int
    """Number of points in the cell."""
    mean_distance: float
    """Mean distance to the nearest other point, images included [Å]."""
    ratio: float
    """Mean over that of as many points placed at random, 0.55396 n^(−1/3) with n points in 1 Å³: 1 at random,
    below 1 clustered, above 1 spread out, 2.026 in fcc."""
    standard_error: float
    """Standard deviation of the ratio for points placed at random, 0.3634/√count."""


@checked
def clark_evans(points: ArrayLike, cell: ArrayLike) -> ClarkEvans:
    r"""Compare the distances between points and their nearest neighbours with those of points at random.

    Parameters
    ----------
    points
        (n, 3) positions in a periodic cell [Å]; a point's own images are neighbours too.
    cell
        (3, 3) lattice vectors as rows [Å].

    Raises
    ------
    ValueError
        No points.

    Notes
    -----
    Clark & Evans, Ecology 35, 445 (1954), in three dimensions (unverified): the nearest of Poisson points of density n
    is :math:`\Gamma(4/3) (4 \pi n / 3)^{-1/3} = 0.55396\, n^{-1/3}` away on average, with the standard deviation
    :math:`\sqrt{\Gamma(5/3)/\Gamma(4/3)^2 - 1} = 0.3634` of that. The error takes the distances as independent; those
    of two points that are nearest to each other are the same, so it is about 1.1 times that.

    Examples
    --------
    In fcc the nearest neighbour is a/√2 away, so the ratio is 4^(1/3)/√2/0.55396:

    >>> from ase.build import bulk
    >>> crystal = bulk("Al", cubic=True, a=4.0)
    >>> round(clark_evans(crystal.positions, crystal.cell.array).ratio, 3)
    2.026
    """
    where = np.array(points, dtype=np.float64, ndmin=2)
    lattice = np.array(cell, dtype=np.float64)
    if where.size == 0:
        raise ValueError("the distances between points need at least one point; lower the threshold or the volume")
    volume = float(abs(np.linalg.det(lattice)))
    expected = _MEAN_DISTANCE * (len(where) / volume) ** (-1 / 3)
    stand_in = Atoms(["H"] * len(where), positions=where, cell=lattice, pbc=True)
    nearest = np.full(len(where), np.inf)
    cutoff = 2.0 * expected
    while not np.isfinite(nearest).all():
        pairs = pair_list(stand_in, cutoff)
        np.minimum.at(nearest, pairs.i, pairs.d)
        cutoff *= 1.5
    mean = float(nearest.mean())
    return ClarkEvans(len(where), mean, mean / expected, _DISTANCE_ERROR / math.sqrt(len(where)))
