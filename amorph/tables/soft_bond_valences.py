"""Soft bond-valence Morse parameters, each row with its source."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from amorph.tables.bond_valences import (
    SOFT_BV,
    BondValence,
    anion_name,
    read_table,
    source_of,
    table_of,
)
from amorph.tables.ions import Ion, element_of, parse_ion

_NOBLE_GASES = (2, 10, 18, 36, 54, 86)
"""Atomic numbers of the elements that end the periods 1 to 6."""


@dataclass(frozen=True)
class SoftBondValence(BondValence):
    """Morse parameters of the bond-valence site energy of one ion and one anion; b is one over the exponent α."""

    d0: float
    """Depth of the Morse well [eV]."""
    r_min: float
    """Distance of the minimum [Å]."""


def parameters_of(origin: Mapping[str, Any]) -> tuple[BondValence, ...]:
    """Give the bond-valence parameters that a field was made with, as they stand in its origin; none of another field.

    Raises
    ------
    ValueError
        They are no such parameters, as in a file that was edited.
    """
    try:
        return tuple(
            (SoftBondValence if "d0" in each else BondValence)(**each) for each in origin.get("parameters", ())
        )
    except TypeError as error:
        raise ValueError(f"its origin holds no bond-valence parameters: {error}") from None


def soft_bond_valence(
    ion: str | Ion, anion: str | Ion = "O2-", *, set: str | None = None, parameters: Path | None = None
) -> SoftBondValence:
    """Look up the soft-BV Morse parameters of an ion.

    Parameters
    ----------
    ion
        The mobile ion: "Li+".
    anion
        The anion that it bonds: "O2-", or the bare element.
    set
        Name of the set; only "chen_adams2019", the default, has Morse parameters.
    parameters
        A CSV table with the columns of ``tables/soft_bv.csv`` to read instead.

    Examples
    --------
    >>> soft_bond_valence("Li+").r_min, soft_bond_valence("Li+", "S").d0
    (1.94001, 1.04027)
    """
    cation = parse_ion(ion) if isinstance(ion, str) else ion
    element = anion.element if isinstance(anion, Ion) else element_of(anion)
    if set not in (None, SOFT_BV):
        raise ValueError(f"the set {set} has no Morse parameters; only {SOFT_BV} has")
    if parameters is not None and set is not None:
        raise ValueError(f"the set {set} and the file {parameters} are given; give one of them")
    if parameters is None:
        rows, name = table_of(SOFT_BV), SOFT_BV
    elif Path(parameters).suffix.lower() != ".csv":
        raise ValueError(f"{parameters} is no CSV table; Morse parameters are read from one, not from a bvparm .cif")
    else:
        rows, name = read_table(Path(parameters), ("d0_eV", "r_min_A", "b_A", "r0_A")), Path(parameters).name
    if (row := rows.get((cation.element, str(cation.charge), element))) is None:
        known = [state for first, state, second in rows if (first, second) == (cation.element, element)]
        partners = [
            anion_name(second)
            for first, state, second in rows
            if (first, state) == (cation.element, str(cation.charge))
        ]
        has = (
            f"{cation.element} of charge {', '.join(known)} with it"
            if known
            else (f"{cation} with {', '.join(partners)}" if partners else f"no {cation} at all")
        )
        raise ValueError(
            f"no soft-BV parameters for {cation}–{anion_name(element)}; {name} has {has}: pass d0, r_min and b, or "
            "point --parameters at a table"
        )
    d0, r_min, b, r0 = (float(row[column]) for column in ("d0_eV", "r_min_A", "b_A", "r0_A"))
    return SoftBondValence(cation.name, anion_name(element), r0, b, source_of(row, name), name, False, d0, r_min)


def principal_quantum_number(element: str) -> int:
    """Give the principal quantum number of an element's outermost shell: its period.

    >>> [principal_quantum_number(element) for element in ("H", "Li", "Mg", "Ti", "Mo", "La")]
    [1, 2, 3, 4, 5, 6]
    """
    if atomic_numbers.get(element, 0) == 0:
        raise ValueError(f"unknown element '{element}'; give a chemical symbol")
    return 1 + bisect.bisect_left(_NOBLE_GASES, atomic_numbers[element])
