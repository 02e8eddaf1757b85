"""Oxidation states that elements are known in: of anions the formal ones, of cations those of the ICSD's compounds."""

import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, TypeVar

Amount = TypeVar("Amount", int, Fraction)

ANION_CHARGES: Final[Mapping[str, int]] = MappingProxyType(
    {"F": -1, "O": -2, "Cl": -1, "N": -3, "Br": -1, "I": -1, "S": -2, "Se": -2, "P": -3, "As": -3, "Te": -2, "H": -1}
)
"""Charge of each element that can form the anion sublattice [e], the most electronegative (Pauling) first, H last: the
names of its compounds have it positive beside all others."""


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


def likeliest_states(amounts: Mapping[str, Amount], charge: Amount) -> dict[Amount, tuple[float, dict[str, float]]]:
    """Find the likeliest known states of elements for each charge that they can add up to.

    Parameters
    ----------
    amounts
        How much there is of each element.
    charge
        Charge to start from [e].

    Returns
    -------
    dict
        By the charge reached [e]: the largest Σ n ln p, p being a state's share as of :func:`known_states`, and the
        states.
    """
    reached: dict[Amount, tuple[float, dict[str, float]]] = {charge: (0.0, {})}
    for element, amount in amounts.items():
        step: dict[Amount, tuple[float, dict[str, float]]] = {}
        for state, share in known_states(element).items():
            for before, (score, chosen) in reached.items():
                after = before + amount * state
                better = score + float(amount) * math.log(share)
                if after not in step or better > step[after][0]:
                    step[after] = (better, {**chosen, element: float(state)})
        reached = step
    return reached
