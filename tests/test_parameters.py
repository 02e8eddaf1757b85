"""Parameters that are defined by a signature: checked on every call, and as the table of a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Gt
from ase import Atoms
from docstring_parser import parse_from_object

from amorph.parameters import (
    Count,
    Fraction,
    Length,
    Meaning,
    Seed,
    Temperature,
    Threads,
    Unit,
    checked,
    model_of,
    parse,
    unit_of,
)


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
    picture: bool = True,
    charges: Mapping[str, float] | None = None,
    folder: Path | None = None,
    rng: np.random.Generator | None = None,
    watch: Callable[[int], None] | None = None,
) -> tuple:
    """Return what arrives."""
    return temperature_K, timestep_fs, steps, cell, lattice_constant, grid, fraction, rng, picture, charges, folder


def call(**values):
    return stage(Atoms("H"), **({"temperature_K": 300} | values))


# closed form


def test_what_the_signature_says_of_a_parameter_stands_in_the_docstring_in_its_order():
    @checked
    def work(first: Annotated[int, Meaning("What counts.")], step: Length, *, threads: Threads | None = None) -> None:
        """Work.

        Parameters
        ----------
        step
            Length of a step [Å],
            in two lines.

        Raises
        ------
        ValueError
            Never.
        """

    described = {p.arg_name: p.description for p in parse_from_object(work).params}
    assert list(described) == ["first", "step", "threads"]
    assert described["first"] == "What counts."
    assert described["step"] == "Length of a step [Å],\nin two lines."
    assert described["threads"].startswith("Threads to work in")
    assert "Raises\n------\nValueError" in work.__doc__


def test_values_arrive_converted_and_defaults_filled_in():
    rng = np.random.default_rng(0)
    result = call(temperature_K=300, lattice_constant=4, grid=[1, 2, 3], rng=rng)
    assert result == (300.0, 1.0, 10, "fixed", 4.0, (1, 2, 3), 1.0, rng, True, None, None)
    assert isinstance(result[0], float)
    assert isinstance(result[4], float)
    assert isinstance(result[5], tuple)
    assert call(lattice_constant="relaxed")[4] == "relaxed"


def test_numbers_of_numpy_arrive_as_those_of_python():
    result = call(
        temperature_K=np.float32(0.5),
        timestep_fs=np.array(2),
        steps=np.int64(3),
        lattice_constant=np.int32(4),
        grid=tuple(np.arange(1, 4)),
        picture=np.False_,
        charges={"Ti": np.int8(4)},
        folder="runs",
    )
    assert result[:7] == (0.5, 2.0, 3, "fixed", 4.0, (1, 2, 3), 1.0)
    assert result[8:] == (False, {"Ti": 4.0}, Path("runs"))
    kinds = [type(value) for value in (*result[:3], result[4], *result[5], result[8], result[9]["Ti"])]
    assert kinds == [float, float, int, float, int, int, int, bool, float]


@dataclass(frozen=True)
class Part:
    length: Length
    name: str = "part"
    ends: tuple[Count, ...] = (1,)


@checked
def assembled(parts: tuple[Part, ...], *, spare: str | Part = "none") -> tuple:
    return parts, spare


def test_a_table_becomes_a_dataclass_and_is_checked_as_strictly():
    given = Part(1.5)
    parts, spare = assembled([given, {"length": 2, "ends": [3, 4]}], spare={"length": 1})
    assert parts == (given, Part(2.0, ends=(3, 4)))
    assert parts[0] is given
    assert isinstance(parts[1].length, float)
    assert spare == Part(1.0)
    for value, message in (
        ({"length": "2"}, r"^parts\[0\]\.length = '2' must be a valid number$"),
        ({"length": -2}, r"^parts\[0\]\.length = -2 must be greater than 0$"),
        ({"length": 2, "ends": [1.0]}, r"^parts\[0\]\.ends\[0\] = 1\.0 must be a valid integer$"),
        ({"lenght": 2}, r"^unknown key 'lenght' in parts\[0\]; did you mean 'length'\?$"),
        ({}, r"^'length' is missing in parts\[0\]; give it a value$"),
        (3, r"^parts\[0\] = 3 must be a table of its keys$"),
    ):
        with pytest.raises(ValueError, match=message):
            assembled([value])


def test_what_no_file_can_hold_passes_unchecked_and_is_no_key():
    filled = {"temperature_K": 5.0, "timestep_fs": 1.0, "steps": 10, "cell": "fixed", "lattice_constant": None}
    filled |= {"grid": None, "fraction": 1.0, "picture": True, "charges": None, "folder": None}
    assert parse(stage, {"temperature_K": 5}) == filled
    assert list(model_of(stage).model_fields) == list(filled)


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
        ({"timestep_fs": 0}, "timestep_fs = 0 fs must be greater than 0 (default 1.0)"),
        ({"steps": 0}, "steps = 0 must be greater than 0 (default 10)"),
        ({"steps": 2.5}, "steps = 2.5 must be a valid integer (default 10)"),
        ({"steps": True}, "steps = True must be a valid integer (default 10)"),
        ({"steps": "2"}, "steps = '2' must be a valid integer (default 10)"),
        ({"steps": np.float64(2)}, "steps = 2.0 must be a valid integer (default 10)"),
        ({"temperature_K": "300"}, "temperature_K = '300' K must be a valid number"),
        ({"temperature_K": True}, "temperature_K = True K must be a valid number"),
        ({"temperature_K": np.True_}, "temperature_K = True K must be a valid number"),
        ({"picture": "no"}, "picture = 'no' must be a valid boolean (default True)"),
        ({"picture": 0}, "picture = 0 must be a valid boolean (default True)"),
        ({"grid": ["20", 20, 20]}, "grid[0] = '20' must be a valid integer"),
        ({"grid": [20, 20.0, True]}, "grid[1] = 20.0 must be a valid integer"),
        ({"charges": {"Ti": "4"}}, "charges.Ti = '4' must be a valid number"),
        ({"folder": 3}, "folder = 3 must be a path"),
        ({"fraction": 1.1}, "fraction = 1.1 must be less than or equal to 1 (default 1.0)"),
        ({"cell": "loose"}, "cell = 'loose' must be 'fixed' or 'free' (default 'fixed')"),
        (
            {"lattice_constant": -4.0},
            "lattice_constant = -4.0 Å must be greater than 0 or must be 'relaxed'",
        ),
        ({"grid": (10, 0, 10)}, "grid[1] = 0 must be greater than 0"),
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
            "unknown key 'colour' in [melt]; known keys are cell, charges, folder, fraction, grid, "
            "lattice_constant, picture, steps, temperature_K, timestep_fs",
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
