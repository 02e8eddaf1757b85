"""The volume of an oxide over that of the crystalline oxides of its cations: what a glass has in excess."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ase import Atoms

from amorph.figures import Result, Row
from amorph.parameters import checked
from amorph.structure import resolve_oxidation_states
from amorph.tables.crystals import BINARY_OXIDES

NEUTRAL = 0.02
"""Anions that the oxides may have more or fewer than the structure, of all: what rounding to whole ions leaves."""


@dataclass(frozen=True)
class OxideMixture(Result):
    """A structure beside the mixture of its oxides."""

    formula_units: Mapping[str, int]
    """Formula units of each oxide, with one cation each."""
    volume_per_anion: float
    """Volume of the structure per O [Å³]."""
    mixture_per_anion: float
    """Volume of the oxides per O by experiment [Å³]."""
    ratio: float
    """The structure's volume over that of the oxides, by experiment."""
    model_ratio: float | None = None
    """The same with the oxides as the model relaxes them; None where one of them was not relaxed."""

    def rows(self) -> list[Row]:
        """Give both ratios."""
        return [
            Row("volume over its oxides, by experiment", self.ratio),
            Row("volume over its oxides, by the model", self.model_ratio),
        ]


@checked
def oxide_mixture(atoms: Atoms, *, volume_ratios: Mapping[str, float] | None = None) -> OxideMixture:
    r"""Compare the volume of a structure with that of the crystalline oxides of its cations.

    Parameters
    ----------
    atoms
        Periodic oxide (ASE or pymatgen).
    volume_ratios
        V/V_exp of the oxides by the model that relaxed the structure, by their names in ``structures/``.

    Raises
    ------
    ValueError
        An anion other than O, a cation whose oxide is not in ``structures/``, or oxides that do not take up the O.

    Notes
    -----
    :math:`(V/n_\mathrm{O}) / (\sum_i n_i v_i / \sum_i n_i z_i/2)` with the number n and charge z of each cation and
    the volume v of its oxide per cation. Without excess it is 1. The oxides
    :math:`\mathrm{MgO} + \tfrac13 \mathrm{TiO_2} + \tfrac23 \mathrm{MoO_2}` have 17.0 Å³ per O.

    Examples
    --------
    >>> from ase.build import bulk
    >>> found = oxide_mixture(bulk("MgO", "rocksalt", a=4.30))
    >>> round(found.mixture_per_anion, 2), round(found.ratio, 3)
    (18.68, 1.064)
    """
    atoms, _ = resolve_oxidation_states(atoms, None)
    counts = Counter(zip(atoms.symbols, atoms.arrays["oxidation_states"].tolist(), strict=True))
    n_oxygen = sum(count for (symbol, _), count in counts.items() if symbol == "O")
    cations = {(symbol, state): count for (symbol, state), count in counts.items() if symbol != "O"}
    if unknown := [f"{symbol}{state:+g}" for symbol, state in cations if (symbol, state) not in BINARY_OXIDES]:
        raise ValueError(f"no oxide of {', '.join(unknown)} is among the reference crystals")
    needed = sum(0.5 * state * count for (_, state), count in cations.items())
    if not n_oxygen or abs(needed - n_oxygen) > NEUTRAL * n_oxygen:
        raise ValueError(f"the oxides of its cations hold {needed:g} O, the structure {n_oxygen}")
    units = {BINARY_OXIDES[cation].name: count for cation, count in cations.items()}
    volumes = {BINARY_OXIDES[cation].name: _volume_per_cation(*cation) for cation in cations}
    mixture = sum(units[name] * volumes[name] for name in units) / needed
    given = volume_ratios or {}
    modelled = (
        sum(units[name] * volumes[name] * given[name] for name in units) / needed
        if units.keys() <= given.keys()
        else None
    )
    per_anion = atoms.get_volume() / n_oxygen
    return OxideMixture(units, per_anion, mixture, per_anion / mixture, modelled and per_anion / modelled)


def _volume_per_cation(symbol: str, state: float) -> float:
    oxide = BINARY_OXIDES[symbol, int(state)].atoms()
    return float(oxide.get_volume() / oxide.symbols.formula.count()[symbol])
