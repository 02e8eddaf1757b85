"""Cited values: bond-valence parameters, soft-BV Morse parameters and radii, each row with its source."""

import bisect
import csv
import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from amorph.tables.ions import Ion, parse_ion

__all__ = [
    "BondValence",
    "Ion",
    "SoftBondValence",
    "bond_valence",
    "bond_valence_charges",
    "parse_ion",
    "principal_quantum_number",
    "radii",
    "radius",
    "soft_bond_valence",
]

_ANY = "any"
_CIF_ANY = 9
"""How a bvparm .cif writes "whatever the oxidation state"."""
_NOBLE_GASES = (2, 10, 18, 36, 54, 86)
"""Atomic numbers of the elements that end the periods 1 to 6."""
_LAST_CORDERO = 96
"""Curium, the last element of the source; ASE fills the rest with a constant."""


@dataclass(frozen=True, slots=True)
class BondValence:
    """Parameters of the bond valence exp[(r0 − d)/b] of one ion and one anion."""

    r0: float
    """Length of a bond of unit valence [Å]."""
    b: float
    """Softness [Å]."""
    source: str
    """Where the values come from."""
    verified: bool
    """Whether the values were confirmed in their first source."""


@dataclass(frozen=True, slots=True)
class SoftBondValence:
    """Morse parameters of the bond-valence site energy of one ion and one anion."""

    d0: float
    """Depth of the Morse well [eV]."""
    r_min: float
    """Distance of the minimum [Å]."""
    b: float
    """Softness, one over the Morse exponent α [Å]."""
    r0: float
    """Length of a bond of unit valence [Å]."""
    source: str
    """Where the values come from."""
    verified: bool
    """Whether the values were confirmed in their first source."""


def bond_valence(ion: str | Ion, anion: str | Ion = "O2-", *, parameters: Path | None = None) -> BondValence:
    """Look up the bond-valence parameters of an ion.

    Parameters
    ----------
    ion
        The ion whose valence is summed: "Mg2+".
    anion
        The anion that it bonds: "O2-", or the bare element.
    parameters
        A bvparm .cif file of the IUCr to read instead of the shipped table. Its first row for a pair counts: the file
        lists the values in decreasing order of reliability.

    Notes
    -----
    Where a table has no row for the oxidation state but one for any oxidation state, that row counts.

    Examples
    --------
    >>> bond_valence("Mg2+").r0, bond_valence("Mg2+").b
    (1.693, 0.37)
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    element, charge = _anion(anion)
    table = _bond_valences() if parameters is None else _read_bvparm(Path(parameters))
    for state in (str(cation.charge), _ANY):
        for (first, first_state, second, second_charge), values in table.items():
            if (first, first_state, second) == (cation.element, state, element) and charge in (None, second_charge):
                return values
    where = "" if parameters is None else f" in {parameters}"
    remedy = (
        "pass r0 and b, or point --parameters at a bvparm .cif"
        if parameters is None
        else "pass r0 and b, or give another file"
    )
    raise ValueError(f"no bond-valence parameters for {cation}–{_anion_name(element, charge)}{where}; {remedy}")


def bond_valence_charges(element: str, anion: str | Ion = "O2-", *, parameters: Path | None = None) -> tuple[int, ...]:
    """List the charges of an element that :func:`bond_valence` has a row of its own for, the lowest first.

    >>> bond_valence_charges("Mo")
    (4, 5, 6)
    """
    second, charge = _anion(anion)
    table = _bond_valences() if parameters is None else _read_bvparm(Path(parameters))
    found = {
        int(state)
        for first, state, other, other_charge in table
        if (first, other) == (element, second) and charge in (None, other_charge) and state != _ANY
    }
    return tuple(sorted(found))


def soft_bond_valence(ion: str | Ion, anion: str | Ion = "O2-") -> SoftBondValence:
    """Look up the soft-BV Morse parameters of an ion.

    >>> soft_bond_valence("Li+").r_min
    1.94001
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    element, charge = _anion(anion)
    for (first, first_charge, second, second_charge), values in _soft_bond_valences().items():
        if (first, first_charge, second) == (cation.element, cation.charge, element) and charge in (
            None,
            second_charge,
        ):
            return values
    known = ", ".join(Ion(first, state).name for first, state, *_ in _soft_bond_valences())
    raise ValueError(
        f"no soft-BV parameters for {cation}–{_anion_name(element, charge)}; the table has {known}, each with O2-"
    )


def principal_quantum_number(element: str) -> int:
    """Give the principal quantum number of an element's outermost shell: its period.

    >>> [principal_quantum_number(element) for element in ("H", "Li", "Mg", "Ti", "Mo", "La")]
    [1, 2, 3, 4, 5, 6]
    """
    if atomic_numbers.get(element, 0) == 0:
        raise ValueError(f"unknown element '{element}'; give a chemical symbol")
    return 1 + bisect.bisect_left(_NOBLE_GASES, atomic_numbers[element])


