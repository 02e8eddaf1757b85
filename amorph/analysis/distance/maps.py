"""The distance from every point of a grid to the nearest atom, or to the nearest atom's sphere."""

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.fields import Precision, ScalarField
from amorph.parameters import GridPoints, Spacing, Threads, checked
from amorph.structure import Radii, atomic_radii, periodic_atoms


@checked
def distance_map(
    atoms: Atoms,
    *,
    radii: Radii | None = None,
    grid: GridPoints | None = None,
    spacing: Spacing | None = None,
    precision: Precision = "float64",
    threads: Threads | None = None,
    progress: grids.Task | None = None,
) -> ScalarField:
    r"""Map the distance to the nearest atom, or to the nearest sphere around one, periodic images included.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    precision
        "float64", or "float32" for half the memory: wrong by at most 1e-6 of the distance to the center plus
        1e-6 of the spacing.

    Returns
    -------
    ScalarField
        Distance [Å] from every point to the nearest atom; with radii to the surface of the nearest sphere, negative
        inside one.

    Raises
    ------
    ValueError
        A structure that makes no sense, no radius for an atom, both a grid and a spacing, or a grid larger than memory.

    Notes
    -----
    With radii, :math:`\min_i (|x - x_i| - r_i)` over all images: the largest sphere around x that touches none of the
    atoms' spheres. Its zero is the surface of their union.

    Examples
    --------
    The octahedral hole of face-centred cubic aluminium is half an edge away from its atoms:

    >>> from ase.build import bulk
    >>> crystal = bulk("Al", cubic=True, a=4.0)
    >>> distance_map(crystal, grid=(2, 2, 2), threads=1).values.max()
    np.float64(2.0)
    >>> distance_map(crystal, radii={"Al": 1.25}, grid=(2, 2, 2), threads=1).values.max()
    np.float64(0.75)
    """
    atoms = periodic_atoms(atoms)
    carried = np.zeros(len(atoms)) if radii is None else atomic_radii(atoms, radii)
    item = np.dtype(precision).itemsize
    points = grids.resolve_points(atoms.cell.array, grid, spacing, bytes_per_point=item)
    values = np.empty(points, precision)
    layout = grids.make_grid(atoms.cell.array, points)
    bins = grids.make_bins(atoms.cell.array, atoms.positions, carried)

    def work(first: int, slab: NDArray[np.floating[Any]]) -> None:
        fill_distances(first, slab, layout, bins)

    grids.over_slabs(values, work, threads, progress=progress, label="distances")
    arguments = {
        "grid": list(points),
        "radii": radii if radii is None or isinstance(radii, str) else dict(radii),
        "precision": precision,
    }
    quantity = "distance to the nearest atom" if radii is None else "distance to the nearest atomic sphere"
    return ScalarField(values, atoms.cell.array, quantity, "Å", arguments, "distance")


def fill_distances(first: int, slab: NDArray[np.floating[Any]], grid: grids.Grid, atoms: grids.Bins) -> None:
    """Fill the planes of a grid from `first` on with the distance to the nearest atom's sphere [Å].

    `atoms` carry their radii, 0 for distances to the centers.
    """
    from amorph.analysis.distance._kernels import distance_slab

    # the search starts at about the distance between atoms and widens where it finds none
    guess = float(abs(np.linalg.det(grid.cell)) / atoms.positions.shape[1]) ** (1 / 3)
    distance_slab(first, slab, tuple(grid), tuple(atoms), guess, float(atoms.positions[3].max()))
