"""The fast CPU engine: one structure at a time through the network and back, with its threads, memory and tables."""

import contextlib
import copy
import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from amorph.chgnet import graph
from amorph.chgnet.folding import Array, Folded, fold
from amorph.chgnet.graph import VerletList
from amorph.chgnet.linear import linear
from amorph.chgnet.memory import TABLES, MemoryGuard
from amorph.chgnet.network import KERNELS, SCRATCH, Network, Transposes
from amorph.chgnet.precision import FEWEST_ATOMS, Precise, beyond_float32
from amorph.chgnet.simd import aligned
from amorph.chgnet.tables import Tables
from amorph.chgnet.weights import Checkpoint
from amorph.chgnet.workspace import Workspace, whole_rows
from amorph.kernel_cache import announced
from amorph.neighbors import SKIN

MAX_TABLED_ELEMENTS = 6
"""Up to so many elements the first atom convolution is read from tables (6 MB per ordered pair)."""

_SERIAL = 20_000_000
"""Multiplications below which a second thread costs more than it saves."""


class Engine:
    """One model on the CPU, in float32 where that is exact enough and in float64 where not."""

    def __init__(self, checkpoint: Checkpoint, *, threads: int, skin: float = SKIN, dtype: Any = np.float32) -> None:
        self.dtype = dtype
        self._precise = Precise(lambda: Engine(checkpoint, threads=threads, skin=skin, dtype=np.float64))
        self._double: Engine | None = None
        # An engine in float64 stands beside one that has its tables.
        self._memory = MemoryGuard(0 if dtype == np.float32 else TABLES)
        self.model: Folded = fold(checkpoint, dtype)
        self.tables = Tables(self.model)
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._process = os.getpid()
        self._at_work = threading.Lock()
        self.space = Workspace(dtype)
        self._scratch = [aligned(SCRATCH, dtype) for _ in range(threads)]
        self._skin = skin
        self._list = self.verlet_list()
        self.transposes = Transposes(self.model)
        self._warm = False

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV], forces [eV/Å], stress [eV/Å³, ASE's order] and, where asked, magmoms [μB].

        Forces and stress are computed for every structure, because they tell whether float32 is exact enough: what is
        returned does not depend on what is asked.
        """
        if self._process != os.getpid():
            # A forked child has neither the threads of the pool nor the one that may have held the lock.
            self._process, self._at_work = os.getpid(), threading.Lock()
            self._pool = None if self._pool is None else ThreadPoolExecutor(self.threads)
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError(
                "this calculator is at work in another thread; give each thread a calculator of its own, or evaluate "
                "several structures at once with CHGNetBatch"
            )
        try:
            if self.dtype == np.float32 and len(atoms) < FEWEST_ATOMS:
                return self._in_float64(f"the cell has {len(atoms)} atoms", atoms, properties)
            with contextlib.nullcontext() if self._warm else announced(KERNELS):
                g, results = self._compute(atoms, properties)
            self._warm = True
            if self.dtype == np.float32 and (reason := beyond_float32(float(g.d.min()), results)) is not None:
                return self._in_float64(reason, atoms, properties)
            return results
        finally:
            self._at_work.release()

    def _compute(self, atoms: Atoms, properties: set[str]) -> tuple[graph.Graph, dict[str, Any]]:
        """Go through the network and back in the precision of this engine."""
        g = self._list.graph(atoms)
        self._memory.check_graph(g, len(atoms), threads=self.threads, itemsize=self.space.itemsize)
        step = Network(self, g, atoms.numbers)
        energies, moments = step.forward("magmoms" in properties)
        energy = float(energies.sum() + self.model.reference[atoms.numbers - 1].sum())
        bond_slope, angle_slope = step.backward()
        forces, virial = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        graph.gather_forces(
            g.i, g.j, g.D, g.d, bond_slope, g.short, g.ends, g.edge_vector, g.angle_edges, angle_slope, forces, virial
        )
        sigma = (virial + virial.T) / (2 * abs(np.linalg.det(atoms.cell.array)))
        results = {"energy": energy, "forces": forces, "stress": full_3x3_to_voigt_6_stress(sigma)}
        if moments is not None:
            results["magmoms"] = moments
        return g, results

    def _in_float64(self, reason: str, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Evaluate what float32 cannot; the kernels are compiled for float64 when first needed."""
        if self._double is None:
            shared = self._precise.engine(reason)
            self._double = shared if self._pool is not None else shared.serial_copy()
        return self._double.evaluate(atoms, properties)

    def verlet_list(self) -> VerletList:
        """Make a neighbor list for one structure of this model."""
        return VerletList(self.model.atom_cutoff, self.model.bond_cutoff, self.tables.step, self._skin, self.dtype)

    def serial_copy(self) -> "Engine":
        """Return an engine of the same weights and tables for another structure and thread.

        It cuts the work into as many chunks, one after the other, so its results are the same to the last bit.
        """
        twin = copy.copy(self)
        twin._pool, twin.space, twin._at_work = None, Workspace(self.dtype), threading.Lock()
        twin._scratch = [aligned(SCRATCH, self.dtype)]
        twin._list = twin.verlet_list()
        twin._double, twin._memory = None, MemoryGuard(TABLES)
        return twin

    def run(self, kernel: Callable[..., None], chunks: list[tuple[Any, ...]]) -> None:
        """Run a kernel over chunks of work, each with its own scratch memory, in all threads."""
        if self._pool is None or len(chunks) == 1:
            for chunk in chunks:
                kernel(*chunk, self._scratch[0])
            return
        others = [
            self._pool.submit(kernel, *chunk, scratch)
            for chunk, scratch in zip(chunks[1:], self._scratch[1:], strict=True)
        ]
        kernel(*chunks[0], self._scratch[0])
        for other in others:
            other.result()

    def messages(self, numbers: NDArray[np.int64]) -> tuple[Array | None, NDArray[np.int32]]:
        """Return the tables of the first atom convolution and each atom's place in them; None for many elements."""
        elements, kind = np.unique(numbers, return_inverse=True)
        if elements.size > MAX_TABLED_ELEMENTS or self.dtype != np.float32:
            return None, kind.astype(np.int32)
        return self.tables.messages(elements), kind.astype(np.int32)

    def linear(self, x: Array, rows: int, weights: Array, bias: Array | None, y: Array, *, add: bool = False) -> None:
        """Compute y = x W + b, or add x W to y, over `rows` rows."""
        inputs, outputs = weights.shape
        flat = weights.ravel()
        shift = flat[:0] if bias is None else bias
        if bias is None and not add:
            shift = self.space.zeros("no bias", outputs)
        parts = self.threads if rows * inputs * outputs > _SERIAL else 1
        tiles = whole_rows(rows) // 6
        bounds = [6 * (tiles * part // parts) for part in range(parts + 1)]
        self.run(linear, [(a, b, x, inputs, flat, shift, outputs, y, add) for a, b in itertools.pairwise(bounds)])
