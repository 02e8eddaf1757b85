"""The network on one graph: embed, three blocks of bond convolution and atom convolution, readout; and the way back.

What the gated MLPs leave for the way back is kept where memory allows; else it is computed again, tile by tile, to the
same bits, and nothing but a few vectors per atom, bond and angle stays.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph.chgnet.cpu import atom_convolution, bond_convolution, bonds, graph, readout
from amorph.chgnet.cpu.bench import Bench
from amorph.chgnet.cpu.gated import Kept
from amorph.chgnet.cpu.graph import Graph
from amorph.chgnet.cpu.linear import add_edges, add_ends, add_parts, linear, weigh, weigh_backward
from amorph.chgnet.cpu.tables import Tables, angular_step
from amorph.chgnet.cpu.workspace import whole_rows
from amorph.chgnet.folding import Array, Folded, packed

SCRATCH = max(bond_convolution.SCRATCH, atom_convolution.SCRATCH, readout.SCRATCH)
"""Elements of working memory of one thread."""

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


class Transposes:
    """Matrices of the backward pass."""

    def __init__(self, model: Folded) -> None:
        def turned(layers: Sequence[Any], *names: str) -> list[dict[str, Array]]:
            return [{name: packed(getattr(layer, name).T, model.embedding.dtype) for name in names} for layer in layers]

        self.atom = turned(model.atom_convolutions, "atom", "bond", "mix")
        self.bond = turned(model.bond_convolutions, "bonds", "angle", "atom", "mix")
        self.angle = turned(model.angle_updates, "bonds", "angle", "atom")


class Network:
    """One evaluation: the layers in the order of the model, and back through them."""

    def __init__(
        self,
        model: Folded,
        tables: Tables,
        back: Transposes,
        bench: Bench,
        g: Graph,
        numbers: NDArray[np.int64],
        table: Array | None,
        kind: NDArray[np.int32],
        *,
        keep: bool,
    ) -> None:
        """Lay out one evaluation.

        `table` holds the messages of the first atom convolution and `kind` each atom's place in it; without a table
        that convolution is computed. `keep` tells whether there is memory to keep activations.
        """
        self.model, self.tables, self.back, self.bench = model, tables, back, bench
        self.graph, self.numbers, self.table, self.kind = g, numbers, table, kind
        self.space, self.keep = bench.space, keep
        self.nothing = Kept(*[bench.space.empty("nothing", 0)] * 3)
        if not keep:
            bench.kept.clear()
        self.atoms, self.shorts, self.edges = len(numbers), g.bond.size, g.edge_bond.size
        self.angles = g.angle_knot.size
        self.kinds = int(self.kind.max()) + 1
        centers = np.repeat(np.arange(self.atoms, dtype=np.int32), np.diff(g.edge_start))
        self.atom_graph = atom_convolution.Bonds(g.i, g.j, g.short, g.knot, g.t)
        self.bond_graph = bond_convolution.Angles(g.angle_edges, g.angle_knot, g.angle_t, g.edge_bond, centers)
        parts = bench.threads
        bounds = np.linspace(0, g.i.size, parts + 1).astype(np.int64)
        self.bond_chunks = [(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
        # Chunks of angles end between centers: the sums of one center belong to one thread.
        cuts = g.angle_start[np.searchsorted(g.angle_start, np.linspace(0, self.angles, parts + 1))]
        firsts = np.searchsorted(g.angle_start, cuts)
        firsts[0], firsts[-1] = 0, self.atoms
        pairs = zip(itertools.pairwise(cuts.tolist()), itertools.pairwise(g.edge_start[firsts].tolist()), strict=True)
        self.angle_chunks = [(*angles, *edges) for angles, edges in pairs]
        """First and last angle of each chunk, and first and last edge of its centers."""
        n, s = self.atoms, self.shorts
        self.a = [self._new(f"a{layer}", n, 64) for layer in range(5)]
        self.e = [self._new(f"e{layer}", s, 64) for layer in range(4)]
        self.w = self._new("w", s, 64)
        self.alpha = [self._new(f"alpha{layer}", self.angles if layer else 0, 64) for layer in range(3)]
        self.plain = [self._new(f"plain messages{layer}", s, 64) for layer in range(3)]

    def _new(self, name: str, rows: int, width: int) -> Array:
        return self.space.empty(name, whole_rows(rows) * width)

    def _zeros(self, name: str, rows: int, width: int) -> Array:
        return self.space.zeros(name, whole_rows(rows) * width)

    def _kept(self, name: str, rows: int) -> Kept:
        """Room for what one gated MLP leaves for the way back; what it left, on the way back."""
        if not self.keep:
            return self.nothing
        widths = {"n": 128, "slope": 128, "inverses": 2}
        return Kept(*(self.bench.kept.empty(f"{name} {part}", rows * width) for part, width in widths.items()))

    def _kept_angles(self, layer: int) -> tuple[Kept, Kept]:
        """The same of bond convolution `layer` and of the angle update before it.

        Of updates the second alone: the first has no matrix that is worth the memory.
        """
        convolution = self._kept(f"bond convolution {layer}", self.angles)
        return convolution, self.nothing if layer < 2 else self._kept("angle update", self.angles)

    def forward(self, want_moments: bool) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the energy of each atom without its reference [eV], and the magnetic moments [μB] where wanted."""
        g, bench = self.graph, self.bench
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
        self.gradient = self._new("da", self.atoms, 64)
        bench.run(readout.readout, [(0, self.atoms, self.a[4], self.model.readout, energies, self.gradient)])
        return energies, moments

    def _atom_parts(self, layer: int, *, products: bool) -> tuple[atom_convolution.Bonds, atom_convolution.FirstLayer]:
        """The bonds with the number of each short one, and the first layer of an atom convolution."""
        convolution, g = self.model.atom_convolutions[layer], self.atom_graph
        table = self.tables.convolution[layer - 1] if layer else self.tables.first_convolution
        atoms, bonds = self._new("atom products", self.atoms, 256), self._new("bond products", self.shorts, 128)
        if products:
            self.bench.linear(self.a[layer], self.atoms, convolution.atom, convolution.atom_bias, atoms)
        if layer == 0:
            g = g._replace(short=np.full_like(self.graph.short, -1))
        elif products:
            self.bench.linear(self.e[layer], self.shorts, convolution.bond, None, bonds)
        return g, atom_convolution.FirstLayer(atoms, bonds, table)

    def _atom_convolution(self, layer: int) -> None:
        convolution = self.model.atom_convolutions[layer]
        size = whole_rows(self.atoms) * 64
        sums = self.space.zeros("message sums", size * self.bench.threads)
        parts = [sums[k * size : (k + 1) * size] for k in range(self.bench.threads)]
        chunks = list(zip(self.bond_chunks, parts, strict=True))
        if layer == 0 and self.table is not None:
            elements = atom_convolution.Elements(self.kind, self.kinds, self.table)
            work = [(*chunk, self.atom_graph, elements, part) for chunk, part in chunks]
            self.bench.run(atom_convolution.first_forward, work)
        else:
            given = *self._atom_parts(layer, products=True), convolution.output
            kept = self._kept(f"atom convolution {layer}", 2 * self.graph.i.size)
            self.bench.run(atom_convolution.forward, [(*chunk, *given, part, kept) for chunk, part in chunks])
        messages = self.space.empty("messages", size)
        self.bench.rows(add_parts, size // 16, sums, size, messages)
        self.a[layer + 1][:] = self.a[layer]
        self.bench.linear(messages, self.atoms, convolution.mix, None, self.a[layer + 1], add=True)

    def _bond_layer(self, layer: int, *, products: bool) -> bond_convolution.FirstLayer:
        """First layer of a bond convolution."""
        convolution = self.model.bond_convolutions[layer]
        bonds, atoms = self._new("bond products", self.shorts, 256), self._new("atom products", self.atoms, 128)
        if products:
            self.bench.linear(self.e[layer], self.shorts, convolution.bonds, None, bonds)
            self.bench.linear(self.a[layer + 1], self.atoms, convolution.atom, convolution.atom_bias, atoms)
        matrix, back = convolution.angle.ravel(), self.back.bond[layer]["angle"].ravel()
        return bond_convolution.FirstLayer(bonds, atoms, self.tables.angle_in_bond, matrix, back)

    def _update_layer(self, layer: int, *, products: bool) -> tuple[bond_convolution.FirstLayer, Array]:
        """First layer and norms of the angle update before bond convolution `layer`."""
        table = self.tables.angle_in_angle
        if layer == 0:
            empty = self.w[:0]
            return bond_convolution.FirstLayer(empty, empty, table, empty, empty), empty
        update = self.model.angle_updates[layer - 1]
        bonds = self._new("update bond products", self.shorts, 256)
        atoms = self._new("update atom products", self.atoms, 128)
        if products:
            self.bench.linear(self.e[layer], self.shorts, update.bonds, None, bonds)
            self.bench.linear(self.a[layer], self.atoms, update.atom, update.atom_bias, atoms)
        matrix, back = update.angle.ravel(), self.back.angle[layer - 1]["angle"].ravel()
        return bond_convolution.FirstLayer(bonds, atoms, table, matrix, back), update.norms

    def _bond_convolution(self, layer: int) -> None:
        g, convolution = self.graph, self.model.bond_convolutions[layer]
        first, update = self._bond_layer(layer, products=True), self._update_layer(layer, products=True)
        sums = self._new("edge sums", self.edges, 64)
        angles = self.alpha[max(layer - 1, 0)], self.alpha[layer]
        given = (layer, self.bond_graph, *update, *angles, first, convolution.output, self.w, sums)
        what = (*given, *self._kept_angles(layer))
        self.bench.run(bond_convolution.forward, [(*chunk, *what) for chunk in self.angle_chunks])
        messages = self._new("short messages", self.shorts, 64)
        self.bench.rows(weigh, self.shorts, sums, g.ends, self.w, self.plain[layer], messages)
        self.e[layer + 1][:] = self.e[layer]
        self.bench.linear(messages, self.shorts, convolution.mix, None, self.e[layer + 1], add=True)

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
        g, bench = self.graph, self.bench
        upstream = self._new("messages", self.atoms, 64)
        bench.linear(self.gradient, self.atoms, self.back.atom[layer]["mix"], None, upstream)
        if layer == 0 and self.table is not None:
            elements = atom_convolution.Elements(self.kind, self.kinds, self.table)
            what = (self.atom_graph, elements, self.tables.step, upstream, self.slope)
            bench.run(atom_convolution.first_backward, [(*chunk, *what) for chunk in self.bond_chunks])
            return
        output, step = self.model.atom_convolutions[layer].output, self.tables.coarse_step
        given = (*self._atom_parts(layer, products=not self.keep), output, step, upstream, self.slope)
        size = whole_rows(self.atoms) * 256
        sums = self.space.zeros("gradient sums", size * bench.threads)
        parts = [sums[k * size : (k + 1) * size] for k in range(bench.threads)]
        rest = self._new("bond gradient sums", self.shorts, 128), self._kept(f"atom convolution {layer}", 2 * g.i.size)
        chunks = zip(self.bond_chunks, parts, strict=True)
        bench.run(atom_convolution.backward, [(*chunk, *given, part, *rest) for chunk, part in chunks])
        if layer == 0:
            return
        bench.rows(add_parts, size // 16, sums, size, sums[:size])
        bench.linear(sums[:size], self.atoms, self.back.atom[layer]["atom"], None, self.gradient, add=True)
        bench.linear(rest[0], self.shorts, self.back.atom[layer]["bond"], None, self.bond_gradient, add=True)
        if self.update_gradient is not None:
            turned = self.back.angle[layer - 1]["atom"]
            bench.linear(self.update_gradient, self.atoms, turned, None, self.gradient, add=True)
            self.update_gradient = None

    def _bond_convolution_backward(self, layer: int) -> None:
        """From dE/de[layer + 1] to dE/de[layer], dE/da[layer + 1], dE/dα and the slopes of the angles."""
        g, bench = self.graph, self.bench
        upstream = self._new("short messages", self.shorts, 64)
        bench.linear(self.bond_gradient, self.shorts, self.back.bond[layer]["mix"], None, upstream)
        bench.rows(weigh_backward, self.shorts, self.plain[layer], g.ends, self.w, upstream, self.weight_gradient)
        first = self._bond_layer(layer, products=not self.keep)
        update = self._update_layer(layer, products=layer == 1 or not self.keep)
        edge_sums = self._new("edge gradient", self.edges, 256)
        update_edges = self._new("update edge gradient", self.edges, 256) if layer else edge_sums
        gradients = bond_convolution.Gradients(self.angle_slope, edge_sums, update_edges, self.weight_gradient)
        # Level 2 leaves dE/dα[1] in the place of α[2]; level 1 finds it there.
        angles = self.alpha[1] if layer == 2 else self.alpha[2], self.alpha[layer]
        given = (layer, self.bond_graph, *update, *angles, first, self.model.bond_convolutions[layer].output)
        what = (*given, self.w, angular_step(), upstream, gradients, *self._kept_angles(layer))
        bench.run(bond_convolution.backward, [(*chunk, *what) for chunk in self.angle_chunks])
        atom_sums = self._new("center gradient", self.atoms, 128)
        bench.rows(add_edges, self.atoms, edge_sums, g.edge_start, atom_sums)
        bench.linear(atom_sums, self.atoms, self.back.bond[layer]["atom"], None, self.gradient, add=True)
        both = self._new("bond gradient", self.shorts, 256)
        bench.rows(add_ends, self.shorts, edge_sums, 256, g.ends, both)
        bench.linear(both, self.shorts, self.back.bond[layer]["bonds"], None, self.bond_gradient, add=True)
        if layer:
            bench.rows(add_ends, self.shorts, update_edges, 256, g.ends, both)
            bench.linear(both, self.shorts, self.back.angle[layer - 1]["bonds"], None, self.bond_gradient, add=True)
            self.update_gradient = self._new("update center gradient", self.atoms, 128)
            bench.rows(add_edges, self.atoms, update_edges, g.edge_start, self.update_gradient)
