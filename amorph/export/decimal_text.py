"""Columns of decimal numbers as text, many at a time."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 13
"""Characters per number: ``%13.5E``, as in " -1.23456E+01"."""


def scientific_lines(rows: NDArray[np.floating[Any]], per_line: int = 6) -> bytes:
    r"""Write each row of numbers as lines of at most `per_line` numbers in the format ``%13.5E``.

    Magnitudes below 1e-99 become zero.

    Raises
    ------
    ValueError
        A number is not finite, or has an exponent of three digits.

    >>> scientific_lines(np.array([[1.0, -0.5, 3e20]]), per_line=2)
    b'  1.00000E+00 -5.00000E-01\n  3.00000E+20\n'
    """
    n_rows, n_columns = rows.shape
    column = np.arange(n_columns)
    starts = column * WIDTH + column // per_line  # one line feed after every full line before
    text = np.full((n_rows, n_columns * WIDTH + -(-n_columns // per_line)), ord("\n"), dtype=np.uint8)
    text[:, (starts[:, None] + np.arange(WIDTH)).ravel()] = _scientific(rows).reshape(n_rows, -1)
    return text.tobytes()


def _scientific(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Give each number as 13 characters."""
    magnitude = np.abs(values, dtype=np.float64)
    if not magnitude.max(initial=0.0) < 9.999995e99:
        raise ValueError("a number is not finite or above 1e100, and does not fit a text file of scalar fields")
    magnitude[magnitude < 1e-99] = 0.0
    exponent = np.floor(np.log10(magnitude, out=np.zeros_like(magnitude), where=magnitude > 0)).astype(np.int32)
    mantissa = np.rint(magnitude * 10.0 ** (5 - exponent)).astype(np.int32)
    carry = mantissa == 1_000_000  # 9.999996 rounds up to 10.00000
    mantissa[carry] = 100_000
    exponent[carry] += 1
    text = np.empty((*values.shape, WIDTH), dtype=np.uint8)
    text[..., 0] = ord(" ")
    text[..., 1] = np.where(values < 0, ord("-"), ord(" "))
    text[..., 3] = ord(".")
    for place in (8, 7, 6, 5, 4, 2):
        rest = mantissa // 10
        text[..., place] = mantissa - 10 * rest + ord("0")
        mantissa = rest
    text[..., 9] = ord("E")
    text[..., 10] = np.where(exponent < 0, ord("-"), ord("+"))
    tens, ones = np.divmod(np.abs(exponent), 10)
    text[..., 11] = tens + ord("0")
    text[..., 12] = ones + ord("0")
    return text
