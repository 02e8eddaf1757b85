"""amorph parameters, and what bvs and bvse take of it."""

import json
from pathlib import Path

import pytest

from amorph import bond_valence_sums, read_structure

STRUCTURES = Path(__file__).parents[2] / "structures"


@pytest.mark.parametrize("words", [("O2-", "O2-"), ("F-", "Li"), ("H-", "O2-")])
def test_an_anion_is_no_ion(amorph, words):
    called = amorph("parameters", *words)
    assert (called.status, called.out) == (2, "")
    assert words[0] in called.err and "anion" in called.err


def test_every_row_of_a_pair_is_listed_with_its_source(amorph):
    figures = json.loads(amorph("parameters", "Li+", "S2-", "--json").out)
    rows = {row["set"]: row for row in figures["parameters"]}
    assert list(rows) == ["brese_okeeffe1991", "chen_adams2019", "okeeffe_brese1991"]
    assert (rows["brese_okeeffe1991"]["r0"], figures["default"]) == (1.94, "brese_okeeffe1991")
    assert [row["estimated"] for row in rows.values()] == [False, False, True]
    assert all("doi:10." in row["source"] for row in rows.values())
    shown = amorph("parameters", "Li+", "S").out
    assert [line.split()[:2] for line in shown.splitlines()[2:5]] == [
        ["brese_okeeffe1991", "default"],
        ["chen_adams2019", "--set"],
        ["okeeffe_brese1991", "--set"],
    ]
    assert amorph("parameters", "Mg2+").out.splitlines()[2].split()[:4] == [
        "brown_altermatt1985", "default", "1.693", "0.37",
    ]  # fmt: skip


def test_a_set_is_chosen_by_name_and_an_estimate_is_labelled(amorph):
    words = ("bvs", STRUCTURES / "Li3OCl.cif", "--ion", "Li+", "--grid", 4, 4, 4)
    both = json.loads(amorph(*words, "--json").out)
    assert [(each["anion"], each["set"]) for each in both["parameters"]] == [
        ("O2-", "brown_altermatt1985"),
        ("Cl-", "brese_okeeffe1991"),
    ]
    assert (both["anion"], both["r0"]) == ("O,Cl", None)
    soft = json.loads(amorph(*words, "--set", "chen_adams2019", "--anion", "O", "--json").out)
    assert (soft["r0"], soft["b"], soft["window"]) == (1.17096, 0.516, 0.2)
    own = json.loads(amorph(*words, "--r0", "O=1.466", "Cl=1.9", "--b", 0.4, "--json").out)
    assert [(each["r0"], each["b"], each["source"]) for each in own["parameters"]] == [
        (1.466, 0.4, "given"),
        (1.9, 0.4, "given"),
    ]
    estimated = amorph("bvs", STRUCTURES / "MgO.cif", "--ion", "Fe4+", "--grid", 2, 2, 2)
    assert "estimated from element sizes" in estimated.out
    refused = amorph("bvs", STRUCTURES / "MgO.cif", "--ion", "Fe4+", "--grid", 2, 2, 2, "--no-estimates")
    assert (refused.status, refused.out) == (2, "")


def test_morse_parameters_of_ones_own(amorph):
    words = ("bvse", STRUCTURES / "Li3OCl.cif", "--ion", "Li+", "--grid", 4, 4, 4)
    known = json.loads(amorph(*words, "--json").out)
    assert [(each["anion"], each["d0"]) for each in known["parameters"]] == [("O2-", 0.98816), ("Cl-", 0.49302)]
    given = ("--d0", "O=0.98816", "Cl=0.49302", "--r-min", "O=1.94001", "Cl=2.39647", "--b", "O=0.516", "Cl=0.634")
    own = json.loads(amorph(*words, *given, "--json").out)
    assert (own["minimum"], own["parameters"][0]["source"]) == (known["minimum"], "given")
    alone = json.loads(amorph(*words, "--anion", "O", "--json").out)
    assert [each["element"] for each in alone["interactions"]] == ["O"]


def test_without_an_ion_the_atoms_are_summed(amorph):
    called = amorph("bvs", STRUCTURES / "Li3OCl.cif")
    assert called.out.splitlines()[2].split()[:3] == ["Li+", "3", "0.9369"]
    figures = json.loads(amorph("bvs", STRUCTURES / "Li3OCl.cif", "--json").out)
    made = bond_valence_sums(read_structure(STRUCTURES / "Li3OCl.cif"))
    assert figures["sums_vu"] == made.sums_vu.tolist()
    assert figures["global_instability_index"] == made.global_instability_index
    pyrite = amorph("bvs", STRUCTURES / "FeS2.cif", "--oxidation-states", "formal").out
    assert "8 S bonded to each other taken as S-" in pyrite


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("parameters", "Li"), "cannot read 'Li' as an ion"),
        (("bvs", STRUCTURES / "MgO.cif", "--spacing", 0.5), "--spacing belongs to a map: give the ion that is mapped"),
        (("bvs", STRUCTURES / "MgO.cif", "-o", "map.npz"), "a map needs its ion"),
        (("bvs", STRUCTURES / "Li3OCl.cif", "--ion", "Li+", "--r0", 1.4), "r0 = 1.4 Å belongs to one anion, and O, Cl"),
    ],
)
def test_what_makes_no_sum_is_refused(amorph, words, message):
    called = amorph(*words)
    assert (called.status, called.out) == (2, "")
    assert message in called.err
    assert called.err.count("\n") == 1
