import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from amorph.analysis.percolation import percolation, percolation_thresholds
from amorph.fields import ScalarField

CUBE = np.eye(3) * 8.0
SKEWED = np.array([[5.0, 0.0, 0.0], [2.0, 6.0, 0.0], [-1.0, 2.0, 7.0]])


def potential(values, cell=CUBE):
    return ScalarField(np.asarray(values, dtype=np.float64), cell, "potential", "eV")


def channel(shape, points):
    """Make a field that is 0 on a list of points, taken into the cell, and 1 elsewhere."""
    values = np.ones(shape)
    for point in points:
        values[tuple(np.mod(point, shape))] = 0.0
    return potential(values)


def staircase(start, moves):
    """List the points of a walk along the axes: (axis, steps) one after the other."""
    points = [np.array(start)]
    for axis, steps in moves:
        for _ in range(abs(steps)):
            step = np.zeros(3, int)
            step[axis] = np.sign(steps)
            points.append(points[-1] + step)
    return points


def minors(rows):
    """Give the greatest common divisors of the 1 × 1, 2 × 2 and 3 × 3 minors: equal for equal lattices."""
    rows = np.array(rows, dtype=np.int64).reshape(-1, 3)
    found = []
    for size in (1, 2, 3):
        divisor = 0
        for chosen in itertools.combinations(range(len(rows)), size):
            for columns in itertools.combinations(range(3), size):
                divisor = math.gcd(divisor, round(np.linalg.det(rows[np.ix_(chosen, columns)])))
        found.append(divisor)
    return found


def same_lattice(one, other):
    return minors(one) == minors(other) == minors([*np.reshape(one, (-1, 3)), *np.reshape(other, (-1, 3))])


def rank(rows):
    return sum(divisor > 0 for divisor in minors(rows)) if len(rows) else 0


