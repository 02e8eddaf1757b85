"""Columns of decimal numbers as text, many at a time."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from amorph.machine.processors import available_processors

FILL: Final = 9999.0
"""What text formats hold at points without a value (NaN), which they cannot express."""


def write_lines(
    file: BinaryIO, blocks: Iterable[NDArray[np.floating[Any]]], per_line: int = 6, *, fill: float = FILL
) -> None:
    """Write blocks of rows one after the other; a few at a time are made, in threads.

    Each row becomes lines of at most `per_line` numbers in the format ``%13.5E``. Magnitudes below 1e-99 become zero,
    and NaN becomes `fill`.

    Raises
    ------
    ValueError
        A number is not finite, or has an exponent of three digits.
    """
    threads = available_processors()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[NDArray[np.uint8]]] = deque()
        for block in blocks:
            waiting.append(pool.submit(_lines, block, per_line, fill))
            if len(waiting) > threads:
                file.write(waiting.popleft().result().data)
        for text in waiting:
            file.write(text.result().data)


def _lines(rows: NDArray[np.floating[Any]], per_line: int, fill: float) -> NDArray[np.uint8]:
    from amorph.export.fields._text import WIDTH, write_numbers

    rows = np.ascontiguousarray(rows, dtype=rows.dtype if rows.dtype in (np.float32, np.float64) else np.float64)
    n_rows, n_columns = rows.shape
    length = n_rows * (n_columns * WIDTH + -(-n_columns // per_line))
    words = np.empty(-(-length // 8), dtype="<u8")
    if not write_numbers(rows, fill, per_line, words):
        raise ValueError("a number is not finite or above 1e100, and does not fit a text file of scalar fields")
    return words.view(np.uint8)[:length]
