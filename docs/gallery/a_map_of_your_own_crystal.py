"""
A map of your own crystal
=========================

Where would an ion have its valence, at which energy, and over which barrier could it travel? All three from a CIF, in
seconds and without any model: bond valence knows only distances.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import amorph
from amorph.analysis.percolation import migration_path, percolation_thresholds
from amorph.export.fields import write_field
from amorph.export.picture import write_picture

crystals = Path(amorph.__file__).parent / "examples" / "structures"
folder = Path(tempfile.mkdtemp())

# %%
# Any file that ASE or pymatgen reads will do. LiFePO4, whose Li runs along [010]:

atoms = amorph.read_structure(crystals / "LiFePO4.cif")
print(atoms)

# %%
# The bond valence sum of a Li+ at every point, its own Li removed. The window is where it is within a fifth of 1:

bvs = amorph.bvs_map(atoms, "Li+", spacing=0.15, blocking="framework")
print(f"window: {100 * bvs.window_fraction_of_cell:.1f} % of the cell; parameters: {bvs.source}")

# %%
# The site energy adds the repulsion of the cations. The lowest level at which a region runs through the crystal, less
# the lowest point, is the migration barrier in one, two and three dimensions:

bvse = amorph.bvse_map(atoms, "Li+", spacing=0.15)
barriers = percolation_thresholds(bvse.field).barriers
print("barriers [eV]:", *(f"{barrier:.2f}" for barrier in barriers))

# %%
# The path over the lowest of them, and its profile:

path = migration_path(bvse.field)
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(path.lengths, path.values - min(path.values))
axes.set(xlabel="along the path [Å]", ylabel="site energy above the lowest [eV]")
plt.show()

# %%
# A picture for a talk, and files for other programs. ``.cube`` opens in VESTA, ``.vts`` in ParaView, ``.npz`` in
# Python:

write_picture(folder / "path.png", atoms, pathway=path, mobile="Li+", width=1000)
write_field(folder / "bvse.cube", bvse.field, atoms)
figure, axes = plt.subplots(figsize=(8, 6), layout="constrained")
axes.imshow(plt.imread(folder / "path.png"))
axes.axis("off")
plt.show()

# %%
# A plane of the map, through the Li at the origin:

field = bvse.field
plane = np.minimum(field.values[:, :, 0] - np.nanmin(field.values), 5.0)
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
a, b, _ = np.linalg.norm(field.cell, axis=1)
image = axes.imshow(plane.T, origin="lower", extent=(0, a, 0, b), cmap="viridis", aspect="equal")
axes.set(xlabel="along a [Å]", ylabel="along b [Å]")
figure.colorbar(image, label="site energy above the lowest [eV]")
plt.show()

# %%
# The same on the command line: ``amorph percolation structures/LiFePO4.cif --ion Li+ --path path.png``. How good such
# barriers are stands in :doc:`/site_energy` and :doc:`/percolation`.
