"""Parameters that are defined by a signature: checked on every call, and as the table of a file."""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Gt
from ase import Atoms

from amorph.parameters import Count, Fraction, Length, Seed, Temperature, Unit, checked, model_of, parse, unit_of


@checked
def stage(
    atoms: Atoms,
    *,
    temperature_K: Temperature,
    timestep_fs: Annotated[float, Gt(0), Unit("fs")] = 1.0,
    steps: Count = 10,
    cell: Literal["fixed", "free"] = "fixed",
    lattice_constant: Length | Literal["relaxed"] | None = None,
    grid: tuple[Count, Count, Count] | None = None,
    fraction: Fraction = 1.0,
    rng: np.random.Generator | None = None,
    watch: Callable[[int], None] | None = None,
) -> tuple:
    """Return what arrives."""
    return temperature_K, timestep_fs, steps, cell, lattice_constant, grid, fraction, rng


def call(**values):
    return stage(Atoms("H"), **({"temperature_K": 300} | values))


# closed form


def test_values_arrive_converted_and_defaults_filled_in():
    rng = np.random.default_rng(0)
    result = call(temperature_K="300", lattice_constant=4, grid=[1, 2, 3], rng=rng)
    assert result == (300.0, 1.0, 10, "fixed", 4.0, (1, 2, 3), 1.0, rng)
    assert isinstance(result[0], float)
    assert isinstance(result[4], float)
    assert isinstance(result[5], tuple)
    assert call(lattice_constant="relaxed")[4] == "relaxed"


def test_what_no_file_can_hold_passes_unchecked_and_is_no_key():
    fields = model_of(stage).model_fields
    assert list(fields) == [
        "temperature_K",
        "timestep_fs",
        "steps",
        "cell",
        "lattice_constant",
        "grid",
        "fraction",
    ]
    assert parse(stage, {"temperature_K": 5}) == {
        "temperature_K": 5.0,
        "timestep_fs": 1.0,
        "steps": 10,
        "cell": "fixed",
        "lattice_constant": None,
        "grid": None,
        "fraction": 1.0,
    }


def test_positional_arguments_are_checked_too():
    @checked
    def shift(distance: Length, times: Seed = 0) -> tuple[float, int]:
        return distance, times

    assert shift(2, 3) == (2.0, 3)
    with pytest.raises(ValueError, match="distance = -2 Å"):
        shift(-2)


def test_the_function_keeps_its_name_and_signature():
    assert stage.__name__ == "stage"
    assert stage.__doc__ == "Return what arrives."
    with pytest.raises(TypeError, match="temperature_K"):
        stage(Atoms("H"))
    with pytest.raises(TypeError, match="unexpected keyword"):
        call(temperatur_K=3)


def test_units_are_found_inside_unions_and_tuples():
    assert unit_of(Length) == "Å"
    assert unit_of(Length | None) == "Å"
    assert unit_of(tuple[Temperature, Temperature]) == "K"
    assert unit_of(int) is None


# errors


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature_K": -1}, "temperature_K = -1 K must be greater than or equal to 0"),
        ({"temperature_K": float("nan")}, "temperature_K = nan K must be a finite number"),
        ({"temperature_K": float("inf")}, "temperature_K = inf K must be a finite number"),
        ({"timestep_fs": 0}, "timestep_fs = 0 fs must be greater than 0 (default 1.0)"),
        ({"steps": 0}, "steps = 0 must be greater than 0 (default 10)"),
        ({"steps": 2.5}, "steps = 2.5 must be a valid integer, got a number with a fractional part (default 10)"),
        ({"fraction": 1.1}, "fraction = 1.1 must be less than or equal to 1 (default 1.0)"),
        ({"cell": "loose"}, "cell = 'loose' must be 'fixed' or 'free' (default 'fixed')"),
        (
            {"lattice_constant": -4.0},
            "lattice_constant = -4.0 Å must be greater than 0 or must be 'relaxed' (default None)",
        ),
        ({"grid": (10, 0, 10)}, "grid[1] = 0 must be greater than 0 (default None)"),
    ],
)
def test_a_value_out_of_bounds_is_one_line_with_value_unit_rule_and_default(values, message):
    with pytest.raises(ValueError) as caught:
        call(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"temperature_K": 1, "temperatur_K": 2},
            "unknown key 'temperatur_K' in [melt]; did you mean 'temperature_K'?",
        ),
        (
            {"temperature_K": 1, "colour": 2},
            "unknown key 'colour' in [melt]; known keys are cell, fraction, grid, lattice_constant, steps, "
            "temperature_K, timestep_fs",
        ),
        ({}, "'temperature_K' is missing in [melt]; give it a value"),
        ({"temperature_K": [1]}, "temperature_K = [1] K in [melt] must be a valid number"),
        ({"temperature_K": 1, "rng": 3}, "unknown key 'rng' in [melt]; known keys are"),
    ],
)
def test_a_wrong_table_of_a_file_names_the_table_and_the_near_match(values, message):
    with pytest.raises(ValueError) as caught:
        parse(stage, values, table="melt")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_default_out_of_bounds_is_found():
    @checked
    def wrong(steps: Count = 0) -> int:
        return steps

    with pytest.raises(ValueError, match="steps = 0 must be greater than 0"):
        wrong()
