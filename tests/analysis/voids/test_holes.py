import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings, strategies as st
from scipy.spatial import Voronoi, cKDTree

from amorph.analysis.distance import distance_map
from amorph.analysis.percolation import percolation_thresholds
from amorph.analysis.voids.holes import _thresholds, find_holes

# Gauss and Newton solve for spheres from the atoms in their places: positions of some 10 Å are good to 2e-15 Å.
TOLERANCE = 1e-11


def random_atoms(rng, n, *, volume_per_atom=12.0):
    """Atoms no nearer than 1.4 Å in a skewed cell, at times a left-handed one."""
    while True:
        cell = rng.normal(0.0, 1.0, (3, 3)) * 0.35 + np.eye(3) * rng.choice([-1.0, 1.0])
        if abs(np.linalg.det(cell)) > 0.3:
            break
    cell *= (n * volume_per_atom / abs(np.linalg.det(cell))) ** (1 / 3)
    while True:
        atoms = Atoms(["O"] * n, scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)
        distances = atoms.get_all_distances(mic=True)
        if n == 1 or distances[np.triu_indices(n, 1)].min() > 1.0:
            return atoms


def winding_rank(count, edges):
    """Independent windings of the best-connected component of a periodic graph, by a walk with potentials."""
    neighbors = [[] for _ in range(count)]
    for a, b, shift in edges:
        neighbors[a].append((b, shift))
        neighbors[b].append((a, -shift))
    potential = {}
    best = 0
    for start in range(count):
        if start in potential:
            continue
        potential[start] = np.zeros(3, int)
        stack, cycles = [start], [np.zeros(3, int)]
        while stack:
            a = stack.pop()
            for b, shift in neighbors[a]:
                there = potential[a] + shift
                if b not in potential:
                    potential[b] = there
                    stack.append(b)
                elif (there != potential[b]).any():
                    cycles.append(there - potential[b])
        best = max(best, np.linalg.matrix_rank(np.array(cycles)))
    return best


def voronoi_oracle(atoms):
    """The largest vertex of scipy's Voronoi network, and the levels at which its edges wind in 1, 2 and 3 ways."""
    cell = atoms.cell.array
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    points = (atoms.get_scaled_positions()[None] + shifts[:, None]).reshape(-1, 3) @ cell
    made = Voronoi(points)
    fractional = made.vertices @ np.linalg.inv(cell)
    cells = np.floor(fractional + 1e-7).astype(int)
    home = np.flatnonzero((cells == 0).all(axis=1))
    distance, number = cKDTree(made.vertices[home]).query(made.vertices - cells @ cell)
    edges = {}
    for (p, _), ridge in zip(made.ridge_points, made.ridge_vertices, strict=True):
        for a, b in zip(ridge, [*ridge[1:], ridge[0]], strict=True):
            near = (a >= 0 and (cells[a] == 0).all()) or (b >= 0 and (cells[b] == 0).all())
            if a < 0 or b < 0 or not near or max(distance[a], distance[b]) > 1e-6:
                continue
            along = made.vertices[b] - made.vertices[a]
            toward = points[p] - made.vertices[a]
            length = along @ along
            s = min(max(along @ toward / length, 0.0), 1.0) if length > 0.0 else 0.0
            level = np.linalg.norm(toward - s * along)
            edges[(number[a], number[b], *(cells[b] - cells[a]))] = level
    radii = cKDTree(points).query(made.vertices[home])[0]
    ordered = sorted(((level, a, b, np.array(shift)) for (a, b, *shift), level in edges.items()), key=lambda e: -e[0])
    found = []
    for dimension in (1, 2, 3):
        low, high = 0, len(ordered)
        while low < high:
            middle = (low + high) // 2
            if winding_rank(len(home), [edge[1:] for edge in ordered[: middle + 1]]) >= dimension:
                high = middle
            else:
                low = middle + 1
        found.append(ordered[low][0])
    return radii.max(), found


