"""Connectivity: how the polyhedra of a network hang together, and what its anions bridge."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import Cutoffs, bonds_of, links_of, resolve_cutoffs, resolve_formers
from amorph.analysis.order.samples import Average, Measured, Samples, Structures, samples_of
from amorph.figures import Result, Row
from amorph.parameters import checked

_ALL: Final = "all"
_MOST: Final = 24
"""Largest number that is told apart; what is beyond counts there."""


@dataclass(frozen=True)
class Sharing(Result):
    """How the polyhedra of two elements share anions; means over independent structures."""

    corner_share: float
    """Share of the connected pairs that have one anion in common; NaN where no pair is connected."""
    edge_share: float
    """Share with two anions in common."""
    face_share: float
    """Share with three or more."""
    edge_share_standard_error: float | None
    """Standard error of the edge-sharing share over the structures; None for one."""
    neighbors: float
    """Mean number of polyhedra of the second element that one of the first is connected to."""


@dataclass(frozen=True, kw_only=True)
class Connectivity(Measured):
    """Connectivity of the network."""

    formers: tuple[str, ...]
    """Cations that count as the network."""
    sharing: dict[str, Sharing]
    """Of each pair of elements of the network: "Ti-Mo"; "all" takes them together."""
    bridging: dict[str, dict[int, float]]
    """Share of the anions of each element that bind n atoms of the network: O0, O1, O2 (bridging), O3 (tricluster)."""
    bridging_standard_error: dict[str, dict[int, float]] | None
    """Standard errors of these over the structures; None for one."""
    q_n: dict[str, dict[int, float]]
    """Share of the atoms of each element of the network that bind n bridging anions: Q0, Q1, ..."""
    q_n_standard_error: dict[str, dict[int, float]] | None
    """Standard errors of these."""
    cutoffs_A: dict[str, float]
    """Longest bonds [Å]."""

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each pair of elements."""
        return [{"polyhedra": pair, **entry.figures()} for pair, entry in self.sharing.items()]

    def rows(self) -> list[Row]:
        """Give the share of connected polyhedra that share an edge."""
        return [Row("edge-sharing polyhedra", self.sharing[_ALL].edge_share)]


@checked
def connectivity(
    structures: Structures,
    *,
    formers: tuple[str, ...] | None = None,
    cutoffs: Cutoffs | None = None,
    progress: Task | None = None,
) -> Connectivity:
    """Count corners, edges and faces that polyhedra share, what the anions bridge, and Qⁿ.

    Parameters
    ----------
    structures
        One structure with cations and anions, or independent ones, each a structure or the list of its frames; see
        `pair_distributions`.
    formers
        Cations that form the network; by default all but alkali and alkaline-earth metals, or all where there are no
        others.
    cutoffs
        Longest bonds [Å], {"Ti-O": 2.6}; by default the first minimum of g(r), see `bond_cutoffs`.
    progress
        Where progress goes: the display of a label and a number of frames, :meth:`amorph.progress.Progress.task`.

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
    >>> round(made.sharing["all"].edge_share, 3), made.sharing["all"].neighbors, made.bridging["O"], made.q_n["Mg"]
    (0.667, 18.0, {6: 1.0}, {6: 1.0})
    """
    samples = samples_of(structures)
    if not (samples.cations and samples.anions):
        raise ValueError(f"{'-'.join(samples.species)} has no cations and anions, so no polyhedra that share any")
    chosen = resolve_formers(samples, formers)
    if anion := [symbol for symbol in chosen if symbol in samples.anions]:
        raise ValueError(f"{anion[0]} is an anion here and forms no network; name cations")
    limits = resolve_cutoffs(samples, cutoffs)
    pairs = [*combinations_with_replacement(chosen, 2), (_ALL, _ALL)]
    anions = [symbol for symbol in samples.species if symbol in samples.anions]
    shared = samples.average(lambda atoms: _sharing(samples, atoms, limits, chosen, pairs), "connectivity", progress)
    counts = samples.average(lambda atoms: _bridges(samples, atoms, limits, chosen, [*anions, *chosen]))
    return Connectivity(
        formers=chosen,
        sharing={_pair_name(a, b): _shared(shared, k) for k, (a, b) in enumerate(pairs)},
        bridging=_shares(counts, anions, 0)[0],
        bridging_standard_error=_shares(counts, anions, 0)[1],
        q_n=_shares(counts, chosen, len(anions))[0],
        q_n_standard_error=_shares(counts, chosen, len(anions))[1],
        cutoffs_A=limits,
        **samples.measured(),
    )


def _masks(samples: Samples, kinds: NDArray[np.int64], formers: tuple[str, ...]) -> list[NDArray[np.bool_]]:
    return [np.array([s in which for s in samples.species])[kinds] for which in (formers, samples.anions)]


def _sharing(
    samples: Samples,
    atoms: Atoms,
    limits: dict[str, float],
    formers: tuple[str, ...],
    pairs: list[tuple[str, str]],
) -> NDArray[np.float64]:
    bonds = bonds_of(samples, atoms, limits)
    links = links_of(bonds, *_masks(samples, bonds.kinds, formers))
    ends = np.sort([bonds.kinds[links.i], bonds.kinds[links.j]], axis=0)
    former = _masks(samples, bonds.kinds, formers)[0]
    values = []
    for a, b in pairs:
        if a == _ALL:
            mine, number = np.ones(len(links.i), bool), former.sum()
        else:
            low, high = sorted(samples.species.index(symbol) for symbol in (a, b))
            mine, number = (ends[0] == low) & (ends[1] == high), np.sum(bonds.kinds == samples.species.index(a))
        shared = links.shared[mine]
        shares = [np.mean(test) if shared.size else np.nan for test in (shared == 1, shared == 2, shared >= 3)]
        values.append([*shares, mine.sum() * (2.0 if a == b else 1.0) / number])
    return np.array(values)


def _pair_name(a: str, b: str) -> str:
    return a if a == _ALL else f"{a}-{b}"


def _shared(made: Average, k: int) -> Sharing:
    corner, edge, face, neighbors = made.mean[k].tolist()
    return Sharing(corner, edge, face, made.error_of(k, 1), neighbors)


def _bridges(
    samples: Samples, atoms: Atoms, limits: dict[str, float], formers: tuple[str, ...], elements: list[str]
) -> NDArray[np.float64]:
    bonds = bonds_of(samples, atoms, limits)
    former, anion = _masks(samples, bonds.kinds, formers)
    bonds = bonds.select((former[bonds.i] & anion[bonds.j]) | (anion[bonds.i] & former[bonds.j]))
    bridging = anion & (bonds.numbers >= 2)
    q_n = bonds.select(bridging[bonds.j]).numbers
    values = []
    for symbol in elements:
        mine = bonds.kinds == samples.species.index(symbol)
        numbers = (bonds.numbers if symbol in samples.anions else q_n)[mine]
        values.append(np.bincount(np.minimum(numbers, _MOST), minlength=_MOST + 1) / mine.sum())
    return np.array(values)


def _shares(
    counts: Average, symbols: "list[str] | tuple[str, ...]", first: int
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]] | None]:
    """Read the shares of numbers that occur, and their errors, of some elements."""
    means: dict[str, dict[int, float]] = {}
    errors: dict[str, dict[int, float]] = {}
    for row, symbol in enumerate(symbols, first):
        present = np.flatnonzero(counts.mean[row] > 0.0).tolist()
        means[symbol] = {n: float(counts.mean[row, n]) for n in present}
        errors[symbol] = {n: float(counts.error[row, n]) for n in present} if counts.error is not None else {}
    return means, None if counts.error is None else errors