def brute_force(inside):
    """Walk through every region on the covering space: its points, and the cell shifts at which it meets itself."""
    nx, ny, nz = inside.shape
    points = set(map(tuple, np.argwhere(inside).tolist()))
    found = []
    while points:
        start = min(points)
        points.remove(start)
        shift, queue, windings = {start: (0, 0, 0)}, [start], set()
        for i, j, k in queue:
            x, y, z = shift[i, j, k]
            for a, b, c in itertools.product((-1, 0, 1), repeat=3):
                other = ((i + a) % nx, (j + b) % ny, (k + c) % nz)
                cells = (x + (i + a) // nx, y + (j + b) // ny, z + (k + c) // nz)
                if other in points:
                    points.remove(other)
                    shift[other] = cells
                    queue.append(other)
                elif inside[other] and cells != shift[other]:
                    windings.add(tuple(one - two for one, two in zip(cells, shift[other], strict=True)))
        found.append((set(shift), sorted(windings)))
    return found


# closed form

TWICE = [
    *staircase((0, 1, 1), [(0, 6), (1, 2), (0, 5)]),
    *staircase((0, 3, 1), [(0, 3), (2, 2), (0, 6), (1, -2), (2, -2), (0, 2)]),
]
"""Two strands along x that change places: one channel, which meets itself after two cells."""
HELIX = [
    (i, round(5 + 3 * math.cos(t)), round(5 + 3 * math.sin(t))) for i, t in enumerate(np.arange(96) * math.pi / 48)
]


def filled(points):
    """Join points that are farther apart than one step along one axis."""
    joined = []
    for one, other in itertools.pairwise(points):
        moves = [(axis, int(other[axis] - one[axis])) for axis in range(3)]
        joined += staircase(one, moves)
    return joined


@pytest.mark.parametrize(
    ("shape", "points", "windings"),
    [
        ((8, 8, 8), staircase((0, 3, 3), [(0, 7)]), [[1, 0, 0]]),
        ((6, 6, 6), staircase((0, 0, 2), [(0, 1), (1, 1)] * 6), [[1, 1, 0]]),
        ((6, 6, 6), staircase((2, 5, 0), [(1, -1), (2, 1)] * 6), [[0, 1, -1]]),
        ((5, 5, 5), staircase((1, 1, 1), [(0, 1), (1, 1), (2, 1)] * 5), [[1, 1, 1]]),
        ((8, 15, 4), staircase((0, 0, 0), [(0, 2), (1, 1), (0, 2), (1, 2), (0, 4), (1, 2)] * 3), [[3, 1, 0]]),
        ((12, 6, 6), TWICE, [[2, 0, 0]]),
        ((96, 11, 11), filled([*HELIX, (96, 8, 5)]), [[1, 0, 0]]),
        ((6, 6, 6), [], []),
        # touches x = 0 and x = 5, but at places that do not meet
        ((6, 6, 6), staircase((0, 1, 1), [(0, 3), (1, 2), (0, 2)]), []),
        ((6, 6, 6), [*staircase((0, 0, 0), [(0, 5)]), *staircase((0, 0, 0), [(1, 5)])], [[1, 0, 0], [0, 1, 0]]),
    ],
    ids=["x", "110", "0-11", "111", "tilted", "twice", "helix", "none", "both_faces", "cross"],
)
def test_a_channel_winds_as_it_was_dug(shape, points, windings):
    made = percolation(channel(shape, points), threshold=0.5)
    assert len(made) == (1 if points else 0)
    assert made.dimension == len(windings)
    if not points:
        assert made.table() == []
        assert made.largest_share == made.fraction_of_cell == 0.0
        return
    region = made.region(1)
    assert region.windings.tolist() == windings
    assert region.spans == tuple(np.any(windings, axis=0).tolist() if windings else [False] * 3)
    assert region.points == len({tuple(np.mod(point, shape)) for point in points})
    assert region.volume == pytest.approx(region.points * 512.0 / math.prod(shape))
    assert made.fractions_by_dimension[region.dimension] == pytest.approx(made.fraction_of_cell)
    assert made.largest_share == 1.0
    crossings = percolation_thresholds(channel(shape, points)).crossings
    assert [crossing.threshold for crossing in crossings] == [0.0] * len(windings) + [1.0] * (3 - len(windings))
    for crossing in crossings[: len(windings)]:
        assert (crossing.barrier, crossing.windings.tolist()) == (0.0, windings)


def test_two_networks_that_interpenetrate_stay_two():
    values = np.ones((8, 8, 8))
    for offset in (0, 4):
        for axis in range(3):
            line = [offset] * 3
            line[axis] = slice(None)
            values[tuple(line)] = -offset
    made = percolation(potential(values), threshold=0.5)
    assert made.dimensions.tolist() == [3, 3]
    assert made.points.tolist() == [22, 22]
    assert made.extremes.tolist() == [0.0, -4.0]
    assert made.largest_share == 0.5
    assert made.fractions_by_dimension == (0.0, 0.0, 0.0, 44 / 512)
    found = percolation_thresholds(potential(values))
    assert (found.thresholds, found.barriers) == ((-4.0, -4.0, -4.0), (0.0, 0.0, 0.0))


def test_dimensions_of_different_regions_do_not_add_up():
    values = np.ones((6, 6, 6))
    values[:, 1, 1] = values[4, :, 4] = values[1, 4, :] = 0.0
    made = percolation(potential(values), threshold=0.5)
    assert made.dimensions.tolist() == [1, 1, 1]
    assert made.dimension == 1
    assert percolation_thresholds(potential(values)).thresholds == (0.0, 1.0, 1.0)


def test_cosines_percolate_at_their_saddles():
    # −cos x − 2·cos y − 4·cos z, minimum −7; over the saddle along x it costs 2, along y 4, along z 8
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (8, 10, 12)], indexing="ij")
    made = percolation_thresholds(potential(-np.cos(x) - 2 * np.cos(y) - 4 * np.cos(z), SKEWED))
    assert made.extreme == pytest.approx(-7.0)
    np.testing.assert_allclose(made.barriers, [2.0, 4.0, 8.0], rtol=1e-14)
    assert [crossing.windings.tolist() for crossing in made.crossings] == [
        [[1, 0, 0]],
        [[1, 0, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ]
    assert [crossing.bottleneck_index for crossing in made.crossings] == [(4, 0, 0), (0, 5, 0), (0, 0, 6)]
    np.testing.assert_allclose(made.crossings[2].bottleneck_position, SKEWED[2] / 2)
    np.testing.assert_array_equal(made.extreme_position, np.zeros(3))
    rows = made.table()
    assert [row["dimension"] for row in rows] == ["1D", "2D", "3D"]
    assert rows[1]["barrier_eV"] == pytest.approx(4.0)
    assert rows[1]["windings"] == "(1 0 0) (0 1 0)"


def test_barriers_count_from_the_field_and_from_the_region_that_conducts():
    values = np.full((6, 6, 6), 9.0)
    values[:, 1, 1], values[0, 1, 1] = 2.0, 0.5  # a channel with a low point and a high one
    values[3, 1, 1] = 3.0
    values[4, 4, 4] = -5.0  # a pocket apart from it
    one = percolation_thresholds(potential(values)).crossings[0]
    assert (one.threshold, one.barrier, one.region_barrier) == (3.0, 8.0, 2.5)
    np.testing.assert_allclose(one.region_extreme_position, [0.0, 8 / 6, 8 / 6])
    row = percolation_thresholds(potential(-values), side="above").table()[0]
    assert (row["threshold_eV"], row["barrier_eV"], row["region_barrier_eV"]) == (-3.0, 8.0, 2.5)


def test_what_symmetry_makes_equal_is_equal_in_spite_of_rounding():
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(8) / 8] * 3, indexing="ij")
    noise = np.random.default_rng(0).normal(size=(8, 8, 8))
    for size in (0.0, 1e-13):
        found = percolation_thresholds(potential(-np.cos(x) - np.cos(y) - np.cos(z) + size * noise))
        assert [each.windings.tolist() for each in found.crossings] == [np.eye(3).tolist()] * 3
    found = percolation_thresholds(potential(-np.cos(x) - np.cos(y) - np.cos(z) + 1e-6 * noise))
    assert [len(each.windings) for each in found.crossings] == [1, 2, 3]


