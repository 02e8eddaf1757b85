"""The second layer of the gated MLPs, forward and back, a tile of rows at a time.

Notation of one row: h the first layer's output (core | gate), u = silu(h), z = u W + b the centered second layer,
n = z / rms(z), y = n · scale + shift, φ = silu(y_core) · σ(y_gate). W and Wᵀ are `weights` and `transposed` of a
:class:`amorph.chgnet.folding.GatedOutput`; b, scale and shift are its `vectors`, 128 of each, core | gate.
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

from typing import NamedTuple

from numba import njit

from amorph.chgnet.cpu.simd import MEAN, load, normed_product, product, splat, store, total
from amorph.chgnet.folding import Array


class Kept(NamedTuple):
    """What the way forward leaves for the way back; all empty where that computes it again, to the same bits."""

    n: Array
    """(rows, 128)"""
    slope: Array
    """(rows, 128) silu'(h)."""
    inverses: Array
    """(rows, 2) 1 / rms(z) of core and gate."""


@njit(cache=True, nogil=True)
def keep_inverses(first, count, rows, inverses, kept):
    """Keep 1 / rms of the first `count` rows of a tile of `rows` as those from row `first` on."""
    for row in range(count):
        place = 2 * (first + row)
        kept.inverses[place], kept.inverses[place + 1] = inverses[row], inverses[rows + 16 + row]


@njit(cache=True, nogil=True)
def kept_inverses(first, count, rows, kept, inverses):
    """Bring them back to where `second_forward` writes them."""
    for row in range(count):
        place = 2 * (first + row)
        inverses[row], inverses[rows + 16 + row] = kept.inverses[place], kept.inverses[place + 1]


@njit(cache=True, nogil=True)
def second_forward(rows, u, second, n, inverses):
    """Apply the second layers of core and gate and their norms: n = z / rms(z), and 1 / rms(z) of each row."""
    weights, bias = second.weights, second.vectors
    for side in range(2):
        for row in range(0, rows, 6):
            at = row * 128 + side * 64
            normed_product(
                u, at, 128, weights, side * 4096, 64, bias, side * 64, 0, n, at, 128, inverses, side * (rows + 16) + row
            )


@njit(cache=True, nogil=True)
def second_backward(rows, gradient, second, zeros, target):
    """Multiply gradients of core and gate with the transposed matrices of the second layer."""
    for side in range(2):
        for row in range(0, rows, 6):
            at = row * 128 + side * 64
            product(gradient, at, 128, second.transposed, side * 4096, 64, 64, zeros, 0, 0, target, at, 128)


@njit(cache=True, nogil=True)
def through_norm(d, row, n, at, core, gate, along_core, along_gate):
    """Go back through the norms of one row: d becomes dE/dz = (dE/dn − n mean(n · dE/dn)) / rms(z).

    `row` and `at` are the places of the row in d and in n; `core` and `gate` are 1 / rms; `along_...` the lanes whose
    sum is that of n · dE/dn.
    """
    mean_core, mean_gate = splat(total(along_core) * MEAN), splat(total(along_gate) * MEAN)
    for k in range(0, 64, 16):
        store(d, row + k, (load(d, row + k) - load(n, at + k) * mean_core) * core)
        store(d, row + 64 + k, (load(d, row + 64 + k) - load(n, at + 64 + k) * mean_gate) * gate)
