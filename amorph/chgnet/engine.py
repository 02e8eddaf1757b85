"""The fast CPU engine: one structure at a time through the kernels, forward and back.

Reads as the model does: embed, then three blocks of bond convolution and atom convolution, then the readout; the way
back runs the same blocks in reverse. Nothing but a few vectors per atom, bond and angle is kept between the two.
"""

import copy
import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.chgnet import atom_convolution, bond_convolution, bonds, graph, readout
from amorph.chgnet.folding import Array, Folded, fold
from amorph.chgnet.graph import Graph, VerletList
from amorph.chgnet.linear import add_edges, add_ends, add_parts, linear, weigh, weigh_backward
from amorph.chgnet.memory import check_memory
from amorph.chgnet.precision import FEWEST_ATOMS, beyond_float32
from amorph.chgnet.simd import aligned
from amorph.chgnet.tables import Tables, angular_step
from amorph.chgnet.weights import Checkpoint
from amorph.kernel_cache import announced

logger = logging.getLogger(__name__)

SKIN = 1.0
"""Margin of the Verlet list [Å]; about ten steps of 2 fs in an oxide melt at 3000 K."""

MAX_TABLED_ELEMENTS = 6
"""Up to so many elements the first atom convolution is read from tables (6 MB per ordered pair)."""

SCRATCH = max(bond_convolution.SCRATCH, atom_convolution.SCRATCH, readout.SCRATCH)
"""float32 elements of working memory of one thread."""

_SERIAL = 20_000_000
"""Multiplications below which a second thread costs more than it saves."""


KERNELS = [
    atom_convolution.first_forward,
    atom_convolution.first_backward,
    atom_convolution.forward,
    atom_convolution.backward,
    bond_convolution.forward,
    bond_convolution.backward,
    bonds.embed,
    bonds.embed_backward,
    readout.readout,
    linear,
    add_edges,
    add_ends,
    add_parts,
    weigh,
    weigh_backward,
    *graph.KERNELS,
]


