"""What of a periodic crystal is drawn: atoms on faces on both sides, whole polyhedra, paths within the cell."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.polyhedra import Polyhedron
from amorph.export.picture.rendering import Array

_ON_A_FACE = 1e-3
"""Atoms this near to a face of the cell are drawn on the opposite one too, in lattice vectors."""


def images_on_faces(atoms: Atoms) -> tuple[NDArray[np.int64], Array]:
    """Number and shift [Å] of every atom that is drawn: all as they are, those on faces on the opposite ones too."""
    numbers, shifts = [np.arange(len(atoms))], [np.zeros((len(atoms), 3))]
    fractions = atoms.get_scaled_positions(wrap=False)
    for axis in range(3):
        for side, sign in ((np.abs(fractions[:, axis]) < _ON_A_FACE, 1), (fractions[:, axis] > 1 - _ON_A_FACE, -1)):
            for number, shift in zip(list(numbers), list(shifts), strict=True):
                on = side[number]
                numbers.append(number[on])
                shifts.append(shift[on] + sign * atoms.cell.array[axis])
    return np.concatenate(numbers), np.vstack(shifts)


def whole_polyhedra(polyhedra: Sequence[Polyhedron], images: tuple[NDArray[np.int64], Array]) -> list[Polyhedron]:
    """Give a polyhedron for every image of its center that is drawn."""
    centers = {each.center: each for each in polyhedra}
    return [
        replace(centers[number], position=centers[number].position + shift, corners=centers[number].corners + shift)
        for number, shift in zip(images[0].tolist(), images[1], strict=True)
        if number in centers
    ]


def drawn_atoms(
    atoms: Atoms, images: tuple[NDArray[np.int64], Array], polyhedra: Sequence[Polyhedron]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number and place of every sphere, each once: the atoms, their images, and the corners of polyhedra."""
    numbers = np.concatenate([images[0], *(each.ligands for each in polyhedra)])
    places = np.vstack([atoms.positions[images[0]] + images[1], *(each.corners for each in polyhedra)])
    _, once = np.unique(np.column_stack([numbers, places.round(3)]), axis=0, return_index=True)
    once.sort()
    return numbers[once], places[once]


def within(positions: Array, cell: Array) -> list[tuple[Array, Array]]:
    """Part a path into its steps, each moved into the cell in which its middle lies: start and end [Å]."""
    starts, ends = positions[:-1], positions[1:]
    shifts = np.floor((starts + ends) / 2 @ np.linalg.inv(cell) + 1e-9) @ cell
    return list(zip(starts - shifts, ends - shifts, strict=True))


def cells_of(repeat: tuple[int, int, int], cell: Array) -> list[Array]:
    """Give the corner of every cell of a repetition [Å]."""
    return [np.array(shift) @ cell for shift in product(*map(range, repeat))]
