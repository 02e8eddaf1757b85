"""Lines of atoms in a file, and the symmetry operations that multiply them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.structure import Share

MERGED: Final = 0.4
"""Symmetry copies of an atom nearer than this are one atom on a special position [Å]."""


@dataclass(frozen=True)
class Row:
    """One line of atoms in a file."""

    share: Share
    """Species, occupancy and label."""
    position: tuple[float, float, float]
    """Fractional coordinates."""
    assembly: str = ""
    """Name of the assembly of disorder; empty for none, or the only one."""
    group: str = ""
    """Group of the assembly that the atom is there with; empty for none, "-1" about a symmetry element."""


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations x' = R x + t in fractional coordinates."""

    rotations: NDArray[np.float64]
    """(k, 3, 3) rotations R; the first is the identity."""
    translations: NDArray[np.float64]
    """(k, 3) translations t."""

    def __len__(self) -> int:
        return len(self.rotations)

    def misfit(self, cell: NDArray[np.float64]) -> float:
        """Give the largest change of the lattice's metric tensor by a rotation, relative to its largest entry."""
        metric = cell @ cell.T
        turned = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        return float(np.abs(turned - metric).max() / np.abs(metric).max())


def special_position(
    position: NDArray[np.float64], operations: Operations, cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean of the symmetry copies of an atom that are meant to be one, and how far every copy lies [Å]."""
    near = operations.rotations @ position + operations.translations - position
    near -= np.round(near)
    distances = np.linalg.norm(near @ cell, axis=1)
    return position + near[distances < MERGED].mean(axis=0), distances
