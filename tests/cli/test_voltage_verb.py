"""The verb `voltage`, with a potential that takes no time."""

import json

import numpy as np
import pytest
from ase.build import bulk


@pytest.fixture
def alloy(tmp_path):
    """An alloy that EMT knows, with the states of an oxide."""
    atoms = bulk("AlCu", "cesiumchloride", a=3.0).repeat((2, 1, 1))
    atoms.set_array("oxidation_states", np.where(atoms.symbols == "Al", 3.0, -3.0))
    atoms.write(tmp_path / "alloy.extxyz")
    return atoms


def test_voltage_by_another_potential(amorph, alloy):
    words = ["voltage", "alloy.extxyz", "--ion", "Al3+", "--factory", "ase.calculators.emt:EMT", "--removed", 0, 0.5, 1]
    called = amorph(*words, "--choices", 2, "--json", "-q")
    found = json.loads(called.out)
    assert called.status == 0
    assert found["converged"]
    assert [step["left"] for step in found["steps"]] == [2, 1, 0]
    first, last = found["steps"][0]["energy_eV"], found["steps"][-1]["energy_eV"]
    expected = -(first - last - 2 * found["metal_energy_eV"]) / 6
    assert found["average_voltage_V"] == pytest.approx(expected)


def test_a_relaxation_that_stops_early_is_told(amorph, alloy):
    called = amorph(
        "voltage", "alloy.extxyz", "--ion", "Al3+", "--factory", "ase.calculators.emt:EMT", "--removed", 0, 1,
        "--max-steps", 1, "--json",
    )  # fmt: skip
    assert called.status == 4
    assert json.loads(called.out)["converged"] is False
