"""Which element a row of a CIF is of: by its type symbol or, in a file without, by the beginning of its label."""

import re
from collections.abc import Set
from typing import Final

from ase.data import atomic_numbers

from amorph.reading.files import RefusedError
from amorph.reading.sites import ion_of

_LABEL: Final = re.compile(r"([A-Za-z]{1,2})(?![A-Za-z])([^/,|&;]*)")
_MIXTURE: Final = re.compile(r"[A-Z][a-z]?\d*[+-]?\s*[/,|]\s*[A-Z][a-z]?|[A-Z][a-z]?\d*\.\d+\s*[A-Z]")
"""Two species with a sign between them, as Li/Ni1, or with a broken number, as Ni0.5Mn0.5."""
_SYMBOL: Final = re.compile(r"[A-Z][a-z](?![a-z])")
"""A symbol that no suffix of a label looks like; W, A, B and O number sites, as in O1W and Mg1A."""
_BOUND: Final = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Se", "Br", "I"})
"""Elements whose atoms are named by what they are bound to: the O of a silicate OSi."""
_BROKEN: Final = re.compile(r"\d*\.\d")
_HEAVIEST: Final = 94
"""Atomic number beyond which two capitals are no element of a crystal, as the NH of ammonium."""
_DOUBTFUL: Final = frozenset({"Tm", "Ho", "Re", "Po", "Co"})
"""What two capitals may be and often are not: TM a transition metal, HO an H on O, RE a rare earth, PO, CO."""


def species_of(label: str, symbol: str, formula: Set[str]) -> tuple[str, float | None]:
    """Find element and charge of a row.

    Parameters
    ----------
    label, symbol
        Its label and type symbol; "?", "." or nothing where it has none.
    formula
        Elements in the formula of the file, which decide how two capitals are read; empty where there is none.

    Raises
    ------
    RefusedError
        It is a mixture, a vacancy, a group, or may be of two elements.
    """
    named = symbol not in {"", "?", "."}
    found = ion_of(symbol) if named else _by_label(label, formula)
    if found is None or _MIXTURE.match(label) or _names_another(label, found[0]):
        what = f"{label} ({symbol})" if named and symbol != label else label or symbol
        raise RefusedError(
            f"has the atom {what}, which is no single element; give its element as _atom_site_type_symbol, a shared "
            "site as one row for each element with its occupancy, and a vacancy no row"
        )
    return found


def _names_another(label: str, element: str) -> bool:
    """Tell whether a label that begins with its element names another one behind it, as NiMn or Li1Ni."""
    if element in _BOUND or not label.startswith(element) or (rest := label[len(element) :]).isdecimal():
        return False
    return any(other != element and other in atomic_numbers for other in _SYMBOL.findall(rest))


def _by_label(label: str, formula: Set[str]) -> tuple[str, float | None] | None:
    """Read the beginning of a label as an element; of two capitals the formula decides which."""
    match = _LABEL.fullmatch(label)
    if match is None or _BROKEN.search(label):
        return None
    letters = match[1]
    whole = ion_of(letters)
    if len(letters) == 1 or not letters.isupper():
        return whole
    readings = [whole] if whole is not None else []
    if formula:
        readings += [first] if (first := ion_of(letters[0])) is not None else []
        return next((reading for reading in readings if reading[0] in formula), None)
    if whole is None or whole[0] in _DOUBTFUL or atomic_numbers[whole[0]] > _HEAVIEST:
        return None
    return whole
