"""Atom convolution: a_i += L Σ_j φ(a_i, e_ij, a_j) · w_ij, forward and backward.

A tile holds 24 bonds, each as two rows: the message to i from j, and to j from i. Sums over the bonds of an atom go to
a buffer that belongs to the chunk of bonds alone.

Notation of one row as in `gated`; the message is m = φ · w. Deng et al. (2023), doi:10.1038/s42256-023-00716-3:

| equation | here |
|---|---|
| h = W₁ (a_i, e_ij, a_j) + b₁ | `atoms` (a_i as center, then as neighbor) + `bonds`, or `table` for long bonds |
| φ(a_i, e_ij, a_j) | `second` of u = silu(h), gated |
| w_ij | `table`, last 64 of 192 channels |
| Σ_j φ · w_ij | `sums`; atom convolution 0 reads the whole φ · w_ij from `Elements.table` |
| dE/d(Σ_j φ · w_ij), dE/dd_ij | `upstream`, `slope` |
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from amorph.chgnet.cpu.gated import keep_inverses, kept_inverses, second_backward, second_forward, through_norm
from amorph.chgnet.cpu.simd import ONE, load, logistic, splat, store, stream, tabulated, tabulated_slope, total, zero
from amorph.chgnet.folding import Array

TILE = 24
_ROWS = 2 * TILE
_FULL = _ROWS * 128
_INVERSES = _ROWS + 16
SCRATCH = 3 * _FULL + 2 * _INVERSES + 128
"""Elements of working memory that one tile needs."""

REFINED = 360
"""Intervals of the radial tables, the first ones, that the tables of messages cut finer: 0.5 to 1.25 Å."""
REFINEMENT = 4
"""Parts that each of them is cut into."""
COARSENING = 6
"""Intervals that the tables of the first layers take as one: they are smooth, and have to stay in the second cache."""


class Bonds(NamedTuple):
    """The atom graph."""

    i: NDArray[np.int32]
    """First atom of each bond."""
    j: NDArray[np.int32]
    """Second atom of each bond."""
    short: NDArray[np.int32]
    """Number of each bond in the bond graph; −1 where its part is read from the table."""
    knot: NDArray[np.int32]
    """Interval of the radial tables."""
    t: Array
    """Place in the interval."""


class Elements(NamedTuple):
    """The messages of atom convolution 0."""

    kind: NDArray[np.int32]
    """Each atom's number among the elements."""
    kinds: int
    """Number of elements."""
    table: Array
    """Messages to each element from each other one."""


class FirstLayer(NamedTuple):
    """Products of the first layer with what it acts on."""

    atoms: Array
    """(atoms, 256) parts of the center and of the neighbor."""
    bonds: Array
    """(short bonds, 128) part of the bond."""
    table: Array
    """The bond's part (128 channels) and w (64)."""


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
def _coarse(knot, t):
    """Find the row of the tables of first layers and weights (6 · 192 coefficients each), and the place in it."""
    interval = np.int64(knot) // COARSENING
    return interval * 1152, (np.float32(np.int64(knot) - interval * COARSENING) + t) / np.float32(COARSENING)


@njit(cache=True, nogil=True)
def first_forward(first, last, g, elements, sums, scratch):
    """Sum the messages of atom convolution 0, which are functions of two elements and a length."""
    i, j, _, knot, t = g
    kind, kinds, table = elements
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
def first_backward(first, last, g, elements, step, upstream, slope, scratch):
    """Add dE/dd of atom convolution 0, given dE/d(sum of messages)."""
    i, j, _, knot, t = g
    kind, kinds, table = elements
    size = table.size // (kinds * kinds)
    for b in range(first, last):
        zi, zj = np.int64(kind[i[b]]), np.int64(kind[j[b]])
        interval, part, finer = _refined(knot[b], t[b])
        place, x = interval * 384, splat(part)
        to_i, to_j = (zi * kinds + zj) * size + place, (zj * kinds + zi) * size + place
        at_i, at_j = np.int64(i[b]) * 64, np.int64(j[b]) * 64
        result = zero(upstream)
        for k in range(0, 64, 16):
            result = result + load(upstream, at_i + k) * tabulated_slope(table, to_i + k, 64, x)
            result = result + load(upstream, at_j + k) * tabulated_slope(table, to_j + k, 64, x)
        slope[b] += np.float64(total(result)) * finer / step


@njit(cache=True, nogil=True)
def _hidden(first, count, g, layer, u, du, kept):
    """Compute u = silu(h) of a tile, and silu'(h): to where it is kept, or to du."""
    keeps = kept.slope.size > 0
    i, j, short, knot, t = g
    atoms, bonds, table = layer
    for r in range(count):
        b = first + r
        at_i, at_j = np.int64(i[b]) * 256, np.int64(j[b]) * 256
        s = np.int64(short[b]) * 128
        place, part = _coarse(knot[b], t[b])
        x = splat(part)
        for k in range(0, 128, 16):
            own = load(bonds, s + k) if s >= 0 else tabulated(table, place + k, 192, x)
            h_i = own + load(atoms, at_i + k) + load(atoms, at_j + 128 + k)
            h_j = own + load(atoms, at_j + k) + load(atoms, at_i + 128 + k)
            s_i, s_j = logistic(h_i), logistic(h_j)
            to_i, to_j = 2 * r * 128 + k, (2 * r + 1) * 128 + k
            u_i, u_j = h_i * s_i, h_j * s_j
            store(u, to_i, u_i)
            store(u, to_j, u_j)
            # silu' = σ + h σ (1 − σ)
            slope_i, slope_j = s_i + u_i * (ONE - s_i), s_j + u_j * (ONE - s_j)
            if keeps:
                stream(kept.slope, 2 * first * 128 + to_i, slope_i)
                stream(kept.slope, 2 * first * 128 + to_j, slope_j)
            else:
                store(du, to_i, slope_i)
                store(du, to_j, slope_j)


