"""What CHGNet must not be asked: refused with the atoms named, because the network answers nonsense silently."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.chgnet.weights import MAX_ELEMENT
from amorph.structure import MINIMUM_DISTANCE, refuse_senseless


def check_input(atoms: Atoms) -> None:
    """Refuse a structure that has no meaning for CHGNet, before any pair is listed."""
    refuse_senseless(atoms)
    if (unknown := np.flatnonzero(atoms.numbers > MAX_ELEMENT)).size:
        raise ValueError(
            f"CHGNet does not know the element of {_names(atoms, unknown)}; it knows H to Pu (Z = 1 to {MAX_ELEMENT})"
        )


def refuse_close(atoms: Atoms, i: int, j: int, distance: float) -> None:
    """Raise the error for two atoms that are too close."""
    other = "its image" if i == j else _names(atoms, [j])
    raise ValueError(
        f"{_names(atoms, [i])} and {other} are {distance:.3f} Å apart; at least {MINIMUM_DISTANCE} Å is "
        "needed: remove duplicates, check the units, or shorten the time step"
    )


def refuse_isolated(atoms: Atoms, isolated: NDArray[np.int64], cutoff: float) -> None:
    """Raise the error for atoms without any neighbor."""
    have = "have" if len(isolated) > 1 else "has"
    raise ValueError(
        f"{_names(atoms, isolated)} {have} no neighbor within {cutoff:g} Å; CHGNet has no meaning for isolated atoms: "
        "remove them or check the cell"
    )


def _names(atoms: Atoms, indices: NDArray[np.int64] | list[int]) -> str:
    named = [f"{index} ({atoms.symbols[int(index)]})" for index in indices[:5]]
    more = f" and {len(indices) - 5} more" if len(indices) > 5 else ""
    return f"atom{'s' if len(indices) > 1 else ''} {', '.join(named)}{more}"
