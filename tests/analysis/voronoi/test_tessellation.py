import itertools
import math

import numpy as np
import pytest
import pyvoro2
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal
from hypothesis import given, settings, strategies as st
from scipy.spatial import ConvexHull, Voronoi
from toys import random_cell

from amorph.analysis.voronoi import Tessellation, cells as tessellation, face_coordination, tessellate

# Coordinates of some 20 Å are good to 4e-15 Å, and so are the corners of a cell; sums over its faces to ten times that.
TOLERANCE = 1e-12

CRYSTALS = {
    "sc": bulk("Po", "sc", a=3.35),
    "bcc": bulk("Fe", "bcc", a=2.87),
    "fcc": bulk("Cu", "fcc", a=3.6),
    "hcp": bulk("Mg", "hcp", a=3.21, c=3.21 * math.sqrt(8 / 3)),
    "rocksalt": bulk("MgO", "rocksalt", a=4.212),
    "diamond": bulk("Si", "diamond", a=5.43),
    "fluorite": bulk("CaF2", "fluorite", a=5.46),
    "spinel": crystal(
        ["Mg", "Al", "O"],
        [(1 / 8, 1 / 8, 1 / 8), (1 / 2, 1 / 2, 1 / 2), (0.2624, 0.2624, 0.2624)],
        spacegroup=227,
        setting=2,
        cellpar=[8.0806] * 3 + [90] * 3,
    ),
    "layered": crystal(
        ["Li", "Co", "O"],
        [(0, 0, 0), (0, 0, 0.5), (0, 0, 0.2395)],
        spacegroup=166,
        cellpar=[2.8156, 2.8156, 14.0542, 90, 90, 120],
    ),
}


def areas_of(cells: Tessellation) -> dict[tuple[int, ...], float]:
    return dict(zip(map(tuple, np.column_stack([cells.i, cells.j, cells.S]).tolist()), cells.areas, strict=True))


# closed form


def test_simple_cubic_cells_are_cubes():
    cells = tessellate(Atoms("Po", cell=[3.0, 3.0, 3.0], pbc=True))
    assert cells.faces.tolist() == [6]
    assert cells.S.tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(cells.areas, 9.0, rtol=1e-14)
    np.testing.assert_allclose(cells.distances, 3.0, rtol=1e-15)
    np.testing.assert_allclose(cells.surfaces, [54.0], rtol=1e-14)


def test_body_centred_cells_are_truncated_octahedra():
    # edge a/√8: hexagons 3√3/2·a²/8 towards the 8 at √3a/2, squares a²/8 towards the 6 at a
    a = 2.87
    cells = tessellate(bulk("Fe", "bcc", a=a))
    near = cells.distances < 0.9 * a
    assert (cells.faces.tolist(), near.sum()) == ([14], 8)
    np.testing.assert_allclose(cells.areas[near], 3 * math.sqrt(3) / 16 * a**2, rtol=1e-13)
    np.testing.assert_allclose(cells.areas[~near], a**2 / 8, rtol=1e-13)


def test_face_centred_cells_are_rhombic_dodecahedra():
    # rhombs of diagonals a/2 and a/√2; six more neighbors touch the corners and make no faces
    cells = tessellate(bulk("Cu", "fcc", a=3.6, cubic=True))
    assert cells.faces.tolist() == [12] * 4
    np.testing.assert_allclose(cells.areas, 3.6**2 / 4 / math.sqrt(2), rtol=1e-13)


def test_hexagonal_close_packed_cells_are_trapezo_rhombic_dodecahedra():
    # all 12 neighbors at a; the volume is a³/√2 and the faces are a/2 away: Σ areas = 6 V/a
    a = 3.21
    cells = tessellate(CRYSTALS["hcp"])
    assert cells.faces.tolist() == [12, 12]
    np.testing.assert_allclose(cells.volumes, a**3 / math.sqrt(2), rtol=1e-13)
    np.testing.assert_allclose(cells.surfaces, 6 * a**2 / math.sqrt(2), rtol=1e-13)


def test_rocksalt_cells_face_the_other_ion_only():
    cells = tessellate(bulk("MgO", "rocksalt", a=4.212, cubic=True) * 2)
    assert (cells.faces == 6).all()
    np.testing.assert_allclose(cells.areas, 2.106**2, rtol=1e-12)
    symbols = np.array(cells.symbols)
    assert (symbols[cells.i] != symbols[cells.j]).all()
    [row] = [pair for pair in face_coordination(cells).pairs if (pair.species, pair.neighbor) == ("Mg", "O")]
    assert row.coordination_number == 6.0
    assert row.effective_coordination_number == pytest.approx(6.0, rel=1e-12)
    assert row.area == pytest.approx(6 * 2.106**2, rel=1e-12)
    assert row.share == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(("large", "small"), [(1.2, 0.6), (1.9, 0.4)])
