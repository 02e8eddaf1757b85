"""Connectivity: how the polyhedra of a network hang together, and what its anions bridge."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import Cutoffs, Formers, bonds_of, links_of, resolve_cutoffs, resolve_formers
from amorph.analysis.order.samples import Mean, Measured, Samples, Structures, samples_of
from amorph.figures import Result, Row
from amorph.parameters import checked

_ALL: Final = "all"
_MOST: Final = 24
"""Largest number that is told apart; what is beyond counts there."""


@dataclass(frozen=True)
class Sharing(Result):
    """How the polyhedra of two elements share anions; means over independent structures."""

    corner_share: Mean
    """Share of the connected pairs that have one anion in common; None where no pair is connected."""
    edge_share: Mean
    """Share with two anions in common."""
    face_share: Mean
    """Share with three or more."""
    neighbors: Mean
    """Number of polyhedra of the second element that one of the first is connected to."""


@dataclass(frozen=True, kw_only=True)
class Connectivity(Measured):
    """Connectivity of the network."""

    formers: tuple[str, ...]
    """Cations that count as the network."""
    sharing: dict[str, Sharing]
    """Of each pair of elements of the network: "Ti-Mo"; "all" takes them together."""
    bridging: dict[str, dict[int, Mean]]
    """Share of the anions of each element that bind n atoms of the network: O0, O1, O2 (bridging), O3 (tricluster)."""
    q_n: dict[str, dict[int, Mean]]
    """Share of the atoms of each element of the network that bind n bridging anions: Q0, Q1, ..."""
    cutoffs_A: dict[str, float]
    """Longest bonds [Å]."""

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each pair of elements."""
        return [
            {"polyhedra": pair, **{name: figure["mean"] for name, figure in entry.figures().items()}}
            for pair, entry in self.sharing.items()
        ]

    def anion_table(self) -> list[dict[str, Any]]:
        """Give one row for each number of the network's atoms that an anion binds: O1, O2 (bridging), ..."""
        return _shares(self.bridging, "anion", "")

    def q_table(self) -> list[dict[str, Any]]:
        """Give one row for each number of bridging anions that an atom of the network binds: Si Q4, ..."""
        return _shares(self.q_n, "atom", " Q")

    def rows(self) -> list[Row]:
        """Give the share of connected polyhedra that share an edge."""
        return [Row("edge-sharing polyhedra", self.sharing[_ALL].edge_share.mean, share=True)]


def _shares(shares: dict[str, dict[int, Mean]], kind: str, joint: str) -> list[dict[str, Any]]:
    return [
        {kind: f"{symbol}{joint}{n}", "share": one.mean, "standard_error": one.standard_error}
        for symbol, numbers in shares.items()
        for n, one in numbers.items()
    ]


@checked
def connectivity(
    structures: Structures,
    *,
    formers: Formers | None = None,
    cutoffs: Cutoffs | None = None,
    progress: Task | None = None,
) -> Connectivity:
    """Count corners, edges and faces that polyhedra share, what the anions bridge, and Qⁿ.

    Parameters
    ----------
    structures
        With cations and anions: one, or independent ones, each a structure or the list of its frames.

    Raises
    ------
    ValueError
        A structure that makes no sense or without anions, a former that is not there, or a g(r) without a minimum.

    Notes
    -----
    A bridging anion binds two atoms of the network or more; Qⁿ binds n of them. Images of an atom are atoms of their
    own, so a cell gives what its supercell gives.

    Examples
    --------
    Each octahedron of rocksalt shares edges with 12 and corners with 6 others:

    >>> from ase.build import bulk
    >>> made = connectivity(bulk("MgO", "rocksalt", a=4.212), cutoffs={"Mg-O": 2.6})
    >>> round(made.sharing["all"].edge_share.mean, 3), made.sharing["all"].neighbors.mean, made.q_n["Mg"][6].mean
    (0.667, 18.0, 1.0)
    """
    samples = samples_of(structures)
    if not (samples.cations and samples.anions):
        raise ValueError(f"{'-'.join(samples.species)} has no cations and anions, so no polyhedra that share any")
    chosen = resolve_formers(samples, formers)
    limits = resolve_cutoffs(samples, cutoffs)
    pairs = [*combinations_with_replacement(chosen, 2), (_ALL, _ALL)]
    anions = [symbol for symbol in samples.species if symbol in samples.anions]
    shared = samples.average(lambda atoms: _sharing(samples, atoms, limits, chosen, pairs), "connectivity", progress)
    counts = samples.average(lambda atoms: _bridges(samples, atoms, limits, chosen, [*anions, *chosen]))
    return Connectivity(
        formers=chosen,
        sharing={
            _ALL if a == _ALL else f"{a}-{b}": Sharing(*(shared.at(k, n) for n in range(4)))
            for k, (a, b) in enumerate(pairs)
        },
        bridging={symbol: counts.shares(k) for k, symbol in enumerate(anions)},
        q_n={symbol: counts.shares(k) for k, symbol in enumerate(chosen, len(anions))},
        cutoffs_A=limits,
        **samples.measured(),
    )


def _sharing(
    samples: Samples, atoms: Atoms, limits: dict[str, float], formers: tuple[str, ...], pairs: list[tuple[str, str]]
) -> NDArray[np.float64]:
    former = samples.among(atoms, formers)
    links = links_of(bonds_of(samples, atoms, limits), former, samples.among(atoms, samples.anions))
    kinds = samples.kinds(atoms)
    ends = np.sort([kinds[links.i], kinds[links.j]], axis=0)
    values = []
    for a, b in pairs:
        if a == _ALL:
            mine, number = np.ones(len(links.i), bool), former.sum()
        else:
            low, high = sorted(map(samples.species.index, (a, b)))
            mine, number = (ends[0] == low) & (ends[1] == high), np.sum(samples.among(atoms, [a]))
        shared = links.shared[mine]
        shares = [np.mean(test) if shared.size else np.nan for test in (shared == 1, shared == 2, shared >= 3)]
        values.append([*shares, mine.sum() * (2.0 if a == b else 1.0) / number])
    return np.array(values)


def _bridges(
    samples: Samples, atoms: Atoms, limits: dict[str, float], formers: tuple[str, ...], elements: list[str]
) -> NDArray[np.float64]:
    bonds = bonds_of(samples, atoms, limits)
    former, anion = samples.among(atoms, formers), samples.among(atoms, samples.anions)
    bonds = bonds.select((former[bonds.i] & anion[bonds.j]) | (anion[bonds.i] & former[bonds.j]))
    bridging = anion & (bonds.numbers >= 2)
    numbers = np.where(anion, bonds.numbers, bonds.select(bridging[bonds.j]).numbers)
    values = []
    for symbol in elements:
        mine = samples.among(atoms, [symbol])
        values.append(np.bincount(np.minimum(numbers[mine], _MOST), minlength=_MOST + 1) / mine.sum())
    return np.array(values)
