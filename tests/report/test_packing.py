"""Packed numbers are the numbers; thinned surfaces are the surfaces."""

import base64
import json

import numpy as np
import pytest

from amorph.analysis.isosurface import contour
from amorph.fields import ScalarField
from amorph.report.packing import MOST_TRIANGLES, packed, packed_points, packed_surface, thinned

SIZE, RADIUS = 10.0, 3.0


def sphere(n):
    points = np.stack(np.meshgrid(*[np.arange(n) * SIZE / n - SIZE / 2] * 3, indexing="ij"))
    field = ScalarField(np.linalg.norm(points, axis=0), np.eye(3) * SIZE, "distance", "Å")
    return contour(field, RADIUS).cut()


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_numbers_come_back():
    values = np.arange(12.0).reshape(4, 3)[:, ::-1]
    assert unpacked(packed(values, "f4"), "<f4").tolist() == values.ravel().tolist()


def test_points_come_back_to_a_part_in_65535():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3)) * [1, 10, 100]
    made = packed_points(points)
    back = np.array(made["low"]) + unpacked(made["points"], "<u2").reshape(-1, 3) / 65535 * np.array(made["size"])
    assert (np.abs(back - points) <= np.ptp(points, axis=0) / 65535 + 1e-6).all()


def test_points_in_a_plane_and_none_at_all():
    assert packed_points(np.array([[1.0, 2, 3], [1, 4, 5]]))["size"] == [1.0, 2.0, 2.0]
    assert packed_points(np.zeros((0, 3)))["points"] == ""


def test_a_small_surface_is_left_as_it_is():
    mesh = sphere(12)
    vertices, faces, edge = thinned(mesh.vertices, mesh.faces, len(mesh.faces))
    assert edge is None
    assert vertices is mesh.vertices
    assert faces is mesh.faces


def test_a_thinned_sphere_is_a_sphere():
    """Cubes with the edge h move a vertex by their diagonal at most, and leave no hole: χ = V − E + F = 2."""
    mesh = sphere(60)
    vertices, faces, edge = thinned(mesh.vertices, mesh.faces, 1500)
    assert 700 < len(faces) <= 1500 < len(mesh.faces)
    radii = np.linalg.norm(vertices - SIZE / 2, axis=1)
    assert np.abs(radii - RADIUS).max() < edge
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi * RADIUS**2, rel=0.05)
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    assert len(np.unique(faces)) - len(edges) + len(np.unique(faces, axis=0)) == 2


def test_a_thinned_surface_says_so():
    mesh = sphere(40)
    made = packed_surface(mesh.vertices, mesh.faces, 1000)
    assert made["of"] == len(mesh.faces)
    assert made["triangles"] == len(unpacked(made["faces"], "<u2")) // 3 <= 1000
    assert made["thinned_A"] > SIZE / 40


def test_surfaces_of_glass_and_crystal_leave_a_page_below_15_megabytes():
    """Two structures, two fields, five levels each: twenty surfaces of as many triangles as are kept at most."""
    mesh = sphere(160)
    made = packed_surface(mesh.vertices, mesh.faces)
    assert made["of"] > MOST_TRIANGLES > made["triangles"] > MOST_TRIANGLES / 2
    assert 20 * len(json.dumps(made)) * MOST_TRIANGLES / made["triangles"] < 10e6
