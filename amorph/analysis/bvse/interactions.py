"""What acts on an ion at a point: Morse attraction of the anions and screened repulsion of the cations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure import GivenLengths, per_anion, which_anions
from amorph.tables import (
    Ion,
    SoftBondValence,
    anion_name,
    ion_name,
    parse_ion,
    principal_quantum_number,
    radius,
    soft_bond_valence,
)

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
    """Where the values come from."""

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


@dataclass(frozen=True)
class Choice:
    """Which Morse parameters to take, and of which anions."""

    anion: str | None = None
    set: str | None = None
    parameters: Path | None = None
    d0: float | Mapping[str, float] | None = None
    r_min: GivenLengths | None = None
    b: GivenLengths | None = None

    def of(self, mobile: Ion, elements: list[str]) -> dict[str, SoftBondValence]:
        """Find the parameters of the ion with each of some anions, by element."""
        given = {"d0": self.d0, "r_min": self.r_min, "b": self.b}
        if all(value is None for value in given.values()):
            return {e: soft_bond_valence(mobile, e, set=self.set, parameters=self.parameters) for e in elements}
        if missing := [name for name, value in given.items() if value is None]:
            raise ValueError(f"{', '.join(given)} belong together, and {missing[0]} is missing; give all three or none")
        if self.set is not None or self.parameters is not None:
            raise ValueError("d0, r_min and b, and a set or a file of parameters are given; give one of them")
        d0, r_min, b = (per_anion(name, value, elements) for name, value in given.items() if value is not None)
        return {
            e: SoftBondValence(
                mobile.name,
                anion_name(e),
                r_min[e] - b[e] * math.log(2.0),
                b[e],
                "given",
                "given",
                False,
                d0[e],
                r_min[e],
            )
            for e in elements
        }


def _kinds(
    atoms: Atoms, name: str, convention: Convention, cutoff: float, choice: Choice
) -> tuple[Ion, list[_Kind], dict[str, SoftBondValence]]:
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
    bonded, elements, _ = which_anions(atoms, mobile, choice.anion)
    bonded = bonded[~(atoms.symbols == mobile.element)]
    values = choice.of(mobile, elements)
    if (neutral := np.flatnonzero(states == 0)).size:
        raise ValueError(
            f"{framework.symbols[neutral[0]]} has the oxidation state 0, for which the site energy has no term; give "
            f"it another, as in {{'{framework.symbols[neutral[0]]}': 2}} or --oxidation-states "
            f"{framework.symbols[neutral[0]]}=2"
        )
    kinds = []
    for element in dict.fromkeys(framework.symbols):
        for charge in np.unique(states[framework.symbols == element]).tolist():
            which = (framework.symbols == element) & (states == charge) & (bonded | (states > 0))
            if which.any():
                count = int(which.sum())
                interaction = (
                    _repulsion(mobile, element, charge, count)
                    if charge > 0
                    else _morse(values[element], element, charge, count, convention)
                )
                kinds.append(_Kind(interaction, np.ascontiguousarray(framework.positions[which])))
    return mobile, kinds, values


def _morse(values: SoftBondValence, element: str, charge: float, count: int, convention: Convention) -> Interaction:
    other = "" if ion_name(element, charge) == values.anion else f", of {values.anion}"
    return Interaction(
        element,
        charge,
        count,
        "Morse",
        depth=values.d0 * (1.0 if convention == "full" else 0.5),
        length=values.b,
        r_min=values.r_min,
        source=values.source + other,
    )


def _repulsion(mobile: Ion, element: str, charge: float, count: int) -> Interaction:
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
