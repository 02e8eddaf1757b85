"""What counts as an anion in a structure without oxidation states: by its elements and its bonds."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from amorph.parameters import Length
from amorph.structure.atoms import anion_mask
from amorph.structure.pairs import pair_list
from amorph.tables import ANION_CHARGES, Ion, anion_name, element_of, ion_name

GivenLengths = Length | Mapping[str, Length]
"""A length for the one anion of a structure, or one for each, by element."""

_BONDED: Final = 1.2
"""Atoms nearer than this times the sum of their covalent radii are bonded: O–O of a peroxide (1.55 Å) but not N–O of an
oxynitride (2.6 Å), S–O of a sulfate (1.5 Å) but not of an oxysulfide (2.9 Å)."""
_BONDED_TO_H: Final = 1.4
"""The same of hydrogen and another element, whose strong bonds are shared: F–H of bifluoride 1.14 Å, O–H 1.25 Å."""
_NUMBERS: Final = len(covalent_radii)
_RANK: Final = {element: rank for rank, element in enumerate((*list(ANION_CHARGES)[:-1], "C", "H"))}
"""Place in the order of electronegativity, C before H."""


def anion_charges(atoms: Atoms) -> tuple[NDArray[np.float64], list[str]]:
    """Give each anion its charge and every other atom 0, and say what was assumed.

    An atom bonded to a more electronegative one is no anion: the N of a nitrate, the Cl of a perchlorate, the S of a
    sulfate, the H of a hydroxide. S, Se, Te, I and H that are bonded to no such atom are anions whatever else the
    structure holds, as in an oxysulfide or a hydride of boron; of P and As the elements of the structure decide, as for
    :func:`anion_mask`. An anion has its usual charge, less one for every bond to another of its own element:
    O− in a peroxide, S− in a disulfide.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; its own oxidation states are ignored.

    Examples
    --------
    >>> nitrate = Atoms("NaNO3", [[3, 3, 3], [0, 0, 0], [1.25, 0, 0], [-0.6, 1.1, 0], [-0.6, -1.1, 0]], cell=[6, 6, 6])
    >>> nitrate.pbc = True
    >>> anion_charges(nitrate)
    (array([ 0.,  0., -2., -2., -2.]), [])
    """
    symbols = np.array(atoms.get_chemical_symbols())
    negative, usual, ranks = anion_mask(Atoms(atoms.numbers)), np.zeros(_NUMBERS), np.full(_NUMBERS, -1)
    for element, charge in ANION_CHARGES.items():
        usual[atomic_numbers[element]] = charge
    for element, place in _RANK.items():
        ranks[atomic_numbers[element]] = place
    for element in ("S", "Se", "Te", "I", "H"):
        negative |= atoms.numbers == atomic_numbers[element]
    charges = np.where(negative, usual[atoms.numbers], 0.0)
    ranked = np.flatnonzero(ranks[atoms.numbers] >= 0)
    if not ranked.size:
        return charges, []
    rank, radii = ranks[atoms.numbers[ranked]], covalent_radii[atoms.numbers[ranked]]
    bare = Atoms(atoms.numbers[ranked], positions=atoms.positions[ranked], cell=atoms.cell, pbc=True)
    pairs = pair_list(bare, _BONDED_TO_H * 2.0 * float(radii.max()))
    to_hydrogen = (bare.numbers[pairs.i] == 1) != (bare.numbers[pairs.j] == 1)
    reach = np.where(to_hydrogen, _BONDED_TO_H, _BONDED)
    bonded = pairs.d < reach * (radii[pairs.i] + radii[pairs.j])
    weaker = bonded & (rank[pairs.j] < rank[pairs.i])
    charges[ranked[pairs.i[weaker]]] = 0.0
    first, second = ranked[pairs.i[bonded]], ranked[pairs.j[bonded]]
    alike = (symbols[first] == symbols[second]) & (charges[first] < 0) & (charges[second] < 0)
    joined = np.bincount(first[alike], minlength=len(atoms))
    assumed = []
    for element in dict.fromkeys(symbols[joined > 0].tolist()):
        of_element = (symbols == element) & (joined > 0)
        left = sorted({float(charges[k] + joined[k]) for k in np.flatnonzero(of_element)})
        names = " or ".join(ion_name(element, charge) if charge else f"{element}0" for charge in left)
        assumed.append(f"{of_element.sum()} {element} bonded to each other taken as {names}")
    return charges + joined, assumed


def which_anions(atoms: Atoms, mobile: Ion, anion: str | None) -> tuple[NDArray[np.bool_], list[str], str]:
    """Tell which atoms an ion bonds as anions, of which elements they are, and by what rule.

    `anion` restricts the elements: "O" or "O2-", "O,Cl" for several; else all but the ion's own count.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    formula = atoms.symbols.formula.format("hill")
    if "oxidation_states" in atoms.arrays:
        charges, rule = atoms.arrays["oxidation_states"], "as of the oxidation states"
        assumed: list[str] = []
    else:
        charges, assumed = anion_charges(atoms)
        rule = "as of elements and bonds"
        # the middle of a chain is no less an anion for the bonds on both of its sides
        charges = np.where(np.isin(symbols, [each.split()[1] for each in assumed]), -1.0, charges)
    which = np.asarray(charges < 0) & (symbols != mobile.element)
    if anion is not None:
        chosen = [element_of(name) for name in re.split(r"[,\s]+", anion.strip())]
        for element in chosen:
            if element == mobile.element:
                raise ValueError(f"the ion {mobile} and the anion {element} are of one element; name two")
            if element not in symbols:
                raise ValueError(f"no {element} in {formula} for {mobile} to bond; name the structure's own with anion")
            if not which[symbols == element].any():
                raise ValueError(
                    f"no {element} in {formula} has a negative oxidation state, {rule}, for {mobile} to bond; name "
                    "another, or mend the oxidation states"
                )
        which &= np.isin(symbols, chosen)
    elif not which.any():
        raise ValueError(f"no anion in {formula}, {rule}, for {mobile} to bond; give a negative state, as in Si=-4")
    elements = list(dict.fromkeys(symbols[which].tolist()))
    if not assumed:
        states = [(e, float(q)) for e in elements for q in np.unique(charges[which & (symbols == e)])]
        odd = [state for state in states if state[1] != ANION_CHARGES.get(state[0])]
        assumed = [f"{ion_name(*state)} with the parameters of {anion_name(state[0])}" for state in odd]
    return which, elements, "; ".join([f"{' and '.join(elements)}, {rule}", *assumed])


def per_anion(name: str, given: GivenLengths, elements: list[str], *, shared: bool = False) -> dict[str, float]:
    """Give each anion its own of some given numbers, and refuse what leaves one out or names a stranger."""
    if not isinstance(given, Mapping):
        if len(elements) > 1 and not shared:
            raise ValueError(
                f"{name} = {given:g} Å belongs to one anion, and {', '.join(elements)} are summed; give one for each, "
                f"as in {name} {elements[0]}={given:g} ..., or name one with anion"
            )
        return dict.fromkeys(elements, given)
    named = {element_of(key): value for key, value in given.items()}
    if wrong := [
        element for element in {**dict.fromkeys(elements), **named} if (element in named) != (element in elements)
    ]:
        what = f"has none for {wrong[0]}" if wrong[0] in elements else f"names {wrong[0]}, which is no anion here"
        raise ValueError(f"{name} = {written(given)} {what}; the anions are {', '.join(elements)}")
    return named


def written(given: GivenLengths) -> str:
    if isinstance(given, Mapping):
        return " ".join(f"{key}={value:g}" for key, value in given.items()) + " Å"
    return f"{given:g} Å"
