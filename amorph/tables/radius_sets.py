"""Named sets of radii."""

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from amorph.tables.ions import ion_name, parse_ion
from amorph.tables.oxidation_states import ANION_CHARGES

_LAST_CORDERO = 96
"""Curium, the last element of the source; ASE fills the rest with a constant."""
_SHANNON: Final = "shannon_ionic"
_SIX: Final = "VI"
_COORDINATIONS: Final = ("I", "II", "III", "IV", "V", _SIX, "VII", "VIII", "IX", "X", "XI", "XII", "XIV")
"""Numbers of neighbors as Shannon writes them; some have the shape behind them, as in IVSQ and IIIPY."""
_LOW_SPIN: Final = frozenset({"Co3+"})
"""Ions that are low spin in oxides; the others are high spin where both are tabulated."""


@functools.cache
def radii(set_name: str) -> MappingProxyType[str, float]:
    """Give a named set of radii [Å].

    ``shannon_ionic`` (Shannon 1976, doi:10.1107/S0567739476001551, as pymatgen ships them) is keyed by ion, "Mg2+";
    ``cordero_covalent`` (Cordero et al. 2008, doi:10.1039/B801115J, as ASE ships them) by element, "Mg". Ionic radii
    are those of sixfold coordination or, of an ion that is not tabulated in it, of the nearest; ``shannon_ionic:IV``
    names another, and holds the ions that are tabulated in it. High spin where both exist, Co3+ low spin.
    :func:`radius` finds the radius of an atom in a set.

    >>> radii("shannon_ionic")["Mg2+"], radii("shannon_ionic:IV")["Mg2+"], radii("cordero_covalent")["Mg"]
    (0.72, 0.57, 1.41)
    """
    if set_name == "cordero_covalent":
        named = zip(chemical_symbols[1 : _LAST_CORDERO + 1], covalent_radii[1:], strict=False)
        return MappingProxyType({symbol: float(value) for symbol, value in named})
    base, _, coordination = set_name.partition(":")
    if base != _SHANNON or (coordination and _place(coordination) is None):
        raise ValueError(
            f"unknown radii set '{set_name}'; the sets are shannon_ionic, shannon_ionic:IV and other coordinations, "
            "cordero_covalent"
        )
    return MappingProxyType(_shannon(coordination))


def radius(set_name: str, element: str, oxidation_state: float | None = None) -> float:
    """Find the radius of one atom [Å] in a named set.

    Parameters
    ----------
    set_name
        Name of the set, as :func:`radii` takes it.
    element
        Chemical symbol.
    oxidation_state
        Formal charge [e]; needed in an ionic set where the element has more than one. A mean charge has the radius
        between those of its neighbors; without a charge an element that forms anions is one.

    Examples
    --------
    >>> radius("shannon_ionic", "Ti", 4), radius("shannon_ionic", "O"), radius("cordero_covalent", "O", -2)
    (0.605, 1.4, 0.66)
    """
    values = radii(set_name)
    if element in values:
        return values[element]
    states = {parse_ion(name).charge: value for name, value in values.items() if _element(name) == element}
    if oxidation_state is None:
        oxidation_state = next(iter(states)) if len(states) == 1 else ANION_CHARGES.get(element)
        if oxidation_state not in states and states:
            raise ValueError(
                f"the radii set {set_name} has {', '.join(ion_name(element, charge) for charge in states)}; give the "
                f"oxidation states of {element}, or choose cordero_covalent"
            )
    alike = sorted(charge for charge in states if oxidation_state is not None and charge * oxidation_state > 0)
    if oxidation_state is None or not alike or not alike[0] <= oxidation_state <= alike[-1]:
        state = "" if oxidation_state is None else f" of oxidation state {oxidation_state:+g}"
        raise ValueError(f"the radii set {set_name} has no {element}{state}; give the radius itself or another set")
    return float(np.interp(oxidation_state, alike, [states[charge] for charge in alike]))


def _element(name: str) -> str:
    return re.split(r"[\d+-]", name, maxsplit=1)[0]


def _place(coordination: str) -> int | None:
    """Give the number of neighbors; None where it is no number."""
    number = re.sub(r"(SQ|PY)$", "", coordination)
    return _COORDINATIONS.index(number) if number in _COORDINATIONS else None


def _shannon(coordination: str) -> dict[str, float]:
    """Collect the radii of one coordination or, where none is named, of the nearest to six."""
    from pymatgen.core import Element

    found: dict[str, float] = {}
    for element in Element:
        states: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]] = element.data.get("Shannon radii") or {}
        for state, tabulated in states.items():
            if not state:  # a row of an unknown charge
                continue
            name = ion_name(element.symbol, int(state))
            nearest = min(tabulated, key=lambda each: abs((_place(each) or 0) - _COORDINATIONS.index(_SIX)))
            by_spin = tabulated.get(coordination or nearest)
            if by_spin:
                spin = "Low Spin" if name in _LOW_SPIN else "High Spin"
                found[name] = by_spin.get(spin, next(iter(by_spin.values())))["ionic_radius"]
    return found