def test_power_faces_of_two_spheres_in_a_row(large: float, small: float):
    # atoms in a row, 4 Å apart, shift the plane between them by (R² − R'²)/8 Å
    atoms = Atoms("MgO", positions=[[0, 0, 0], [4, 0, 0]], cell=[8, 3, 3], pbc=True)
    cells = tessellate(atoms, tessellation="power", radii={"Mg": large, "O": small})
    width = 2 * (2 + (large**2 - small**2) / 8)
    np.testing.assert_allclose(cells.volumes, [9 * width, 9 * (8 - width)], rtol=1e-14)
    between = cells.i != cells.j
    np.testing.assert_allclose(cells.areas[between], 9.0, rtol=1e-14)
    np.testing.assert_allclose(cells.areas[(cells.i == 0) & ~between], 3 * width, rtol=1e-14)


def test_power_cell_without_its_nucleus_and_power_cell_without_volume():
    atoms = Atoms("MgO", positions=[[0, 0, 0], [1, 0, 0]], cell=[8, 3, 3], pbc=True)
    # the planes of O's two images of Mg are (1 − R²)/2 and (49 − R²)/14 away from it, towards −x and +x
    cells = tessellate(atoms, tessellation="power", radii={"Mg": 2.0, "O": 0.0})
    np.testing.assert_allclose(cells.volumes[1], 9 * ((1 - 4) / 2 + (49 - 4) / 14), rtol=1e-13)
    assert cells.empty_cells == ()
    empty = tessellate(atoms, tessellation="power", radii={"Mg": math.sqrt(7.001), "O": 0.0})
    flat = tessellate(atoms, tessellation="power", radii={"Mg": math.sqrt(7.0), "O": 0.0})
    for one in (empty, flat):
        assert one.empty_cells == (1,)
        np.testing.assert_allclose(one.volumes, [72.0, 0.0], rtol=1e-14)
    assert empty.faces[1] == 0


def test_planes_that_all_but_coincide_leave_volumes_exact():
    # O's plane towards Mg and Mg's towards its image meet at 2e-10 rad: where one face ends is good to 1e-6 Å only
    atoms = Atoms("MgO", positions=[[0, 0, 0], [2, 0, 2e-10]], cell=[8, 3, 3], pbc=True)
    for more in (0.0, 1e-10, 1e-7):
        squares = np.array([12.0 + more, 0.0])  # O's cell ends where it begins: (4 − R²)/4 = −(36 − R²)/12
        made = tessellation._cells(atoms.cell.array, atoms.positions, squares, 1)
        assert abs(made.volumes.sum() / 72.0 - 1.0) < 1e-13
        kept = tessellation._matched(made)
        assert kept.areas[kept.i == 0].sum() >= 2 * (24 + 24) - 1e-5


def test_effective_coordination_weighs_faces_by_area():
    a = 4.0
    coordination = face_coordination(tessellate(bulk("Fe", "bcc", a=a)), smallest_share=0.05)
    hexagon, square = 3 * math.sqrt(3) / 16 * a**2, a**2 / 8
    expected = (8 * hexagon + 6 * square) ** 2 / (8 * hexagon**2 + 6 * square**2)
    np.testing.assert_allclose(coordination.effective_coordination_numbers, expected, rtol=1e-13)
    assert coordination.coordination_numbers.tolist() == [8]
    assert coordination.counted.sum() == 8
    assert [row["neighbor"] for row in coordination.table()] == ["Fe", "any"]


def test_second_shell_faces_do_not_count():
    # Mg in spinel is a tetrahedron whose edges let faces of 0.7 % through to four more oxygen atoms; 12 Li of a layered
    # oxide see each other and Co through faces of 2 %
    for name, expected in (("spinel", {"Mg": 4.0, "Al": 6.0}), ("layered", {"Li": 6.0, "Co": 6.0})):
        pairs = face_coordination(tessellate(CRYSTALS[name])).pairs
        found = {pair.species: pair.coordination_number for pair in pairs if pair.neighbor == "any"}
        assert {species: found[species] for species in expected} == expected


# sum rules


