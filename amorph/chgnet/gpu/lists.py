"""The Verlet lists of a batch of structures, made on the device and kept there between steps.

Which pairs an atom has is decided here with a skin; `torch_graph` cuts exactly at every step. Pairs are directed and
sorted by i, j and shift, so what follows does not depend on the age of a list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

CANDIDATES = 1_000_000
"""Pairs tried at once while a list is made; they take 0.13 GB."""

_FAR = 1e6
"""Cells between the two atoms of a row that only fills a list up."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Directed pairs within cutoff + skin of all structures, one after the other."""

    i: Tensor
    """(pairs,) first atom."""
    j: Tensor
    """(pairs,) second atom."""
    shift: Tensor
    """(pairs, 3) cell shifts of the second atom."""
    reverse: Tensor
    """(pairs,) number of the pair (j, i, −shift)."""
    starts: Tensor
    """(atoms + 1,) first pair of each atom."""

    def padded(self, capacity: int) -> "Pairs":
        """Fill up with pairs of the last atom and an image far away, which no cutoff lets in."""
        extra = capacity - len(self.i)
        last = self.i.new_full((extra,), len(self.starts) - 2)
        far = self.shift.new_full((extra, 3), _FAR)
        own = torch.arange(len(self.i), capacity, device=self.i.device)
        return Pairs(
            torch.cat([self.i, last]),
            torch.cat([self.j, last]),
            torch.cat([self.shift, far]),
            torch.cat([self.reverse, own]),
            self.starts,
        )

    def overwrite(self, other: "Pairs") -> None:
        """Take the values of another list of the same size, in place: captured graphs read these addresses."""
        for name in ("i", "j", "shift", "reverse", "starts"):
            getattr(self, name).copy_(getattr(other, name))