def test_what_is_not_finite_is_never_inside():
    values = np.zeros((4, 4, 4))
    values[2] = np.nan
    made = percolation(potential(values), threshold=1e9)
    assert made.region(1).windings.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert made.region(1).points == 48
    assert percolation_thresholds(potential(values)).thresholds == (0.0, 0.0, None)
    values[2] = -np.inf
    assert percolation(potential(values), threshold=1e9).region(1).points == 48
    assert percolation_thresholds(potential(values)).thresholds == (0.0, 0.0, None)
    nothing = percolation_thresholds(potential(np.full((2, 2, 2), np.nan)))
    assert nothing.extreme is None
    assert nothing.extreme_position is None
    assert nothing.thresholds == nothing.barriers == (None, None, None)
    assert [row["windings"] for row in nothing.table()] == ["never reached"] * 3


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 2), (2, 1, 1), (2, 2, 2), (3, 1, 9)])
def test_axes_of_one_and_two_points_meet_themselves(shape):
    made = percolation(potential(np.zeros(shape)), threshold=0.0)
    assert made.region(1).windings.tolist() == np.eye(3).tolist()
    assert made.region(1).volume == pytest.approx(512.0)
    assert percolation_thresholds(potential(np.zeros(shape))).thresholds == (0.0, 0.0, 0.0)


def test_side_above_is_below_of_the_negative():
    values = np.random.default_rng(5).normal(size=(7, 6, 5))
    above, below = (
        percolation(potential(values), threshold=0.3, side="above"),
        percolation(potential(-values), threshold=-0.3),
    )
    np.testing.assert_array_equal(above.labels, below.labels)
    np.testing.assert_array_equal(above.labels > 0, values >= 0.3)
    np.testing.assert_array_equal(above.extremes, -below.extremes)
    one, other = percolation_thresholds(potential(values), side="above"), percolation_thresholds(potential(-values))
    assert one.thresholds == tuple(-value for value in other.thresholds)
    assert one.barriers == other.barriers
    assert one.extreme == values.max()


# invariance


def summary(made):
    """What must not change: number of points, dimension and extreme of every region."""
    return sorted(zip(made.points.tolist(), made.dimensions.tolist(), made.extremes.tolist(), strict=True))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_translation_permutation_and_repetition(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 7, 3).tolist())
    values = rng.integers(0, 12, shape).astype(float)
    values[rng.random(shape) < 0.1] = np.nan
    level = float(rng.integers(2, 8))
    cell = rng.normal(0.0, 4.0, (3, 3))
    made, thresholds = percolation(potential(values, cell), threshold=level), percolation_thresholds(potential(values))

    moved = np.roll(values, rng.integers(0, 9, 3), axis=(0, 1, 2))
    assert summary(percolation(potential(moved, cell), threshold=level)) == summary(made)
    assert percolation_thresholds(potential(moved)).thresholds == thresholds.thresholds

    axes = rng.permutation(3)
    turned = percolation(potential(values.transpose(axes), cell), threshold=level)
    assert summary(turned) == summary(made)
    # labels of regions of one size may change places: compare the lattice at a point of each
    for number in range(1, len(made) + 1):
        place = np.argwhere(made.labels == number)[0]
        other = turned.region(int(turned.labels[tuple(place[axes])]))
        assert same_lattice(other.windings, made.region(number).windings[:, axes])
    assert percolation_thresholds(potential(values.transpose(axes))).thresholds == thresholds.thresholds

    repeats = rng.integers(1, 3, 3)
    repeated = percolation(potential(np.tile(values, repeats), repeats[:, None] * cell), threshold=level)
    np.testing.assert_allclose(repeated.fractions_by_dimension, made.fractions_by_dimension, atol=1e-14)
    assert repeated.volumes.sum() == pytest.approx(repeats.prod() * made.volumes.sum())
    assert percolation_thresholds(potential(np.tile(values, repeats))).thresholds == thresholds.thresholds


