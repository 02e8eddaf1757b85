"""Ions by name: "Mg2+", "Li+", "O2-"."""

import re
from dataclasses import dataclass

from ase.data import atomic_numbers

_LARGEST_CHARGE = 8
"""Highest known oxidation state in an oxide (OsO4, RuO4)."""
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻−–", "0123456789+---")
_ION = re.compile(r"(?P<element>[A-Z][a-z]?)(?:(?P<before>\d*)(?P<sign>[+-])|(?P<sign_first>[+-])(?P<after>\d+))")


@dataclass(frozen=True, slots=True, order=True)
class Ion:
    """An element with a formal charge."""

    element: str
    """Chemical symbol."""
    charge: int
    """Formal charge [e], never zero."""

    def __post_init__(self) -> None:
        if atomic_numbers.get(self.element, 0) == 0:
            raise ValueError(f"unknown element '{self.element}'; give a chemical symbol, as in Mg2+")
        if not 1 <= abs(self.charge) <= _LARGEST_CHARGE:
            raise ValueError(
                f"an ion {self.element} of charge {self.charge:+d} e: the charge must be 1 to {_LARGEST_CHARGE} "
                f"in size; write it as in Mg2+, Li+ or O2-"
            )

    @property
    def name(self) -> str:
        """The name as a chemist writes it, in plain characters: "Mg2+", "Li+", "O2-"."""
        return ion_name(self.element, self.charge)

    def __str__(self) -> str:
        return self.name


def ion_name(element: str, charge: float) -> str:
    """Write an ion as chemists do, a mean charge as such.

    >>> ion_name("Mg", 2.0), ion_name("Li", 1), ion_name("O", -2), ion_name("Mo", 4.5)
    ('Mg2+', 'Li+', 'O2-', 'Mo4.5+')
    """
    size = "" if abs(charge) == 1 else f"{abs(charge):.4g}"
    return f"{element}{size}{'-' if charge < 0 else '+'}"


def element_of(name: str) -> str:
    """Give the element of an ion's name, or of its own.

    >>> element_of("Mg2+"), element_of("Mg")
    ('Mg', 'Mg')
    """
    return name if atomic_numbers.get(name, 0) > 0 else parse_ion(name).element


def parse_ion(text: str) -> Ion:
    """Read an ion: "Mg2+", "Mg+2", "Mg²⁺", "Li+", "Li1+", "O2-".

    Raises
    ------
    ValueError
        No element and charge to be read, an unknown element, or a charge of zero or above 8.

    Examples
    --------
    >>> parse_ion("Mg+2")
    Ion(element='Mg', charge=2)
    >>> parse_ion("Li1+").name, parse_ion("O²⁻").name
    ('Li+', 'O2-')
    """
    match = _ION.fullmatch(text.strip().translate(_PLAIN))
    if match is None:
        raise ValueError(f"cannot read '{text}' as an ion; give an element and its charge, as in Mg2+, Li+ or O2-")
    size = match["after"] or match["before"] or "1"
    sign = match["sign"] or match["sign_first"]
    return Ion(match["element"], int(sign + size))
