"""Bond convolution and angle update, forward and backward.

Bond convolution l:   e_ij += L Σ_k φ(e_ij, e_ik, α_jik, a_i) · w_ij w_ik
Angle update l − 1:   α_jik += ψ(e_ij, e_ik, α_jik, a_i), computed in the same pass, just before convolution l reads it.

A tile holds twelve angles. Everything belongs to one center, so chunks that end between centers never write to the same
place. `level` is the number of the convolution: at 0 the angle features and their products are functions of the angle;
at 1 those of the update are; at 2 all products are computed.

Sums and gradients are kept per directed short edge; w_ij is taken out of the sum over k.
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import numpy as np
from numba import njit

from amorph.chgnet.simd import (
    load,
    logistic2,
    logistic4,
    product,
    splat,
    store,
    tabulated,
    tabulated_slope,
    total,
)

TILE = 12
_FULL = TILE * 128
_HALF = TILE * 64
SCRATCH = 5 * _FULL + 512
"""float32 elements of working memory that one tile needs."""

_ONE = np.float32(1)
_ZERO = np.float32(0)


@njit(cache=True, nogil=True)
def _times(source, source_width, weights, inputs, columns, target, target_width):
    """Multiply a tile with a matrix (inputs, columns)."""
    for column in range(0, columns, 64):
        for row in range(0, TILE, 6):
            product(
                source, row * source_width, source_width, weights, column, columns, inputs,
                target, row * target_width + column, target_width,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _second(source, weights, target):
    """Multiply core and gate of a tile with their 64 × 64 matrices."""
    for side in range(2):
        for row in range(0, TILE, 6):
            at = row * 128 + side * 64
            product(source, at, 128, weights, side * 4096, 64, 64, target, at, 128)


@njit(cache=True, nogil=True)
def _inverse_rms(z, row, bias):
    """Add the bias to z of one row; return 1 / rms of core and gate."""
    core, gate = splat(_ZERO), splat(_ZERO)
    for k in range(0, 64, 16):
        c = load(z, row + k) + load(bias, k)
        g = load(z, row + 64 + k) + load(bias, 64 + k)
        store(z, row + k, c)
        store(z, row + 64 + k, g)
        core = core + c * c
        gate = gate + g * g
    epsilon, mean = np.float32(1e-5), np.float32(1 / 64)
    return _ONE / np.sqrt(total(core) * mean + epsilon), _ONE / np.sqrt(total(gate) * mean + epsilon)


@njit(cache=True, nogil=True)
def _update_input(a0, count, level, angle_edges, knot, t, edge_bond, edge_center, bonds, atoms, table, matrix, old, q):
    """Compute the angle update's layer q of a tile; at level 1 also the angle features `old`, from their table."""
    if level == 2:
        _times(old, 64, matrix, 64, 128, q, 128)
    for r in range(count):
        e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
        s1, s2 = np.int64(edge_bond[e1]) * 256, np.int64(edge_bond[e2]) * 256 + 128
        center = np.int64(edge_center[e1]) * 128
        place = np.int64(knot[a0 + r]) * 1152
        x = splat(t[a0 + r])
        for k in range(0, 128, 16):
            if level == 2:
                own = load(q, r * 128 + k)
            else:
                p = place + 64 + k
                own = load(table, p) + x * (
                    load(table, p + 192) + x * (load(table, p + 384) + x * load(table, p + 576))
                )
            store(q, r * 128 + k, own + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k))
        if level == 1:
            for k in range(0, 64, 16):
                p = place + k
                f = tabulated(table, p, 192, x)
                store(old, r * 64 + k, f)


@njit(cache=True, nogil=True)
def _update(count, q, norms, zeros, old, new, at):
    """Add the angle update to the angle features of a tile."""
    for r in range(count):
        row = r * 128
        core, gate = _inverse_rms(q, row, zeros)
        for k in range(0, 64, 32):
            yc0 = load(q, row + k) * core * load(norms, k) + load(norms, 128 + k)
            yg0 = load(q, row + 64 + k) * gate * load(norms, 64 + k) + load(norms, 192 + k)
            yc1 = load(q, row + k + 16) * core * load(norms, k + 16) + load(norms, 144 + k)
            yg1 = load(q, row + 80 + k) * gate * load(norms, 80 + k) + load(norms, 208 + k)
            a, b, c, d = logistic4(yc0, yg0, yc1, yg1)
            store(new, at + r * 64 + k, load(old, r * 64 + k) + yc0 * a * b)
            store(new, at + r * 64 + k + 16, load(old, r * 64 + k + 16) + yc1 * c * d)


