"""Compiled kernel that writes numbers as decimal text.

Bytes are gathered in words of eight, the first byte lowest: storing each by itself takes several times as long.
"""

from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

WIDTH = 13
"""Bytes of a number: ``%13.5E``."""

_MOST = 99
"""Largest exponent of two digits, either way."""
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(-_MOST - 1, _MOST + 2)])
"""Powers of ten from 1e-100 to 1e100, correctly rounded."""
_SCALES = 10.0 ** (5 - np.arange(-_MOST - 1, _MOST + 2, dtype=np.float64))
"""What makes a number of this exponent a whole number of six digits."""
_WHOLE = 2.0**52
"""Adding it rounds to whole numbers, ties to even, and leaves them in the low bits."""


def _packed(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int.from_bytes(text.encode(), "little") for text in texts], dtype=np.uint64)


_THREE = _packed(f"{number:03d}" for number in range(1000))
_EXPONENTS = _packed(f"{exponent:+03d}" for exponent in range(-_MOST - 1, _MOST + 2))


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _shape(value):  # type: ignore[no-untyped-def]
    """Give the six digits of a positive number, and 100 more than its exponent."""
    binary = (np.float64(value).view(np.int64) >> 52) - 1023
    place = ((binary * 315653) >> 20) + _MOST + 1  # log10(2) times it: the exponent or one less
    if value >= _POWERS[place + 1]:
        place += 1
    digits = np.float64(value * _SCALES[place] + _WHOLE).view(np.int64) & 0xFFFFFFFFFFFFF
    if digits >= 1000000:  # 9.999996 rounds up to 10.00000
        return digits // 10, place + 1
    return digits, place


@njit(cache=True, nogil=True, error_model="numpy")
def write_numbers(values, fill, per_line, words):  # type: ignore[no-untyped-def]
    """Write rows of numbers as text, a line feed after each row and, within it, after every `per_line` numbers.

    NaN becomes `fill`, magnitudes below 1e-99 zero. Returns False at the first number that does not fit: infinite, of
    1e100 or above, or NaN where `fill` is NaN.
    """
    at = 0
    waiting = np.uint64(0)
    bits = 0
    for row in range(values.shape[0]):
        in_line = 0
        for column in range(values.shape[1]):
            value = np.float64(values[row, column])
            if np.isnan(value):
                value = fill
            magnitude = abs(value)
            if not magnitude < 1e100:
                return False
            digits = 0
            place = _MOST + 1
            if magnitude >= 1e-99:
                digits, place = _shape(magnitude)
                if place > 2 * _MOST + 1:
                    return False
            thousands = digits // 1000
            high = _THREE[thousands]
            low = _THREE[digits - 1000 * thousands]
            # blank, sign, first digit, point; then d2 d3 d4 d5
            first = np.uint64(0x2E002D20 if value < 0 else 0x2E002020) | ((high & np.uint64(0xFF)) << np.uint64(16))
            first |= ((high >> np.uint64(8)) << np.uint64(32)) | (low << np.uint64(48))
            last = (low >> np.uint64(16)) | np.uint64(0x4500) | (_EXPONENTS[place] << np.uint64(16))
            length = 40
            in_line += 1
            if in_line == per_line or column + 1 == values.shape[1]:
                last |= np.uint64(10) << np.uint64(40)
                length = 48
                in_line = 0
            words[at] = waiting | (first << np.uint64(bits))
            at += 1
            waiting = first >> np.uint64(64 - bits) if bits else np.uint64(0)
            waiting |= last << np.uint64(bits)
            bits += length
            if bits >= 64:
                words[at] = waiting
                at += 1
                bits -= 64
                waiting = last >> np.uint64(length - bits)
    if bits:
        words[at] = waiting
    return True
