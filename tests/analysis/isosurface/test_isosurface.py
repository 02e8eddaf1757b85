import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

from amorph.analysis.bvs import bvs_map
from amorph.analysis.isosurface import Mesh, contour, isosurface
from amorph.fields import ScalarField

CUBE = np.eye(3) * 10.0
TRICLINIC = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.5, 2.5, 11.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]


def fractional_points(grid):
    return np.stack(np.meshgrid(*[np.arange(n) / n for n in grid], indexing="ij"), axis=-1)


def distance_field(cell, grid, centre):
    """Distance to the nearest periodic image of a fractional point."""
    offset = fractional_points(grid) - centre
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.full(grid, np.inf)
    for image in images:
        distance = np.minimum(distance, np.linalg.norm((offset - np.rint(offset) + image) @ cell, axis=-1))
    return ScalarField(distance, cell, "distance", "Å")


def gyroid(grid, cell=CUBE):
    x, y, z = np.moveaxis(2 * np.pi * fractional_points(grid), -1, 0)
    values = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    return ScalarField(values, cell, "gyroid", "")


def noise(grid, cell, seed):
    return ScalarField(np.random.default_rng(seed).normal(size=grid), cell, "noise", "")


def negative(field):
    return ScalarField(-field.values, field.cell, field.quantity, field.unit)


def euler_characteristic(mesh):
    # on a closed surface every edge belongs to two faces
    return len(mesh.vertices) - len(mesh.faces) / 2


def on_cell_face(positions, cell):
    fractions = positions @ np.linalg.inv(cell)
    return (np.abs(fractions - np.rint(fractions)) < 1e-12).any(axis=1)


# --- closed form


@pytest.mark.parametrize("cell", [CUBE, TRICLINIC, LEFT_HANDED], ids=["cube", "triclinic", "left-handed"])
@pytest.mark.parametrize("centre", [(0.5, 0.5, 0.5), (0.02, 0.97, 0.4), (0.0, 0.0, 0.0)])
def test_a_sphere_has_its_area_volume_and_euler_characteristic_wherever_it_lies(cell, centre):
    radius = 3.0
    field = distance_field(cell, (50, 55, 60), np.array(centre))
    sphere = contour(field, radius)
    # a facet of size h lies up to h²/(8r) inside, on grid edges too: at h = 0.28 Å (a face diagonal) 0.1 % of the
    # radius, 0.3 % of the volume
    assert sphere.area == pytest.approx(4 * np.pi * radius**2, rel=2e-3)
    assert len(sphere.open_edges) == 0
    assert euler_characteristic(sphere) == 2
    solid = contour(field, radius, capped=True)
    assert solid.enclosed_volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=3e-3)


def test_a_flat_surface_lies_exactly_where_the_field_crosses_the_level():
    # piecewise linear along the second axis: interpolation is exact
    values = np.broadcast_to(np.array([0.0, 1.0, 4.0, 1.0])[None, :, None], (3, 4, 5))
    mesh = contour(ScalarField(values, TRICLINIC, "step", ""), 1.75)
    fractions = mesh.vertices @ np.linalg.inv(TRICLINIC)
    assert sorted(set(fractions[:, 1].round(12))) == [1.25 / 4, 2.75 / 4]
    assert mesh.area == pytest.approx(2 * np.linalg.norm(np.cross(TRICLINIC[0], TRICLINIC[2])), rel=1e-12)


@pytest.mark.parametrize(("grid", "cell"), [((40, 40, 40), CUBE), ((40, 36, 44), LEFT_HANDED)])
def test_a_gyroid_is_closed_only_through_the_cell_faces_and_halves_the_cell(grid, cell):
    surface = contour(gyroid(grid, cell), 0.0)
    assert len(surface.open_edges) == 0
    assert euler_characteristic(surface) == -8  # genus 3 in each of the two primitive cells, whatever the metric
    halves = [contour(f, 0.0, capped=True).enclosed_volume for f in (gyroid(grid, cell), negative(gyroid(grid, cell)))]
    # the two labyrinths are mirror images; 40 points per period leave (2π/40)²/8 = 0.3 %
    assert halves == pytest.approx([abs(np.linalg.det(cell)) / 2] * 2, rel=3e-3)


