import numpy as np
import pytest
from ase.build import bulk

from amorph.analysis.bvs import bvs_map, window_convergence


@pytest.fixture(scope="module")
def shaken():
    """A rocksalt of 54 atoms, shaken, in a cell with edges of 13, 8.5 and 8.5 Å."""
    atoms = bulk("MgO", "rocksalt", a=4.25, cubic=True).repeat((3, 2, 2))
    del atoms[[atom.index for atom in atoms if atom.symbol == "Mg"][::3]]
    atoms.positions += np.random.default_rng(3).normal(0.0, 0.2, atoms.positions.shape)
    return atoms


# closed form


def test_of_a_lone_anion_the_window_is_a_shell():
    # |v − 2| < w between the radii r0 − b ln(2 ± w)
    atoms = bulk("O", "sc", a=9.0)
    made = window_convergence(atoms, "Mg2+", windows=(0.2, 0.8), grids=(60, 120), cutoff=4.0, exclusion_radius=0.5)
    radius = {w: 1.693 - 0.37 * np.log(2.0 + w) for w in (-0.8, -0.2, 0.2, 0.8)}
    shells = [4.0 / 3.0 * np.pi * (radius[-w] ** 3 - radius[w] ** 3) / 729.0 for w in (0.2, 0.8)]
    # shells of 0.07 and 0.31 Å on a grid of 0.075 Å: a few per cent, and nearer on the finer grid
    np.testing.assert_allclose(made.window_fractions_of_cell[1], shells, rtol=0.1)
    assert made.grids == ((60, 60, 60), (120, 120, 120))
    np.testing.assert_allclose(made.spacings, (0.15, 0.075))


# sum rule


def test_every_share_is_that_of_its_map(shaken):
    made = window_convergence(shaken, "Mg2+", windows=(0.1, 0.4, 1.5), grids=(15, 30), exclusion_radius=1.4)
    assert made.grids == ((15, 10, 10), (30, 20, 20))
    assert (np.diff(made.window_fractions_of_cell, axis=1) > 0.0).all()
    for n, grid in enumerate(made.grids):
        for k, window in enumerate(made.windows):
            alone = bvs_map(shaken, "Mg2+", grid=grid, window=window, exclusion_radius=1.4)
            assert made.window_fractions_of_cell[n, k] == alone.window_fraction_of_cell
            accessible = made.window_fractions_of_accessible[n, k]
            assert accessible == pytest.approx(alone.window_fraction_of_accessible, rel=1e-14)
        assert made.excluded_fractions[n] == alone.excluded_fraction
    single = window_convergence(shaken, "Mg2+", windows=(0.4,), grids=(15,), exclusion_radius=1.4, precision="float32")
    alone = bvs_map(shaken, "Mg2+", grid=(15, 10, 10), exclusion_radius=1.4, precision="float32")
    assert single.window_fractions_of_cell[0, 0] == alone.window_fraction_of_cell

    rows = made.table()
    assert list(rows[1]) == ["grid", "spacing_A", "excluded", "w = 0.1", "w = 0.4", "w = 1.5"]
    assert rows[1]["grid"] == "30 × 20 × 20"
    assert rows[1]["w = 0.4"] == made.window_fractions_of_cell[1, 1]


def test_where_all_is_excluded_no_share_is_accessible(shaken):
    made = window_convergence(shaken, "Mg2+", windows=(0.4,), grids=(4,), exclusion_radius=9.0)
    assert made.window_fractions_of_accessible.tolist() == [[0.0]]


# errors


def test_bad_arguments_are_refused_before_the_first_map(shaken, monkeypatch):
    with pytest.raises(ValueError, match=r"windows\[1\] = -0.1 .*must be greater than 0"):
        window_convergence(shaken, "Mg2+", windows=(0.1, -0.1))
    with pytest.raises(ValueError, match=r"grids .*at least 1 item"):
        window_convergence(shaken, "Mg2+", grids=())
    monkeypatch.setattr("amorph.analysis.bvs.convergence.bvs_map", lambda *_, **__: pytest.fail("a map was begun"))
    monkeypatch.setattr("amorph.machine.memory.available_memory", lambda: 1_500_000)
    with pytest.raises(ValueError, match=r"which makes 100 × 67 × 67 points, needs 3.6 MB of memory"):
        window_convergence(shaken, "Mg2+", grids=(10, 100))
