import json
import struct
from dataclasses import replace

import meshio
import numpy as np
import pytest
import trimesh
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOGeometry import vtkOBJReader, vtkSTLReader
from vtkmodules.vtkIOPLY import vtkPLYReader
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from amorph.analysis.isosurface import contour
from amorph.export import write_mesh
from amorph.fields import ScalarField

TRICLINIC = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.5, 2.5, 11.0]])
READERS = ("ply", "stl", "glb", "obj", "vtp")


@pytest.fixture
def mesh():
    """A surface that crosses every cell face."""
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (12, 13, 14)], indexing="ij")
    values = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    return contour(ScalarField(values, TRICLINIC, "mismatch − window", "v.u.", {"window": 0.4}), 0.25)


def read_vtp(path):
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def read(path):
    if path.suffix == ".vtp":
        surface = read_vtp(path)
        faces = vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)
        return trimesh.Trimesh(vtk_to_numpy(surface.GetPoints().GetData()), faces, process=False)
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


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj", "vtp"])
def test_vtk_reads_the_surface_and_its_normals(tmp_path, mesh, suffix):
    path = tmp_path / f"surface.{suffix}"
    write_mesh(path, mesh)
    readers = {"ply": vtkPLYReader, "stl": vtkSTLReader, "obj": vtkOBJReader, "vtp": vtkXMLPolyDataReader}
    reader = readers[suffix]()
    reader.SetFileName(str(path))
    reader.Update()
    surface = reader.GetOutput()
    points = vtk_to_numpy(surface.GetPoints().GetData())
    corners = points[vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)]
    assert corners == pytest.approx(mesh.cut().corners, abs=2e-6)
    if suffix != "stl":  # which VTK reads without them
        normals = vtk_to_numpy(surface.GetPointData().GetNormals())
        assert normals == pytest.approx(mesh.cut().normals, abs=1e-5)


def test_the_vtp_says_what_it_holds(tmp_path, mesh):
    write_mesh(tmp_path / "surface.vtp", mesh)
    facts = read_vtp(tmp_path / "surface.vtp").GetFieldData()
    assert facts.GetAbstractArray("quantity").GetValue(0) == "mismatch − window [v.u.]"
    assert facts.GetArray("level").GetValue(0) == 0.25
    assert json.loads(facts.GetAbstractArray("parameters").GetValue(0)) == {"window": 0.4}
    assert vtk_to_numpy(facts.GetArray("lattice_vectors")) == pytest.approx(TRICLINIC)


@pytest.mark.parametrize("suffix", ["ply", "stl", "obj"])
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
    elif suffix == "vtp":
        assert read_vtp(tmp_path / "nothing.vtp").GetNumberOfPoints() == 0
    elif suffix == "obj":
        assert content.startswith(b"# flat = 1e+09") and content.count(b"\n") == 1
    else:
        assert len(meshio.read(tmp_path / "nothing.ply").points) == 0


# --- errors


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, mesh):
    with pytest.raises(ValueError, match=r"suffix '.xyz' names no format; known are .ply, .stl, .glb, .obj, .vtp"):
        write_mesh(tmp_path / "surface.xyz", mesh)
