"""Bond convolution and angle update, forward and backward.

Bond convolution l:   e_ij += L Σ_k φ(e_ij, e_ik, α_jik, a_i) · w_ij w_ik
Angle update l − 1:   α_jik += ψ(e_ij, e_ik, α_jik, a_i), computed in the same pass, just before convolution l reads it.

A tile holds 24 angles, so that the matrices pass through the first cache once for many. Everything belongs to one
center, so chunks that end between centers never write to the same place. `level` is the number of the convolution: at 0
the angle features and their products are functions of the angle; at 1 those of the update are; at 2 all products are
computed.

Sums and gradients are kept per directed short edge; w_ij is taken out of the sum over k, and the gradient of a
center's part is the sum over its edges (`linear.add_edges`). Products work on whole tiles; what a tile holds beyond its
last angle is never used. `tile` is where its rows start in arrays that may hold those of all angles.

Notation as in `gated`. Deng et al. (2023), doi:10.1038/s42256-023-00716-3, with i the center of the angle:

| equation | here |
|---|---|
| W₁ (e_ij, e_ik, α_jik, a_i) + b₁ of φ, of ψ | `layer`, `update`: bonds[ij] + bonds[ik] + table or matrix + atoms[i] |
| φ | `second` of u = silu(h), gated; ψ has no second layer: its first has `norms` |
| α_jik before, after ψ | `old_angles`, `new_angles` |
| w_ij, Σ_k φ · w_ik | `w`, `sums` |
| dE/d(Σ_k φ · w_ij w_ik) · w_ij, dE/dθ_jik | `upstream`, `Gradients.angles` |
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from amorph.chgnet.cpu.gated import keep_inverses, kept_inverses, second_backward, second_forward, through_norm
from amorph.chgnet.cpu.simd import (
    EPSILON,
    MEAN,
    ONE,
    load,
    logistic,
    normed_product,
    product,
    splat,
    store,
    stream,
    tabulated,
    tabulated_slope,
    total,
    zero,
)
from amorph.chgnet.folding import Array

TILE = 24
_FULL = TILE * 128
_HALF = TILE * 64
_INVERSES = TILE + 16
SCRATCH = 4 * _FULL + 2 * _HALF + 2 * _INVERSES + 128
"""Elements of working memory that one tile needs."""


class Angles(NamedTuple):
    """The bond graph."""

    edges: NDArray[np.int32]
    """(angles, 2) the directed edges ij and ik of each angle."""
    knot: NDArray[np.int32]
    """Interval of the angular tables."""
    t: Array
    """Place in the interval."""
    bond: NDArray[np.int32]
    """Short bond of each edge."""
    center: NDArray[np.int32]
    """Atom i that each edge starts from."""


class FirstLayer(NamedTuple):
    """The first layer of a convolution or update: its products, and its matrix for the angle."""

    bonds: Array
    """(short bonds, 256) parts of the bond as ij and as ik."""
    atoms: Array
    """(atoms, 128) part of the center."""
    table: Array
    """Part of the first angle features, after these themselves for an update."""
    matrix: Array
    """(64, 128) for later angle features."""
    back: Array
    """(128, 64) its transpose."""


class Gradients(NamedTuple):
    """What the way back adds to."""

    angles: Array
    """dE/dθ of each angle."""
    bonds: Array
    """(edges, 256) of the convolution's parts of the bonds."""
    update_bonds: Array
    """(edges, 256) the same of the update."""
    weights: Array
    """(edges, 64) dE/dw."""


