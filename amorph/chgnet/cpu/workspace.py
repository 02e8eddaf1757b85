"""Memory of the CPU engine: named buffers that stay between steps."""

from typing import Any

import numpy as np

from amorph.chgnet.cpu.simd import ROWS
from amorph.chgnet.folding import Array
from amorph.machine.wide_vectors import aligned


class Workspace:
    """Named buffers of one precision that only grow, and stay between steps."""

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self.itemsize = np.dtype(dtype).itemsize
        self._buffers: dict[str, Array] = {}

    def empty(self, name: str, count: int) -> Array:
        """Return `count` elements with any content."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < count:
            buffer = self._buffers[name] = aligned(int(count * 1.1) + 64, self._dtype)
        return buffer[:count]

    def clear(self) -> None:
        """Give all buffers back."""
        self._buffers.clear()

    def zeros(self, name: str, count: int) -> Array:
        """Return `count` zeros."""
        buffer = self.empty(name, count)
        buffer.fill(0)
        return buffer


def whole_rows(count: int) -> int:
    """Round up to whole tiles of a matrix product."""
    return -(-count // ROWS) * ROWS
