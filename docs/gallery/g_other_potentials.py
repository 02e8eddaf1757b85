"""
Other potentials
================

Any ASE calculator runs the chain: CHGNet is only the default. A study names a function that makes one; in Python it is
simply handed over.
"""

import inspect

import numpy as np
from ase.calculators.lj import LennardJones

import amorph
from amorph.calculators import ZBLRepulsion, calculator_name, make_calculator
from workflows import soft_ions

# %%
# A potential of one's own is a class with ``calculate``; this one has sixty lines:

print(inspect.getsource(soft_ions.SoftIons.calculate))

# %%
# By name, as in ``[calculator] factory = "workflows.soft_ions:SoftIons"`` of a study or ``--factory`` of a verb. The
# module may lie in the working directory; arguments are handed on:

toy = make_calculator(factory="workflows.soft_ions:SoftIons")
argon = make_calculator(factory="ase.calculators.lj:LennardJones", arguments={"sigma": 3.4, "epsilon": 0.0104})
print(calculator_name(toy), calculator_name(argon), isinstance(argon, LennardJones))

# %%
# Relaxed by it, and by it with the universal repulsion that holds atoms apart in hot melts (``repulsion = "zbl"``),
# which changes nothing where no atoms are too close:

atoms = amorph.build("MgO", supercell=(2, 2, 2), lattice_constant=4.3, rng=np.random.default_rng(0)).atoms
for calculator in (toy, ZBLRepulsion(toy)):
    relaxed = amorph.relax(atoms, calculator, cell="isotropic", fmax=0.01)
    print(f"{calculator_name(calculator):15} a = {relaxed.volume ** (1 / 3) / 2:.4f} Å, {relaxed.steps} steps")

# %%
# Is it consistent? Forces against finite differences, before it is trusted with a melt:

shaken = atoms.copy()
shaken.rattle(0.1, seed=0)
shaken.calc = toy
step, force = 1e-4, shaken.get_forces()[0, 0]
energies = []
for shift in (-step, step):
    moved = shaken.copy()
    moved.positions[0, 0] += shift
    moved.calc = toy
    energies.append(moved.get_potential_energy())
print(f"force {force:.6f}, from energies {(energies[0] - energies[1]) / (2 * step):.6f} eV/Å")

# %%
# What a factory costs on your machine: ``amorph run workflows/soft_ions.toml --dry-run --time-factory``, which calls
# its code; without the flag a dry run calls none that a study names.
