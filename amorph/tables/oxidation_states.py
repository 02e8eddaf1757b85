"""Oxidation states that elements are known in: of anions the formal ones, of cations those of the ICSD's compounds."""

import math
from collections.abc import Collection, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, TypeVar

Amount = TypeVar("Amount", int, Fraction)

SAME_STATE: Final = 1e-6
"""Two oxidation states nearer than this are one [e]."""

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
    found = _counted(element)
    if not found:
        raise ValueError(f"no oxidation state of {element} is known; give oxidation_states, as in {element}=3")
    total = sum(found.values())
    return {charge: count / total for charge, count in sorted(found.items())}


def shares_of_state(element: str, state: float) -> dict[int, float]:
    """Split the state of an ion into the known ones of its element; one beyond those is taken as it is.

    >>> shares_of_state("Pb", 8 / 3), shares_of_state("Pu", 4.0)
    ({2: 0.6666666666666667, 4: 0.33333333333333326}, {4: 1.0})
    """
    return states_of_mean(_counted(element), state) or {max(round(state), 1): 1.0}


def _counted(element: str) -> dict[int, float]:
    from pymatgen.analysis.bond_valence import PRIOR_PROB

    return {
        int(species.oxi_state): float(count)
        for species, count in PRIOR_PROB.items()
        if species.symbol == element and species.oxi_state > 0
    }


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


def states_of_mean(known: Collection[int], mean: float) -> dict[int, float]:
    """Split a mean state into the known ones on both sides of it; nothing beyond them. Pb 8/3 is 2 Pb2+, Pb4+.

    >>> states_of_mean((2, 4), 2.5), states_of_mean((2, 4), 4.0), states_of_mean((2, 4), 5.0)
    ({2: 0.75, 4: 0.25}, {4: 1.0}, {})
    """
    low = max((state for state in known if state <= mean + SAME_STATE), default=None)
    high = min((state for state in known if state >= mean - SAME_STATE), default=None)
    if low is None or high is None:
        return {}
    part = 0.0 if low == high else (mean - low) / (high - low)
    return {low: 1.0} if low == high else {low: 1.0 - part, high: part}
