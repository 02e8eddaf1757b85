"""Voltages, capacities and valences whose answers are known."""

from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from amorph import build, substitute
from amorph.analysis.bvs import bond_valence_sums
from amorph.analysis.electrochemistry import (
    METALS,
    Voltage,
    capacity_mAh_per_g,
    metal_crystal,
    voltage,
)
from amorph.analysis.electrochemistry.removal import _sums
from amorph.figures import restored

# mAh/g, as tabulated for battery anodes (rounded there); 26801.5 z / M
PUBLISHED = {"Li": 3861, "Na": 1165, "K": 685, "Mg": 2205, "Ca": 1337, "Zn": 820, "Al": 2980}


@dataclass
class Relaxed:
    """A relaxation that moves nothing."""

    atoms: Atoms
    energy_eV: float
    converged: bool = True


def linear(atoms):
    """An energy that rises by 5 eV for each Mg that leaves, and by a little that depends on which."""
    magnesium = atoms.symbols == "Mg"
    return Relaxed(atoms.copy(), -5.0 * magnesium.sum() - 0.01 * np.sin(atoms.positions[magnesium]).sum())


@pytest.fixture
def mgo():
    return bulk("MgO", "rocksalt", a=4.212, cubic=True)


@pytest.mark.parametrize("element", METALS)
def test_theoretical_capacities_of_the_metals(element):
    metal = metal_crystal(element)
    assert capacity_mAh_per_g(METALS[element] * len(metal), metal) == pytest.approx(PUBLISHED[element], abs=1.5)


def test_the_papers_oxide_emptied():
    """Mg0.33Ti0.11Mo0.22O: 352 mAh/g; the cell of 36 Mg is that formula."""
    made = build("Li2Ti1/3Mo2/3O3", supercell=(3, 3, 3), lattice_constant=4.2, rng=np.random.default_rng(0))
    oxide = substitute(made.atoms, rng=np.random.default_rng(0)).atoms
    assert capacity_mAh_per_g(2.0 * (oxide.symbols == "Mg").sum(), oxide) == pytest.approx(352, abs=1)


def test_the_voltage_of_a_linear_energy(mgo):
    """−[E(4 Mg) − E(0) − 4 E(metal)]/8 with 5 eV for each Mg and −1.5 eV for the metal: (5 − 1.5)/2 V."""
    found = voltage(mgo, linear, metal_energy_eV=-1.5, removed=(0.0, 0.5, 1.0), rng=np.random.default_rng(0))
    assert found.average_voltage_V == pytest.approx(1.75, abs=0.01)
    assert [step.choices for step in found.steps] == [1, 3, 1]
    assert found.standard_error is None
    assert found.steps[1].voltage_standard_error_V > 0.0
    mean = np.average([step.voltage_V for step in found.steps[1:]], weights=[2, 2])
    assert mean == pytest.approx(found.average_voltage_V)
    assert found.energy_Wh_per_kg == pytest.approx(found.average_voltage_V * found.capacity_mAh_per_g)
    density = mgo.get_masses().sum() / mgo.cell.volume * 1.66053907
    assert found.capacity_mAh_per_cm3 == pytest.approx(found.capacity_mAh_per_g * density, rel=1e-6)


def test_the_lowest_of_the_choices_is_no_higher_than_their_mean(mgo):
    given = {"metal_energy_eV": -1.5, "removed": (0.0, 0.5), "choices": 5}
    mean, lowest = (
        voltage(mgo, linear, **given, pick=pick, rng=np.random.default_rng(0)) for pick in ("mean", "lowest")
    )
    assert lowest.average_voltage_V < mean.average_voltage_V
    assert lowest.standard_error is None
    assert mean.standard_error > 0.0


def test_one_relaxation_that_did_not_converge_is_told(mgo):
    def stuck(atoms):
        return Relaxed(atoms.copy(), 0.0, converged=bool((atoms.symbols == "Mg").any()))

    found = voltage(mgo, stuck, metal_energy_eV=-1.5, removed=(0.0, 1.0), rng=np.random.default_rng(0))
    assert not found.converged
    assert [step.converged for step in found.steps] == [True, False]


def test_valences_are_those_of_each_step(mgo):
    """MgO with Li on a Mg: nothing moves, so that only what Li gave to O is gone; Mg keeps its 2.013 v.u."""
    mgo.symbols[0] = "Li"
    mgo.set_array("oxidation_states", np.array([1.0, -2.0, 2.0, -2.0, 2.0, -2.0, 2.0, -1.0]))
    given = {"metal_energy_eV": -1.5, "ion": "Li+", "removed": (0.0, 1.0)}
    found = voltage(mgo, linear, **given, rng=np.random.default_rng(0))
    assert [step.valences_vu["Mg"] for step in found.steps] == pytest.approx([2.013] * 2, abs=0.001)
    assert found.steps[1].instability_vu > found.steps[0].instability_vu