@functools.cache
def radii(set_name: str) -> MappingProxyType[str, float]:
    """Give a named set of radii [Å].

    ``shannon_ionic`` (Shannon 1976, doi:10.1107/S0567739476001551; six-coordinated, high spin where both exist, Co3+
    low spin) is keyed by ion, "Mg2+"; ``cordero_covalent`` (Cordero et al. 2008, doi:10.1039/B801115J, as ASE ships
    them) by element, "Mg". :func:`radius` finds the radius of an atom in either.

    >>> radii("shannon_ionic")["Mg2+"], radii("cordero_covalent")["Mg"]
    (0.72, 1.41)
    """
    sets = _radii()
    if set_name not in sets:
        raise ValueError(f"unknown radii set '{set_name}'; the sets are {', '.join(sets)}")
    return sets[set_name]


def radius(set_name: str, element: str, oxidation_state: float | None = None) -> float:
    """Find the radius of one atom [Å] in a named set.

    Parameters
    ----------
    set_name
        Name of the set, as :func:`radii` takes it.
    element
        Chemical symbol.
    oxidation_state
        Formal charge [e]; needed in an ionic set where the element has more than one.

    Examples
    --------
    >>> radius("shannon_ionic", "Ti", 4), radius("shannon_ionic", "O"), radius("cordero_covalent", "O", -2)
    (0.605, 1.4, 0.66)
    """
    values = radii(set_name)
    if element in values:
        return values[element]
    ions = {name: parse_ion(name) for name in values if not name.isalpha()}
    of_element = {name: ion.charge for name, ion in ions.items() if ion.element == element}
    if oxidation_state is not None:
        of_element = {name: charge for name, charge in of_element.items() if charge == oxidation_state}
    if len(of_element) == 1:
        return values[next(iter(of_element))]
    if of_element:
        raise ValueError(
            f"the radii set {set_name} has {', '.join(of_element)}; give the oxidation states of {element}, "
            f"or choose cordero_covalent"
        )
    state = "" if oxidation_state is None else f" of oxidation state {oxidation_state:+g}"
    raise ValueError(f"the radii set {set_name} has no {element}{state}; give the radius itself or another set")


def _anion(anion: str | Ion) -> tuple[str, int | None]:
    if isinstance(anion, Ion):
        return anion.element, anion.charge
    if anion in chemical_symbols[1:]:
        return anion, None
    parsed = parse_ion(anion)
    return parsed.element, parsed.charge


def _anion_name(element: str, charge: int | None) -> str:
    if charge is None:
        return element
    return f"{element}{abs(charge)}{'+' if charge > 0 else '-'}"


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@functools.cache
def _bond_valences() -> dict[tuple[str, str, str, int], BondValence]:
    return {
        (row["cation"], row["oxidation_state"], row["anion"], int(row["anion_oxidation_state"])): BondValence(
            float(row["r0_A"]), float(row["b_A"]), row["source"], row["status"] == "verified"
        )
        for row in _rows("bond_valence.csv")
    }


@functools.cache
def _soft_bond_valences() -> dict[tuple[str, int, str, int], SoftBondValence]:
    return {
        (row["cation"], int(row["oxidation_state"]), row["anion"], int(row["anion_oxidation_state"])): SoftBondValence(
            float(row["d0_eV"]),
            float(row["r_min_A"]),
            float(row["b_A"]),
            float(row["r0_A"]),
            row["source"],
            row["status"] == "verified",
        )
        for row in _rows("soft_bv.csv")
    }


@functools.cache
def _radii() -> dict[str, MappingProxyType[str, float]]:
    sets: dict[str, dict[str, float]] = {}
    for row in _rows("radii.csv"):
        name = Ion(row["element"], int(row["oxidation_state"])).name
        sets.setdefault(row["set"], {})[name] = float(row["radius_A"])
    sets["cordero_covalent"] = {
        symbol: float(covalent_radii[number])
        for number, symbol in enumerate(chemical_symbols[: _LAST_CORDERO + 1])
        if number > 0
    }
    return {name: MappingProxyType(values) for name, values in sets.items()}


def _read_bvparm(path: Path) -> dict[tuple[str, str, str, int], BondValence]:
    """Read the parameter loop of a bvparm .cif file of the IUCr, the first row of each pair."""
    from ase.io.cif import parse_cif

    wanted = ("atom_1", "atom_1_valence", "atom_2", "atom_2_valence", "ro", "b")
    try:
        with path.open("rb") as file:
            blocks = list(parse_cif(file))
        block = next(block for block in blocks if "_valence_param_ro" in block)
        columns = [block[f"_valence_param_{name}"] for name in wanted]
        references = block.get("_valence_param_ref_id") or ["?"] * len(columns[0])
        table: dict[tuple[str, str, str, int], BondValence] = {}
        for first, state, second, second_state, r0, b, reference in zip(*columns, references, strict=True):
            key = (str(first), _ANY if int(state) == _CIF_ANY else str(int(state)), str(second), int(second_state))
            table.setdefault(key, BondValence(float(r0), float(b), f"{path.name} ref. {reference}", False))
    except OSError as error:
        raise ValueError(f"cannot read the parameter file {path}: {error.strerror}; give a bvparm .cif") from None
    except (KeyError, ValueError, TypeError, IndexError, AssertionError, RuntimeError, StopIteration) as error:
        raise ValueError(
            f"{path} is no bvparm .cif with a _valence_param_ro loop; give the file of the IUCr"
        ) from error
    return table
