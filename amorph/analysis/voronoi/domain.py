"""Where the oxygen of MgO is a reference for the free volume, and where it is none."""

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np
from ase import Atoms

from amorph.structure import anion_mask, resolve_oxidation_states
from amorph.tables import ANION_CHARGES, Ion, ion_name, known_states, radius
from amorph.tables.crystals import BINARY_OXIDES

log = logging.getLogger(__name__)

REFERENCE: Final = "MgO"
"""The crystal whose oxygen is the reference: a close packing of anions, of the experiment's lattice constant."""
_OPEN_NETWORKS: Final = frozenset({"B", "C", "N", "Si", "P", "S", "Ge", "As"})
"""Cations of three or four anions, which share corners: their dense crystals are no close packings of anions either."""
_ALIKE: Final = 0.15
"""Ions whose radii differ by less than this share stand in for each other in a crystal, by Goldschmidt's rule."""


def mean_states(atoms: Atoms) -> Mapping[str, float]:
    """Give the mean state of each element, those of the structure or formal ones; empty where none balance."""
    try:
        states = resolve_oxidation_states(atoms, None)[0].arrays["oxidation_states"]
    except ValueError:
        return {}
    return {symbol: float(states[atoms.symbols == symbol].mean()) for symbol in sorted(set(atoms.symbols))}


def check_ion(atoms: Atoms, ion: Ion) -> None:
    """Refuse an ion in a state that is not its own in the cell, or that its element has nowhere."""
    of_element = atoms.symbols == ion.element
    if "oxidation_states" in atoms.arrays:
        own = atoms.arrays["oxidation_states"][of_element]
        if np.floor(own.min()) <= ion.charge <= np.ceil(own.max()):
            return
        has = " and ".join(f"{state:+g}" for state in np.unique(own))
        raise ValueError(
            f"ion = {ion.name} is not what the cell has: {ion.element} of {has}; name that, or the element"
        )
    charges = set(known_states(ion.element)) if ion.charge > 0 else {ANION_CHARGES.get(ion.element)}
    if ion.charge not in charges:
        has = ", ".join(ion_name(ion.element, charge) for charge in charges if charge)
        raise ValueError(f"ion = {ion.name} is no ion that is known; there is {has}: name that, or the element")


def out_of_domain(atoms: Atoms, states: Mapping[str, float], anion: str) -> str | None:
    """Say for what oxygen in MgO is no reference; None where nothing speaks against it.

    The domain are close packings of O that hold a cation like Mg2+: of a radius within 15 % of it, as Goldschmidt's
    rule has it for ions that replace each other, which no hydrogen or network of triangles or tetrahedra opens.
    """
    anions = anion_mask(atoms)
    cations = sorted(set(atoms.symbols[~anions]))
    if others := sorted(set(atoms.symbols[anions]) - {anion}):
        return f"{', '.join(others)} beside {anion}"
    if "H" in cations:
        return f"a network with H, whose bonds hold the {anion} apart or together"
    if network := sorted(_OPEN_NETWORKS.intersection(cations)):
        return f"a network of {', '.join(network)}"
    of_mg = radius("shannon_ionic", "Mg", 2)
    if states and not any(abs(_size(symbol, states[symbol]) / of_mg - 1.0) < _ALIKE for symbol in cations):
        sizes = ", ".join(f"{symbol}{states[symbol]:+g} {_size(symbol, states[symbol]):.3g} Å" for symbol in cations)
        return f"cations of which none is as large as Mg2+, {of_mg:g} Å within {100 * _ALIKE:g} % ({sizes})"
    return None


def _size(element: str, state: float) -> float:
    """Give Shannon's radius in six neighbors [Å]; NaN where none is tabulated."""
    try:
        return radius("shannon_ionic", element, state)
    except ValueError:
        return float("nan")


def told_note(why: str, states: Mapping[str, float], reference: str) -> str:
    """Say, in the log too, that the reference says nothing of a structure, and which crystal of its network would."""
    formers = _OPEN_NETWORKS.intersection(states)
    named = sorted(entry.name for ion in formers if (entry := BINARY_OXIDES.get((ion, round(states[ion])))))
    remedy = f", such as {' or '.join(named)}" if named else ""
    note = (
        f"{reference} is no reference for {why}: f_V counts what any such structure has; give oxygen_volume of a dense "
        f"crystal of the same network{remedy}"
    )
    log.warning("%s", note)
    return note
