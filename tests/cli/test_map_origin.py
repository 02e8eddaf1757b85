"""What a bond-valence map was made with, said by every verb that makes, reads or measures one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amorph.analysis.bvs import bvs_map, bvs_map_of
from amorph.export.fields import write_field
from amorph.reading import read_field, read_structure

STRUCTURES = Path(__file__).parents[2] / "structures"
PYRITE, OXIDE = STRUCTURES / "FeS2.cif", STRUCTURES / "Li2O.cif"
COARSE = ("--spacing", 0.8)


def said_by(called):
    assert called.status == 0, called.err
    return json.loads(called.out)


def test_percolation_says_what_the_maps_verbs_say(amorph):
    for verb, quantity, keys, file in (
        ("bvs", "bvs", ("parameters", "anions"), PYRITE),
        ("bvs", "mismatch", ("parameters", "anions"), PYRITE),
        ("bvse", "bvse", ("parameters", "charges", "oxidation_states"), OXIDE),
    ):
        asked = (file, "--ion", "Li+", *COARSE)
        expected = said_by(amorph(verb, *asked, "--json"))
        found = said_by(amorph("percolation", *asked, "--quantity", quantity, "--json"))
        assert {key: found[key] for key in keys} == {key: expected[key] for key in keys}
        shown = amorph("percolation", *asked, "--quantity", quantity).out
        assert expected["parameters"][0]["set"] in shown
        assert expected[keys[1]] in shown
    assert "parameters" not in said_by(amorph("percolation", PYRITE, "--quantity", "distance", *COARSE, "--json"))


@pytest.mark.parametrize("suffix", ["npz", "vti"])
def test_a_map_in_a_file_keeps_set_source_and_assumption(amorph, suffix):
    name = f"made.{suffix}"
    expected = said_by(amorph("bvs", PYRITE, "--ion", "Al3+", *COARSE, "-o", name, "--json"))
    assert "S-" in expected["anions"]  # the assumption that the auditor missed
    for verb in (("percolation", name), ("isosurface", name), ("isosurface", name, "--level", 9.0)):
        if "--level" in verb:
            amorph("bvs", PYRITE, "--ion", "Al3+", *COARSE, "--exclusion-radius", 0, "-o", name, "--quiet")
        found = said_by(amorph(*verb, "--json"))
        assert {key: found[key] for key in ("parameters", "anions")} == {
            key: expected[key] for key in ("parameters", "anions")
        }
        assert expected["parameters"][0]["source"] in amorph(*verb).out


def test_an_estimate_stays_one_in_a_file(tmp_path):
    made = bvs_map(read_structure(OXIDE), "Rb3+", grid=(3, 3, 3))
    assert made.parameters[0].estimated
    write_field(tmp_path / "made.npz", made.field, made.atoms)
    field, atoms = read_field(tmp_path / "made.npz")
    assert field.origin == made.field.origin
    again = bvs_map_of(field, atoms)
    assert (again.parameters, again.anions) == (made.parameters, made.anions)
    # numbers that were edited are no longer those of the set, and an origin that is none is refused
    edited = replace(field, parameters={**field.parameters, "r0": 1.5})
    assert bvs_map_of(edited, atoms).parameters[0].set == "given"
    with pytest.raises(ValueError, match="bond-valence parameters"):
        bvs_map_of(replace(field, origin={"parameters": [{"r_zero": 1.0}]}), atoms)


def test_free_volume_by_bond_valence_names_its_parameters(amorph):
    asked = ("voids", OXIDE, "--free", "bvs", "--ion", "Li+", *COARSE)
    free = said_by(amorph(*asked, "--json"))["free"]
    expected = said_by(amorph("bvs", OXIDE, "--ion", "Li+", *COARSE, "--json"))
    assert (free["parameters"], free["anions"]) == (expected["parameters"], expected["anions"])
    assert expected["parameters"][0]["source"] in amorph(*asked).out
    assert "parameters" not in said_by(amorph("voids", OXIDE, *COARSE, "--json"))["free"]
