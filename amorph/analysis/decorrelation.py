"""How soon a liquid forgets where it was: correlation functions, and how many of its frames are independent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.structure import pair_list

Series = NDArray[np.float64]

FEWEST_FRAMES = 10
"""Frames below which no correlation can be told from chance."""


@dataclass(frozen=True, eq=False)
class Decorrelation(Result):
    """How soon the frames of a liquid become independent, and which of them to take."""

    interval_ps: float
    """Time between frames [ps]."""
    correlations: Mapping[str, Series]
    """Normalised correlation at lags of 0, 1, 2, ... frames: of the potential energy, and for each species the self
    part of the intermediate scattering function."""
    inefficiencies: Mapping[str, float]
    """Statistical inefficiency g of each: frames that hold as much as one independent frame."""
    snapshots: tuple[int, ...]
    """Frames at least the largest g apart, from the first on."""
    _derived: ClassVar[tuple[str, ...]] = ("frames", "slowest", "time_ps", "effective_frames")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(next(iter(self.correlations.values())))

    @property
    def slowest(self) -> str:
        """What is forgotten last."""
        return max(self.inefficiencies, key=lambda name: self.inefficiencies[name])

    @property
    def time_ps(self) -> float:
        """Decorrelation time: the largest g, as a time [ps]."""
        return self.inefficiencies[self.slowest] * self.interval_ps

    @property
    def effective_frames(self) -> float:
        """Effective number of independent frames, N/g."""
        return self.frames / self.inefficiencies[self.slowest]

    @property
    def snapshot_correlation(self) -> Series:
        """Correlation of two snapshots that are 0, 1, 2, ... snapshots apart, of what is forgotten last."""
        return until_zero(self.correlations[self.slowest])[list(self.snapshots)]

    def table(self) -> list[dict[str, Any]]:
        """One row per correlation."""
        return [
            {"of": name, "g": g, "time_ps": g * self.interval_ps, "effective_frames": self.frames / g}
            for name, g in self.inefficiencies.items()
        ]


def decorrelation(
    frames: Sequence[Atoms], energies: Sequence[float], *, start: Atoms, interval_ps: float
) -> Decorrelation:
    r"""Find how far apart frames of a liquid are independent.

    Parameters
    ----------
    frames
        Unwrapped frames at equal intervals, the first ones of a run left out: a liquid in equilibrium.
    energies
        Potential energy of each frame [eV].
    start
        The structure before the melt; its nearest-neighbor distances are the measure, as of criterion (c) of a glass.
    interval_ps
        Time between frames [ps].

    Raises
    ------
    ValueError
        Fewer than ten frames, or another number of energies.

    Notes
    -----
    Each correlation C(t) gives a statistical inefficiency :math:`g = 1 + 2 \sum_t (1 - t/N) C(t)`, summed until C
    first falls to zero, so that N frames say as much as N/g independent ones; the largest g decides. The definition is
    that of the module ``pymbar.timeseries``, after Chodera et al. (2007), doi:10.1021/ct0502864 (unverified).

    What the structure remembers is the self part of the intermediate scattering function of each species,
    :math:`F_s(q, t) = \langle \sin(q \Delta r) / (q \Delta r) \rangle` over atoms and starting times, the normalised
    autocorrelation of :math:`\exp(i q \cdot r_j)`, averaged over directions. With :math:`q = \sqrt 6 / d`, d the
    species' mean distance to the nearest atom in `start`, it has fallen to 1/e when the mean-square displacement of
    diffusing atoms is d², the measure by which a melt counts as molten. In a solid it never falls to zero, and g grows
    with N.
    """
    if len(frames) < FEWEST_FRAMES or len(energies) != len(frames):
        raise ValueError(
            f"{len(frames)} frames with {len(energies)} energies: at least {FEWEST_FRAMES} frames, each with its "
            "energy, tell how soon a liquid forgets; sample more often or lengthen the melt"
        )
    correlations = {"potential energy": autocorrelation(np.asarray(energies, dtype=float))}
    first = frames[0]
    positions = np.array([atoms.positions for atoms in frames])
    masses = first.get_masses()
    positions -= (np.einsum("fai,a->fi", positions, masses) / masses.sum())[:, None]
    nearest = nearest_distances(start)
    symbols = np.array(first.get_chemical_symbols())
    for species in dict.fromkeys(first.get_chemical_symbols()):
        chosen = symbols == species
        q = np.sqrt(6.0) / nearest[chosen].mean()
        correlations[f"places of {species}"] = self_scattering(positions[:, chosen], q)
    inefficiencies = {name: statistical_inefficiency(c) for name, c in correlations.items()}
    spacing = int(np.ceil(max(inefficiencies.values())))
    return Decorrelation(interval_ps, correlations, inefficiencies, tuple(range(0, len(frames), spacing)))


def autocorrelation(series: Series) -> Series:
    """Return the normalised autocorrelation of a series about its mean, at lags of 0 to n − 1.

    A series that never changes has no memory to measure: it counts as fully correlated.
    """
    n = len(series)
    deviations = series - series.mean()
    if not deviations.any():
        return np.ones(n)
    padded = np.fft.rfft(deviations, 2 * n)
    sums = np.fft.irfft(np.abs(padded) ** 2, 2 * n)[:n]
    covariances: Series = sums / np.arange(n, 0, -1)
    return covariances / covariances[0]


def self_scattering(positions: Series, q: float) -> Series:
    r"""Return F_s(q, t) of (frames, atoms, 3) unwrapped positions [Å] at q [1/Å], averaged over directions.

    From where it first falls to zero on it is zero: beyond is noise that nobody reads, and most of the work.

    >>> self_scattering(np.zeros((3, 5, 3)), 1.0)  # what does not move is not forgotten
    array([1., 1., 1.])
    """
    n = len(positions)
    values = np.zeros(n)
    for lag in range(n):
        moved = np.linalg.norm(positions[lag:] - positions[: n - lag], axis=2)
        value = np.sinc(q * moved / np.pi).mean()
        if value <= 0.0:
            break
        values[lag] = value
    return values


def until_zero(correlation: Series) -> Series:
    """Return a correlation function with zeros from where it first falls to zero: beyond it is noise."""
    below = np.flatnonzero(correlation <= 0.0)
    kept = correlation.copy()
    if below.size:
        kept[below[0] :] = 0.0
    return kept


def statistical_inefficiency(correlation: Series) -> float:
    """Return g of a correlation function at lags of 0 to n − 1: n frames hold as much as n/g independent ones.

    >>> statistical_inefficiency(np.array([1.0, 0.0, 0.0])), statistical_inefficiency(np.ones(100))
    (1.0, 100.0)
    """
    n = len(correlation)
    weights = 1.0 - np.arange(1, n) / n
    return float(1.0 + 2.0 * np.sum(weights * until_zero(correlation)[1:]))


def effective_number(places: Sequence[int], correlation: Series) -> float:
    r"""Return how many independent values the mean over correlated ones is worth, :math:`k^2 / \sum_{ij} C_{|i-j|}`.

    Parameters
    ----------
    places
        Which of the equally spaced snapshots the k values came from.
    correlation
        Correlation of two snapshots that are 0, 1, 2, ... apart; zero beyond.

    >>> effective_number([0, 1, 2], np.array([1.0])), effective_number([0, 0], np.array([1.0]))
    (3.0, 1.0)
    """
    lags = np.abs(np.subtract.outer(places, places))
    known = np.append(correlation, 0.0)
    return float(len(places) ** 2 / known[np.minimum(lags, len(correlation))].sum())


def nearest_distances(atoms: Atoms) -> Series:
    """Return the distance of each atom to the nearest one, periodic images included [Å]."""
    cutoff = 3.0
    while True:
        pairs = pair_list(atoms, cutoff)
        nearest = np.full(len(atoms), np.inf)
        np.minimum.at(nearest, pairs.i, pairs.d)
        if np.isfinite(nearest).all():
            return nearest
        cutoff *= 1.5
