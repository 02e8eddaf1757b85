import numpy as np
import pytest
from ase.build import bulk

from amorph.analysis.bvs import bvs_map
from amorph.analysis.percolation import bond_valence_window, percolation_thresholds, window_width
from amorph.fields import ScalarField


def wave(function, n, cell=((10.0, 0.0, 0.0), (0.0, 10.0, 0.0), (0.0, 0.0, 10.0))):
    """A field v − V of three angles on a grid whose points fall on nothing special."""
    angles = np.meshgrid(*(2.0 * np.pi * (np.arange(points) + 0.237) / points for points in n), indexing="ij")
    return ScalarField(function(*angles), np.array(cell), "signed mismatch", "v.u.")


def gyroid(x, y, z):
    return np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)


def primitive(level):
    return lambda x, y, z: np.cos(x) + np.cos(y) + np.cos(z) - level


def thresholds(field):
    return percolation_thresholds(window_width(field)).thresholds


# closed form


@pytest.mark.parametrize("n", [(20, 20, 20), (9, 14, 11), (40, 33, 37)])
@pytest.mark.parametrize("surface", [gyroid, primitive(0.0), primitive(0.8), primitive(-0.8)])
def test_a_surface_that_runs_through_the_crystal_needs_no_width(surface, n):
    field = wave(surface, n, np.array([[5.0, 0.0, 0.0], [2.0, 6.0, 0.0], [-1.0, 2.0, 7.0]]))
    assert thresholds(field) == (0.0, 0.0, 0.0)
    if surface is gyroid:  # what the points alone say is the grid
        assert percolation_thresholds(ScalarField(np.abs(field.values), field.cell, "", "")).thresholds[0] > 0.005


@pytest.mark.parametrize("level", [1.4, 2.0, -1.4])
def test_closed_surfaces_join_where_the_saddle_between_them_is_inside(level):
    # around each maximum of the three waves lies one; between two of them the field falls to 1 at least
    errors = [abs(thresholds(wave(primitive(level), (n, n, n)))[2] - (abs(level) - 1.0)) for n in (20, 40, 80)]
    # a saddle between points is missed in second order, by at most (π/n)²/2 along each of three axes
    for error, n in zip(errors, (20, 40, 80), strict=True):
        assert error < 1.5 * (np.pi / n) ** 2


def test_planes_run_in_two_directions():
    one, two, three = thresholds(wave(lambda x, y, z: np.cos(x) - 0.1 + 0.0 * y * z, (64, 5, 6)))
    assert (one, two) == (0.0, 0.0)
    # from plane to plane the way leads through the maximum, 0.9 from the level, and the minimum, 1.1
    assert three == pytest.approx(1.1, abs=2e-3)


# invariance


def test_side_origin_and_handedness_do_not_matter():
    field = wave(lambda x, y, z: gyroid(x, y, z) + 0.3 * np.cos(x + 2 * y) - 1.3, (15, 18, 16))
    made = thresholds(field)
    assert made[2] > 0.0

    def of(values):
        return thresholds(ScalarField(values, field.cell, "", ""))

    assert of(-field.values) == made
    assert of(np.roll(field.values, (3, 5, 7), (0, 1, 2))) == made
    assert of(field.values[::-1, ::-1, ::-1]) == made


def test_excluded_points_are_no_side():
    values = np.ones((6, 6, 6))
    values[3] = np.nan
    values[4] = -1.0
    made = window_width(ScalarField(values, np.eye(3), "", ""))
    # between 4 and 5 it changes sign, to 2 across what is excluded it does not
    assert made.values[:, 0, 0].tolist()[:3] == [1.0, 1.0, 1.0]
    assert np.isnan(made.values[3]).all()
    assert (made.values[4:] == 0.0).all()


def test_a_map_has_its_surface_up_to_the_spheres_that_are_excluded():
    # v = 2 runs around the wide sites, 1.5, and on towards O into the spheres
    atoms = bulk("MgO", "rocksalt", a=4.4, cubic=True)
    made = bvs_map(atoms, "Mg2+", blocking="framework", grid=(24, 24, 24), exclusion_radius=1.7)
    window = bond_valence_window(made).values
    excluded = np.isnan(made.field.values)
    whole = bvs_map(atoms, "Mg2+", blocking="framework", grid=(24, 24, 24), exclusion_radius=0.0)
    np.testing.assert_array_equal(np.isnan(window), excluded)
    np.testing.assert_array_equal(window[~excluded], window_width(whole.signed_mismatch).values[~excluded])
    # more of the surface than the points that are not excluded show
    assert np.sum(window == 0.0) > np.sum(window_width(made.signed_mismatch).values == 0.0) > 0
