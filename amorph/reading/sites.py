"""From the rows of a file and its symmetry operations to the sites of a cell."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import atomic_numbers
from numpy.typing import NDArray

from amorph.reading.assemblies import assemblies_of
from amorph.reading.files import RefusedError, note
from amorph.reading.rows import MERGED, Operations, Row, special_position
from amorph.structure import DisorderedCrystal, Share, SharedSite, pair_list, refuse_senseless

_ION: Final = re.compile(r"([A-Za-z]{1,2})(?:(\d*\.?\d*)([+-])|([+-])(\d+\.?\d*))?")
_TOLD: Final = 1e-3
"""Spread of such copies from which on it is told [Å]; less is the rounding of four digits."""
_MOST_ATOMS: Final = 5_000_000
"""Atoms that operations may make of the rows of a file."""
_METRIC: Final = (1e-3, 1e-2)
"""Relative change of a lattice vector by an operation from which on it is told, and is none of the lattice."""
_REPEATED: Final = 0.01
"""Rows of P 1 nearer than this list an atom again [Å]."""


@lru_cache(maxsize=1000)
def ion_of(word: str) -> tuple[str, float | None] | None:
    """Read an element with or without a charge: "Mg", "MG", "Mg2+", "Ti+4", "D"; None where it is none.

    >>> ion_of("Mg2+"), ion_of("FE"), ion_of("O2-"), ion_of("Va"), ion_of("OH2")
    (('Mg', 2.0), ('Fe', None), ('O', -2.0), None, None)
    """
    match = _ION.fullmatch(word.strip())
    if match is None:
        return None
    symbol = "H" if match[1] in {"D", "d"} else match[1].capitalize()
    if atomic_numbers.get(symbol, 0) == 0:
        return None
    sign, size = match[3] or match[4], match[2] or match[5] or "1"
    return symbol, None if sign is None else float(sign + size) if size != "." else None


def crystal_of(
    rows: Sequence[Row], operations: Operations, cell: NDArray[np.float64]
) -> tuple[DisorderedCrystal, float]:
    """Multiply rows by symmetry operations, and find which of them share a site.

    Returns
    -------
    crystal, spread
        The crystal, and the largest distance of symmetry copies that were taken for one atom [Å].

    Raises
    ------
    RefusedError
        No cell, positions or operations that make sense; more on a site than fits.
    """
    positions = np.array([row.position for row in rows], dtype=np.float64)
    if not np.isfinite(cell).all() or not abs(np.linalg.det(cell)) > 1e-6:
        raise RefusedError(f"has no cell of three independent vectors ({np.round(cell, 3).tolist()}); correct it")
    if not np.isfinite(positions).all():
        worst = int(np.argmin(np.isfinite(positions).all(axis=1)))
        raise RefusedError(f"gives no position for {rows[worst].share.label}; complete the row or take it out")
    if len(rows) * len(operations) > _MOST_ATOMS:
        raise RefusedError(f"makes {len(rows) * len(operations)} atoms, more than {_MOST_ATOMS}; check its operations")
    # rounded as it is printed, so that what is refused is more than the limit there too
    if (misfit := float(f"{operations.misfit(cell):.3g}")) > _METRIC[0]:
        told = f"has symmetry operations that change its own cell by {100 * misfit:.3g} %"
        if misfit > _METRIC[1]:
            raise RefusedError(f"{told}, more than {100 * _METRIC[1]:g} %; check the cell and the setting")
        note(f"{told}; the cell is taken as it is")
    try:
        refuse_senseless(Atoms("H", cell=cell, pbc=True))
    except ValueError as error:
        raise RefusedError(f"is no structure: {error}") from None
    rows, assemblies = assemblies_of(rows, operations, cell)
    if not rows:
        return DisorderedCrystal(cell, (), assemblies), 0.0
    positions = np.array([row.position for row in rows], dtype=np.float64) % 1.0
    if len(operations) == 1:
        orbits, spread = list(positions[:, None]), 0.0
    else:
        found = [_orbit(position, operations, cell) for position in positions]
        orbits = [orbit for orbit, _, _ in found]
        worst = max(range(len(found)), key=lambda k: found[k][1])
        _, spread, copies = found[worst]
        if spread > _TOLD:
            more = sum(other > _TOLD for _, other, _ in found) - 1
            others = f", and those of {more} more rows" if more else ""
            note(
                f"{copies} symmetry copies of {rows[worst].share.label} up to {spread:.3f} Å apart{others} are one atom"
            )
    groups = _sharing(rows, orbits, cell, alone=len(operations) == 1)
    sites = [SharedSite(orbits[group[0]], _shares([rows[k] for k in group])) for group in groups]
    return DisorderedCrystal(cell, tuple(sites), assemblies), spread


def _orbit(
    position: NDArray[np.float64], operations: Operations, cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, int]:
    """Give the equivalent positions of an atom, each the mean of the copies that are meant to be one.

    Beside them the largest distance among the copies, and how many there are of one.
    """
    special, distances = special_position(position, operations, cell)
    same = distances < MERGED
    images = (operations.rotations @ special + operations.translations) % 1.0
    shifts = images[:, None] - images[None]
    shifts -= np.round(shifts)
    is_first = np.argmax(np.linalg.norm(shifts @ cell, axis=2) < MERGED, axis=1) == np.arange(len(images))
    return images[is_first], float(distances[same].max()), int(same.sum())


def _sharing(
    rows: Sequence[Row], orbits: Sequence[NDArray[np.float64]], cell: NDArray[np.float64], *, alone: bool
) -> list[list[int]]:
    """Group rows whose positions are the same, and drop rows that list an atom again.

    Where the identity is `alone` no symmetry explains full rows of one element near each other: they stay two atoms.
    """
    owner = np.repeat(np.arange(len(orbits)), [len(orbit) for orbit in orbits])
    positions = np.concatenate(orbits)
    everything = Atoms(numbers=np.ones(len(owner), dtype=int), scaled_positions=positions, cell=cell, pbc=True)
    pairs = pair_list(everything, 2.0 * MERGED)
    close = (pairs.d < MERGED) & (owner[pairs.i] > owner[pairs.j])
    same = close & (pairs.d < _REPEATED)
    repeated = set(zip(owner[pairs.i[same]].tolist(), owner[pairs.j[same]].tolist(), strict=True))
    group = np.arange(len(orbits))
    again: list[str] = []
    dropped = set()
    for k, first in sorted(set(zip(owner[pairs.i[close]].tolist(), owner[pairs.j[close]].tolist(), strict=True))):
        if first in dropped or k in dropped or len(orbits[k]) != len(orbits[first]):
            continue
        one, other = rows[first].share, rows[k].share
        if one.element == other.element and one.occupancy + other.occupancy > 1.5:
            if alone and (k, first) not in repeated:
                continue
            dropped.add(k)
            again.append(other.label)
        else:
            group[k] = group[first]
    if again:
        named = ", ".join(again[:3]) + (f" and {len(again) - 3} more" if len(again) > 3 else "")
        note(f"{named}: atoms that {'other rows list' if alone else 'symmetry makes of other rows'}, taken once")
    found: dict[int, list[int]] = {}
    for k in range(len(orbits)):
        if k not in dropped:
            found.setdefault(int(group[k]), []).append(k)
    return list(found.values())


def _shares(rows: Sequence[Row]) -> tuple[Share, ...]:
    shares = tuple(row.share for row in rows)
    if len(shares) == 1 and shares[0].occupancy <= 1.0:
        return shares
    if (total := sum(share.occupancy for share in shares)) > 1.0 + 1e-3 + 5e-3 * (len(shares) > 1):
        named = " and ".join(map(str, shares))
        what = "share a site and fill it" if len(shares) > 1 else "fills its site"
        raise RefusedError(f"is no structure: {named} {what} {total:g} times; correct the occupancies or positions")
    return shares


def cell_of(parameters: Sequence[float]) -> NDArray[np.float64]:
    """Give lattice vectors from lengths [Å] and angles [°], a along x and b in the xy plane.

    Raises
    ------
    RefusedError
        They make no cell.
    """
    lengths, angles = np.array(parameters[:3]), np.array(parameters[3:])
    if not (np.isfinite(parameters).all() and (lengths > 0).all() and (angles > 0).all() and (angles < 180).all()):
        raise RefusedError(f"has no cell (lengths and angles {' '.join(f'{p:g}' for p in parameters)}); complete it")
    return np.array(Cell.fromcellpar(parameters).array, dtype=np.float64)