@pytest.mark.parametrize("cell", [CUBE, TRICLINIC, LEFT_HANDED], ids=["cube", "triclinic", "left-handed"])
@pytest.mark.parametrize("capped", [False, True])
def test_normals_point_towards_larger_values(cell, capped):
    centre = np.array([0.5, 0.5, 0.5])
    sphere = contour(distance_field(cell, (50, 55, 60), centre), 3.0, capped=capped)
    outwards = (sphere.vertices - centre @ cell) / 3.0
    # the angle between a facet of 0.2 Å and the sphere is at most about h/r = 0.07
    assert np.einsum("ij,ij->i", sphere.normals, outwards).min() > np.cos(0.07)


# --- conservation


@settings(deadline=None, max_examples=60)
@given(
    values=arrays(
        np.float64, st.tuples(*[st.integers(1, 5)] * 3), elements=st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0])
    ),
    left_handed=st.booleans(),
)
def test_any_field_gives_a_surface_without_open_edges(values, left_handed):
    """Also where values equal the level, on a grid of one point, and where ambiguous cubes meet."""
    field = ScalarField(values, LEFT_HANDED if left_handed else TRICLINIC, "any", "")
    surface = contour(field, 0.0)
    assert len(surface.open_edges) == 0
    cut = surface.cut()
    assert not cut.shifts.any()
    assert on_cell_face(cut.vertices[cut.open_edges.ravel()], field.cell).all()
    assert cut.area == pytest.approx(surface.area, rel=1e-12)
    capped = contour(field, 0.0, capped=True)
    assert len(capped.open_edges) == 0
    assert -1e-9 < capped.enclosed_volume < field.cell_volume + 1e-9


@pytest.mark.parametrize("level", [-0.4, 0.0, 1.1])
def test_the_two_sides_of_a_surface_fill_the_cell(level):
    field = gyroid((11, 12, 13), TRICLINIC)
    below = contour(field, level, capped=True).enclosed_volume
    above = contour(negative(field), -level, capped=True).enclosed_volume
    # not exact: the polygon that a cube cuts is not flat, and its complement is split along another diagonal
    assert below + above == pytest.approx(field.cell_volume, rel=5e-4)


# --- invariance


def test_rolling_the_field_moves_the_surface_and_changes_nothing_else():
    field = noise((7, 6, 5), TRICLINIC, seed=1)
    rolled = ScalarField(np.roll(field.values, (3, 2, 4), (0, 1, 2)), field.cell, "", "")
    a, b = contour(field, 0.2), contour(rolled, 0.2)
    assert (len(a.vertices), len(a.faces)) == (len(b.vertices), len(b.faces))
    assert b.area == pytest.approx(a.area, rel=1e-12)
    moved = (a.vertices @ np.linalg.inv(a.cell) + np.array([3 / 7, 2 / 6, 4 / 5])) % 1
    found = b.vertices @ np.linalg.inv(b.cell)
    distance, _ = cKDTree(found % 1 % 1, boxsize=1.0).query(moved % 1 % 1)
    assert distance.max() < 1e-12
    assert len(found) == len(moved)


def test_a_supercell_has_the_surface_of_its_cells():
    field = noise((5, 6, 4), TRICLINIC, seed=2)
    double = ScalarField(np.tile(field.values, (2, 1, 3)), field.cell * [[2], [1], [3]], "", "")
    assert contour(double, 0.1).area == pytest.approx(6 * contour(field, 0.1).area, rel=1e-12)
    assert euler_characteristic(contour(double, 0.1)) == 6 * euler_characteristic(contour(field, 0.1))


def test_each_vertex_of_the_periodic_surface_is_stored_once_and_inside_the_cell():
    surface = contour(noise((6, 5, 7), TRICLINIC, seed=3), 0.0)
    fractions = surface.vertices @ np.linalg.inv(surface.cell)
    assert fractions.min() >= -1e-12
    assert fractions.max() < 1
    assert len(np.unique(fractions.round(9), axis=0)) == len(fractions)
    assert surface.cut().vertices[surface.cut().faces] == pytest.approx(surface.corners, abs=1e-12)


def test_the_field_is_not_changed_and_its_description_is_kept():
    field = noise((4, 4, 4), CUBE, seed=4)
    before = field.values.copy()
    surface = contour(ScalarField(field.values, CUBE, "valence", "v.u.", {"cutoff": 6.0}), 0.25)
    assert (field.values == before).all()
    assert (surface.quantity, surface.unit, surface.level) == ("valence", "v.u.", 0.25)
    assert surface.parameters == {"cutoff": 6.0}


