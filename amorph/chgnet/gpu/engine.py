"""CHGNet in torch: a batch of structures in one sequence of launches, on a GPU or, slower, on the CPU.

A step is two functions of positions and cells on the device. The first measures and counts: its few numbers tell
whether the structures may be trusted, and how much room the second needs. That is the evaluation: exact graph,
network, gradient, sums. Neither asks the device for anything on the way, and of each one array comes back.
"""

import copy
import functools
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from torch import Tensor

from amorph.chgnet.folding import fold
from amorph.chgnet.gpu import layers
from amorph.chgnet.gpu.capture import Captures, Compiled
from amorph.chgnet.gpu.full_float32 import full_float32
from amorph.chgnet.gpu.graph import Graph, Sizes, build
from amorph.chgnet.gpu.memory import choose_recompute, does_not_fit
from amorph.chgnet.gpu.replicas import Inputs, Replicas, room_for
from amorph.chgnet.gpu.sums import segment_least, segment_sum
from amorph.chgnet.guards import refuse_close, refuse_isolated
from amorph.chgnet.precision import FEWEST_ATOMS, Precise, beyond_float32
from amorph.chgnet.weights import Checkpoint
from amorph.structure import MINIMUM_DISTANCE, SKIN

logger = logging.getLogger(__name__)

PATIENCE = 500
"""Evaluations that compute layers twice before it is looked again whether what they leave would fit."""

KEPT = 4
"""Batches of different composition whose lists and captured graphs are kept, the last used ones."""


