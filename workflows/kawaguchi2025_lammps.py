"""The paper's melt-quench as a LAMMPS user writes it, with CHGNet behind it: melt, ramp, minimise, hold at 300 K.

python workflows/kawaguchi2025_lammps.py [--quick] [OUTPUT_FOLDER]

Kawaguchi et al., Communications Materials 6 (2025), doi:10.1038/s43246-025-00921-0. ``--quick`` takes a cell of 64
atoms and a few steps, to see the script run. The lines of the deck are LAMMPS' own: change them as in any other.
"""

import argparse
from pathlib import Path

import numpy as np

import amorph
from amorph.calculators import couple_lammps, open_lammps
from amorph.export import write_structure

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/lammps"))
parser.add_argument("--quick", action="store_true")
arguments = parser.parse_args()
arguments.folder.mkdir(parents=True, exist_ok=True)

cells, melt, quench, hold, every = (2, 10, 20, 10, 5) if arguments.quick else (5, 10_000, 20_000, 10_000, 100)

# A data file of LAMMPS; its types are the elements in alphabetical order.
rocksalt = amorph.build("Li2Ti1/3Mo2/3O3", supercell=(cells,) * 3, lattice_constant=4.28, rng=np.random.default_rng(0))
data = arguments.folder / "rocksalt.data"
write_structure(data, rocksalt.atoms)
elements = sorted(set(rocksalt.atoms.symbols))

lmp = open_lammps("-log", str(arguments.folder / "log.lammps"), "-screen", "none")
lmp.commands_string(f"""
units           metal
atom_style      charge
read_data       {data}
comm_modify     cutoff 2.0
""")

# In place of pair_style and pair_coeff, whose cutoff comm_modify stands for. Any other ASE calculator would be the
# third argument.
couple_lammps(lmp, elements)

lmp.commands_string(f"""
timestep        0.001
thermo          {every}
thermo_style    custom step temp pe etotal press vol
dump            frames all custom {every} {arguments.folder}/melt_quench.lammpstrj id element xu yu zu
dump_modify     frames element {" ".join(elements)} sort id
restart         {max(quench // 20, 10)} {arguments.folder}/restart.*

velocity        all create 3000 4711 mom yes rot no dist gaussian
fix             move all nve

fix             bath all langevin 3000 3000 0.02 48279 zero yes
run             {melt}

fix             bath all langevin 3000 300 0.02 48280 zero yes
run             {quench}
unfix           bath
unfix           move

fix             cell all box/relax iso 0.0 vmax 0.001
minimize        0.0 0.01 {2 if arguments.quick else 2000} 10000
unfix           cell

velocity        all create 300 4712 mom yes rot no dist gaussian
fix             hold all nvt temp 300 300 0.1
run             {hold}
write_data      {arguments.folder}/glass.data
""")
print(f"{lmp.get_natoms():.0f} atoms, {lmp.get_thermo('vol'):.1f} Å³, {lmp.get_thermo('press') / 1e4:.2f} GPa")
print(f"amorph verdict {arguments.folder}/melt_quench.lammpstrj")