def free(found):
    return [passage.radius for passage in found.passages]


# closed form


A = 4.0
CRYSTALS = {
    # largest included radius, largest free radius
    "fcc": (bulk("Al", "fcc", a=A), A / 2, A / math.sqrt(6)),
    "bcc": (bulk("Fe", "bcc", a=A), A * math.sqrt(5) / 4, A * 3 * math.sqrt(2) / 8),
    "sc": (bulk("Po", "sc", a=A), A * math.sqrt(3) / 2, A / math.sqrt(2)),
    "hcp": (bulk("Mg", "hcp", a=A, c=A * math.sqrt(8 / 3)), A / math.sqrt(2), A / math.sqrt(3)),
    "diamond": (bulk("C", "diamond", a=A), A * math.sqrt(3) / 4, A / math.sqrt(6)),
    "MgO": (bulk("MgO", "rocksalt", a=4.212), 4.212 * math.sqrt(3) / 4, 4.212 / math.sqrt(8)),
}


@pytest.mark.parametrize("repeat", [1, 2])
@pytest.mark.parametrize("name", CRYSTALS)
def test_spheres_of_crystals(name, repeat):
    crystal, included, passes = CRYSTALS[name]
    found = find_holes(crystal.repeat((repeat, repeat, repeat)))
    np.testing.assert_allclose(found.radii[0], included, rtol=TOLERANCE)
    np.testing.assert_allclose(free(found), [passes] * 3, rtol=TOLERANCE)
    np.testing.assert_allclose([p.included_radius for p in found.passages], included, rtol=TOLERANCE)
    assert found.passages[0].diameter == 2.0 * found.passages[0].radius


def test_fcc_has_one_octahedral_and_two_tetrahedral_holes_per_atom():
    found = find_holes(bulk("Al", cubic=True, a=A))
    np.testing.assert_allclose(found.radii, [A / 2] * 4 + [A * math.sqrt(3) / 4] * 8, atol=2e-6)
    octahedra = found.positions[:4] @ np.linalg.inv(np.eye(3) * A)
    expected = np.array([[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
    for place in octahedra:
        offset = place - expected
        assert np.abs(offset - np.rint(offset)).max(axis=1).min() < 1e-5
    # eight windows around each octahedral hole: each a triangle to a tetrahedral one
    np.testing.assert_allclose(found.window_radii[:32], A / math.sqrt(6), atol=2e-6)


def test_a_hole_between_spheres_of_two_sizes():
    # CsCl: near the face of the cube, between four large atoms and two small ones
    a, large, small = 4.0, 1.2, 0.4
    crystal = Atoms("CsCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=np.eye(3) * a, pbc=True)
    found = find_holes(crystal, radii={"Cs": large, "Cl": small})
    field = distance_map(crystal, radii={"Cs": large, "Cl": small}, grid=(160, 160, 160))
    # a voxel of 0.025 Å has a half diagonal of 0.0217 Å
    assert field.values.max() <= found.radii[0] + 1e-9 <= field.values.max() + 0.0217


def test_one_channel_through_layers():
    # a square tube of atoms along z, stacked every 2 Å: its inside is 1D at the radius of the tube
    edge = np.array([[0, 0], [2, 0], [4, 0], [4, 2], [4, 4], [2, 4], [0, 4], [0, 2]], dtype=float) + 3.0
    tube = Atoms("O8", positions=np.column_stack([edge, np.zeros(8)]), cell=[10.0, 10.0, 2.0], pbc=True)
    found = find_holes(tube)
    # outside, four corners of neighboring tubes leave a square of 6 Å along z, and two walls rectangles of 6 Å × 2 Å
    np.testing.assert_allclose(free(found), [3.0 * math.sqrt(2), math.sqrt(10), math.sqrt(10)], rtol=TOLERANCE)
    inside = np.linalg.norm(found.window_positions[:, :2] - 5.0, axis=1) < 0.01
    assert np.abs(found.window_radii[inside] - 2.0).min() < 1e-5


# invariance


def spinel():
    """MgAl2O4 with the parameters of structures/MgAl2O4.cif, rounded."""
    sites = [(1 / 8, 1 / 8, 1 / 8), (1 / 2, 1 / 2, 1 / 2), (0.2624, 0.2624, 0.2624)]
    return crystal("MgAlO", sites, spacegroup=227, setting=2, cellpar=[8.08, 8.08, 8.08, 90, 90, 90])


@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 1, 1)])
@pytest.mark.parametrize("rattle", [0.0, 1e-3, 1e-2])
def test_a_spinel_has_the_sixteen_voids_of_its_empty_octahedra(repeat, rattle):
    # 16c, in each of which lie six equal maxima that cover one another: which of them stands for the site is left to
    # rounding, how many sites there are is not
    atoms = spinel().repeat(repeat)
    atoms.positions += rattle * np.random.default_rng(2).uniform(-1.0, 1.0, atoms.positions.shape)
    found = find_holes(atoms)
    assert len(found.separate(least=1.7)) == 16 * np.prod(repeat)
    assert (np.diff(found.radii) <= 0.0).all()
    assert (np.diff(found.window_radii) <= 0.0).all()


def test_a_way_leads_through_every_window_as_large_as_its_narrowest():
    # hole 1 hangs together with its images; hole 0, the larger, opens to it through a window of the same radius
    shifts = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]])
    joined = np.array([[1, 1], [0, 1], [1, 1], [1, 1]])
    for behind, along in ((1e-6, 0), (1e-3, 1)):
        radii = 2.0 - np.array([0.0, behind, 0.5, 0.6])
        assert _thresholds(radii, 2, joined, shifts) == [(1, 0, along), (2, 2, 0), (3, 3, 0)]


