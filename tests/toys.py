"""Calculators with closed forms, whose forces are a pure function of positions and cell; cells; a told result."""

import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from amorph.figures import Result, Row, plain
from amorph.structure import pair_list


@dataclass(frozen=True)
class Told(Result):
    """A result of any figures."""

    found: dict[str, Any] = field(default_factory=dict)
    compared: tuple[Row, ...] = ()

    def figures(self):
        return plain(self.found)

    def rows(self):
        return list(self.compared)


class Toy(Calculator):
    """Counts its evaluations, and computes only what is asked for."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self):
        super().__init__()
        self.evaluations = 0

    def batch(self):
        return OneByOne(self)

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


class OneByOne:
    """A batch of structures for one calculator."""

    def __init__(self, calculator):
        self.calculator = calculator
        self.sizes = []

    def evaluate(self, structures, properties):
        self.sizes.append(len(structures))
        results = []
        for number, atoms in enumerate(structures):
            self.calculator.results = {}
            try:
                self.calculator.calculate(atoms, properties)
            except ValueError as error:
                raise ValueError(f"structure {number}: {error}") from None
            results.append(dict(self.calculator.results))
        return results


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


class Ions(Toy):
    """Soft spheres with screened charges for Li, Mg, Ti, Mo and O: enough for the whole chain in seconds.

    Per pair ε (r0/d)⁸ + k qᵢqⱼ exp(−κd)/d, value and slope zero at the cutoff, nearest images only. The numbers are
    made up: rocksalt of about 4.2 Å is near its minimum, and it melts at once.
    """

    CHARGES: ClassVar = {"Li": 0.3, "Mg": 0.6, "Ti": 1.2, "Mo": 1.2, "O": -0.6}
    RADII: ClassVar = {"Li": 0.76, "Mg": 0.72, "Ti": 0.61, "Mo": 0.65, "O": 1.40}

    def __init__(self, epsilon=0.015, screening=0.5, cutoff=3.9):
        super().__init__()
        self.epsilon, self.screening, self.cutoff = epsilon, screening, cutoff

    def pair(self, d, r0, strength):
        repulsion = self.epsilon * (r0 / d) ** 8
        coulomb = 14.4 * strength * np.exp(-self.screening * d) / d
        return repulsion + coulomb, -8 * repulsion / d - coulomb * (self.screening + 1 / d)

    def evaluate(self, atoms):
        fractional = atoms.positions @ np.linalg.inv(atoms.cell.array)
        D = fractional[None, :] - fractional[:, None]
        D = (D - np.rint(D)) @ atoms.cell.array
        d = np.sqrt((D**2).sum(axis=2))
        i, j = np.nonzero((d > 0) & (d < self.cutoff))
        D, d = D[i, j], d[i, j]
        radii = np.array([self.RADII[symbol] for symbol in atoms.symbols])
        charges = np.array([self.CHARGES[symbol] for symbol in atoms.symbols])
        r0, strength = radii[i] + radii[j], charges[i] * charges[j]
        energy, slope = self.pair(d, r0, strength)
        end = self.pair(self.cutoff, r0, strength)
        energy = energy - end[0] - end[1] * (d - self.cutoff)
        pull = ((slope - end[1]) / d)[:, None] * D
        forces = np.stack([np.bincount(i, pull[:, k], len(atoms)) for k in range(3)], axis=1)
        return 0.5 * float(energy.sum()), forces, -0.5 * pull.T @ D


def random_cell(n, seed):
    """A triclinic cell of random points, none close to another."""
    rng = np.random.default_rng(seed)
    cell = np.array([[1.0, 0.1, 0.0], [0.4, 0.9, -0.2], [-0.3, 0.5, 1.2]]) * (12.0 * n) ** (1 / 3)
    atoms = Atoms(cell=cell, pbc=True)
    while len(atoms) < n:
        trial = atoms + Atoms(str(rng.choice(["Mg", "O"])), positions=[(rng.random(3) * 3 - 1) @ cell])
        if len(atoms) == 0 or trial.get_distances(len(atoms), range(len(atoms)), mic=True).min() > 1.0:
            atoms = trial
    return atoms


def points_of(field):
    """(n, 3) positions of a field's points, in the order of its values."""
    fractions = [np.arange(n) / n for n in field.grid]
    return np.stack(np.meshgrid(*fractions, indexing="ij"), axis=-1).reshape(-1, 3) @ field.cell


def images_within(atoms, reach):
    """Positions of the atoms inside the cell, and the (n, 3) shifts to every image within reach of a point there."""
    inverse = np.linalg.inv(atoms.cell.array)
    fractional = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
    spans = [range(-k, k + 1) for k in np.ceil(reach * np.linalg.norm(inverse, axis=0)).astype(int) + 1]
    shifts = np.array(list(itertools.product(*spans))) @ atoms.cell.array
    return (fractional - np.floor(fractional)) @ atoms.cell.array, shifts
