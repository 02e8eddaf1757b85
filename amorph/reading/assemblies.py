"""Alternatives of a disordered crystal: the groups of an assembly, of which one is there at a time."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import RefusedError, note
from amorph.reading.moieties import moieties_of, radii_of
from amorph.reading.orientations import orientations_of
from amorph.reading.rows import MERGED, SAME, SPREAD, Operations, Row, special_position
from amorph.structure import Alternative, Assembly

_COLLIDES: Final = 0.6
"""Atoms of one group nearer than this times the sum of their covalent radii are not there together."""


def assemblies_of(
    rows: Sequence[Row], operations: Operations, cell: NDArray[np.float64]
) -> tuple[list[Row], tuple[Assembly, ...]]:
    """Take the rows that belong to groups of disorder out of a list, and make assemblies of them.

    A group without a named assembly, as SHELXL writes it, is parted into places that are drawn each by itself. A
    negative group is disordered about a symmetry element: its copies are the alternatives.

    Returns
    -------
    rows, assemblies
        The rows of no group, and the assemblies of the others.

    Raises
    ------
    RefusedError
        Atoms of one group with different occupancies; groups that fill their place more than once; colliding atoms.
    """
    named: dict[tuple[str, str], list[Row]] = {}
    plain = [row for row in rows if not row.group]
    for row in rows:
        if row.group:
            # the groups of an assembly exclude each other; those about a symmetry element stand for themselves
            about = row.group if row.group.startswith("-") else ""
            named.setdefault((row.assembly, about), []).append(row)
    identity = Operations(operations.rotations[:1], operations.translations[:1])
    found = []
    ordered = list(plain)
    places: list[tuple[list[Row], list[NDArray[np.float64]]]]
    for (name, about), disordered in named.items():
        if name and not about:
            places = [(disordered, [])]
        else:
            # beside a symmetry element the copies of an atom are its alternatives, and none is moved to the others
            places = moieties_of(disordered, ordered, identity if about else operations, cell)
        for members, centers in places:
            groups: dict[str, list[Row]] = {}
            for row in members:
                groups.setdefault(row.group, []).append(row)
            if about:
                block = np.array([row.position for row in members])
                _refuse_collisions(name, about, members, block, cell)
                occupancy = _occupancy(name, about, members)
                found.append(orientations_of(name, about, occupancy, members, operations, cell))
            elif len(groups) == 1 and all(row.share.occupancy == 1.0 for row in members):
                plain += members
            else:
                found.append(_assembly(name, groups, centers, operations, cell))
    return plain, tuple(found)


def _assembly(
    name: str,
    groups: dict[str, list[Row]],
    centers: Sequence[NDArray[np.float64]],
    operations: Operations,
    cell: NDArray[np.float64],
) -> Assembly:
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
    standing = [np.array(row.position) for row in members]
    if total > 1.0 - 5e-3 and centers and np.ptp(centers @ cell, axis=0).max() < MERGED:
        # copies that always have one of the groups, all at one ordered atom, are there together
        standing.append(centers[0])
    images = operations.images(np.array([special_position(each, operations, cell)[0] for each in standing]))
    places = _places(images)
    owners = np.repeat(list(groups), [len(rows) for rows in groups.values()])
    alternatives = []
    for group, occupancy in occupancies.items():
        among = np.flatnonzero(owners == group)
        blocks = [_block(images, place, among) for place in places]
        if len({len(atoms) for _, atoms in blocks}) > 1:
            raise RefusedError(
                f"has group {group} of assembly {name or '.'} on special positions that give it no one place; give its "
                "places assemblies of their own, and all their atoms"
            )
        _refuse_collisions(name, group, [members[k] for k in blocks[0][0]], blocks[0][1], cell)
        shares = tuple(members[k].share for k in blocks[0][0])
        alternatives.append(Alternative(group, occupancy, shares, np.array([atoms for _, atoms in blocks])))
    return Assembly(name, tuple(alternatives))


def _occupancy(name: str, group: str, rows: Sequence[Row]) -> float:
    given = [row.share.occupancy for row in rows]
    if max(given) - min(given) > SPREAD:
        raise RefusedError(
            f"gives the atoms of group {group} of assembly {name or '.'} occupancies from {min(given):g} to "
            f"{max(given):g}; atoms of one group are there together, so give them one occupancy"
        )
    return float(np.mean(given))


def _refuse_collisions(
    name: str, group: str, rows: Sequence[Row], block: NDArray[np.float64], cell: NDArray[np.float64]
) -> None:
    """Refuse a group that has two atoms where one has room: alternatives that the file does not tell apart."""
    distances = np.linalg.norm((block[:, None] - block) @ cell, axis=2)
    radii = radii_of(rows)
    i, j = np.nonzero(np.triu(distances < _COLLIDES * (radii[:, None] + radii), 1))
    if len(i):
        raise RefusedError(
            f"puts {rows[i[0]].share.label} and {rows[j[0]].share.label} of group {group} of assembly {name or '.'} "
            f"{distances[i[0], j[0]]:.2f} Å apart at one place; give alternatives groups of their own, and what is "
            "disordered about a symmetry element a negative group"
        )


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
            common = np.flatnonzero((np.abs(apart - vectors) < SAME).all(axis=1))
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
            if not any(np.abs(atom - other).max() < SAME for other in copies):
                copies.append(atom)
        rows += [row] * len(copies)
        atoms += copies
    return rows, np.array(atoms)