def test_rotation_translation_permutation_and_repetition():
    rng = np.random.default_rng(5)
    atoms = random_atoms(rng, 9)
    radii = {"O": 0.3, "Mg": 0.7}
    atoms.symbols[:4] = "Mg"
    found = find_holes(atoms, radii=radii)
    turned = atoms.copy()
    turned.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
    turned.positions += 31.7
    turned = turned[rng.permutation(9)]
    for other in (turned, atoms.repeat((2, 1, 2))):
        again = find_holes(other, radii=radii)
        np.testing.assert_allclose(again.radii[0], found.radii[0], atol=1e-10)
        np.testing.assert_allclose(free(again), free(found), atol=1e-10)
        copies = len(other) // 9
        np.testing.assert_allclose(again.radii, np.repeat(found.radii, copies), atol=1e-5)
    grown = find_holes(atoms, radii={"O": 0.4, "Mg": 0.8})
    np.testing.assert_allclose(free(grown), np.array(free(found)) - 0.1, atol=1e-10)


# independent reference


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_spheres_agree_with_the_voronoi_network_of_scipy(seed):
    rng = np.random.default_rng(seed)
    atoms = random_atoms(rng, int(rng.integers(4, 10)))
    included, passes = voronoi_oracle(atoms)
    found = find_holes(atoms)
    np.testing.assert_allclose(found.radii[0], included, atol=1e-8)  # scipy's vertices
    np.testing.assert_allclose(free(found), passes, atol=1e-8)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_spheres_between_atoms_of_unlike_radii_agree_with_a_grid(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 12))
    atoms = random_atoms(rng, n)
    atoms.symbols = rng.choice(["O", "Mg", "Na"], n)
    radii = {"O": rng.uniform(0.9, 1.4), "Mg": rng.uniform(0.3, 0.8), "Na": rng.uniform(0.3, 1.5)}
    found = find_holes(atoms, radii=radii)
    field = distance_map(atoms, radii=radii, spacing=0.12)
    steps = atoms.cell.array / np.array(field.grid)[:, None]
    diagonals = np.array(list(itertools.product([-0.5, 0.5], repeat=3))) @ steps
    half_diagonal = np.linalg.norm(diagonals, axis=1).max()
    assert field.values.max() - 1e-9 <= found.radii[0] <= field.values.max() + half_diagonal
    for passage, level in zip(found.passages, percolation_thresholds(field, side="above").thresholds, strict=True):
        assert level - half_diagonal - 1e-9 <= passage.radius <= level + half_diagonal
        assert passage.included_radius <= found.radii[0]
    # every hole and every window is where it says, to the jitter of the atoms
    points = np.vstack([found.positions, found.window_positions])
    levels = np.concatenate([found.radii, found.window_radii])
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ atoms.cell.array
    sizes = np.array([radii[s] for s in atoms.symbols])
    atoms.wrap()
    images = (atoms.positions[None] + shifts[:, None]).reshape(-1, 3)
    gaps = np.linalg.norm(points[:, None] - images[None], axis=2) - np.tile(sizes, len(shifts))
    np.testing.assert_allclose(gaps.min(axis=1), levels, atol=1e-4)


