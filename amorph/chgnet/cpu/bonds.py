"""Features of the bonds of the bond graph: functions of their length, and the way back."""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import numpy as np
from numba import njit

from amorph.chgnet.cpu.simd import load, splat, store, tabulated, tabulated_slope, total, zero


@njit(cache=True, nogil=True)
def embed(bond, knot, t, table, features, weights):
    """Compute e_ij and w_ij of each short bond, (short bonds, 64) each."""
    for s in range(bond.size):
        place = np.int64(knot[bond[s]]) * 768
        x = splat(t[bond[s]])
        for k in range(0, 128, 16):
            p = place + k
            f = tabulated(table, p, 128, x)
            if k < 64:
                store(features, s * 64 + k, f)
            else:
                store(weights, s * 64 + k - 64, f)


@njit(cache=True, nogil=True)
def embed_backward(bond, knot, t, table, step, ends, feature_gradient, weight_gradient, slope):
    """Add dE/dd, given dE/de per short bond and dE/dw per directed edge."""
    for s in range(bond.size):
        place = np.int64(knot[bond[s]]) * 768
        x = splat(t[bond[s]])
        first, second = np.int64(ends[s, 0]) * 64, np.int64(ends[s, 1]) * 64
        result = zero(table)
        for k in range(0, 64, 16):
            result = result + load(feature_gradient, s * 64 + k) * tabulated_slope(table, place + k, 128, x)
            g = load(weight_gradient, first + k) + load(weight_gradient, second + k)
            result = result + g * tabulated_slope(table, place + 64 + k, 128, x)
        slope[bond[s]] += np.float64(total(result)) / step
