import itertools
import math

import numpy as np
import pytest
from ase.build import bulk

from amorph.analysis.distance import distance_map
from amorph.analysis.spread import local_free_volume, uniformity
from amorph.fields import ScalarField

CELL = np.array([[24.0, 0.0, 0.0], [5.0, 20.0, 0.0], [-3.0, 4.0, 18.0]])
VOLUME = 24.0 * 20.0 * 18.0


def field_of(values, cell=CELL):
    return ScalarField(np.asarray(values, dtype=float), cell, "void", "1")


def with_points(points, grid=(48, 48, 48)):
    values = np.zeros(grid)
    values[tuple(np.array(points).T)] = 1.0
    return field_of(values)


def box_variance_by_force(mask, sides):
    """The variance of the free share of a box, every place of it tried."""
    total = np.zeros(mask.shape)
    for shift in np.ndindex(*sides):
        total += np.roll(mask, shift, axis=(0, 1, 2))
    return np.var(total / np.prod(sides))


# closed form


def test_a_lattice_of_voids_is_even_in_boxes_of_its_period():
    made = uniformity(with_points(np.argwhere(np.ones((6, 6, 6))) * 8), threshold=0.5, minimum_volume=0.0)
    sixth, third, half = (next(row for row in made.boxes if row.box == edge) for edge in (1 / 6, 1 / 3, 1 / 2))
    for row in (sixth, third, half):
        assert row.standard_deviation < 1e-12
        assert row.grain_volume < 1e-12
    # a box of an eighth holds one void or none: a Bernoulli variable
    eighth = made.boxes[0]
    p = (6 / 8) ** 3
    np.testing.assert_allclose(eighth.standard_deviation, math.sqrt(p * (1 - p)) / 6**3, rtol=1e-9)
    assert made.clusters == 216
    assert made.largest_share == 1 / 216
    np.testing.assert_allclose(made.mean_cluster_volume, VOLUME / 48**3, rtol=1e-12)


def test_grains_at_random_have_their_own_volume():
    rng = np.random.default_rng(11)
    # of so many placements the mean is known to some hundredths; points that fall together are rare
    made = [uniformity(with_points(rng.integers(0, 48, (150, 3))), threshold=0.5) for _ in range(40)]
    grains = np.array([[row.grain_volume for row in one.boxes] for one in made]) / (VOLUME / 48**3)
    error = grains.std(axis=0, ddof=1) / math.sqrt(len(made))
    assert (np.abs(grains.mean(axis=0) - 1.0) < 4.0 * error).all()
    assert (error < 0.1).all()


def test_one_blob_shows_in_the_grain_volume_and_the_largest_share():
    values = np.zeros((48, 48, 48))
    values[:4, :4, :4] = 1.0
    blob = uniformity(field_of(values), threshold=0.5)
    volume = 64 * VOLUME / 48**3
    scattered = uniformity(with_points(np.argwhere(np.ones((4, 4, 4))) * 12), threshold=0.5, minimum_volume=0.0)
    assert blob.free_fraction == scattered.free_fraction
    assert (blob.clusters, blob.largest_share) == (1, 1.0)
    np.testing.assert_allclose(blob.mean_cluster_volume, volume, rtol=1e-12)
    # the larger the box against the blob, the nearer the grain volume to its volume
    grains = [row.grain_volume for row in blob.boxes]
    assert grains == sorted(grains)
    assert 0.7 * volume < grains[-1] < volume
    assert blob.headline.grain_volume > 10.0 * scattered.headline.grain_volume


def waves(periods, n=48):
    """One gyroid network; its sign decides which of two."""
    x, y, z = np.meshgrid(*3 * [2.0 * np.pi * periods * np.arange(n) / n], indexing="ij")
    return np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)


def noise(width, n=48):
    """A random field whose correlation falls off with `width` waves to the cell."""
    k = np.fft.fftfreq(n) * n
    squares = k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2
    white = np.random.default_rng(1).normal(size=(n, n, n))
    return np.fft.ifftn(np.fft.fftn(white) * np.exp(-squares / width**2 / 2.0)).real


def tenth(values):
    cell = 20.0 * np.eye(3)
    return uniformity(ScalarField(values, cell, "wave", "1"), threshold=np.quantile(values, 0.9))


def test_the_grain_volume_orders_networks_from_even_to_gathered():
    # one cluster holds all of the first, the fourth and the last: of one volume, so only its place tells them apart
    even, wide = tenth(waves(3)), tenth(waves(1))
    along = (np.arange(48) / 48 - 0.5) ** 2
    sphere = tenth(-along[:, None, None] - along[:, None] - along)
    grains = [made.headline.grain_volume for made in (even, tenth(noise(6)), tenth(noise(3)), wide, sphere)]
    assert grains[0] < 0.01
    assert all(2.0 * a < b for a, b in itertools.pairwise(grains[1:]))
    assert (even.largest_share, wide.largest_share) == (1.0, 1.0)


def test_a_full_cell_has_no_variance():
    values = noise(6, n=24)
    full = uniformity(ScalarField(values, 20.0 * np.eye(3), "wave", "1"), threshold=values.min()).headline
    assert (full.standard_deviation, full.grain_volume) == (0.0, 0.0)


