"""What fills the slabs of bond-valence maps: which atoms exclude points, and the kernel with its arguments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.analysis.bvs.bond import Bond
from amorph.analysis.bvs.result import Blocking


@dataclass(frozen=True)
class Exclusion:
    """Which atoms exclude the points around them, and how far [Å]."""

    radius: float
    anion_radius: float | None
    blocking: Blocking

    def of(self, atoms: Atoms, bond: Bond) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the positions of the atoms that block an ion, and the radius of each."""
        blocks = np.ones(len(atoms), dtype=bool) if self.blocking == "all" else ~(atoms.symbols == bond.element)
        radii = np.where(bond.which, self.radius if self.anion_radius is None else self.anion_radius, self.radius)
        return atoms.positions[blocks], radii[blocks]


def slab_filler(
    values: NDArray[Any],
    grid: grids.Grid,
    bonds: Sequence[Bond],
    blockers: NDArray[np.float64],
    radii: NDArray[np.float64],
    windows: Sequence[float],
) -> Callable[[int, NDArray[Any]], NDArray[np.int64]]:
    """Prepare what fills a slab of the maps (ions, nx, ny, nz) with bond valence sums, NaN in the blockers' spheres.

    It returns for each ion how many points are excluded, under-bonded, in the window and over-bonded.
    """
    from amorph.analysis.bvs._kernels import bond_valence_slab

    # a sphere that reaches across the whole cell excludes all of it, and a larger one no more
    radii = np.minimum(radii, np.linalg.norm(grid.cell, axis=1).sum())
    limits = np.empty(len(radii))
    for radius in np.unique(radii):
        limits[radii == radius] = grids.smallest_square_reaching(float(radius))
    spheres = (*grids.wrap(grid.cell, blockers), radii, limits)
    anions = tuple(grids.make_bins(grid.cell, bonds[0].positions, bonds[0].kinds))
    cutoff = bonds[0].cutoff
    targets = np.array([(bond.target_valence, window) for bond, window in zip(bonds, windows, strict=True)])
    exponents = np.array([bond.exponents for bond in bonds])
    limit = grids.largest_square_within(cutoff)

    def fill(first: int, slab: NDArray[Any]) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = bond_valence_slab(
            first, len(slab), values, tuple(grid), spheres, anions, cutoff, limit, targets, exponents
        )
        return counts

    return fill
