"""The matrix product of the kernels, against numpy and against itself on processors with other registers."""

import numpy as np
import pytest
from numba import njit
from numba.np.numpy_support import from_dtype

from amorph.chgnet.cpu import simd


def product(precision):
    """Return 6 × 64 elements d + a b by a kernel compiled now, and what they are made of."""

    @njit
    def multiply(a, b, d, c):
        simd.product(a, 0, 40, b, 0, 64, 40, d, 0, 0, c, 0, 64)

    rng = np.random.default_rng(0)
    a, b, d = (rng.normal(size=shape).astype(precision) for shape in ((6, 40), (40, 64), (64,)))
    c = np.empty(6 * 64, precision)
    multiply(a.ravel(), b.ravel(), d, c)
    return c.reshape(6, 64), a, b, d


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_product_has_the_same_bits_whatever_the_registers(precision, monkeypatch):
    results, shapes = [], set()
    for registers in ((32, 64), (16, 32), (32, 16), (16, 16)):
        monkeypatch.setattr(simd, "vector_registers", lambda registers=registers: registers)
        shapes.add(simd._sums_in_registers(simd._vector_of(from_dtype(np.dtype(precision)))))
        results.append(product(precision)[0])
    assert len(shapes) > 2
    assert all(np.array_equal(result, results[0]) for result in results)
    c, a, b, d = product(precision)
    exact = a.astype(float) @ b.astype(float) + d
    assert np.abs(c - exact).max() < 100 * np.finfo(precision).eps
