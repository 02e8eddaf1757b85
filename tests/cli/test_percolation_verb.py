import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.distance import distance_map
from amorph.analysis.percolation import bond_valence_window, migration_path, percolation, percolation_thresholds
from amorph.export.fields import write_field
from amorph.fields import ScalarField
from amorph.figures import text_of
from amorph.reading import read_structure

CRYSTAL = Path(__file__).parents[2] / "structures/LiFePO4.cif"
COARSE = ("--spacing", 0.4)


def test_a_crystal_and_its_ion_suffice_for_the_barriers(amorph):
    made = percolation_thresholds(bvse_map(read_structure(CRYSTAL), "Li+", spacing=0.4).field)
    figures = json.loads(amorph("percolation", CRYSTAL, "--ion", "Li+", *COARSE, "--json").out)
    assert tuple(figures["thresholds"]) == made.thresholds
    assert tuple(figures["barriers"]) == made.barriers
    assert figures["crossings"][0]["windings"] == [[0, 1, 0]]
    assert (figures["unit"], figures["side"], figures["extreme"]) == ("eV", "below", made.extreme)
    called = amorph("percolation", CRYSTAL, "--ion", "Li+", *COARSE)
    assert (called.status, called.err) == (0, "")
    lines = called.out.splitlines()
    assert (
        lines[0] == "percolation of the bond valence site energy of Li+ in LiFePO4.cif, 3.596 g/cm³, grid 26 × 16 × 12"
    )
    assert [line.split()[0] for line in lines[2:5]] == ["1D", "2D", "3D"]
    place = text_of(made.extreme_position.round(2))
    assert lines[-2:] == [f"lowest [eV]   {made.extreme:.4g}", f"at x y z [Å]  {place}"]
    assert "(0 1 0)" in lines[2]
    assert amorph("percolation", CRYSTAL, "--ion", "Li+", *COARSE, "--quiet").out == ""


def test_a_field_in_a_file_is_taken_as_it_is(amorph, tmp_path):
    made = bvs_map(read_structure(CRYSTAL), "Li+", spacing=0.4, blocking="framework")
    write_field(tmp_path / "bvs.npz", made.field, made.atoms)
    figures = json.loads(amorph("percolation", "bvs.npz", "--threshold", 1.2, "--json").out)
    assert tuple(figures["thresholds"]) == percolation_thresholds(made.field).thresholds
    regions = percolation(made.field, threshold=1.2)
    assert figures["regions"]["n_regions"] == len(regions)
    assert tuple(figures["regions"]["fractions_by_dimension"]) == regions.fractions_by_dimension
    assert figures["regions"]["largest_share"] == regions.largest_share
    table = amorph("percolation", "bvs.npz", "--threshold", 1.2).out
    assert "regions ≤ 1.2 v.u.\n" in table
    assert "largest region's share of all" in table
    write_field(tmp_path / "bvs.cube", made.field, made.atoms)  # as another program would have it
    as_text = json.loads(amorph("percolation", "bvs.cube", "--json").out)
    assert as_text["thresholds"] == [
        None if threshold is None else pytest.approx(threshold, rel=1e-5) for threshold in figures["thresholds"]
    ]


@pytest.mark.parametrize("quantity", ["field", "mismatch", "signed_mismatch"])
def test_a_bond_valence_map_whose_values_were_edited_is_refused(amorph, tmp_path, quantity):
    made = bvs_map(read_structure(CRYSTAL), "Li+", spacing=0.4, blocking="framework", exclusion_radius=1.4)
    field = getattr(made, quantity)
    write_field(tmp_path / "made.npz", field, made.atoms)
    if quantity != "field":  # of a mismatch the window, whose surface v = V is inside
        window = percolation_thresholds(bond_valence_window(made))
        figures = json.loads(amorph("percolation", "made.npz", "--json").out)
        assert tuple(figures["thresholds"]) == window.thresholds
    write_field(tmp_path / "edited.npz", replace(field, values=field.values + 0.01), made.atoms)
    called = amorph("percolation", "edited.npz")
    assert called.status == 2
    assert "edited.npz: its values are not those" in called.err


@pytest.mark.parametrize(("quantity", "side"), [("bvs", "below"), ("mismatch", "below"), ("distance", "above")])
def test_other_maps_of_a_structure(amorph, quantity, side):
    atoms = read_structure(CRYSTAL)
    bvs = bvs_map(atoms, "Li+", spacing=0.4)
    field = {
        "bvs": bvs.field,
        "mismatch": bond_valence_window(bvs),
        "distance": distance_map(atoms, spacing=0.4),
    }[quantity]
    ion = () if quantity == "distance" else ("--ion", "Li+")
    figures = json.loads(amorph("percolation", CRYSTAL, "--quantity", quantity, *ion, *COARSE, "--json").out)
    assert figures["side"] == side
    assert tuple(figures["thresholds"]) == percolation_thresholds(field, side=side).thresholds
    assert figures["quantity"] == field.quantity


def test_the_framework_alone_may_block_a_bond_valence_map(amorph):
    command = ("percolation", CRYSTAL, "--ion", "Li+", "--quantity", "mismatch", *COARSE, "--json")
    made = bvs_map(read_structure(CRYSTAL), "Li+", spacing=0.4, blocking="framework", exclusion_radius=1.4)
    figures = json.loads(amorph(*command, "--blocking", "framework", "--exclusion-radius", 1.4).out)
    assert tuple(figures["thresholds"]) == percolation_thresholds(bond_valence_window(made)).thresholds
    assert figures["thresholds"][0] is not None
    assert json.loads(amorph(*command).out)["thresholds"] == [None] * 3


