"""Alternatives of a disordered crystal: the groups of an assembly, of which one is there at a time."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import RefusedError, note
from amorph.reading.rows import Operations, Row, special_position
from amorph.structure import Alternative, Assembly

_SAME: Final = 1e-4
"""Two copies of an atom that differ by less in every fraction of the cell are one."""
_SPREAD: Final = 0.02
"""By how much the occupancies of the atoms of one group may differ."""


def assemblies_of(
    rows: Sequence[Row], operations: Operations, cell: NDArray[np.float64]
) -> tuple[list[Row], tuple[Assembly, ...]]:
    """Take the rows that belong to groups of disorder out of a list, and make assemblies of them.

    A negative group is disordered about a symmetry element: its copies exclude each other where they come close.

    Returns
    -------
    rows, assemblies
        The rows of no group, and the assemblies of the others.

    Raises
    ------
    RefusedError
        Atoms of one group with different occupancies; groups that fill their place more than once.
    """
    named: dict[tuple[str, bool], dict[str, list[Row]]] = {}
    plain = []
    for row in rows:
        if row.group:
            about_symmetry = row.group.startswith("-")
            # the groups of an assembly exclude each other; those about a symmetry element stand for themselves
            key = (f"{row.assembly}{row.group}" if about_symmetry else row.assembly, about_symmetry)
            named.setdefault(key, {}).setdefault(row.group, []).append(row)
        else:
            plain.append(row)
    found = []
    for (name, about_symmetry), groups in named.items():
        members = [row for group in groups.values() for row in group]
        if len(groups) == 1 and not about_symmetry and all(row.share.occupancy == 1.0 for row in members):
            plain += members
            continue
        found.append(_assembly(name, groups, operations, cell))
    return plain, tuple(found)


def _assembly(name: str, groups: dict[str, list[Row]], operations: Operations, cell: NDArray[np.float64]) -> Assembly:
    occupancies = {group: _occupancy(name, group, rows) for group, rows in groups.items()}
    if all(occupancy == 1.0 for occupancy in occupancies.values()) and len(groups) > 1:
        note(f"the groups {', '.join(groups)} of assembly {name or '.'} give no occupancies; equal ones are taken")
        occupancies = dict.fromkeys(groups, 1.0 / len(groups))
    if (total := sum(occupancies.values())) > 1.0 + 5e-3:
        raise RefusedError(
            f"is no structure: the groups {', '.join(groups)} of assembly {name or '.'} fill their place {total:g} "
            "times; correct the occupancies"
        )
    members = [row for rows in groups.values() for row in rows]
    positions = np.array([special_position(np.array(row.position), operations, cell)[0] for row in members])
    # (k, n, 3): every atom by every operation, in one piece
    images = np.einsum("kij,nj->kni", operations.rotations, positions) + operations.translations[:, None]
    places = _places(images)
    owners = np.repeat(list(groups), [len(rows) for rows in groups.values()])
    alternatives = []
    for group, occupancy in occupancies.items():
        among = np.flatnonzero(owners == group)
        blocks = [_block(images, place, among) for place in places]
        shares = tuple(members[k].share for k in blocks[0][0])
        alternatives.append(Alternative(group, occupancy, shares, np.array([atoms for _, atoms in blocks])))
    return Assembly(name, tuple(alternatives))


def _occupancy(name: str, group: str, rows: Sequence[Row]) -> float:
    given = [row.share.occupancy for row in rows]
    if max(given) - min(given) > _SPREAD:
        raise RefusedError(
            f"gives the atoms of group {group} of assembly {name or '.'} occupancies from {min(given):g} to "
            f"{max(given):g}; atoms of one group are there together, so give them one occupancy"
        )
    return float(np.mean(given))


def _places(images: NDArray[np.float64]) -> list[dict[int, NDArray[np.float64]]]:
    """Gather operations that give the same place: they have an atom in common, up to lattice vectors.

    Returns
    -------
    list of dictionaries
        For each place its operations, each with the lattice vector that brings its atoms there.
    """
    places: list[dict[int, NDArray[np.float64]]] = []
    for k in range(len(images)):
        for place in places:
            first, shift = next(iter(place.items()))
            apart = images[first] + shift - images[k]
            vectors = np.round(apart)
            common = np.flatnonzero((np.abs(apart - vectors) < _SAME).all(axis=1))
            if common.size:
                place[k] = vectors[common[0]]
                break
        else:
            places.append({k: np.zeros(3)})
    return places


def _block(
    images: NDArray[np.float64], place: dict[int, NDArray[np.float64]], among: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.float64]]:
    """Give the atoms of one alternative at one place: the rows that they are of, and their positions, each once."""
    rows: list[int] = []
    atoms: list[NDArray[np.float64]] = []
    for row in among.tolist():
        copies: list[NDArray[np.float64]] = []
        for k, shift in place.items():
            atom = images[k, row] + shift
            if not any(np.abs(atom - other).max() < _SAME for other in copies):
                copies.append(atom)
        rows += [row] * len(copies)
        atoms += copies
    return rows, np.array(atoms)
