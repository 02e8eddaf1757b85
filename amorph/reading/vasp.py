"""The relaxed structure that comes back from VASP."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.reading.files import RefusedError, noted, reason_of, regular_file, sound, too_large
from amorph.reading.packed import unpacked
from amorph.reading.vasp_text import read_poscar
from amorph.structure import periodic_atoms, poscar_order

_GPA_PER_KBAR = 0.1
_LARGEST_MEDIAN_SHIFT = 2.0
"""Median displacement in a relaxation beyond which the file belongs to another structure [Å]; in a glass it is 0.1 to
0.5 Å, between two arrangements of the same atoms half the distance between cell faces."""


@dataclass(frozen=True, eq=False)
class VaspRelaxed(Result):
    """A relaxation by VASP, in the order of the structure that was handed over."""

    atoms: Atoms
    """Relaxed structure: order, oxidation states and supercell of the reference."""
    converged: bool | None
    """Whether the electrons converged in the last step and the ions within the steps; None for a CONTCAR."""
    steps: int | None
    """Ionic steps; None for a CONTCAR."""
    max_force: float | None
    """Largest force on an atom in the last step [eV/Å]; None for a CONTCAR."""
    stress_GPa: NDArray[np.float64] | None
    """(6,) stress xx yy zz yz xz xy of the last step, tension positive [GPa]; None for a CONTCAR."""
    median_shift: float
    """Median displacement of the atoms from the reference, the change of the cell left out [Å]."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms"})
    _derived: ClassVar[tuple[str, ...]] = ("pressure_GPa",)

    @property
    def pressure_GPa(self) -> float | None:
        """Pressure, −tr σ/3 [GPa]; None for a CONTCAR."""
        return None if self.stress_GPa is None else float(-self.stress_GPa[:3].mean())


def read_vasp_relaxed(path: str | Path, reference: Atoms) -> VaspRelaxed:
    """Read a relaxed structure back from VASP and put its atoms in the order of the structure that was handed over.

    Parameters
    ----------
    path
        ``CONTCAR``, or ``vasprun.xml``, which also tells whether the run converged.
    reference
        The structure that :func:`amorph.export.write_vasp_input` wrote.

    Raises
    ------
    ValueError
        The file cannot be read or is cut off; its atoms are not those of the reference, or not in the order of its
        POSCAR; or they lie elsewhere, so that it must be the relaxation of another structure.
    """
    path = regular_file(path)
    reference = periodic_atoms(reference)
    converged: bool | None = None
    steps: int | None = None
    max_force: float | None = None
    stress_GPa: NDArray[np.float64] | None = None
    try:
        with noted(path), unpacked(path) as whole, whole.open("rb") as file:
            if b"<?xml" in file.read(64):
                relaxed, converged, steps, max_force, stress_GPa = _from_vasprun(whole)
            else:
                relaxed = read_poscar(whole)
    except RefusedError as error:
        raise ValueError(f"{path} {error}") from None
    except MemoryError:
        raise too_large(path) from None
    except Exception as error:  # both readers raise what they like on a damaged file
        raise ValueError(
            f"{path} is no CONTCAR or complete vasprun.xml ({reason_of(error)}); wait for the run to end, or give "
            "the CONTCAR of the last step"
        ) from None
    relaxed = sound(path, relaxed)

    order = poscar_order(reference)
    if sorted(relaxed.numbers) != sorted(reference.numbers):
        raise ValueError(
            f"{path} holds {relaxed.get_chemical_formula('metal')}, not the {reference.get_chemical_formula('metal')} "
            "that was handed over; give the result of this structure"
        )
    if not np.array_equal(relaxed.numbers, reference.numbers[order]):
        raise ValueError(
            f"{path} lists the elements in another order than the POSCAR that was handed over; "
            "give the result of that POSCAR, its atoms in place"
        )
    atoms = reference.copy()
    atoms.calc = None
    atoms.set_constraint()
    atoms.arrays.pop("momenta", None)
    # A left-handed reference was written with all lattice vectors reversed (VASP needs a right-handed cell).
    hand = np.sign(np.linalg.det(reference.cell.array))
    before = reference.positions @ np.linalg.inv(hand * reference.cell.array)
    after = np.empty_like(before)
    after[order] = relaxed.get_scaled_positions(wrap=False)
    moved = after - before
    moved -= np.round(moved)  # the image next to where the atom was
    shift = np.linalg.norm(moved @ relaxed.cell.array, axis=1)
    if (median := float(np.median(shift))) > _LARGEST_MEDIAN_SHIFT:
        raise ValueError(
            f"the atoms of {path} lie {median:.1f} Å (median) from those handed over, more than the "
            f"{_LARGEST_MEDIAN_SHIFT:g} Å of any relaxation; give the result of this structure, not of another replica"
        )
    atoms.set_cell(hand * relaxed.cell.array)
    atoms.set_positions((before + moved) @ relaxed.cell.array)
    return VaspRelaxed(atoms, converged, steps, max_force, stress_GPa, median)


def _from_vasprun(path: Path) -> tuple[Atoms, bool, int, float, NDArray[np.float64]]:
    from pymatgen.io.vasp.outputs import Vasprun

    run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    last = run.ionic_steps[-1]
    stress = np.array(last["stress"], dtype=np.float64)
    return (
        periodic_atoms(run.final_structure),
        bool(run.converged),
        len(run.ionic_steps),
        float(np.linalg.norm(last["forces"], axis=1).max()),
        # VASP prints the pressure tensor in kbar: compression is positive there
        -_GPA_PER_KBAR * stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
    )
