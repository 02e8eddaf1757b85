"""Atom convolution: a_i += L Σ_j φ(a_i, e_ij, a_j) · w_ij, forward and backward.

A tile holds six bonds, each as two rows: the message to i from j (rows 0–5) and to j from i (rows 6–11). Sums over the
bonds of an atom go to a buffer that belongs to the chunk of bonds alone.

Notation of one row: h the first layer's output (core | gate), u = silu(h), z = u W the centered second layer,
n = z / rms(z), y = n · scale + shift, message m = silu(y_core) · σ(y_gate) · w.
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

TILE = 6
SCRATCH = 4 * 12 * 128
"""float32 elements of working memory that one tile needs."""

REFINED = 360
"""Intervals of the radial tables, the first ones, that the tables of messages cut finer: 0.5 to 1.25 Å."""
REFINEMENT = 4
"""Parts that each of them is cut into."""

_ONE = np.float32(1)


@njit(cache=True, nogil=True)
def _refined(knot, t):
    """Find the interval of the tables of messages, the place in it, and how much finer it is."""
    if knot >= REFINED:
        return np.int64(knot) + REFINED * (REFINEMENT - 1), t, 1
    place = t * np.float32(REFINEMENT)
    part = int(place)
    if part == REFINEMENT:  # t rounded to 1
        part -= 1
    return np.int64(knot) * REFINEMENT + part, place - np.float32(part), REFINEMENT


@njit(cache=True, nogil=True)
def first_forward(first, last, i, j, kind, kinds, knot, t, table, sums, scratch):
    """Sum the messages of atom convolution 0, which are functions of two elements and a length."""
    size = table.size // (kinds * kinds)
    for b in range(first, last):
        zi, zj = np.int64(kind[i[b]]), np.int64(kind[j[b]])
        interval, part, _ = _refined(knot[b], t[b])
        place, x = interval * 384, splat(part)
        to_i, to_j = (zi * kinds + zj) * size + place, (zj * kinds + zi) * size + place
        at_i, at_j = np.int64(i[b]) * 64, np.int64(j[b]) * 64
        for k in range(0, 64, 16):
            store(sums, at_i + k, load(sums, at_i + k) + tabulated(table, to_i + k, 64, x))
            store(sums, at_j + k, load(sums, at_j + k) + tabulated(table, to_j + k, 64, x))


@njit(cache=True, nogil=True)
def first_backward(first, last, i, j, kind, kinds, knot, t, table, step, upstream, slope, scratch):
    """Add dE/dd of atom convolution 0, given dE/d(sum of messages)."""
    size = table.size // (kinds * kinds)
    for b in range(first, last):
        zi, zj = np.int64(kind[i[b]]), np.int64(kind[j[b]])
        interval, part, finer = _refined(knot[b], t[b])
        place, x = interval * 384, splat(part)
        to_i, to_j = (zi * kinds + zj) * size + place, (zj * kinds + zi) * size + place
        at_i, at_j = np.int64(i[b]) * 64, np.int64(j[b]) * 64
        result = splat(np.float32(0))
        for k in range(0, 64, 16):
            result = result + load(upstream, at_i + k) * tabulated_slope(table, to_i + k, 64, x)
            result = result + load(upstream, at_j + k) * tabulated_slope(table, to_j + k, 64, x)
        slope[b] += np.float64(total(result)) * finer / step


@njit(cache=True, nogil=True)
def _hidden(first, count, i, j, short, knot, t, atoms, bonds, table, u, du, want_slope):
    """Compute u = silu(h) of a tile, and du = silu'(h) where wanted."""
    for r in range(count):
        b = first + r
        at_i, at_j = np.int64(i[b]) * 256, np.int64(j[b]) * 256
        s = np.int64(short[b]) * 128
        place = np.int64(knot[b]) * 1152
        x = splat(t[b])
        for k in range(0, 128, 32):
            if s >= 0:
                e0, e1 = load(bonds, s + k), load(bonds, s + k + 16)
            else:
                p = place + k
                e0 = tabulated(table, p, 192, x)
                p += 16
                e1 = tabulated(table, p, 192, x)
            h0 = e0 + load(atoms, at_i + k) + load(atoms, at_j + 128 + k)
            h1 = e1 + load(atoms, at_i + k + 16) + load(atoms, at_j + 144 + k)
            g0 = e0 + load(atoms, at_j + k) + load(atoms, at_i + 128 + k)
            g1 = e1 + load(atoms, at_j + k + 16) + load(atoms, at_i + 144 + k)
            s0, s1, s2, s3 = logistic4(h0, h1, g0, g1)
            to_i, to_j = r * 128 + k, (TILE + r) * 128 + k
            u0, u1, u2, u3 = h0 * s0, h1 * s1, g0 * s2, g1 * s3
            store(u, to_i, u0)
            store(u, to_i + 16, u1)
            store(u, to_j, u2)
            store(u, to_j + 16, u3)
            if want_slope:
                # silu' = σ + h σ (1 − σ)
                store(du, to_i, s0 + u0 * (_ONE - s0))
                store(du, to_i + 16, s1 + u1 * (_ONE - s1))
                store(du, to_j, s2 + u2 * (_ONE - s2))
                store(du, to_j + 16, s3 + u3 * (_ONE - s3))


