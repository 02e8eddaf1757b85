"""Coordination polyhedra: a cation and the anions bonded to it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt
from ase import Atoms
from numpy.typing import NDArray

from amorph.parameters import checked
from amorph.structure import anion_mask, pair_list, periodic_atoms
from amorph.tables import radius


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """The anions around one cation, and the hull that they span."""

    center: int
    """Index of the cation."""
    position: NDArray[np.float64]
    """(3,) position of the cation [Å]."""
    ligands: NDArray[np.int64]
    """(k,) indices of the anions."""
    corners: NDArray[np.float64]
    """(k, 3) positions of the anions, of the images that are bonded [Å]."""
    faces: NDArray[np.int64]
    """(m, 3) corners of the triangles of the convex hull, counter-clockwise from outside; none below four corners."""
    edges: NDArray[np.int64]
    """(e, 2) corners of the edges of the hull; a diagonal across a flat face is none."""


@checked
def coordination_polyhedra(
    atoms: Atoms, species: Collection[str], *, bond_tolerance: Annotated[float, Gt(0)] = 1.2
) -> list[Polyhedron]:
    """Find the coordination polyhedra around every cation of some elements, across cell faces too.

    An anion is bonded where it is at most `bond_tolerance` times the sum of the covalent radii away.

    Parameters
    ----------
    atoms
        Periodic structure.
    species
        Elements of the cations.
    bond_tolerance
        Longest bond over the sum of the covalent radii (Cordero et al. 2008); 1.2 gives 2.7 Å for Ti–O.

    Examples
    --------
    >>> from ase.build import bulk
    >>> [octahedron, *_] = coordination_polyhedra(bulk("MgO", "rocksalt", a=4.212), ["Mg"])
    >>> len(octahedron.corners), len(octahedron.faces), len(octahedron.edges)
    (6, 8, 12)
    """
    atoms = periodic_atoms(atoms)
    symbols = np.array(atoms.get_chemical_symbols())
    anion = anion_mask(atoms)
    element_radius = {symbol: radius("cordero_covalent", symbol) for symbol in set(symbols)}
    radii = np.array([element_radius[symbol] for symbol in symbols])
    central = np.isin(symbols, list(species)) & ~anion
    if not central.any() or not anion.any():
        return []
    pairs = pair_list(atoms, bond_tolerance * (radii[central].max() + radii[anion].max()))
    bonded = central[pairs.i] & anion[pairs.j] & (pairs.d <= bond_tolerance * (radii[pairs.i] + radii[pairs.j]))
    i, j, D = pairs.i[bonded], pairs.j[bonded], pairs.D[bonded]
    polyhedra = []
    for center in np.flatnonzero(central):
        mine = slice(*np.searchsorted(i, [center, center + 1]))
        faces, edges = _hull(D[mine])
        position = atoms.positions[center]
        polyhedra.append(Polyhedron(int(center), position, j[mine], position + D[mine], faces, edges))
    return polyhedra


def _hull(corners: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the faces and edges of a convex hull; none where the corners lie in a plane."""
    from scipy.spatial import ConvexHull, QhullError

    none = np.zeros((0, 3), np.int64), np.zeros((0, 2), np.int64)
    if len(corners) < 4:
        return none
    try:
        hull = ConvexHull(corners)
    except QhullError:
        return none
    faces = hull.simplices.astype(np.int64)
    normals = hull.equations[:, :3]
    a, b, c = np.moveaxis(corners[faces], 1, 0)
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), normals) < 0
    faces[inward] = faces[inward, ::-1]
    # neighbors[k] lies across the edge opposite to corner k of a face
    edges = {
        (min(p, q), max(p, q))
        for face, (simplex, neighbors) in enumerate(zip(hull.simplices, hull.neighbors, strict=True))
        for k, other in enumerate(neighbors)
        for p, q in [np.delete(simplex, k).tolist()]
        if normals[face] @ normals[other] < 1 - 1e-6
    }
    return faces, np.array(sorted(edges), dtype=np.int64).reshape(-1, 2)
