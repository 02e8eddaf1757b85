"""Which atoms are too close to each other, or nowhere."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure.atoms import MINIMUM_DISTANCE
from amorph.structure.pairs import pair_list


def _not_finite(atoms: Atoms, vectors: Mapping[str, NDArray[np.float64]], energy: float = 0.0) -> str:
    """Name the energy [eV], or the first atom with its vector ("force on"), that is not finite; empty if all are."""
    if not np.isfinite(energy):
        return f"the energy ({energy} eV)"
    for what, values in vectors.items():
        if (broken := np.flatnonzero(~np.isfinite(values).all(axis=1))).size:
            return f"the {what} atom {broken[0]} ({atoms.symbols[broken[0]]})"
    return ""


class _Closeness:
    """Finds atoms closer than 0.5 Å at any step, but looks only when the motion since the last look allows it."""

    REACH = 1.5

    def __init__(self) -> None:
        self.cell: NDArray[np.float64] | None = None
        self.positions: NDArray[np.float64] = np.empty((0, 3))
        self.slack = 0.0

    def said(self, atoms: Atoms, when: str) -> str:
        """Name two atoms that are too close, and their distance [Å]; empty as long as there are none."""
        if self.cell is not None and np.array_equal(self.cell, atoms.cell.array):
            moved = np.linalg.norm(atoms.positions - self.positions, axis=1).max()
            if moved < self.slack:
                return ""
        pairs = pair_list(atoms, self.REACH)
        k = int(np.argmin(pairs.d)) if pairs.d.size else -1
        closest = float(pairs.d[k]) if k >= 0 else self.REACH
        if closest < MINIMUM_DISTANCE:
            i, j = (f"{atom} ({atoms.symbols[atom]})" for atom in (pairs.i[k], pairs.j[k]))
            return f"atoms {i} and {j} are {closest:.3f} Å apart {when}, closer than {MINIMUM_DISTANCE} Å"
        self.cell, self.positions = atoms.cell.array.copy(), atoms.get_positions()
        # Two atoms that approach each other close the gap twice as fast as one moves.
        self.slack = (closest - MINIMUM_DISTANCE) / 2.0
        return ""
