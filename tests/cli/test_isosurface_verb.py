"""amorph isosurface on any field, in every format."""

import json
import re

import numpy as np
import pytest
import trimesh
from PIL import Image

from amorph.analysis.distance import distance_map
from amorph.analysis.isosurface import contour
from amorph.export.fields import write_field
from amorph.reading import read_structure


@pytest.fixture
def distances(mgo, tmp_path):
    """Distances to the nearest atom of MgO, as a file."""
    atoms = read_structure(tmp_path / "mgo.extxyz")
    field = distance_map(atoms, grid=(16, 18, 20))
    write_field(tmp_path / "distance.npz", field, atoms)
    return field


def test_a_level_of_any_field_gives_the_function_s_surface(amorph, distances):
    figures = json.loads(amorph("isosurface", "distance.npz", "--level", 1.2, "--json").out)
    expected = contour(distances, 1.2)
    assert figures["area"] == pytest.approx(expected.area, rel=1e-12)
    assert (figures["triangles"], figures["vertices"]) == (len(expected.faces), len(expected.vertices))
    assert (figures["quantity"], figures["unit"], figures["level"]) == (distances.quantity, "Å", 1.2)
    assert (figures["minimum"], figures["maximum"]) == (distances.values.min(), distances.values.max())


@pytest.mark.parametrize("suffix", ["ply", "stl", "glb", "obj", "vtp"])
def test_a_capped_surface_is_a_solid_in_every_format(amorph, distances, tmp_path, suffix):
    name = f"solid.{suffix}"
    called = amorph("isosurface", "distance.npz", "--level", 1.2, "--capped", "-o", name, "--quiet")
    assert (called.status, called.out) == (0, ""), called.err
    expected = contour(distances, 1.2, capped=True).enclosed_volume
    if suffix == "vtp":
        assert (tmp_path / name).stat().st_size > 1000  # read back in tests/export
        return
    solid = trimesh.load(tmp_path / name, process=False, force="mesh")
    solid.merge_vertices(merge_norm=True, merge_tex=True)
    assert solid.volume == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_picture_of_any_field(amorph, distances, tmp_path):
    assert amorph("isosurface", "distance.npz", "--level", 1.2, "-o", "picture.png").status == 0
    assert np.asarray(Image.open(tmp_path / "picture.png")).std() > 10  # something is drawn


def test_a_level_outside_the_field_gives_an_empty_surface_and_says_so(amorph, distances):
    called = amorph("isosurface", "distance.npz", "--level", 7)
    assert called.status == 0
    assert "the level lies outside, and no surface runs through the cell" in called.out
    assert re.search(r"triangles +0\n", called.out)
    assert json.loads(amorph("isosurface", "distance.npz", "--level", 7, "--json").out)["triangles"] == 0


def test_a_window_without_points_gives_an_empty_surface_and_says_so(amorph, mgo):
    amorph("bvs", "mgo.extxyz", "--ion", "Mg2+", "--grid", *(8, 8, 8), "-o", "bvs.npz")
    assert "no point lies within the window" in amorph("isosurface", "bvs.npz", "--window", 1e-6).out
    assert "no point lies within" not in amorph("isosurface", "bvs.npz", "--window", 5).out


def test_what_cannot_be_drawn_is_one_line(amorph, distances):
    amorph("bvs", "mgo.extxyz", "--ion", "Mg2+", "--grid", *(8, 8, 8), "-o", "bvs.npz")
    for words, line in {
        ("distance.npz",): "distance.npz holds the distance to the nearest atom, ",
        ("distance.npz", "--level", "nan"): "level = nan must be a finite number",
        ("distance.npz", "--level", 1, "--window", 0.3): "--level 1 and --window 0.3: give one of them",
        ("bvs.npz", "--level", 1): "no surface can be drawn through them; leave --level out",
    }.items():
        called = amorph("isosurface", *words)
        assert (called.status, called.out) == (2, "")
        assert line in called.err
        assert called.err.count("\n") == 1
