"""Scalar fields and the grids they live on."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from amorph.fields import ScalarField, grid_points

CELL = np.array([[4.0, 0, 0], [1.0, 3.0, 0], [0.5, 0.5, -2.0]])


def field(values=None, cell=CELL):
    return ScalarField(np.zeros((2, 3, 4)) if values is None else values, cell, "distance to the nearest atom", "Å")


def test_grid_and_volumes():
    # determinant of the cell by hand: 4·3·(−2); a left-handed cell has a volume all the same
    assert field().grid == (2, 3, 4)
    assert field().cell_volume == pytest.approx(24.0)
    assert field().voxel_volume == pytest.approx(1.0)


def test_each_field_has_parameters_of_its_own():
    one, other = field(), field()
    one.parameters["cutoff"] = 6.0
    assert other.parameters == {}


@given(st.lists(st.floats(0.5, 50), min_size=3, max_size=3), st.floats(0.02, 5))
def test_the_spacing_is_at_most_what_was_asked_for_and_no_finer_than_needed(lengths, spacing):
    points = np.array(grid_points(np.diag(lengths), spacing))
    assert (np.array(lengths) / points <= spacing * (1 + 1e-8)).all()
    assert ((points == 1) | (np.array(lengths) / np.maximum(points - 1, 1) > spacing * (1 - 1e-8))).all()


def test_the_spacing_is_a_tenth_where_none_is_given():
    assert grid_points(np.diag([1.0, 2.05, 0.01])) == grid_points(np.diag([1.0, 2.05, 0.01]), None) == (10, 21, 1)


def test_a_whole_number_of_spacings_gains_no_point():
    # 2.1 / 0.3 and 5.4 / 0.3 come out above 7 and 18 in double precision
    assert grid_points(np.diag([2.1, 5.4, 3.0]), 0.3) == (7, 18, 10)
    assert grid_points(np.diag([0.05, 0.05, 0.05]), 0.1) == (1, 1, 1)
    # lengths of the lattice vectors, not their components
    assert grid_points(np.array([[3.0, 4.0, 0], [0, 1, 0], [0, 0, 1]]), 1.0) == (5, 1, 1)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2)), np.zeros((2, 0, 2)), np.zeros((1, 2, 3, 4))])
def test_values_need_three_axes(values):
    with pytest.raises(ValueError, match="three non-empty axes, got the shape"):
        field(values)


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.eye(2), np.diag([1, 1, np.nan]), np.ones((3, 3))])
def test_a_cell_needs_three_independent_vectors(cell):
    with pytest.raises(ValueError, match="three independent lattice vectors"):
        field(cell=cell)
