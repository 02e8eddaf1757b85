"""What a result says of itself: figures ready for JSON, a table, and the rows that a summary sets side by side."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np


class Row(NamedTuple):
    """One figure of a structure, as a summary sets it beside that of another."""

    figure: str
    """What it is, in words."""
    value: float | str | bool | None
    """Its value; None where it is not known."""
    unit: str = ""
    """Its unit; empty for a bare number."""


class Result:
    """Base of the frozen dataclasses that hold a result.

    Command line, run directory, summary and ensemble take a result's figures from here; none of them picks fields of
    its own.
    """

    _large: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no figures: structures, arrays, whole maps."""
    _derived: ClassVar[tuple[str, ...]] = ()
    """Properties that are figures too."""

    def figures(self) -> dict[str, Any]:
        """Give every figure by name, in plain values that JSON holds."""
        kept = [entry.name for entry in fields(self) if entry.name not in self._large]  # type: ignore[arg-type]
        return {name: plain(getattr(self, name)) for name in (*kept, *self._derived)}

    def table(self) -> list[dict[str, Any]]:
        """Give the rows that a person reads; by default each figure with its value."""
        return [{"figure": name, "value": value} for name, value in self.figures().items()]

    def rows(self) -> list[Row]:
        """Give the figures that a summary sets side by side; by default none."""
        return []


def plain(value: Any) -> Any:
    """Reduce a value to what JSON holds: of a result its figures, for what is not a number None.

    Raises
    ------
    TypeError
        It has no such form.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Result):
        return value.figures()
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def restored(kind: type[Any], figures: Mapping[str, Any]) -> Any:
    """Read a result back from its figures.

    Raises
    ------
    ValueError
        They are not those of such a result.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(figures)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