@njit(cache=True, nogil=True)
def _times(source, source_width, weights, inputs, columns, start, start_width, target):
    """Add a tile of `source` times a matrix (inputs, columns) to `start`; the result goes to `target`."""
    for column in range(0, columns, 64):
        for row in range(0, TILE, 6):
            product(
                source, row * source_width, source_width, weights, column, columns, inputs,
                start, row * start_width + column, start_width,
                target, row * columns + column, columns,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _hidden(a0, count, level, g, layer, p_angle, u, du, kept):
    """Compute u = silu(h) of a tile, and silu'(h): to where it is kept, or to du.

    `p_angle` holds the angle's part at level > 0.
    """
    keeps = kept.slope.size > 0
    angle_edges, knot, t, edge_bond, edge_center = g
    bonds, atoms, table, _, _ = layer
    for r in range(count):
        e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
        s1, s2 = np.int64(edge_bond[e1]) * 256, np.int64(edge_bond[e2]) * 256 + 128
        center = np.int64(edge_center[e1]) * 128
        place = np.int64(knot[a0 + r]) * 768
        x = splat(t[a0 + r])
        for k in range(0, 128, 16):
            own = tabulated(table, place + k, 128, x) if level == 0 else load(p_angle, r * 128 + k)
            h = own + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            s = logistic(h)
            active = h * s
            store(u, r * 128 + k, active)
            slope = s + active * (ONE - s)  # silu' = σ + h σ (1 − σ)
            if keeps:
                stream(kept.slope, (np.int64(a0) + r) * 128 + k, slope)
            else:
                store(du, r * 128 + k, slope)


@njit(cache=True, nogil=True)
def _update_normed(a0, count, level, g, update, angles, n, inverses):
    """Compute the normed layer n of the angle update of a tile, and 1 / rms of its rows."""
    angle_edges, knot, t, edge_bond, edge_center = g
    bonds, atoms, table, matrix, _ = update
    for r in range(count):
        e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
        s1, s2 = np.int64(edge_bond[e1]) * 256, np.int64(edge_bond[e2]) * 256 + 128
        center = np.int64(edge_center[e1]) * 128
        place = np.int64(knot[a0 + r]) * 1152 + 64
        x = splat(t[a0 + r])
        core, gate = zero(n), zero(n)
        for k in range(0, 64, 16):
            c = load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            g = load(bonds, s1 + 64 + k) + load(bonds, s2 + 64 + k) + load(atoms, center + 64 + k)
            if level == 1:
                c = c + tabulated(table, place + k, 192, x)
                g = g + tabulated(table, place + 64 + k, 192, x)
                core, gate = core + c * c, gate + g * g
            store(n, r * 128 + k, c)
            store(n, r * 128 + 64 + k, g)
        if level == 1:
            inverse_core = ONE / np.sqrt(total(core) * MEAN + EPSILON)
            inverse_gate = ONE / np.sqrt(total(gate) * MEAN + EPSILON)
            for k in range(0, 64, 16):
                store(n, r * 128 + k, load(n, r * 128 + k) * inverse_core)
                store(n, r * 128 + 64 + k, load(n, r * 128 + 64 + k) * inverse_gate)
            inverses[r], inverses[_INVERSES + r] = inverse_core, inverse_gate
    if level == 2:
        for side in range(2):
            for row in range(0, TILE, 6):
                at = row * 128 + side * 64
                normed_product(
                    angles, row * 64, 64, matrix, side * 64, 128, n, at, 128, n, at, 128,
                    inverses, side * _INVERSES + row,
                )  # fmt: skip


@njit(cache=True, nogil=True)
def _update(a0, count, n, norms, angles, kept):
    """Add the angle update to the angle features of a tile."""
    keeps, tile = kept.n.size > 0, np.int64(a0) * 128
    for r in range(count):
        row, at = r * 128, r * 64
        for k in range(0, 64, 16):
            n_c, n_g = load(n, row + k), load(n, row + 64 + k)
            if keeps:
                stream(kept.n, tile + row + k, n_c)
                stream(kept.n, tile + row + 64 + k, n_g)
            y_c = n_c * load(norms, k) + load(norms, 128 + k)
            y_g = n_g * load(norms, 64 + k) + load(norms, 192 + k)
            store(angles, at + k, load(angles, at + k) + y_c * logistic(y_c) * logistic(y_g))


@njit(cache=True, nogil=True)
def _first_angles(a0, count, knot, t, table, angles):
    """Read the first angle features of a tile from their table."""
    for r in range(count):
        place, x = np.int64(knot[a0 + r]) * 1152, splat(t[a0 + r])
        for k in range(0, 64, 16):
            store(angles, r * 64 + k, tabulated(table, place + k, 192, x))


@njit(cache=True, nogil=True)
def _read(source, a0, count, tile):
    """Copy angle features to a tile: in order, as memory likes it; products would fetch six rows at once."""
    for k in range(0, count * 64, 16):
        store(tile, k, load(source, a0 * 64 + k))


@njit(cache=True, nogil=True)
def _write(tile, a0, count, target):
    """Copy a tile to angle features."""
    for k in range(0, count * 64, 16):
        store(target, a0 * 64 + k, load(tile, k))


@njit(cache=True, nogil=True)
def forward(
    first, last, first_edge, last_edge, level, g, update, norms, old_angles, new_angles, layer, second, w, sums,
    kept, kept_update, scratch,
):  # fmt: skip
    """Update the angles and sum the bond convolution over the angles `first` to `last`, whole centers.

    `first_edge` to `last_edge` are the edges of these centers; what their `sums` (edges, 64) hold at the end lacks the
    factor w_ij.
    """
    vectors = second.vectors
    u, n, p_angle = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    du, angles = scratch[3 * _FULL : 4 * _FULL], scratch[4 * _FULL : 4 * _FULL + _HALF]
    inverses, zeros = scratch[-2 * _INVERSES - 128 : -128], scratch[-128:]
    zeros[:] = 0
    keeps = kept.n.size > 0
    sums[first_edge * 64 : last_edge * 64] = 0
    for a0 in range(first, last, TILE):
        count = min(TILE, last - a0)
        if level > 0:
            if level == 1:
                _first_angles(a0, count, g.knot, g.t, update.table, angles)
            else:
                _read(old_angles, a0, count, angles)
            _update_normed(a0, count, level, g, update, angles, n, inverses)
            if kept_update.n.size > 0:
                keep_inverses(a0, count, TILE, inverses, kept_update)
            _update(a0, count, n, norms, angles, kept_update)
            _write(angles, a0, count, new_angles)
            _times(angles, 64, layer.matrix, 64, 128, zeros, 0, p_angle)
        _hidden(a0, count, level, g, layer, p_angle, u, du, kept)
        second_forward(TILE, u, second, n, inverses)
        if keeps:
            keep_inverses(a0, count, TILE, inverses, kept)
        for r in range(count):
            e1, e2 = g.edges[a0 + r, 0], g.edges[a0 + r, 1]
            at, s2, row, tile = np.int64(e1) * 64, np.int64(g.bond[e2]) * 64, r * 128, np.int64(a0) * 128
            for k in range(0, 64, 16):
                n_c, n_g = load(n, row + k), load(n, row + 64 + k)
                if keeps:
                    stream(kept.n, tile + row + k, n_c)
                    stream(kept.n, tile + row + 64 + k, n_g)
                y_c = n_c * load(vectors, 128 + k) + load(vectors, 256 + k)
                y_g = n_g * load(vectors, 192 + k) + load(vectors, 320 + k)
                message = y_c * logistic(y_c) * logistic(y_g)
                store(sums, at + k, load(sums, at + k) + message * load(w, s2 + k))


@njit(cache=True, nogil=True)
def _second_backward(a0, count, g, second, w, upstream, weight_gradient, u, n, tile, inverses):
    """Go back from the messages of a tile to z: u becomes dE/dz; dE/dw_ik is added to `weight_gradient`."""
    vectors = second.vectors
    for r in range(count):
        e1, e2 = g.edges[a0 + r, 0], g.edges[a0 + r, 1]
        s1, s2 = np.int64(g.bond[e1]) * 64, np.int64(g.bond[e2]) * 64
        at2, row = np.int64(e2) * 64, r * 128
        along_c, along_g = zero(n), zero(n)
        for k in range(0, 64, 16):
            n_c, n_g = load(n, tile + row + k), load(n, tile + row + 64 + k)
            scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
            y_c, y_g = n_c * scale_c + load(vectors, 256 + k), n_g * scale_g + load(vectors, 320 + k)
            s_c, s_g = logistic(y_c), logistic(y_g)
            active = y_c * s_c
            up = load(upstream, s1 + k) * s_g
            store(weight_gradient, at2 + k, load(weight_gradient, at2 + k) + up * active)
            up = up * load(w, s2 + k)
            d_c = up * (s_c + active * (ONE - s_c)) * scale_c
            d_g = up * active * (ONE - s_g) * scale_g
            store(u, row + k, d_c)
            store(u, row + 64 + k, d_g)
            along_c, along_g = along_c + d_c * n_c, along_g + d_g * n_g
        through_norm(u, row, n, tile + row, inverses[r], inverses[_INVERSES + r], along_c, along_g)


@njit(cache=True, nogil=True)
def _hidden_backward(a0, count, level, g, table, angle_step, bond_gradient, slope, n, du, tile):
    """Go back from dE/du, in n, to the first layer of the convolution: n becomes dE/dh at level > 0."""
    for r in range(count):
        e1, e2 = g.edges[a0 + r, 0], g.edges[a0 + r, 1]
        at1, at2 = np.int64(e1) * 256, np.int64(e2) * 256 + 128
        place = np.int64(g.knot[a0 + r]) * 768
        x = splat(g.t[a0 + r])
        result = zero(n)
        for k in range(0, 128, 16):
            back = load(n, r * 128 + k) * load(du, tile + r * 128 + k)
            store(bond_gradient, at1 + k, load(bond_gradient, at1 + k) + back)
            store(bond_gradient, at2 + k, load(bond_gradient, at2 + k) + back)
            if level == 0:
                result = result + back * tabulated_slope(table, place + k, 128, x)
            else:
                store(n, r * 128 + k, back)
        if level == 0:
            slope[a0 + r] += total(result) / angle_step


@njit(cache=True, nogil=True)
def _update_backward(
    a0, count, level, g, table, norms, angle_step, bond_gradient, slope, up_angles, u, n, tile, inverses
):  # fmt: skip
    """Go back through the angle update of a tile, given dE/d(new angles): u becomes dE/d(first layer)."""
    for r in range(count):
        row = r * 128
        along_c, along_g = zero(n), zero(n)
        for k in range(0, 64, 16):
            n_c, n_g = load(n, tile + row + k), load(n, tile + row + 64 + k)
            scale_c, scale_g = load(norms, k), load(norms, 64 + k)
            y_c, y_g = n_c * scale_c + load(norms, 128 + k), n_g * scale_g + load(norms, 192 + k)
            s_c, s_g = logistic(y_c), logistic(y_g)
            active = y_c * s_c
            up = load(up_angles, r * 64 + k) * s_g
            d_c = up * (s_c + active * (ONE - s_c)) * scale_c
            d_g = up * active * (ONE - s_g) * scale_g
            store(u, row + k, d_c)
            store(u, row + 64 + k, d_g)
            along_c, along_g = along_c + d_c * n_c, along_g + d_g * n_g
        through_norm(u, row, n, tile + row, inverses[r], inverses[_INVERSES + r], along_c, along_g)
        e1, e2 = g.edges[a0 + r, 0], g.edges[a0 + r, 1]
        at1, at2 = np.int64(e1) * 256, np.int64(e2) * 256 + 128
        place = np.int64(g.knot[a0 + r]) * 1152
        x = splat(g.t[a0 + r])
        result = zero(n)
        for k in range(0, 128, 16):
            back = load(u, row + k)
            store(bond_gradient, at1 + k, load(bond_gradient, at1 + k) + back)
            store(bond_gradient, at2 + k, load(bond_gradient, at2 + k) + back)
            if level == 1:
                result = result + back * tabulated_slope(table, place + 64 + k, 192, x)
        if level == 1:
            for k in range(0, 64, 16):
                result = result + load(up_angles, r * 64 + k) * tabulated_slope(table, place + k, 192, x)
            slope[a0 + r] += total(result) / angle_step


@njit(cache=True, nogil=True)
def backward(
    first, last, first_edge, last_edge, level, g, update, norms, old_angles, new_angles, layer, second, w, angle_step,
    upstream, gradients, kept, kept_update, scratch,
):  # fmt: skip
    """Go back through bond convolution `level` and angle update `level` − 1.

    `upstream` is dE/d(sum of messages) · w_ij of each bond. The gradients of the first layers' bond parts are written
    for the edges `first_edge` to `last_edge`, that of w_ik is added. At level 2 `new_angles` becomes dE/d(old angles);
    at level 1 `old_angles` holds that gradient and `new_angles` the angles; at level 0 and 1 dE/dθ is added.
    """
    slope, bond_gradient, update_bond_gradient, weight_gradient = gradients
    u, n, p_angle = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    du, angles = scratch[3 * _FULL : 4 * _FULL], scratch[4 * _FULL : 4 * _FULL + _HALF]
    up = scratch[4 * _FULL + _HALF : 4 * _FULL + 2 * _HALF]
    inverses, zeros = scratch[-2 * _INVERSES - 128 : -128], scratch[-128:]
    zeros[:] = 0
    bond_gradient[first_edge * 256 : last_edge * 256] = 0
    if level > 0:
        update_bond_gradient[first_edge * 256 : last_edge * 256] = 0
    keeps, keeps_update = kept.n.size > 0, kept_update.n.size > 0
    n_from, du_from = (kept.n, kept.slope) if keeps else (n, du)
    update_from = kept_update.n if keeps_update else n
    for a0 in range(first, last, TILE):
        count = min(TILE, last - a0)
        tile = np.int64(a0) * 128 if keeps else 0
        if keeps:
            kept_inverses(a0, count, TILE, kept, inverses)
        else:
            if level > 0:
                _read(new_angles, a0, count, angles)
                _times(angles, 64, layer.matrix, 64, 128, zeros, 0, p_angle)
            _hidden(a0, count, level, g, layer, p_angle, u, du, kept)
            second_forward(TILE, u, second, n, inverses)
        _second_backward(a0, count, g, second, w, upstream, weight_gradient, u, n_from, tile, inverses)
        second_backward(TILE, u, second, zeros, n)
        _hidden_backward(a0, count, level, g, layer.table, angle_step, bond_gradient, slope, n, du_from, tile)
        if level == 0:
            continue
        # dE/d(new angles): what this convolution sends, and at level 1 what later layers sent.
        if level == 1:
            _read(old_angles, a0, count, up)
            _times(n, 128, layer.back, 128, 64, up, 64, up)
        else:
            _times(n, 128, layer.back, 128, 64, zeros, 0, up)
        if keeps_update:
            kept_inverses(a0, count, TILE, kept_update, inverses)
        else:
            if level == 2:
                _read(old_angles, a0, count, angles)
            _update_normed(a0, count, level, g, update, angles, n, inverses)
        tile = np.int64(a0) * 128 if keeps_update else 0
        _update_backward(
            a0, count, level, g, update.table, norms, angle_step, update_bond_gradient, slope, up, u, update_from, tile,
            inverses,
        )  # fmt: skip
        if level == 2:
            _times(u, 128, update.back, 128, 64, up, 64, up)
            _write(up, a0, count, new_angles)
