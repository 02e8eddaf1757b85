"""
Diffusion, with an interval that holds
======================================

Does an ion move, how fast, and how sure is that? Here the answer is known beforehand: the ions are random walkers with
a given diffusion coefficient, and rattle in their cages besides.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms, units

from amorph.analysis.transport import arrhenius, diffusion

rng = np.random.default_rng(0)
E_A, D_0 = 0.35, 2e-3  # what the walkers obey: D = D0 exp(−E_a/kT) [eV, cm²/s]
INTERVAL_PS = 0.1


def trajectory(temperature, frames=2000, ions=40):
    """Walkers in a box, wrapped into it, as a trajectory file would have them."""
    wanted = D_0 * np.exp(-E_A / (units.kB * temperature)) * 1e4  # Å²/ps
    steps = rng.normal(scale=np.sqrt(2 * wanted * INTERVAL_PS), size=(frames, ions, 3))
    rattling = rng.normal(scale=0.15, size=(frames, ions, 3))
    places = 15 * rng.random((ions, 3)) + np.cumsum(steps, axis=0) + rattling
    return [frame_of(ions, positions) for positions in places]


def frame_of(ions, positions):
    """One frame, beside a framework that rests and tells the drift."""
    grid = 5.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    frame = Atoms(f"Li{ions}O27", positions=np.vstack([positions, grid]), cell=[15, 15, 15], pbc=True)
    frame.set_masses([0.001] * ions + [16] * 27)  # the drift is that of the framework
    frame.wrap()
    return frame


# %%
# Displacements are followed through the walls of the cell, averaged over all windows, and fitted with the covariance
# that overlapping windows have:

temperatures = (500.0, 600.0, 800.0, 1000.0)
found = [
    diffusion(trajectory(T), frame_interval_ps=INTERVAL_PS, temperature_K=T, charges={"Li": 1.0}) for T in temperatures
]
for T, one in zip(temperatures, found, strict=True):
    lithium = one.ions["Li"]
    true = D_0 * np.exp(-E_A / (units.kB * T))
    low, high = lithium.interval_95
    print(f"{T:5.0f} K   D = {lithium.diffusivity_cm2_s:.2e}   [{low:.2e}, {high:.2e}]   true {true:.2e} cm²/s")

# %%
# The intercept is the cage; the slope is D:

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for T, one in zip(temperatures, found, strict=True):
    curves = one.ions["Li"].curves
    axes.loglog(curves["lag_ps"], curves["msd_A2"], label=f"{T:.0f} K")
axes.set(xlabel="lag [ps]", ylabel="mean-square displacement [Å²]")
axes.legend()
plt.show()

# %%
# Over temperatures, the activation energy, and what the line says of 300 K:

line = arrhenius(found, "Li")
low, high = line.activation_energy_interval_95
print(f"E_a = {line.activation_energy_eV:.3f} eV, 95 %: {low:.3f} to {high:.3f} (the walkers obey {E_A})")
print(
    f"diffusion length in 1 h at 300 K: {line.diffusion_length_1h_nm:.0f} nm, 95 %: "
    f"{line.diffusion_length_1h_interval_95[0]:.0f} to {line.diffusion_length_1h_interval_95[1]:.0f} nm"
)

# %%
# Where nothing diffuses, no number is made up: an upper limit is printed instead. On the command line, ``amorph
# diffusion 600K.extxyz 800K.extxyz 1000K.extxyz --charges Li=1``; how often the interval holds stands in
# :doc:`/transport`.