class VerletLists:
    """The lists of the structures of a batch, each kept until a pair could have come closer than the cutoff unseen."""

    def __init__(self, cutoff: float, skin: float, device: torch.device) -> None:
        self.rebuilds = 0
        self._cutoff, self._skin, self._device = cutoff, skin, device
        self._lists: list[Pairs] = []
        self._counts: tuple[int, ...] = ()
        self._positions: NDArray[np.float64] = np.empty((0, 3))
        self._inverses: NDArray[np.float64] = np.empty((0, 3, 3))

    def update(self, structures: Sequence[Atoms]) -> Pairs | None:
        """Return all pairs where a list had to be made anew, and None where all of them still hold."""
        counts = tuple(map(len, structures))
        positions = np.concatenate([atoms.positions for atoms in structures])
        cells = np.stack([atoms.cell.array for atoms in structures])
        if counts != self._counts:
            self._counts = counts
            self._lists = [_no_pairs(count, self._device) for count in counts]
            self._positions, self._inverses = positions.copy(), np.linalg.inv(cells)
            stale = np.arange(len(counts))
        else:
            stale = np.flatnonzero(~self._hold(positions, cells))
        if stale.size == 0:
            return None
        starts = np.cumsum([0, *counts])
        for number in stale:
            rows = slice(starts[number], starts[number + 1])
            self._positions[rows] = positions[rows]
            self._inverses[number] = np.linalg.inv(cells[number])
            self._lists[number] = make_pairs(
                torch.from_numpy(positions[rows]).to(self._device),
                cells[number],
                self._cutoff + self._skin,
            )
        self.rebuilds += stale.size
        return _joined(self._lists, starts)

    def _hold(self, positions: NDArray[np.float64], cells: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell for each structure whether no pair outside its list can be within the cutoff.

        With the deformation F from the old cell to the new one and displacements u = r − F r_old beyond it, a pair that
        was more than cutoff + skin apart is now at least σ_min(F) (cutoff + skin) − 2 max|u| apart.
        """
        deformation = self._inverses @ cells
        smallest = np.linalg.svd(deformation, compute_uv=False)[:, -1]
        owner = np.repeat(np.arange(len(cells)), self._counts)
        moved = positions - np.einsum("nx,nxy->ny", self._positions, deformation[owner])
        first = np.cumsum([0, *self._counts[:-1]])
        farthest = np.sqrt(np.maximum.reduceat((moved**2).sum(axis=1), first))
        holds: NDArray[np.bool_] = smallest * (self._cutoff + self._skin) - 2 * farthest >= self._cutoff
        return holds


def make_pairs(positions: Tensor, lattice: NDArray[np.float64], cutoff: float) -> Pairs:
    """List all directed pairs of one structure within a cutoff, with linked cells.

    Each atom is compared with those of the bins around its own; where the cell is smaller than the cutoff, a bin is
    the cell and its periodic images are bins of their own. What follows from the lattice vectors alone is computed on
    the host: a device loads a library, and waits, for one matrix of nine.
    """
    atoms, device = len(positions), positions.device
    inverse = np.linalg.inv(lattice)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    n = np.clip(np.floor(heights / cutoff), 1, 512).astype(np.int64)
    reach = np.ceil(cutoff / (heights / n)).astype(np.int64).tolist()
    cell, bins = torch.from_numpy(lattice).to(device), torch.from_numpy(n).to(device)
    fractional = positions @ torch.from_numpy(inverse).to(device)
    wrap = fractional.floor()
    inside = fractional - wrap
    place = torch.minimum((inside * bins).long(), bins - 1)
    strides = torch.stack([bins[1] * bins[2], bins[2], torch.ones_like(bins[0])])
    number = (place * strides).sum(dim=1)
    by_bin = torch.argsort(number, stable=True)
    population = torch.bincount(number, minlength=int(n.prod()))
    first = population.cumsum(0) - population
    ranges = [torch.arange(-r, r + 1, device=device) for r in reach]
    offsets = torch.cartesian_prod(*ranges)
    parts = []
    step = max(1, int(CANDIDATES / (len(offsets) * max(1.0, float(population.max())))))
    for begin in range(0, atoms, step):
        target = place[begin : begin + step, None, :] + offsets
        image = torch.div(target, bins, rounding_mode="floor")
        cells = ((target - image * bins) * strides).sum(dim=2).reshape(-1)
        partners = population[cells]
        row = torch.repeat_interleave(partners)
        within = torch.arange(len(row), device=device) - (partners.cumsum(0) - partners)[row]
        i = begin + torch.div(row, len(offsets), rounding_mode="floor")
        j = by_bin[first[cells[row]] + within]
        image = image.reshape(-1, 3)[row].to(positions.dtype)
        square = (((inside[j] - inside[i] + image) @ cell) ** 2).sum(dim=1)
        keep = (square < cutoff**2) & ((i != j) | (image != 0).any(dim=1))
        parts.append((i[keep], j[keep], image[keep]))
    i, j, image = (torch.cat(column) for column in zip(*parts, strict=True))
    # Shifts between the atoms as they are given differ from those between wrapped atoms by a constant for each pair.
    key = _key(i, j, image, atoms, reach)
    order = torch.argsort(key)
    i, j, image, key = i[order], j[order], image[order], key[order]
    starts = torch.zeros(atoms + 1, dtype=torch.long, device=device)
    starts[1:] = torch.bincount(i, minlength=atoms).cumsum(0)
    reverse = torch.searchsorted(key, _key(j, i, -image, atoms, reach))
    return Pairs(i, j, image - wrap[j] + wrap[i], reverse, starts)


def _key(i: Tensor, j: Tensor, image: Tensor, atoms: int, reach: list[int]) -> Tensor:
    """Number pairs so that they sort by i, j and image."""
    key = i * atoms + j
    for axis in range(3):
        # Floor division by the number of bins reaches one image further than the bins do.
        key = key * (2 * reach[axis] + 3) + image[:, axis].long() + reach[axis] + 1
    return key


def _no_pairs(atoms: int, device: torch.device) -> Pairs:
    empty = torch.empty(0, dtype=torch.long, device=device)
    return Pairs(
        empty,
        empty,
        torch.empty((0, 3), dtype=torch.float64, device=device),
        empty,
        torch.zeros(atoms + 1, dtype=torch.long, device=device),
    )


def _joined(lists: Sequence[Pairs], atom_starts: NDArray[np.int64]) -> Pairs:
    pair_starts = np.cumsum([0, *(len(pairs.i) for pairs in lists)])
    atoms = [int(start) for start in atom_starts]
    shifted = [
        (pairs.i + a, pairs.j + a, pairs.shift, pairs.reverse + int(p), pairs.starts[:-1] + int(p))
        for pairs, a, p in zip(lists, atoms, pair_starts, strict=False)
    ]
    i, j, shift, reverse, starts = (torch.cat(column) for column in zip(*shifted, strict=True))
    return Pairs(i, j, shift, reverse, torch.cat([starts, starts.new_full((1,), int(pair_starts[-1]))]))
