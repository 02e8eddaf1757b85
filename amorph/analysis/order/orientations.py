"""Steinhardt's bond-orientational order: how much the surroundings of an atom are those of a crystal."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.crystallinity import bond_harmonics, harmonic_products, nearest_pairs
from amorph.analysis.grids import Task
from amorph.analysis.order.samples import Mean, Measured, Structures, samples_of
from amorph.parameters import Count, checked


@dataclass(frozen=True, kw_only=True)
class BondOrder(Measured):
    """Bond-orientational order of a sublattice; means over its atoms, then over independent structures."""

    species: tuple[str, ...]
    """Elements of the sublattice."""
    neighbors: int
    """Nearest atoms of the sublattice that make the surroundings of one, and those that tie for last."""
    q4: Mean
    """q4 of the atoms."""
    q6: Mean
    """q6 of the atoms."""
    averaged_q4: Mean
    """q̄4, of the surroundings averaged over an atom and its neighbors."""
    averaged_q6: Mean
    """q̄6, the one that tells a crystal from a liquid best."""

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each figure."""
        return [{"figure": n, **getattr(self, n).figures()} for n in ("q4", "q6", "averaged_q4", "averaged_q6")]


@checked
def bond_order(
    structures: Structures,
    *,
    species: tuple[str, ...] | None = None,
    neighbors: Count = 12,
    progress: Task | None = None,
) -> BondOrder:
    r"""Measure q4 and q6 of a sublattice, and their averages over the neighborhood.

    Parameters
    ----------
    species
        Elements of the sublattice; by default the anions, or all atoms where there are none.
    neighbors
        How many nearest atoms of the sublattice make the surroundings: 12 in a close-packed one. Those that tie for
        last, within 0.001 Å, count too.

    Raises
    ------
    ValueError
        A structure that makes no sense, or an element that is not there.

    Notes
    -----
    :math:`q_l = \sqrt{\frac{4\pi}{2l+1} \sum_m |q_{lm}|^2}` with :math:`q_{lm}` the mean of the spherical harmonics
    over an atom's neighbors (Steinhardt, Nelson & Ronchetti 1983); in :math:`\bar q_l` the mean of :math:`q_{lm}` over
    the atom and its neighbors takes its place (Lechner & Dellago 2008; both sources unverified). The verdict on a glass
    is :func:`amorph.analysis.crystallinity.crystallinity`.

    Examples
    --------
    The O of rocksalt are an fcc lattice, for which q4 = 0.191 and q6 = 0.575:

    >>> from ase.build import bulk
    >>> made = bond_order(bulk("MgO", "rocksalt", a=4.212))
    >>> round(made.averaged_q4.mean, 3), round(made.averaged_q6.mean, 3)
    (0.191, 0.575)
    """
    samples = samples_of(structures)
    samples.require(*(species or ()))
    chosen = tuple(
        symbol for symbol in samples.species if symbol in (species or samples.anions or frozenset(samples.species))
    )

    def measure(atoms: Atoms) -> NDArray[np.float64]:
        sublattice = atoms[samples.among(atoms, chosen)]
        pairs = nearest_pairs(sublattice, neighbors)
        values = []
        for degree in (4, 6):
            own = bond_harmonics(pairs, degree)
            sums = own.copy()
            np.add.at(sums, pairs.i, own[pairs.j])
            around = sums / (1 + np.bincount(pairs.i, minlength=len(sublattice)))[:, None]
            scale = 4.0 * np.pi / (2 * degree + 1)
            values += [np.sqrt(scale * harmonic_products(q, q)).mean() for q in (own, around)]
        return np.array(values)

    made = samples.average(measure, "bond order", progress)
    q4, averaged_q4, q6, averaged_q6 = (made.at(n) for n in range(4))
    return BondOrder(
        species=chosen,
        neighbors=neighbors,
        q4=q4,
        q6=q6,
        averaged_q4=averaged_q4,
        averaged_q6=averaged_q6,
        **samples.measured(),
    )
