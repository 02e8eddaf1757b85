"""The view of structures, trajectories, fields and surfaces from files."""

import base64
import json
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from amorph.analysis.distance import distance_map
from amorph.analysis.isosurface import contour, nested_surfaces
from amorph.export import write_mesh
from amorph.export.fields import write_field
from amorph.report import write_view

MGO = bulk("MgO", "rocksalt", a=4.212, cubic=True)


def scenes(path, *files, **options):
    write_view(path / "view.html", files, **options)
    text = (path / "view.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="scenes">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def field():
    return distance_map(MGO, grid=(16, 16, 16))


def test_atoms_on_faces_stand_on_both(tmp_path):
    """Of 4 Mg in the conventional cell 14 are seen (8 corners, 6 faces), of 4 O 13 (12 edges, the middle)."""
    write(tmp_path / "mgo.cif", MGO)
    (scene,) = scenes(tmp_path, tmp_path / "mgo.cif", ion="Mg2+")
    assert [(element["symbol"], element["count"]) for element in scene["elements"]] == [("Mg", 4), ("O", 4)]
    kinds = np.frombuffer(base64.b64decode(scene["atoms"]["kinds"]), "u1")
    assert np.bincount(kinds).tolist() == [14, 13]


def test_the_frames_of_a_trajectory_become_a_movie(tmp_path):
    frames = [Atoms("Mg4O4", positions=MGO.positions + 0.01 * k, cell=MGO.cell, pbc=True) for k in range(250)]
    write(tmp_path / "path.extxyz", frames)
    (scene,) = scenes(tmp_path, tmp_path / "path.extxyz")
    assert (scene["movie"]["of"], scene["movie"]["frames"]) == (250, 84)


def test_a_field_and_its_levels(tmp_path, field):
    write_field(tmp_path / "distance.npz", field, MGO)
    (scene,) = scenes(tmp_path, tmp_path / "distance.npz", levels=[0.8, 1.2])
    assert [level["label"] for level in scene["surfaces"][0]["levels"]] == ["0.8 Å", "1.2 Å"]


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj"])
def test_a_surface_with_the_structure_before_it_and_alone(tmp_path, field, suffix):
    mesh = contour(field, 1.0)
    write_mesh(tmp_path / f"room{suffix}", mesh)
    write(tmp_path / "mgo.cif", MGO)
    (scene,) = scenes(tmp_path, tmp_path / "mgo.cif", tmp_path / f"room{suffix}")
    assert scene["surfaces"][0]["levels"][0]["triangles"] == len(mesh.faces)
    (alone,) = scenes(tmp_path, tmp_path / f"room{suffix}")
    assert alone["cell"] is None


def test_levels_of_a_field_lie_between_its_values(field):
    shares = [(field.values < mesh.level).mean() for mesh in nested_surfaces(field, MGO)]
    assert np.allclose(shares, [0.05, 0.1, 0.2, 0.35, 0.5], atol=0.1)
    opened = nested_surfaces(field, MGO, opens=1.2)
    assert opened[3].level == pytest.approx(1.2)


def test_a_file_of_none_of_these_is_told(tmp_path):
    (tmp_path / "room.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    with pytest.raises(ValueError, match="binary_little_endian"):
        scenes(tmp_path, tmp_path / "room.ply")
