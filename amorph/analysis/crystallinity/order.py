"""Measures of order in a structure: the parent's Bragg intensity, clusters of solid atoms, displacements."""

from collections.abc import Set
from typing import Final, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import sph_harm_y

from amorph.structure import PairList, pair_list

BOND_ORDER: Final = 0.5
"""Normalised q6·q6* above which two anions have like surroundings."""
SHELL: Final = 12
"""Nearest anions that make the surroundings of an anion: the first shell of a close-packed sublattice."""
SOLID_BONDS: Final = 9
"""Of these, how many must have like surroundings in a solid anion."""
TIE: Final = 1e-3
"""Difference of distances below which neighbors tie [Å]. In a simple cubic sublattice the twelfth place has a tie."""

SURFACE_BONDS: Final = 2
"""Bonds to a cluster of solid anions, of like surroundings, by which an anion is at its surface."""

STRONGEST_STAR: Final = 2 * np.eye(3, dtype=int)
"""{200}: where all atoms of rocksalt scatter in phase. The other three members are these with the other sign."""


class Solid(NamedTuple):
    """How much of a sublattice is solid."""

    share: float
    """Share of its atoms that are solid."""
    cluster: int
    """Atoms of the largest cluster of solid ones that like surroundings join."""
    crystal: float
    """Share of its atoms in that cluster or at its surface."""


def parent_order(atoms: Atoms, matrix: NDArray[np.int64]) -> float:
    """Order left from the rocksalt parent: I/N² over all atoms, mean over its strongest star."""
    # cell = matrix · conventional cell, so conventional fractional coordinates are s · matrix
    fractional = atoms.cell.scaled_positions(atoms.positions) @ matrix
    amplitudes = np.exp(2j * np.pi * (fractional @ STRONGEST_STAR.T)).mean(axis=0)
    return float(np.mean(np.abs(amplitudes) ** 2))


def solid_cluster(atoms: Atoms) -> Solid:
    """Find the solid atoms, those in like surroundings with three quarters of their nearest, and what they make up."""
    pairs = nearest_pairs(atoms, SHELL)
    q6 = bond_harmonics(pairs, 6)
    norm = np.sqrt(harmonic_products(q6, q6))[:, None]
    unit = np.zeros_like(q6)
    np.divide(q6, norm, out=unit, where=norm > 0)
    like = harmonic_products(unit[pairs.i], unit[pairs.j]) > BOND_ORDER
    neighbors = np.bincount(pairs.i, minlength=len(atoms))
    solid = np.bincount(pairs.i, like, minlength=len(atoms)) * SHELL >= SOLID_BONDS * neighbors
    if not solid.any():
        return Solid(0.0, 0, 0.0)
    bonds = like & solid[pairs.i] & solid[pairs.j]
    graph = coo_array((bonds[bonds], (pairs.i[bonds], pairs.j[bonds])), shape=(len(atoms), len(atoms)))
    cluster = connected_components(graph, directed=False)[1]
    sizes = np.bincount(cluster[solid])
    largest = solid & (cluster == sizes.argmax())
    touching = np.bincount(pairs.i, like & largest[pairs.j], minlength=len(atoms)) >= SURFACE_BONDS
    return Solid(float(solid.mean()), int(sizes.max()), float((largest | touching).mean()))


def bond_harmonics(pairs: PairList, degree: int) -> NDArray[np.complex128]:
    """Average the spherical harmonics of the pairs of each atom: (n, degree + 1), for m from 0 up.

    Every atom needs a pair. Those of m < 0 are the conjugates of m > 0 but for a sign.
    """
    polar = np.arccos(np.clip(pairs.D[:, 2] / pairs.d, -1.0, 1.0))
    azimuth = np.arctan2(pairs.D[:, 1], pairs.D[:, 0])
    first = np.flatnonzero(np.diff(pairs.i, prepend=-1))  # of each atom: its pairs stand together
    harmonics = sph_harm_y(degree, np.arange(degree + 1), polar[:, None], azimuth[:, None])
    sums: NDArray[np.complex128] = np.add.reduceat(harmonics, first, dtype=np.complex128)
    return sums / np.diff(first, append=pairs.i.size)[:, None]


def harmonic_products(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Sum a·b* over all m from −degree to degree, for arrays that hold m from 0 up."""
    weight = np.full(a.shape[1], 2.0)
    weight[0] = 1.0
    products: NDArray[np.float64] = np.sum(weight * (a * b.conj()).real, axis=1)
    return products


def nearest_pairs(atoms: Atoms, count: int) -> PairList:
    """List the pairs of each atom with its nearest `count` atoms, images included, and with those that tie for last."""
    cutoff = 1.3 * (3.0 * count * atoms.cell.volume / (4.0 * np.pi * len(atoms))) ** (1 / 3)
    while (numbers := np.bincount((pairs := pair_list(atoms, cutoff)).i, minlength=len(atoms))).min() < count:
        cutoff *= 1.3
    order = np.lexsort((pairs.d, pairs.i))
    last = pairs.d[order][np.cumsum(numbers) - numbers + count - 1]
    keep = pairs.d <= last[pairs.i] + TIE
    return PairList(pairs.i[keep], pairs.j[keep], pairs.S[keep], pairs.D[keep], pairs.d[keep])


def displacements(start: Atoms, frames: list[Atoms]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean-square displacement of each species, mean over the frames, and the one that counts as molten [Å²]."""
    origin = start.cell.scaled_positions(start.positions)
    masses = start.get_masses()
    squares = np.zeros(len(start))
    for atoms in frames:
        moved = (atoms.cell.scaled_positions(atoms.positions) - origin) @ atoms.cell.array
        moved -= masses @ moved / masses.sum()
        squares += np.sum(moved**2, axis=1) / len(frames)
    distances = _nearest_distances(start)
    symbols = np.array(start.symbols)
    species = sorted(set(start.symbols), key=lambda symbol: atomic_numbers[symbol])
    return (
        {symbol: float(squares[symbols == symbol].mean()) for symbol in species},
        {symbol: float(distances[symbols == symbol].mean() ** 2) for symbol in species},
    )


def displaced_shares(
    start: Atoms, before: NDArray[np.float64], after: NDArray[np.float64], *, mobile: Set[str], beyond: float
) -> dict[str, float]:
    """Share of the atoms of each element but the mobile ones that stand elsewhere after than before.

    Elsewhere is further than `beyond` of the element's nearest distance in the start, seen from the center of mass of
    all but the mobile atoms. Positions are unwrapped.
    """
    symbols = np.array(start.symbols)
    host = ~np.isin(symbols, list(mobile))
    masses = start.get_masses()[host]
    steps = (after - before)[host]
    moved = np.linalg.norm(steps - masses @ steps / masses.sum(), axis=1)
    distances, symbols = _nearest_distances(start)[host], symbols[host]
    return {
        str(symbol): float(np.mean(moved[symbols == symbol] > beyond * distances[symbols == symbol].mean()))
        for symbol in sorted(set(symbols), key=lambda symbol: atomic_numbers[symbol])
    }


def _nearest_distances(atoms: Atoms) -> NDArray[np.float64]:
    """Distance of each atom to its nearest [Å]."""
    nearest = nearest_pairs(atoms, 1)
    distances: NDArray[np.float64] = np.minimum.reduceat(nearest.d, np.flatnonzero(np.diff(nearest.i, prepend=-1)))
    return distances