# independent reference


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_regions_and_thresholds_agree_with_walks_on_the_covering_space(seed):
    rng = np.random.default_rng(seed)
    # rows of up to 17 points: runs that end on, before and after a word of eight
    shape = (*rng.integers(1, 6, 2).tolist(), int(rng.integers(1, 18)))
    # 26 neighbors percolate at a tenth of the points: most levels are above
    values = np.minimum(rng.integers(0, 40, shape), 5).astype(float)
    values[rng.random(shape) < 0.05] = np.nan
    if rng.random() < 0.5:
        values = np.asfortranarray(values.astype(np.float32))
    field = potential(values)
    first = [None, None, None]
    for level in range(6):
        expected = brute_force(values <= level)
        made = percolation(field, threshold=level)
        assert len(made) == len(expected)
        assert np.all(np.diff(made.points) <= 0)
        for points, windings in expected:
            labels = {int(made.labels[point]) for point in points}
            assert len(labels) == 1
            region = made.region(labels.pop())
            assert region.points == len(points)
            assert region.dimension == rank(windings)
            assert same_lattice(region.windings, windings)
            assert region.extreme == min(values[point] for point in points)
            at = np.rint(np.linalg.solve(CUBE.T, region.extreme_position) * shape).astype(int)
            assert tuple(at) in points
            assert values[tuple(at)] == region.extreme
            for dimension in range(region.dimension):
                first[dimension] = level if first[dimension] is None else first[dimension]
    found = percolation_thresholds(field)
    assert found.thresholds == tuple(first)
    for crossing in filter(None, found.crossings):
        assert values[crossing.bottleneck_index] == crossing.threshold
        assert crossing.barrier == crossing.threshold - np.nanmin(values)
        made = percolation(field, threshold=crossing.threshold)
        region = made.region(int(made.labels[crossing.bottleneck_index]))
        np.testing.assert_array_equal(region.windings, crossing.windings)
        assert region.dimension >= crossing.dimension


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 3), max_size=6))
def test_lattice_basis_is_the_hermite_normal_form(vectors):
    from amorph.analysis.percolation._regions import add_winding

    basis = np.zeros((3, 3), np.int64)
    for vector in vectors:
        add_winding(basis, *vector)
        for row in range(3):  # at every step: rows that are not reduced grow without bound
            pivot = basis[row, row]
            assert pivot >= 0
            assert not basis[row, :row].any()
            assert pivot > 0 or not basis[row].any()
            assert pivot == 0 or ((basis[:row, row] >= 0) & (basis[:row, row] < pivot)).all()
    assert same_lattice(basis, vectors or np.zeros((1, 3)))


# errors


def test_bad_input_is_refused():
    field = potential(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="threshold = nan must be a finite number"):
        percolation(field, threshold=float("nan"))
    with pytest.raises(ValueError, match="side = 'up' must be 'below' or 'above'"):
        percolation_thresholds(field, side="up")
    with pytest.raises(ValueError, match="there is no region 2; they are numbered from 1 to 1"):
        percolation(field, threshold=0.0).region(2)
    large = potential(np.broadcast_to(0.0, (2048, 2048, 512)))
    with pytest.raises(ValueError, match="a grid of 2147483648 points is more than the 2147483647 that can be"):
        percolation(large, threshold=0.0)


def test_a_sweep_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr("amorph.machine.memory.available_memory", lambda: 1000)
    with pytest.raises(
        ValueError, match="the sweep over a grid of 27 points needs 1188 bytes of memory, and 1000 bytes are"
    ):
        percolation_thresholds(potential(np.zeros((3, 3, 3))))
    with pytest.raises(ValueError, match="labelling a grid of 125 points needs 1500 bytes of memory, and 1000 bytes"):
        percolation(potential(np.zeros((10, 5, 5))[::2]), threshold=0.0)
