"""What CHGNet must not be asked: refused with the atoms named, because the network answers nonsense silently."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.chgnet.weights import MAX_ELEMENT
from amorph.structure import MINIMUM_DISTANCE, refuse_extreme


def check_input(atoms: Atoms) -> None:
    """Refuse a structure that has no meaning for CHGNet, before any pair is listed.

    Raises
    ------
    ValueError
        No atoms; not periodic; cell or positions not finite or beyond 0.1 mm; no volume, or a cell thinner than
        0.001 Å; an element that CHGNet does not know.
    """
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms; CHGNet needs at least one")
    if not atoms.pbc.all():
        raise ValueError(
            f"the structure is periodic along {atoms.pbc.tolist()}; CHGNet needs all three directions: "
            "set pbc=True (a slab keeps its vacuum in the cell)"
        )
    if not np.isfinite(atoms.cell.array).all():
        raise ValueError(f"the cell is not finite: {atoms.cell.array.tolist()}; check the input or the last MD step")
    if not abs(np.linalg.det(atoms.cell.array)) > 1e-6:
        raise ValueError(f"the cell has the volume {atoms.cell.volume:g} Å³; give three independent lattice vectors")
    broken = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if broken.size:
        raise ValueError(
            f"the positions of {_names(atoms, broken)} are not finite; check the input or the last MD step"
        )
    refuse_extreme(atoms)
    unknown = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers > MAX_ELEMENT))
    if unknown.size:
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