@njit(cache=True, nogil=True)
def _hidden(
    a0, count, level, angle_edges, knot, t, edge_bond, edge_center, bonds, atoms, table, p_angle, u, du, want_slope
):
    """Compute u = silu(h) of a tile, and du = silu'(h) where wanted; `p_angle` holds the angle's part at level > 0."""
    for r in range(count):
        e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
        s1, s2 = np.int64(edge_bond[e1]) * 256, np.int64(edge_bond[e2]) * 256 + 128
        center = np.int64(edge_center[e1]) * 128
        place = np.int64(knot[a0 + r]) * 768
        x = splat(t[a0 + r])
        for half in range(0, 128, 64):
            if level == 0:
                p = place + half
                g0 = tabulated(table, p, 128, x)
                p += 16
                g1 = tabulated(table, p, 128, x)
                p += 16
                g2 = tabulated(table, p, 128, x)
                p += 16
                g3 = tabulated(table, p, 128, x)
            else:
                own = r * 128 + half
                g0, g1 = load(p_angle, own), load(p_angle, own + 16)
                g2, g3 = load(p_angle, own + 32), load(p_angle, own + 48)
            k = half
            h0 = g0 + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            k += 16
            h1 = g1 + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            k += 16
            h2 = g2 + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            k += 16
            h3 = g3 + load(bonds, s1 + k) + load(bonds, s2 + k) + load(atoms, center + k)
            c0, c1, c2, c3 = logistic4(h0, h1, h2, h3)
            u0, u1, u2, u3 = h0 * c0, h1 * c1, h2 * c2, h3 * c3
            at = r * 128 + half
            store(u, at, u0)
            store(u, at + 16, u1)
            store(u, at + 32, u2)
            store(u, at + 48, u3)
            if want_slope:
                # silu' = σ + h σ (1 − σ)
                store(du, at, c0 + u0 * (_ONE - c0))
                store(du, at + 16, c1 + u1 * (_ONE - c1))
                store(du, at + 32, c2 + u2 * (_ONE - c2))
                store(du, at + 48, c3 + u3 * (_ONE - c3))


@njit(cache=True, nogil=True)
def forward(
    first, last, level, angle_edges, knot, t, edge_bond, edge_center, edge_start,
    update_bonds, update_atoms, update_table, update_matrix, update_norms, old_angles, new_angles,
    bonds, atoms, table, matrix, weights, vectors, bond_weights, sums, scratch,
):  # fmt: skip
    """Update the angles and sum the bond convolution over the angles `first` to `last`, whole centers.

    `sums` (directed edges, 64) must be zero at the start.
    """
    u, z, p_angle = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    old, zeros = scratch[3 * _FULL : 3 * _FULL + _HALF], scratch[5 * _FULL : 5 * _FULL + 128]
    for k in range(0, 128, 16):
        store(zeros, k, splat(_ZERO))
    for a0 in range(first, last, TILE):
        count = min(TILE, last - a0)
        if level > 0:
            if level == 2:
                for r in range(0, count * 64, 16):
                    store(old, r, load(old_angles, a0 * 64 + r))
            _update_input(
                a0,
                count,
                level,
                angle_edges,
                knot,
                t,
                edge_bond,
                edge_center,
                update_bonds,
                update_atoms,
                update_table,
                update_matrix,
                old,
                u,
            )
            _update(count, u, update_norms, zeros, old, z, 0)
            for r in range(0, count * 64, 16):
                store(new_angles, a0 * 64 + r, load(z, r))
            _times(z, 64, matrix, 64, 128, p_angle, 128)
        _hidden(
            a0, count, level, angle_edges, knot, t, edge_bond, edge_center, bonds, atoms, table, p_angle, u, u, False
        )
        _second(u, weights, z)
        for r in range(count):
            e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
            s1, s2 = np.int64(edge_bond[e1]) * 64, np.int64(edge_bond[e2]) * 64
            at = np.int64(e1) * 64
            row = r * 128
            core, gate = _inverse_rms(z, row, vectors)
            for k in range(0, 64, 32):
                yc0 = load(z, row + k) * core * load(vectors, 128 + k) + load(vectors, 256 + k)
                yg0 = load(z, row + 64 + k) * gate * load(vectors, 192 + k) + load(vectors, 320 + k)
                yc1 = load(z, row + k + 16) * core * load(vectors, 144 + k) + load(vectors, 272 + k)
                yg1 = load(z, row + 80 + k) * gate * load(vectors, 208 + k) + load(vectors, 336 + k)
                a, b, c, d = logistic4(yc0, yg0, yc1, yg1)
                w0 = load(bond_weights, s1 + k) * load(bond_weights, s2 + k)
                w1 = load(bond_weights, s1 + k + 16) * load(bond_weights, s2 + k + 16)
                store(sums, at + k, load(sums, at + k) + yc0 * a * b * w0)
                store(sums, at + k + 16, load(sums, at + k + 16) + yc1 * c * d * w1)


