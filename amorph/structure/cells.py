"""The same crystal in another cell."""

import warnings

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray

from amorph.parameters import Length, Supercell, checked
from amorph.structure.atoms import periodic_atoms


@checked
def recell(
    atoms: Atoms,
    *,
    primitive: bool = False,
    supercell: Supercell | None = None,
    wrap: bool = False,
    symmetry_tolerance: Length = 1e-3,
) -> Atoms:
    """Give a crystal in its primitive cell, in a supercell, with its atoms within the cell, or all of these in turn.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions.
    primitive
        Find the smallest cell of the lattice, by spglib; velocities are lost.
    supercell
        Cells along each axis, or an integer matrix whose rows are the lattice vectors in cells.
    wrap
        Move every atom to its image within the cell.
    symmetry_tolerance
        Distance by which atoms may miss a translation of the lattice [Å].

    Raises
    ------
    ValueError
        A matrix without volume, or a structure that spglib finds no lattice in.
    """
    atoms = periodic_atoms(atoms)
    if primitive:
        atoms = _primitive(atoms, symmetry_tolerance)
    if supercell is not None:
        matrix = supercell_matrix(supercell)
        atoms.arrays.pop("unwrapped_positions", None)  # those of one cell
        atoms = make_supercell(atoms, matrix)
        atoms.info["supercell"] = matrix
    if wrap:
        atoms.wrap()
    return periodic_atoms(atoms)


def supercell_matrix(supercell: Supercell) -> NDArray[np.int64]:
    """Give the (3, 3) matrix of a supercell, its rows lattice vectors in cells, or refuse one that spans no cell."""
    matrix = np.diag(supercell) if np.ndim(supercell) == 1 else np.array(supercell)
    if (volume := round(float(np.linalg.det(matrix)))) < 1:
        raise ValueError(f"supercell = {matrix.tolist()} has the determinant {volume}; it must be at least 1")
    return matrix


def _primitive(atoms: Atoms, tolerance: float) -> Atoms:
    import spglib

    states = atoms.arrays.get("oxidation_states", np.zeros(len(atoms)))
    # atoms of one element and different states are different atoms
    kinds, index = np.unique(np.stack([atoms.numbers, states], axis=1), axis=0, return_inverse=True)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), index.ravel() + 1)
    with warnings.catch_warnings():
        # spglib 2 announces on every call that version 3 will raise where it now returns None; both are met here
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=tolerance)
        except spglib.SpglibError:
            found = None
    if found is None:
        raise ValueError(
            f"spglib finds no lattice in {atoms.get_chemical_formula('metal')} within {tolerance:g} Å; give another "
            "symmetry_tolerance"
        )
    lattice, positions, types = found
    primitive = Atoms(kinds[types - 1, 0].astype(int), scaled_positions=positions, cell=lattice, pbc=True)
    if "oxidation_states" in atoms.arrays:
        primitive.set_array("oxidation_states", kinds[types - 1, 1])
    return primitive
