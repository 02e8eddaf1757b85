import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings, strategies as st
from scipy.spatial import cKDTree

from amorph.analysis.spread import local_free_volume
from amorph.analysis.voids import pores as module, probe_curve, voids


def skewed(seed, n=6):
    rng = np.random.default_rng(seed)
    cell = np.array([[5.0, 0.3, 0.0], [1.5, 4.6, 0.0], [-1.0, 1.2, -5.2]]) + rng.normal(0.0, 0.2, (3, 3))
    while True:
        atoms = Atoms(["O"] * n, scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)
        if n == 1 or atoms.get_all_distances(mic=True)[np.triu_indices(n, 1)].min() > 0.8:
            return atoms


def pore_radii_by_force(field):
    """The largest sphere over each point, every center and image tried."""
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n for n in field.grid), indexing="ij"), axis=-1).reshape(-1, 3)
    radii = field.values.ravel()
    sizes = np.zeros(len(radii))
    for shift in itertools.product(range(-1, 2), repeat=3):
        offsets = (fractions[:, None] - fractions[None] + shift) @ field.cell
        inside = (np.linalg.norm(offsets, axis=2) <= radii + 1e-9) & (radii > 0.0)
        sizes = np.maximum(sizes, np.where(inside, radii, 0.0).max(axis=1))
    return np.where(radii > 0.0, sizes, 0.0).reshape(field.grid)


# closed form


def test_spheres_of_rocksalt():
    a = 4.212
    made = voids(bulk("MgO", "rocksalt", a=a), spacing=0.3)
    np.testing.assert_allclose(made.largest_included_radius, a * math.sqrt(3) / 4, rtol=1e-11)
    np.testing.assert_allclose(made.largest_free_radius, a / math.sqrt(8), rtol=1e-11)
    np.testing.assert_allclose(made.included_radius_along_free_path, a * math.sqrt(3) / 4, rtol=1e-11)
    assert [row["diameter_A"] for row in made.table()] == [2.0 * row["radius_A"] for row in made.table()]
    assert made.probe_radius == 1.7
    # equal spheres at a quarter of the diagonal overlap; only those two sorts of hole hold the probe
    assert len(made.cavities) == 2


def test_what_a_probe_reaches_between_spheres():
    # sc: one sphere of radius r < a/2 leaves 1 − 4πr³/3a³; a probe of radius p sees a sphere of r + p
    a, r, p = 4.0, 1.0, 0.5
    made = voids(bulk("Po", "sc", a=a), radii={"Po": r}, probe_radius=p, grid=(64, 64, 64))
    np.testing.assert_allclose(made.void_fraction, 1.0 - 4.0 * math.pi * r**3 / (3.0 * a**3), atol=6e-4)
    np.testing.assert_allclose(made.center_fraction, 1.0 - 4.0 * math.pi * (r + p) ** 3 / (3.0 * a**3), atol=1e-3)
    assert made.accessible_fraction == made.center_fraction
    assert made.locked_fraction == 0.0
    # a probe of 0.5 Å touches all of a sphere whose neighbors are 2 Å off; centers on the grid miss a film of half a
    # voxel's diagonal at most, some 0.01 Å on average over 12.6 Å² of 64 Å³
    np.testing.assert_allclose(made.occupiable_fraction, made.void_fraction, atol=4e-3)
    # what half the points make of it says how far a grid is from the limit; counting points adds 1e-3 either way
    for n in (28, 32, 48):
        coarse = voids(bulk("Po", "sc", a=a), radii={"Po": r}, probe_radius=p, grid=(n, n, n))
        away = abs(coarse.occupiable_fraction - (1.0 - 4.0 * math.pi * r**3 / (3.0 * a**3)))
        assert away < 2.0 * coarse.occupiable_error < 0.01
        assert abs(coarse.mean_pore_radius - made.mean_pore_radius) < 2.0 * coarse.mean_pore_radius_error < 0.02
    # a probe wider than the window √2·a/2 − r is locked in, in the hole √3·a/2 − r
    locked = voids(bulk("Po", "sc", a=a), radii={"Po": r}, probe_radius=2.0, grid=(40, 40, 40))
    assert locked.accessible_fraction == 0.0
    assert locked.locked_fraction == locked.center_fraction > 0.0


def test_pores_of_a_slit():
    # a vacuum between dense layers: the sphere of half its width covers all of it but the seams at the layers
    layers = Atoms("O64", positions=[[x, y, 0.0] for x in range(8) for y in range(8)], cell=[8, 8, 6], pbc=True)
    made = voids(layers, radii={"O": 1.0}, grid=(40, 40, 60))
    edges, density = made.pore_size_distribution()
    assert abs(edges[np.argmax(density)] + 0.025 - 2.05) < 0.06
    # 3 Å from the plane between atoms, √(9 + ½) from them
    np.testing.assert_allclose(made.largest_included_radius, math.sqrt(9.5) - 1.0, rtol=1e-9)
    assert made.holes.passages[1].radius > 1.9 > made.holes.passages[2].radius
    assert made.regions.dimension == 2


# sum rule


def test_shares_add_up():
    made = voids(skewed(1), radii={"O": 0.9}, probe_radius=0.4, spacing=0.2)
    assert math.isclose(made.center_fraction, made.accessible_fraction + made.locked_fraction, abs_tol=1e-12)
    assert made.center_fraction <= made.occupiable_fraction <= made.void_fraction
    edges, density = made.pore_size_distribution()
    assert math.isclose(density.sum() * module.PORE_BIN, 1.0)
    assert edges[0] == 0.0
    assert (made.pore_radii.values >= np.maximum(made.field.values, 0.0)).all()
    assert made.pore_radii.values.max() == made.field.values.max()
    curve = probe_curve(made)
    assert (np.diff(curve.center_fractions) <= 0.0).all()
    assert (np.diff(curve.occupiable_fractions) <= 0.0).all()
    assert (np.diff(curve.dimensions) <= 0).all()
    np.testing.assert_allclose(curve.locked_fractions + curve.accessible_fractions, curve.center_fractions)
    at_probe = probe_curve(made, probe_radii=(0.4,)).table()[0]
    assert at_probe["accessible_fraction"] == made.accessible_fraction
    assert at_probe["occupiable_fraction"] == made.occupiable_fraction


