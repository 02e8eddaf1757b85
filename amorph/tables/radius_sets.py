"""Radii of atoms and ions, each row with its source."""

import functools
from types import MappingProxyType

from ase.data import chemical_symbols, covalent_radii

from amorph.tables.bond_valences import _rows
from amorph.tables.ions import Ion, parse_ion

_LAST_CORDERO = 96
"""Curium, the last element of the source; ASE fills the rest with a constant."""


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
