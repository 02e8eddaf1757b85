"""The distance from every point of a grid to the nearest atom."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.fields import ScalarField
from amorph.parameters import Count, Length, checked
from amorph.structure import periodic_atoms


@checked
def distance_map(
    atoms: Atoms,
    *,
    grid: tuple[Count, Count, Count] | None = None,
    spacing: Length | None = None,
    threads: Count | None = None,
) -> ScalarField:
    """Map the distance to the nearest atom, periodic images included.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    grid
        Number of points along each lattice vector; by default `spacing` decides.
    spacing
        Largest distance between neighbouring points along a lattice vector [Å], in place of a grid; by default 0.1 Å.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Returns
    -------
    ScalarField
        Distance [Å] from every point to the nearest atom.

    Raises
    ------
    ValueError
        A structure that makes no sense, both a grid and a spacing, or a grid larger than memory.

    Examples
    --------
    The octahedral hole of face-centred cubic aluminium is half an edge away from its atoms:

    >>> from ase.build import bulk
    >>> distance_map(bulk("Al", cubic=True, a=4.0), grid=(2, 2, 2), threads=1).values.max()
    np.float64(2.0)
    """
    atoms = periodic_atoms(atoms)
    points = grids.resolve_points(atoms.cell.array, grid, spacing)
    values = np.empty(points)
    layout = grids.make_grid(atoms.cell.array, points)
    bins = grids.make_bins(atoms.cell.array, atoms.positions)

    def work(first: int, slab: NDArray[np.float64]) -> None:
        fill_distances(first, slab, layout, bins)

    grids.over_slabs(values, work, threads)
    parameters = {"grid": list(points)}
    return ScalarField(values, atoms.cell.array, "distance to the nearest atom", "Å", parameters)


def fill_distances(first: int, slab: NDArray[np.float64], grid: grids.Grid, atoms: grids.Bins) -> None:
    """Fill the planes of a grid from `first` on with the distance to the nearest atom [Å]."""
    from amorph.analysis._grid_kernels import distance_slab

    # the search starts at about the distance between atoms and widens where it finds none
    guess = float(abs(np.linalg.det(grid.cell)) / atoms.positions.shape[1]) ** (1 / 3)
    distance_slab(first, slab, tuple(grid), tuple(atoms), guess)
