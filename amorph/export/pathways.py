"""Migration paths as files."""

from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from amorph.analysis.percolation import MigrationPath
from amorph.export.picture import write_picture
from amorph.export.whole_files import check_cell, replacing, writer_for


def write_path(path: str | Path, pathway: MigrationPath, atoms: Atoms) -> None:
    """Write a migration path in the format that the suffix names.

    Parameters
    ----------
    path
        Name of the file.

        - ``.csv``: one line for each point of the path, with the unit in the name of each column: ``length_A``,
          ``x_A``, ``y_A``, ``z_A``, ``fractional_a``, ``fractional_b``, ``fractional_c`` and the value, as in
          ``value_eV``.
        - ``.xyz``, ``.extxyz``: the structure, and the points of the path as atoms X after it, for OVITO and others
          that read extended XYZ. ``path`` numbers the points from 1 and is 0 for atoms, ``value`` is the field on the
          path and 0 for atoms.
        - ``.png``: a picture of the structure with the path in it, as of
          :func:`~amorph.export.picture.write_picture`.
    pathway
        Path to write; it leaves the cell in one piece.
    atoms
        Structure that the field belongs to, in the same cell.

    Raises
    ------
    ValueError
        Unknown suffix; a structure in another cell.
    """
    writer = writer_for(path, PATH_WRITERS, "path")
    check_cell("path", pathway.cell, atoms)
    writer(Path(path), pathway, atoms)


def _write_csv(path: Path, pathway: MigrationPath, _: Atoms) -> None:
    unit = pathway.unit.replace("Å", "A").replace(" ", "_")
    names = ["length_A", "x_A", "y_A", "z_A", "fractional_a", "fractional_b", "fractional_c", f"value_{unit}"]
    rows = np.column_stack([pathway.lengths, pathway.positions, pathway.fractional, pathway.values])
    lines = [",".join(names), *(",".join(f"{number:.8f}" for number in row) for row in rows)]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_xyz(path: Path, pathway: MigrationPath, atoms: Atoms) -> None:
    from ase.io import write

    n = len(pathway.positions)
    both = Atoms(
        [*atoms.get_chemical_symbols(), *["X"] * n],
        positions=np.concatenate([atoms.positions, pathway.positions]),
        cell=atoms.cell,
        pbc=True,
    )
    both.set_array("path", np.concatenate([np.zeros(len(atoms), int), np.arange(1, n + 1)]))
    both.set_array("value", np.concatenate([np.zeros(len(atoms)), pathway.values]))
    both.info["quantity"], both.info["unit"] = pathway.quantity, pathway.unit
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        write(file, both, format="extxyz")


def _write_picture(path: Path, pathway: MigrationPath, atoms: Atoms) -> None:
    write_picture(path, atoms, pathway=pathway, mobile=pathway.ion, opacity=0.4)


PATH_WRITERS: Final = {".csv": _write_csv, ".xyz": _write_xyz, ".extxyz": _write_xyz, ".png": _write_picture}
"""Writer of each format by its suffix."""
