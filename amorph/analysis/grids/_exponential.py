"""Powers of two in double and single precision, which the compiler can vectorise."""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_ROUND = 6755399441055744.0
"""1.5·2^52: adding it leaves the nearest integer in the low bits of a float64."""
_ROUND_SINGLE = np.float32(12582912.0)
"""1.5·2^23, the same for a float32."""
_SINGLE = (
    np.float32(0.0001546144469856913),
    np.float32(0.0013400428177615838),
    np.float32(0.009618056678524637),
    np.float32(0.05550327226670302),
    np.float32(0.24022650922288757),
    np.float32(0.6931472067028326),
    np.float32(1.0),
)
"""Coefficients of 2^f on [-1/2, 1/2], the highest power first."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _exp2(x):  # type: ignore[no-untyped-def]
    # 2^f on [-1/2, 1/2]: the polynomial through the 12 Chebyshev nodes, relative error 4.2e-18 before rounding
    shifted = x + _ROUND
    f = x - (shifted - _ROUND)
    p = 4.4558179083360645e-10
    p = p * f + 7.074194297288521e-09
    p = p * f + 1.0178057087733941e-07
    p = p * f + 1.3215432535912375e-06
    p = p * f + 1.5252733841556773e-05
    p = p * f + 0.00015403530463724353
    p = p * f + 0.001333355814640647
    p = p * f + 0.009618129107587256
    p = p * f + 0.055504108664821625
    p = p * f + 0.24022650695910158
    p = p * f + 0.6931471805599453
    p = p * f + 1.0
    return np.int64(np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _exp2_short(x):  # type: ignore[no-untyped-def]
    # the same for sums of such terms, which take as long as its products: degree 9, relative error 2.1e-14. Of the ten
    # nodes two are at 0, where value and slope are exact; the others make the error largest at equal heights
    shifted = x + _ROUND
    f = x - (shifted - _ROUND)
    p = 1.0205206963819793e-07
    p = p * f + 1.3258536409239982e-06
    p = p * f + 1.5252676815218637e-05
    p = p * f + 0.00015403439927443537
    p = p * f + 0.0013333558193612434
    p = p * f + 0.009618129182532267
    p = p * f + 0.05550410866470016
    p = p * f + 0.24022650695717318
    p = p * f + 0.6931471805599453
    p = p * f + 1.0
    return np.int64(np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _exp2_single(x):  # type: ignore[no-untyped-def]
    # the same in float32: the polynomial through 7 nodes, relative error 1.9e-9 before rounding
    shifted = np.float32(x + _ROUND_SINGLE)
    f = np.float32(x - np.float32(shifted - _ROUND_SINGLE))
    p = _SINGLE[0]
    p = np.float32(p * f + _SINGLE[1])
    p = np.float32(p * f + _SINGLE[2])
    p = np.float32(p * f + _SINGLE[3])
    p = np.float32(p * f + _SINGLE[4])
    p = np.float32(p * f + _SINGLE[5])
    p = np.float32(p * f + _SINGLE[6])
    return np.int32(p.view(np.int32) + np.int32(shifted.view(np.int32) << np.int32(23))).view(np.float32)


def power_of_two(x: Any) -> Any:
    """Two to the power of a number, |x| < 1000 in float64 and 126 in float32; in a kernel by its own polynomial."""
    return 2.0**x


@overload(power_of_two, inline="always")
def _power_of_two(x):  # type: ignore[no-untyped-def]
    def in_single(x):  # type: ignore[no-untyped-def]
        return _exp2_single(x)

    def in_double(x):  # type: ignore[no-untyped-def]
        return _exp2_short(x)

    return in_single if x == types.float32 else in_double
