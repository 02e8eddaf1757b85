"""The chain of kawaguchi2025.toml through the Python API, stage by stage.

python workflows/kawaguchi2025.py [--quick] [OUTPUT_FOLDER]

``--quick`` takes a cell of 64 atoms and a tenth of a picosecond, to see the script run; the figures then mean nothing.
"""

import argparse
import logging
from pathlib import Path

import numpy as np

import amorph
from amorph.analysis.crystallinity import crystallinity
from amorph.export import write_mesh, write_structure
from amorph.export.picture import write_picture
from amorph.meltquench import QuenchSchedule, Segment

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/kawaguchi2025_api"))
parser.add_argument("--quick", action="store_true")
arguments = parser.parse_args()
arguments.folder.mkdir(parents=True, exist_ok=True)
logging.basicConfig(level=logging.INFO, format="%(message)s")

supercell, melt, equilibrate, steps, grid = (5, 5, 5), "kawaguchi2025", "kawaguchi2025_equilibrate", 2000, (200,) * 3
if arguments.quick:
    supercell, steps, grid = (2, 2, 2), 5, (40,) * 3
    melt = QuenchSchedule((Segment("melt", "NVT", 3000, 3000, 0.04), Segment("quench", "NVT", 3000, 300, 0.04)))
    equilibrate = QuenchSchedule((Segment("equilibrate", "NVT", 300, 300, 0.02),))
sample_every = 2 if arguments.quick else 100

# One seed, one independent stream of random numbers for each random choice.
streams = [np.random.default_rng(seed) for seed in np.random.SeedSequence(0).spawn(4)]
calculator = amorph.CHGNetCalculator("0.3.0")

built = amorph.build("Li2Ti1/3Mo2/3O3", supercell=supercell, lattice_constant="relaxed", rng=streams[0])
print(f"{built.formula}, residual charge {built.residual_charge:+g} e")

# The model's own volume: from that of the experiment's crystal, 4.15 Å, the oxygen does not melt.
start = amorph.relax(built.atoms, calculator, cell="isotropic", max_steps=steps)
quenched = amorph.melt_quench(start.atoms, calculator, melt, rng=streams[1], sample_every=sample_every)
print(f"melt at {quenched.melt_pressure_GPa:.1f} GPa: {quenched.melt.reason}")

minimised = amorph.relax(quenched.atoms, calculator, cell="isotropic", fmax=0.01, max_steps=steps)
print(f"glass: {crystallinity(minimised.atoms, melted=quenched.melt.melted).reason}")

glass = amorph.melt_quench(minimised.atoms, calculator, equilibrate, rng=streams[2], sample_every=sample_every).atoms


def exchanged(host, name):
    """Exchange the ions of a host, relax it with a free cell, measure it and draw it."""
    substituted = amorph.substitute(host, ion="Li+", by="Mg2+", rng=np.random.default_rng(0))
    relaxed = amorph.relax(substituted.atoms, calculator, cell="free", fmax=0.005, max_steps=steps)
    volumes = amorph.free_volume(relaxed.atoms, ion="Mg2+")
    bvs = amorph.bvs_map(relaxed.atoms, "Mg2+", grid=grid)
    surface = amorph.isosurface(bvs, window=0.4)
    write_structure(arguments.folder / f"{name}.cif", relaxed.atoms)
    write_mesh(arguments.folder / f"{name}.ply", surface)
    write_picture(arguments.folder / f"{name}.png", relaxed.atoms, surface, mobile="Mg2+")
    print(
        f"{name}: converged {relaxed.converged}, f_V {100 * volumes.free_volume_fraction:.1f} %, {volumes.formula}, "
        f"window {100 * bvs.window_fraction_of_cell:.2f} % of the cell"
    )


exchanged(glass, "glass")
# The control: the same cell, never melted.
crystal = amorph.relax(built.atoms, calculator, cell="isotropic", fmax=0.01, max_steps=steps)
exchanged(crystal.atoms, "crystal")
