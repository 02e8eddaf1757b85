"""Compiled kernel that writes numbers as decimal text."""

import numpy as np
from numba import njit

from amorph.kernel_cache import provide_cache_folder

provide_cache_folder()

_LEAST, _MOST = -99, 99
"""Exponents that two digits hold."""
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(_LEAST - 1, _MOST + 2)])
"""Powers of ten from 1e-100 on, correctly rounded."""
_SCALES = 10.0 ** np.arange(-_MOST, 16 - _LEAST, dtype=np.float64)
"""Powers of ten that bring a number to a whole number of its digits."""
_LOG = 0.30102999566398120
"""log10(2)."""


@njit(cache=True, nogil=True, error_model="numpy")
def write_numbers(values, fill, digits, per_line, text):  # type: ignore[no-untyped-def]
    """Write rows of numbers to bytes, each with `digits` digits and right-aligned in `digits` + 7 bytes.

    NaN becomes `fill`, magnitudes below 1e-99 zero. A line feed ends each row and, within it, every `per_line` numbers.
    Returns False at the first number that does not fit: infinite, above 1e100, or NaN with a fill that is NaN.
    """
    largest = 9.999999999999999e99
    top = np.int64(1)
    for _ in range(digits):
        top *= 10
    at = 0
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            value = np.float64(values[row, column])
            if value != value:
                value = fill
            magnitude = abs(value)
            if not magnitude <= largest:
                return False
            mantissa = np.int64(0)
            exponent = 0
            if magnitude >= 1e-99:
                # within one of the exponent, from below
                binary = (np.int64(np.float64(magnitude).view(np.int64)) >> 52) - 1023
                exponent = np.int64(np.floor(binary * _LOG))
                if magnitude >= _POWERS[exponent + 1 - _LEAST + 1]:
                    exponent += 1
                mantissa = np.int64(np.rint(magnitude * _SCALES[digits - 1 - exponent + _MOST]))
                if mantissa >= top:  # 9.999996 rounds up to 10.00000
                    mantissa //= 10
                    exponent += 1
                    if exponent > _MOST:
                        return False
            text[at] = 32
            text[at + 1] = 45 if value < 0 else 32
            text[at + 3] = 46
            for place in range(digits + 2, 3, -1):
                rest = mantissa // 10
                text[at + place] = mantissa - 10 * rest + 48
                mantissa = rest
            text[at + 2] = mantissa + 48
            at += digits + 3
            text[at] = 69
            text[at + 1] = 45 if exponent < 0 else 43
            exponent = abs(exponent)
            tens = exponent // 10
            text[at + 2] = tens + 48
            text[at + 3] = exponent - 10 * tens + 48
            at += 4
            if (column + 1) % per_line == 0 and column + 1 < values.shape[1]:
                text[at] = 10
                at += 1
        text[at] = 10
        at += 1
    return True
