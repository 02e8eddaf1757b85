import json
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings, strategies as st
from toys import images_within, points_of

from amorph.analysis.distance import distance_map

# Positions of some 10 Å are good to 2e-15 Å; differences of two of them through a skewed cell to ten times that.
TOLERANCE = 1e-13


def random_structure(rng, n):
    """Atoms anywhere in a cell of any shape and either hand, no two closer than 0.6 Å."""
    while True:
        cell = rng.normal(0.0, 4.0, (3, 3))
        atoms = Atoms(rng.choice(["Mg", "O", "Ti"], n), positions=rng.normal(0.0, 20.0, (n, 3)), cell=cell, pbc=True)
        if abs(np.linalg.det(cell)) < 20.0 or min(atoms.cell.lengths()) < 0.6:
            continue
        if not (atoms.get_all_distances(mic=True)[np.triu_indices(n, 1)] < 0.6).any():
            return atoms


def brute_force(atoms, field, radii=None):
    # half the sum of the edges reaches an atom from everywhere; a larger sphere may begin nearer, its center farther
    reach = 0.5 * np.linalg.norm(atoms.cell.array, axis=1).sum() + max((radii or {"": 0.0}).values())
    inside, shifts = images_within(atoms, reach)
    points = points_of(field).reshape(*field.grid, 3)
    nearest = np.full(field.grid, np.inf)
    for shift in shifts:
        for n, position in enumerate(inside):
            distance = np.linalg.norm(points - (position + shift), axis=-1)
            nearest = np.minimum(nearest, distance if radii is None else distance - radii[atoms.symbols[n]])
    return nearest


# closed form


def test_holes_of_close_packed_crystals():
    # fcc: octahedral hole a/2, tetrahedral hole √3/4·a from its atoms
    field = distance_map(bulk("Al", cubic=True, a=4.0), grid=(4, 4, 4))
    assert field.values[0, 0, 0] == 0.0
    assert field.values[2, 0, 0] == 2.0
    np.testing.assert_allclose(field.values[1, 1, 1], math.sqrt(3.0), rtol=1e-15)
    assert (field.quantity, field.unit) == ("distance to the nearest atom", "Å")
    assert field.parameters == {"grid": [4, 4, 4], "radii": None, "precision": "float64"}


def test_holes_between_the_spheres_of_rocksalt():
    # the octahedral ions touch along an edge where r + R = a/2; the tetrahedral hole is √3/4·a from both
    crystal = bulk("MgO", "rocksalt", a=4.0, cubic=True)
    field = distance_map(crystal, radii={"Mg2+": 0.7, "Mg": 0.6, "O": 1.375}, grid=(8, 8, 8))
    assert field.values[0, 0, 0] == -0.6  # no oxidation states: the element counts
    assert field.values[4, 0, 0] == -1.375
    np.testing.assert_allclose(field.values[2, 2, 2], math.sqrt(3.0) - 1.375, rtol=1e-14)
    assert (field.quantity, field.unit) == ("distance to the nearest atomic sphere", "Å")
    assert field.parameters["radii"] == {"Mg2+": 0.7, "Mg": 0.6, "O": 1.375}
    crystal.arrays["oxidation_states"] = np.where(crystal.symbols == "Mg", 2, -2)
    assert distance_map(crystal, radii={"Mg2+": 0.7, "Mg": 0.6, "O": 1.375}, grid=(8, 8, 8)).values[0, 0, 0] == -0.7
    ionic = distance_map(crystal, radii="shannon_ionic", grid=(8, 8, 8))
    assert ionic.values[0, 0, 0] == -0.72
    assert ionic.parameters["radii"] == "shannon_ionic"
    assert distance_map(crystal, radii="cordero_covalent", grid=(2, 2, 2)).values[0, 0, 0] == -1.41


def test_one_atom_in_an_empty_cell():
    cell = np.array([40.0, 3.0, 7.0])
    field = distance_map(Atoms("O", positions=[[1.0, 1.0, 1.0]], cell=cell, pbc=True), spacing=0.5)
    assert field.grid == (80, 6, 14)
    assert distance_map(Atoms("O", cell=[3.0, 3.05, 4.2], pbc=True)).grid == (30, 31, 42)
    offsets = [np.abs(np.arange(n) / n * edge - 1.0) for n, edge in zip(field.grid, cell, strict=True)]
    x, y, z = (np.minimum(offset, edge - offset) for offset, edge in zip(offsets, cell, strict=True))
    expected = np.sqrt(x[:, None, None] ** 2 + y[None, :, None] ** 2 + z[None, None, :] ** 2)
    np.testing.assert_allclose(field.values, expected, atol=TOLERANCE)


# invariance


