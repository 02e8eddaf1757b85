"""Lines of atoms in a file, and the symmetry operations that multiply them."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.structure import Share

MERGED: Final = 0.4
"""Symmetry copies of an atom nearer than this are one atom on a special position [Å]."""
SAME: Final = 1e-4
"""Two copies of a disordered atom that differ by less in every fraction of the cell are one."""
SPREAD: Final = 0.02
"""By how much the occupancies of the atoms of one group of disorder may differ."""


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

    def at(self, position: NDArray[np.float64]) -> "Row":
        """Give the row at another position."""
        x, y, z = position.tolist()
        return replace(self, position=(x, y, z))


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations x' = R x + t in fractional coordinates."""

    rotations: NDArray[np.float64]
    """(k, 3, 3) rotations R; the first is the identity."""
    translations: NDArray[np.float64]
    """(k, 3) translations t."""

    def __len__(self) -> int:
        return len(self.rotations)

    def images(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the (k, n, 3) copies of n positions by every operation."""
        return np.einsum("kij,nj->kni", self.rotations, positions) + self.translations[:, None]

    def misfit(self, cell: NDArray[np.float64]) -> float:
        """Give the largest change of a lattice vector's length by a rotation, or of two vectors' cosine, by half of it.

        Half the change of the metric tensor, relative to the lengths of both vectors: a long axis hides no other.
        """
        metric = cell @ cell.T
        turned = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return float(np.abs((turned - metric) / np.outer(lengths, lengths)).max() / 2.0)


def special_position(
    position: NDArray[np.float64], operations: Operations, cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean of the symmetry copies of an atom that are meant to be one, and how far every copy lies [Å]."""
    near = operations.rotations @ position + operations.translations - position
    near -= np.round(near)
    distances = np.linalg.norm(near @ cell, axis=1)
    return position + near[distances < MERGED].mean(axis=0), distances
