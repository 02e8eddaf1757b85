"""Oxidation states of a structure's atoms: given, balanced by composition, or fitted to bond lengths."""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.parameters import checked
from amorph.structure.anions import anion_charges
from amorph.structure.atoms import periodic_atoms
from amorph.structure.pairs import pair_list
from amorph.tables import (
    ANION_CHARGES,
    SAME_STATE,
    Amount,
    Ion,
    bond_valence,
    bond_valence_charges,
    known_states,
    likeliest_states,
    states_of_mean,
)

_BOND_VALENCE_CUTOFF = 6.0
"""Anions at this distance or nearer count in the sum of a cation [Å], as on the bond-valence map."""
_NEARLY_NEUTRAL = 0.1
"""Charge per anion that fitted states may leave [e]: a cell of whole atoms misses a composition by that much."""
_ROUNDED = 0.005
"""Share of the charge of the anions that whole states may leave where occupancies are rounded."""
_TRIPLE_BOND = 1.3
"""C and N nearer than this are those of a cyanide [Å], at 1.15 Å; a single bond has 1.47 Å."""
_REMEDY_OF_ANION = "give them by element, as in {'Si': -4} or --oxidation-states Si=-4"
_REMEDY = "give them by element, as in {'Ti': 4} or --oxidation-states Ti=4"


@checked
def with_oxidation_states(
    atoms: Atoms,
    oxidation_states: str | Mapping[str, float] = "given",
    *,
    parameters: Path | None = None,
) -> Atoms:
    r"""Give every atom of a structure its oxidation state.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    oxidation_states
        "given": those that the structure has; "formal": one for each element, balanced by composition; "fitted": for
        each cation the one that its bond lengths fit; or the states of elements [e], as in Ti=4: the other elements
        keep those of the structure or, in a structure without, are balanced as formal ones.
    parameters
        A bvparm .cif, or a CSV table, to take the bond-valence parameters of fitted states from, instead of the sets.

    Returns
    -------
    Atoms
        A copy with ``arrays["oxidation_states"]`` [e].

    Raises
    ------
    ValueError
        No states in the structure, none that balance, no bond-valence parameters, or a rule that does not exist.

    Notes
    -----
    *Formal*: anions have their usual charge, in a peroxide or disulfide one less (:func:`anion_charges`). Among all
    neutral choices of known states for the other elements the one with the largest :math:`\sum_i \ln p_i` is taken, p
    being the share of a state among an element's entries in the ICSD. At most one element has a mixed valence: all of
    its atoms get the mean, a number between two neighboring known states, and the p's of these two, in their
    proportion, count.

    *Fitted*: the bond valence sum V of a cation is found with the r0 and b of each state q that has parameters of its
    own, Brown & Altermatt (1985), doi:10.1107/S0108768185002063; the state with the smallest \|V − q\| is taken. Where
    that leaves a charge, states are changed, all in one direction, such that \|V − q\|, summed over the cations, rises
    least. Anions have their usual charge. Where no states with parameters make the cell neutral, up to 0.1 e per anion
    may be left.

    Examples
    --------
    Mixed valence, after a sixth of the Li left an oxide of Mo4+:

    >>> oxide = Atoms("Li10Ti2Mo4O18", positions=[[2.0 * n, 0, 0] for n in range(34)], cell=[68, 5, 5], pbc=True)
    >>> states = with_oxidation_states(oxide, "formal").arrays["oxidation_states"]
    >>> dict(zip(oxide.get_chemical_symbols(), states.tolist()))
    {'Li': 1.0, 'Ti': 4.0, 'Mo': 4.5, 'O': -2.0}
    """
    return resolve_oxidation_states(atoms, oxidation_states, parameters=parameters)[0]


def resolve_oxidation_states(
    atoms: Atoms, oxidation_states: str | Mapping[str, float] | None, *, parameters: Path | None = None
) -> tuple[Atoms, str]:
    """Give atoms their oxidation states, and say in words where these come from.

    With None a structure keeps the states that it has, and one without is given formal ones.
    """
    atoms = periodic_atoms(atoms)
    has_states = "oxidation_states" in atoms.arrays
    if oxidation_states is None:
        oxidation_states = "given" if has_states else "formal"
    if isinstance(oxidation_states, Mapping):
        states, origin = _by_element(atoms, oxidation_states)
    elif oxidation_states == "given":
        if not has_states:
            raise ValueError(
                f"{atoms.get_chemical_formula('metal')} has no oxidation states; choose formal or fitted ones, or "
                f"{_REMEDY}"
            )
        states, origin = atoms.arrays["oxidation_states"].astype(np.float64), "given in the structure"
    elif oxidation_states == "formal":
        states, assumed = _formal(atoms, {})
        origin = f"formal: balanced by composition{assumed}"
    elif oxidation_states == "fitted":
        states, remark = _fitted(atoms, parameters)
        origin = f"fitted to bond valence sums{remark}"
    else:
        raise ValueError(
            f"oxidation_states = {oxidation_states!r} must be given, formal or fitted, or name elements as in Ti=4"
        )
    if not np.isfinite(states).all():
        k = int(np.argmin(np.isfinite(states)))
        raise ValueError(f"atom {k} ({atoms.symbols[k]}) has the oxidation state {states[k]:g}; {_REMEDY}")
    atoms.set_array("oxidation_states", states)
    return atoms, origin


