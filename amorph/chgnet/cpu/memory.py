"""How much memory an evaluation needs, known before anything large is allocated."""

from typing import TYPE_CHECKING

import numpy as np

from amorph.machine.memory import available_memory
from amorph.machine.processors import own_cores
from amorph.structure import SKIN

if TYPE_CHECKING:
    from amorph.chgnet.cpu.graph import Graph

PER_ATOM = 7_500
"""Bytes of the features and products of an atom."""
PER_ATOM_AND_THREAD = 1_280
"""Bytes of the sums that each thread, or each part of a serial evaluation, keeps for itself."""
PER_BOND = 110
PER_LISTED_PAIR = 200
"""Bytes of a directed pair while the Verlet list is rebuilt."""
PER_SHORT_EDGE = 6_700
PER_ANGLE = 600
KEPT_PER_BOND = 8_300
"""Bytes more where activations are kept for the way back: four atom convolutions with two rows of 2 · 128 each."""
KEPT_PER_ANGLE = 3_650
"""The same of an angle: three bond convolutions with a row of 2 · 128 each and an angle update with one of 128."""
KEPT_SHARE = 0.5
"""Activations are kept where they take at most this share of what is free; else they are computed again.

Of what is free an engine counts what falls to its threads: members of an ensemble that start together each see all.
"""
STOCK_PER_ANGLE = 64_000
"""Bytes of the chgnet package for an angle, which are most of what it takes: 15 GB for 1000 atoms of an oxide."""
TABLES = 295_000_000
"""Bytes of the weights, tables and compiled kernels of one model and one set of six elements (206 MB).

Tables of sets that were evaluated before stay too, up to :data:`amorph.chgnet.cpu.tables.KEPT_BYTES`, and are not
counted. Compiling the kernels, once per machine, takes 110 MB more.
"""


def bytes_of(
    atoms: float, *, bonds: float, edges: float, angles: float, pairs: float = 0, threads: int = 1, itemsize: int = 4
) -> int:
    """Count the memory of one evaluation above the interpreter's.

    From the numbers of atoms, of bonds within the cutoff, of directed short edges, of ordered pairs of those, and of
    directed pairs of a Verlet list that is still to be made; `itemsize` is 4 in float32, 8 in float64 [bytes].
    """
    parts = (
        atoms * (PER_ATOM + PER_ATOM_AND_THREAD * threads)
        + bonds * PER_BOND
        + pairs * PER_LISTED_PAIR
        + edges * PER_SHORT_EDGE
        + angles * PER_ANGLE
    )
    return int(TABLES + parts * itemsize / 4)


def kept_bytes(*, bonds: float, angles: float, itemsize: int = 4) -> int:
    """Count the memory of activations that are kept for the way back, beyond :func:`bytes_of`."""
    return int((bonds * KEPT_PER_BOND + angles * KEPT_PER_ANGLE) * itemsize / 4)


def estimate_bytes(atoms: int, volume: float, *, threads: int = 1, package: bool = False) -> int:
    """Estimate the least memory of one evaluation in a cell of some volume [Å³], before anything is listed.

    From the mean number of neighbors 4/3 π r³ ρ within 6 Å and 3 Å; those within 3 Å come in shells, so the number
    varies: 1.2 covers oxides. A structure that fills its cell unevenly (a slab) needs more:
    :meth:`MemoryGuard.check_graph` sees that. Of the chgnet `package` energy and forces; stress takes more.
    """

    def within(radius: float) -> float:
        return float(4 / 3 * np.pi * radius**3 * atoms / volume)

    edges = 1.2 * within(3.0)
    if package:
        return int(TABLES + atoms * STOCK_PER_ANGLE * edges**2)
    bonds, pairs = atoms * within(6.0) / 2, atoms * within(6.0 + SKIN)
    return bytes_of(atoms, bonds=bonds, pairs=pairs, edges=atoms * edges, angles=atoms * edges**2, threads=threads)


class MemoryGuard:
    """Compares what evaluations need with what is free, before it is taken; what was granted once is held since.

    `granted` bytes are held from the start, because another evaluation took them.
    """

    def __init__(self, granted: int = 0) -> None:
        self._granted, self._kept = granted, 0

    def check(self, atoms: int, volume: float, *, threads: int = 1, package: bool = False) -> None:
        """Refuse a structure whose estimate, less what was granted before, is more than what is free."""
        need = estimate_bytes(atoms, volume, threads=threads, package=package)
        self._grant(need, f"{atoms} atoms in {volume:.0f} Å³")

    def check_graph(self, graph: "Graph", atoms: int, *, threads: int, itemsize: int) -> bool:
        """Refuse a structure whose bonds and angles, now counted, would not fit.

        Returns
        -------
        Whether there is memory to keep activations too; where not, those kept before are to be given back.
        """
        bonds, edges, angles = graph.i.size, graph.edge_bond.size, graph.angle_knot.size
        need = bytes_of(atoms, bonds=bonds, edges=edges, angles=angles, threads=threads, itemsize=itemsize)
        kept = kept_bytes(bonds=bonds, angles=angles, itemsize=itemsize)
        more = max(0, need - self._granted) + kept - self._kept
        part = min(1.0, threads / len(own_cores()))
        keep = more <= 0 or more <= KEPT_SHARE * part * available_memory()
        self._grant(need, f"{atoms} atoms with {angles} angles between bonds")
        self._kept = max(kept, self._kept) if keep else 0
        return keep

    def _grant(self, need: int, what: str) -> None:
        if need <= self._granted:
            return
        more, free = need - self._granted, available_memory()
        if more > free:
            raise ValueError(
                f"{what} need about {more / 1e9:.1f} GB for CHGNet and {free / 1e9:.1f} GB are free; use a smaller "
                "cell or a machine with more memory"
            )
        self._granted = need
