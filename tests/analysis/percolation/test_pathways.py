import itertools

import numpy as np
import pytest
from ase.units import kB
from hypothesis import given, settings, strategies as st

from amorph.analysis.percolation import migration_path, percolation, percolation_thresholds
from amorph.fields import ScalarField

SKEWED = np.array([[5.0, 0.0, 0.0], [2.0, 6.0, 0.0], [-1.0, 2.0, 7.0]])


def potential(values, cell=None):
    return ScalarField(np.asarray(values, dtype=np.float64), np.eye(3) * 8.0 if cell is None else cell, "well", "eV")


def angles(*shape):
    return np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in shape], indexing="ij")


# closed form


def test_a_path_along_an_axis_is_straight_and_has_the_cosine_s_profile():
    x, y, z = angles(24, 20, 16)
    field = potential(-np.cos(x) - 3 * np.cos(y) - 3 * np.cos(z), SKEWED)
    path = migration_path(field)
    assert path.winding == (1, 0, 0)
    np.testing.assert_allclose(path.fractional[:, 1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(path.fractional[-1] - path.fractional[0], [1, 0, 0], atol=1e-14)
    assert path.length == pytest.approx(5.0)
    assert path.threshold == path.values.max() == percolation_thresholds(field).thresholds[0]
    assert (path.barrier, path.reverse_barrier) == (pytest.approx(2.0), pytest.approx(2.0))
    # linear interpolation of a cosine on 24 points is within (2π/24)²/8 of it
    np.testing.assert_allclose(path.values, -np.cos(2 * np.pi * path.fractional[:, 0]) - 6, atol=0.009)
    assert path.sites == (0, len(path.values) - 1)
    assert path.weight_temperature_K == pytest.approx(2.0 / 20 / kB)


@pytest.mark.parametrize("side", ["below", "above"])
def test_a_path_follows_a_bent_valley_and_no_contour(side):
    # a valley along y = 4 + 1.5·sin(2πx/8) Å, z = 4 Å; two wells of different depth in each cell
    n = 40
    x, y, z = np.meshgrid(*[8 * np.arange(n) / n] * 3, indexing="ij")
    turn = 2 * np.pi / 8
    values = 0.4 * np.cos(2 * turn * x) + 0.1 * np.cos(turn * x)
    values += 2 * (y - 4 - 1.5 * np.sin(turn * x)) ** 2 + 2 * (z - 4) ** 2
    field = potential(values if side == "below" else -values)
    path = migration_path(field, side=side)
    assert path.winding == (1, 0, 0)
    at, slope = path.positions[:, 0], 1.5 * turn * np.cos(turn * path.positions[:, 0])
    across = (path.positions[:, 1] - 4 - 1.5 * np.sin(turn * at)) / np.sqrt(1 + slope**2)
    # √(kT/k) = 0.11 Å is the width of the valley at the weight's temperature, a grid step is 0.2 Å; a path along the
    # contour of the barrier would be 0.7 Å away
    assert np.abs(across).max() < 0.25
    assert np.abs(path.positions[:, 2] - 4).max() < 1e-9
    along = np.linspace(0, 8, 10_000)
    length = np.trapezoid(np.sqrt(1 + (1.5 * turn * np.cos(turn * along)) ** 2), along)
    assert path.length == pytest.approx(length, rel=0.05)  # bends of 1.1 Å radius cut by less than a grid step
    # wells at x = 2 and 6 Å (shifted alike by the slow term), saddles near 0 (high) and 4 Å
    assert len(path.sites) == 3
    rows = path.table()
    assert sum(row["length_A"] for row in rows) == pytest.approx(path.length)
    sign = 1 if side == "below" else -1
    assert max(sign * row["saddle_eV"] for row in rows) == sign * path.threshold
    assert path.threshold == sign * (sign * path.values).max()


@pytest.mark.parametrize("side", ["below", "above"])
def test_a_path_that_turns_in_wide_wells_goes_through_their_minima(side):
    # a zigzag of wells at (2, 2) and (6, 4) Å with saddles between them: the short way cuts their corners
    n = 32
    x, y, z = np.meshgrid(*[8 * np.arange(n) / n] * 3, indexing="ij")
    values = np.full((n, n, n), 0.0)
    for at in ((2.0, 2.0), (6.0, 6.0)):
        across = [(one - other + 4) % 8 - 4 for one, other in zip((x, y), at, strict=True)]
        values -= np.exp(-(across[0] ** 2 + across[1] ** 2 + (z - 4) ** 2) / 4)
    field = potential(values if side == "below" else -values)
    path = migration_path(field, side=side)
    sign = 1 if side == "below" else -1
    lowest = values.min()
    assert len(path.sites) >= 3
    for site in path.sites:
        assert sign * path.values[site] == pytest.approx(lowest, abs=1e-9)
    assert path.barrier == pytest.approx(percolation_thresholds(field, side=side).barriers[0], abs=1e-9)


def test_networks_that_only_meet_at_the_bottleneck_are_crossed_one_after_the_other():
    # a channel along x, one along y above it, and a higher hole that joins them
    values = np.full((8, 8, 8), 9.0)
    values[:, 2, 1], values[2, :, 5] = 0.0, 1.0
    values[2, 2, 2:5] = 2.0, 3.0, 2.0
    path = migration_path(potential(values), dimension=2)
    assert path.threshold == 3.0
    assert sorted(map(abs, path.winding)) == [0, 1, 1]
    assert (path.barrier, path.reverse_barrier) == (3.0, 3.0)
    assert migration_path(potential(values)).winding == (1, 0, 0)


def test_two_sites_are_joined_over_the_lowest_image():
    # a wall between the sites in the cell; the way through the face of the cell is open
    values = np.zeros((16, 4, 4))
    values[8] = 5.0
    values[0] = 1.0
    path = migration_path(potential(values), start=(3.0, 2.1, 1.9), end=(5.0, 2.0, 2.0))
    assert (path.threshold, path.barrier, path.reverse_barrier) == (1.0, 1.0, 1.0)
    assert path.winding == (-1, 0, 0)
    np.testing.assert_allclose(path.positions[[0, -1]], [[3.0, 2.0, 2.0], [-3.0, 2.0, 2.0]])
    assert path.length == pytest.approx(6.0)
    far = migration_path(potential(values), start=(3.0 + 80.0, 0.0, 0.0), end=(5.0, 0.0, 0.0))
    assert far.winding == (9, 0, 0)
    np.testing.assert_allclose(far.positions[[0, -1], 0], [83.0, 77.0])


# invariance and independent reference


def windows(rng):
    shape = tuple(rng.integers(1, 8, 3).tolist())
    values = rng.integers(0, 30, shape).astype(float)
    values[rng.random(shape) < 0.1] = np.nan
    return values


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_a_crossing_path_has_the_threshold_of_its_dimension(seed):
    rng = np.random.default_rng(seed)
    cell = rng.normal(0.0, 4.0, (3, 3))
    field = potential(windows(rng), cell)
    thresholds = percolation_thresholds(field).thresholds
    for dimension, threshold in enumerate(thresholds, start=1):
        if threshold is None:
            with pytest.raises(ValueError, match=f"no region of the well reaches dimension {dimension}; the highest"):
                migration_path(field, dimension=dimension)
            continue
        path = migration_path(field, dimension=dimension)
        assert path.threshold == threshold == path.values.max() == path.values[path.bottleneck]
        assert path.values[0] == path.values[-1] == path.threshold - path.barrier
        np.testing.assert_allclose(path.positions[-1] - path.positions[0], path.winding @ cell, atol=1e-10)
        assert (np.diff(path.lengths) >= 0).all()
        # no region below the threshold has this winding
        lower = percolation(field, threshold=float(np.nextafter(threshold, -np.inf)))
        for number in range(1, len(lower) + 1):
            basis = lower.region(number).windings
            assert np.linalg.matrix_rank(np.vstack([basis, path.winding])) == len(basis) + 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_the_barrier_between_sites_is_the_level_at_which_one_region_holds_both(seed):
    rng = np.random.default_rng(seed)
    values = windows(rng)
    cell = rng.normal(0.0, 4.0, (3, 3))
    field = potential(values, cell)
    finite = np.argwhere(np.isfinite(values))
    if len(finite) < 2:
        return
    one, other = finite[rng.choice(len(finite), 2, replace=False)]
    cells = rng.integers(-3, 4, 3)
    sites = [tuple((point / values.shape @ cell).tolist()) for point in (one, other + cells * values.shape)]
    joined = None
    for level in range(30):
        labels = percolation(field, threshold=level).labels
        if labels[tuple(one)] == labels[tuple(other)] > 0:
            joined = level
            break
    if joined is None:
        with pytest.raises(ValueError, match=r"no path joins .* excluded points separate them"):
            migration_path(field, start=sites[0], end=sites[1])
        return
    path, back = (migration_path(field, start=a, end=b) for a, b in itertools.permutations(sites))
    assert path.threshold == joined == back.threshold == path.values.max()
    assert path.barrier == joined - values[tuple(one)] == back.reverse_barrier
    assert path.reverse_barrier == joined - values[tuple(other)] == back.barrier
    np.testing.assert_allclose(path.positions[0], sites[0], atol=1e-10)
    np.testing.assert_allclose(path.positions[-1], sites[1] + path.winding @ cell, atol=1e-10)


def test_translation_and_repetition_leave_the_path_as_it_is():
    rng = np.random.default_rng(2)
    x, y, z = angles(12, 14, 16)
    values = -np.cos(x) - 2 * np.cos(y + np.sin(x)) - 3 * np.cos(z) + 0.05 * rng.normal(size=(12, 14, 16))
    path = migration_path(potential(values, SKEWED))
    moved = migration_path(potential(np.roll(values, (5, 3, 9), (0, 1, 2)), SKEWED))
    repeated = migration_path(potential(np.tile(values, (1, 2, 1)), SKEWED * [[1], [2], [1]]))
    for other in (moved, repeated):
        assert (other.threshold, other.barrier) == (path.threshold, path.barrier)
        assert other.length == pytest.approx(path.length, rel=1e-3)  # where the smoothing ends depends on the order


# errors


def test_a_path_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr("amorph.machine.memory.available_memory", lambda: 1900)
    with pytest.raises(ValueError, match="a path over a grid of 27 points needs 1944 bytes of memory, and 1900 bytes"):
        migration_path(potential(np.zeros((3, 3, 3))))


def test_bad_input_is_refused():
    values = np.zeros((4, 4, 4))
    values[0, 0, 0] = np.nan
    field = potential(values)
    with pytest.raises(ValueError, match="start is given without end; give both, or none for a path across"):
        migration_path(field, start=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="start 2 2 2 and end 10 2 2 Å are one site of the grid; give two"):
        migration_path(field, start=(2.0, 2.0, 2.0), end=(10.0, 2.0, 2.0))
    with pytest.raises(ValueError, match=r"end 8 0 0\.1 Å lies where the well is excluded; give another site"):
        migration_path(field, start=(2.0, 2.0, 2.0), end=(8.0, 0.0, 0.1))
    with pytest.raises(ValueError, match=r"end 1e\+30 0 0 Å is more than 1e\+06 cells away; give positions in Å"):
        migration_path(field, start=(2.0, 2.0, 2.0), end=(1e30, 0.0, 0.0))
    with pytest.raises(ValueError, match="dimension = 4 must be less than or equal to 3"):
        migration_path(field, dimension=4)
