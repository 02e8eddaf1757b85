"""
A structure against an experiment
=================================

A measured powder pattern beside a computed one: scale, background, R-factor, and how much of the sample is glass. The
measurement here is made up from known parts, 30 % of the atoms in a glass, so that the answer can be checked; yours
comes from :func:`amorph.reading.read_columns` or ``amorph structure FILE --experiment pattern.xy --as xrd``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import amorph
from amorph import QuenchSchedule, Segment
from amorph.analysis.scattering import amorphous_share, compare
from workflows.soft_ions import SoftIons

rng = np.random.default_rng(0)
rocksalt = amorph.build("Li2Ti1/3Mo2/3O3", supercell=(2, 2, 2), lattice_constant=4.5, rng=rng).atoms
schedule = QuenchSchedule(
    (Segment("melt", "NVT", 7000, 7000, 0.6), Segment("quench", "NVT", 7000, 300, 0.3)),
    timestep_fs=2.0,
    damping_time_ps=0.1,
)
glass = amorph.melt_quench(rocksalt, SoftIons(), schedule, rng=rng, sample_every=10).atoms

# %%
# Patterns of both, for Mo Kα. A small cell has few reciprocal vectors, so that its glass shows speckle: ``broadening``
# of about 2π over the edge of the cell makes the halo of a large one.

angles = {"wavelength": "MoKa", "two_theta": (8.0, 45.0), "width": 0.2}
halo = amorph.powder_pattern(glass, **angles, broadening=0.6)
lines = amorph.powder_pattern(rocksalt, **angles)

# %%
# The made-up measurement: both, a falling background, and counting noise.

x = halo.two_theta_deg
truth = 0.3 * halo.intensity + 0.7 * np.interp(x, lines.two_theta_deg, lines.intensity)
counts = rng.poisson(40 * truth + 3000 * np.exp(-x / 20) + 200)
measured = np.column_stack([x, counts, np.sqrt(counts)])

share = amorphous_share(measured, halo, lines, background_terms=4)
print(f"share of the atoms in the glass: {share.share_of_atoms:.3f} ± {share.standard_error:.3f} (made with 0.300)")
print(f"R_w = {share.fit.r_w:.3f}, reduced χ² = {share.fit.reduced_chi_squared:.2f}")

figure, (above, below) = plt.subplots(2, sharex=True, figsize=(7, 4.5), layout="constrained", height_ratios=(3, 1))
above.plot(share.fit.x, share.fit.measured, ".", markersize=2, label="measured")
above.plot(share.fit.x, share.fit.computed, label="fit")
above.plot(share.fit.x, share.amorphous + share.fit.background, "--", label="glass and background")
above.set(ylabel="counts")
above.legend()
below.plot(share.fit.x, share.fit.residual, linewidth=0.6)
below.set(xlabel="2θ [°], Mo Kα", ylabel="residual")
plt.show()

# %%
# Without the crystal in the fit it is worse, and says so:

alone = compare(halo.two_theta_deg, halo.intensity, measured, background_terms=4)
print(f"glass alone: R_w = {alone.r_w:.3f}, reduced χ² = {alone.reduced_chi_squared:.0f}")

# %%
# Bonds and coordination of a crystal that everybody knows, with the cutoffs that they were counted with:

crystals = Path(amorph.__file__).parent / "examples" / "structures"
anatase = amorph.read_structure(crystals / "TiO2_anatase.cif")
for row in amorph.structure_report(anatase, q_max=8.0).coordination.table():
    print(row)

# %%
# Definitions of every curve stand in :doc:`/structure`.
