"""The paths of the atoms of a trajectory: followed across the faces of the cell, the drift of the whole taken off."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure import poscar_order

Floats = NDArray[np.float64]

LONGEST_STEP: Final = 0.4
"""Share of a lattice vector that an atom may move between frames. A step above half a vector looks like a shorter one
the other way, so that where steps near a half occur, others have been mistaken."""
_SAME: Final = 1e-3
"""Share of a lattice vector to which two files, or six digits of one, agree where an atom is."""
_BLOCK: Final = 256
"""Frames that are turned over at once, from frames of atoms to paths in time."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Where the atoms of a trajectory went."""

    symbols: tuple[str, ...]
    """Elements of the atoms: those of one element stand together, in order of its first appearance."""
    blocks: tuple[Floats, ...]
    """(atoms, 3, frames) displacements from the first frame, continuous in time, without that of the center of mass of
    the cell [Å]; in blocks of frames, since all of them twice would be most of the memory."""
    volume_A3: float
    """Mean volume of the cell [Å³]."""
    masses_u: Floats
    """(atoms,) masses [u]."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return sum(block.shape[2] for block in self.blocks)

    def whole_of(self, weights: Mapping[str, float], host: Collection[str]) -> Floats:
        """Give the (1, 3, frames) sum of the paths of some elements' atoms, each times the weight of its element.

        It is seen from the center of mass of the atoms of other elements, the host; without one, from that of the cell.
        """
        share = np.array([weights.get(symbol, 0.0) for symbol in self.symbols])
        if host:
            masses = self.masses_u * np.isin(self.symbols, list(host))
            share -= share.sum() * masses / masses.sum()
        return np.concatenate([np.einsum("a,axf->xf", share, block)[None] for block in self.blocks], axis=2)

    def of(self, element: str) -> Floats:
        """Give the (atoms, 3, frames) paths of one element."""
        first = self.symbols.index(element)
        last = first + self.symbols.count(element)
        return np.concatenate([block[first:last] for block in self.blocks], axis=2)


def unwrapped_paths(frames: Iterable[Atoms]) -> Paths:
    r"""Follow the atoms of a trajectory, wrapped or not, in a cell that may change.

    Parameters
    ----------
    frames
        Frames in order, at equal intervals.

    Raises
    ------
    ValueError
        No frame; frames of different atoms; a step of an atom above 0.4 of a lattice vector, which could have crossed
        either face, where the frames do not say which.

    Notes
    -----
    From frame to frame an atom takes its shortest step in fractional coordinates, times the mean of the two cells:
    :math:`\Delta r = (\Delta f - \mathrm{round}\,\Delta f)\,(h_k + h_{k+1})/2`. A cell that breathes moves no atom
    by this measure, and there are no false displacements that grow with the distance from the origin. Between frames
    with ``atoms.arrays["unwrapped_positions"]`` [Å], as LAMMPS dumps have them, :math:`f` is of these and nothing is
    rounded, so that a step may have any length. Other vectors of the same lattice, as a sheared cell takes them, are
    turned into each other. Where the array is not the positions but for whole lattice vectors, the atoms were moved
    since, and it is passed over.
    """
    first: Atoms | None = None
    blocks: list[Floats] = []
    volumes: list[float] = []
    before: Floats = np.empty(0)
    cell: Floats = np.empty(0)
    place = before
    told_before = False
    shares, order = np.empty(0), np.empty(0, dtype=np.int64)
    rows: list[Floats] = []
    for number, atoms in enumerate(frames):
        fractional, told = _followed(atoms)
        if first is None:
            first, place, order = atoms, np.zeros((len(atoms), 3)), poscar_order(atoms)
            masses = atoms.get_masses()
            shares = masses / masses.sum()
        else:
            if not np.array_equal(atoms.numbers, first.numbers):
                raise ValueError(f"frame {number} has other atoms than the first, or in another order; sort them alike")
            turn: Floats = np.rint(cell @ np.linalg.inv(atoms.cell.array))
            if round(abs(np.linalg.det(turn))) == 1:  # LAMMPS goes on with b − a for b where a cell has sheared far
                before, cell = before @ turn, np.linalg.inv(turn).astype(np.float64) @ cell
            step: Floats = fractional - before
            if not (told and told_before):
                step -= np.round(step)
                _check_step(step, atoms, number)
            step = step @ ((cell + atoms.cell.array) / 2.0)
            place = place + (step - shares @ step)
        before, told_before, cell = fractional, told, atoms.cell.array.copy()
        volumes.append(atoms.cell.volume)
        rows.append(place[order])
        if len(rows) == _BLOCK:
            blocks.append(_turned(rows))
            rows = []
    if first is None:
        raise ValueError("there is no frame to follow; give a trajectory")
    if rows:
        blocks.append(_turned(rows))
    return Paths(tuple(first.symbols[order]), tuple(blocks), float(np.mean(volumes)), first.get_masses()[order])


def _followed(atoms: Atoms) -> tuple[Floats, bool]:
    """Give fractional coordinates, and whether they go on beyond the faces of the cell."""
    wrapped = atoms.cell.scaled_positions(atoms.positions)
    if "unwrapped_positions" not in atoms.arrays:
        return wrapped, False
    beyond = atoms.cell.scaled_positions(atoms.arrays["unwrapped_positions"])
    images = beyond - wrapped
    if np.abs(images - np.round(images)).max() > _SAME:
        return wrapped, False
    return beyond, True


def _check_step(step: Floats, atoms: Atoms, number: int) -> None:
    if (longest := float(np.abs(step).max())) > LONGEST_STEP:
        atom = int(np.argmax(np.abs(step).max(axis=1)))
        raise ValueError(
            f"atom {atom} ({atoms.symbols[atom]}) moves {longest:.2f} of a lattice vector before frame {number}: "
            f"beyond {LONGEST_STEP} nobody knows through which face; write frames more often, or a LAMMPS dump with ix "
            "iy iz"
        )


def _turned(rows: list[Floats]) -> Floats:
    return np.ascontiguousarray(np.array(rows).transpose(1, 2, 0))