@njit(cache=True, nogil=True)
def backward(
    first, last, level, angle_edges, knot, t, edge_bond, edge_center, edge_start,
    update_bonds, update_atoms, update_table, update_matrix, update_back, update_norms, old_angles, new_angles,
    bonds, atoms, table, matrix, matrix_back, weights, transposed, vectors, bond_weights, angle_step,
    upstream, slope, bond_gradient, atom_gradient, update_bond_gradient, update_atom_gradient, weight_gradient, scratch,
):  # fmt: skip
    """Go back through bond convolution `level` and angle update `level` − 1, given dE/d(sum of messages) per bond.

    The gradients of the first layers' bond parts are added per directed edge, of their atom parts per atom. At level 2
    `new_angles` becomes dE/d(old angles); at level 1 `old_angles` holds that gradient and `new_angles` the angles; at
    level 0 and 1 dE/dθ is added to `slope`.
    """
    u, z, p_angle = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    du, zeros = scratch[3 * _FULL : 4 * _FULL], scratch[5 * _FULL : 5 * _FULL + 128]
    angles, g = scratch[4 * _FULL : 4 * _FULL + _HALF], scratch[4 * _FULL + _HALF : 5 * _FULL]
    row_core, row_gate = scratch[5 * _FULL + 128 : 5 * _FULL + 256], scratch[5 * _FULL + 256 : 5 * _FULL + 384]
    for k in range(0, 128, 16):
        store(zeros, k, splat(_ZERO))
    for a0 in range(first, last, TILE):
        count = min(TILE, last - a0)
        if level > 0:
            for r in range(0, count * 64, 16):
                store(angles, r, load(new_angles, a0 * 64 + r))
            _times(angles, 64, matrix, 64, 128, p_angle, 128)
        _hidden(
            a0, count, level, angle_edges, knot, t, edge_bond, edge_center, bonds, atoms, table, p_angle, u, du, True
        )
        _second(u, weights, z)
        for r in range(count):
            e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
            s1, s2 = np.int64(edge_bond[e1]) * 64, np.int64(edge_bond[e2]) * 64
            at1, at2 = np.int64(e1) * 64, np.int64(e2) * 64
            row = r * 128
            core, gate = _inverse_rms(z, row, vectors)
            mean_c, mean_g = splat(_ZERO), splat(_ZERO)
            for k in range(0, 64, 16):
                n_c, n_g = load(z, row + k) * core, load(z, row + 64 + k) * gate
                scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
                y_c, y_g = n_c * scale_c + load(vectors, 256 + k), n_g * scale_g + load(vectors, 320 + k)
                s_c, s_g = logistic2(y_c, y_g)
                active = y_c * s_c
                up = load(upstream, s1 + k)
                w1, w2 = load(bond_weights, s1 + k), load(bond_weights, s2 + k)
                message = up * active * s_g
                store(weight_gradient, at1 + k, load(weight_gradient, at1 + k) + message * w2)
                store(weight_gradient, at2 + k, load(weight_gradient, at2 + k) + message * w1)
                up = up * w1 * w2 * s_g
                d_c = up * (s_c + active * (_ONE - s_c)) * scale_c
                d_g = up * active * (_ONE - s_g) * scale_g
                store(row_core, k, d_c)
                store(row_gate, k, d_g)
                mean_c = mean_c + d_c * n_c
                mean_g = mean_g + d_g * n_g
            m_c = splat(total(mean_c) * np.float32(1 / 64) * core)
            m_g = splat(total(mean_g) * np.float32(1 / 64) * gate)
            for k in range(0, 64, 16):
                store(z, row + k, (load(row_core, k) - load(z, row + k) * m_c) * core)
                store(z, row + 64 + k, (load(row_gate, k) - load(z, row + 64 + k) * m_g) * gate)
        _second(z, transposed, u)
        for r in range(count):
            e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
            at1, at2 = np.int64(e1) * 256, np.int64(e2) * 256 + 128
            center = np.int64(edge_center[e1]) * 128
            place = np.int64(knot[a0 + r]) * 768
            x = splat(t[a0 + r])
            result = splat(_ZERO)
            for k in range(0, 128, 16):
                back = load(u, r * 128 + k) * load(du, r * 128 + k)
                store(bond_gradient, at1 + k, load(bond_gradient, at1 + k) + back)
                store(bond_gradient, at2 + k, load(bond_gradient, at2 + k) + back)
                store(atom_gradient, center + k, load(atom_gradient, center + k) + back)
                if level == 0:
                    result = result + back * tabulated_slope(table, place + k, 128, x)
                else:
                    store(u, r * 128 + k, back)
            if level == 0:
                slope[a0 + r] += total(result) / np.float32(angle_step)
        if level == 0:
            continue
        _times(u, 128, matrix_back, 128, 64, g, 64)
        # g is dE/d(new angles) of this convolution; add what later layers sent.
        if level == 1:
            for r in range(0, count * 64, 16):
                store(g, r, load(g, r) + load(old_angles, a0 * 64 + r))
        else:
            for r in range(0, count * 64, 16):
                store(angles, r, load(old_angles, a0 * 64 + r))
        _update_input(
            a0,
            count,
            level,
            angle_edges,
            knot,
            t,
            edge_bond,
            edge_center,
            update_bonds,
            update_atoms,
            update_table,
            update_matrix,
            angles,
            z,
        )
        for r in range(count):
            e1, e2 = angle_edges[a0 + r, 0], angle_edges[a0 + r, 1]
            row = r * 128
            core, gate = _inverse_rms(z, row, zeros)
            mean_c, mean_g = splat(_ZERO), splat(_ZERO)
            for k in range(0, 64, 16):
                n_c, n_g = load(z, row + k) * core, load(z, row + 64 + k) * gate
                scale_c, scale_g = load(update_norms, k), load(update_norms, 64 + k)
                y_c, y_g = n_c * scale_c + load(update_norms, 128 + k), n_g * scale_g + load(update_norms, 192 + k)
                s_c, s_g = logistic2(y_c, y_g)
                active = y_c * s_c
                up = load(g, r * 64 + k) * s_g
                d_c = up * (s_c + active * (_ONE - s_c)) * scale_c
                d_g = up * active * (_ONE - s_g) * scale_g
                store(row_core, k, d_c)
                store(row_gate, k, d_g)
                mean_c = mean_c + d_c * n_c
                mean_g = mean_g + d_g * n_g
            m_c = splat(total(mean_c) * np.float32(1 / 64) * core)
            m_g = splat(total(mean_g) * np.float32(1 / 64) * gate)
            for k in range(0, 64, 16):
                store(z, row + k, (load(row_core, k) - load(z, row + k) * m_c) * core)
                store(z, row + 64 + k, (load(row_gate, k) - load(z, row + 64 + k) * m_g) * gate)
            at1, at2 = np.int64(e1) * 256, np.int64(e2) * 256 + 128
            center = np.int64(edge_center[e1]) * 128
            place = np.int64(knot[a0 + r]) * 1152
            x = splat(t[a0 + r])
            result = splat(_ZERO)
            for k in range(0, 128, 16):
                back = load(z, row + k)
                store(update_bond_gradient, at1 + k, load(update_bond_gradient, at1 + k) + back)
                store(update_bond_gradient, at2 + k, load(update_bond_gradient, at2 + k) + back)
                store(update_atom_gradient, center + k, load(update_atom_gradient, center + k) + back)
                if level == 1:
                    result = result + back * tabulated_slope(update_table, place + 64 + k, 192, x)
            if level == 1:
                for k in range(0, 64, 16):
                    result = result + load(g, r * 64 + k) * tabulated_slope(update_table, place + k, 192, x)
                slope[a0 + r] += total(result) / np.float32(angle_step)
        if level == 2:
            _times(z, 128, update_back, 128, 64, u, 64)
            for r in range(0, count * 64, 16):
                store(new_angles, a0 * 64 + r, load(g, r) + load(u, r))
