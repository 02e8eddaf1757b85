"""Calculators with closed forms, whose forces are a pure function of positions and cell."""

from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from amorph.neighbors import pair_list


class Toy(Calculator):
    """Counts its evaluations, and computes only what is asked for."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self):
        super().__init__()
        self.evaluations = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.evaluations += 1
        energy, forces, virial = self.evaluate(self.atoms)
        self.results["energy"] = self.results["free_energy"] = energy
        if "forces" in properties:
            self.results["forces"] = forces
        if "stress" in properties:
            stress = -virial / self.atoms.get_volume()
            self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    def evaluate(self, atoms):
        raise NotImplementedError


class Springs(Toy):
    """Every atom on a spring of its own: u² = 3 kT/k per atom, and the kinetic pressure alone."""

    def __init__(self, sites, stiffness):
        super().__init__()
        self.sites, self.stiffness = sites.copy(), stiffness

    def evaluate(self, atoms):
        u = atoms.positions - self.sites
        return 0.5 * self.stiffness * float((u**2).sum()), -self.stiffness * u, np.zeros((3, 3))


class LennardJones(Toy):
    """12–6 potential whose value and slope vanish at the cutoff."""

    def __init__(self, epsilon=0.0104, sigma=3.4, cutoff=8.5):
        super().__init__()
        self.epsilon, self.sigma, self.cutoff = epsilon, sigma, cutoff
        self.end = self.pair(np.array(cutoff))

    def pair(self, d):
        s6 = (self.sigma / d) ** 6
        return 4 * self.epsilon * (s6**2 - s6), 4 * self.epsilon * (-12 * s6**2 + 6 * s6) / d

    def evaluate(self, atoms):
        pairs = pair_list(atoms, self.cutoff)
        energy, slope = self.pair(pairs.d)
        energy = energy - self.end[0] - self.end[1] * (pairs.d - self.cutoff)
        slope = slope - self.end[1]
        pull = (slope / pairs.d)[:, None] * pairs.D
        forces = np.stack([np.bincount(pairs.i, pull[:, k], len(atoms)) for k in range(3)], axis=1)
        return 0.5 * float(energy.sum()), forces, -0.5 * np.einsum("pi,pj->ij", pull, pairs.D)
