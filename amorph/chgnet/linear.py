"""Products of features with matrices, for atoms and short bonds."""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import numpy as np
from numba import njit

from amorph.chgnet.simd import load, product, store


@njit(cache=True, nogil=True)
def linear(first, last, x, inputs, weights, bias, outputs, y, add, scratch):
    """Compute rows `first` to `last` of y = x W + b, or add x W to y.

    `x`, `weights`, `bias` and `y` are flat; x and y have room for rows up to the next multiple of 6. Each row's result
    does not depend on the others'.
    """
    # A block of 64 columns stays in the first cache while all rows pass.
    for column in range(0, outputs, 64):
        for row in range(first, last, 6):
            product(x, row * inputs, inputs, weights, column, outputs, inputs, scratch, 0, 64)
            for r in range(6):
                target = (row + r) * outputs + column
                for k in range(0, 64, 16):
                    value = load(scratch, r * 64 + k)
                    value = value + load(y, target + k) if add else value + load(bias, column + k)
                    store(y, target + k, value)


@njit(cache=True, nogil=True)
def add_parts(parts, size, total):
    """Add the private sums of all chunks of work, in their order."""
    for k in range(0, size, 16):
        value = load(parts, k)
        for part in range(1, parts.size // size):
            value = value + load(parts, part * size + k)
        store(total, k, value)


@njit(cache=True, nogil=True)
def add_ends(values, width, ends, total):
    """Add what the two directed edges of each short bond hold."""
    for s in range(ends.shape[0]):
        a, b = np.int64(ends[s, 0]) * width, np.int64(ends[s, 1]) * width
        for k in range(0, width, 16):
            store(total, s * width + k, load(values, a + k) + load(values, b + k))
