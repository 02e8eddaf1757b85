"""The fast CPU engine: one structure at a time through the network and back, with its threads, memory and tables."""

import contextlib
import copy
import threading
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from amorph.chgnet.cpu import graph
from amorph.chgnet.cpu.bench import Bench
from amorph.chgnet.cpu.graph import VerletList
from amorph.chgnet.cpu.memory import TABLES, MemoryGuard
from amorph.chgnet.cpu.network import KERNELS, SCRATCH, Network, Transposes
from amorph.chgnet.cpu.tables import Tables
from amorph.chgnet.folding import Array, Folded, fold
from amorph.chgnet.precision import FEWEST_ATOMS, Precise, beyond_float32
from amorph.chgnet.weights import Checkpoint
from amorph.machine.kernel_cache import announced
from amorph.structure import SKIN

MAX_TABLED_ELEMENTS = 6
"""Up to so many elements the first atom convolution is read from tables (6 MB per ordered pair)."""


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
        self.bench = Bench(threads, SCRATCH, dtype)
        self._at_work = threading.Lock()
        self._skin = skin
        self._list = self.verlet_list()
        self.transposes = Transposes(self.model)
        self._warm = False

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV], forces [eV/Å], stress [eV/Å³, ASE's order] and, where asked, magmoms [μB].

        Forces and stress are computed for every structure, because they tell whether float32 is exact enough: what is
        returned does not depend on what is asked.
        """
        if self.bench.renew_after_fork():
            self._at_work = threading.Lock()  # a forked child has not the thread that may have held it
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
        keep = self._memory.check_graph(g, len(atoms), threads=self.threads, itemsize=self.bench.space.itemsize)
        given = self.model, self.tables, self.transposes, self.bench, g, atoms.numbers
        step = Network(*given, *self._messages(atoms.numbers), keep=keep)
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
            self._double = shared.serial_copy() if self.bench.serial else shared
        return self._double.evaluate(atoms, properties)

    def verlet_list(self) -> VerletList:
        """Make a neighbor list for one structure of this model."""
        return VerletList(self.model.atom_cutoff, self.model.bond_cutoff, self.tables.step, self._skin, self.dtype)

    def serial_copy(self) -> "Engine":
        """Return an engine of the same weights and tables for another structure and thread.

        It cuts the work into as many chunks, one after the other, so its results are the same to the last bit.
        """
        twin = copy.copy(self)
        twin.bench, twin._at_work = Bench(self.threads, SCRATCH, self.dtype, serial=True), threading.Lock()
        twin._list = twin.verlet_list()
        twin._double, twin._memory = None, MemoryGuard(TABLES)
        return twin

    def _messages(self, numbers: NDArray[np.int64]) -> tuple[Array | None, NDArray[np.int32]]:
        """Return the tables of the first atom convolution and each atom's place in them; None for many elements."""
        elements, kind = np.unique(numbers, return_inverse=True)
        if elements.size > MAX_TABLED_ELEMENTS or self.dtype != np.float32:
            return None, kind.astype(np.int32)
        return self.tables.messages(elements), kind.astype(np.int32)