def _by_element(atoms: Atoms, chosen: Mapping[str, float]) -> tuple[NDArray[np.float64], str]:
    if strangers := sorted(set(chosen) - set(atoms.get_chemical_symbols())):
        raise ValueError(
            f"oxidation_states names {', '.join(strangers)}, which {atoms.get_chemical_formula('metal')} does not "
            f"hold; remove the entry"
        )
    named = "by element: " + " ".join(f"{element}={state:g}" for element, state in chosen.items())
    if set(chosen) == set(atoms.get_chemical_symbols()):
        return np.array([chosen[symbol] for symbol in atoms.get_chemical_symbols()], dtype=np.float64), named
    if "oxidation_states" not in atoms.arrays:
        states, assumed = _formal(atoms, chosen)
        return states, f"{named}, the rest balanced by composition{assumed}"
    states = atoms.arrays["oxidation_states"].astype(np.float64)
    for element, state in chosen.items():
        states[atoms.symbols == element] = state
    return states, f"{named}, the rest given in the structure"


def _of_anions(atoms: Atoms, *, needed: bool = True) -> tuple[NDArray[np.float64], str]:
    """Find the charges of the anions, 0 for all other atoms, and what was assumed of them."""
    charges, assumed = anion_charges(atoms)
    if needed and not (charges < 0).any():
        raise ValueError(
            f"no anion in {atoms.get_chemical_formula('metal')}, so that no state balances; {_REMEDY_OF_ANION}"
        )
    return charges, "".join(f"; {each}" for each in assumed)


def _formal(atoms: Atoms, chosen: Mapping[str, float]) -> tuple[NDArray[np.float64], str]:
    """Find the most probable neutral states, by the rule in the notes of :func:`with_oxidation_states`."""
    symbols = np.array(atoms.get_chemical_symbols())
    states, assumed = _of_anions(atoms, needed=not any(state < 0 for state in chosen.values()))
    is_open = states == 0
    for element, state in chosen.items():
        states[symbols == element], is_open[symbols == element] = state, False
    counts = {element: int((is_open & (symbols == element)).sum()) for element in dict.fromkeys(symbols[is_open])}
    charge = float(states.sum())
    best = _balanced(counts, charge, 0)
    if best is None and (counts or abs(charge) > SAME_STATE):
        raise ValueError(
            f"no oxidation states balance {atoms.get_chemical_formula('metal')}, not even with one element of mixed "
            f"valence{assumed}{_chains(assumed)}; {_REMEDY}"
        )
    for element, state in ({} if best is None else best[1]).items():
        states[is_open & (symbols == element)] = state
    return states, assumed + _cyanide(atoms, states)


def _chains(assumed: str) -> str:
    """Name the anions of bonded O or N whose charge is no whole number, where such are in the structure."""
    known = {"O": "a superoxide has O=-0.5", "N": "an azide has N=-0.3333"}
    return "".join(f"; {hint}" for element, hint in known.items() if f" {element} bonded to each other" in assumed)


def _cyanide(atoms: Atoms, states: NDArray[np.float64]) -> str:
    """Say that the C of a cyanide was taken for a cation beside its N; empty where there is none."""
    pairs = pair_list(atoms, _TRIPLE_BOND)
    bound = (atoms.numbers[pairs.i] == 6) & (atoms.numbers[pairs.j] == 7) & (states[pairs.i] > 0)
    number = len(set(pairs.i[bound].tolist()))
    return f"; {number} C of a cyanide taken as cations beside their N" if number else ""


def _balanced(amounts: Mapping[str, Amount], charge: float, nothing: Amount) -> tuple[float, dict[str, float]] | None:
    """Find the most probable states that balance a charge, one element of mixed valence, with their Σ n ln p."""
    best, best_score = None, -math.inf
    for last, amount in amounts.items():
        states_of_last = known_states(last)
        reached = likeliest_states({element: amounts[element] for element in amounts if element != last}, nothing)
        for others, (score, found) in reached.items():
            mean = -(charge + float(others)) / float(amount)
            total = score + float(amount) * _log_share(states_of_last, mean)
            if total > best_score:
                nearest = round(mean)
                best, best_score = {**found, last: nearest if abs(mean - nearest) < SAME_STATE else mean}, total
    return None if best is None else (best_score, best)


def states_by_occupancy(amounts: Mapping[str, float], charge: float, negative: float) -> dict[str, float]:
    """Find formal states of elements of which there are broken amounts, as occupancies give them.

    Parameters
    ----------
    amounts
        How much there is of each element whose state is not known.
    charge
        Charge of all others [e].
    negative
        Charge of the anions [e]. Whole states may leave 0.5 % of it, which rounded occupancies miss.

    Raises
    ------
    ValueError
        No known states come that near to neutral, nor balance with one element of mixed valence.
    """
    exact = {element: Fraction(round(amount, 6)).limit_denominator(10**6) for element, amount in amounts.items()}
    reached = likeliest_states(exact, Fraction(0))
    near = [found for total, found in reached.items() if abs(charge + float(total)) <= _ROUNDED * abs(negative) + 1e-6]
    if (mixed := _balanced(exact, charge, Fraction(0))) is not None:
        near.append(mixed)
    if not near:
        formula = " ".join(f"{element}{amount:g}" for element, amount in amounts.items())
        raise ValueError(f"no oxidation states of {formula} balance the {charge:+g} e of all others; {_REMEDY}")
    return max(near, key=lambda found: found[0])[1]