def swelling(atoms):
    """A relaxation that swells the cell by 4 % for each Mg that left, and pairs two O where none is left."""
    gone = 4 - int((atoms.symbols == "Mg").sum())
    relaxed = atoms.copy()
    relaxed.set_cell(relaxed.cell * (1 + 0.04 * gone) ** (1 / 3), scale_atoms=True)
    if gone == 4:
        first, second = np.flatnonzero(relaxed.symbols == "O")[:2]
        relaxed.positions[second] = relaxed.positions[first] + [0.9, 1.2, 0.0]
    return Relaxed(relaxed, 1.0 * gone**2)


def test_rows_say_what_each_step_has_of_its_own(mgo):
    """Energies of 0, 4 and 16 eV with none, two and all of four Mg gone, the metal at −1.5 eV: (4 − 3)/4 and 9/4 V."""
    found = voltage(
        mgo,
        swelling,
        metal_energy_eV=-1.5,
        removed=(0.0, 0.5, 1.0),
        rng=0,
        moments=lambda atoms: np.where(atoms.symbols == "O", -0.1, 0.0) * (atoms.symbols == "O").sum(),
    )
    rows = {row.figure: (row.value, row.unit) for row in found.rows()}
    assert len(rows) == len(found.rows())
    assert rows["voltage from 0 to 50 % removed"] == (pytest.approx(0.25), "V")
    assert rows["voltage from 50 to 100 % removed"] == (pytest.approx(2.25), "V")
    assert rows["average voltage of Mg2+"] == (pytest.approx(1.25), "V")
    assert rows["volume change from 0 to 50 % removed"] == (pytest.approx(0.08), "")
    assert rows["volume change on removal"] == (pytest.approx(0.16), "")
    assert rows["volumetric capacity"] == (found.capacity_mAh_per_cm3, "mAh/cm³")
    # half of the Mg of rocksalt gone, an O has half of its bonds, each (1.08)^(1/3) times as long
    bond = 4.212 / 2 * 1.08 ** (1 / 3)
    assert rows["valence sum of O at 0 % removed"] == (pytest.approx(2.013, abs=0.001), "v.u.")
    assert rows["valence sum of O at 50 % removed"][0] == pytest.approx(
        2.013 / 2 * np.exp((2.106 - bond) / 0.37), rel=0.01
    )
    assert rows["moment of O at 100 % removed"] == (pytest.approx(0.4), "μB")
    assert rows["shortest O-O at 0 % removed"] == (pytest.approx(4.212 / np.sqrt(2)), "Å")
    assert rows["shortest O-O at 100 % removed"] == (pytest.approx(1.5), "Å")
    assert [row["shortest_O-O_A"] for row in found.table()] == [step.shortest_A["O"] for step in found.steps]


def test_two_states_have_no_step_beside_the_average(mgo):
    found = voltage(mgo, linear, metal_energy_eV=-1.5, removed=(0.0, 1.0), rng=0)
    assert [row.figure for row in found.rows() if "voltage" in row.figure] == ["average voltage of Mg2+"]
    assert [row.figure for row in found.rows() if "volume change" in row.figure] == ["volume change on removal"]


def test_the_figures_of_an_earlier_version_are_read(mgo):
    """It knew the sums and moments of cations alone, and no distances."""
    figures = voltage(mgo, linear, metal_energy_eV=-1.5, removed=(0.0, 0.5, 1.0), rng=0).figures()
    assert restored(Voltage, figures).figures() == figures
    for step in figures["steps"]:
        del step["shortest_A"], step["valences_vu"]["O"]
    read = restored(Voltage, figures)
    assert [step.shortest_A for step in read.steps] == [{}] * 3
    assert not [row for row in read.rows() if " of O at " in row.figure or row.figure.startswith("shortest")]
    assert len(read.table()) == 3


def test_bad_removals_are_refused(mgo):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="0, 0 ions"):
        voltage(mgo, linear, metal_energy_eV=-1.5, removed=(0.0, 0.05), rng=rng)
    with pytest.raises(ValueError, match="no Li"):
        voltage(mgo, linear, metal_energy_eV=-1.5, ion="Li+", rng=rng)
    with pytest.raises(ValueError, match="no metal reference for Fe"):
        voltage(mgo, linear, metal_energy_eV=-1.5, ion="Fe2+", rng=rng)
    with pytest.raises(ValueError, match=r"name Mg2\+"):
        voltage(mgo, linear, metal_energy_eV=-1.5, ion="Mg+", rng=rng)


def test_valence_sums_take_no_estimates():
    carbide = bulk("LuC", "rocksalt", a=4.8)  # a pair that no set has
    carbide.set_array("oxidation_states", np.array([3.0, -3.0]))
    assert bond_valence_sums(carbide).parameters[0].estimated
    sums, index = _sums(carbide)
    assert np.isnan(sums).all()
    assert np.isnan(index)
    assert np.isfinite(_sums(bulk("MgO", "rocksalt", a=4.212))[0]).all()
