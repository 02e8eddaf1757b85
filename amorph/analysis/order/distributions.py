"""Pair distribution functions and running coordination numbers."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task, make_bins
from amorph.analysis.order.samples import Average, Measured, Samples, Structures, average, samples_of
from amorph.figures import ERROR, Plottable
from amorph.parameters import Length, checked
from amorph.progress import task_of

Curves = dict[str, NDArray[np.float64]]

SMOOTHING: Final = 0.08
"""Standard deviation of the Gaussian that smooths g(r) before its peaks are looked for [Å]."""
_SIGNIFICANCE: Final = 2.0
"""Errors by which the smoothed curve must have turned to end a peak or a minimum; two pairs alone make no peak."""
_TURN: Final = 0.1
"""And the share of the peak's height."""
_RISE: Final = 0.2
"""By how much g(r) need rise at most to end the minimum."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PairDistributions(Measured, Plottable):
    """Partial and total pair distribution functions, means over independent structures, with their standard errors."""

    r: NDArray[np.float64]
    """(n,) middles of the bins [Å]."""
    bin_width_A: float
    """Width of the bins [Å]."""
    g_r: Curves
    """g_ab of each pair of elements, "Ti-O": cations first."""
    g_r_standard_error: Curves | None
    """Standard errors of these over the structures; None for one."""
    total_g_r: NDArray[np.float64]
    """(n,) g of all atoms alike, in numbers, not weighted."""
    total_g_r_standard_error: NDArray[np.float64] | None
    """(n,) its standard error."""
    pairs_per_A3: dict[str, float]
    """Pairs expected in a shell of 1 Å³ at g = 1, all frames together [1/Å³]: g has the noise √(g / pairs in a bin)."""
    running_numbers: Curves
    """n_ab, mean number of b around an a up to the upper edge of each bin, r + bin_width/2: "Ti-O" and "O-Ti"."""
    running_numbers_standard_error: Curves | None
    """Standard errors of these."""

    def table(self) -> list[dict[str, Any]]:
        """Give the first peak of each pair and the minimum behind it."""
        rows = []
        for pair in self.g_r:
            peak, minimum = first_peak_and_minimum(self, pair)
            rows.append({"pair": pair, "first_peak_A": peak, "first_minimum_A": minimum})
        return rows

    def columns(self) -> Curves:
        """Give every curve as a column of one table; of several structures the standard errors too."""
        curves = {f"g_{name}": curve for name, curve in ({"total": self.total_g_r} | self.g_r).items()}
        curves |= {f"n_{name}": curve for name, curve in self.running_numbers.items()}
        errors: Curves = {}
        if self.total_g_r_standard_error is not None:
            of_g = {"total": self.total_g_r_standard_error} | (self.g_r_standard_error or {})
            errors = {f"g_{name}": error for name, error in of_g.items()}
            errors |= {f"n_{name}": error for name, error in (self.running_numbers_standard_error or {}).items()}
        return {"r_A": self.r, **curves, **{f"{name}{ERROR}": error for name, error in errors.items()}}


@checked
def pair_distributions(
    structures: Structures,
    *,
    r_max: Length = 10.0,
    bin_width: Length = 0.02,
    progress: Task | None = None,
) -> PairDistributions:
    r"""Measure g(r) of every pair of elements, exactly: over all periodic images, in any cell, however far.

    Parameters
    ----------
    r_max
        Reach [Å]; it may be longer than the cell. Rounded up to whole bins.
    bin_width
        Width of the bins [Å].

    Returns
    -------
    PairDistributions
        Partial and total g(r) and running numbers.

    Raises
    ------
    ValueError
        A structure that makes no sense, or structures of different elements.

    Notes
    -----
    :math:`g_{ab}(r) = \frac{V}{N_a N_b v(r)} \sum_{i \in a} \sum_{j \in b} \delta(r - d_{ij})` over all images but the
    atom itself, with v the volume of the bin's shell, :math:`\frac{4\pi}{3}(r_+^3 - r_-^3)`; and
    :math:`n_{ab}(r) = \frac{1}{N_a} \sum_{d_{ij} < r} 1`. A bin holds its lower edge.

    Examples
    --------
    Six O around Mg at 2.106 Å, twelve Mg at 2.978 Å, and six more O... in a cell of two atoms:

    >>> from ase.build import bulk
    >>> made = pair_distributions(bulk("MgO", "rocksalt", a=4.212), r_max=3.5)
    >>> [float(made.running_numbers[pair][-1]) for pair in ("Mg-O", "O-Mg", "Mg-Mg")]
    [6.0, 6.0, 12.0]
    """
    return distributions(samples_of(structures), r_max, bin_width, progress)


def distributions(samples: Samples, r_max: float, bin_width: float, progress: Task | None = None) -> PairDistributions:
    """Measure g(r) of structures that are checked."""
    bins = max(math.ceil(r_max / bin_width - 1e-9), 1)
    edges: NDArray[np.float64] = bin_width * np.arange(bins + 1, dtype=np.float64)
    shells = 4.0 * np.pi / 3.0 * np.diff(edges**3)
    kinds = len(samples.species)
    curves, numbers, totals = [], [], []
    done, expected = 0, np.zeros((kinds, kinds))
    with task_of(progress)("pair distances", sum(map(len, samples.frames))) as update:
        for frames in samples.frames:
            g, running, total = np.zeros((kinds, kinds, bins)), np.zeros((kinds, kinds, bins)), np.zeros(bins)
            for atoms in frames:
                counts = directed_counts(atoms, samples.kinds(atoms), kinds, bin_width, bins)
                n = np.bincount(samples.kinds(atoms), minlength=kinds)
                volume = float(atoms.cell.volume)
                g += counts * (volume / (n[:, None, None] * n[:, None] * shells))
                # of a pair of like atoms each counts once
                expected += np.outer(n, n) / volume * (1.0 - 0.5 * np.eye(kinds))
                running += np.cumsum(counts, axis=2) / n[:, None, None]
                total += counts.sum(axis=(0, 1)) * (volume / (len(atoms) ** 2 * shells))
                done += 1
                update(done, "")
            curves.append(g / len(frames))
            numbers.append(running / len(frames))
            totals.append(total / len(frames))
    names = {(a, b): f"{x}-{y}" for a, x in enumerate(samples.species) for b, y in enumerate(samples.species)}
    pairs = {place: name for place, name in names.items() if place[0] <= place[1]}
    g_r, n_r, whole = average(curves), average(numbers), average(totals)
    return PairDistributions(
        r=bin_width * (np.arange(bins, dtype=np.float64) + 0.5),
        bin_width_A=bin_width,
        g_r={name: g_r.mean[place] for place, name in pairs.items()},
        g_r_standard_error=_errors(g_r, pairs),
        total_g_r=whole.mean,
        total_g_r_standard_error=whole.error,
        pairs_per_A3={name: float(expected[place]) for place, name in pairs.items()},
        running_numbers={name: n_r.mean[place] for place, name in names.items()},
        running_numbers_standard_error=_errors(n_r, names),
        **samples.measured(),
    )


def directed_counts(atoms: Atoms, kinds: NDArray[np.int64], species: int, width: float, bins: int) -> NDArray[np.int64]:
    """Count, for all ordered pairs of species, the pairs of atoms by distance: (species, species, bins)."""
    from amorph.analysis.order._pair_counts import count_pairs

    binned = make_bins(atoms.cell.array, atoms.positions, kinds.astype(np.float64))
    once = np.zeros((species * species, bins + 1), np.int64)
    count_pairs(*binned[:5], binned.positions, species, width, bins, once)
    counts = once.reshape(species, species, -1)[:, :, :-1]
    return counts + counts.transpose(1, 0, 2)


def first_peak_and_minimum(made: PairDistributions, pair: str) -> tuple[float | None, float | None]:
    """Find the first peak of a smoothed g(r) that is above 1 and above its noise, and the minimum behind it [Å]."""
    from scipy.ndimage import gaussian_filter1d

    r, width = made.r, made.bin_width_A
    smooth = gaussian_filter1d(made.g_r[pair], SMOOTHING / width, mode="nearest")
    # Poisson's, of the pairs under a Gaussian whose square has the area 1/(2√π σ)
    counted = made.pairs_per_A3[pair] * 4.0 * np.pi * r**2 * 2.0 * math.sqrt(math.pi) * SMOOTHING
    noise = _SIGNIFICANCE * np.sqrt(smooth / counted)
    top, low, place = 0, None, None
    for k, value in enumerate(smooth.tolist()):
        if low is None:
            if value > smooth[top] or smooth[top] < 1.0:
                top = k
            elif value < smooth[top] - max(_TURN * smooth[top], noise[top]):
                low = k
        elif value < smooth[low]:
            low = k
        elif value > smooth[low] + max(min(_TURN * smooth[top], _RISE), noise[k]):
            # a gap between the shells has no lowest place but a middle
            flat = np.flatnonzero(smooth[low:k] <= smooth[low]) + low
            place = float(0.5 * (r[flat[0]] + r[flat[-1]]))
            break
    return None if low is None else float(r[top]), place


def _errors(values: Average, names: dict[tuple[int, int], str]) -> Curves | None:
    if values.error is None:
        return None
    return {name: values.error[place] for place, name in names.items()}
