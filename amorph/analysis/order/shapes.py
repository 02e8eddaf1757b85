"""Coordination polyhedra: how large, how regular."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import Cutoffs, bonds_of, resolve_cutoffs
from amorph.analysis.order.samples import Mean, Measured, Samples, Structures, samples_of
from amorph.figures import Result
from amorph.parameters import checked

REGULAR: Final = {4: (float(np.degrees(np.arccos(-1 / 3))), 6), 6: (90.0, 12)}
"""Angle [°] of the edges of a regular polyhedron with four or six corners, and how many they are."""


@dataclass(frozen=True)
class Polyhedra(Result):
    """The polyhedra of anions around the cations of one element; means over independent structures."""

    volume_A3: Mean
    """Volume of the convex hull of the anions [Å³], over those of four corners or more."""
    length_distortion: Mean
    """Δ, the variance of the bond lengths over the square of their mean."""
    angle_variance_deg2: Mean
    """Bond-angle variance of those of four or six corners [°²]; None where there are none."""
    tetrahedral_share: Mean
    """Share of the cations with four anions."""
    octahedral_share: Mean
    """Share of the cations with six anions."""


@dataclass(frozen=True, kw_only=True)
class PolyhedraShapes(Measured):
    """Volumes and distortions of the coordination polyhedra."""

    polyhedra: dict[str, Polyhedra]
    """By the element in the middle."""
    cutoffs_A: dict[str, float]
    """Longest bonds [Å]."""

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each element."""
        return [
            {"element": symbol, **{name: figure["mean"] for name, figure in entry.figures().items()}}
            for symbol, entry in self.polyhedra.items()
        ]


@checked
def polyhedra(
    structures: Structures, *, cutoffs: Cutoffs | None = None, progress: Task | None = None
) -> PolyhedraShapes:
    r"""Measure the coordination polyhedra of the cations: their volume, and their distortion.

    Parameters
    ----------
    structures
        With cations and anions: one, or independent ones, each a structure or the list of its frames.

    Raises
    ------
    ValueError
        A structure that makes no sense or without anions, or a g(r) without a minimum.

    Notes
    -----
    Of n bonds, :math:`\Delta = \frac{1}{n} \sum_i [(l_i - \bar l) / \bar l]^2`, as in the manual of OctaDist. The
    bond-angle variance of Robinson, Gibbs & Ribbe, doi:10.1126/science.172.3983.567 (its abstract only was seen), is
    :math:`\sigma^2 = \frac{1}{m - 1} \sum_i (\theta_i - \theta_0)^2` over the m = 6 angles of a tetrahedron,
    θ0 = 109.47°, and the m = 12 smallest of an octahedron, θ0 = 90°; for other numbers of corners there is none.
    The volume is that of the convex hull; pictures of the polyhedra are in ``amorph.analysis.polyhedra``.

    Examples
    --------
    >>> from ase.build import bulk
    >>> mg = polyhedra(bulk("MgO", "rocksalt", a=4.212), cutoffs={"Mg-O": 2.6}).polyhedra["Mg"]
    >>> round(mg.volume_A3.mean / (4 / 3 * 2.106**3), 12), mg.octahedral_share.mean
    (1.0, 1.0)
    """
    samples = samples_of(structures)
    if not (samples.cations and samples.anions):
        raise ValueError(f"{'-'.join(samples.species)} has no cations and anions, so no polyhedra of anions")
    limits = resolve_cutoffs(samples, cutoffs)

    made = samples.average(lambda atoms: _shapes(samples, atoms, limits), "polyhedra", progress)
    found = {symbol: Polyhedra(*(made.at(k, n) for n in range(5))) for k, symbol in enumerate(samples.cations)}
    return PolyhedraShapes(polyhedra=found, cutoffs_A=limits, **samples.measured())


def _shapes(samples: Samples, atoms: Atoms, limits: dict[str, float]) -> NDArray[np.float64]:
    anion = samples.among(atoms, samples.anions)
    bonds = bonds_of(samples, atoms, limits)
    bonds = bonds.select(~anion[bonds.i] & anion[bonds.j])
    ends = np.concatenate([[0], np.cumsum(bonds.numbers)])
    values = []
    for symbol in samples.cations:
        centers = np.flatnonzero(samples.among(atoms, [symbol]))
        each = np.array([_shape(bonds.D[ends[k] : ends[k + 1]], bonds.d[ends[k] : ends[k + 1]]) for k in centers])
        present = ~np.isnan(each)
        sums = np.where(present, each, 0.0).sum(axis=0)
        numbers = bonds.numbers[centers]
        means = np.divide(sums, present.sum(axis=0), out=np.full(3, np.nan), where=present.any(axis=0))
        values.append([*means, np.mean(numbers == 4), np.mean(numbers == 6)])
    return np.array(values)


def _shape(corners: NDArray[np.float64], lengths: NDArray[np.float64]) -> tuple[float, float, float]:
    """Give volume, Δ and bond-angle variance of one polyhedron; NaN for what it does not have."""
    n = len(lengths)
    distortion = float(lengths.var() / lengths.mean() ** 2) if n else np.nan
    variance = np.nan
    if n in REGULAR:
        ideal, count = REGULAR[n]
        units = corners / lengths[:, None]
        angles = np.degrees(np.arccos(np.clip((units @ units.T)[np.triu_indices(n, 1)], -1.0, 1.0)))
        variance = float(np.sum((np.sort(angles)[:count] - ideal) ** 2) / (count - 1))
    return _volume(corners), distortion, variance


def _volume(corners: NDArray[np.float64]) -> float:
    """Volume of the convex hull; 0 where the corners lie in a plane, NaN below four."""
    from scipy.spatial import ConvexHull, QhullError

    if len(corners) < 4:
        return np.nan
    try:
        return float(ConvexHull(corners).volume)
    except QhullError:
        return 0.0
