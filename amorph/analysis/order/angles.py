"""Bond angles."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import Bonds, Cutoffs, bonds_of, pairs_of_bonds, resolve_cutoffs
from amorph.analysis.order.samples import Measured, Samples, Structures, samples_of
from amorph.figures import Plottable, Result
from amorph.parameters import Unit, checked


@dataclass(frozen=True, eq=False)
class Angles(Result):
    """The angles a–b–c at an atom b; means over independent structures."""

    mean_deg: float
    """Mean angle [°], never weighted by the sine."""
    standard_error_deg: float | None
    """Standard error of the mean over the structures [°]; None for one."""
    sd_deg: float
    """Standard deviation over the angles [°]: their spread, not an error."""
    density: NDArray[np.float64]
    """(n,) probability density over the angle [1/°]; where it was asked for divided by sin θ and normalised again."""
    density_standard_error: NDArray[np.float64] | None
    """(n,) its standard error over the structures."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BondAngles(Measured, Plottable):
    """Distributions of bond angles."""

    angle_deg: NDArray[np.float64]
    """(n,) middles of the bins [°]."""
    angles: dict[str, Angles]
    """Of each triplet of elements with the middle one at the vertex: "O-Ti-O"."""
    divided_by_sine: bool
    """Whether the densities are divided by sin θ, so that directions without preference give a flat one."""
    cutoffs_A: dict[str, float]
    """Longest bonds [Å]."""

    def table(self) -> list[dict[str, Any]]:
        """Give mean, spread and most frequent angle of each triplet."""
        return [
            {
                "triplet": triplet,
                "mean_deg": entry.mean_deg,
                "standard_error_deg": entry.standard_error_deg,
                "sd_deg": entry.sd_deg,
                "most_frequent_deg": float(self.angle_deg[np.argmax(entry.density)]),
            }
            for triplet, entry in self.angles.items()
        ]


@checked
def bond_angles(
    structures: Structures,
    *,
    cutoffs: Cutoffs | None = None,
    bin_width: Annotated[float, Interval(gt=0, le=90), Unit("°")] = 1.0,
    divide_by_sine: bool = False,
    progress: Task | None = None,
) -> BondAngles:
    r"""Measure the angles between the bonds of each atom, by triplets of elements.

    Parameters
    ----------
    bin_width
        Width of the bins [°]; rounded so that whole bins make 180°.
    divide_by_sine
        Divide each bin by the share of random directions in it, :math:`\int \sin\theta\,d\theta / 2`, and normalise
        again. By default the density is that of the angles themselves.

    Raises
    ------
    ValueError
        A structure that makes no sense, an element that is not there, or a g(r) without a minimum.

    Examples
    --------
    Of the 15 angles at Mg in MgO 12 are right and 3 straight:

    >>> from ase.build import bulk
    >>> made = bond_angles(bulk("MgO", "rocksalt", a=4.212), cutoffs={"Mg-O": 2.6})
    >>> round(made.angles["O-Mg-O"].mean_deg, 6), made.angles["O-Mg-O"].density[[90, 179]].round(3).tolist()
    (108.0, [0.8, 0.2])
    """
    samples = samples_of(structures)
    limits = resolve_cutoffs(samples, cutoffs)
    bins = max(round(180.0 / bin_width), 1)
    edges = np.linspace(0.0, 180.0, bins + 1)
    # of random directions, the share in each bin
    random = -0.5 * np.diff(np.cos(np.radians(edges)))
    bonded = [tuple(name.split("-")) for name in limits]
    triplets = [
        (a, b, c)
        for b in samples.species
        for k, a in enumerate(samples.species)
        for c in samples.species[k:]
        if all(pair in bonded or pair[::-1] in bonded for pair in ((a, b), (b, c)))
    ]

    def measure(atoms: Atoms) -> NDArray[np.float64]:
        values = np.full((len(triplets), 2 + bins), np.nan)
        for row, angles in zip(values, _angles(samples, bonds_of(samples, atoms, limits), triplets), strict=True):
            if angles.size:
                # an angle a rounding below an edge is on it
                places = np.minimum((angles * (bins / 180.0) + 1e-9).astype(np.int64), bins - 1)
                shares = np.bincount(places, minlength=bins) / (random if divide_by_sine else 1.0)
                row[:] = angles.mean(), (angles**2).mean(), *(shares / shares.sum() * bins / 180.0)
        return values

    made = samples.average(measure, "bond angles", progress)
    found = {}
    for k, triplet in enumerate(triplets):
        mean = made.at(k, 0)
        if mean.mean is not None:
            spread = math.sqrt(max(made.mean[k, 1] - mean.mean**2, 0.0))
            error = None if made.error is None else made.error[k, 2:]
            found["-".join(triplet)] = Angles(mean.mean, mean.standard_error, spread, made.mean[k, 2:], error)
    return BondAngles(
        angle_deg=0.5 * (edges[1:] + edges[:-1]),
        angles=found,
        divided_by_sine=divide_by_sine,
        cutoffs_A=limits,
        **samples.measured(),
    )


def _angles(samples: Samples, bonds: Bonds, triplets: list[tuple[str, str, str]]) -> list[NDArray[np.float64]]:
    """Give all angles of each triplet [°]."""
    m, n = pairs_of_bonds(bonds)
    # by the chord of unit vectors: near 0° and 180° the cosine would lose half the digits
    u, v = bonds.D[m] / bonds.d[m, None], bonds.D[n] / bonds.d[n, None]
    angles = np.degrees(2.0 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1)))
    center = bonds.kinds[bonds.i[m]]
    low, high = np.sort([bonds.kinds[bonds.j[m]], bonds.kinds[bonds.j[n]]], axis=0)
    places = [[samples.species.index(symbol) for symbol in triplet] for triplet in triplets]
    return [angles[(low == a) & (center == b) & (high == c)] for a, b, c in places]