@pytest.mark.parametrize("radii", [None, {"Mg": 0.5, "O": 1.2}], ids=["plain", "power"])
def test_faces_close_each_cell_and_are_the_same_from_both_sides(radii):
    atoms = random_cell(40, seed=1)
    cells = tessellate(atoms, tessellation="power" if radii else "plain", radii=radii)
    vectors = atoms.positions[cells.j] - atoms.positions[cells.i] + cells.S @ atoms.cell.array
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), cells.distances, rtol=1e-13)
    normals = vectors / cells.distances[:, None]
    closed = np.zeros((40, 3))
    np.add.at(closed, cells.i, cells.areas[:, None] * normals)
    np.testing.assert_allclose(closed, 0.0, atol=1e-12)
    squares = np.array([0.0 if radii is None else radii[symbol] ** 2 for symbol in atoms.symbols])
    heights = (cells.distances**2 + squares[cells.i] - squares[cells.j]) / (2 * cells.distances)
    np.testing.assert_allclose(np.bincount(cells.i, cells.areas * heights / 3), cells.volumes, rtol=1e-12)
    areas = areas_of(cells)
    assert all(areas[j, i, -s, -t, -u] == area for (i, j, s, t, u), area in areas.items())
    keys = list(areas)
    assert keys == sorted(keys)
    assert cells.volumes.sum() == pytest.approx(atoms.cell.volume, rel=1e-13)
    np.testing.assert_allclose(np.bincount(cells.i, cells.shares), 1.0, rtol=1e-14)


def disturbed(name: str, seed: int) -> Atoms:
    """A crystal with faults of any size down to none: shaken, rounded, turned, repeated, moved, a vacancy, skewed."""
    rng = np.random.default_rng(seed)
    atoms = CRYSTALS[name].repeat(rng.integers(1, 3, 3)) if len(CRYSTALS[name]) < 20 else CRYSTALS[name].copy()
    atoms.positions += rng.choice([0.0, *10.0 ** np.arange(-16, -1)]) * rng.normal(size=atoms.positions.shape)
    if rng.random() < 0.5:
        atoms.set_scaled_positions(np.round(atoms.get_scaled_positions(wrap=False), rng.integers(4, 9)))
    if rng.random() < 0.6:
        atoms.set_cell(atoms.cell.array @ np.linalg.qr(rng.normal(size=(3, 3)))[0], scale_atoms=True)
    if rng.random() < 0.6:
        matrix = np.eye(3, dtype=int)[rng.permutation(3)]
        for _ in range(rng.integers(1, 5)):
            a, b = rng.permutation(3)[:2]
            matrix[a] += rng.integers(-3, 4) * matrix[b]
        atoms.set_cell(matrix @ atoms.cell.array)
    if rng.random() < 0.5:
        atoms.positions += 10 * rng.normal(size=3)
    if rng.random() < 0.3 and len(atoms) > 2:
        del atoms[rng.integers(len(atoms))]
    return atoms


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CRYSTALS)), st.integers(0, 2**32 - 1), st.booleans())
def test_no_crystal_however_nearly_degenerate_corrupts_a_cell(name: str, seed: int, power: bool):
    atoms = disturbed(name, seed)
    rng = np.random.default_rng(seed)
    radii = {int(z): rng.choice([0.0, 1.0, 1.9, rng.random()]) for z in np.unique(atoms.numbers)}
    squares = np.array([radii[z] ** 2 for z in atoms.numbers]) if power else np.zeros(len(atoms))
    made = tessellation._cells(atoms.cell.array, atoms.positions, squares, 1)
    assert abs(made.volumes.sum() / made.cell_volume - 1.0) < 1e-13
    # V − E + F = 2 with three edges at each corner
    faces = np.bincount(made.faces.i, minlength=len(atoms))
    assert np.array_equal(made.corners[made.corners > 0], 2 * faces[made.corners > 0] - 4)
    kept = tessellation._matched(made)
    areas = dict(zip(map(tuple, np.column_stack([kept.i, kept.j, kept.S]).tolist()), kept.areas, strict=True))
    assert all(areas[j, i, -s, -t, -u] == area for (i, j, s, t, u), area in areas.items())
    # what is left out as touching is nothing
    assert kept.areas.sum() == pytest.approx(made.faces.areas.sum(), rel=1e-10)


