"""What is kept between steps of the structures that are evaluated together: lists and inputs at fixed addresses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from amorph.chgnet.gpu.graph import Cut, Sizes, cut
from amorph.chgnet.gpu.lists import Pairs, VerletLists

_CHUNK = 32
"""Atoms that are summed first when those of a structure are, so that no sum is one long chain."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one evaluation reads on the device; captured graphs read these addresses."""

    pairs: Pairs
    positions: Tensor
    """(atoms, 3) of all structures [Å]."""
    cells: Tensor
    """(structures, 3, 3) [Å]"""
    species: Tensor
    """(atoms,) atomic numbers."""
    structure: Tensor
    """(atoms,) the structure of each atom."""
    chunk_starts: Tensor
    """(chunks + 1,) first atom of each chunk of the sums over atoms."""
    structure_starts: Tensor
    """(structures + 1,) first chunk of each structure."""

    def cut(self, cutoff: float, bond_cutoff: float) -> Cut:
        """Measure all pairs and count those within the cutoffs [Å]."""
        return cut(self.pairs, self.positions, self.cells, self.structure, cutoff, bond_cutoff)


class Replicas:
    """Structures of given numbers of atoms and elements, in this order, as they move.

    Parameters
    ----------
    structures
        Any that have these atoms.
    cutoff, skin
        Reach of the Verlet lists and their margin [Å].
    padded
        Give the list of pairs room to spare, so that a new one finds place at the same addresses.
    """

    def __init__(
        self, structures: Sequence[Atoms], cutoff: float, skin: float, device: torch.device, *, padded: bool
    ) -> None:
        self.numbers = np.concatenate([atoms.numbers for atoms in structures])
        self.starts = np.cumsum([0, *map(len, structures)])
        """(structures + 1,) first atom of each structure."""
        self.lists = VerletLists(cutoff, skin, device)
        self._reach = cutoff, skin
        self.granted = Sizes(0, 0, 0)
        """Room that was found to fit in the device's memory."""
        self.twice = 0
        """Evaluations for which layers are computed twice, because what they leave would not fit, until it is looked
        again."""
        self.told = False
        """Whether the log has it."""
        self._device, self._padded = device, padded
        self._inputs: Inputs | None = None

    @property
    def recompute(self) -> bool:
        """Whether layers are computed again on the way back."""
        return self.twice > 0

    def inputs(self, structures: Sequence[Atoms]) -> Inputs:
        """Bring positions, cells and, where they no longer hold, lists to the device."""
        positions = torch.from_numpy(np.concatenate([atoms.positions for atoms in structures]))
        cells = torch.from_numpy(np.stack([atoms.cell.array for atoms in structures]))
        try:
            inputs = self._listed(self.lists.update(structures))
        except BaseException:
            # A list that was half made, or did not reach the inputs, must not count as there.
            self.lists, self._inputs = VerletLists(*self._reach, self._device), None
            raise
        inputs.positions.copy_(positions)
        inputs.cells.copy_(cells)
        return inputs

    def _listed(self, pairs: Pairs | None) -> Inputs:
        """Return the inputs with these pairs in them, or as they are where no list was made."""
        if pairs is not None:
            if self._padded or len(pairs.i) == 0:
                pairs = pairs.padded(bucket(len(pairs.i)))
            if self._padded and self._inputs is not None and len(self._inputs.pairs.i) == len(pairs.i):
                self._inputs.pairs.overwrite(pairs)
            else:
                self._inputs = self._new_inputs(pairs)
        assert self._inputs is not None  # the first update of new lists returns pairs
        return self._inputs

    def _new_inputs(self, pairs: Pairs) -> Inputs:
        lengths = np.diff(self.starts)
        chunks = -(-lengths // _CHUNK)
        within = np.arange(chunks.sum()) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        first_atoms = np.append(np.repeat(self.starts[:-1], chunks) + _CHUNK * within, self.starts[-1])

        def integers(array: NDArray[np.int64]) -> Tensor:
            return torch.tensor(array, dtype=torch.long, device=self._device)

        def doubles(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.float64, device=self._device)

        return Inputs(
            pairs,
            doubles(len(self.numbers), 3),
            doubles(lengths.size, 3, 3),
            integers(self.numbers),
            integers(np.repeat(np.arange(lengths.size), lengths)),
            integers(first_atoms),
            integers(np.cumsum([0, *chunks])),
        )


def bucket(count: int) -> int:
    """Round up to the next of eight steps in each power of two, at least 64."""
    step = max(64, 2 ** max(count - 1, 1).bit_length() // 16)
    return max(step, -(-count // step) * step)


def room_for(sizes: Sizes, *, padded: bool) -> Sizes:
    """Return the room that an evaluation of these sizes gets; one row of padding stands where there is nothing."""
    return Sizes(*(bucket(size) if padded else max(size, 1) for size in sizes))
