"""Vitreous silica out of a melt of a BKS-type potential, beside experiment."""

import sys
from math import ceil, exp, pi, sqrt

import numpy as np
import pytest
from ase import Atoms, units
from numba import njit

from amorph import structure_report

# van Beest, Kramer and van Santen 1990 (doi:10.1103/PhysRevLett.64.1955):
# A [eV], b [1/Å], C [eV Å⁶] of O-O, Si-O, Si-Si.
BUCKINGHAM = np.array([[1388.7730, 2.76000, 175.0000], [18003.7572, 4.87318, 133.5381], [0.0, 1.0, 0.0]])
CHARGE = np.array([-1.2, 2.4])
KB = units.kB
MASS = np.array([15.999, 28.085])
INNER = np.array([1.6, 1.2, 0.0])
"""Below these distances, where BKS falls to -∞, a repulsion takes its place [Å]."""
CUTOFF, DAMPING = 7.0, 0.25
"""Of the damped, shifted Coulomb forces [Å], [1/Å]."""


@njit(fastmath=True)
def _coulomb(r):
    t = 1.0 / (1.0 + 0.3275911 * DAMPING * r)  # erfc to 1e-7: Abramowitz and Stegun 7.1.26
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    gauss = exp(-((DAMPING * r) ** 2))
    return 14.399645 * gauss * (series / r**2 + 2.0 * DAMPING / sqrt(pi) / r)


@njit(fastmath=True)
def _forces(x, kinds, edge, forces):
    forces[:] = 0.0
    shift = _coulomb(CUTOFF)
    for i in range(len(x)):
        for j in range(i):
            dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
            dx, dy, dz = dx - edge * np.rint(dx / edge), dy - edge * np.rint(dy / edge), dz - edge * np.rint(dz / edge)
            r = sqrt(dx * dx + dy * dy + dz * dz)
            if r < CUTOFF:
                kind = kinds[i] + kinds[j]
                a, b, c = BUCKINGHAM[kind]
                near = max(r, INNER[kind])
                push = a * b * exp(-b * near) - 6.0 * c / near**7 + 500.0 * (near - r)
                push = (push + CHARGE[kinds[i]] * CHARGE[kinds[j]] * (_coulomb(r) - shift)) / r
                for k, d in enumerate((dx, dy, dz)):
                    forces[i, k] += push * d
                    forces[j, k] -= push * d


@njit(fastmath=True)
def _quench(x, v, kinds, edge, temperatures, step, frames):
    """Velocity Verlet with Berendsen's thermostat of 50 steps; the last frames are kept, one every 100 steps."""
    forces = np.zeros_like(x)
    _forces(x, kinds, edge, forces)
    for number, target in enumerate(temperatures):
        for i in range(len(x)):
            v[i] += 0.5 * step * forces[i] / MASS[kinds[i]]
            x[i] += step * v[i]
        _forces(x, kinds, edge, forces)
        kinetic = 0.0
        for i in range(len(x)):
            v[i] += 0.5 * step * forces[i] / MASS[kinds[i]]
            kinetic += MASS[kinds[i]] * (v[i] ** 2).sum()
        v *= sqrt(1.0 + 0.02 * (target * 3 * len(x) * KB / kinetic - 1.0))
        left = len(temperatures) - 1 - number
        if left % 100 == 0 and left // 100 < len(frames):
            frames[left // 100] = x


def silica(seed, formula_units=64, melt_ps=6.0, quench_ps=14.0):
    rng = np.random.default_rng(seed)
    kinds = np.repeat([1, 0], [formula_units, 2 * formula_units])
    edge = (formula_units * 60.084 / 0.602214 / 2.20) ** (1 / 3)  # 2.20 g/cm³
    points = ceil(len(kinds) ** (1 / 3))
    grid = np.argwhere(np.ones((points,) * 3))
    x = (rng.permutation(grid)[: len(kinds)] + 0.1 * rng.random((len(kinds), 3))) * edge / points
    v = rng.normal(size=x.shape) * np.sqrt(units.kB * 300.0 / MASS[kinds])[:, None]
    steps = 1000 * np.array([melt_ps, quench_ps, 2.0])
    temperatures = np.interp(np.arange(steps.sum()), np.cumsum(steps), [4500.0, 300.0, 300.0])
    frames = np.zeros((20, *x.shape))
    _quench(x, v, kinds, edge, temperatures, 1.0 * units.fs, frames)
    symbols = np.array(["O", "Si"])[kinds]
    return [Atoms(symbols, positions=frame, cell=[edge] * 3, pbc=True) for frame in frames]


@pytest.mark.slow
def test_a_toy_melt_of_silica_gives_the_glass_of_experiments(capsys):
    """Si-O 1.62 Å, fourfold, Si-O-Si near 144-150°, first sharp peak near 1.5-1.6 1/Å (docs/structure.md)."""
    report = structure_report([silica(seed) for seed in range(4)], probe="neutron", two_theta=(5.0, 60.0))
    (bond, shared), (inner, bridge) = report.coordination.table(), report.angles.table()
    with capsys.disabled():
        found = (*report.coordination.table(), *report.angles.table(), report.peak, *report.rings.table())
        sys.stdout.write("\n".join(map(str, found)))
    assert (bond["pair"], bridge["triplet"]) == ("Si-O", "Si-O-Si")
    assert bond["bond_length_A"] == pytest.approx(1.62, abs=0.02)
    assert bond["coordination"] == pytest.approx(4.0, abs=0.05)
    assert shared["coordination"] == pytest.approx(bond["coordination"] / 2)
    assert inner["mean_deg"] == pytest.approx(109.5, abs=1.0)
    assert 143.0 < bridge["mean_deg"] < 153.0
    assert 1.4 < report.peak.place_per_A < 1.75
