"""What a result says of itself: figures ready for JSON, a table, and the rows that a summary sets side by side."""

import math
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

_UNITS: Final = {
    "g_cm3": "g/cm³", "cm2_s": "cm²/s", "S_per_cm": "S/cm", "mAh_per_g": "mAh/g",
    "mAh_per_cm3": "mAh/cm³", "Wh_per_kg": "Wh/kg", "A3": "Å³", "A2": "Å²", "A": "Å", "eV": "eV", "GPa": "GPa",
    "nm": "nm", "V": "V", "K": "K", "ps": "ps", "vu": "v.u.", "deg2": "°²", "deg": "°",
}  # fmt: skip

SUFFIXES: Final = {f"per_{suffix}": f"1/{unit}" for suffix, unit in _UNITS.items() if "/" not in unit} | _UNITS
"""How the key of a table's column or of a figure ends, and the unit that this says; longer ends first."""


ERROR: Final = "_standard_error"
"""Ends the name of a column that holds the standard error of the column that is named before it."""

_DUST: Final = 1e-9
"""What rounding leaves of 0, in Å, eV, shares and the like, whose scale is 1, and beside larger numbers."""

_DECADES: Final = ("cm²/s", "S/cm", "standard error", "interval 95")
"""Units and names of what has no scale: a diffusion coefficient of 1e-13 is small, and not 0, nor is its error."""


def keyed(name: str, unit: str) -> str:
    """Give a name the ending of its unit.

    >>> keyed("barrier", "eV"), keyed("threshold", "v.u."), keyed("share", "")
    ('barrier_eV', 'threshold_vu', 'share')
    """
    return next((f"{name}_{suffix}" for suffix, known in SUFFIXES.items() if known == unit), name)


def heading(key: str) -> str:
    """Write a key as a heading: the unit in brackets; the dotted key of a study stays as its file has it.

    >>> heading("barrier_eV"), heading("center_x_y_z_A"), heading("t_r_per_A2"), heading("bvs.cutoff")
    ('barrier [eV]', 'center x y z [Å]', 't r [1/Å²]', 'bvs.cutoff')
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
    share: bool = False
    """Whether it is a share of something, which lies between 0 and 1."""
    decades: bool = False
    """Whether its values lie decades apart and above 0: the mean over several is that of their logarithms."""


class Result:
    """Base of the frozen dataclasses that hold a result.

    Command line, run directory, summary and ensemble take a result's figures from here; none of them picks fields of
    its own.
    """

    _large: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no figures: structures, arrays, whole maps."""
    _derived: ClassVar[tuple[str, ...]] = ()
    """Properties that are figures too."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # in the class itself, where the decorator of dataclasses leaves it alone: its own would write every array out
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        held = [f"{entry.name}={_brief(getattr(self, entry.name))}" for entry in fields(self)]  # type: ignore[arg-type]
        text = f"{type(self).__name__}({', '.join(held)})"
        return text if len(text) <= _LONGEST_REPR else f"{text[: _LONGEST_REPR - 2]}…)"

    def _repr_html_(self) -> str:
        return str(_displays().html_of(self))

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


class Plottable:
    """Base of the results that are curves."""

    def plot(self) -> Any:
        """Plot it: a notebook shows what comes back, ``.write(path)`` makes a file, ``.figure`` is matplotlib's."""
        return _displays().plot_of(self)


def shown_by(module: str) -> None:
    """Name the module whose ``html_of`` and ``plot_of`` show results.

    It is imported when something is to be shown: display stands on a floor above, and none may be imported here.
    """
    _SHOWN_BY[:] = [module]
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:  # a structure is of ASE, and shows itself here all the same
        by_type = shell.display_formatter.formatters["text/html"]
        by_type.for_type_by_name("ase.atoms", "Atoms", lambda atoms: _displays().html_of(atoms))


_SHOWN_BY: Final[list[str]] = []


def _displays() -> Any:
    return import_module(_SHOWN_BY[0])


def _brief(value: Any) -> str:
    """Say in a few letters what a field holds."""
    if isinstance(value, Result):
        return f"{type(value).__name__}(…)"
    if (shape := getattr(value, "shape", None)) and not isinstance(value, str):
        return f"array({' × '.join(map(str, shape))})"
    if hasattr(value, "get_chemical_formula"):
        return f"Atoms({value.get_chemical_formula()})"
    if isinstance(value, float):
        return f"{value:.6g}"
    return _SHORT.repr(value)


_LONGEST_REPR: Final = 240
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxother, _SHORT.maxlevel = 60, 60, 2
_SHORT.maxtuple = _SHORT.maxlist = _SHORT.maxdict = 3


def plain(value: Any) -> Any:
    """Reduce a value to what JSON holds: of a result its figures, for what is not a number None.

    Raises
    ------
    TypeError
        It has no such form.
    """
    import numpy as np  # here, so that `import amorph` stays fast

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


def cell_of(row: Mapping[str, Any], key: str) -> str:
    """Write what a row of a table has in a column: its unit is in the heading, in the figure's name or beside it.

    >>> cell_of({"figure": "D of Mg", "unit": "cm²/s", "glass": 2e-13}, "glass")
    '2e-13'
    """
    names = (heading(key), heading(str(row.get("figure", ""))), str(row.get("unit", "")))
    return text_of(row.get(key), " ".join(names))


def text_of(value: Any, name: str = "") -> str:
    """Write a value as a person reads it; what is left of 0 by rounding, 1e-9 of the largest beside it or 1, is 0.

    A unit in its name that knows no such scale keeps every value as it is.

    >>> text_of(0.35678), text_of(-1.7e-14), text_of([1.0, 2.0]), text_of(None), text_of(True)
    ('0.3568', '0', '1 2', '–', 'yes')
    """
    import numpy as np

    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        if abs(number) < _DUST and not any(unit in name for unit in _DECADES):
            return "0"
        return f"{number:.4g}" if abs(number) < 1000 else f"{number:.1f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(entry, name)}" for key, entry in value.items())
    if isinstance(value, (list, tuple, np.ndarray)):
        largest = max((abs(entry) for entry in value if isinstance(entry, float) and math.isfinite(entry)), default=0.0)
        return " ".join(
            text_of(0.0 if isinstance(entry, float) and abs(entry) < _DUST * largest else entry, name)
            for entry in value
        )
    return str(value)


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