@njit(cache=True, nogil=True)
def forward(first, last, g, layer, second, sums, kept, scratch):
    """Sum the messages of atom convolution 1, 2 or 3 (or 0, for many elements) over a chunk of bonds."""
    i, j, _, knot, t = g
    table, vectors = layer.table, second.vectors
    u, n, du = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    inverses, keeps = scratch[3 * _FULL :], kept.n.size > 0
    for b0 in range(first, last, TILE):
        count = min(TILE, last - b0)
        _hidden(b0, count, g, layer, u, du, kept)
        second_forward(_ROWS, u, second, n, inverses)
        if keeps:
            keep_inverses(2 * b0, 2 * count, _ROWS, inverses, kept)
        for r in range(count):
            b = b0 + r
            place, part = _coarse(knot[b], t[b])
            x = splat(part)
            row_i, row_j = 2 * r * 128, (2 * r + 1) * 128
            at_i, at_j, tile = np.int64(i[b]) * 64, np.int64(j[b]) * 64, 2 * np.int64(b0) * 128
            for k in range(0, 64, 16):
                w = tabulated(table, place + 128 + k, 192, x)
                scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
                shift_c, shift_g = load(vectors, 256 + k), load(vectors, 320 + k)
                n_ci, n_gi = load(n, row_i + k), load(n, row_i + 64 + k)
                n_cj, n_gj = load(n, row_j + k), load(n, row_j + 64 + k)
                if keeps:
                    stream(kept.n, tile + row_i + k, n_ci)
                    stream(kept.n, tile + row_i + 64 + k, n_gi)
                    stream(kept.n, tile + row_j + k, n_cj)
                    stream(kept.n, tile + row_j + 64 + k, n_gj)
                c_i, g_i = n_ci * scale_c + shift_c, n_gi * scale_g + shift_g
                c_j, g_j = n_cj * scale_c + shift_c, n_gj * scale_g + shift_g
                store(sums, at_i + k, load(sums, at_i + k) + c_i * logistic(c_i) * logistic(g_i) * w)
                store(sums, at_j + k, load(sums, at_j + k) + c_j * logistic(c_j) * logistic(g_j) * w)


@njit(cache=True, nogil=True)
def backward(first, last, g, layer, second, step, upstream, slope, atom_gradient, bond_gradient, kept, scratch):
    """Go back through the messages of a chunk of bonds, given dE/d(sum of messages).

    Adds dE/dd to `slope`, the gradient of the first layer's atom part (center | neighbor) to `atom_gradient`; writes
    that of its bond part to `bond_gradient` for short bonds, whose features are not a function of the length alone.
    """
    i, j, short, knot, t = g
    table, vectors = layer.table, second.vectors
    u, n, du = scratch[:_FULL], scratch[_FULL : 2 * _FULL], scratch[2 * _FULL : 3 * _FULL]
    inverses, zeros = scratch[3 * _FULL : 3 * _FULL + 2 * _INVERSES], scratch[-64:]
    zeros[:] = 0
    keeps = kept.n.size > 0
    n_from, du_from = (kept.n, kept.slope) if keeps else (n, du)
    for b0 in range(first, last, TILE):
        count = min(TILE, last - b0)
        tile = 2 * np.int64(b0) * 128 if keeps else 0
        if keeps:
            kept_inverses(2 * b0, 2 * count, _ROWS, kept, inverses)
        else:
            _hidden(b0, count, g, layer, u, du, kept)
            second_forward(_ROWS, u, second, n, inverses)
        for r in range(count):
            b = b0 + r
            place, part = _coarse(knot[b], t[b])
            x = splat(part)
            result = zero(n)
            for side in range(2):
                line = 2 * r + side
                row, at = line * 128, np.int64(i[b] if side == 0 else j[b]) * 64
                along_c, along_g = zero(n), zero(n)
                for k in range(0, 64, 16):
                    n_c, n_g = load(n_from, tile + row + k), load(n_from, tile + row + 64 + k)
                    scale_c, scale_g = load(vectors, 128 + k), load(vectors, 192 + k)
                    y_c, y_g = n_c * scale_c + load(vectors, 256 + k), n_g * scale_g + load(vectors, 320 + k)
                    s_c, s_g = logistic(y_c), logistic(y_g)
                    active = y_c * s_c
                    up = load(upstream, at + k) * s_g
                    result = result + up * active * tabulated_slope(table, place + 128 + k, 192, x)
                    up = up * tabulated(table, place + 128 + k, 192, x)
                    d_c = up * (s_c + active * (ONE - s_c)) * scale_c
                    d_g = up * active * (ONE - s_g) * scale_g
                    store(u, row + k, d_c)
                    store(u, row + 64 + k, d_g)
                    along_c, along_g = along_c + d_c * n_c, along_g + d_g * n_g
                core, gate = inverses[line], inverses[_INVERSES + line]
                through_norm(u, row, n_from, tile + row, core, gate, along_c, along_g)
            slope[b] += np.float64(total(result)) / step
        second_backward(_ROWS, u, second, zeros, n)
        for r in range(count):
            b = b0 + r
            at_i, at_j = np.int64(i[b]) * 256, np.int64(j[b]) * 256
            s = np.int64(short[b]) * 128
            place, part = _coarse(knot[b], t[b])
            x = splat(part)
            row_i, row_j = 2 * r * 128, (2 * r + 1) * 128
            result = zero(n)
            for k in range(0, 128, 16):
                to_i = load(n, row_i + k) * load(du_from, tile + row_i + k)
                to_j = load(n, row_j + k) * load(du_from, tile + row_j + k)
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
