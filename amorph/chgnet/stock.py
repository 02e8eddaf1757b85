"""The model of the chgnet package, evaluated on a graph built from our own pair list.

The reference for the fast engine, and the path of every model that does not hold its assumptions (0.2.0, and fine-tuned
models of another architecture).
"""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa
from numpy.typing import NDArray

from amorph.chgnet.guards import refuse_close, refuse_isolated
from amorph.chgnet.weights import Checkpoint
from amorph.structure import MINIMUM_DISTANCE, PairList, pair_list


class StockModel:
    """One model of the chgnet package on one device."""

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            import torch
            from chgnet.graph import CrystalGraph
            from chgnet.model import CHGNet

            from amorph.chgnet.gpu.full_float32 import full_float32

            options = {"mlp_out_bias": any(key.endswith("mlp_out.layers.1.bias") for key in checkpoint.arrays)}
            self._model = CHGNet(**(checkpoint.arguments | options))
        state = {name: torch.from_numpy(array.copy()) for name, array in checkpoint.arrays.items()}
        self._model.load_state_dict(state)
        self._model.to(device).eval().requires_grad_(False)
        self._torch = torch
        self._full_float32 = full_float32
        self._graph_type = CrystalGraph
        self._device = device
        self._atom_cutoff = float(self._model.graph_converter.atom_graph_cutoff)
        self._bond_cutoff = float(self._model.graph_converter.bond_graph_cutoff)

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV] and, where asked, forces [eV/Å], stress [eV/Å³, ASE's order] and magmoms [μB]."""
        task = "e" + "".join(
            letter for letter, name in (("f", "forces"), ("s", "stress"), ("m", "magmoms")) if name in properties
        )
        graph = self._graph(atoms).to(self._device)
        with warnings.catch_warnings(), self._full_float32():
            warnings.simplefilter("ignore")
            prediction = self._model([graph], task=task)
        scale = len(atoms) if self._model.is_intensive else 1
        results: dict[str, Any] = {"energy": float(prediction["e"].detach().cpu().double()[0]) * scale}
        if "f" in task:
            results["forces"] = _float64(prediction["f"][0])
        if "s" in task:
            # The package divides by the signed volume, which is negative for left-handed lattice vectors.
            sigma = _float64(prediction["s"][0]) * GPa * np.sign(np.linalg.det(atoms.cell.array))
            results["stress"] = full_3x3_to_voigt_6_stress(sigma)
        if "m" in task:
            results["magmoms"] = _float64(prediction["m"][0])
        return results

    def _graph(self, atoms: Atoms) -> Any:
        torch = self._torch
        pairs = pair_list(atoms, self._atom_cutoff)
        check_pairs(atoms, pairs, self._atom_cutoff)
        directed_to_undirected, undirected_to_directed = undirected_edges(pairs)
        short = np.flatnonzero(pairs.d < self._bond_cutoff)
        first, second = ordered_pairs(pairs.i[short])
        first, second = short[first], short[second]
        columns = pairs.i[first], directed_to_undirected[first], first, directed_to_undirected[second], second

        def integers(array: NDArray[np.int64]) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int32))

        dtype = next(self._model.parameters()).dtype
        return self._graph_type(
            atomic_number=torch.from_numpy(atoms.numbers.astype(np.int32)),
            atom_frac_coord=torch.tensor(atoms.cell.scaled_positions(atoms.positions), dtype=dtype, requires_grad=True),
            atom_graph=integers(np.stack([pairs.i, pairs.j], axis=1)),
            atom_graph_cutoff=self._atom_cutoff,
            neighbor_image=torch.tensor(pairs.S, dtype=dtype),
            directed2undirected=integers(directed_to_undirected),
            undirected2directed=integers(undirected_to_directed),
            bond_graph=integers(np.stack(columns, axis=1)),
            bond_graph_cutoff=self._bond_cutoff,
            lattice=torch.tensor(atoms.cell.array, dtype=dtype, requires_grad=True),
        )


def check_pairs(atoms: Atoms, pairs: PairList, cutoff: float) -> None:
    """Refuse atoms that are too close or have no neighbor."""
    if pairs.d.size and pairs.d.min() < MINIMUM_DISTANCE:
        nearest = int(np.argmin(pairs.d))
        refuse_close(atoms, int(pairs.i[nearest]), int(pairs.j[nearest]), float(pairs.d[nearest]))
    neighbors = np.bincount(pairs.i, minlength=len(atoms))
    if (neighbors == 0).any():
        refuse_isolated(atoms, np.flatnonzero(neighbors == 0), cutoff)


def undirected_edges(pairs: PairList) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the bonds: map each directed edge to its bond, and each bond to one of its two directed edges.

    The list is sorted by i, j and shift, so the reverse (j, i, −S) of each edge is found by sorting the list as
    the reverse edges would be: both orders then run through the same edges.
    """
    reverse = np.empty(len(pairs.i), dtype=np.int64)
    order = np.lexsort((-pairs.S[:, 2], -pairs.S[:, 1], -pairs.S[:, 0], pairs.i, pairs.j))
    reverse[order] = np.arange(len(pairs.i))
    own = np.arange(len(pairs.i)) < reverse
    undirected_to_directed = np.flatnonzero(own)
    bond = np.empty(len(pairs.i), dtype=np.int64)
    bond[undirected_to_directed] = np.arange(undirected_to_directed.size)
    bond[reverse[undirected_to_directed]] = np.arange(undirected_to_directed.size)
    return bond, undirected_to_directed


def ordered_pairs(owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List all ordered pairs of distinct rows with the same owner; `owner` is sorted."""
    counts = np.bincount(owner)
    starts = np.cumsum(counts) - counts
    partners = counts[owner]
    first = np.repeat(np.arange(owner.size), partners)
    within = np.arange(first.size) - np.repeat(np.cumsum(partners) - partners, partners)
    second = starts[owner[first]] + within
    distinct = first != second
    return first[distinct], second[distinct]


def _float64(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().double().numpy())
