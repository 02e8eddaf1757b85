"""Bond-valence parameters of the whole periodic table: named sets, files of users, and estimates from element sizes."""

import csv
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from amorph.tables.ions import Ion, element_of, parse_ion
from amorph.tables.oxidation_states import ANION_CHARGES

SOFT_BV: Final = "chen_adams2019"
"""The set of the soft-BV parameters, which the site energy takes its Morse potentials from."""
ESTIMATES: Final = "okeeffe_brese1991"
"""The set whose every value is an estimate."""
SETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "brown_altermatt1985": "Brown & Altermatt (1985)",
        "chen2002": "Chen, Zhou & Hu (2002) Chinese Sci. Bull. 47 978",
        "zocchi2000": "Zocchi (2000) Solid State Sci. 2 383",
        "brese_okeeffe1991": "Brese & O'Keeffe (1991)",
        "gagne_hawthorne2015": "Gagné & Hawthorne (2015)",
        SOFT_BV: "Chen & Adams (2019)",
        ESTIMATES: "estimated from element sizes, O'Keeffe & Brese (1991) doi:10.1021/ja00009a002",
    }
)
"""The named sets and what they are from."""
DEFAULT_SETS: Final = ("brown_altermatt1985", "chen2002", "zocchi2000", "brese_okeeffe1991", "gagne_hawthorne2015")
"""Where a pair is looked up without a set being named, the first that has it; then it is estimated."""

SOFTNESS: Final = 0.37
"""The b of Brown & Altermatt (1985) and of the estimates [Å]."""
_ANY: Final = "any"
_CIF_ANY: Final = 9
"""How a bvparm .cif writes "whatever the oxidation state"."""

Pair = tuple[str, str, str]
"""Element and oxidation state of a cation ("any": whatever it is), element of an anion."""


@dataclass(frozen=True)
class BondValence:
    """Parameters of the bond valence exp[(r0 − d)/b] of one ion and one anion."""

    cation: str
    """The ion: "Mg2+"."""
    anion: str
    """The anion: "O2-"."""
    r0: float
    """Length of a bond of unit valence [Å]."""
    b: float
    """Softness [Å]."""
    source: str
    """The first source, and the list that the values were read in where that is another."""
    set: str
    """Name of the set, of the user's file, or "given"."""
    estimated: bool
    """Whether nobody fitted them: estimated from the sizes of the elements."""


def bond_valence(
    ion: str | Ion,
    anion: str | Ion = "O2-",
    *,
    set: str | None = None,
    parameters: Path | None = None,
    estimates: bool = True,
) -> BondValence:
    """Look up the bond-valence parameters of an ion.

    Parameters
    ----------
    ion
        The ion whose valence is summed: "Mg2+".
    anion
        The anion that it bonds: "O2-", or the bare element.
    set
        Name of the only set to look in; by default those of ``DEFAULT_SETS`` in their order.
    parameters
        A file to read instead of the shipped sets: a bvparm .cif of the IUCr, whose first row for a pair counts, or a
        CSV table with the columns of ``tables/soft_bv.csv``.
    estimates
        Whether to estimate what no set has.

    Notes
    -----
    Where a set has no row for the oxidation state but one for any oxidation state, that row counts.

    Examples
    --------
    >>> bond_valence("Mg2+").r0, bond_valence("Mg2+").b
    (1.693, 0.37)
    >>> bond_valence("Li+", set="gagne_hawthorne2015").b, bond_valence("Lu3+", "C").estimated
    (0.642, True)
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    element = anion.element if isinstance(anion, Ion) else element_of(anion)
    if parameters is not None:
        if set is not None:
            raise ValueError(f"the set {set} and the file {parameters} are given; give one of them")
        if (row := _row_of(_read(parameters), cation, element)) is None:
            raise ValueError(
                f"no bond-valence parameters for {cation}–{anion_name(element)} in {parameters}; pass r0 and b, or "
                "give another file"
            )
        return _values(row, cation, element, parameters.name)
    if set is not None and set not in SETS:
        raise ValueError(f"there is no set of parameters '{set}'; the sets are {', '.join(SETS)}")
    for name in DEFAULT_SETS if set is None else (set,):
        if (row := _row_of(table_of(name), cation, element)) is not None:
            return _values(row, cation, element, name)
    if set == ESTIMATES or (set is None and estimates):
        return _estimate(cation, element)
    having = [name for name, rows in _sets().items() if _row_of(rows, cation, element) is not None]
    raise ValueError(
        f"no bond-valence parameters for {cation}–{anion_name(element)} in {set or 'the default sets'}"
        f"{f'; {having[0]} has them: choose it' if having else '; choose another set'}"
        f"{', allow estimates' if set is None else ''}, pass r0 and b, or point --parameters at a bvparm .cif"
    )


def bond_valence_rows(ion: str | Ion, anion: str | Ion) -> list[BondValence]:
    """List what each set has for an ion and an anion, in the order of ``SETS``, the estimate last.

    >>> [row.r0 for row in bond_valence_rows("Li+", "O2-")][:2]
    [1.466, 1.062]
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    if cation.charge < 0:
        raise ValueError(f"ion = {cation} is an anion; give the cation first, as in Li+ F-")
    element = anion.element if isinstance(anion, Ion) else element_of(anion)
    found = [
        _values(row, cation, element, name)
        for name, rows in _sets().items()
        if (row := _row_of(rows, cation, element)) is not None
    ]
    try:
        return [*found, _estimate(cation, element)]
    except ValueError:
        if not found:
            raise
        return found