class Workspace:
    """Named buffers of one precision that only grow, kept between steps."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self._buffers: dict[str, Array] = {}

    def empty(self, name: str, count: int) -> Array:
        """Return `count` elements with any content."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < count:
            buffer = self._buffers[name] = aligned(int(count * 1.1) + 64, self._dtype)
        return buffer[:count]

    def zeros(self, name: str, count: int) -> Array:
        """Return `count` zeros."""
        buffer = self.empty(name, count)
        buffer.fill(0)
        return buffer

    @property
    def nbytes(self) -> int:
        """Bytes in all buffers."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


def _rows(count: int) -> int:
    """Round up to whole tiles of six rows."""
    return -(-count // 6) * 6


class Engine:
    """One model on the CPU, in float32 where that is exact enough and in float64 where not."""

    def __init__(self, checkpoint: Checkpoint, *, threads: int, skin: float = SKIN, dtype: Any = np.float32) -> None:
        self.dtype = dtype
        self._checkpoint = checkpoint
        self._double: Engine | None = None
        self.model: Folded = fold(checkpoint, dtype)
        self.tables = Tables(self.model)
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._space = Workspace(dtype)
        self._scratch = [aligned(SCRATCH, dtype) for _ in range(threads)]
        self._skin = skin
        self._list = self.verlet_list()
        self._elements: tuple[int, ...] = ()
        self._messages: Array | None = None
        self._transposes = _Transposes(self.model)
        self._warm = False

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute energy [eV], forces [eV/Å], stress [eV/Å³, ASE's order] and, where asked, magmoms [μB].

        Forces and stress are computed for every structure, because they tell whether float32 is exact enough: what is
        returned does not depend on what is asked.
        """
        if self.dtype == np.float32 and len(atoms) < FEWEST_ATOMS:
            return self._in_float64(f"the cell has {len(atoms)} atoms", atoms, properties)
        if not self._warm:
            self._warm = True
            with announced(KERNELS):
                return self.evaluate(atoms, properties)
        g = self._list.graph(atoms)
        step = _Step(self, g, atoms.numbers)
        energies, moments = step.forward("magmoms" in properties)
        energy = float(energies.sum() + self.model.reference[atoms.numbers - 1].sum())
        bond_slope, angle_slope = step.backward()
        forces, virial = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        graph.gather_forces(
            g.i, g.j, g.D, g.d, bond_slope, g.short, g.ends, g.edge_vector, g.angle_edges, angle_slope, forces, virial
        )
        sigma = (virial + virial.T) / (2 * abs(np.linalg.det(atoms.cell.array)))
        results: dict[str, Any] = {
            "energy": energy,
            "forces": forces,
            "stress": sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }
        if moments is not None:
            results["magmoms"] = moments
        if self.dtype == np.float32 and (reason := beyond_float32(g, results)) is not None:
            return self._in_float64(reason, atoms, properties)
        return results

    def _in_float64(self, reason: str, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Evaluate what float32 cannot; the kernels are compiled for float64 when first needed."""
        if self._double is None:
            logger.info("%s: such structures are evaluated in float64, which takes up to four times as long", reason)
            double = Engine(self._checkpoint, threads=self.threads, skin=self._skin, dtype=np.float64)
            self._double = double if self._pool is not None else double.serial_copy()
        check_memory(len(atoms), atoms.cell.volume, itemsize=8)
        return self._double.evaluate(atoms, properties)

    def verlet_list(self) -> VerletList:
        """Make a neighbor list for one structure of this model."""
        return VerletList(self.model.atom_cutoff, self.model.bond_cutoff, self.tables.step, self._skin, self.dtype)

    def serial_copy(self) -> "Engine":
        """Return an engine of the same weights and tables for another structure and thread.

        It cuts the work into as many chunks, one after the other, so its results are the same to the last bit.
        """
        twin = copy.copy(self)
        twin._pool, twin._space = None, Workspace(self.dtype)
        twin._scratch = [aligned(SCRATCH, self.dtype)]
        twin._list = twin.verlet_list()
        twin._double = None
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
        if self._elements != tuple(elements):
            self._messages = self.tables.messages(elements)
            self._elements = tuple(elements)
        return self._messages, kind.astype(np.int32)

    def linear(self, x: Array, rows: int, weights: Array, bias: Array | None, y: Array, *, add: bool = False) -> None:
        """Compute y = x W + b, or add x W to y, over `rows` rows."""
        inputs, outputs = weights.shape
        flat = weights.ravel()
        shift = flat[:0] if bias is None else bias
        if bias is None and not add:
            shift = self._space.zeros("no bias", outputs)
        parts = self.threads if rows * inputs * outputs > _SERIAL else 1
        tiles = _rows(rows) // 6
        bounds = [6 * (tiles * part // parts) for part in range(parts + 1)]
        self.run(linear, [(a, b, x, inputs, flat, shift, outputs, y, add) for a, b in itertools.pairwise(bounds)])


class _Transposes:
    """Matrices of the backward pass."""

    def __init__(self, model: Folded) -> None:
        def turned(matrix: Array) -> Array:
            copy = aligned((matrix.shape[1], matrix.shape[0]), matrix.dtype)
            copy[...] = matrix.T
            return copy

        self.atom = [
            {"atom": turned(c.atom), "bond": turned(c.bond), "mix": turned(c.mix)} for c in model.atom_convolutions
        ]
        self.bond = [
            {"bonds": turned(c.bonds), "angle": turned(c.angle), "atom": turned(c.atom), "mix": turned(c.mix)}
            for c in model.bond_convolutions
        ]
        self.angle = [
            {"bonds": turned(c.bonds), "angle": turned(c.angle), "atom": turned(c.atom)} for c in model.angle_updates
        ]


class _Step:
    """One evaluation."""

    def __init__(self, engine: Engine, g: Graph, numbers: NDArray[np.int64]) -> None:
        self.engine, self.graph, self.numbers = engine, g, numbers
        self.model, self.tables, self.back = engine.model, engine.tables, engine._transposes
        self.space = engine._space
        self.atoms, self.shorts, self.edges = len(numbers), g.bond.size, g.edge_bond.size
        self.angles = g.angle_knot.size
        self.table, self.kind = engine.messages(numbers)
        self.edge_center = np.repeat(np.arange(self.atoms, dtype=np.int32), np.diff(g.edge_start))
        parts = engine.threads
        bounds = np.linspace(0, g.i.size, parts + 1).astype(np.int64)
        self.bond_chunks = [(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
        # Chunks of angles end between centers: the sums of one center belong to one thread.
        cuts = g.angle_start[np.searchsorted(g.angle_start, np.linspace(0, self.angles, parts + 1))]
        self.angle_chunks = [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
        n, s = self.atoms, self.shorts
        self.a = [self._new(f"a{layer}", n, 64) for layer in range(5)]
        self.e = [self._new(f"e{layer}", s, 64) for layer in range(4)]
        self.w = self._new("w", s, 64)
        self.alpha = [self._new(f"alpha{layer}", self.angles if layer else 0, 64) for layer in range(3)]
        self.plain = [self._new(f"plain messages{layer}", s, 64) for layer in range(3)]

    def _new(self, name: str, rows: int, width: int) -> Array:
        return self.space.empty(name, _rows(rows) * width)

    def _zeros(self, name: str, rows: int, width: int) -> Array:
        return self.space.zeros(name, _rows(rows) * width)

    def forward(self, want_moments: bool) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the energy of each atom without its reference [eV], and the magnetic moments [μB] where wanted."""
        g, engine = self.graph, self.engine
        self.a[0][: self.atoms * 64] = self.model.embedding[self.numbers - 1].ravel()
        bonds.embed(g.bond, g.knot, g.t, self.tables.short, self.e[0], self.w)
        self._atom_convolution(0)
        for layer in range(3):
            self._bond_convolution(layer)
            self._atom_convolution(layer + 1)
        moments = None
        if want_moments:
            features = self.a[3][: self.atoms * 64].reshape(-1, 64).astype(np.float64)
            moments = np.abs((features * self.model.site).sum(axis=1) + self.model.site_bias)
        energies = np.empty(self.atoms)
        r = self.model.readout
        self.gradient = self._new("da", self.atoms, 64)
        engine.run(
            readout.readout,
            [
                (0, self.atoms, self.a[4], r.norm, r.weights, r.transposed, r.biases, r.last, r.last_bias, energies,
                 self.gradient)
            ],
        )  # fmt: skip
        return energies, moments

    def _atom_parts(self, layer: int) -> tuple[Array, Array, Array, NDArray[np.int32]]:
        """First-layer products of atoms and short bonds, the radial table, and the number of each short bond."""
        convolution = self.model.atom_convolutions[layer]
        products = self._new("atom products", self.atoms, 256)
        self.engine.linear(self.a[layer], self.atoms, convolution.atom, convolution.atom_bias, products)
        bond_products = self._new("bond products", self.shorts, 128)
        if layer == 0:
            return products, bond_products, self.tables.first_convolution, np.full_like(self.graph.short, -1)
        self.engine.linear(self.e[layer], self.shorts, convolution.bond, None, bond_products)
        return products, bond_products, self.tables.convolution[layer - 1], self.graph.short

    def _atom_convolution(self, layer: int) -> None:
        g, convolution = self.graph, self.model.atom_convolutions[layer]
        size = _rows(self.atoms) * 64
        sums = self.space.zeros("message sums", size * self.engine.threads)
        parts = [sums[k * size : (k + 1) * size] for k in range(self.engine.threads)]
        if layer == 0 and self.table is not None:
            kinds = len(np.unique(self.kind))
            self.engine.run(
                atom_convolution.first_forward,
                [
                    (*chunk, g.i, g.j, self.kind, kinds, g.knot, g.t, self.table, part)
                    for chunk, part in zip(self.bond_chunks, parts, strict=True)
                ],
            )
        else:
            products, bond_products, table, short = self._atom_parts(layer)
            out = convolution.output
            self.engine.run(
                atom_convolution.forward,
                [
                    (
                        *chunk,
                        g.i,
                        g.j,
                        short,
                        g.knot,
                        g.t,
                        products,
                        bond_products,
                        table,
                        out.weights,
                        out.vectors,
                        part,
                    )
                    for chunk, part in zip(self.bond_chunks, parts, strict=True)
                ],
            )
        messages = self.space.empty("messages", size)
        add_parts(sums, size, messages)
        self.a[layer + 1][:] = self.a[layer]
        self.engine.linear(messages, self.atoms, convolution.mix, None, self.a[layer + 1], add=True)

    def _bond_parts(self, layer: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """First-layer products of the angle update and of the bond convolution."""
        convolution = self.model.bond_convolutions[layer]
        products = self._new("bond products", self.shorts, 256)
        self.engine.linear(self.e[layer], self.shorts, convolution.bonds, None, products)
        atoms = self._new("atom products", self.atoms, 128)
        self.engine.linear(self.a[layer + 1], self.atoms, convolution.atom, convolution.atom_bias, atoms)
        empty = products[:0]
        if layer == 0:
            return (empty, empty, self.tables.angle_in_angle, empty, empty), (products, atoms)
        update = self.model.angle_updates[layer - 1]
        update_products = self._new("update bond products", self.shorts, 256)
        self.engine.linear(self.e[layer], self.shorts, update.bonds, None, update_products)
        update_atoms = self._new("update atom products", self.atoms, 128)
        self.engine.linear(self.a[layer], self.atoms, update.atom, update.atom_bias, update_atoms)
        return (
            (update_products, update_atoms, self.tables.angle_in_angle, update.angle.ravel(), update.norms),
            (products, atoms),
        )

    def _bond_convolution(self, layer: int) -> None:
        g, convolution = self.graph, self.model.bond_convolutions[layer]
        (u_bonds, u_atoms, u_table, u_matrix, u_norms), (products, atoms) = self._bond_parts(layer)
        sums = self._zeros("edge sums", self.edges, 64)
        out = convolution.output
        old = self.alpha[max(layer - 1, 0)]
        self.engine.run(
            bond_convolution.forward,
            [
                (
                    *chunk, layer, g.angle_edges, g.angle_knot, g.angle_t, g.edge_bond, self.edge_center,
                    u_bonds, u_atoms, u_table, u_matrix, u_norms, old, self.alpha[layer],
                    products, atoms, self.tables.angle_in_bond, convolution.angle.ravel(), out.weights, out.vectors,
                    self.w, sums,
                )
                for chunk in self.angle_chunks
            ],
        )  # fmt: skip
        messages = self._new("short messages", self.shorts, 64)
        weigh(sums, g.ends, self.w, self.plain[layer], messages)
        self.e[layer + 1][:] = self.e[layer]
        self.engine.linear(messages, self.shorts, convolution.mix, None, self.e[layer + 1], add=True)

    def backward(self) -> tuple[NDArray[np.float64], Array]:
        """Return dE/dd of each bond [eV/Å] and dE/dθ of each angle [eV/rad]."""
        g = self.graph
        self.slope = np.zeros(g.i.size)
        self.angle_slope = self.space.zeros("angle slope", self.angles)
        self.bond_gradient = self._zeros("de", self.shorts, 64)
        self.weight_gradient = self._zeros("dw", self.edges, 64)
        self.update_gradient: Array | None = None
        for layer in (2, 1, 0):
            self._atom_convolution_backward(layer + 1)
            self._bond_convolution_backward(layer)
        self._atom_convolution_backward(0)
        bonds.embed_backward(
            g.bond, g.knot, g.t, self.tables.short, self.tables.step, g.ends, self.bond_gradient, self.weight_gradient,
            self.slope,
        )  # fmt: skip
        return self.slope, self.angle_slope

    def _atom_convolution_backward(self, layer: int) -> None:
        """From dE/da[layer + 1] to dE/da[layer], dE/de[layer] and the slopes of the bonds."""
        g, convolution, engine = self.graph, self.model.atom_convolutions[layer], self.engine
        upstream = self._new("messages", self.atoms, 64)
        engine.linear(self.gradient, self.atoms, self.back.atom[layer]["mix"], None, upstream)
        if layer == 0 and self.table is not None:
            kinds = len(np.unique(self.kind))
            engine.run(
                atom_convolution.first_backward,
                [
                    (
                        *chunk,
                        g.i,
                        g.j,
                        self.kind,
                        kinds,
                        g.knot,
                        g.t,
                        self.table,
                        self.tables.step,
                        upstream,
                        self.slope,
                    )
                    for chunk in self.bond_chunks
                ],
            )
            return
        products, bond_products, table, short = self._atom_parts(layer)
        size = _rows(self.atoms) * 256
        sums = self.space.zeros("gradient sums", size * engine.threads)
        bond_sums = self._new("bond gradient sums", self.shorts, 128)
        out = convolution.output
        engine.run(
            atom_convolution.backward,
            [
                (
                    *chunk, g.i, g.j, short, g.knot, g.t, products, bond_products, table, self.tables.coarse_step,
                    out.weights, out.transposed, out.vectors, upstream, self.slope,
                    sums[k * size : (k + 1) * size], bond_sums,
                )
                for k, chunk in enumerate(self.bond_chunks)
            ],
        )  # fmt: skip
        if layer == 0:
            return
        add_parts(sums, size, sums[:size])
        engine.linear(sums[:size], self.atoms, self.back.atom[layer]["atom"], None, self.gradient, add=True)
        engine.linear(bond_sums, self.shorts, self.back.atom[layer]["bond"], None, self.bond_gradient, add=True)
        if self.update_gradient is not None:
            turned = self.back.angle[layer - 1]["atom"]
            engine.linear(self.update_gradient, self.atoms, turned, None, self.gradient, add=True)
            self.update_gradient = None

    def _bond_convolution_backward(self, layer: int) -> None:
        """From dE/de[layer + 1] to dE/de[layer], dE/da[layer + 1], dE/dα and the slopes of the angles."""
        g, convolution, engine = self.graph, self.model.bond_convolutions[layer], self.engine
        upstream = self._new("short messages", self.shorts, 64)
        engine.linear(self.bond_gradient, self.shorts, self.back.bond[layer]["mix"], None, upstream)
        weigh_backward(self.plain[layer], g.ends, self.w, upstream, self.weight_gradient)
        (u_bonds, u_atoms, u_table, u_matrix, u_norms), (products, atoms) = self._bond_parts(layer)
        edge_sums = self._zeros("edge gradient", self.edges, 256)
        update_edges = self._zeros("update edge gradient", self.edges, 256) if layer else edge_sums
        update_back = self.back.angle[layer - 1]["angle"].ravel() if layer else u_matrix
        out = convolution.output
        # Level 2 leaves dE/dα[1] in the place of α[2]; level 1 finds it there.
        old = self.alpha[1] if layer == 2 else self.alpha[2]
        engine.run(
            bond_convolution.backward,
            [
                (
                    *chunk, layer, g.angle_edges, g.angle_knot, g.angle_t, g.edge_bond, self.edge_center,
                    u_bonds, u_atoms, u_table, u_matrix, update_back, u_norms, old, self.alpha[layer],
                    products, atoms, self.tables.angle_in_bond, convolution.angle.ravel(),
                    self.back.bond[layer]["angle"].ravel(), out.weights, out.transposed, out.vectors, self.w,
                    angular_step(), upstream, self.angle_slope, edge_sums, update_edges, self.weight_gradient,
                )
                for chunk in self.angle_chunks
            ],
        )  # fmt: skip
        atom_sums = self._new("center gradient", self.atoms, 128)
        add_edges(edge_sums, g.edge_start, atom_sums)
        engine.linear(atom_sums, self.atoms, self.back.bond[layer]["atom"], None, self.gradient, add=True)
        both = self._new("bond gradient", self.shorts, 256)
        add_ends(edge_sums, 256, g.ends, both)
        engine.linear(both, self.shorts, self.back.bond[layer]["bonds"], None, self.bond_gradient, add=True)
        if layer:
            add_ends(update_edges, 256, g.ends, both)
            engine.linear(both, self.shorts, self.back.angle[layer - 1]["bonds"], None, self.bond_gradient, add=True)
            self.update_gradient = self._new("update center gradient", self.atoms, 128)
            add_edges(update_edges, g.edge_start, self.update_gradient)
