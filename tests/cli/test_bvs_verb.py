"""amorph bvs: several ions, mismatches, precision."""

import json

import numpy as np
import pytest
from ase import Atoms

from amorph import bvs_map, read_field, read_structure
from amorph.export import write_structure

BVS = ("bvs", "oxide.extxyz", "--ion", "Mg2+", "--blocking", "framework", "--exclusion-radius", 1.0)


def test_several_ions_have_a_file_each(amorph, oxide, tmp_path):
    words = ("bvs", "oxide.extxyz", "--ion", "Mg2+", "--ion", "Ca2+", "--grid", 10, 11, 12, "-o", "bvs.npz")
    figures = json.loads(amorph(*words, "--json").out)["maps"]
    assert [entry["ion"] for entry in figures] == ["Mg2+", "Ca2+"]
    assert [entry["file"] for entry in figures] == ["bvs_Mg2+.npz", "bvs_Ca2+.npz"]
    atoms = read_structure(tmp_path / "oxide.extxyz")
    for entry in figures:
        field, _ = read_field(tmp_path / entry["file"])
        made = bvs_map(atoms, entry["ion"], grid=(10, 11, 12))
        np.testing.assert_array_equal(field.values, made.field.values)
        assert entry["window_fraction_of_cell"] == made.window_fraction_of_cell
    called = amorph(*words)
    assert called.status == 0
    assert "bond valence sum of Ca2+ in oxide.extxyz, " in called.out
    assert "written to bvs_Ca2+.npz\n" in called.out


def test_the_mismatch_is_written_with_its_sign_or_without(amorph, oxide, tmp_path):
    fields = {}
    for quantity in ("sum", "mismatch", "signed-mismatch"):
        amorph(*BVS, "--r0", 1.3, "--grid", 20, 20, 20, "--quantity", quantity, "-o", f"{quantity}.npz", "-q")
        fields[quantity], _ = read_field(tmp_path / f"{quantity}.npz")
    signed = fields["signed-mismatch"].values
    np.testing.assert_array_equal(signed, fields["sum"].values - 2.0)
    np.testing.assert_array_equal(fields["mismatch"].values, np.abs(signed))
    assert np.nanmin(signed) < 0.0
    assert fields["signed-mismatch"].quantity == "signed bond valence mismatch of Mg2+"


def test_single_precision_is_asked_for_and_written(amorph, oxide, tmp_path):
    called = amorph(*BVS, "--grid", 20, 20, 20, "--precision", "float32", "-o", "single.npz")
    assert called.status == 0
    assert np.load(tmp_path / "single.npz")["values"].dtype == np.float32


def test_where_every_point_is_excluded_the_way_out_is_said(amorph, mgo):
    words = ("bvs", "mgo.extxyz", "--ion", "Mg2+", "--grid", 3, 3, 3, "--exclusion-radius", 9)
    assert "every point is excluded: --blocking framework leaves out those of the mobile element;" in amorph(*words).out
    assert "every point is excluded: --exclusion-radius gives" in amorph(*words, "--blocking", "framework").out


def test_oxidation_states_say_which_atoms_are_anions(amorph, tmp_path):
    atoms = Atoms("S2", positions=[[0, 0, 0], [0, 0, 5]], cell=[10, 10, 10], pbc=True)
    write_structure(tmp_path / "pair.extxyz", atoms)
    words = ("bvs", "pair.extxyz", "--ion", "Mg2+", "--anion", "S", "--r0", 2.2, "--grid", 5, 5, 6)
    words = (*words, "--exclusion-radius", 0, "-q", "-o")
    amorph(*words, "all.npz")
    assert amorph(*words, "none.npz", "--oxidation-states", "S=6").err.startswith("amorph: no S in S2 has a negative")
    amorph(*words, "anions.npz", "--oxidation-states", "S=-2")
    (every, _), (anions, structure) = (read_field(tmp_path / name) for name in ("all.npz", "anions.npz"))
    np.testing.assert_array_equal(anions.values, every.values)
    assert structure.arrays["oxidation_states"].tolist() == [-2, -2]


def test_a_parameter_file_replaces_the_table(amorph, mgo, tmp_path):
    (tmp_path / "mine.cif").write_text(
        "data_mine\nloop_\n_valence_param_atom_1\n_valence_param_atom_1_valence\n_valence_param_atom_2\n"
        "_valence_param_atom_2_valence\n_valence_param_Ro\n_valence_param_B\n_valence_param_ref_id\n"
        "Fe 2 O -2 1.734 0.37 x\n"
    )
    words = ("bvs", "mgo.extxyz", "--ion", "Fe2+", "--parameters", "mine.cif", "--grid", 4, 4, 4, "--json")
    figures = json.loads(amorph(*words).out)
    assert (figures["r0"], figures["b"]) == (1.734, 0.37)
    assert figures["source"] == "mine.cif ref. x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*BVS, "--ion", "Li+", "--r0", 1.7), "--r0 belongs to one ion, and 2 are given; map them one at a time"),
        ((*BVS, "--ion", "Mg2+"), "ions = Mg2+, Mg2+; give at least one, and each once"),
        ((*BVS, "--quantity", "valence"), "--quantity"),
        ((*BVS, "--precision", "float16"), "--precision"),
    ],
)
def test_what_does_not_fit_together_is_refused(amorph, oxide, words, message):
    called = amorph(*words)
    assert (called.status, called.out) == (2, "")
    assert called.err.startswith(f"amorph: {message}") or message in called.err
    assert called.err.count("\n") == 1