def bond_valence_charges(element: str, anion: str | Ion = "O2-", *, parameters: Path | None = None) -> tuple[int, ...]:
    """List the charges of an element that have a row of their own with b as of Brown & Altermatt, the lowest first.

    Sums with another b do not compare with these: which of two states fits better would be a matter of the set.

    >>> bond_valence_charges("Mo")
    (4, 5, 6)
    """
    second = anion.element if isinstance(anion, Ion) else element_of(anion)
    tables = [_read(parameters)] if parameters is not None else [table_of(name) for name in DEFAULT_SETS[:-1]]
    found = {state for table in tables for first, state, other in table if (first, other) == (element, second)}
    return tuple(sorted(int(state) for state in found - {_ANY}))


def anion_name(element: str) -> str:
    """Name the anion of an element by its usual charge: "O2-"; where it has none, the element."""
    return Ion(element, ANION_CHARGES[element]).name if element in ANION_CHARGES else element


def source_of(row: Mapping[str, str], name: str) -> str:
    """Cite a row of a set: the source, its DOI, and the list that it was read in where that is another."""
    if own := row.get("source"):
        return own
    cited = f"{SETS.get(name, name)}{f' doi:{doi}' if (doi := row.get('doi')) else ''}"
    remarks = [
        row.get("note") or "",
        f"as {listed} list{'' if ' and ' in listed else 's'} it" if (listed := row.get("listed_by")) else "",
    ]
    return ", ".join([cited, *filter(None, remarks)])


def _row_of(rows: Mapping[Pair, Mapping[str, str]], cation: Ion, anion: str) -> Mapping[str, str] | None:
    own = rows.get((cation.element, str(cation.charge), anion))
    return rows.get((cation.element, _ANY, anion)) if own is None else own


def _values(row: Mapping[str, str], cation: Ion, anion: str, name: str) -> BondValence:
    source = source_of(row, name) + (", for any oxidation state" if row["oxidation_state"] == _ANY else "")
    return BondValence(cation.name, anion_name(anion), float(row["r0_A"]), float(row["b_A"]), source, name, False)


def _estimate(cation: Ion, anion: str) -> BondValence:
    """Estimate r0 from sizes r and electronegativities c; the table of elements is that of pymatgen."""
    from pymatgen.analysis.bond_valence import BV_PARAMS

    sizes: dict[str, Any] = {str(element): values for element, values in BV_PARAMS.items()}
    if missing := [element for element in (cation.element, anion) if element not in sizes]:
        raise ValueError(
            f"no bond-valence parameters for {cation}–{anion_name(anion)}, and the size of {missing[0]} to estimate "
            "them from is not tabulated; pass r0 and b, or point --parameters at a bvparm .cif"
        )
    (r_i, c_i), (r_j, c_j) = ((sizes[element]["r"], sizes[element]["c"]) for element in (cation.element, anion))
    r0 = r_i + r_j - r_i * r_j * (math.sqrt(c_i) - math.sqrt(c_j)) ** 2 / (c_i * r_i + c_j * r_j)
    return BondValence(cation.name, anion_name(anion), round(r0, 3), SOFTNESS, SETS[ESTIMATES], ESTIMATES, True)


