"""Bragg peaks of a structure, however its crystal lies in the cell: the strongest of each sublattice."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.fft import next_fast_len, rfftn

BRAGG_REACH: Final = 5.0
"""Longest scattering vector of the search [1/Å]; beyond it thermal motion wipes the peaks out."""
BRAGG_LIMIT: Final = (0.05, 33.0)
"""A and B of the largest I/N² of n atoms of a disordered structure, A + 1 − exp(−B/n): A + B/n where n is large, and
less where it is small, as few phases agree by chance more rarely than that. Glasses reach 0.8 of it."""

_ORDER: Final = 6
"""Order of the splines by which atoms are laid on the grid of the Fourier transform."""
_OVERSAMPLING: Final = 3
"""Points of that grid for each scattering vector along an edge: amplitudes are then right within 2 %."""
_CANDIDATES: Final = 8
"""Strongest peaks of a sublattice on that grid whose intensity is then summed atom by atom."""
_AT_ONCE: Final = 20_000
"""Atoms laid on the grid at once, to bound the memory."""


class Peak(NamedTuple):
    """The strongest Bragg peak of some of the atoms."""

    name: str
    """Which atoms: "anions", "cations without Li"."""
    intensity: float
    """I/N², mean over the frames."""
    atoms: int
    """Number of the atoms that scatter."""

    @property
    def limit(self) -> float:
        """Largest I/N² of as many atoms of a disordered structure."""
        return BRAGG_LIMIT[0] + 1.0 - math.exp(-BRAGG_LIMIT[1] / self.atoms)

    @property
    def holds(self) -> bool | None:
        """Whether no crystal shows; None where so few atoms scatter that none could."""
        return self.intensity <= self.limit if self.limit < 1.0 else None


def bragg_peaks(frames: Sequence[Atoms], anion: NDArray[np.bool_]) -> list[Peak]:
    """Find the strongest peak, I/N² as the mean over the frames, of each sublattice and of each without one element.

    The amplitudes of all scattering vectors come from one Fourier transform for each element; the strongest
    intensities are then summed anew, atom by atom.
    """
    first = frames[0]
    kinds = np.char.add(np.array(first.symbols), np.where(anion, "-", "+"))
    groups = _groups(kinds)
    most = np.floor(BRAGG_REACH * first.cell.lengths() / (2.0 * np.pi)).astype(int)
    searched = _searched(first, most)
    if not searched.any():
        return [Peak(name, 0.0, int(np.isin(kinds, list(chosen)).sum())) for name, chosen in groups.items()]
    fractional = [atoms.cell.scaled_positions(atoms.positions) for atoms in frames]
    totals = {name: np.zeros(searched.shape, dtype=np.float32) for name in groups}
    for positions in fractional:
        amplitudes = {kind: _amplitudes(positions[kinds == kind], most) for kind in set(kinds)}
        for name, chosen in groups.items():
            totals[name] += np.abs(sum(amplitudes[kind] for kind in chosen)) ** 2
    peaks = []
    for name, chosen in groups.items():
        scatter = np.isin(kinds, list(chosen))
        totals[name][~searched] = -1.0
        count = min(_CANDIDATES, int(searched.sum()))
        places = np.argpartition(totals[name], -count, axis=None)[-count:]
        h = np.array(np.unravel_index(places, searched.shape)) - np.array([most[0], most[1], 0])[:, None]
        waves = [np.exp(2j * np.pi * (positions[scatter] @ h)).mean(axis=0) for positions in fractional]
        peaks.append(Peak(name, float(np.mean(np.abs(waves) ** 2, axis=0).max()), int(scatter.sum())))
    return peaks


def strongest(peaks: Sequence[Peak]) -> Peak:
    """Choose the highest peak above its limit; without one the nearest to it, that of too few atoms last."""
    if above := [peak for peak in peaks if peak.holds is False]:
        return max(above, key=lambda peak: peak.intensity)
    return max(peaks, key=lambda peak: (peak.holds is not None, peak.intensity / peak.limit))


def _groups(kinds: NDArray[np.str_]) -> dict[str, frozenset[str]]:
    """Name the sublattices, and each without one of its elements: one that flows hides the frame that stands."""
    found = set(kinds.tolist())
    sublattices = {"all atoms": found}
    if len({kind[-1] for kind in found}) == 2:
        sublattices["anions"] = {kind for kind in found if kind[-1] == "-"}
        sublattices["cations"] = {kind for kind in found if kind[-1] == "+"}
    groups: dict[frozenset[str], str] = {}
    for name, members in sublattices.items():
        groups[frozenset(members)] = name
    for name, members in sublattices.items():
        for element in sorted({kind[:-1] for kind in members}):
            rest = frozenset(kind for kind in members if kind[:-1] != element)
            if rest:
                groups.setdefault(rest, f"{name} without {element}")
    return {name: members for members, name in groups.items()}


def _searched(atoms: Atoms, most: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which scattering vectors lie within reach, their indices running from −most (the last: from 0) to most."""
    reciprocal = 2.0 * np.pi * atoms.cell.reciprocal().array
    h, k, m = np.ogrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1, : most[2] + 1]
    squares = np.zeros(np.broadcast_shapes(h.shape, k.shape, m.shape))
    for axis in range(3):
        squares += (h * reciprocal[0, axis] + k * reciprocal[1, axis] + m * reciprocal[2, axis]) ** 2
    return np.asarray((squares > 1e-9) & (squares <= BRAGG_REACH**2))


