"""The potential of workflows/soft_ions.py, which the gallery and the study beside it run on."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from amorph import build, relax

ROOT = Path(__file__).parent.parent


@pytest.fixture
def soft_ions(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    yield __import__("workflows.soft_ions", fromlist=["SoftIons"]).SoftIons()
    sys.modules.pop("workflows.soft_ions", None)


def test_forces_and_stress_are_derivatives_of_the_energy(soft_ions):
    atoms = build("Li2Ti1/3Mo2/3O3", supercell=(1, 1, 2), lattice_constant=4.4, rng=np.random.default_rng(0)).atoms
    atoms.rattle(0.15, seed=0)
    atoms.calc = soft_ions
    numerical = calculate_numerical_forces(atoms, iatoms=[0, 9])
    assert np.allclose(atoms.get_forces()[[0, 9]], numerical, atol=1e-6)  # of central differences over 1e-3 Å
    assert np.allclose(atoms.get_stress(), calculate_numerical_stress(atoms), atol=1e-6)


def test_rocksalt_is_a_crystal_of_it(soft_ions):
    relaxed = relax(bulk("MgO", "rocksalt", a=4.3, cubic=True), soft_ions, cell="isotropic", fmax=0.01)
    assert relaxed.converged
    assert 4.2 < relaxed.volume ** (1 / 3) < 4.6
