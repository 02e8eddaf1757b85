"""Energy of each atom: norm, three hidden layers, a sum over atoms; with the gradient of the atom features.

E_i = W₄ u₃ + b₄, u_l = silu(W_l u_{l−1} + b_l), u₀ = LN(a_i): `final` and `final_bias` are W₄ and b₄, `weights` and
`biases` W_l and b_l, `norm` the scale and shift of LN, `atoms` a, `gradient` dE/da.
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import numpy as np
from numba import njit

from amorph.chgnet.cpu.simd import EPSILON, MEAN, ONE, ROWS, load, logistic, product, splat, store, total, zero

SCRATCH = 7 * ROWS * 64


@njit(cache=True, nogil=True)
def readout(first, last, atoms, model, energies, gradient, scratch):
    """Compute the energy of each atom [eV, before the reference] and its gradient to the atom features.

    `atoms` and `gradient` are flat, with room for rows up to the next multiple of 6.
    """
    norm, weights, transposed, biases, final, final_bias = model
    size = ROWS * 64
    x, y, inverse = scratch[:size], scratch[size : 2 * size], np.empty(ROWS, atoms.dtype)
    slopes = scratch[2 * size : 5 * size]
    normed, zeros = scratch[5 * size : 6 * size], scratch[6 * size : 6 * size + 64]
    zeros[:] = 0
    for row in range(first, last, ROWS):
        for r in range(ROWS):
            mean, square = zero(atoms), zero(atoms)
            for k in range(0, 64, 16):
                mean = mean + load(atoms, (row + r) * 64 + k)
            average = splat(total(mean) * MEAN)
            for k in range(0, 64, 16):
                v = load(atoms, (row + r) * 64 + k) - average
                square = square + v * v
            inverse[r] = ONE / np.sqrt(total(square) * MEAN + EPSILON)
            for k in range(0, 64, 16):
                n = (load(atoms, (row + r) * 64 + k) - average) * inverse[r]
                store(normed, r * 64 + k, n)
                store(x, r * 64 + k, n * load(norm, k) + load(norm, 64 + k))
        for layer in range(3):
            product(x, 0, 64, weights, layer * 4096, 64, 64, biases, layer * 64, 0, y, 0, 64)
            for r in range(ROWS):
                for k in range(0, 64, 16):
                    h = load(y, r * 64 + k)
                    s = logistic(h)
                    u = h * s
                    store(x, r * 64 + k, u)
                    store(slopes, layer * size + r * 64 + k, s + u * (ONE - s))
        for r in range(min(ROWS, last - row)):
            result = zero(atoms)
            for k in range(0, 64, 16):
                result = result + load(x, r * 64 + k) * load(final, k)
            energies[row + r] = np.float64(total(result)) + final_bias
        for r in range(ROWS):
            for k in range(0, 64, 16):
                store(x, r * 64 + k, load(final, k))
        for layer in range(2, -1, -1):
            for k in range(0, size, 16):
                store(x, k, load(x, k) * load(slopes, layer * size + k))
            product(x, 0, 64, transposed, layer * 4096, 64, 64, zeros, 0, 0, y, 0, 64)
            for k in range(0, size, 16):
                store(x, k, load(y, k))
        # x = n scale + shift with n = (a − mean) / rms: dE/da = (dE/dn − mean(dE/dn) − n mean(n dE/dn)) / rms.
        for r in range(ROWS):
            mean, square = zero(atoms), zero(atoms)
            for k in range(0, 64, 16):
                g = load(x, r * 64 + k) * load(norm, k)
                mean = mean + g
                square = square + g * load(normed, r * 64 + k)
            average, along = splat(total(mean) * MEAN), splat(total(square) * MEAN)
            for k in range(0, 64, 16):
                g = load(x, r * 64 + k) * load(norm, k)
                store(gradient, (row + r) * 64 + k, (g - average - load(normed, r * 64 + k) * along) * inverse[r])
