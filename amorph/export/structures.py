"""Structures as files: extended XYZ, CIF, POSCAR and LAMMPS data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ase.io
import numpy as np
from ase import Atoms

from amorph.export.whole_files import replacing, writer_for
from amorph.structure import periodic_atoms, poscar_order, to_pymatgen

if TYPE_CHECKING:
    from pymatgen.core import Structure


def write_structure(path: str | Path, structure: "Atoms | Structure") -> None:
    """Write a structure in the format that the suffix names.

    Parameters
    ----------
    path
        Name of the file: ``.extxyz`` or ``.xyz``, ``.cif``, ``.vasp`` or ``.poscar`` (or a file named POSCAR or
        CONTCAR), ``.lmp`` or ``.data``.
    structure
        Structure to write.

    Raises
    ------
    ValueError
        Unknown suffix; a structure that :func:`~amorph.structure.periodic_atoms` refuses.
    """
    structure_writer(path)(path, structure)


def write_structures(path: str | Path, frames: Sequence[Atoms]) -> None:
    """Write structures one after the other, where the format that the suffix names holds several.

    Raises
    ------
    ValueError
        As those of :func:`write_structure`; several structures for a format that holds one.
    """
    writer = structure_writer(path, len(frames))
    if len(frames) == 1:
        writer(path, frames[0])
        return
    frames = [periodic_atoms(frame) for frame in frames]
    for frame in frames:
        frame.calc = None
    _write_with_ase(path, frames, format="extxyz")


def structure_writer(path: str | Path, number: int = 1) -> Callable[["str | Path", "Atoms | Structure"], None]:
    """Find the writer of a file of so many structures by its name, or refuse that."""
    writer = writer_for(path, STRUCTURE_WRITERS, "structure")
    if number > 1 and writer is not write_extxyz:
        raise ValueError(f"{path} holds one structure, and there are {number}; write .extxyz, or one of them")
    return writer


def write_extxyz(path: str | Path, structure: "Atoms | Structure") -> None:
    """Write extended XYZ with the cell and every per-atom array, oxidation states too, to 8 decimals."""
    atoms = periodic_atoms(structure)
    atoms.calc = None
    _write_with_ase(path, atoms, format="extxyz")


def write_cif(path: str | Path, structure: "Atoms | Structure") -> None:
    """Write CIF in P 1 with oxidation states; Cartesian axes are lost, as the format has none."""
    from pymatgen.io.cif import CifWriter

    text = str(CifWriter(to_pymatgen(right_handed(periodic_atoms(structure))), significant_figures=12))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_poscar(path: str | Path, structure: "Atoms | Structure") -> None:
    """Write VASP's POSCAR in fractional coordinates, the atoms grouped by element in order of first appearance."""
    atoms = right_handed(bare(periodic_atoms(structure)))
    _write_with_ase(path, atoms[poscar_order(atoms)], format="vasp", direct=True)


def write_lammps(path: str | Path, structure: "Atoms | Structure") -> None:
    """Write a LAMMPS data file (``atom_style charge``, ``units metal``).

    Types are numbered by element in alphabetical order and named in comments, masses are the elements', charges the
    oxidation states [e] (0 where the structure has none). LAMMPS wants the first lattice vector along x and the second
    in the xy plane: the structure is turned so that they are.
    """
    atoms = periodic_atoms(structure)
    charged = right_handed(bare(atoms))
    if "oxidation_states" in atoms.arrays:
        charged.set_initial_charges(atoms.arrays["oxidation_states"].astype(float))
    _write_with_ase(path, charged, format="lammps-data", atom_style="charge", units="metal", masses=True)


STRUCTURE_WRITERS: Final = {
    ".extxyz": write_extxyz,
    ".xyz": write_extxyz,
    ".cif": write_cif,
    ".vasp": write_poscar,
    ".poscar": write_poscar,
    ".lmp": write_lammps,
    ".data": write_lammps,
    "POSCAR": write_poscar,
    "CONTCAR": write_poscar,
}
"""Writer of each format by its suffix, or by how the name begins."""


def right_handed(atoms: Atoms) -> Atoms:
    """Describe the same crystal by a right-handed cell, which VASP, LAMMPS and CIF presuppose.

    The opposite lattice vectors span the same lattice, so no atom moves.
    """
    if np.linalg.det(atoms.cell.array) > 0:
        return atoms
    turned = atoms.copy()
    turned.set_cell(-atoms.cell.array)
    turned.wrap()
    return turned


def bare(atoms: Atoms) -> Atoms:
    """Leave elements, positions and cell only: ASE's writers pick up velocities, types and constraints too."""
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def _write_with_ase(path: str | Path, atoms: Atoms | Sequence[Atoms], **options: Any) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        ase.io.write(file, atoms, **options)