# invariance


def test_a_repeat_changes_no_figure_that_docs_call_intensive():
    atoms = skewed(3)
    repeat = (2, 2, 1)
    once, often = voids(atoms, grid=(12, 12, 12)), voids(atoms.repeat(repeat), grid=(24, 24, 12))
    for name in (
        "largest_included_radius",
        "largest_free_radius",
        "included_radius_along_free_path",
        "void_fraction",
        "center_fraction",
        "accessible_fraction",
        "locked_fraction",
        "occupiable_fraction",
        "mean_pore_radius",
    ):
        np.testing.assert_allclose(getattr(often, name), getattr(once, name), rtol=1e-9, err_msg=name)
    one = local_free_volume(once.field, atoms, "O", threshold=1.5)
    four = local_free_volume(often.field, atoms.repeat(repeat), "O", threshold=1.5)
    np.testing.assert_allclose(four.volumes, np.tile(one.volumes, 4), rtol=1e-12)
    assert one.mean > 0.0


def test_repetition_and_threads():
    atoms = skewed(2)
    made = voids(atoms, probe_radius=1.2, grid=(20, 22, 24))
    again = voids(atoms.repeat((1, 2, 2)), probe_radius=1.2, grid=(20, 44, 48), threads=2)
    np.testing.assert_allclose(again.pore_radii.values, np.tile(made.pore_radii.values, (1, 2, 2)), atol=1e-12)
    for name in ("center_fraction", "accessible_fraction", "occupiable_fraction", "mean_pore_radius"):
        np.testing.assert_allclose(getattr(again, name), getattr(made, name), atol=1e-9)
    np.testing.assert_allclose(again.largest_free_radius, made.largest_free_radius, atol=1e-10)


# independent reference


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_pore_radii_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    atoms = skewed(seed, int(rng.integers(1, 6)))
    radii = {"O": float(rng.uniform(0.2, 1.2))} if rng.random() < 0.7 else None
    made = voids(atoms, radii=radii, grid=tuple(rng.integers(4, 9, 3).tolist()))
    np.testing.assert_allclose(made.pore_radii.values, pore_radii_by_force(made.field), atol=1e-12)


def test_accessible_volume_agrees_with_monte_carlo():
    atoms = skewed(4, 8)
    made = voids(atoms, radii={"O": 0.8}, probe_radius=0.5, spacing=0.07)
    rng = np.random.default_rng(0)
    points = rng.random((20_000, 3)) @ atoms.cell.array
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ atoms.cell.array
    atoms.wrap()
    images = (atoms.positions[None] + shifts[:, None]).reshape(-1, 3)
    nearest = np.concatenate(
        [np.linalg.norm(part[:, None] - images, axis=2).min(axis=1) for part in np.split(points, 40)]
    )
    share = float(np.mean(nearest >= 1.3))
    assert 0.02 < share < 0.98
    # four standard errors of the sample, and the grid's own 1e-3
    assert abs(made.center_fraction - share) < 4.0 * math.sqrt(share * (1.0 - share) / len(points)) + 1e-3


def test_what_a_probe_covers_agrees_with_spheres_around_every_place_it_fits():
    # the hole of sc is √3·a/2 − r = 2.46 Å wide, its windows 1.83 Å: a probe of 2 Å covers a rounded cell around it
    made = voids(bulk("Po", "sc", a=4.0), radii={"Po": 1.0}, probe_radius=2.0, grid=(40, 40, 40))
    places = np.stack(np.meshgrid(*(np.arange(40) * 0.1,) * 3, indexing="ij"), axis=-1)
    fits = cKDTree(places[made.field.values >= 2.0], boxsize=4.0)
    covered = np.mean(fits.query(places.reshape(-1, 3))[0] <= 2.0)
    # spheres wider than the probe add to it only what centers between the points of the grid would have covered
    assert covered - 1e-12 <= made.occupiable_fraction < covered + 0.02
    assert made.occupiable_fraction < 0.95 * made.void_fraction


# errors


def test_spheres_that_the_grid_contradicts_are_refused(monkeypatch):
    atoms = skewed(3)
    found = module.find_holes(atoms)
    wrong = found.__class__(**{**found.__dict__, "radii": found.radii + 1.0})
    monkeypatch.setattr(module, "find_holes", lambda *_, **__: wrong)
    with pytest.raises(RuntimeError, match=r"largest included sphere has the radius .* but the grid allows"):
        voids(atoms, spacing=0.3)
    one, two, three = found.passages
    narrow = one.__class__(1, one.radius - 1.0, one.position, one.included_radius)
    wrong = found.__class__(**{**found.__dict__, "passages": (narrow, two, three)})
    with pytest.raises(RuntimeError, match="passes in 1 dimensions has the radius"):
        voids(atoms, spacing=0.3)


def test_bad_input_is_refused():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match=r"probe_radius = -1\.0 Å must be greater than or equal to 0"):
        voids(crystal, probe_radius=-1.0)
    with pytest.raises(ValueError, match="no radius for O among Mg"):
        voids(crystal, radii={"Mg": 1.0})
    with pytest.raises(ValueError, match=r"^grid = 2 3 4 and spacing = 0\.1 Å are given"):
        voids(crystal, grid=(2, 3, 4), spacing=0.1)