def test_where_nothing_is_inside_it_is_said(amorph):
    table = amorph("percolation", CRYSTAL, "--ion", "Li+", *COARSE, "--threshold", -100).out
    assert table.endswith("\n\nregions ≤ -100 eV: none\n")
    table = amorph("percolation", CRYSTAL, "--ion", "Li+", *COARSE, "--exclusion-radius", 30).out
    assert table.endswith("\n\nevery point is excluded\n")


def test_a_path_is_written_across_the_cell_or_between_sites(amorph, tmp_path):
    command = ("percolation", CRYSTAL, "--ion", "Li+", *COARSE, "--json", "--path")
    made = bvse_map(read_structure(CRYSTAL), "Li+", spacing=0.4)
    way = migration_path(made.field)
    figures = json.loads(amorph(*command, "path.csv").out)["path"]
    assert (figures["threshold"], figures["barrier"]) == (way.threshold, way.barrier)
    assert (tuple(figures["winding"]), figures["file"]) == (way.winding, "path.csv")
    assert figures["winding"] == [0, 1, 0]
    np.testing.assert_allclose(np.loadtxt("path.csv", delimiter=",", skiprows=1)[:, 0], way.lengths, atol=1e-7)
    sites = ("--from", 0, 0, 0, "--to", 0, 3.0, 0)
    between = json.loads(amorph(*command, "path.xyz", *sites).out)["path"]
    way = migration_path(made.field, start=(0, 0, 0), end=(0, 3.0, 0))
    assert (between["barrier"], between["reverse_barrier"]) == (way.barrier, way.reverse_barrier)
    assert (read("path.xyz").numbers == 0).sum() == len(way.values)
    third = json.loads(amorph(*command, "path.csv", "--dimension", 3).out)
    assert third["path"]["threshold"] == third["thresholds"][2]
    table = amorph(*command[:-2], "--path", "path.csv").out
    assert "path, from site to site" in table
    assert table.endswith("written to path.csv\n")


def test_what_is_never_reached_is_said(amorph, tmp_path, mgo):
    values = np.full((4, 4, 4), np.nan)
    values[0, 0] = 1.0
    write_field(tmp_path / "line.npz", ScalarField(values, mgo.cell.array, "test potential", "eV"), mgo)
    assert amorph("percolation", "line.npz").out.count("never reached") == 2
    figures = json.loads(amorph("percolation", "line.npz", "--json").out)
    assert (figures["barriers"], figures["crossings"][2]) == ([0.0, None, None], None)
    called = amorph("percolation", "line.npz", "--path", "path.csv", "--dimension", 3)
    assert (called.status, called.err) == (
        2,
        "amorph: no region of the test potential reaches dimension 3; the highest is 1\n",
    )


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("mgo.extxyz",), "the mobile ion of mgo.extxyz is missing; give it, as in --ion Li+, or --quantity distance"),
        (("mgo.extxyz", "--ion", "Mg2+", "--dimension", 2), "belong to a path; give --path FILE"),
        (("mgo.extxyz", "--ion", "Mg2+", "--path", "p.cif"), "the suffix '.cif' names no format"),
        (("field.npz", "--ion", "Li+"), "--ion belongs to a structure, and field.npz is a field; leave it out"),
        (
            ("field.npz", "--quantity", "bvs"),
            "--quantity belongs to a structure, and field.npz is a field; leave it out",
        ),
        (("field.npz", "--path", "p.csv", "--from", 0, 0, 0), "--to is missing; give both sites, or none"),
        (("field.npz", "--path", "p.csv", "--to", 0, 0, 0), "--from is missing; give both sites, or none"),
        (
            ("mgo.extxyz", "--ion", "Mg2+", "--blocking", "all"),
            "--blocking has no meaning for --quantity bvse; leave it",
        ),
        (
            ("mgo.extxyz", "--quantity", "distance", "--cutoff", 5.0),
            "--cutoff has no meaning for --quantity distance; leave it out",
        ),
        (
            ("mgo.extxyz", "--ion", "Mg2+", "--path", "p.csv", "--from", 0, 0, 0, "--to", 1, 1, 1, "--dimension", 1),
            "give one of them",
        ),
        (("field.npz", "--cutoff", 5.0), "--cutoff belongs to a structure, and field.npz is a field; leave it out"),
        (("mgo.extxyz", "--quantity", "bvs", "--ion", "Mg2+", "--threshold", "low"), "threshold"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(amorph, mgo, tmp_path, words, match):
    write_field(tmp_path / "field.npz", distance_map(mgo, spacing=1.0), mgo)
    called = amorph("percolation", *words)
    assert (called.status, called.out) == (2, "")
    assert match in called.err
    assert called.err.count("\n") == 1


def test_a_path_is_relaxed_by_a_potential_and_a_hop_that_stops_early_is_told(amorph, tmp_path, mgo):
    mgo.write(tmp_path / "mgo.extxyz")
    sites = ("--from", *mgo.positions[0], "--to", *mgo.positions[1])
    command = ("percolation", "mgo.extxyz", "--ion", "Mg2+", "--spacing", 0.5, *sites)
    how = ("--refine", "--factory", "toys:Ions", "--images", 1, "--max-steps", 1)
    called = amorph(*command, *how, "--json", "-q")
    assert (called.status, called.err.count("\n")) == (4, 1), called.err
    found = json.loads(called.out)["refined"]
    assert (found["model"], found["converged"]) == ("Ions", False)
    assert found["map_barrier_eV"] == pytest.approx(json.loads(called.out)["path"]["barrier"])
    assert "barrier of the potential [eV]" in amorph(*command, *how).out
    called = amorph("percolation", "mgo.extxyz", "--ion", "Mg2+", "--images", 3)
    assert called.status == 2
    assert "--images belongs to the potential" in called.err