def check_map(halves: np.ndarray, n: int) -> None:
    """Every half-edge has its other end, every plane one face around which its half-edges lead, and V − E + F = 2."""
    twin, face = halves
    edges = [4 * v + k for v in range(n) for k in range(3)]
    assert {twin[e] for e in edges} == set(edges)
    assert all(twin[twin[e]] == e for e in edges)
    loops: dict[int, int] = {}
    left = set(edges)
    while left:
        first = e = min(left)
        while e in left:
            left.remove(e)
            assert face[e] == face[first]
            e = twin[e] + 2 if twin[e] % 4 == 0 else twin[e] - 1
        assert e == first
        loops[face[first]] = loops.get(face[first], 0) + 1
    assert set(loops.values()) == {1}
    assert n - 3 * n // 2 + len(loops) == 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_a_cut_leaves_the_map_of_a_polyhedron_whatever_the_heights(seed: int):
    # heights that no geometry gives, so that what is kept and what is removed are in several parts
    from amorph.analysis.voronoi._polyhedron import cut, start_cube, workspace

    rng = np.random.default_rng(seed)
    corners, halves, scratch, _, _ = workspace(64)
    start_cube(corners, halves, 1.0)
    check_map(halves, 8)
    n = 8
    for plane in range(6, 40):
        corners[3, :n] = rng.normal(rng.choice([-1.5, -0.5, 0.5]), 1.0, n)
        corners[3, rng.integers(n)] = 1.0
        corners[3, rng.integers(n)] = -5.0
        if corners[3, :n].max() <= 0.0:
            continue
        n = cut(corners, halves, scratch, n, 0.0, plane)
        assert not scratch[0].any()
        check_map(halves, n)
        assert np.abs(corners[:3, :n]).max() <= 1.0


# invariance


def test_threads_give_the_same_bits():
    atoms = random_cell(30, seed=5).repeat((3, 4, 4))
    atoms.rattle(0.1, seed=0)
    one, three = (tessellate(atoms, threads=threads) for threads in (1, 3))
    for name in ("volumes", "i", "j", "S", "areas", "distances"):
        assert np.array_equal(getattr(one, name), getattr(three, name)), name


@pytest.mark.parametrize("radii", [None, {"Mg": 0.5, "O": 1.2}], ids=["plain", "power"])
def test_faces_do_not_see_order_handedness_image_or_choice_of_cell(radii):
    atoms = random_cell(12, seed=2)
    arguments = {"tessellation": "power" if radii else "plain", "radii": radii}
    expected = areas_of(tessellate(atoms, **arguments))

    def same(other: Atoms, back) -> None:
        found = {
            back(*key[:2], np.array(key[2:])): area for key, area in areas_of(tessellate(other, **arguments)).items()
        }
        assert found.keys() == expected.keys()
        np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), atol=TOLERANCE)

    order = np.random.default_rng(0).permutation(12)
    same(atoms[order], lambda i, j, S: (int(order[i]), int(order[j]), *S.tolist()))
    matrix = np.array([[1, 0, 0], [3, 1, 0], [-4, 5, 1]])[[1, 0, 2]]  # left-handed and skewed
    skewed = atoms.copy()
    skewed.set_cell(matrix @ atoms.cell.array)
    same(skewed, lambda i, j, S: (i, j, *(S @ matrix).tolist()))
    wraps = np.random.default_rng(1).integers(-3, 4, (12, 3))
    wrapped = atoms.copy()
    wrapped.positions += wraps @ atoms.cell.array
    same(wrapped, lambda i, j, S: (i, j, *(S + wraps[j] - wraps[i]).tolist()))


def test_a_supercell_repeats_the_faces():
    atoms = random_cell(7, seed=3)
    one, six = tessellate(atoms), tessellate(make_supercell(atoms, [[2, 1, 0], [0, 1, 0], [0, 0, 3]]))
    assert np.array_equal(six.faces, np.tile(one.faces, 6))
    for image in range(6):
        np.testing.assert_allclose(
            np.sort(six.areas[six.i == 7 * image + 2]), np.sort(one.areas[one.i == 2]), atol=TOLERANCE
        )


@pytest.mark.parametrize("edges", [(2.0, 3.0, 60.0), (2.0, 40.0, 50.0), (70.0, 70.0, 70.0)])
def test_one_atom_is_its_own_neighbor_in_a_cell_of_any_shape(edges):
    cells = tessellate(Atoms("O", positions=[[100.0, -50.0, 7.0]], cell=edges, pbc=True))
    assert (cells.i.tolist(), cells.j.tolist()) == ([0] * 6, [0] * 6)
    a, b, c = edges
    np.testing.assert_allclose(cells.volumes, [a * b * c], rtol=1e-13)
    np.testing.assert_allclose(np.sort(cells.areas), np.sort([a * b, a * b, b * c, b * c, a * c, a * c]), rtol=1e-12)


def test_a_slab_in_a_vacuum_fills_the_cell():
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat((2, 2, 2))
    atoms.rattle(0.05, seed=1)
    atoms.cell[2, 2] += 60.0
    cells = tessellate(atoms)
    assert cells.volumes.sum() == pytest.approx(atoms.cell.volume, rel=1e-13)
    assert cells.volumes.max() > 250.0


# independent reference


