"""The network on one graph: embed, three blocks of bond convolution and atom convolution, readout; and the way back.

Nothing but a few vectors per atom, bond and angle is kept between the two.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph.chgnet.cpu import atom_convolution, bond_convolution, bonds, graph, readout
from amorph.chgnet.cpu.bench import Bench
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
    ) -> None:
        """Lay out one evaluation.

        `table` holds the messages of the first atom convolution and `kind` each atom's place in it; without a table
        that convolution is computed.
        """
        self.model, self.tables, self.back, self.bench = model, tables, back, bench
        self.graph, self.numbers, self.table, self.kind = g, numbers, table, kind
        self.space = bench.space
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
        self.angle_chunks = [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
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

    def _atom_parts(self, layer: int) -> tuple[atom_convolution.Bonds, atom_convolution.FirstLayer]:
        """The bonds with the number of each short one, and the first layer of an atom convolution."""
        convolution = self.model.atom_convolutions[layer]
        products = self._new("atom products", self.atoms, 256)
        self.bench.linear(self.a[layer], self.atoms, convolution.atom, convolution.atom_bias, products)
        bond_products = self._new("bond products", self.shorts, 128)
        if layer == 0:
            no_short = self.atom_graph._replace(short=np.full_like(self.graph.short, -1))
            return no_short, atom_convolution.FirstLayer(products, bond_products, self.tables.first_convolution)
        self.bench.linear(self.e[layer], self.shorts, convolution.bond, None, bond_products)
        return self.atom_graph, atom_convolution.FirstLayer(products, bond_products, self.tables.convolution[layer - 1])

    def _atom_convolution(self, layer: int) -> None:
        convolution = self.model.atom_convolutions[layer]
        size = whole_rows(self.atoms) * 64
        sums = self.space.zeros("message sums", size * self.bench.threads)
        if layer == 0 and self.table is not None:
            elements = atom_convolution.Elements(self.kind, self.kinds, self.table)
            kernel, given = atom_convolution.first_forward, [self.atom_graph, elements]
        else:
            kernel, given = atom_convolution.forward, [*self._atom_parts(layer), convolution.output]
        chunks = enumerate(self.bond_chunks)
        self.bench.run(kernel, [(*chunk, *given, sums[k * size : (k + 1) * size]) for k, chunk in chunks])
        messages = self.space.empty("messages", size)
        add_parts(sums, size, messages)
        self.a[layer + 1][:] = self.a[layer]
        self.bench.linear(messages, self.atoms, convolution.mix, None, self.a[layer + 1], add=True)

    def _bond_parts(self, layer: int) -> tuple[bond_convolution.FirstLayer, Array, bond_convolution.FirstLayer]:
        """First layer and norms of the angle update, and first layer of the bond convolution."""
        convolution = self.model.bond_convolutions[layer]
        products = self._new("bond products", self.shorts, 256)
        self.bench.linear(self.e[layer], self.shorts, convolution.bonds, None, products)
        atoms = self._new("atom products", self.atoms, 128)
        self.bench.linear(self.a[layer + 1], self.atoms, convolution.atom, convolution.atom_bias, atoms)
        back = self.back.bond[layer]["angle"].ravel()
        first = bond_convolution.FirstLayer(products, atoms, self.tables.angle_in_bond, convolution.angle.ravel(), back)
        if layer == 0:
            empty = products[:0]
            return bond_convolution.FirstLayer(empty, empty, self.tables.angle_in_angle, empty, empty), empty, first
        update = self.model.angle_updates[layer - 1]
        update_products = self._new("update bond products", self.shorts, 256)
        self.bench.linear(self.e[layer], self.shorts, update.bonds, None, update_products)
        update_atoms = self._new("update atom products", self.atoms, 128)
        self.bench.linear(self.a[layer], self.atoms, update.atom, update.atom_bias, update_atoms)
        back = self.back.angle[layer - 1]["angle"].ravel()
        table, matrix = self.tables.angle_in_angle, update.angle.ravel()
        return bond_convolution.FirstLayer(update_products, update_atoms, table, matrix, back), update.norms, first

    def _bond_convolution(self, layer: int) -> None:
        g, convolution = self.graph, self.model.bond_convolutions[layer]
        update, norms, first = self._bond_parts(layer)
        sums = self._zeros("edge sums", self.edges, 64)
        angles = self.alpha[max(layer - 1, 0)], self.alpha[layer]
        what = (layer, self.bond_graph, update, norms, *angles, first, convolution.output, self.w, sums)
        self.bench.run(bond_convolution.forward, [(*chunk, *what) for chunk in self.angle_chunks])
        messages = self._new("short messages", self.shorts, 64)
        weigh(sums, g.ends, self.w, self.plain[layer], messages)
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
        bench = self.bench
        upstream = self._new("messages", self.atoms, 64)
        bench.linear(self.gradient, self.atoms, self.back.atom[layer]["mix"], None, upstream)
        if layer == 0 and self.table is not None:
            elements = atom_convolution.Elements(self.kind, self.kinds, self.table)
            what = (self.atom_graph, elements, self.tables.step, upstream, self.slope)
            bench.run(atom_convolution.first_backward, [(*chunk, *what) for chunk in self.bond_chunks])
            return
        output, step = self.model.atom_convolutions[layer].output, self.tables.coarse_step
        given = (*self._atom_parts(layer), output, step, upstream, self.slope)
        size = whole_rows(self.atoms) * 256
        sums = self.space.zeros("gradient sums", size * bench.threads)
        bond_sums = self._new("bond gradient sums", self.shorts, 128)
        chunks = enumerate(self.bond_chunks)
        kernel = atom_convolution.backward
        bench.run(kernel, [(*chunk, *given, sums[k * size : (k + 1) * size], bond_sums) for k, chunk in chunks])
        if layer == 0:
            return
        add_parts(sums, size, sums[:size])
        bench.linear(sums[:size], self.atoms, self.back.atom[layer]["atom"], None, self.gradient, add=True)
        bench.linear(bond_sums, self.shorts, self.back.atom[layer]["bond"], None, self.bond_gradient, add=True)
        if self.update_gradient is not None:
            turned = self.back.angle[layer - 1]["atom"]
            bench.linear(self.update_gradient, self.atoms, turned, None, self.gradient, add=True)
            self.update_gradient = None

    def _bond_convolution_backward(self, layer: int) -> None:
        """From dE/de[layer + 1] to dE/de[layer], dE/da[layer + 1], dE/dα and the slopes of the angles."""
        g, bench = self.graph, self.bench
        upstream = self._new("short messages", self.shorts, 64)
        bench.linear(self.bond_gradient, self.shorts, self.back.bond[layer]["mix"], None, upstream)
        weigh_backward(self.plain[layer], g.ends, self.w, upstream, self.weight_gradient)
        update, norms, first = self._bond_parts(layer)
        edge_sums = self._zeros("edge gradient", self.edges, 256)
        update_edges = self._zeros("update edge gradient", self.edges, 256) if layer else edge_sums
        gradients = bond_convolution.Gradients(self.angle_slope, edge_sums, update_edges, self.weight_gradient)
        # Level 2 leaves dE/dα[1] in the place of α[2]; level 1 finds it there.
        angles = self.alpha[1] if layer == 2 else self.alpha[2], self.alpha[layer]
        given = (layer, self.bond_graph, update, norms, *angles, first, self.model.bond_convolutions[layer].output)
        what = (*given, self.w, angular_step(), upstream, gradients)
        bench.run(bond_convolution.backward, [(*chunk, *what) for chunk in self.angle_chunks])
        atom_sums = self._new("center gradient", self.atoms, 128)
        add_edges(edge_sums, g.edge_start, atom_sums)
        bench.linear(atom_sums, self.atoms, self.back.bond[layer]["atom"], None, self.gradient, add=True)
        both = self._new("bond gradient", self.shorts, 256)
        add_ends(edge_sums, 256, g.ends, both)
        bench.linear(both, self.shorts, self.back.bond[layer]["bonds"], None, self.bond_gradient, add=True)
        if layer:
            add_ends(update_edges, 256, g.ends, both)
            bench.linear(both, self.shorts, self.back.angle[layer - 1]["bonds"], None, self.bond_gradient, add=True)
            self.update_gradient = self._new("update center gradient", self.atoms, 128)
            add_edges(update_edges, g.edge_start, self.update_gradient)
