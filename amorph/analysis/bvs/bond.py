"""The bond valence of one ion, resolved: its parameters, and the atoms of a structure that count as its anions."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.fields import Precision
from amorph.structure import GivenLengths, per_anion, which_anions, written
from amorph.tables import (
    SOFTNESS,
    BondValence,
    Ion,
    anion_name,
    bond_valence,
    element_of,
    parameters_of,
    parse_ion,
)

WINDOW: Final = 0.2
"""Half width of the window over the valence of the ion: 0.4 v.u. for Mg2+ with r0 = 1.693 and b = 0.37 Å."""

_MOST_ANIONS: Final = 1_000_000
"""Anions within the cutoff of one point: beyond this the cutoff must be a slip."""
_LARGEST_EXPONENT: Final = {"float64": 690.0, "float32": 80.0}
"""exp of these is 1e299 and 6e34; beyond about 709 and 88 the numbers overflow."""


@dataclass(frozen=True, eq=False)
class Bond:
    """A bond valence, resolved: the ion, its anions in the structure, and the constants of each exponential."""

    ion: str
    element: str
    target_valence: float
    parameters: tuple[BondValence, ...]
    """One for each element of the anions."""
    anions: str
    """What counts as an anion, and by what."""
    cutoff: float
    which: NDArray[np.bool_]
    """(n,) the atoms that count as anions."""
    positions: NDArray[np.float64]
    """(m, 3) where these are [Å]."""
    kinds: NDArray[np.float64]
    """(m,) which of the parameters each has."""

    @property
    def exponents(self) -> NDArray[np.float64]:
        """(kinds, 2) scale and r0 of exp[(r0 − d)/b] = 2^[scale·(r0 − d)]."""
        return np.array([(math.log2(math.e) / each.b, each.r0) for each in self.parameters])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of :func:`resolve_bond` that give its parameters again, without any table."""
        elements = [element_of(each.anion) for each in self.parameters]
        r0, b = (
            {e: getattr(each, name) for e, each in zip(elements, self.parameters, strict=True)} for name in ("r0", "b")
        )
        if len(elements) == 1:
            return {"r0": r0[elements[0]], "b": b[elements[0]], "anion": elements[0]}
        return {"r0": r0, "b": b, "anion": ",".join(elements)}

    @property
    def origin(self) -> dict[str, Any]:
        """What was looked up and assumed, as a field keeps it."""
        return {"parameters": [asdict(each) for each in self.parameters], "anions": self.anions}

    def as_looked_up(self, origin: Mapping[str, Any]) -> "Bond":
        """Give the bond that was resolved from given numbers the set and source that these were looked up with."""
        found = parameters_of(origin)
        if not found:
            unknown = tuple(replace(each, source="not kept in the file") for each in self.parameters)
            return replace(self, parameters=unknown)
        if [(each.r0, each.b) for each in found] != [(each.r0, each.b) for each in self.parameters]:
            return self
        return replace(self, parameters=found, anions=str(origin.get("anions", self.anions)))


def bond_of(atoms: Atoms, arguments: Mapping[str, Any]) -> Bond:
    """Resolve the bond valence of a map anew, from the arguments that repeat it."""
    names = ("r0", "b", "anion", "set", "parameters", "estimates", "cutoff", "precision")
    return resolve_bond(atoms, arguments["ion"], **{name: arguments[name] for name in names if name in arguments})


def resolve_bond(
    atoms: Atoms,
    ion: str,
    *,
    cutoff: float,
    r0: GivenLengths | None = None,
    b: GivenLengths | None = None,
    anion: str | None = None,
    parameters: Path | None = None,
    set: str | None = None,
    estimates: bool = True,
    precision: Precision = "float64",
) -> Bond:
    """Find the anions of a structure and the parameters of an ion's bond with each, and refuse what makes no sum."""
    mobile = parse_ion(ion)
    if mobile.charge < 0:
        raise ValueError(f"ion = {ion} is an anion, and the sums run over anions; give a cation, as in Mg2+")
    which, elements, told = which_anions(atoms, mobile, anion)
    if r0 is not None:
        if parameters is not None or set is not None:
            other = f"the set {set}" if parameters is None else f"the file {parameters}"
            raise ValueError(f"r0 = {written(r0)} and {other} are given; give one of them")
        values = _given(mobile, elements, r0, b)
    elif b is not None:
        raise ValueError(f"b = {written(b)} without r0: the two belong together; give r0 as well, or neither")
    else:
        values = tuple(
            bond_valence(mobile, element, set=set, parameters=parameters, estimates=estimates) for element in elements
        )
    reached = 4.0 / 3.0 * math.pi * cutoff**3 * which.sum() / atoms.cell.volume
    if reached > _MOST_ANIONS:
        raise ValueError(
            f"cutoff = {cutoff:g} Å reaches {reached:.1e} {', '.join(elements)} from every point, more than "
            f"{_MOST_ANIONS:.0e}; give a smaller one (default 6.0)"
        )
    for each in values:
        smallest = max(each.r0, abs(each.r0 - cutoff)) / _LARGEST_EXPONENT[precision]
        if each.b < smallest:
            raise ValueError(
                f"b = {each.b:g} Å is too small for r0 = {each.r0:g} Å and a cutoff of {cutoff:g} Å: exp[(r0 − d)/b] "
                f"leaves {precision}; b must be at least {smallest:.2g} Å"
            )
    symbols = np.array(atoms.get_chemical_symbols())[which]
    return Bond(
        mobile.name,
        mobile.element,
        float(abs(mobile.charge)),
        values,
        told,
        cutoff,
        which,
        np.ascontiguousarray(atoms.positions[which]),
        np.sum([k * (symbols == element) for k, element in enumerate(elements)], axis=0, dtype=np.float64),
    )


def _given(mobile: Ion, elements: list[str], r0: GivenLengths, b: GivenLengths | None) -> tuple[BondValence, ...]:
    lengths = per_anion("r0", r0, elements)
    softness = per_anion("b", SOFTNESS if b is None else b, elements, shared=not isinstance(b, Mapping))
    return tuple(
        BondValence(mobile.name, anion_name(element), lengths[element], softness[element], "given", "given", False)
        for element in elements
    )
