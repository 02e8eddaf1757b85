"""PDB files, read by gemmi: models are frames, and the space group of the CRYST1 record is applied."""

import re
from pathlib import Path

from ase import Atoms

from amorph.reading.files import RefusedError, note, text_of
from amorph.reading.rows import Row
from amorph.reading.sites import cell_of, crystal_of
from amorph.reading.symmetry import group_operations
from amorph.structure import Share


def read_pdb(path: Path) -> list[Atoms]:
    """Read the models of a PDB file.

    Raises
    ------
    RefusedError
        No cell, an atom of no element, a symbol of no space group, or a shared site.
    """
    text = text_of(path)
    # gemmi keeps one cell of a file; a trajectory may have one for each frame
    parts = re.split(r"^(?=CRYST1)", text, flags=re.M)
    if len(parts) < 2:
        raise RefusedError("has no CRYST1 record, and so no cell; add one")
    if parts[-1].count("\nMODEL ") > parts[-1].count("\nENDMDL"):
        parts[-1] = parts[-1].rpartition("\nMODEL ")[0]
        if len(parts) == 2 and "\nENDMDL" not in parts[-1]:
            raise RefusedError("ends within its first model; give a whole file")
        note("the last model is unfinished and left out")
    return [atoms for part in parts[1:] for atoms in _models(part)]


def _models(text: str) -> list[Atoms]:
    import gemmi

    structure = gemmi.read_pdb_string(text)
    sizes = structure.cell.parameters
    cell = cell_of(sizes)
    operations = group_operations("", structure.spacegroup_hm, None, sizes[3:])[0][0]
    found = []
    for model in structure:
        atoms = [atom for chain in model for residue in chain for atom in residue]
        empty = all(atom.occ == 0 for atom in atoms)  # how some programs leave the column
        rows = []
        for atom in atoms:
            if atom.element.atomic_number == 0:
                raise RefusedError(
                    f"has the atom {atom.name} {atom.serial} of no element; write it in columns 77 and 78"
                )
            x, y, z = structure.cell.fractionalize(atom.pos).tolist()
            share = Share(
                "H" if atom.element.is_hydrogen else atom.element.name,
                1.0 if empty else atom.occ,
                float(atom.charge) if atom.charge else None,
                f"{atom.name} {atom.serial}",
            )
            if share.occupancy > 0:
                rows.append(Row(share, (x, y, z)))
        if rows:
            found.append(crystal_of(rows, operations, cell)[0].atoms())
    return found
