"""The density stands in what every verb that measures a structure prints, and in its --json."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from amorph.structure import density_g_cm3

MGO = bulk("MgO", "rocksalt", a=4.212, cubic=True)
VERBS = {
    "bvs": ["--ion", "Mg2+", "--spacing", "0.5"],
    "bvs sums": [],
    "bvse": ["--ion", "Mg2+", "--spacing", "0.5"],
    "free-volume": [],
    "voids": ["--spacing", "0.5"],
    "percolation": ["--ion", "Mg2+", "--spacing", "0.5"],
    "verdict": [],
    "structure": ["--q-max", "8"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_of_a_structure(amorph, tmp_path, verb):
    MGO.write(tmp_path / "mgo.extxyz")
    words = [verb.split()[0], "mgo.extxyz", *VERBS[verb]]
    assert json.loads(amorph(*words, "--json").out)["density_g_cm3"] == pytest.approx(density_g_cm3(MGO), rel=1e-9)
    assert any("g/cm³" in line and "3.58" in line for line in amorph(*words).out.splitlines())


@pytest.mark.parametrize(("made", "level"), [(["bvs", "--ion", "Mg2+"], []), (["voids"], ["--level", 1.0])])
def test_of_a_surface(amorph, made, level):
    MGO.write("mgo.extxyz")
    amorph(made[0], "mgo.extxyz", *made[1:], "--spacing", 0.5, "-o", "map.npz")
    words = ["isosurface", "map.npz", *level]
    assert json.loads(amorph(*words, "--json").out)["density_g_cm3"] == pytest.approx(density_g_cm3(MGO), rel=1e-6)
    assert any("g/cm³" in line and "3.58" in line for line in amorph(*words).out.splitlines())


def test_of_a_trajectory_the_mean(amorph):
    """Between two cells in turn, of 4.20 and 4.30 Å."""
    rng, frames = np.random.default_rng(0), []
    for k in range(60):
        atoms = bulk("MgO", "rocksalt", a=4.2 + 0.1 * (k % 2), cubic=True)
        atoms.positions += 0.05 * rng.normal(size=atoms.positions.shape)
        atoms.info = {"time_ps": 0.1 * k, "target_K": 900.0, "segment": "hold"}
        frames.append(atoms)
    write("moving.extxyz", frames)
    expected = np.mean([density_g_cm3(atoms) for atoms in frames])
    called = amorph("diffusion", "moving.extxyz", "--json", "-q")
    assert json.loads(called.out)["density_g_cm3"] == pytest.approx(expected, rel=1e-9)
    assert f"{expected:.3f} g/cm³" in amorph("diffusion", "moving.extxyz").out


def test_of_what_the_ion_leaves(amorph):
    alloy = bulk("AlCu", "cesiumchloride", a=3.0)
    alloy.set_array("oxidation_states", np.where(alloy.symbols == "Al", 3.0, -3.0))
    alloy.write("alloy.extxyz")
    words = ["voltage", "alloy.extxyz", "--ion", "Al3+", "--factory", "ase.calculators.emt:EMT", "--removed", 0, 1]
    found = json.loads(amorph(*words, "--json", "-q").out)
    assert found["density_g_cm3"] == pytest.approx(density_g_cm3(alloy), rel=1e-9)
    assert any("g/cm³" in line for line in amorph(*words).out.splitlines())
