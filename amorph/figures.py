"""What a result says of itself: figures ready for JSON, a table, and the rows that a summary sets side by side."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

SUFFIXES: Final = {
    "per_A": "1/Å", "g_cm3": "g/cm³", "cm2_s": "cm²/s", "S_per_cm": "S/cm", "mAh_per_g": "mAh/g",
    "mAh_per_cm3": "mAh/cm³", "Wh_per_kg": "Wh/kg", "A3": "Å³", "A2": "Å²", "A": "Å", "eV": "eV", "GPa": "GPa",
    "nm": "nm", "V": "V", "K": "K", "ps": "ps", "vu": "v.u.", "deg2": "°²", "deg": "°",
}  # fmt: skip
"""How the key of a table's column or of a figure ends, and the unit that this says; longer ends first."""


def keyed(name: str, unit: str) -> str:
    """Give a name the ending of its unit.

    >>> keyed("barrier", "eV"), keyed("threshold", "v.u."), keyed("share", "")
    ('barrier_eV', 'threshold_vu', 'share')
    """
    return next((f"{name}_{suffix}" for suffix, known in SUFFIXES.items() if known == unit), name)


def heading(key: str) -> str:
    """Write a key as a heading: the unit in brackets; the dotted key of a study stays as its file has it.

    >>> heading("barrier_eV"), heading("center_x_y_z_A"), heading("bvs.cutoff")
    ('barrier [eV]', 'center x y z [Å]', 'bvs.cutoff')
    """
    for suffix, unit in SUFFIXES.items():
        if key.endswith(f"_{suffix}"):
            return f"{key.removesuffix(f'_{suffix}').replace('_', ' ')} [{unit}]"
    return key if "." in key else key.replace("_", " ")


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


def printable(text: str) -> str:
    """Show what cannot be printed as its code, line ends and tabs apart: words of a file must not steer a terminal."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)