def test_half_a_cell():
    values = np.zeros((48, 48, 48))
    values[:24] = 1.0
    made = uniformity(field_of(values), threshold=0.5, boxes=(0.5,))
    # along the first axis the share of the box is a triangle wave from 0 to 1, of variance 1/12 (and 1/6n² for steps)
    np.testing.assert_allclose(made.boxes[0].standard_deviation ** 2, 1 / 12 + 1 / (6 * 24**2), rtol=1e-9)
    assert made.dimension == 2


# sum rule


def test_local_volumes_add_up_to_the_free_volume():
    rng = np.random.default_rng(3)
    crystal = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat((2, 2, 2))
    crystal.positions += rng.normal(0.0, 0.15, crystal.positions.shape)
    del crystal[[0, 8, 17]]
    field = distance_map(crystal, grid=(50, 55, 60))
    free = uniformity(field, threshold=1.5).free_volume
    shared = local_free_volume(field, crystal, "Mg2+", threshold=1.5)
    assert shared.far_volume == 0.0
    np.testing.assert_allclose(shared.volumes.sum(), free, rtol=1e-12)
    near = local_free_volume(field, crystal, "Mg", threshold=1.5, within=1.8)
    assert near.far_volume > 0.0
    np.testing.assert_allclose(near.volumes.sum() + near.far_volume, free, rtol=1e-12)
    assert (near.volumes <= shared.volumes).all()


def test_every_ion_of_a_crystal_has_the_same():
    crystal = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    field = distance_map(crystal, grid=(41, 41, 41))
    shared = local_free_volume(field, crystal, "Mg2+", threshold=1.5)
    # points half-way between ions go to one of them: a layer of voxels on some faces
    assert shared.coefficient_of_variation < 0.05
    assert shared.figures()["ions"] == 4


# invariance


def test_a_shift_changes_nothing():
    rng = np.random.default_rng(4)
    values = rng.random((20, 24, 18)) + 2.0 * rng.random((20, 24, 18)) ** 8
    made = uniformity(field_of(values), threshold=1.6, minimum_volume=0.0)
    moved = uniformity(field_of(np.roll(values, (7, 5, 11), (0, 1, 2))), threshold=1.6, minimum_volume=0.0)
    np.testing.assert_allclose(
        [row.standard_deviation for row in moved.boxes], [row.standard_deviation for row in made.boxes], rtol=1e-9
    )
    below = uniformity(field_of(np.where(values > 1.7, np.nan, -values)), threshold=-1.6, side="below")
    assert below.free_fraction == np.mean((values >= 1.6) & (values <= 1.7))


# independent reference


def test_fluctuations_agree_with_every_place_of_the_box():
    mask = np.random.default_rng(5).random((12, 10, 9)) < 0.2
    made = uniformity(field_of(mask), threshold=0.5, boxes=(1 / 4, 1 / 3, 1 / 2))
    for row, sides in zip(made.boxes, [(3, 2, 2), (4, 3, 3), (6, 5, 4)], strict=True):
        np.testing.assert_allclose(row.standard_deviation**2, box_variance_by_force(mask, sides), rtol=1e-9)


def test_volumes_of_ions_agree_with_brute_force():
    rng = np.random.default_rng(6)
    atoms = bulk("MgO", "rocksalt", a=4.212).repeat((2, 2, 1))
    atoms.positions += rng.normal(0.0, 0.1, atoms.positions.shape)
    field = distance_map(atoms, grid=(11, 13, 9))
    shared = local_free_volume(field, atoms, "Mg2+", threshold=1.2, within=2.0)
    fractions = np.stack(np.meshgrid(*(np.arange(n) / n for n in field.grid), indexing="ij"), axis=-1)
    points = (fractions @ field.cell)[field.values >= 1.2]
    ions = atoms[atoms.symbols == "Mg"]
    ions.wrap()
    shifts = np.array([np.array(s) - 3 for s in np.ndindex(7, 7, 7)]) @ field.cell
    distances = np.stack(
        [np.linalg.norm(points[:, None] - (place + shifts), axis=2).min(axis=1) for place in ions.positions], axis=1
    )
    owners = np.where(distances.min(axis=1) <= 2.0, distances.argmin(axis=1), len(ions))
    counts = np.bincount(owners, minlength=len(ions) + 1)
    np.testing.assert_allclose(shared.volumes, counts[:-1] * field.voxel_volume, rtol=1e-12)
    np.testing.assert_allclose(shared.far_volume, counts[-1] * field.voxel_volume, rtol=1e-12)


# errors


def test_nothing_free_and_everything_free():
    nothing = uniformity(field_of(np.zeros((4, 4, 4))), threshold=0.5)
    assert (nothing.free_fraction, nothing.clusters, nothing.largest_share) == (0.0, 0, 0.0)
    assert math.isnan(nothing.headline.grain_volume)
    everything = uniformity(field_of(np.ones((4, 4, 4))), threshold=0.5)
    assert (everything.free_fraction, everything.dimension) == (1.0, 3)
    assert everything.headline.grain_volume == 0.0


def test_bad_input_is_refused():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    field = distance_map(crystal, grid=(8, 8, 8))
    with pytest.raises(ValueError, match="no Ca in MgO; name an ion that it has"):
        local_free_volume(field, crystal, "Ca2+", threshold=1.0)
    with pytest.raises(ValueError, match="is not that of the structure"):
        local_free_volume(field, crystal.repeat((2, 1, 1)), "Mg2+", threshold=1.0)
    with pytest.raises(ValueError, match=r"boxes.* = 1\.5 must be less than 1"):
        uniformity(field, threshold=1.0, boxes=(1.5,))