@njit(cache=True, nogil=True)
def _second(source, weights, target):
    """Multiply core and gate of 12 rows with their 64 × 64 matrices."""
    for side in range(2):
        for row in range(0, 12, 6):
            at = row * 128 + side * 64
            product(source, at, 128, weights, side * 4096, 64, 64, target, at, 128)


@njit(cache=True, nogil=True)
def _norm(z, row, vectors):
    """Add the bias to z of one row; return 1 / rms of core and gate."""
    core, gate = splat(np.float32(0)), splat(np.float32(0))
    for k in range(0, 64, 16):
        c = load(z, row + k) + load(vectors, k)
        g = load(z, row + 64 + k) + load(vectors, 64 + k)
        store(z, row + k, c)
        store(z, row + 64 + k, g)
        core = core + c * c
        gate = gate + g * g
    epsilon, mean = np.float32(1e-5), np.float32(1 / 64)
    return _ONE / np.sqrt(total(core) * mean + epsilon), _ONE / np.sqrt(total(gate) * mean + epsilon)


@njit(cache=True, nogil=True)
def forward(first, last, i, j, short, knot, t, atoms, bonds, table, weights, vectors, sums, scratch):
    """Sum the messages of atom convolution 1, 2 or 3 (or 0, for many elements) over a chunk of bonds."""
    u, z = scratch[:1536], scratch[1536:3072]
    for b0 in range(first, last, TILE):
        count = min(TILE, last - b0)
        _hidden(b0, count, i, j, short, knot, t, atoms, bonds, table, u, u, False)
        _second(u, weights, z)
        for r in range(count):
            b = b0 + r
            place = np.int64(knot[b]) * 1152 + 128
            x = splat(t[b])
            row_i, row_j = r * 128, (TILE + r) * 128
            core_i, gate_i = _norm(z, row_i, vectors)
            core_j, gate_j = _norm(z, row_j, vectors)
            at_i, at_j = np.int64(i[b]) * 64, np.int64(j[b]) * 64
            for k in range(0, 64, 16):
                p = place + k
                w = tabulated(table, p, 192, x)
                scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
                shift_c, shift_g = load(vectors, 256 + k), load(vectors, 320 + k)
                yc_i = load(z, row_i + k) * core_i * scale_c + shift_c
                yg_i = load(z, row_i + 64 + k) * gate_i * scale_g + shift_g
                yc_j = load(z, row_j + k) * core_j * scale_c + shift_c
                yg_j = load(z, row_j + 64 + k) * gate_j * scale_g + shift_g
                a, c, d, e = logistic4(yc_i, yg_i, yc_j, yg_j)
                store(sums, at_i + k, load(sums, at_i + k) + yc_i * a * c * w)
                store(sums, at_j + k, load(sums, at_j + k) + yc_j * d * e * w)


