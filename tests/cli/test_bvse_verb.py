"""The verb bvse on real input."""

import json
from pathlib import Path

import numpy as np

from amorph.analysis.bvse import bvse_map
from amorph.reading import read_field, read_structure

STRUCTURES = Path(__file__).parents[2] / "structures"


def test_bvse_of_a_crystal_in_one_line(amorph, tmp_path):
    called = amorph("bvse", STRUCTURES / "LiFePO4.cif", "--ion", "Li+", "--spacing", 0.5, "-o", "bvse.npz")
    assert (called.status, called.err) == (0, "")
    made = bvse_map(read_structure(STRUCTURES / "LiFePO4.cif"), "Li+", spacing=0.5)
    field, atoms = read_field(tmp_path / "bvse.npz")
    np.testing.assert_array_equal(field.values, made.field.values)
    assert field.parameters == made.field.parameters
    np.testing.assert_array_equal(atoms.arrays["oxidation_states"], made.atoms.arrays["oxidation_states"])
    assert f"lowest site energy [eV]   {made.minimum:.4g}\n" in called.out
    assert "oxidation states          given in the structure\n" in called.out
    assert "framework                 rigid, without its 4 Li\n" in called.out
    assert "convention                half: the Morse terms halved; cut off at 10 Å without a shift\n" in called.out
    oxygen, source = [line for line in called.out.splitlines() if line.startswith("O2-")]
    assert oxygen.split()[:6] == ["O2-", "16", "Morse", "0.4941", "0.516", "1.94"]
    assert source.endswith("Chen & Adams (2019) doi:10.1107/S2052520618015718")


def test_bvse_takes_states_a_convention_and_an_exclusion_radius(amorph, tmp_path):
    given = ("--grid", 6, 5, 4, "--convention", "full", "--oxidation-states", "Fe=3", "--exclusion-radius", 1.2)
    called = amorph("bvse", STRUCTURES / "LiFePO4.cif", "--ion", "Li+", *given, "--json", "-o", "bvse.cube")
    figures = json.loads(called.out)
    atoms = read_structure(STRUCTURES / "LiFePO4.cif")
    made = bvse_map(atoms, "Li+", grid=(6, 5, 4), convention="full", oxidation_states={"Fe": 3}, exclusion_radius=1.2)
    assert figures["minimum"] == made.minimum
    assert figures["grid"] == [6, 5, 4]
    assert figures["charges"] == "by element: Fe=3, the rest given in the structure"
    assert [entry["charge"] for entry in figures["interactions"]] == [3.0, 5.0, -2.0]
    assert np.isnan(made.field.values).any()
    assert (tmp_path / "bvse.cube").is_file()


def test_bvse_of_nothing_has_no_place(amorph):
    command = ("bvse", STRUCTURES / "LiFePO4.cif", "--ion", "Li+", "--grid", 3, 3, 3, "--exclusion-radius", 30)
    figures = json.loads(amorph(*command, "--json").out)
    assert (figures["minimum"], figures["minimum_position"]) == (None, None)
    assert "at x y z [Å]              –\n" in amorph(*command).out


def test_bvse_balances_what_has_no_states(amorph, oxide, tmp_path):
    called = amorph("bvse", "oxide.extxyz", "--ion", "Mg2+", "--spacing", 0.8)
    assert "oxidation states          given in the structure\n" in called.out
    assert "framework                 rigid, every atom: it holds no Mg\n" in called.out
    called = amorph("bvse", "oxide.extxyz", "--ion", "Mg2+", "--spacing", 0.8, "--oxidation-states", "formal")
    assert "oxidation states          formal: balanced by composition\n" in called.out
    assert [line.split()[0] for line in called.out.splitlines()[2:5]] == ["Li+", "Ti3.909+", "O2-"]


def test_a_metal_lacks_its_anion_whatever_the_ion(amorph):
    for ion in ("Mg2+", "Li+"):
        assert amorph("bvse", STRUCTURES / "Mg.cif", "--ion", ion).err.startswith("amorph: no anion in Mg2")


def test_bvse_refuses_in_one_line(amorph):
    file = STRUCTURES / "LiFePO4.cif"
    for words, message in (
        (("--ion", "Fe6+"), "amorph: no soft-BV parameters for Fe6+–O2-; chen_adams2019 has Fe of charge"),
        (("--ion", "Li+", "--oxidation-states", "guess"), "amorph: --oxidation-states = 'guess' must be given, formal"),
        (("--ion", "Li+", "--oxidation-states", "Ti=4"), "amorph: --oxidation-states names Ti, which"),
        (("--ion", "Li+", "-o", "map.txt"), "amorph: "),
    ):
        called = amorph("bvse", file, *words)
        assert (called.status, called.out) == (2, "")
        assert called.err.startswith(message)
        assert called.err.count("\n") == 1
