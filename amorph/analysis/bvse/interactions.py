"""What acts on an ion at a point: Morse attraction of the anions and screened repulsion of the cations."""

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.tables import Ion, ion_name, parse_ion, principal_quantum_number, radius, soft_bond_valence

Convention = Literal["full", "half"]

COULOMB: Final = 14.4
"""e²/(4πε₀) as soft-BV rounds it [eV·Å]."""
SCREENING: Final = 0.74
"""f, the screening length of a repulsion over the sum of the covalent radii."""
RADII: Final = "cordero_covalent"
"""The set of covalent radii."""

_LONGEST_CUTOFF = 100.0
"""Every term has died out long before [Å]; some 250 Å would leave the exponential's range."""
_MOST_ATOMS = 1_000_000
"""Atoms within the cutoff of one point: beyond this the cutoff must be a slip."""


@dataclass(frozen=True)
class Interaction:
    """How the mobile ion interacts with the framework's atoms of one element and charge."""

    element: str
    """Chemical symbol."""
    charge: float
    """Oxidation state [e]."""
    count: int
    """Atoms of this kind in the cell."""
    kind: Literal["Morse", "repulsion"]
    """Morse potential of an anion, or screened Coulomb repulsion of a cation."""
    depth: float
    """Factor of the term [eV]: c·D0 of a Morse potential, 14.4·q1·q2/√(n1·n2)/(f·(r1 + r2)) of a repulsion."""
    length: float
    """Of a Morse potential b = 1/α, of a repulsion f·(r1 + r2) [Å]."""
    r_min: float | None
    """Distance of the minimum of a Morse potential [Å]."""
    source: str
    """Where the values come from; with "unverified" where nobody confirmed them in their first source."""

    @property
    def species(self) -> str:
        """Element and charge, a mean charge as such: "Ti4+", "Mo3.5+"."""
        return ion_name(self.element, self.charge)


class Term(NamedTuple):
    """What the kernels take of an interaction."""

    is_morse: bool
    """Whether it is a Morse potential; else a screened repulsion."""
    scale: float
    """log2(e)/b of a Morse potential, 1/length of a repulsion [1/Å]."""
    r_min: float
    """Distance of the minimum of a Morse potential [Å]."""
    weight: float
    """Factor of the term [eV]."""


@dataclass(frozen=True, eq=False)
class _Kind:
    """Atoms of one element and charge, and how they interact with the mobile ion."""

    interaction: Interaction
    positions: NDArray[np.float64]

    @property
    def term(self) -> Term:
        """The interaction as the kernels take it."""
        each = self.interaction
        if each.r_min is None:
            return Term(False, 1.0 / each.length, 0.0, each.depth)
        return Term(True, math.log2(math.e) / each.length, each.r_min, each.depth)


def _kinds(atoms: Atoms, name: str, convention: Convention, cutoff: float) -> tuple[Ion, list[_Kind]]:
    """Sort the framework's atoms by element and charge, and look up their interactions with the mobile ion."""
    mobile = parse_ion(name)
    if cutoff > _LONGEST_CUTOFF:
        raise ValueError(
            f"cutoff = {cutoff:g} Å is longer than {_LONGEST_CUTOFF:g} Å, where every term has died out; give a "
            f"shorter one (default 10.0)"
        )
    framework = atoms[~(atoms.symbols == mobile.element)]
    reached = 4.0 / 3.0 * math.pi * cutoff**3 * len(framework) / atoms.cell.volume
    if reached > _MOST_ATOMS:
        raise ValueError(
            f"cutoff = {cutoff:g} Å reaches {reached:.1e} atoms from every point, more than {_MOST_ATOMS:.0e}; give a "
            f"smaller one (default 10.0)"
        )
    states = framework.arrays["oxidation_states"]
    if not (states < 0).any():
        raise ValueError(
            f"no anion in {atoms.get_chemical_formula('metal')}: a site energy needs the anions that {mobile} bonds"
        )
    if (neutral := np.flatnonzero(states == 0)).size:
        raise ValueError(
            f"{framework.symbols[neutral[0]]} has the oxidation state 0, for which the site energy has no term; give "
            f"it another, as in {{'{framework.symbols[neutral[0]]}': 2}} or --oxidation-states "
            f"{framework.symbols[neutral[0]]}=2"
        )
    kinds = []
    for element in dict.fromkeys(framework.symbols):
        for charge in np.unique(states[framework.symbols == element]).tolist():
            which = (framework.symbols == element) & (states == charge)
            make = _repulsion if charge > 0 else _morse
            interaction = make(mobile, element, charge, int(which.sum()), convention)
            kinds.append(_Kind(interaction, np.ascontiguousarray(framework.positions[which])))
    return mobile, kinds


def _morse(mobile: Ion, element: str, charge: float, count: int, convention: Convention) -> Interaction:
    if charge != round(charge):
        raise ValueError(
            f"{element} has the oxidation state {charge:g}, and soft-BV parameters are for whole ones; give it one, "
            f"as in {{'{element}': {round(charge)}}} or --oxidation-states {element}={round(charge)}"
        )
    values = soft_bond_valence(mobile, Ion(element, round(charge)))
    return Interaction(
        element,
        charge,
        count,
        "Morse",
        depth=values.d0 * (1.0 if convention == "full" else 0.5),
        length=values.b,
        r_min=values.r_min,
        source=values.source if values.verified else f"{values.source}, unverified",
    )


def _repulsion(mobile: Ion, element: str, charge: float, count: int, convention: Convention) -> Interaction:
    numbers = principal_quantum_number(mobile.element) * principal_quantum_number(element)
    length = SCREENING * (radius(RADII, mobile.element) + radius(RADII, element))
    return Interaction(
        element,
        charge,
        count,
        "repulsion",
        depth=COULOMB * mobile.charge * charge / math.sqrt(numbers) / length,
        length=length,
        r_min=None,
        source="f = 0.74, covalent radii of Cordero et al. (2008)",
    )