def _log_share(known: Mapping[int, float], mean: float) -> float:
    """Give ln p of a state or, between two known states, of their mixture with this mean; −∞ outside of them."""
    shares = states_of_mean(known, mean)
    return sum(share * math.log(known[state]) for state, share in shares.items()) if shares else -math.inf


def _fitted(atoms: Atoms, parameters: Path | None) -> tuple[NDArray[np.float64], str]:
    """Fit the states of the cations, by the rule in the notes of :func:`with_oxidation_states`; say what is left."""
    states, assumed = _of_anions(atoms)
    symbols = np.array(atoms.get_chemical_symbols())
    is_anion = states < 0
    anions = [Ion(element, ANION_CHARGES[element]) for element in dict.fromkeys(symbols[is_anion].tolist())]
    pairs = pair_list(atoms, _BOND_VALENCE_CUTOFF)
    bonds = ~is_anion[pairs.i] & is_anion[pairs.j]
    first, second, distance = pairs.i[bonds], pairs.j[bonds], pairs.d[bonds]

    options: dict[int, dict[int, float]] = {}
    for element in dict.fromkeys(symbols[~is_anion]):
        listed = [bond_valence_charges(element, anion, parameters=parameters) for anion in anions]
        candidates = sorted(q for q in set.intersection(*map(set, listed)) if q > 0)
        if not candidates:
            lacking = next((a for a, q in zip(anions, listed, strict=True) if not q), min(anions)).name
            raise ValueError(
                f"no bond-valence parameters for {element} and {lacking}, so that its states cannot be fitted; choose "
                f"formal ones, {_REMEDY}, or give with_oxidation_states a bvparm .cif"
            )
        members = np.flatnonzero((symbols == element) & ~is_anion)
        misfits = np.empty((len(candidates), len(members)))
        for row, state in zip(misfits, candidates, strict=True):
            valences = np.empty(len(distance))
            for anion in anions:
                values = bond_valence(Ion(element, state), anion, parameters=parameters)
                of_anion = symbols[second] == anion.element
                valences[of_anion] = np.exp((values.r0 - distance[of_anion]) / values.b)
            row[:] = np.abs(np.bincount(first, valences, len(atoms))[members] - state)
        for k, misfit in zip(members.tolist(), misfits.T, strict=True):
            options[k] = dict(zip(candidates, misfit.tolist(), strict=True))
    for k, misfit_of in options.items():
        states[k] = min(misfit_of, key=lambda state: misfit_of[state])
    for k, state in _cheapest_changes(options, states, -round(states.sum())).items():
        states[k] = state
    left = round(states.sum())
    if abs(left) > _NEARLY_NEUTRAL * is_anion.sum():
        raise ValueError(
            f"fitted states leave {left:+d} e, which no states with bond-valence parameters take away; choose formal "
            f"ones, or {_REMEDY}"
        )
    return states, f"{assumed}, {left:+d} e is left" if left else assumed


def _cheapest_changes(
    options: Mapping[int, Mapping[int, float]], states: NDArray[np.float64], wanted: int
) -> dict[int, int]:
    """Choose the changes of state that add up to a charge, or come nearest to it, and raise the summed misfit least."""
    size, sign = abs(wanted), 1 if wanted > 0 else -1
    if size == 0:
        return {}
    # of every size of step only the cheapest that fit into the whole can be needed
    steps: dict[int, list[tuple[float, int]]] = {}
    for k, misfits in options.items():
        for state, misfit in misfits.items():
            if 0 < (step := round(sign * (state - states[k]))) <= size:
                steps.setdefault(step, []).append((misfit - misfits[int(states[k])], k))
    wanting = sorted({k for step, found in steps.items() for _, k in sorted(found)[: size // step]})
    cost = np.full(size + 1, np.inf)
    cost[0] = 0.0
    choices = np.zeros((len(wanting), size + 1), dtype=np.int64)
    for row, k in zip(choices, wanting, strict=True):
        before = cost.copy()
        for state, misfit in options[k].items():
            step = round(sign * (state - states[k]))
            if 0 < step <= size:
                changed = np.full(size + 1, np.inf)
                changed[step:] = before[:-step] + (misfit - options[k][int(states[k])])
                row[changed < cost] = step
                np.minimum(cost, changed, out=cost)
    changes: dict[int, int] = {}
    left = int(np.flatnonzero(np.isfinite(cost))[-1])
    for row, k in zip(choices[::-1], wanting[::-1], strict=True):
        if row[left]:
            changes[k] = round(states[k]) + sign * int(row[left])
            left -= int(row[left])
    return changes
