"""The periodic pair list."""

import functools
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

SKIN = 1.0
"""Margin of a Verlet list beyond its cutoff [Å]; about ten steps of 2 fs in an oxide melt at 3000 K."""

_MOST_BINS = 100_000
"""Bins that vesin sorts atoms into, at most."""


@dataclass(frozen=True, eq=False)
class PairList:
    """Every directed pair of atoms within a cutoff, periodic images included, sorted by i, j and shift."""

    i: NDArray[np.int64]
    """(m,) index of the first atom."""
    j: NDArray[np.int64]
    """(m,) index of the second atom."""
    S: NDArray[np.int64]
    """(m, 3) cell shifts of the second atom."""
    D: NDArray[np.float64]
    """(m, 3) vectors r_j − r_i + S·cell [Å]."""
    d: NDArray[np.float64]
    """(m,) distances [Å]."""


def pair_list(atoms: Atoms, cutoff: float) -> PairList:
    """List all directed pairs with a distance of at most `cutoff` [Å] under the periodicity of `atoms`.

    Raises
    ------
    ValueError
        Periodic in one or two directions only; a cell too elongated to be searched.

    Examples
    --------
    >>> from ase.build import bulk
    >>> len(pair_list(bulk("MgO", "rocksalt", a=4.212), 2.2).d)  # 6 neighbors of each of two atoms
    12
    """
    # vesin counts d < cutoff; the next representable number up makes the cutoff itself belong.
    calculator = _vesin().NeighborList(cutoff=float(np.nextafter(cutoff, np.inf)), full_list=True, sorted=True)
    if not (atoms.pbc.all() or not atoms.pbc.any()):
        raise ValueError(f"periodic along {atoms.pbc.tolist()}: a pair list needs all three directions or none")
    _check_bins(atoms, cutoff)
    i, j, S, D, d = calculator.compute(
        points=atoms.positions, box=atoms.cell.array, periodic=bool(atoms.pbc.all()), quantities="ijSDd"
    )
    order = np.lexsort((S[:, 2], S[:, 1], S[:, 0], j, i))
    return PairList(i[order].astype(np.int64), j[order].astype(np.int64), S[order].astype(np.int64), D[order], d[order])


def half_list(atoms: Atoms, cutoff: float) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """List each pair of a periodic structure once, in a third of the time of :func:`pair_list`, without lengths.

    Returns
    -------
    (m,) first atoms i; (m,) second atoms j; (m, 3) cell shifts of these. Sorted by i, j and shift; i < j, or i = j with
    a shift whose first component that is not 0 is positive.

    Raises
    ------
    ValueError
        A cell too elongated to be searched.
    """
    _check_bins(atoms, cutoff)
    calculator = _vesin().NeighborList(cutoff=float(np.nextafter(cutoff, np.inf)), full_list=False)
    i, j, S = calculator.compute(points=atoms.positions, box=atoms.cell.array, periodic=True, quantities="ijS")
    i, j, S = i.astype(np.int64), j.astype(np.int64), S.astype(np.int64)
    first = np.where(S[:, 0] != 0, S[:, 0], np.where(S[:, 1] != 0, S[:, 1], S[:, 2]))
    turned = (i > j) | ((i == j) & (first < 0))
    i, j, S = np.where(turned, j, i), np.where(turned, i, j), np.where(turned[:, None], -S, S)
    # Shifts of one pair of atoms sort as those between the atoms in the cell, which are small: one number holds all.
    home = np.floor(atoms.cell.scaled_positions(atoms.positions)).astype(np.int64)
    near = S + home[j] - home[i]
    near -= near.min(axis=0, initial=0)
    key = i * len(atoms) + j
    for axis in range(3):
        key = key * (near[:, axis].max(initial=0) + 1) + near[:, axis]
    order = np.argsort(key)
    return i[order].astype(np.int32), j[order].astype(np.int32), S[order].astype(np.float64)


def _check_bins(atoms: Atoms, cutoff: float) -> None:
    """Refuse a cell so elongated that vesin divides by zero, which ends the process.

    It sorts atoms into bins as wide as the cutoff. Where those are more than 100 000, it chooses their number along the
    third axis and truncates what follows from that along the others: along a short edge of a long cell none is left.
    """
    if not (atoms.pbc.all() and atoms.cell.rank == 3):
        return
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    for rounding in (1.0 - 1e-9, 1.0 + 1e-9):
        x, y, z = np.maximum(1.0, np.trunc(heights / cutoff * rounding))
        if x * y * z > _MOST_BINS:
            bins = np.trunc(np.cbrt(_MOST_BINS / (x / y * (y / z) ** 2)))
            if min(bins, y / z * bins, x / y * np.trunc(y / z * bins)) < 1.0 + 1e-9:
                raise ValueError(
                    f"opposite faces of the cell are {heights.min():.3g} to {heights.max():.3g} Å apart: too elongated "
                    "to search it for neighbors; check the units, or give a cell with less empty space"
                )


class _WithoutTorch(MetaPathFinder):
    """Hides torch from one thread, as if it were not installed; other threads may import it meanwhile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing, and for torch let nobody else look."""
        if fullname == "torch" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError("torch is hidden while vesin is imported", name=fullname)
        return None


_importing = threading.Lock()


@functools.cache
def _vesin() -> ModuleType:
    """Import vesin without torch, which it would load, for seconds, only to know tensors when it is given some."""
    with _importing:
        finder = _WithoutTorch()
        # New lists, because another thread may be walking along the old one.
        sys.meta_path = [finder, *sys.meta_path]
        try:
            import vesin
        finally:
            sys.meta_path = [other for other in sys.meta_path if other is not finder]
    return vesin