@pytest.mark.parametrize("capped", [False, True])
def test_any_number_of_threads_gives_the_same_bytes(capped):
    field = noise((64, 65, 66), TRICLINIC, seed=6)  # enough points for more than one
    one, *others = [contour(field, 0.1, capped=capped, threads=n) for n in (1, 2, 5)]
    for other in others:
        for name in ("vertices", "faces", "shifts"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_single_precision_decides_as_its_double():
    field = noise((5, 6, 7), TRICLINIC, seed=7)
    narrow = ScalarField(field.values.astype(np.float32), field.cell, "", "")
    double = ScalarField(narrow.values.astype(np.float64), field.cell, "", "")
    level = float(np.nextafter(double.values[2, 2, 2], 9.0))  # rounds to the value itself in float32
    assert contour(narrow, level).vertices.tobytes() == contour(double, level).vertices.tobytes()


@pytest.mark.parametrize("n", [63, 64, 65, 127, 128])
def test_rows_of_any_length_around_a_word_of_bits(n):
    field = noise((2, 3, n), TRICLINIC, seed=n)
    rolled = ScalarField(np.roll(field.values, 17, axis=2), field.cell, "", "")
    for capped in (False, True):
        assert len(contour(field, 0.0, capped=capped).open_edges) == 0
    assert contour(rolled, 0.0).area == pytest.approx(contour(field, 0.0).area, rel=1e-12)


# --- the table of cases


@pytest.mark.parametrize("seed", range(3))
def test_every_edge_belongs_to_two_triangles(seed):
    """Also where ambiguous cubes meet: no diagonal lies in a face, where the next cube's could meet it."""
    trimesh = pytest.importorskip("trimesh")
    field = noise((8, 9, 10), TRICLINIC, seed=seed)
    lifted = np.full((10, 11, 12), 9.0)
    lifted[1:-1, 1:-1, 1:-1] = field.values  # closed within the cell
    surface = contour(ScalarField(lifted, TRICLINIC, "", ""), 0.0)
    assert not surface.shifts.any()
    other = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert other.is_watertight  # every edge in exactly two faces
    assert other.is_winding_consistent
    assert other.volume > 0  # outwards is towards larger values


def test_below_holds_together_where_a_face_is_ambiguous():
    values = np.ones((5, 5, 5))
    values[2, 2, 2] = values[3, 3, 2] = -1.0  # across the diagonal of a face
    surface = contour(ScalarField(values, CUBE, "", ""), 0.0)
    assert euler_characteristic(surface) == 2
    assert euler_characteristic(contour(ScalarField(-values, CUBE, "", ""), 0.0)) == 4


# --- independent reference


def test_the_vertices_are_where_vtk_puts_them():
    """On a grid without wrapping; VTK may join ambiguous faces otherwise, but crosses the same edges."""
    field = noise((7, 8, 9), CUBE, seed=8)
    image = vtkImageData()
    image.SetDimensions(9, 8, 7)  # VTK runs through x fastest: its x is our last axis
    image.GetPointData().SetScalars(numpy_to_vtk(field.values.ravel()))
    other = vtkFlyingEdges3D()
    other.SetInputData(image)
    other.SetValue(0, 0.3)
    other.Update()
    expected = vtk_to_numpy(other.GetOutput().GetPoints().GetData())[:, ::-1]
    places = contour(field, 0.3).vertices / 10.0 * field.grid
    inner = places[(places <= np.array(field.grid) - 1).all(axis=1)]
    distance, which = cKDTree(inner).query(expected)
    assert distance.max() < 1e-5  # float32
    assert len(set(which)) == len(expected) == len(inner)


def test_trimesh_finds_the_same_area_and_volume():
    trimesh = pytest.importorskip("trimesh")
    capped = contour(gyroid((14, 15, 16), TRICLINIC), 0.3, capped=True)
    other = trimesh.Trimesh(capped.vertices, capped.faces, process=False)
    assert other.is_watertight
    assert other.is_winding_consistent
    assert capped.area == pytest.approx(other.area, rel=1e-12)
    assert capped.enclosed_volume == pytest.approx(other.volume, rel=1e-9)


# --- bond-valence maps


def test_the_surface_around_one_oxygen_is_two_spheres():
    """One O: v = exp((r0 − d)/b), so |v − 2| < w is a shell from r0 − b·ln(2 + w) to r0 − b·ln(2 − w)."""
    r0, b, window = 3.0, 0.37, 0.4
    oxygen = Atoms("O", positions=[(0.3, 0.1, 0.2)], cell=TRICLINIC * 1.2, pbc=True)
    bvs = bvs_map(oxygen, "Mg2+", spacing=0.1, r0=r0, b=b, cutoff=3.6, exclusion_radius=1.7)
    shell = isosurface(bvs, window=window)
    inner, outer = r0 - b * np.log(2 + window), r0 - b * np.log(2 - window)
    # h²/(8r) for h = 0.1 Å, doubled for the curvature of the exponential: 2e-3 of the area
    assert shell.area == pytest.approx(4 * np.pi * (inner**2 + outer**2), rel=2e-3)
    assert euler_characteristic(shell) == 4
    assert len(shell.open_edges) == 0
    solid = isosurface(bvs, window=window, capped=True)
    assert solid.enclosed_volume == pytest.approx(4 / 3 * np.pi * (outer**3 - inner**3), rel=2e-2)


def test_the_exclusion_radius_closes_the_shell():
    oxygen = Atoms("O", positions=[(0.3, 0.1, 0.2)], cell=TRICLINIC * 1.2, pbc=True)
    bvs = bvs_map(oxygen, "Mg2+", spacing=0.1, r0=3.0, b=0.37, cutoff=3.6, exclusion_radius=2.75)
    shell = isosurface(bvs, window=0.8)  # would begin at 2.62 Å
    outer = 3.0 - 0.37 * np.log(1.2)
    # the field has a kink within the shell, which is two voxels thick: 2.3e-3 here, 6e-5 at half the spacing
    assert shell.area == pytest.approx(4 * np.pi * (2.75**2 + outer**2), rel=4e-3)
    assert len(shell.open_edges) == 0


def test_the_surface_of_a_defective_oxide_has_no_holes_and_keeps_the_description():
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(2)
    rng = np.random.default_rng(0)
    del atoms[rng.choice(np.flatnonzero(atoms.symbols == "Mg"), 12, replace=False)]
    atoms.rattle(0.2, rng=rng)
    bvs = bvs_map(atoms, "Mg2+", spacing=0.2)
    shell = isosurface(bvs, window=0.6)
    assert len(shell.faces) > 1000
    assert len(shell.open_edges) == 0
    assert (shell.quantity, shell.unit, shell.level) == ("|bond valence sum of Mg2+ − 2|", "v.u.", 0.6)
    assert shell.parameters["window"] == 0.6
    assert shell.parameters["exclusion_radius"] == 1.7
    # the map's own window is the default
    assert isosurface(bvs).level == bvs.window == 0.4


# --- empty surfaces and errors


def test_a_level_outside_the_field_gives_an_empty_surface():
    field = gyroid((6, 6, 6))
    for surface in (contour(field, 9.0), contour(field, -9.0), contour(field, -9.0, capped=True)):
        assert surface.vertices.shape == (0, 3)
        assert surface.faces.shape == (0, 3)
        assert surface.area == 0.0
        assert surface.normals.shape == (0, 3)
        assert len(surface.cut().open_edges) == 0
    # where all of the cell lies below the level, the caps are the faces of the cell
    assert contour(field, 9.0, capped=True).enclosed_volume == pytest.approx(field.cell_volume, rel=1e-12)


def test_values_at_the_ends_of_the_number_range_have_a_surface():
    values = np.full((4, 4, 4), -1.5e308)
    values[1, 2, 3] = 1.5e308
    there = np.where(values > 0, 1.0, -1.0)
    largest, plain = (contour(ScalarField(v, np.eye(3) * 4, "x", ""), 0.0) for v in (values, there))
    assert largest.vertices == pytest.approx(plain.vertices, abs=1e-15)


def test_a_field_with_excluded_points_is_refused():
    field = noise((4, 4, 4), CUBE, seed=5)
    field.values[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="noise has no value at 1 of 64 grid points"):
        contour(field, 0.0)


def test_a_level_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="level = nan must be a finite number"):
        contour(gyroid((4, 4, 4)), float("nan"))


def test_an_open_surface_encloses_no_volume():
    surface = contour(gyroid((6, 6, 6)), 0.0)
    for mesh in (surface, surface.cut()):
        assert isinstance(mesh, Mesh)
        with pytest.raises(ValueError, match="encloses no volume; contour with capped=True"):
            _ = mesh.enclosed_volume


def test_a_window_that_is_no_width_is_refused():
    bvs = bvs_map(bulk("MgO", "rocksalt", a=4.212), "Mg2+", spacing=0.5)
    with pytest.raises(ValueError, match=r"window = -0.1 v.u. must be greater than 0"):
        isosurface(bvs, window=-0.1)
