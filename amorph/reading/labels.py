"""Which element a row of a CIF is of: by its type symbol or, in a file without, by the beginning of its label."""

import re
from collections.abc import Set
from string import ascii_letters
from typing import Final

from ase.data import atomic_numbers, chemical_symbols

from amorph.reading.files import RefusedError
from amorph.reading.sites import ion_of

_LABEL: Final = re.compile(r"(?!(?i:vac|wat))([A-Za-z]+)[^/,|&;]*")
"""Letters and what follows; the V and W of vacancies and water are none."""
_MIXTURE: Final = re.compile(r"[A-Z][a-z]?\d*[+-]?\s*[/,|]\s*[A-Z][a-z]?|[A-Z][a-z]?\d*\.\d+\s*[A-Z]([a-z]|\d*\.\d)")
"""Two species with a sign between them, as Li/Ni1, or with a broken number, as Ni0.5Mn0.5; O1.1A is a number."""
_SYMBOL: Final = re.compile(r"[A-Z][a-z](?![a-z])")
"""A symbol that no suffix of a label looks like; W, A, B and O number sites, as in O1W and Mg1A."""
_BOUND: Final = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "I"})
"""Elements whose atoms are named by what they are bound to: the O of a silicate OSi."""
_BROKEN: Final = re.compile(r"\d*\.\d")
_HEAVIEST: Final = 94
"""Atomic number beyond which two capitals are no element of a crystal, as the NH of ammonium."""
_NATURAL: Final = frozenset(chemical_symbols[1 : _HEAVIEST + 1])
_DOUBTFUL: Final = frozenset({"Tm", "Ho", "Re", "Po", "Co"})
"""What two capitals may be and often are not: TM a transition metal, HO an H on O, RE a rare earth, PO, CO."""


def species_of(label: str, symbol: str, formula: Set[str]) -> tuple[str, float | None]:
    """Find element and charge of a row.

    Parameters
    ----------
    label, symbol
        Its label and type symbol; "?", "." or nothing where it has none.
    formula
        Elements in the formula of the file, which decide how two capitals or more letters are read; empty where
        there is none.

    Raises
    ------
    RefusedError
        It is a mixture, a vacancy, a group, or may be of two elements.
    """
    named = symbol not in {"", "?", "."}
    found = ion_of(symbol) if named else _by_label(label, formula)
    if found is None or _MIXTURE.match(label) or (not named and _names_another(label, found[0], formula)):
        what = f"{label} ({symbol})" if named and symbol != label else label or symbol
        raise RefusedError(
            f"has the atom {what}, which is no single element; give its element as _atom_site_type_symbol, a shared "
            "site as one row for each element with its occupancy, and a vacancy no row"
        )
    return found


def _names_another(label: str, element: str, formula: Set[str]) -> bool:
    """Tell whether a label that begins with its element names another one behind it, as NiMn or Li1Ni.

    Where there is a formula the other one must be in it: T of SiT is a site, Hs of Co_Hs a spin.
    """
    if element in _BOUND or (rest := label[len(element) :]).isdecimal():
        return False
    close = rest[: len(rest) - len(rest.lstrip(ascii_letters))]
    singles = re.findall(r"[A-Z](?![a-z])", close)
    pairs = [pair.capitalize() for pair in re.findall(r"(?=([A-Z]{2}))", close)]
    return not (formula or _NATURAL).isdisjoint({*_SYMBOL.findall(rest), *singles, *pairs} - {element})


def _by_label(label: str, formula: Set[str]) -> tuple[str, float | None] | None:
    """Read the beginning of a label as an element; of several letters the formula decides which.

    MgM1 and OSi of a formula with Mg, O and Si are Mg and O: the longest beginning that is in it.
    """
    match = _LABEL.fullmatch(label)
    if match is None or _BROKEN.search(label):
        return None
    letters = match[1]
    whole = ion_of(letters)
    if formula and (whole is None or (len(letters) == 2 and letters.isupper())):
        readings = (ion_of(letters[:size]) for size in (2, 1))
        return next((found for found in readings if found is not None and found[0] in formula), None)
    if len(letters) == 1 or not letters.isupper():
        return whole
    if whole is None or whole[0] in _DOUBTFUL or atomic_numbers[whole[0]] > _HEAVIEST:
        return None
    return whole