def test_threads_translation_and_repetition():
    rng = np.random.default_rng(3)
    cell = np.array([[6.0, 0.0, 0.0], [2.5, 5.0, 0.0], [-1.0, 3.0, 4.0]])
    atoms = Atoms("O5", scaled_positions=rng.random((5, 3)), cell=cell, pbc=True)
    made = distance_map(atoms, grid=(60, 50, 40), threads=1).values
    np.testing.assert_array_equal(distance_map(atoms, grid=(60, 50, 40), threads=3).values, made)
    moved = atoms.copy()
    moved.positions += np.array([7 / 60, 49 / 50, 3 / 40]) @ cell - 3 * cell[1]
    np.testing.assert_allclose(
        distance_map(moved, grid=(60, 50, 40)).values, np.roll(made, (7, 49, 3), axis=(0, 1, 2)), atol=TOLERANCE
    )
    repeated = distance_map(atoms.repeat((1, 2, 3)), grid=(60, 100, 120)).values
    np.testing.assert_allclose(repeated, np.tile(made, (1, 2, 3)), atol=TOLERANCE)


def test_the_parameters_of_a_field_make_it_again():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    for radii in (None, "cordero_covalent", {"Mg": 1.0, "O": 0.5}):
        made = distance_map(crystal, radii=radii, spacing=0.4, precision="float32")
        again = distance_map(crystal, **json.loads(json.dumps(made.parameters)))
        np.testing.assert_array_equal(again.values, made.values)
        assert again.parameters == made.parameters


def test_one_radius_for_all_atoms_shifts_the_distances():
    atoms = random_structure(np.random.default_rng(5), 4)
    plain = distance_map(atoms, grid=(20, 21, 22)).values
    shifted = distance_map(atoms, radii={"Mg": 1.5, "O": 1.5, "Ti": 1.5}, grid=(20, 21, 22)).values
    np.testing.assert_allclose(shifted, plain - 1.5, atol=TOLERANCE)


# independent reference


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_distances_agree_with_brute_force_over_images(seed):
    rng = np.random.default_rng(seed)
    atoms = random_structure(rng, int(rng.integers(1, 5)))
    grid = tuple(rng.integers(1, 12, 3).tolist())
    field = distance_map(atoms, grid=grid)
    np.testing.assert_allclose(field.values, brute_force(atoms, field), atol=TOLERANCE)

    radii = dict(zip(["Mg", "O", "Ti"], rng.choice([0.0, 0.4, 1.2, 3.0], 3).tolist(), strict=True))
    spheres = distance_map(atoms, radii=radii, grid=grid)
    expected = brute_force(atoms, spheres, radii)
    np.testing.assert_allclose(spheres.values, expected, atol=TOLERANCE)

    # of single precision: coordinates within a block of 8 points, and the distance
    spacing = max(atoms.cell.lengths() / grid)
    single = distance_map(atoms, radii=radii, grid=grid, precision="float32")
    assert single.values.dtype == np.float32
    assert (np.abs(single.values - expected) <= 1e-6 * (np.abs(expected) + 3.0) + 1e-6 * spacing).all()


def test_a_huge_sphere_beside_a_point_is_found():
    atoms = Atoms("MgO", positions=[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], cell=[4.0, 4.0, 4.0], pbc=True)
    field = distance_map(atoms, radii={"Mg": 0.0, "O": 1e6}, grid=(4, 4, 4))
    np.testing.assert_allclose(field.values[0, 0, 0], 2.0 - 1e6, rtol=1e-15)


def test_a_larger_sphere_behind_a_nearer_center_is_found():
    # on a fine line of points, so that a block by itself reaches no farther than its nearest atom
    positions = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [6.5, 0.0, 0.0]]
    atoms = Atoms("Mg3O", positions=positions, cell=[12.0, 3.0, 3.0], pbc=True)
    radii = {"Mg": 0.0, "O": 3.5}
    field = distance_map(atoms, radii=radii, grid=(600, 1, 1))
    np.testing.assert_allclose(field.values, brute_force(atoms, field, radii), atol=TOLERANCE)
    np.testing.assert_allclose(field.values[130, 0, 0], 0.4, atol=TOLERANCE)  # x = 2.6: 0.6 from Mg, 3.9 − 3.5 from O


# errors


def test_bad_input_is_refused():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match=r"grid\[1\] = -1 must be greater than 0"):
        distance_map(crystal, grid=(2, -1, 2))
    with pytest.raises(ValueError, match=r"spacing = 0\.0 Å must be greater than 0"):
        distance_map(crystal, spacing=0.0)
    with pytest.raises(ValueError, match=r"^grid = 2 3 4 and spacing = 0\.1 Å are given; give one of them"):
        distance_map(crystal, grid=(2, 3, 4), spacing=0.1)
    with pytest.raises(ValueError, match=r"needs 5.8 PB of memory, and .* are available; give fewer points"):
        distance_map(crystal, grid=(90_000, 90_000, 90_000))
    with pytest.raises(ValueError, match=r"^no radius for O among Mg; give one for every species"):
        distance_map(crystal, radii={"Mg": 1.0}, grid=(2, 2, 2))
    with pytest.raises(ValueError, match="unknown radii set 'ionic'; the sets are"):
        distance_map(crystal, radii="ionic", grid=(2, 2, 2))
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        distance_map(crystal, radii={"Mg": -1.0, "O": 1.0}, grid=(2, 2, 2))
    with pytest.raises(ValueError, match="precision = 'half' must be 'float64' or 'float32'"):
        distance_map(crystal, precision="half")
    with pytest.raises(ValueError, match="the structure has no atoms"):
        distance_map(Atoms())
