"""Bonds: which pairs of elements, up to what length, and the pairs of atoms that they join."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Annotated, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.order.distributions import distributions, first_peak_and_minimum
from amorph.analysis.order.samples import Samples, Structures, samples_of
from amorph.parameters import Length, Meaning, checked
from amorph.structure import PairList, pair_list

SEARCH: Final = 8.0
"""How far the minimum behind the first peak of g(r) is looked for [Å]."""
BIN: Final = 0.02
"""Width of the bins of that g(r) [Å]."""

MODIFIERS: Final = frozenset({"Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba"})
"""Cations that form no network where there are others: alkali and alkaline-earth metals."""

Cutoffs = Annotated[
    dict[str, Length],
    Meaning("Longest bonds [Å], Ti-O=2.6; by default the first minimum of g(r), see `bond_cutoffs`."),
]
"""Longest bond of pairs of elements [Å]: {"Ti-O": 2.6}."""
Formers = Annotated[
    tuple[str, ...],
    Meaning(
        "Elements that form the network; by default the cations but alkali and alkaline-earth metals, or all cations "
        "where there are no others."
    ),
]


@dataclass(frozen=True, eq=False)
class Bonds(PairList):
    """The bonds of one structure, each from both its ends."""

    kinds: NDArray[np.int64]
    """(n,) place of each atom's element among the species."""

    def select(self, chosen: NDArray[np.bool_]) -> "Bonds":
        """Keep some of the bonds."""
        return Bonds(self.i[chosen], self.j[chosen], self.S[chosen], self.D[chosen], self.d[chosen], self.kinds)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(n,) bonds of each atom."""
        return np.bincount(self.i, minlength=len(self.kinds))


@checked
def bond_cutoffs(structures: Structures, *, cutoffs: Cutoffs | None = None) -> dict[str, float]:
    """Find how long a bond of each pair of elements may be: to the first minimum of g(r) behind its first peak.

    The pairs are those of a cation and an anion; all pairs where there are only one or the other.

    Parameters
    ----------
    cutoffs
        Cutoffs that are known [Å], kept as they are; a pair that is no cation and anion is added by its cutoff.

    Raises
    ------
    ValueError
        A pair has no such minimum within 8 Å.

    Notes
    -----
    g(r) is the mean over the structures, smoothed by a Gaussian of 0.08 Å; its first peak is the first one above 1.
    Peak and minimum end where the curve has turned by more than twice its counting noise. Where g is zero between two
    shells the cutoff is the middle of the gap.

    Examples
    --------
    >>> from ase.build import bulk
    >>> {pair: round(cutoff, 1) for pair, cutoff in bond_cutoffs(bulk("MgO", "rocksalt", a=4.212)).items()}
    {'Mg-O': 2.9}
    """
    return resolve_cutoffs(samples_of(structures), cutoffs)


def resolve_cutoffs(samples: Samples, given: Cutoffs | None) -> dict[str, float]:
    """Find the cutoffs of structures that are checked."""
    known = {samples.pair(name): cutoff for name, cutoff in (given or {}).items()}
    if samples.cations and samples.anions:
        pairs = [(a, b) for a in samples.cations for b in samples.species if b in samples.anions]
    else:
        pairs = list(combinations_with_replacement(samples.species, 2))
    if missing := [pair for pair in pairs if pair not in known]:
        made = distributions(samples, SEARCH, BIN)
        for a, b in missing:
            _, minimum = first_peak_and_minimum(made, f"{a}-{b}")
            if minimum is None:
                raise ValueError(
                    f"g(r) of {a}-{b} has no minimum behind a first peak within {SEARCH:g} Å; "
                    f'give its cutoff, as in --cutoffs {a}-{b}=3.0 or cutoffs={{"{a}-{b}": 3.0}}'
                )
            known[a, b] = minimum
    order = [*pairs, *(pair for pair in known if pair not in pairs)]
    return {f"{a}-{b}": known[a, b] for a, b in order}


def bonds_of(samples: Samples, atoms: Atoms, cutoffs: dict[str, float]) -> Bonds:
    """List the bonds of one frame: a pair at its cutoff is bonded."""
    kinds = samples.kinds(atoms)
    longest = np.full((len(samples.species),) * 2, -1.0)
    for name, cutoff in cutoffs.items():
        a, b = map(samples.species.index, name.split("-"))
        longest[a, b] = longest[b, a] = cutoff
    pairs = pair_list(atoms, float(longest.max()))
    bonds = Bonds(pairs.i, pairs.j, pairs.S, pairs.D, pairs.d, kinds)
    return bonds.select(pairs.d <= longest[kinds[pairs.i], kinds[pairs.j]])


def resolve_formers(samples: Samples, formers: tuple[str, ...] | None) -> tuple[str, ...]:
    """Choose the elements that form the network."""
    if formers is not None:
        samples.require(*formers)
        if samples.cations and (anions := samples.anions.intersection(formers)):
            raise ValueError(f"{min(anions)} is an anion here, which bridges the network; name cations")
        return tuple(sorted(set(formers), key=samples.species.index))
    cations = samples.cations or samples.species
    return tuple(symbol for symbol in cations if symbol not in MODIFIERS) or cations


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of atoms that share neighbors, each pair once, on whatever images."""

    i: NDArray[np.int64]
    """(m,) index of one atom."""
    j: NDArray[np.int64]
    """(m,) index of the other."""
    S: NDArray[np.int64]
    """(m, 3) cell shifts of the other."""
    shared: NDArray[np.int64]
    """(m,) neighbors that both are bonded to: 1 a corner, 2 an edge, 3 or more a face of their polyhedra."""


def links_of(bonds: Bonds, centers: NDArray[np.bool_], ligands: NDArray[np.bool_]) -> Links:
    """Find the pairs of centers that share ligands."""
    spokes = bonds.select(ligands[bonds.i] & centers[bonds.j])
    m, n = pairs_of_bonds(spokes)
    return _once(spokes.j[m], spokes.j[n], spokes.S[n] - spokes.S[m])


def direct_links(bonds: Bonds, centers: NDArray[np.bool_]) -> Links:
    """Take the bonds between centers for links."""
    between = bonds.select(centers[bonds.i] & centers[bonds.j])
    return _once(between.i, between.j, between.S)


def _once(i: NDArray[np.int64], j: NDArray[np.int64], S: NDArray[np.int64]) -> Links:
    # one way round: the smaller index first; of an atom and its own image the shift that is positive
    code = S @ np.array([1 << 40, 1 << 20, 1])
    turned = (i > j) | ((i == j) & (code < 0))
    i, j, S = np.where(turned, j, i), np.where(turned, i, j), np.where(turned[:, None], -S, S)
    rows, shared = np.unique(np.column_stack([i, j, S]), axis=0, return_counts=True)
    return Links(rows[:, 0], rows[:, 1], rows[:, 2:], shared.astype(np.int64))


def pairs_of_bonds(bonds: Bonds) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the places of every two bonds that start at the same atom, each two once."""
    first, second = [], []
    places = np.arange(len(bonds.i))
    for k in range(1, int(bonds.numbers.max(initial=0))):
        same = places[:-k][bonds.i[:-k] == bonds.i[k:]]
        first.append(same)
        second.append(same + k)
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *first]), np.concatenate([none, *second])
