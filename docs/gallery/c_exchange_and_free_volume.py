"""
Exchange, free volume, room for the new ion
===========================================

Two Li+ make room for one Mg2+ and a vacancy. How much volume is then free, how is it spread, and is it more than in the
crystal?
"""

import matplotlib.pyplot as plt
import numpy as np

import amorph
from amorph import QuenchSchedule, Segment
from amorph.analysis.voids import voids
from workflows.soft_ions import SoftIons

rng = np.random.default_rng(0)
built = amorph.build("Li2Ti1/3Mo2/3O3", supercell=(2, 2, 3), lattice_constant=4.6, rng=rng)
schedule = QuenchSchedule(
    (Segment("melt", "NVT", 7000, 7000, 0.6), Segment("quench", "NVT", 7000, 300, 0.15)),
    timestep_fs=2.0,
    damping_time_ps=0.1,
)
melted = amorph.melt_quench(built.atoms, SoftIons(), schedule, rng=rng, sample_every=10).atoms

# %%
# Glass and crystal go the same way: relaxed, exchanged, relaxed with a free cell.


def exchanged(atoms):
    """Take a cell through the exchange."""
    relaxed = amorph.relax(atoms, SoftIons(), cell="isotropic", fmax=0.05)
    swapped = amorph.substitute(relaxed.atoms, ion="Li+", by="Mg2+", rng=np.random.default_rng(1))
    return amorph.relax(swapped.atoms, SoftIons(), cell="free", fmax=0.05).atoms


structures = {"glass": exchanged(melted), "crystal": exchanged(built.atoms)}

# %%
# The free volume of the formula :math:`f_V = 1 - \sum_i n_i V_i / V` takes the Voronoi volumes of the cations from the
# structure, and that of oxygen from crystalline MgO:

for name, atoms in structures.items():
    volumes = amorph.free_volume(atoms, ion="Mg2+")
    print(f"{name:8} f_V = {100 * volumes.free_volume_fraction:5.1f} %   {volumes.formula}")

# %%
# The bond-valence map says where a Mg2+ would find its valence; points with less are roomier than it wants.

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, atoms), line in zip(structures.items(), ("-", "--"), strict=True):
    found = amorph.bvs_map(atoms, "Mg2+", spacing=0.2, blocking="framework")
    values = found.field.values[np.isfinite(found.field.values)]  # NaN near an atom
    axes.hist(values, bins=np.arange(0, 4.05, 0.1), histtype="step", linestyle=line, density=True, label=name)
    window, roomier = found.window_fraction_of_cell, found.under_bonded_fraction_of_cell
    print(f"{name:8} window {100 * window:.2f} %, roomier {100 * roomier:.2f} % of the cell")
axes.axvspan(1.6, 2.4, alpha=0.2, label="window of Mg$^{2+}$")
axes.set(xlabel="bond valence sum [v.u.]", ylabel="density of points")
axes.legend()
plt.show()

# %%
# Spheres that fit and pass, Mg removed:

for name, atoms in structures.items():
    found = voids(atoms[[symbol != "Mg" for symbol in atoms.symbols]], spacing=0.3)
    print(f"{name:8} largest sphere that fits {found.largest_included_radius:.2f} Å")

# %%
# One cell of each is an anecdote, and this one is a toy: :doc:`d_ensemble_with_errors` shows what eight of each say.
