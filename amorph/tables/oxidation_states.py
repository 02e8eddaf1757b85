"""Oxidation states that elements are known in: of anions the formal ones, of cations those of the ICSD's compounds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ANION_CHARGES: Final[Mapping[str, int]] = MappingProxyType(
    {"F": -1, "O": -2, "Cl": -1, "N": -3, "Br": -1, "I": -1, "S": -2, "Se": -2, "Te": -2, "P": -3}
)
"""Charge of each element that can form the anion sublattice [e], the most electronegative (Pauling) first."""


def known_states(element: str) -> dict[int, float]:
    """Look up the positive oxidation states of an element, and the share of its ICSD entries that each has.

    The counts are those that pymatgen ships with its bond-valence analysis.

    >>> max(known_states("Ti").items(), key=lambda entry: entry[1])[0]
    4
    """
    from pymatgen.analysis.bond_valence import PRIOR_PROB

    found: dict[int, float] = {
        int(species.oxi_state): float(count)
        for species, count in PRIOR_PROB.items()
        if species.symbol == element and species.oxi_state > 0
    }
    if not found:
        raise ValueError(f"no oxidation state of {element} is known; give oxidation_states = {{'{element}': ...}}")
    total = sum(found.values())
    return {charge: count / total for charge, count in sorted(found.items())}
