"""CHGNet in torch: a batch of structures in one sequence of launches, on a GPU or, slower, on the CPU.

One evaluation is a function of positions and cells on the device: exact graph, network, gradient, sums. It asks the
device for nothing on the way. What comes back is one array: forces, moments, energies, virials and a few numbers that
tell whether the structure may be trusted and had room.
"""

import copy
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from amorph.chgnet import torch_layers
from amorph.chgnet.folding import fold
from amorph.chgnet.guards import refuse_close, refuse_isolated
from amorph.chgnet.torch_capture import Captures, Compiled
from amorph.chgnet.torch_graph import Cut, Graph, Sizes, build, cut
from amorph.chgnet.torch_list import Pairs, VerletLists
from amorph.chgnet.torch_memory import choose_recompute
from amorph.chgnet.torch_sums import segment_sum
from amorph.chgnet.weights import Checkpoint
from amorph.structure import MINIMUM_DISTANCE

logger = logging.getLogger(__name__)

SKIN = 1.0
"""Margin of the Verlet lists [Å]."""

_CHUNK = 32
"""Atoms that are summed first when those of a structure are, so that no sum is one long chain."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one evaluation reads on the device, always at the same addresses while the batch stays the same."""

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


class TorchEngine:
    """One model on one device.

    Parameters
    ----------
    checkpoint
        A model that holds the assumptions of `folding.unsupported`.
    device
        "cpu", "cuda" or "cuda:1".
    dtype
        Type of the features; float64 makes the engine a reference in double precision.
    skin
        Margin of the Verlet lists [Å].
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str, *, dtype: torch.dtype = torch.float32, skin: float = SKIN
    ) -> None:
        self.device = torch.device(device)
        self.weights = torch_layers.load(fold(checkpoint), self.device, dtype)
        self._reference = np.asarray(checkpoint.arrays["composition_model.fc.weight"], dtype=np.float64).ravel()
        self._skin = skin
        self._padded = self.device.type == "cuda"
        self._network = Compiled(torch_layers.network, self.device)
        self._forget()

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV] and, where asked, forces [eV/Å], stress [eV/Å³, ASE's order] and magmoms [μB].

        Forces and stress come from one backward pass and are both returned where either is asked.
        """
        return self.evaluate_many([atoms], properties)[0]

    def evaluate_many(self, structures: Sequence[Atoms], properties: set[str]) -> list[dict[str, Any]]:
        """Compute the same for each structure, all in one pass over their joined graphs.

        The n-th structure keeps its neighbor list from call to call, so replicas should keep their order.

        Raises
        ------
        ValueError
            A structure has no meaning for CHGNet, or all together do not fit in the device's memory.
        """
        inputs = self._refreshed(structures)
        gradient = bool(properties & {"forces", "stress"})
        values = self._run(inputs, gradient)
        atoms, count = len(inputs.species), len(structures)
        forces, moments, sums, flags = np.split(values, np.cumsum([3 * atoms, atoms, 10 * count]))
        self._refuse(structures, flags)
        results: list[dict[str, Any]] = []
        starts = self._atom_starts
        for number, structure in enumerate(structures):
            rows = slice(starts[number], starts[number + 1])
            energy, *virial = sums[10 * number : 10 * number + 10]
            result: dict[str, Any] = {"energy": float(energy + self._reference[structure.numbers - 1].sum())}
            if "magmoms" in properties:
                result["magmoms"] = moments[rows].copy()
            if gradient:
                sigma = np.array(virial).reshape(3, 3) / abs(np.linalg.det(structure.cell.array))
                sigma = (sigma + sigma.T) / 2
                result["forces"] = forces.reshape(-1, 3)[rows].copy()
                result["stress"] = sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            results.append(result)
        return results

    def twin(self) -> "TorchEngine":
        """Return an engine of the same weights for other structures, which keeps lists of its own."""
        other = copy.copy(self)
        other._forget()
        return other

    def _forget(self) -> None:
        """Drop the lists, inputs and captured graphs of the structures seen so far."""
        self._lists = VerletLists(self.weights.atom_cutoff, self._skin, self.device)
        self._captures = Captures(self.device)
        self._inputs: Inputs | None = None
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._atom_starts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._sizes: Sizes | None = None
        self._granted = Sizes(0, 0, 0)
        self._recompute = False

    def _refreshed(self, structures: Sequence[Atoms]) -> Inputs:
        """Bring positions, cells and, where they no longer hold, lists to the device."""
        starts = np.cumsum([0, *map(len, structures)])
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        if not np.array_equal(starts, self._atom_starts) or not np.array_equal(numbers, self._numbers):
            self._forget()
            self._atom_starts, self._numbers = starts, numbers
        positions = torch.from_numpy(np.concatenate([atoms.positions for atoms in structures]))
        cells = torch.from_numpy(np.stack([atoms.cell.array for atoms in structures]))
        pairs = self._lists.update(structures)
        inputs = self._inputs
        if pairs is not None:
            if self._padded or len(pairs.i) == 0:
                pairs = pairs.padded(bucket(len(pairs.i)))
            if self._padded and inputs is not None and len(inputs.pairs.i) == len(pairs.i):
                inputs.pairs.overwrite(pairs)
            else:
                self._captures.clear()
                inputs = self._inputs = self._new_inputs(pairs, positions, cells, numbers, starts)
        assert inputs is not None  # the first update of new lists returns pairs
        inputs.positions.copy_(positions)
        inputs.cells.copy_(cells)
        return inputs

    def _new_inputs(
        self, pairs: Pairs, positions: Tensor, cells: Tensor, numbers: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> Inputs:
        lengths = np.diff(starts)
        chunks = -(-lengths // _CHUNK)
        within = np.arange(chunks.sum()) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        first_atoms = np.append(np.repeat(starts[:-1], chunks) + _CHUNK * within, starts[-1])

        def integers(array: NDArray[np.int64]) -> Tensor:
            return torch.tensor(array, dtype=torch.long, device=self.device)

        return Inputs(
            pairs,
            torch.empty_like(positions, device=self.device),
            torch.empty_like(cells, device=self.device),
            integers(numbers),
            integers(np.repeat(np.arange(lengths.size), lengths)),
            integers(first_atoms),
            integers(np.cumsum([0, *chunks])),
        )

    def _run(self, inputs: Inputs, gradient: bool) -> NDArray[np.float64]:
        """Evaluate with as much room as needed: exactly that where counting first is cheap, else the next bucket.

        With buckets the first try has the room of the last call. It counts where the sizes have left their bucket, in
        either direction, so the room, and with it every rounding, is a function of the positions alone.
        """
        room = self._sizes
        if room is None or not self._padded:
            with torch.no_grad():
                room = Sizes(*map(int, self._cut(inputs).sizes.tolist()))
        while True:
            room = room_for(room, padded=self._padded)
            self._grant(len(inputs.species), room)
            evaluation = functools.partial(self._values, inputs, room, gradient)
            values = self._captures.run((room, gradient, self._recompute), evaluation)
            sizes = Sizes(*map(int, values[-7:-4]))
            self._sizes = sizes
            if room_for(sizes, padded=self._padded) == room:
                return values
            room = sizes

    def _grant(self, atoms: int, room: Sizes) -> None:
        """Check, before a larger room is used, that it fits in memory, and choose what is kept for the way back."""
        if all(new <= old for new, old in zip(room, self._granted, strict=True)):
            return
        itemsize = self.weights.embedding.element_size()
        self._recompute = choose_recompute(self.device, atoms, room, itemsize=itemsize)
        if self._recompute:
            logger.info(
                "CHGNet computes its layers twice, uncompiled: what they leave would not fit on %s", self.device
            )
        self._granted = Sizes(*map(max, room, self._granted))

    def _cut(self, inputs: Inputs) -> Cut:
        w = self.weights
        return cut(inputs.pairs, inputs.positions, inputs.cells, inputs.structure, w.atom_cutoff, w.bond_cutoff)

    def _values(self, inputs: Inputs, room: Sizes, gradient: bool) -> Tensor:
        """Everything that one evaluation returns, in one float64 array on the device."""
        with torch.no_grad():
            c = self._cut(inputs)
            g = build(c, room)
        vector = g.vector.requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            # The compiler cannot take layers that are computed again, at sizes that are symbols.
            network = torch_layers.network if self._recompute else self._network
            energies, moments = network(self.weights, g, vector, inputs.species, self._recompute)
            slope = torch.autograd.grad(energies.sum(), vector)[0] if gradient else torch.zeros_like(vector)
        with torch.no_grad():
            forces, virials = gather_forces(g, slope)
            per_atom = torch.cat([energies.detach()[:, None], virials], dim=1)
            sums = segment_sum(segment_sum(per_atom, inputs.chunk_starts), inputs.structure_starts)
            return torch.cat([forces.reshape(-1), moments.detach(), sums.reshape(-1), _flags(c, g)])

    def _refuse(self, structures: Sequence[Atoms], flags: NDArray[np.float64]) -> None:
        """Raise the error for atoms that are too close or have no neighbor, in the first structure that has such."""
        square, i, j, isolated = flags[-4:]
        if square >= MINIMUM_DISTANCE**2 and not isolated:
            return
        starts = self._atom_starts
        number = int(np.searchsorted(starts, i, side="right")) - 1
        try:
            if square < MINIMUM_DISTANCE**2:
                first = int(starts[number])
                refuse_close(structures[number], int(i) - first, int(j) - first, float(np.sqrt(square)))
            inputs = self._inputs
            assert inputs is not None  # flags come from inputs
            edges = self._cut(inputs).edges
            alone = np.flatnonzero((torch.diff(edges[inputs.pairs.starts]) == 0).cpu().numpy())
            number = int(np.searchsorted(starts, alone[0], side="right")) - 1
            alone = alone[alone < starts[number + 1]] - starts[number]
            refuse_isolated(structures[number], alone, self.weights.atom_cutoff)
        except ValueError as error:
            raise (error if len(structures) == 1 else ValueError(f"structure {number}: {error}")) from None


def gather_forces(g: Graph, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Turn dE/dD of each bond into the force on each atom and its half of the virial Σ D ⊗ dE/dD, (atoms, 9)."""
    pulled = slope.index_select(0, g.bond.target)
    along = g.vector.detach().index_select(0, g.bond.target)
    virial = (along[:, :, None] * pulled[:, None, :]).reshape(-1, 9) / 2
    assert g.center.starts is not None  # edges are sorted by their center
    sums = segment_sum(torch.cat([pulled * g.sign, virial], dim=1), g.center.starts)
    return sums[:, :3], sums[:, 3:]


def _flags(c: Cut, g: Graph) -> Tensor:
    """The three sizes, the least squared distance [Å²] and its two atoms, and how many atoms have no neighbor."""
    # An index on the device: a number as an index would be fetched by the host, which a capture does not allow.
    nearest = c.square.argmin().reshape(1)
    pair = torch.cat([values.index_select(0, nearest).double() for values in (c.square, c.pairs.i, c.pairs.j)])
    isolated = (torch.diff(c.edges[c.pairs.starts]) == 0).sum()
    return torch.cat([c.sizes.double(), pair, isolated.double()[None]])


def bucket(count: int) -> int:
    """Round up to the next of eight steps in each power of two, at least 64."""
    step = max(64, 2 ** max(count - 1, 1).bit_length() // 16)
    return max(step, -(-count // step) * step)


def room_for(sizes: Sizes, *, padded: bool) -> Sizes:
    """Return the room that an evaluation of these sizes gets; one row of padding stands where there is nothing."""
    return Sizes(*(bucket(size) if padded else max(size, 1) for size in sizes))