EDI_OXYGEN = [
    [0.1898, 0.0, 0.355],
    [0.0, 0.8102, 0.645],
    [0.0, 0.1898, 0.645],
    [0.8102, 0.0, 0.355],
    [0.1897, 0.1897, 0.0],
    [0.1897, 0.8103, 0.0],
    [0.8103, 0.1897, 0.0],
    [0.8103, 0.8103, 0.0],
    [0.5, 0.0, 0.1183],
    [0.0, 0.5, 0.8817],
]
EDI_SILICON = [[0.2679, 0, 0.1184], [0, 0.7321, 0.8816], [0, 0.2679, 0.8816], [0.7321, 0, 0.1184], [0, 0, 0.5]]


def test_the_zeolite_edi_against_the_published_output_of_zeo():
    # Coordinates of EDI.cssr (zeoplusplus.org/input.html); of its EDI.res the largest free sphere, 3.03868 Å across,
    # follows from O of 1.52 Å alone. The radii are Zeo++'s defaults as we know them, unverified.
    edi = Atoms("O10Si5", scaled_positions=EDI_OXYGEN + EDI_SILICON, cell=[6.926, 6.926, 6.41], pbc=True)
    radii = {"O": 1.52, "Si": 2.1}
    found = find_holes(edi, radii=radii)
    np.testing.assert_allclose(found.passages[0].diameter, 3.03868, atol=5e-6)
    # Its largest included sphere, 4.89082 Å across, is 0.02 Å wider than any that a grid through the middle of the
    # cell finds; that program replaces atoms of unlike radii by clusters of like spheres (unverified)
    largest = distance_map(edi, radii=radii, grid=(140, 140, 130)).values.max()
    np.testing.assert_allclose(2.0 * found.radii[0], 4.86856, atol=5e-6)
    np.testing.assert_allclose(found.radii[0], largest, rtol=TOLERANCE)


def test_a_vacuum_and_a_lone_atom():
    slab = bulk("Al", cubic=True, a=A).repeat((2, 2, 1))
    slab.cell[2] *= 5.0
    assert find_holes(slab).radii[0] > 8.0
    alone = find_holes(Atoms("O", cell=[3.0, 4.0, 12.0], pbc=True))
    np.testing.assert_allclose(alone.radii[0], 0.5 * math.sqrt(9 + 16 + 144), rtol=TOLERANCE)
    # across the faces of the cell: rectangles of 4 × 12, 3 × 12 and 3 × 4
    expected = [0.5 * math.hypot(4, 12), 0.5 * math.hypot(3, 12), 0.5 * math.hypot(3, 4)]
    np.testing.assert_allclose(free(alone), expected, rtol=TOLERANCE)


# errors


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="the structure has no atoms"):
        find_holes(Atoms())
    with pytest.raises(ValueError, match="no radius for O among Mg"):
        find_holes(bulk("MgO", "rocksalt", a=4.212), radii={"Mg": 1.0})
