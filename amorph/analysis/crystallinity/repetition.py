"""What repeats in a cell: a cell and its repetition are one structure, and get one verdict."""

import math
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

TOLERANCE: Final = 0.1
"""Distance within which an atom counts as the image of another [Å]."""
SYMMETRY_ATOMS: Final = 1000
"""Atoms of a reduced cell up to which its space group is looked for, which takes the square of their number."""

_TRIED: Final = 16
"""Atoms by which translations are tried before they are by all."""


def without_repetition(frames: Sequence[Atoms]) -> list[Atoms]:
    """Divide frames by every translation by less than their cell that all of them have, and Minkowski-reduce the cell.

    The group of these translations, where there is one, has an element of some prime order p, and p divides the number
    of atoms of every element. So translations by a p-th of a lattice vector are tried, for every such p.
    """
    smaller: Sequence[Atoms] | None = frames
    while smaller is not None:
        frames, smaller = smaller, _divided(smaller)
    _, rows = minkowski_reduce(frames[0].cell)
    reduced = [atoms.copy() for atoms in frames]
    for atoms in reduced:
        atoms.set_cell(rows @ atoms.cell.array)
        atoms.wrap()
    return reduced


def space_group(atoms: Atoms) -> str | None:
    """Name the space group of a cell within 0.1 Å, where it is above P1."""
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        # spglib 2 announces on every call that version 3 will raise where it now returns None; both are met here
        warnings.filterwarnings("ignore", message="Set OLD_ERROR_HANDLING", category=DeprecationWarning)
        try:
            found = spglib.get_spacegroup(cell, symprec=TOLERANCE)
        except spglib.SpglibError:
            found = None
    return None if found is None or found.endswith("(1)") else str(found)


class _Images:
    """Finds the atom at a place, across the faces of the cell."""

    def __init__(self, fractional: NDArray[np.float64], members: NDArray[np.int64], cell: NDArray[np.float64]) -> None:
        reach = TOLERANCE * np.linalg.norm(np.linalg.inv(cell), axis=0)
        points, owners = fractional[members], members
        for axis, step in enumerate(np.eye(3)):
            low, high = points[:, axis] < reach[axis], points[:, axis] > 1.0 - reach[axis]
            points = np.vstack([points, points[low] + step, points[high] - step])
            owners = np.concatenate([owners, owners[low], owners[high]])
        self._cell, self._owners, self._tree = cell, np.append(owners, -1), cKDTree(points @ cell)

    def at(self, fractional: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give the atom at each place, −1 where there is none."""
        _, found = self._tree.query((fractional % 1.0) @ self._cell, distance_upper_bound=TOLERANCE)
        return self._owners[found]


def _divided(frames: Sequence[Atoms]) -> list[Atoms] | None:
    """Divide frames by one translation of prime order, looked for in the first; None where they share none."""
    atoms, others = frames[0], frames[1:]
    numbers, counts = np.unique(atoms.numbers, return_counts=True)
    fractional = atoms.cell.scaled_positions(atoms.positions) % 1.0
    members = {number: np.flatnonzero(atoms.numbers == number) for number in numbers.tolist()}
    images = {number: _Images(fractional, chosen, atoms.cell.array) for number, chosen in members.items()}
    rarest = members[int(numbers[np.argmin(counts)])]
    for p in _prime_factors(math.gcd(*counts.tolist())):
        steps = p * (fractional[rarest] - fractional[rarest[0]])
        near = np.linalg.norm((steps - np.rint(steps)) @ atoms.cell.array, axis=1) <= p * TOLERANCE
        whole = np.unique(np.rint(steps[near]).astype(int) % p, axis=0)
        whole = whole[whole.any(axis=1)]
        for k in np.linspace(0, len(atoms) - 1, _TRIED).astype(int):
            whole = whole[images[int(atoms.numbers[k])].at(fractional[k] + whole / p) >= 0]
        for step in whole:
            onto = np.empty(len(atoms), dtype=int)
            for number, chosen in members.items():
                onto[chosen] = images[number].at(fractional[chosen] + step / p)
            one_to_one = onto.min() >= 0 and np.unique(onto).size == len(atoms)
            if one_to_one and all(_repeats(other, step / p, onto) for other in others):
                return [_quotient(one, step, p, onto) for one in frames]
    return None


def _repeats(atoms: Atoms, shift: NDArray[np.float64], onto: NDArray[np.int64]) -> bool:
    """Tell whether a translation takes every atom to the place of the one that it is said to."""
    fractional = atoms.cell.scaled_positions(atoms.positions)
    away = fractional[onto] - fractional - shift
    return bool((np.linalg.norm((away - np.rint(away)) @ atoms.cell.array, axis=1) <= TOLERANCE).all())


def _quotient(atoms: Atoms, step: NDArray[np.int64], p: int, onto: NDArray[np.int64]) -> Atoms:
    """Keep one atom of each p that the translation step/p takes into each other, in the cell that it leaves."""
    # A multiple of the step runs 1/p along some axis; the old vector of this axis follows from it and the others.
    axis = int(np.flatnonzero(step)[0])
    cell = atoms.cell.array.copy()
    cell[axis] = (step * pow(int(step[axis]), -1, p) % p / p) @ atoms.cell.array
    first = moved = np.arange(len(atoms))
    for _ in range(p - 1):
        moved = onto[moved]
        first = np.minimum(first, moved)
    kept = atoms[first == np.arange(len(atoms))]
    kept.set_cell(cell)
    return kept


def _prime_factors(number: int) -> list[int]:
    """List the primes that divide a number."""
    primes, p = [], 2
    while number > 1:
        if number % p == 0:
            primes.append(p)
            while number % p == 0:
                number //= p
        p += 1 if p * p <= number else number - p
    return primes
