"""
Melt, quench, verdict
=====================

A composition becomes a random rocksalt, is melted and quenched, and is asked whether it is a glass. The potential here
is a toy of sixty lines that melts at once (``workflows/soft_ions.py``); a real run names CHGNet or another model
and takes hours.
"""

import matplotlib.pyplot as plt
import numpy as np

import amorph
from amorph import QuenchSchedule, Segment
from workflows.soft_ions import SoftIons

rng = np.random.default_rng(0)
built = amorph.build("Li2Ti1/3Mo2/3O3", supercell=(2, 2, 4), lattice_constant=4.6, rng=rng)
print(built.formula, len(built.atoms), "atoms, residual charge", built.residual_charge)

# %%
# A schedule is a list of segments; the target temperature of a ramp moves with every step. Everything random comes from
# one generator: the same seed gives the same glass, to the last bit.

schedule = QuenchSchedule(
    (Segment("melt", "NVT", 7000, 7000, 1.0), Segment("quench", "NVT", 7000, 300, 0.15)),
    timestep_fs=2.0,
    damping_time_ps=0.1,
)
quenched = amorph.melt_quench(built.atoms, SoftIons(), schedule, rng=rng, sample_every=10)

time = [row.time_ps for row in quenched.thermo]
figure, (above, below) = plt.subplots(2, sharex=True, figsize=(6, 4.5), layout="constrained")
above.plot(time, [row.temperature_K for row in quenched.thermo], label="measured")
above.plot(time, [row.target_K for row in quenched.thermo], "--", label="target")
above.set(ylabel="temperature [K]")
above.legend()
below.plot(time, [row.pressure_GPa for row in quenched.thermo])
below.set(xlabel="time [ps]", ylabel="pressure [GPa]")
plt.show()

# %%
# The verdict is passed on the minimised structure: no Bragg peak, no cluster of anions in crystal order, and every
# species came far enough in the melt.

glass = amorph.relax(quenched.atoms, SoftIons(), cell="isotropic", fmax=0.05)
verdict = amorph.crystallinity(glass.atoms)
print(verdict.verdict, "-", verdict.reason)
print("in the melt:", quenched.melt.reason)

# %%
# The same cell, never melted, is the control that every figure wants beside it:

crystal = amorph.relax(built.atoms, SoftIons(), cell="isotropic", fmax=0.05)
print(amorph.crystallinity(crystal.atoms).verdict)

# %%
# What the melt did to the distances:

both = {"glass": glass.atoms, "crystal": crystal.atoms}
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for (name, atoms), line in zip(both.items(), ("-", "--"), strict=True):
    found = amorph.pair_distributions(atoms, r_max=8.0, bin_width=0.1)
    axes.plot(found.r, found.total_g_r, line, label=name)
axes.set(xlabel="r [Å]", ylabel="g(r)")
axes.legend()
plt.show()

# %%
# As a study, with checkpoints, control, analysis and page: ``amorph run workflows/soft_ions.toml --dir
# runs/soft_ions``. How often the verdict errs stands in :doc:`/verdict`.
