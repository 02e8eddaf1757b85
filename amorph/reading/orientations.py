"""Orientations of a group that is disordered about a symmetry element: its copies exclude each other."""

import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from amorph.reading.files import RefusedError
from amorph.reading.rows import SAME, Operations, Row
from amorph.structure import Alternative, Assembly

_OVERLAPS: Final = 2.0
"""Copies of a group with atoms nearer than this may be alternatives of one place [Å]."""
_COLLIDES: Final = 0.8
"""Copies with atoms nearer than this must be [Å]."""
_LEVEL: Final = 1e-3
"""Distances of centroids that differ by less are the same [Å]."""


def orientations_of(
    name: str,
    group: str,
    occupancy: float,
    rows: Sequence[Row],
    operations: Operations,
    cell: NDArray[np.float64],
) -> Assembly:
    """Make an assembly whose alternatives are the copies of a group about a symmetry element.

    Copies whose centroids lie nearest and whose atoms overlap are at one place, as many as the occupancy allows.

    Raises
    ------
    RefusedError
        The copies fill their place more than once.
    """
    copies = _distinct(operations.images(np.array([row.position for row in rows])), rows)
    places = _places(copies, int(1.005 / occupancy), cell)
    if places is None:
        raise RefusedError(
            f"fills the places of group {group} of assembly {name or '.'} about a symmetry element more than once "
            f"(copies of {rows[0].share.label} of occupancy {occupancy:g} overlap); correct the occupancies"
        )
    shares = tuple(row.share for row in rows)
    alternatives = (Alternative(group, occupancy, shares, np.array(blocks)) for blocks in zip(*places, strict=True))
    return Assembly(name, tuple(alternatives))


def _distinct(images: NDArray[np.float64], rows: Sequence[Row]) -> list[NDArray[np.float64]]:
    """Give the copies of a group of which no two have all atoms in common, up to lattice vectors."""
    elements = np.array([row.share.element for row in rows])
    alike = elements[:, None] == elements
    found: list[NDArray[np.float64]] = []
    for copy in images:
        for other in found:
            shift = np.round(copy.mean(axis=0) - other.mean(axis=0))
            apart = np.abs(copy[:, None] - other - shift).max(axis=2)
            if ((apart < SAME) & alike).any(axis=1).all():
                break
        else:
            found.append(copy)
    return found


def _places(
    copies: Sequence[NDArray[np.float64]], most: int, cell: NDArray[np.float64]
) -> list[list[NDArray[np.float64]]] | None:
    """Gather overlapping copies, those with the nearest centroids first; None where more than ``most`` collide."""
    links = []
    for a, b in itertools.combinations(range(len(copies)), 2):
        between = copies[a].mean(axis=0) - copies[b].mean(axis=0)
        shift = np.round(between)
        closest = np.linalg.norm((copies[a][:, None] - copies[b] - shift) @ cell, axis=2).min()
        if closest < _OVERLAPS:
            links.append((float(np.linalg.norm((between - shift) @ cell)), float(closest), a, b, shift))
    links.sort(key=lambda link: link[:4])
    members = [{k: np.zeros(3)} for k in range(len(copies))]
    for number, (distance, _, _, _, _) in enumerate(links):
        if number and distance - links[number - 1][0] < _LEVEL:
            continue
        level = [(a, b, shift) for other, _, a, b, shift in links[number:] if other < distance + _LEVEL]
        joined = _joined(members, level)
        if max(map(len, joined)) > most:
            if any(closest < _COLLIDES for _, closest, *_ in links[number:]):
                return None
            break
        members = joined
    return [[copies[k] + shift for k, shift in place.items()] for place in members]


def _joined(
    members: Sequence[dict[int, NDArray[np.float64]]], links: Sequence[tuple[int, int, NDArray[np.float64]]]
) -> list[dict[int, NDArray[np.float64]]]:
    """Join the places of linked copies, each copy with the lattice vector that brings it to its place."""
    places = [dict(place) for place in members]
    for a, b, shift in links:
        into = next(place for place in places if a in place)
        other = next(place for place in places if b in place)
        if into is not other:
            change = into[a] + shift - other[b]
            into.update({k: vector + change for k, vector in other.items()})
            places = [place for place in places if place is not other]
    return places