class TorchEngine:
    """One model on one device, in float32 where that is exact enough and in float64 where not.

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
        self.dtype = dtype
        self.weights = layers.load(fold(checkpoint), self.device, dtype)
        self._reference = np.asarray(checkpoint.arrays["composition_model.fc.weight"], dtype=np.float64).ravel()
        self._skin = skin
        self._padded = self.device.type == "cuda"
        self._network = Compiled(layers.network, self.device, wanted=dtype == torch.float32)
        self._captures = Captures(self.device)
        self._replicas: OrderedDict[Any, Replicas] = OrderedDict()
        self._precise = Precise(lambda: TorchEngine(checkpoint, device, dtype=torch.float64, skin=skin))
        self._double: TorchEngine | None = None

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV], forces [eV/Å], stress [eV/Å³, ASE's order] and, where asked, magmoms [μB].

        Forces and stress are computed for every structure, because they tell whether float32 is exact enough: what is
        returned does not depend on what is asked.
        """
        return self.evaluate_many([atoms], properties)[0]

    def evaluate_many(self, structures: Sequence[Atoms], properties: set[str]) -> list[dict[str, Any]]:
        """Compute the same for each structure, all in one pass over their joined graphs.

        The n-th structure keeps its neighbor list from call to call, so replicas should keep their order. One structure
        that has no meaning is an error for all.

        Raises
        ------
        ValueError
            A structure has no meaning for CHGNet, or all together do not fit in the device's memory.
        """
        if not structures:
            return []
        with full_float32(), self._captures.stream():
            replicas = self._replicas_of(structures)
            try:
                inputs = replicas.inputs(structures)
                counts = self._captures.run(inputs, "counts", functools.partial(self._counts, inputs))
            except torch.OutOfMemoryError:
                self._captures.clear()
                raise ValueError(
                    f"the pairs of {len(replicas.numbers)} atoms do not fit in the memory of {self.device}; use a "
                    "smaller cell or fewer structures at once"
                ) from None
            sizes, squares = Sizes(*map(int, counts[:3])), counts[3:]
            self._refuse(structures, inputs, replicas.starts, squares)
            values = self._run(replicas, inputs, room_for(sizes, padded=self._padded))
            results = self._results(structures, replicas.starts, values, properties)
            if self.dtype == torch.float32:
                closest = np.sqrt(np.minimum.reduceat(squares, replicas.starts[:-1]))
                self._improve(structures, closest, properties, results)
        return results

    def twin(self) -> "TorchEngine":
        """Return an engine of the same weights for other structures, which keeps lists of its own."""
        other = copy.copy(self)
        other._replicas, other._double = OrderedDict(), None
        return other

    @property
    def captured(self) -> bool:
        """Whether evaluations are captured as CUDA graphs."""
        return self._captures.on

    @property
    def compiled(self) -> bool:
        """Whether the network is compiled."""
        return self._network.compiled

    @property
    def rebuilds(self) -> int:
        """Number of neighbor lists that were made."""
        return sum(replicas.lists.rebuilds for replicas in self._replicas.values())

    def _replicas_of(self, structures: Sequence[Atoms]) -> Replicas:
        """Find what is kept of structures of this composition; a member that is away for a step costs no graph."""
        key = tuple(atoms.numbers.tobytes() for atoms in structures)
        if key not in self._replicas:
            w = self.weights
            self._replicas[key] = Replicas(structures, w.atom_cutoff, self._skin, self.device, padded=self._padded)
            if len(self._replicas) > KEPT:
                self._replicas.popitem(last=False)
        self._replicas.move_to_end(key)
        return self._replicas[key]

    def _counts(self, inputs: Inputs) -> Tensor:
        """The three sizes of the graph, and the squared distance of each atom's closest neighbor [Å²]."""
        c = inputs.cut(self.weights.atom_cutoff, self.weights.bond_cutoff)
        return torch.cat([c.sizes.double(), segment_least(c.square, c.pairs.starts)])

    def _run(self, replicas: Replicas, inputs: Inputs, room: Sizes) -> NDArray[np.float64]:
        """Evaluate, with less kept for the way back where the device's memory is exhausted all the same."""
        self._grant(replicas, inputs, room)
        values = self._tried(replicas, inputs, room)
        # Each time out of the call that failed, whose tensors are gone then.
        if values is None:
            self._captures.clear()  # they hold memory that an evaluation cannot use
            values = self._tried(replicas, inputs, room)
        if values is None and not replicas.recompute:
            self._captures.clear()
            self._compute_twice(replicas)
            values = self._tried(replicas, inputs, room)
        if values is None:
            self._captures.clear()
            itemsize = self.weights.embedding.element_size()
            raise does_not_fit(self.device, len(replicas.numbers), len(inputs.pairs.i), room, itemsize=itemsize)
        return values

    def _tried(self, replicas: Replicas, inputs: Inputs, room: Sizes) -> NDArray[np.float64] | None:
        evaluation = functools.partial(self._values, inputs, room, replicas.recompute)
        try:
            return self._captures.run(inputs, (room, replicas.recompute), evaluation)
        except torch.OutOfMemoryError:
            return None

    def _grant(self, replicas: Replicas, inputs: Inputs, room: Sizes) -> None:
        """Check, before a larger room is used, that it fits in memory, and choose what is kept for the way back.

        Where layers are computed twice it is checked again after some evaluations: memory may have come free.
        """
        look_again = replicas.twice == 1
        replicas.twice = max(0, replicas.twice - 1)
        if not look_again and all(new <= old for new, old in zip(room, replicas.granted, strict=True)):
            return
        twice = choose_recompute(
            self.device,
            len(replicas.numbers),
            len(inputs.pairs.i),
            room,
            itemsize=self.weights.embedding.element_size(),
            release=self._captures.clear,
        )
        if twice:
            self._compute_twice(replicas)
        replicas.granted = Sizes(*map(max, room, replicas.granted))

    def _compute_twice(self, replicas: Replicas) -> None:
        if not replicas.told:
            what = "CHGNet computes its layers twice, uncompiled: what they leave would not fit on %s"
            logger.info(what, self.device)
        replicas.twice, replicas.told = PATIENCE, True

    def _values(self, inputs: Inputs, room: Sizes, recompute: bool) -> Tensor:
        """Forces, moments, energies and virials, in one float64 array on the device."""
        with torch.no_grad():
            g = build(inputs.cut(self.weights.atom_cutoff, self.weights.bond_cutoff), room)
        vector = g.vector.requires_grad_()
        with torch.enable_grad():
            # The compiler cannot take layers that are computed again, at sizes that are symbols.
            network = layers.network if recompute else self._network
            energies, moments = network(self.weights, g, vector, inputs.species, recompute)
            slope = torch.autograd.grad(energies.sum(), vector)[0]
        with torch.no_grad():
            forces, virials = gather_forces(g, slope)
            per_atom = torch.cat([energies.detach()[:, None], virials], dim=1)
            sums = segment_sum(segment_sum(per_atom, inputs.chunk_starts), inputs.structure_starts)
            return torch.cat([forces.reshape(-1), moments.detach(), sums.reshape(-1)])

    def _refuse(
        self,
        structures: Sequence[Atoms],
        inputs: Inputs,
        starts: NDArray[np.int64],
        squares: NDArray[np.float64],
    ) -> None:
        """Raise the error for atoms that are too close or have no neighbor, in the first structure that has such."""
        bad = np.flatnonzero((squares < MINIMUM_DISTANCE**2) | np.isinf(squares))
        if bad.size == 0:
            return
        number = int(np.searchsorted(starts, bad[0], side="right")) - 1
        first, atoms = int(starts[number]), structures[number]
        own = squares[first : starts[number + 1]]
        try:
            if own.min() < MINIMUM_DISTANCE**2:
                i = int(own.argmin())
                c = inputs.cut(self.weights.atom_cutoff, self.weights.bond_cutoff)
                begin, end = (int(c.pairs.starts[first + i + side]) for side in (0, 1))
                j = int(c.pairs.j[begin + int(c.square[begin:end].argmin())])
                refuse_close(atoms, i, j - first, float(np.sqrt(own[i])))
            refuse_isolated(atoms, np.flatnonzero(np.isinf(own)), self.weights.atom_cutoff)
        except ValueError as error:
            raise (error if len(structures) == 1 else ValueError(f"structure {number}: {error}")) from None

    def _results(
        self,
        structures: Sequence[Atoms],
        starts: NDArray[np.int64],
        values: NDArray[np.float64],
        properties: set[str],
    ) -> list[dict[str, Any]]:
        """Part the values by structure, and turn virials into stresses."""
        forces, moments, sums = np.split(values, [3 * starts[-1], 4 * starts[-1]])
        results: list[dict[str, Any]] = []
        for number, structure in enumerate(structures):
            rows = slice(starts[number], starts[number + 1])
            energy, *virial = sums[10 * number : 10 * number + 10]
            sigma = np.array(virial).reshape(3, 3) / abs(np.linalg.det(structure.cell.array))
            result: dict[str, Any] = {
                "energy": float(energy + self._reference[structure.numbers - 1].sum()),
                "forces": forces.reshape(-1, 3)[rows].copy(),
                "stress": full_3x3_to_voigt_6_stress(sigma),
            }
            if "magmoms" in properties:
                result["magmoms"] = moments[rows].copy()
            results.append(result)
        return results

    def _improve(
        self,
        structures: Sequence[Atoms],
        closest: NDArray[np.float64],
        properties: set[str],
        results: list[dict[str, Any]],
    ) -> None:
        """Evaluate again, in float64 and together, what float32 cannot; put the results in their places."""
        reasons = {}
        for number, (atoms, result) in enumerate(zip(structures, results, strict=True)):
            few = f"the cell has {len(atoms)} atoms" if len(atoms) < FEWEST_ATOMS else None
            if reason := few or beyond_float32(float(closest[number]), result):
                reasons[number] = reason
        if not reasons:
            return
        if self._double is None:
            self._double = self._precise.engine(next(iter(reasons.values()))).twin()
            self._double._captures = self._captures
        better = self._double.evaluate_many([structures[number] for number in reasons], properties)
        for number, result in zip(reasons, better, strict=True):
            results[number] = result


def gather_forces(g: Graph, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Turn dE/dD of each bond into the force on each atom and its half of the virial Σ D ⊗ dE/dD, (atoms, 9)."""
    pulled = slope.index_select(0, g.bond.target)
    along = g.vector.detach().index_select(0, g.bond.target)
    virial = (along[:, :, None] * pulled[:, None, :]).reshape(-1, 9) / 2
    assert g.center.starts is not None  # edges are sorted by their center
    sums = segment_sum(torch.cat([pulled * g.sign, virial], dim=1), g.center.starts)
    return sums[:, :3], sums[:, 3:]