def _amplitudes(fractional: NDArray[np.float64], most: NDArray[np.int64]) -> NDArray[np.complex64]:
    """Sum exp(−2πi h·s) over atoms at fractional coordinates s, for every h of :func:`_searched`, up to one phase.

    Each atom is laid on a grid as a product of splines, whose transform, sinc to the power of their order, is divided
    out.
    """
    shape = [next_fast_len(int(max(_OVERSAMPLING * n, _ORDER) + 1), real=True) for n in most]
    grid = np.zeros(shape, dtype=np.float32)
    for first in range(0, len(fractional), _AT_ONCE):
        scaled = (fractional[first : first + _AT_ONCE] % 1.0) * shape
        below = np.floor(scaled).astype(int)
        weights = _spline(scaled - below)
        places = [(below[:, axis, None] - np.arange(_ORDER)) % shape[axis] for axis in range(3)]
        rows = (places[0][:, :, None] * shape[1] + places[1][:, None, :])[..., None] * shape[2]
        where = rows + places[2][:, None, None, :]
        shares = np.einsum("ni,nj,nk->nijk", *weights.transpose(1, 0, 2)).astype(np.float32)
        np.add.at(grid.reshape(-1), where.reshape(-1), shares.reshape(-1))
    indices = [np.arange(-most[0], most[0] + 1), np.arange(-most[1], most[1] + 1), np.arange(most[2] + 1)]
    amplitudes = rfftn(grid)[np.ix_(*indices)]
    for axis, (h, points) in enumerate(zip(indices, shape, strict=True)):
        amplitudes /= np.expand_dims(np.sinc(h / points) ** _ORDER, [other for other in range(3) if other != axis])
    return np.asarray(amplitudes, dtype=np.complex64)


def _spline(offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the cardinal spline at offset, offset + 1, ..., for an offset in [0, 1): (n, 3, order), of sum 1."""
    u = offset[..., None] + np.arange(_ORDER)
    values = np.where(np.arange(_ORDER) == 0, 1.0, 0.0) * np.ones_like(u)
    for order in range(2, _ORDER + 1):
        before = np.concatenate([np.zeros_like(values[..., :1]), values[..., :-1]], axis=-1)
        values = (u * values + (order - u) * before) / (order - 1)
    return values
