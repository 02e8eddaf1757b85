"""Products of features with matrices, and sums of them, for atoms and short bonds: rows `first` to `last` of each."""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import numpy as np
from numba import njit

from amorph.chgnet.cpu.simd import load, product, store, zero


@njit(cache=True, nogil=True)
def linear(first, last, x, inputs, weights, bias, outputs, y, add, scratch):
    """Compute rows `first` to `last` of y = x W + b, or add x W to y.

    `x`, `weights`, `bias` and `y` are flat; x and y have room for rows up to the next multiple of 6. Each row's result
    does not depend on the others'.
    """
    # A block of 64 columns stays in the first cache while all rows pass.
    for column in range(0, outputs, 64):
        for row in range(first, last, 6):
            target = row * outputs + column
            if add:
                product(
                    x, row * inputs, inputs, weights, column, outputs, inputs, y, target, outputs, y, target, outputs
                )
            else:
                product(x, row * inputs, inputs, weights, column, outputs, inputs, bias, column, 0, y, target, outputs)


@njit(cache=True, nogil=True)
def add_parts(first, last, parts, size, total, scratch):
    """Add the private sums of all chunks of work, in their order, over vectors of 16 from `first` to `last`."""
    for k in range(first * 16, last * 16, 16):
        value = load(parts, k)
        for part in range(1, parts.size // size):
            value = value + load(parts, part * size + k)
        store(total, k, value)


@njit(cache=True, nogil=True)
def add_ends(first, last, values, width, ends, total, scratch):
    """Add what the two directed edges of each short bond hold."""
    for s in range(first, last):
        a, b = np.int64(ends[s, 0]) * width, np.int64(ends[s, 1]) * width
        for k in range(0, width, 16):
            store(total, s * width + k, load(values, a + k) + load(values, b + k))


@njit(cache=True, nogil=True)
def add_edges(first, last, values, edge_start, total, scratch):
    """Add the first 128 of the 256 columns of all directed edges of each center."""
    for center in range(first, last):
        for k in range(0, 128, 16):
            value = zero(values)
            for e in range(edge_start[center], edge_start[center + 1]):
                value = value + load(values, np.int64(e) * 256 + k)
            store(total, center * 128 + k, value)


@njit(cache=True, nogil=True)
def weigh(first, last, sums, ends, weights, plain, messages, scratch):
    """Add the sums of the two directed edges of each short bond, and multiply them with the bond's weights."""
    for s in range(first, last):
        a, b = np.int64(ends[s, 0]) * 64, np.int64(ends[s, 1]) * 64
        for k in range(0, 64, 16):
            value = load(sums, a + k) + load(sums, b + k)
            store(plain, s * 64 + k, value)
            store(messages, s * 64 + k, value * load(weights, s * 64 + k))


@njit(cache=True, nogil=True)
def weigh_backward(first, last, plain, ends, weights, upstream, weight_gradient, scratch):
    """Add dE/dw of `weigh` to the first directed edge of each short bond; `upstream` becomes dE/d(sums)."""
    for s in range(first, last):
        at = np.int64(ends[s, 0]) * 64
        for k in range(0, 64, 16):
            up = load(upstream, s * 64 + k)
            store(weight_gradient, at + k, load(weight_gradient, at + k) + up * load(plain, s * 64 + k))
            store(upstream, s * 64 + k, up * load(weights, s * 64 + k))
