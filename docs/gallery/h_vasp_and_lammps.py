"""
Hand-off to VASP and LAMMPS
===========================

What amorph made goes on in other programs, and comes back from them with every atom in its place.
"""

import tempfile
from pathlib import Path

import numpy as np

import amorph
from amorph.export import write_structure, write_vasp_input
from amorph.reading import read_structure

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
rocksalt = amorph.build("Li2Ti1/3Mo2/3O3", supercell=(2, 2, 2), lattice_constant=4.28, rng=rng).atoms
atoms = amorph.substitute(rocksalt, ion="Li+", by="Mg2+", rng=rng).atoms

# %%
# **VASP.** INCAR, KPOINTS, POSCAR and the list of data sets for the POTCAR, with the settings of the reference study;
# what is not from there is marked in the INCAR:

made = write_vasp_input(folder / "vasp", atoms)
print(sorted(path.name for path in made.directory.iterdir()), made.potcar_symbols)
print((made.directory / "INCAR").read_text())

# %%
# In a study the table ``[vasp]`` does this and stops with status 3; put ``vasprun.xml`` or ``CONTCAR`` into the folder
# and run the same command again. For a structure by itself: ``amorph vasp-input FILE``.
#
# **LAMMPS.** A data file with the masses and the cell in LAMMPS' own orientation; it reads back as the same structure:

write_structure(folder / "glass.lmp", atoms)
print((folder / "glass.lmp").read_text().split("Atoms")[0])
back = read_structure(folder / "glass.lmp")
print(len(back), "atoms back, volume", round(back.get_volume(), 3), "of", round(atoms.get_volume(), 3), "Å³")

# %%
# **Anything else**: CIF, POSCAR, extended XYZ, by the suffix; ``amorph convert IN OUT`` on the command line. All
# formats stand in :doc:`/files`.

for name in ("glass.cif", "POSCAR", "glass.extxyz"):
    write_structure(folder / name, atoms)
    again = read_structure(folder / name)
    distances = np.sort(again.get_all_distances(mic=True)[0])
    print(f"{name:12} {again.get_chemical_formula()}  nearest {distances[1]:.3f} Å")
