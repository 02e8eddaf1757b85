"""Bond-valence sums of the atoms of a structure, and how far they are from the oxidation states."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Length, checked
from amorph.structure import pair_list, resolve_oxidation_states
from amorph.tables import BondValence, Ion, bond_valence, ion_name, shares_of_state


@dataclass(frozen=True, eq=False)
class BondValenceSums(Result):
    """Bond valence sum of every atom, beside its oxidation state."""

    atoms: Atoms
    """The structure, with the oxidation states used."""
    sums_vu: NDArray[np.float64]
    """(n,) bond valence sum of each atom [v.u.]."""
    charges: str
    """Where the oxidation states come from, and what was assumed."""
    cutoff: float
    """Bonds at this length or shorter count [Å]."""
    parameters: tuple[BondValence, ...]
    """Of every bond that was summed."""
    global_instability_index: float
    """Root mean square of the difference between sum and size of the oxidation state, over all atoms [v.u.]."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms"})
    _derived: ClassVar[tuple[str, ...]] = ("species",)

    @property
    def species(self) -> list[dict[str, Any]]:
        """Mean and spread of the sums, one row for each species."""
        symbols = np.array(self.atoms.get_chemical_symbols())
        states = self.atoms.arrays["oxidation_states"]
        rows = []
        for element, state in dict.fromkeys(zip(symbols.tolist(), states.tolist(), strict=True)):
            sums = self.sums_vu[(symbols == element) & (states == state)]
            rows.append(
                {
                    "species": ion_name(element, state) if state else f"{element}0",
                    "count": len(sums),
                    "mean_vu": float(sums.mean()),
                    "spread_vu": float(sums.std()),
                    "lowest_vu": float(sums.min()),
                    "highest_vu": float(sums.max()),
                    "rms_difference_vu": math.sqrt(float(((sums - abs(state)) ** 2).mean())),
                }
            )
        return rows

    def per_atom_table(self) -> list[dict[str, Any]]:
        """Give one row for each atom: its sum beside its oxidation state [v.u., e]."""
        states = self.atoms.arrays["oxidation_states"].tolist()
        columns = zip(self.atoms.get_chemical_symbols(), states, self.sums_vu.tolist(), strict=True)
        return [
            {"atom": number, "species": symbol, "oxidation_state": state, "sum_vu": total}
            for number, (symbol, state, total) in enumerate(columns)
        ]

    def table(self) -> list[dict[str, Any]]:
        """Give mean and spread of the sums, one row for each species."""
        return self.species


@checked
def bond_valence_sums(
    atoms: Atoms,
    *,
    cutoff: Length = 6.0,
    oxidation_states: str | Mapping[str, float] | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    estimates: bool = True,
) -> BondValenceSums:
    r"""Sum the bond valences of every atom, and give the global instability index of the structure.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    cutoff
        Bonds at this length or shorter count [Å].
    oxidation_states
        "given", "formal", "fitted" or the states of elements [e], as in Ti=4; by default those of the structure and, in
        a structure without, formal ones.
    set, parameters, estimates
        As in :func:`bvs_map`.

    Raises
    ------
    ValueError
        A structure that makes no sense, oxidation states that cannot be found, a pair without parameters.

    Notes
    -----
    :math:`V_i = \sum_j \exp[(r_0 - d_{ij})/b]` over the pairs of a cation and an anion; for both the sum is compared
    with the size of the oxidation state, and the index is :math:`\sqrt{\langle(V_i - |q_i|)^2\rangle}` over all atoms.
    A cation of a mean state, Mn3.5+, has the mean of the sums with the parameters of the two states beside it.

    Examples
    --------
    >>> from ase.build import bulk
    >>> made = bond_valence_sums(bulk("MgO", "rocksalt", a=4.212))
    >>> made.sums_vu.round(3), round(made.global_instability_index, 3)
    (array([2.013, 2.013]), 0.013)
    """
    atoms, origin = resolve_oxidation_states(atoms, oxidation_states)
    states = atoms.arrays["oxidation_states"]
    symbols = np.array(atoms.get_chemical_symbols())
    pairs = pair_list(atoms, cutoff)
    bonds = (states[pairs.i] > 0) & (states[pairs.j] < 0)
    first, second, length = pairs.i[bonds], pairs.j[bonds], pairs.d[bonds]
    valences, used = np.zeros(len(length)), {}
    anions = dict.fromkeys(symbols[states < 0].tolist())
    for element, state in dict.fromkeys(zip(symbols[states > 0].tolist(), states[states > 0].tolist(), strict=True)):
        shares = shares_of_state(element, state)
        for anion in anions:
            of_pair = (symbols[first] == element) & (states[first] == state) & (symbols[second] == anion)
            for charge, share in shares.items():
                of_bond = bond_valence(Ion(element, charge), anion, set=set, parameters=parameters, estimates=estimates)
                used[of_bond.cation, of_bond.anion] = of_bond
                valences[of_pair] += share * np.exp((of_bond.r0 - length[of_pair]) / of_bond.b)
    sums = np.zeros(len(atoms))
    for ends in (first, second):
        np.add.at(sums, ends, valences)
    index = math.sqrt(float(((sums - np.abs(states)) ** 2).mean()))
    return BondValenceSums(atoms, sums, origin, cutoff, tuple(used.values()), index)