def images(atoms: Atoms, reach: int) -> np.ndarray:
    shifts = sorted(itertools.product(range(-reach, reach + 1), repeat=3), key=lambda shift: shift != (0, 0, 0))
    return (atoms.positions[None] + (np.array(shifts) @ atoms.cell.array)[:, None]).reshape(-1, 3)


@pytest.mark.parametrize(("n", "reach"), [(1, 3), (3, 2), (30, 1)])
def test_scipy_with_ghost_images_gives_the_same_cells(n: int, reach: int):
    atoms = random_cell(n, seed=n)
    atoms.wrap()
    cells = tessellate(atoms)
    points = images(atoms, reach)
    diagram = Voronoi(points)
    areas: list[dict[int, float]] = [{} for _ in range(n)]
    for (first, second), ridge in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        for own, other in ((first, second), (second, first)):
            if own < n and -1 not in ridge:
                corners = diagram.vertices[ridge]
                spokes = corners - corners[0]
                area = 0.5 * np.linalg.norm(np.cross(spokes[1:-1], spokes[2:]).sum(axis=0))
                areas[own][other] = areas[own].get(other, 0.0) + area
    for atom in range(n):
        hull = ConvexHull(diagram.vertices[diagram.regions[diagram.point_region[atom]]])
        assert cells.volumes[atom] == pytest.approx(hull.volume, rel=1e-10)
        expected = {
            tuple(np.round(points[other] - atoms.positions[atom], 6)): area for other, area in areas[atom].items()
        }
        own = cells.i == atom
        vectors = atoms.positions[cells.j[own]] - atoms.positions[atom] + cells.S[own] @ atoms.cell.array
        found = {tuple(np.round(vector, 6)): area for vector, area in zip(vectors, cells.areas[own], strict=True)}
        assert found.keys() == expected.keys()
        # qhull's corners are good to some 1e-12 Å
        np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), atol=1e-9)


@pytest.mark.parametrize("power", [False, True], ids=["plain", "power"])
def test_voro_plus_plus_gives_the_same_cells(power: bool):
    atoms = random_cell(60, seed=9)
    atoms.wrap()
    radii = {"Mg": 0.4, "O": 1.3}
    cells = tessellate(atoms, tessellation="power" if power else "plain", radii=radii if power else None)
    more = {"mode": "power", "radii": [radii[symbol] for symbol in atoms.symbols]} if power else {}
    domain = pyvoro2.PeriodicCell(vectors=tuple(map(tuple, atoms.cell.array.tolist())))
    for record in pyvoro2.compute(atoms.positions, domain=domain, return_faces=True, output="cells", **more):
        atom = record["id"]
        assert cells.volumes[atom] == pytest.approx(record["volume"], rel=1e-10)
        assert cells.faces[atom] == len(record["faces"])
        assert sorted(cells.j[cells.i == atom].tolist()) == sorted(face["adjacent_cell"] for face in record["faces"])


@pytest.mark.slow
@pytest.mark.parametrize("skew", [0.0, 0.4])
def test_a_hundred_thousand_atoms_fill_their_cell(skew: float):
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(24)
    atoms.set_cell(atoms.cell.array @ np.array([[1, skew, 0], [0, 1, skew], [-skew / 2, 0, 1]]), scale_atoms=True)
    atoms.rattle(0.2, seed=0)
    cells = tessellate(atoms)
    assert abs(cells.volumes.sum() / atoms.cell.volume - 1.0) < 1e-13
    pyramids = np.bincount(cells.i, cells.areas * cells.distances / 6)
    np.testing.assert_allclose(pyramids, cells.volumes, rtol=1e-10)


# errors


def test_a_face_that_differs_from_its_other_side_is_refused(monkeypatch):
    atoms = random_cell(12, seed=2)
    cut = tessellation._cells

    def wrong(*arguments):
        right = cut(*arguments)
        areas = right.faces.areas.copy()
        areas[5] += 1e-3
        return right._replace(faces=right.faces._replace(areas=areas))

    monkeypatch.setattr(tessellation, "_cells", wrong)
    with pytest.raises(
        RuntimeError, match=r"the face between atoms \d+ and \d+ has .* Å² from one side and .* from the"
    ):
        tessellate(atoms)


def test_bad_input_is_refused():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match="a power tessellation needs radii"):
        tessellate(crystal, tessellation="power")
    with pytest.raises(ValueError, match=r"threads = 0 must be greater than 0"):
        tessellate(crystal, threads=0)
    with pytest.raises(ValueError, match=r"smallest_share = 1\.5 must be less than or equal to 1"):
        face_coordination(tessellate(crystal), smallest_share=1.5)
