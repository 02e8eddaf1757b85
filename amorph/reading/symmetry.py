"""The symmetry operations that a file names: by themselves, by Hall symbol, Hermann–Mauguin symbol or number."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final

import numpy as np

from amorph.reading.files import RefusedError, note
from amorph.reading.rows import Operations

_TERM: Final = re.compile(r"([+-]?)(?:(\d+/\d+|\d*\.?\d+)(?:\*?([xyz]))?|([xyz]))")
_P1: Final = re.compile(r"p1?|1|", re.I)
_ORIGIN: Final = {"HR": ":H", "S": ":1", "Z": ":2", "H": ":H", "R": ":R"}
"""How the ICSD ends a symbol, and the setting that it means; HR is its old way to name hexagonal axes."""


def operations_from(triplets: Iterable[str]) -> Operations:
    """Read operations such as "-y, x-y, z+1/3", each once, the identity first.

    A fourth part, the time reversal of a magnetic operation, moves no atom and is left out.

    Raises
    ------
    RefusedError
        One is no operation.
    """
    found: dict[tuple[float, ...], None] = {(*np.eye(3).ravel().tolist(), 0.0, 0.0, 0.0): None}
    for triplet in triplets:
        parts = triplet.lower().replace(" ", "").split(",")
        try:
            rows = [_component(part) for part in parts[:3]]
            if len(rows) != 3 or abs(abs(np.linalg.det(np.array([row[:3] for row in rows]))) - 1) > 1e-6:
                raise ValueError
        except (ValueError, ZeroDivisionError):
            raise RefusedError(f"has the symmetry operation '{triplet[:40]}', which is none; correct it") from None
        found[(*(entry for row in rows for entry in row[:3]), *(row[3] for row in rows))] = None
    table = np.array(list(found))
    return Operations(table[:, :9].reshape(-1, 3, 3), table[:, 9:])


def _component(part: str) -> tuple[float, float, float, float]:
    """Read one part of an operation as the factors of x, y, z and the translation."""
    row = dict.fromkeys("xyz1", 0.0)
    end = 0
    while end < len(part):
        match = _TERM.match(part, end)
        if match is None or (end and not match[1]):
            raise ValueError
        value = float(Fraction(match[2])) if match[2] else 1.0
        row[match[3] or match[4] or "1"] += -value if match[1] == "-" else value
        end = match.end()
    # translations rounded to digits, as 0.333, are twenty-fourths; fifths and sevenths of magnetic cells are exact
    shift = row["1"] % 1.0
    nearest = round(24 * shift) / 24
    return row["x"], row["y"], row["z"], (nearest if abs(shift - nearest) < 1e-3 else shift) % 1.0


def composed(first: Operations, then: Operations) -> Operations:
    """Follow each of some operations by each of others, as magnetic operations by the centrings of their lattice."""
    rotations = np.einsum("aij,bjk->abik", then.rotations, first.rotations).reshape(-1, 3, 3)
    moved = np.einsum("aij,bj->abi", then.rotations, first.translations) + then.translations[:, None]
    table = np.hstack([rotations.reshape(-1, 9), moved.reshape(-1, 3) % 1.0])
    _, index = np.unique(np.round(table, 6), axis=0, return_index=True)
    kept = np.sort(index)
    return Operations(rotations[kept], moved.reshape(-1, 3)[kept] % 1.0)


def is_above_p1(name: str, number: int | None) -> bool:
    """Tell whether a name or number is of a group of more than the identity; a name that nobody knows is."""
    group = _named(name, 0.0, 0.0)
    if group is not None:
        return len(group.operations()) > 1
    return number > 1 if number is not None else bool(name.strip(" ?.'"))


def check_whole(operations: Operations, hall: str, name: str, number: int | None, angles: Sequence[float]) -> None:
    """Refuse listed operations that are no group, or not as many as the group has that the file names.

    In other axes than those of its symbol, as in a primitive cell, a group has as many rotations; and so it has where
    its number alone is known, which leaves the centring open, but no fewer translations than in its own axes.

    Raises
    ------
    RefusedError
        One of these; the atoms are then a part of the cell, or the name is a remainder of another file.
    """
    listed = len(operations)
    group, is_by_number = _group_of(hall, name, number, angles)
    named = name.strip() or hall.strip() or f"number {number}"
    is_closed = _is_closed(operations)
    if group is not None:
        whole = _plain(group)
        own, found = ({turn.tobytes() for turn in np.round(each.rotations).astype(int)} for each in (whole, operations))
        more = listed - len(whole)
        in_full = found <= own and (more < 0 or (more > 0 and not is_by_number))
        count, order = (listed, len(whole)) if in_full else (len(found), len(own))
        if count != order or not is_closed:
            what = "operations" if in_full else "rotations"
            raise RefusedError(
                f"lists {count} symmetry {what}, and the space group {named} that it names has {order}; list all of "
                "them, or none, or name the group that they make, P 1 if every atom of the cell is in the file"
            )
    elif listed == 1 and is_above_p1(name, number):
        raise RefusedError(
            f"names the space group {named}, which nobody knows, and lists the identity alone; if every atom of the "
            "cell is in it, write P 1 there, else give all operations"
        )
    elif not is_closed:
        raise RefusedError(
            f"lists {listed} symmetry operations, which are no group: two of them make one that is not listed; list all"
        )


_SHIFTED: Final = 0.02
"""Difference of two translations that are the same, rounded to two digits."""


def _is_closed(operations: Operations) -> bool:
    """Tell whether every product of two operations is among them, up to lattice vectors."""
    weights = 7.0 ** np.arange(9)  # one number for each matrix of small whole numbers
    flat = np.round(operations.rotations.reshape(-1, 9) @ weights, 2)
    keys, which = np.unique(flat, return_inverse=True)
    shifts = np.full((len(keys), int(np.bincount(which).max()), 3), np.nan)
    for k in range(len(keys)):
        own = operations.translations[which == k]
        shifts[k, : len(own)] = own
    for rotation, translation in zip(operations.rotations, operations.translations, strict=True):
        products = np.round((rotation @ operations.rotations).reshape(-1, 9) @ weights, 2)
        found = np.searchsorted(keys, products).clip(max=len(keys) - 1)
        moved = operations.translations @ rotation.T + translation
        apart = shifts[found] - moved[:, None]
        same = (np.abs(apart - np.round(apart)) < _SHIFTED).all(axis=2).any(axis=1)
        if not (same & (np.abs(keys[found] - products) < 0.5)).all():
            return False
    return True


def _group_of(hall: str, name: str, number: int | None, angles: Sequence[float]) -> tuple[Any, bool]:
    """Find the operations of the group that a file names, None where nobody knows it; tell whether its number says it.

    The number counts where no symbol is known, as behind "P 1 21/c 1 (No. 14)".
    """
    import gemmi

    if (group := _named(name, angles[0], angles[2])) is not None:
        return group.operations(), False
    if hall.strip():
        with suppress(RuntimeError, ValueError):
            return gemmi.symops_from_hall(hall.strip()), False
    group = None if number is None else gemmi.find_spacegroup_by_number(number)
    return (None if group is None else group.operations()), True


def group_operations(
    hall: str, name: str, number: int | None, angles: Sequence[float]
) -> tuple[list[Operations], list[str]]:
    """Give the operations of a space group by its names, and how each choice of them is called.

    Where the names leave the origin open there are two choices; which one is meant its atoms must tell.

    Raises
    ------
    RefusedError
        A symbol that nobody knows, or a symbol and a number of different groups.
    """
    import gemmi

    if hall.strip():
        try:
            found = gemmi.symops_from_hall(hall.strip())
        except (RuntimeError, ValueError) as error:
            raise RefusedError(f"has the Hall symbol '{hall}', which is none ({error}); correct it") from None
        return [_plain(found)], [hall]
    group = _named(name, angles[0], angles[2])
    if group is None and name.strip():
        raise RefusedError(
            f"names the space group '{name.strip()[:40]}', which nobody knows, and no operations; give operations or a "
            "symbol of the International Tables"
        )
    if group is not None and number and group.number != number:
        raise RefusedError(
            f"names the space group {name.strip()}, number {group.number}, and the number {number}; correct one"
        )
    if group is None and number:
        group = gemmi.find_spacegroup_by_number(number)
        if group is None:
            raise RefusedError(f"has the space group number {number}, which is none; correct it")
        if group.ext == "H" and abs(angles[2] - 120.0) > 1.0:
            group = gemmi.find_spacegroup_by_name(f"{group.hm}:R")
    if group is None:
        note("no space group and no operations are named; every atom of the cell is taken to be in the file")
        return [operations_from([])], ["P 1"]
    choices = [group]
    if group.ext == "1" and ":1" not in name.replace(" ", "") and not re.search(r"S\s*$", name):
        choices.append(gemmi.find_spacegroup_by_name(f"{group.hm}:2"))
    return [_plain(choice.operations()) for choice in choices], [choice.xhm() for choice in choices]


def _named(name: str, alpha: float, gamma: float) -> Any:
    """Find a space group by its symbol, in the spellings of databases too; None where nobody knows it."""
    import gemmi

    plain = re.sub(r"[_()]", "", name).strip()
    if _P1.fullmatch(plain.replace(" ", "")):
        return gemmi.find_spacegroup_by_number(1) if plain else None
    spellings = [name.strip(), plain, plain.capitalize()]
    spellings += [plain.removesuffix(end).rstrip(" :") + _ORIGIN[end] for end in _ORIGIN if plain.endswith(end)][:1]
    for spelling in spellings:
        # gemmi tells rhombohedral from hexagonal axes by these angles
        if (group := gemmi.find_spacegroup_by_name(spelling, alpha, gamma)) is not None:
            return group
    return None


def _plain(group: Any) -> Operations:
    return operations_from([operation.triplet() for operation in group])
