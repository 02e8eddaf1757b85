"""Soft bond-valence Morse parameters, each row with its source."""

import bisect
import functools
from dataclasses import dataclass

from ase.data import atomic_numbers

from amorph.tables.bond_valences import _anion, _rows
from amorph.tables.ions import Ion, parse_ion

_NOBLE_GASES = (2, 10, 18, 36, 54, 86)
"""Atomic numbers of the elements that end the periods 1 to 6."""


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
    raise ValueError(f"no soft-BV parameters for {cation}–{anion}; the table has {known}, each with O2-")


def principal_quantum_number(element: str) -> int:
    """Give the principal quantum number of an element's outermost shell: its period.

    >>> [principal_quantum_number(element) for element in ("H", "Li", "Mg", "Ti", "Mo", "La")]
    [1, 2, 3, 4, 5, 6]
    """
    if atomic_numbers.get(element, 0) == 0:
        raise ValueError(f"unknown element '{element}'; give a chemical symbol")
    return 1 + bisect.bisect_left(_NOBLE_GASES, atomic_numbers[element])


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
