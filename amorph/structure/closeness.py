"""Which atoms are too close to each other, or nowhere."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure.atoms import MINIMUM_DISTANCE
from amorph.structure.pairs import pair_list


def _not_finite(vectors: NDArray[np.float64]) -> int | None:
    """Find the first atom whose vector is not finite."""
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    return int(broken[0]) if broken.size else None


class _Closeness:
    """Finds atoms closer than 0.5 Å at any step, but looks only when the motion since the last look allows it."""

    REACH = 1.5

    def __init__(self) -> None:
        self.cell: NDArray[np.float64] | None = None
        self.positions: NDArray[np.float64] = np.empty((0, 3))
        self.slack = 0.0

    def find(self, atoms: Atoms) -> tuple[int, int, float] | None:
        """Return two atoms that are too close, and their distance [Å]; None as long as there are none."""
        if self.cell is not None and np.array_equal(self.cell, atoms.cell.array):
            moved = np.linalg.norm(atoms.positions - self.positions, axis=1).max()
            if moved < self.slack:
                return None
        pairs = pair_list(atoms, self.REACH)
        k = int(np.argmin(pairs.d)) if pairs.d.size else -1
        closest = float(pairs.d[k]) if k >= 0 else self.REACH
        if closest < MINIMUM_DISTANCE:
            return int(pairs.i[k]), int(pairs.j[k]), closest
        self.cell, self.positions = atoms.cell.array.copy(), atoms.get_positions()
        # Two atoms that approach each other close the gap twice as fast as one moves.
        self.slack = (closest - MINIMUM_DISTANCE) / 2.0
        return None
