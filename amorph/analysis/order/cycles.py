"""Rings of a network."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Interval
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import (
    Cutoffs,
    Formers,
    Links,
    bonds_of,
    direct_links,
    links_of,
    resolve_cutoffs,
    resolve_formers,
)
from amorph.analysis.order.samples import Measured, Samples, Structures, samples_of
from amorph.figures import Result, Row
from amorph.parameters import checked

Criterion = Literal["primitive", "king", "guttman"]
RingSize = Annotated[int, Interval(ge=3, le=40)]

_MANY: Final = 7
"""Nodes from which on rings are counted together in a summary."""
_CODE_BITS: Final = 40
_MOST_ATOMS: Final = 1 << 22


@dataclass(frozen=True, eq=False)
class Rings(Result):
    """The rings of one structure, each once."""

    members: dict[int, NDArray[np.int64]]
    """By size, (rings, size) indices of the atoms around each ring. In a small cell images of one atom may be in it."""
    nodes: int
    """Atoms of the network."""


@dataclass(frozen=True, kw_only=True)
class RingStatistics(Measured):
    """How many rings of each size a network has; means over independent structures."""

    criterion: Criterion
    """What counts as a ring."""
    formers: tuple[str, ...]
    """Elements whose atoms are counted in a ring's size."""
    largest: int
    """Largest size that was searched for."""
    sizes: dict[int, float]
    """Rings of each size per atom of the network: 2 six-rings in diamond."""
    standard_error: dict[int, float] | None
    """Standard error of these over the structures; None for one."""
    cutoffs_A: dict[str, float]
    """Longest bonds [Å]."""

    @property
    def mean_size(self) -> float | None:
        """Mean size of the rings; None where there is none."""
        total = sum(self.sizes.values())
        return sum(size * number for size, number in self.sizes.items()) / total if total else None

    _derived = ("mean_size",)

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each size."""
        total = sum(self.sizes.values())
        errors = self.standard_error or {}
        return [
            {"size": size, "per_atom": number, "standard_error": errors.get(size), "share": number / total}
            for size, number in self.sizes.items()
        ]

    def rows(self) -> list[Row]:
        """Give the mean size, and the share of the rings of each size; those of `_MANY` nodes or more together."""
        total = sum(self.sizes.values())
        parts = {f"{size}": self.sizes.get(size, 0.0) for size in range(3, _MANY)}
        parts[f"{_MANY} or more"] = sum(number for size, number in self.sizes.items() if size >= _MANY)
        shares = [
            Row(f"{self.criterion} rings of {size}", number / total if total else None, share=True)
            for size, number in parts.items()
        ]
        return [Row(f"mean {self.criterion} ring of {', '.join(self.formers)}", self.mean_size, "atoms"), *shares]


@checked
def rings(
    structures: Structures,
    *,
    criterion: Criterion = "primitive",
    formers: Formers | None = None,
    cutoffs: Cutoffs | None = None,
    largest: RingSize = 12,
    progress: Task | None = None,
) -> RingStatistics:
    """Count the rings of a network by size.

    The nodes are the atoms that form the network, linked where they share an anion, or bonded to each other where there
    are no anions. A ring's size is the number of its nodes: half its atoms in silica.

    Parameters
    ----------
    criterion
        "primitive": no two nodes are nearer through the network than along the ring (shortest-path rings of Franzblau).
        "king": the shortest rings through an atom and two of its neighbors. "guttman": the shortest through an atom and
        one of its neighbors. Where several are equally short all of them count.
    largest
        Largest size that is searched for; larger rings are not seen.

    Raises
    ------
    ValueError
        A structure that makes no sense, a former that is not there, or a g(r) without a minimum.

    Notes
    -----
    Every ring counts once, per cell of the endless network: it closes on the image that it started from, so that a
    small cell has no rings through its own faces, and a cell gives what its supercell gives. Two polyhedra that share
    an edge are linked once. Franzblau, Phys. Rev. B 44, 4925 (1991); King, Nature 213, 1112 (1967); Guttman,
    J. Non-Cryst. Solids 116, 145 (1990): the definitions as they are commonly given, the sources unverified.

    Examples
    --------
    >>> from ase.build import bulk
    >>> rings(bulk("C", "diamond", a=3.567), cutoffs={"C-C": 1.8}).sizes
    {6: 2.0}
    """
    samples = samples_of(structures)
    limits = resolve_cutoffs(samples, cutoffs)
    chosen = resolve_formers(samples, formers)

    def measure(atoms: Atoms) -> NDArray[np.float64]:
        found = _rings(samples, atoms, limits, chosen, criterion, largest)
        counts = [len(found.members.get(size, ())) for size in range(largest + 1)]
        return np.array(counts) / found.nodes

    made = samples.average(measure, "rings", progress)
    present = np.flatnonzero(made.mean > 0.0).tolist()
    return RingStatistics(
        criterion=criterion,
        formers=chosen,
        largest=largest,
        sizes={size: float(made.mean[size]) for size in present},
        standard_error=None if made.error is None else {size: float(made.error[size]) for size in present},
        cutoffs_A=limits,
        **samples.measured(),
    )


@checked
def find_rings(
    structure: Atoms,
    *,
    criterion: Criterion = "primitive",
    formers: Formers | None = None,
    cutoffs: Cutoffs | None = None,
    largest: RingSize = 12,
) -> Rings:
    """Find every ring of one structure, with its members; parameters, rules and errors are those of `rings`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> find_rings(bulk("C", "diamond", a=3.567), cutoffs={"C-C": 1.8}).members[6].shape
    (4, 6)
    """
    samples = samples_of(structure)
    limits = resolve_cutoffs(samples, cutoffs)
    return _rings(samples, samples.frames[0][0], limits, resolve_formers(samples, formers), criterion, largest)


def _rings(
    samples: Samples,
    atoms: Atoms,
    limits: dict[str, float],
    formers: tuple[str, ...],
    criterion: Criterion,
    largest: int,
) -> Rings:
    # inside the cell the shifts of neighbors are small, wherever the atoms came from
    atoms.wrap()
    bonds = bonds_of(samples, atoms, limits)
    node, anion = samples.among(atoms, formers), samples.among(atoms, samples.anions)
    links = links_of(bonds, node, anion) if samples.cations and samples.anions else direct_links(bonds, node)
    # the search keeps a table for every node, so anions are none
    nodes, number = np.flatnonzero(node), np.cumsum(node) - 1
    links = Links(number[links.i], number[links.j], links.S, links.shared)
    found = search_rings(len(nodes), links, criterion, largest)
    return Rings({size: nodes[members] for size, members in found.items()}, len(nodes))


def search_rings(n: int, links: Links, criterion: Criterion, largest: int) -> dict[int, NDArray[np.int64]]:
    """Search a network of n nodes for rings, each once: by size, (rings, size) nodes."""
    from amorph.analysis.order import _rings as kernels
    from amorph.analysis.order._nodes import WIDTH, distance_tables
    from amorph.analysis.order._opposites import opposites

    if n > _MOST_ATOMS or np.abs(links.S).max(initial=0) * (largest + 1) >= WIDTH // 2:
        raise ValueError(f"{n} atoms in a cell this skewed are too many to search for rings; give the reduced cell")
    code = links.S @ np.array([WIDTH * WIDTH, WIDTH, 1])
    i, j, codes = (np.concatenate(both) for both in ((links.i, links.j), (links.j, links.i), (code, -code)))
    order = np.lexsort((codes, j, i))
    starts = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n))])
    network = starts, j[order], codes[order]
    if criterion == "primitive":
        pairs = opposites(largest, *network)
        tables = distance_tables(int(pairs[:, 3].max(initial=0)), *network)
        found, sizes = kernels.primitive_rings(largest, pairs, *network, *tables)
        return {size: found[sizes == size, 0, :size] for size in np.unique(sizes).tolist()}
    found, sizes = kernels.shortest_rings(largest, criterion == "guttman", *network)
    return {size: _distinct(found[sizes == size, :, :size]) for size in np.unique(sizes).tolist()}


def _distinct(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep each ring once: turned so that its least node is first and the lesser of its neighbors second."""
    size = found.shape[2]
    keys = (found[:, 0] << _CODE_BITS) + found[:, 1]
    rows = np.arange(len(found))[:, None]
    ahead = (keys.argmin(axis=1)[:, None] + np.arange(size)) % size
    back = ahead[:, ::-1][:, (np.arange(size) - 1) % size]
    places = np.where((keys[rows, ahead[:, 1:2]] < keys[rows, back[:, 1:2]]), ahead, back)
    atoms, codes = found[rows, 0, places], found[rows, 1, places]
    turned = np.column_stack([atoms, codes - codes[:, :1]])
    return np.unique(turned, axis=0)[:, :size]