@njit(cache=True, nogil=True)
def _gate_backward(z, row, core, gate, vectors, upstream, at, weight, g):
    """Go back from a message to z of one row: z becomes dE/dz, g[:64] becomes dE/dw.

    With m = silu(y_c) σ(y_g) w and y = n scale + shift, n = z / rms(z):
    dE/dz = (dE/dn − n mean(n · dE/dn)) / rms(z).
    """
    mean_c, mean_g = splat(np.float32(0)), splat(np.float32(0))
    for k in range(0, 64, 16):
        n_c, n_g = load(z, row + k) * core, load(z, row + 64 + k) * gate
        scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
        y_c, y_g = n_c * scale_c + load(vectors, 256 + k), n_g * scale_g + load(vectors, 320 + k)
        s_c, s_g = logistic2(y_c, y_g)
        active = y_c * s_c
        up = load(upstream, at + k)
        store(g, 128 + k, up * active * s_g)
        up = up * load(weight, k) * s_g
        d_c = up * (s_c + active * (_ONE - s_c)) * scale_c
        d_g = up * active * (_ONE - s_g) * scale_g
        store(g, k, d_c)
        store(g, 64 + k, d_g)
        mean_c = mean_c + d_c * n_c
        mean_g = mean_g + d_g * n_g
    m_c = splat(total(mean_c) * np.float32(1 / 64) * core)
    m_g = splat(total(mean_g) * np.float32(1 / 64) * gate)
    for k in range(0, 64, 16):
        store(z, row + k, (load(g, k) - load(z, row + k) * m_c) * core)
        store(z, row + 64 + k, (load(g, 64 + k) - load(z, row + 64 + k) * m_g) * gate)


@njit(cache=True, nogil=True)
def backward(
    first, last, i, j, short, knot, t, atoms, bonds, table, step, weights, transposed, vectors,
    upstream, slope, atom_gradient, bond_gradient, scratch,
):  # fmt: skip
    """Go back through the messages of a chunk of bonds, given dE/d(sum of messages).

    Adds dE/dd to `slope`, the gradient of the first layer's atom part (center | neighbor) to `atom_gradient`; writes
    that of its bond part to `bond_gradient` for short bonds, whose features are not a function of the length alone.
    """
    u, z, du = scratch[:1536], scratch[1536:3072], scratch[3072:4608]
    weight, weight_slope, g = scratch[4608:4672], scratch[4672:4736], scratch[4736:4928]
    for b0 in range(first, last, TILE):
        count = min(TILE, last - b0)
        _hidden(b0, count, i, j, short, knot, t, atoms, bonds, table, u, du, True)
        _second(u, weights, z)
        for r in range(count):
            b = b0 + r
            place = np.int64(knot[b]) * 1152 + 128
            x = splat(t[b])
            for k in range(0, 64, 16):
                store(weight, k, tabulated(table, place + k, 192, x))
                store(weight_slope, k, tabulated_slope(table, place + k, 192, x))
            result = splat(np.float32(0))
            for side in range(2):
                row = (r + TILE * side) * 128
                core, gate = _norm(z, row, vectors)
                at = np.int64(i[b] if side == 0 else j[b]) * 64
                _gate_backward(z, row, core, gate, vectors, upstream, at, weight, g)
                for k in range(0, 64, 16):
                    result = result + load(g, 128 + k) * load(weight_slope, k)
            slope[b] += np.float64(total(result)) / step
        _second(z, transposed, u)
        for r in range(count):
            b = b0 + r
            at_i, at_j = np.int64(i[b]) * 256, np.int64(j[b]) * 256
            s = np.int64(short[b]) * 128
            place = np.int64(knot[b]) * 1152
            x = splat(t[b])
            row_i, row_j = r * 128, (TILE + r) * 128
            result = splat(np.float32(0))
            for k in range(0, 128, 16):
                to_i = load(u, row_i + k) * load(du, row_i + k)
                to_j = load(u, row_j + k) * load(du, row_j + k)
                store(atom_gradient, at_i + k, load(atom_gradient, at_i + k) + to_i)
                store(atom_gradient, at_j + 128 + k, load(atom_gradient, at_j + 128 + k) + to_i)
                store(atom_gradient, at_j + k, load(atom_gradient, at_j + k) + to_j)
                store(atom_gradient, at_i + 128 + k, load(atom_gradient, at_i + 128 + k) + to_j)
                both = to_i + to_j
                if s >= 0:
                    store(bond_gradient, s + k, both)
                else:
                    result = result + both * tabulated_slope(table, place + k, 192, x)
            if s < 0:
                slope[b] += np.float64(total(result)) / step
