"""Moieties of disordered atoms: which rows of groups without a named assembly are at one place."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from amorph.reading.rows import SPREAD, Operations, Row

_BONDED: Final = 1.2
"""Atoms nearer than this times the sum of their covalent radii are bonded."""
_OVERLAPS: Final = (1.0, 2.0)
"""Atoms of different groups nearer than the first are at one place, beyond the second never [Å]."""
_CENTRAL: Final = frozenset({"B", "C", "N", "O", "Si", "P", "S", "Cl", "As", "Se", "Br", "Te", "I", "Xe"})
"""Elements that hold the disordered atoms bonded to them together, as the S of a sulfate does its O."""


def moieties_of(
    rows: Sequence[Row], ordered: Sequence[Row], operations: Operations, cell: NDArray[np.float64]
) -> list[tuple[list[Row], list[NDArray[np.float64]]]]:
    """Part disordered rows by place: bonded, overlapping, or bonded to one ordered atom.

    Rows of one group with different occupancies are not there together, and no bond between them counts.

    Parameters
    ----------
    rows, ordered
        The rows to part, and those of no group.
    operations
        Symmetry operations by which a row may be moved to be near the others.
    cell
        (3, 3) lattice vectors as rows [Å].

    Returns
    -------
    list of pairs
        The rows of each place in one piece, by group and element, and the ordered atoms that they are bonded to.
    """
    images = operations.images(np.array([row.position for row in rows]))
    centers = [row for row in ordered if row.share.element in _CENTRAL]
    middles = operations.images(np.array([row.position for row in centers]).reshape(-1, 3)).reshape(-1, 3)
    radii = radii_of(rows)
    middle_radii = np.tile(radii_of(centers), len(operations))
    groups = np.array([row.group for row in rows])
    occupancies = np.array([row.share.occupancy for row in rows])
    left = set(range(len(rows)))
    found = []
    while left:
        first = min(left)
        left.remove(first)
        placed = {first: np.array(rows[first].position)}
        queue = [first]
        held_by: dict[int, NDArray[np.float64]] = {}
        while queue:
            k = queue.pop()
            bonds = _BONDED * (radii[k] + radii)
            is_other = groups != groups[k]
            allowed = is_other | (np.abs(occupancies - occupancies[k]) <= SPREAD)
            reach = np.where(is_other, np.clip(bonds, *_OVERLAPS), bonds)
            apart, distances = _apart(middles, placed[k], cell)
            bonded = np.flatnonzero(distances < _BONDED * (radii[k] + middle_radii)).tolist()
            held_by |= {m: placed[k] + apart[m] for m in bonded}
            around = [(placed[k], reach)]
            around += [(held_by[m], _BONDED * (middle_radii[m] + radii)) for m in bonded]
            for center, within in around:
                apart_of_rows, distances = _apart(images, center, cell)
                nearest = distances.argmin(axis=0)
                for j in np.flatnonzero(allowed & (distances.min(axis=0) < within)).tolist():
                    if j in left:
                        left.remove(j)
                        placed[j] = center + apart_of_rows[nearest[j], j]
                        queue.append(j)
        moved = [rows[k].at(position) for k, position in sorted(placed.items())]
        found.append((sorted(moved, key=lambda row: (row.group, row.share.element)), list(held_by.values())))
    return found


def radii_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Give the covalent radii of rows [Å]."""
    return np.array([covalent_radii[atomic_numbers[row.share.element]] for row in rows], dtype=np.float64)


def _apart(
    images: NDArray[np.float64], center: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the vectors from a position to the nearest copies of others in fractions of the cell, and distances [Å]."""
    apart = images - center
    apart -= np.round(apart)
    return apart, np.linalg.norm(apart @ cell, axis=-1)
