"""What the cations of a structure say of their charge: bond valence sums, and how far they are from it."""

from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure import pair_list
from amorph.tables import Ion, bond_valence

CUTOFF: Final = 6.0
"""Reach of the sums [Å]; beyond it a bond of Mg and O adds less than 1e-5 v.u."""


def cation_valences(atoms: Atoms, *, parameters: Path | None = None) -> NDArray[np.float64]:
    r"""Sum the valences of every cation's bonds to the anions.

    Parameters
    ----------
    atoms
        Structure with oxidation states; the state of a cation, rounded, chooses its parameters.
    parameters
        A bvparm .cif for ions that the tables lack.

    Returns
    -------
    (n,) array
        :math:`\sum_j \exp[(r_0 - d_{ij})/b]` of each cation [v.u.]; NaN for anions and for bonds without parameters.

    Raises
    ------
    ValueError
        The structure has no oxidation states.

    Examples
    --------
    >>> from ase.build import bulk
    >>> mgo = bulk("MgO", "rocksalt", a=4.212)
    >>> mgo.set_array("oxidation_states", np.array([2.0, -2.0]))
    >>> cation_valences(mgo).round(2).tolist()
    [2.01, nan]
    """
    states = atoms.arrays.get("oxidation_states")
    if states is None:
        raise ValueError("bond valence sums need oxidation states; see amorph.with_oxidation_states")
    pairs = pair_list(atoms, CUTOFF)
    symbols = np.array(atoms.get_chemical_symbols())
    sums = np.where(states > 0, 0.0, np.nan)
    bonds = (states[pairs.i] > 0) & (states[pairs.j] < 0)
    first, second, distance = pairs.i[bonds], pairs.j[bonds], pairs.d[bonds]
    kinds = {(str(symbols[k]), round(float(states[k]))) for k in np.flatnonzero(states > 0)}
    for element, charge in kinds:
        own = (symbols == element) & (np.round(states) == charge) & (states > 0)
        for anion in {(str(symbols[k]), round(float(states[k]))) for k in np.flatnonzero(states < 0)}:
            chosen = own[first] & (symbols[second] == anion[0])
            try:
                values = bond_valence(Ion(element, charge), Ion(*anion), parameters=parameters)
            except ValueError:
                sums[own] = np.nan
                continue
            sums += np.where(
                own, np.bincount(first[chosen], np.exp((values.r0 - distance[chosen]) / values.b), len(atoms)), 0.0
            )
    return sums


def instability_index(atoms: Atoms, *, parameters: Path | None = None) -> float:
    """Global instability index: root mean square of valence sum minus oxidation state over the cations [v.u.].

    NaN where a cation has no parameters.
    """
    states = atoms.arrays["oxidation_states"]
    misfit = (cation_valences(atoms, parameters=parameters) - states)[states > 0]
    return float(np.sqrt(np.mean(misfit**2))) if misfit.size else float("nan")