def _rows_of(name: str) -> list[dict[str, str]]:
    """Read a shipped table."""
    text = resources.files("amorph.tables").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _by_pair(rows: Iterable[dict[str, str]]) -> dict[Pair, Mapping[str, str]]:
    """Sort rows by the pair that each is for; the first of a pair counts."""
    sorted_rows: dict[Pair, Mapping[str, str]] = {}
    for row in rows:
        sorted_rows.setdefault((row["cation"], row["oxidation_state"], row["anion"]), row)
    return sorted_rows


def table_of(name: str) -> dict[Pair, Mapping[str, str]]:
    """Give the rows of a set, by cation, charge and anion."""
    return _sets()[name]


@functools.cache
def _sets() -> dict[str, dict[Pair, Mapping[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {name: [] for name in SETS}
    for row in _rows_of("bond_valence.csv"):
        rows[row["set"]].append(row)
    rows[SOFT_BV] = _rows_of("soft_bv.csv")
    return {name: _by_pair(of_set) for name, of_set in rows.items()}


def _read(path: Path) -> dict[Pair, Mapping[str, str]]:
    """Read a user's file: a bvparm .cif, or a CSV table with r0 and b."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return read_table(path, ("r0_A", "b_A"))
    return _read_bvparm(path)


def read_table(path: Path, columns: tuple[str, ...]) -> dict[Pair, Mapping[str, str]]:
    """Read a user's CSV table with the columns of the shipped one; `columns` are those that must be numbers."""
    needed = ("cation", "oxidation_state", "anion", *columns)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise ValueError(f"cannot read the parameter file {path}: {error.strerror}; give a CSV table") from None
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{path} is no CSV table; give one with the columns {', '.join(needed)}") from None
    if not rows or (lacking := [name for name in needed if name not in rows[0]]):
        raise ValueError(f"{path} has no column {lacking[0] if rows else needed[0]}; give {', '.join(needed)}")
    for number, row in enumerate(rows, start=2):
        try:
            values = {name: float(row[name]) for name in columns}
            if row["oxidation_state"] != _ANY:
                row["oxidation_state"] = str(int(row["oxidation_state"]))
            element_of(row["cation"]), element_of(row["anion"])
        except (TypeError, ValueError):
            raise ValueError(
                f"{path}, line {number}: give elements, an oxidation state and numbers in Å and eV"
            ) from None
        if bad := [name for name, value in values.items() if not (math.isfinite(value) and value > 0.0)]:
            # a negative b, as some tables of soft-BV have it, makes a potential that diverges
            raise ValueError(f"{path}, line {number}: {bad[0]} = {row[bad[0]]} must be above 0")
        row.setdefault("source", f"{path.name}, line {number}")
    return _by_pair(rows)


def _read_bvparm(path: Path) -> dict[Pair, Mapping[str, str]]:
    """Read the parameter loop of a bvparm .cif file of the IUCr."""
    from gemmi import cif

    names = ["atom_1", "atom_1_valence", "atom_2", "Ro", "B", "?ref_id"]
    try:
        blocks = cif.read_string(path.read_bytes().decode("utf-8-sig", errors="replace"))
        loop = next(found for block in blocks if len(found := block.find("_valence_param_", names)))
        cited = loop.has_column(len(names) - 1)
        rows = []
        for line in loop:
            element, valence, anion, r0, b = (cif.as_string(line[k]) for k in range(5))
            state = int(valence)
            rows.append(
                {
                    "cation": element,
                    "oxidation_state": _ANY if state == _CIF_ANY else str(state),
                    "anion": anion,
                    "r0_A": str(cif.as_number(r0)),
                    "b_A": str(cif.as_number(b)),
                    "source": f"{path.name} ref. {cif.as_string(line[5]) if cited else '?'}",
                }
            )
    except OSError as error:
        raise ValueError(f"cannot read the parameter file {path}: {error.strerror}; give a bvparm .cif") from None
    except (ValueError, RuntimeError, StopIteration) as error:
        raise ValueError(
            f"{path} is no bvparm .cif with a _valence_param_ro loop; give the file of the IUCr"
        ) from error
    return _by_pair(rows)
