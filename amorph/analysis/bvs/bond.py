"""The bond valence of one ion, resolved: its parameters, and the atoms of a structure that count as its anions."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.fields import Precision
from amorph.tables import bond_valence, element_of, parse_ion

SOFTNESS: Final = 0.37
"""The b of Brown & Altermatt (1985), for an r0 given alone [Å]."""

_MOST_ANIONS: Final = 1_000_000
"""Anions within the cutoff of one point: beyond this the cutoff must be a slip."""
_LARGEST_EXPONENT: Final = {"float64": 690.0, "float32": 80.0}
"""exp of these is 1e299 and 6e34; beyond about 709 and 88 the numbers overflow."""


@dataclass(frozen=True, eq=False)
class Bond:
    """A bond valence, resolved: the ion, its anions in the structure, and the exponential's constants."""

    ion: str
    element: str
    target_valence: float
    r0: float
    b: float
    source: str
    cutoff: float
    anion: str
    which: NDArray[np.bool_]
    """(n,) the atoms that count as anions."""
    positions: NDArray[np.float64]
    """(m, 3) where these are [Å]."""

    @property
    def exponent(self) -> tuple[float, float]:
        """Scale and r0 of exp[(r0 − d)/b] = 2^[scale·(r0 − d)]."""
        return math.log2(math.e) / self.b, self.r0


def resolve_bond(
    atoms: Atoms,
    ion: str,
    *,
    r0: float | None,
    b: float | None,
    anion: str,
    parameters: Path | None,
    cutoff: float,
    precision: Precision = "float64",
) -> Bond:
    """Find the parameters of a bond valence and its anions, and refuse what makes no sum.

    Where the structure carries oxidation states, an atom of the anion's element counts only where its own is negative:
    the S of a sulfate bonds no cation.
    """
    mobile = parse_ion(ion)
    element = element_of(anion)
    if element == mobile.element:
        raise ValueError(f"the ion {mobile} and the anion {anion} are of one element; name two")
    which = atoms.symbols == element
    if not which.any():
        raise ValueError(
            f"no {element} in {atoms.symbols.formula.format('hill')}: a bond valence sum needs the anion that "
            f"{mobile} bonds; name the structure's own with anion"
        )
    if "oxidation_states" in atoms.arrays:
        which &= np.asarray(atoms.arrays["oxidation_states"] < 0)
        if not which.any():
            raise ValueError(
                f"no {element} in {atoms.symbols.formula.format('hill')} has a negative oxidation state: a bond "
                f"valence sum needs the anion that {mobile} bonds; name another, or mend the oxidation states"
            )
    if r0 is None:
        if b is not None:
            raise ValueError(f"b = {b:g} Å without r0: the two belong together; give r0 as well, or neither")
        values = bond_valence(mobile, anion, parameters=parameters)
        r0, b = values.r0, values.b
        source = values.source if values.verified else f"{values.source}, unverified"
    elif parameters is not None:
        raise ValueError(f"r0 = {r0:g} Å and the file {parameters} are given; give one of them")
    else:
        b, source = SOFTNESS if b is None else b, "given"
    anions = 4.0 / 3.0 * math.pi * cutoff**3 * which.sum() / atoms.cell.volume
    if anions > _MOST_ANIONS:
        raise ValueError(
            f"cutoff = {cutoff:g} Å reaches {anions:.1e} {element} from every point, more than {_MOST_ANIONS:.0e}; "
            f"give a smaller one (default 6.0)"
        )
    smallest = max(r0, abs(r0 - cutoff)) / _LARGEST_EXPONENT[precision]
    if b < smallest:
        raise ValueError(
            f"b = {b:g} Å is too small for r0 = {r0:g} Å and a cutoff of {cutoff:g} Å: exp[(r0 − d)/b] leaves "
            f"{precision}; b must be at least {smallest:.2g} Å"
        )
    return Bond(
        mobile.name,
        mobile.element,
        float(abs(mobile.charge)),
        r0,
        b,
        source,
        cutoff,
        element,
        which,
        np.ascontiguousarray(atoms.positions[which]),
    )
