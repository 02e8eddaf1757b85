"""The periodic pair list."""

import functools
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from ase import Atoms
from numpy.typing import NDArray


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

    >>> from ase.build import bulk
    >>> len(pair_list(bulk("MgO", "rocksalt", a=4.212), 2.2).d)  # 6 neighbours of each of two atoms
    12
    """
    # vesin counts d < cutoff; the next representable number up makes the cutoff itself belong.
    calculator = _vesin().NeighborList(cutoff=float(np.nextafter(cutoff, np.inf)), full_list=True, sorted=True)
    if not (atoms.pbc.all() or not atoms.pbc.any()):
        raise ValueError(f"periodic along {atoms.pbc.tolist()}: a pair list needs all three directions or none")
    i, j, S, D, d = calculator.compute(
        points=atoms.positions, box=atoms.cell.array, periodic=bool(atoms.pbc.all()), quantities="ijSDd"
    )
    order = np.lexsort((S[:, 2], S[:, 1], S[:, 0], j, i))
    return PairList(i[order].astype(np.int64), j[order].astype(np.int64), S[order].astype(np.int64), D[order], d[order])


@functools.cache
def _vesin() -> ModuleType:
    """Import vesin without torch, which it would load, for seconds, only to know tensors when it is given some."""
    absent = object()
    before = sys.modules.get("torch", absent)
    if before is absent:
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import of it now fails as if it were not installed
    try:
        import vesin
    finally:
        if before is absent:
            del sys.modules["torch"]
    return vesin
