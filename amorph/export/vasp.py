"""Input for a relaxation with VASP."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Gt
from ase import Atoms

from amorph.export.structures import write_poscar
from amorph.export.whole_files import replacing
from amorph.figures import Result
from amorph.parameters import Count, Force, Unit, checked
from amorph.run import make_folder
from amorph.structure import periodic_atoms

LAST_WRITTEN = "INCAR"
"""Where this file is, the others are too, each of them whole."""

Energy = Annotated[float, Gt(0), Unit("eV")]


@dataclass(frozen=True)
class VaspInput(Result):
    """What was written for VASP."""

    directory: Path
    """Folder of INCAR, KPOINTS, POSCAR and POTCAR.spec."""
    formula: str
    """Formula of the cell."""
    n_atoms: int
    """Number of atoms."""
    potcar_symbols: tuple[str, ...]
    """PAW data sets to join into the POTCAR, in this order."""


@checked
def write_vasp_input(
    directory: str | Path,
    atoms: Atoms,
    *,
    fmax: Force = 0.005,
    ediff: Energy = 5e-4,
    steps: Count = 300,
    encut: Energy = 520.0,
    spin_polarized: bool = True,
    potcar: Mapping[str, str] | None = None,
) -> VaspInput:
    """Write INCAR, KPOINTS, POSCAR and the list of PAW data sets for a relaxation of cell and atoms at Γ.

    Settings of the reference study: PBE and PAW, all of the cell free (ISIF 3), forces below 0.005 eV/Å, EDIFF 5e-4
    eV, Γ only (doi:10.1038/s43246-025-00921-0). It does not give the cut-off, spin, U or data sets; those, and what
    else VASP needs, are ours and marked so in the INCAR. NELECT is never set: VASP takes the cell as neutral.

    Parameters
    ----------
    directory
        Folder to write to; made if it does not exist.
    atoms
        Structure to relax. The POSCAR groups its atoms by element in order of first appearance;
        :func:`amorph.reading.read_vasp_relaxed` puts them back.
    fmax
        Largest force on an atom at which the relaxation ends [eV/Å].
    ediff
        Energy change at which the electrons count as converged [eV].
    steps
        Most ionic steps.
    encut
        Cut-off of the plane waves [eV].
    spin_polarized
        Whether the calculation is spin polarized (ISPIN 2).
    potcar
        PAW data set of an element, as in Mg=Mg_pv; the rest as in the Materials Project's relaxations.

    Returns
    -------
    VaspInput
        What was written.

    Raises
    ------
    ValueError
        The structure makes no sense, or an element has no known data set.
    """
    from pymatgen.io.vasp import Kpoints

    directory = Path(directory)
    atoms = periodic_atoms(atoms)
    symbols = _potcar_symbols(atoms, potcar or {})
    incar = _incar(atoms, fmax, ediff, steps, encut, spin_polarized=spin_polarized)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"cannot write to {directory}: it is a file; give the name of a folder")
    make_folder(directory)
    write_poscar(directory / "POSCAR", atoms)
    for name, text in (
        ("KPOINTS", str(Kpoints.gamma_automatic((1, 1, 1))).rstrip("\n")),
        ("POTCAR.spec", "\n".join(symbols)),
        (LAST_WRITTEN, "\n".join(incar)),
    ):
        with replacing(directory / name) as temporary:
            temporary.write_text(text + "\n", encoding="ascii")
    return VaspInput(directory, atoms.get_chemical_formula("metal"), len(atoms), symbols)


def _incar(atoms: Atoms, fmax: float, ediff: float, steps: int, encut: float, *, spin_polarized: bool) -> list[str]:
    from pymatgen.io.vasp import Incar

    published = Incar({"IBRION": 2, "ISIF": 3, "EDIFF": ediff, "EDIFFG": -fmax})
    ours = Incar(
        {
            "ENCUT": encut,
            "ISPIN": 2 if spin_polarized else 1,
            "NSW": steps,
            "PREC": "Accurate",
            "ISMEAR": 0,
            "SIGMA": 0.05,
            "LREAL": "Auto",
            "LWAVE": False,
            "LCHARG": False,
        }
    )
    states = atoms.arrays.get("oxidation_states")
    charge = "are not known" if states is None else f"sum to {states.sum():+g} e"
    return [
        f"# Relaxation of {atoms.get_chemical_formula('metal')}, written by amorph.",
        "# Kawaguchi et al. (2025), doi:10.1038/s43246-025-00921-0: PBE (from the PAW data sets), Gamma only, and",
        *str(published).splitlines(),
        "# Ours, as the study does not give them (no U; data sets in POTCAR.spec):",
        *str(ours).splitlines(),
        f"# The oxidation states {charge}. NELECT is not set: the cell is computed as neutral.",
    ]


def _potcar_symbols(atoms: Atoms, given: Mapping[str, str]) -> tuple[str, ...]:
    from pymatgen.io.vasp.sets import MPRelaxSet

    elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
    if strangers := [element for element in given if element not in elements]:
        raise ValueError(f"potcar names {strangers[0]}, which the structure does not hold; remove the entry")
    labels = MPRelaxSet.CONFIG["POTCAR"] | dict(given)
    for element in elements:
        label = str(labels.get(element, ""))
        if label.split("_", maxsplit=1)[0] != element:
            raise ValueError(
                f"no PAW data set of {element} in {label!r}; give potcar = {{'{element}': '{element}'}} or another of "
                "VASP's data sets for it"
            )
    return tuple(str(labels[element]) for element in elements)
