import json
import struct
from dataclasses import replace

import meshio
import numpy as np
import pytest
import trimesh

from amorph.analysis.isosurface import contour
from amorph.export.mesh import write_mesh
from amorph.fields import ScalarField

TRICLINIC = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.5, 2.5, 11.0]])
READERS = ("ply", "stl", "glb")


@pytest.fixture
def mesh():
    """A surface that crosses every cell face."""
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (12, 13, 14)], indexing="ij")
    values = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    return contour(ScalarField(values, TRICLINIC, "mismatch − window", "v.u.", {"window": 0.4}), 0.25)


def read(path):
    loaded = trimesh.load(path, process=False)
    return loaded.to_geometry() if isinstance(loaded, trimesh.Scene) else loaded


# --- independent readers


@pytest.mark.parametrize("suffix", READERS)
def test_trimesh_reads_the_surface_cut_at_the_cell_faces(tmp_path, mesh, suffix):
    path = tmp_path / f"surface.{suffix}"
    write_mesh(path, mesh)
    found = read(path)
    cut = mesh.cut()
    # float32: 1e-7 of 11 Å
    assert found.vertices[found.faces] == pytest.approx(cut.corners, abs=2e-6)
    assert found.area == pytest.approx(mesh.area, rel=1e-5)
    fractions = np.asarray(found.vertices) @ np.linalg.inv(TRICLINIC)
    assert fractions.min() > -1e-6
    assert fractions.max() < 1 + 1e-6


def test_trimesh_reads_the_normals(tmp_path, mesh):
    write_mesh(tmp_path / "surface.ply", mesh)
    assert read(tmp_path / "surface.ply").vertex_normals == pytest.approx(mesh.cut().normals, abs=1e-6)


@pytest.mark.parametrize("suffix", ["ply", "stl"])
def test_meshio_reads_the_surface(tmp_path, mesh, suffix):
    path = tmp_path / f"surface.{suffix}"
    write_mesh(path, mesh)
    found = meshio.read(path)
    triangles = found.points[found.cells_dict["triangle"]]
    a, b, c = np.moveaxis(triangles.astype(float), 1, 0)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(mesh.area, rel=1e-5)


def test_a_capped_surface_is_a_solid_in_every_format(tmp_path, mesh):
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (12, 13, 14)], indexing="ij")
    capped = contour(ScalarField(np.cos(x) + np.cos(y) + np.cos(z), TRICLINIC, "P", ""), -0.1, capped=True)
    for suffix in READERS:
        write_mesh(tmp_path / f"solid.{suffix}", capped)
        solid = read(tmp_path / f"solid.{suffix}")
        solid.merge_vertices(merge_norm=True, merge_tex=True)
        assert solid.volume == pytest.approx(capped.enclosed_volume, rel=1e-5)


# --- format rules that tolerant readers do not check


@pytest.mark.parametrize("more", ["", "a", "ab", "abc"])
def test_the_glb_obeys_the_format(tmp_path, mesh, more):
    mesh = replace(mesh, unit="v.u." + more)  # JSON of every length modulo 4
    path = tmp_path / "surface.glb"
    write_mesh(path, mesh)
    content = path.read_bytes()
    magic, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, json_kind) == (b"glTF", 2, len(content), b"JSON")
    assert json_length % 4 == 0
    document = json.loads(content[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack_from("<I4s", content, 20 + json_length)
    assert binary_kind == b"BIN\0"
    assert binary_length == document["buffers"][0]["byteLength"] == len(content) - 28 - json_length
    position, normal, index = document["accessors"]
    cut = mesh.cut()
    assert (position["count"], normal["count"], index["count"]) == (len(cut.vertices),) * 2 + (cut.faces.size,)
    assert position["min"] == pytest.approx(cut.vertices.min(axis=0), abs=1e-6)
    assert position["max"] == pytest.approx(cut.vertices.max(axis=0), abs=1e-6)
    start = 28 + json_length + document["bufferViews"][normal["bufferView"]]["byteOffset"]
    normals = np.frombuffer(content, "<f4", 3 * normal["count"], start).reshape(-1, 3)
    assert normals == pytest.approx(cut.normals, abs=1e-6)
    extras = document["scenes"][0]["extras"]
    assert extras == {"quantity": "mismatch − window", "unit": mesh.unit, "level": 0.25, "parameters": {"window": 0.4}}


def test_the_stl_header_does_not_look_like_text_stl(tmp_path, mesh):
    write_mesh(tmp_path / "surface.stl", mesh)
    content = (tmp_path / "surface.stl").read_bytes()
    assert not content.lower().startswith(b"solid")
    assert len(content) == 84 + 50 * len(mesh.faces)


@pytest.mark.parametrize("suffix", READERS)
def test_an_empty_surface_is_a_valid_file(tmp_path, suffix):
    nothing = contour(ScalarField(np.zeros((3, 4, 5)), TRICLINIC, "flat", ""), 1e9)
    write_mesh(tmp_path / f"nothing.{suffix}", nothing)
    content = (tmp_path / f"nothing.{suffix}").read_bytes()
    if suffix == "glb":
        (json_length,) = struct.unpack_from("<I", content, 12)
        document = json.loads(content[20 : 20 + json_length])
        assert not {"meshes", "nodes", "accessors", "buffers"} & document.keys()  # glTF forbids empty arrays
    elif suffix == "stl":
        assert content[80:] == bytes(4)
    else:
        assert len(meshio.read(tmp_path / "nothing.ply").points) == 0


# --- errors


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, mesh):
    with pytest.raises(ValueError, match=r"suffix '.xyz' names no format; known are .ply, .stl, .glb"):
        write_mesh(tmp_path / "surface.xyz", mesh)
