"""Where the network works: its threads, their working memory, and the buffers that stay between steps."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amorph.chgnet.cpu.linear import linear
from amorph.chgnet.cpu.workspace import Workspace, whole_rows
from amorph.chgnet.folding import Array
from amorph.machine.wide_vectors import aligned

_SERIAL = 10_000_000
"""Multiplications below which a second thread costs more than it saves."""

_SERIAL_ROWS = 2_000
"""The same of rows that are only added."""


class Bench:
    """Threads, scratch memory and buffers of one engine.

    Work is cut into as many chunks as there are threads, also where they are worked off one after the other, so that
    results are the same to the last bit.
    """

    def __init__(self, threads: int, scratch: int, dtype: Any, *, serial: bool = False) -> None:
        self.threads = threads
        self.space, self.kept = Workspace(dtype), Workspace(dtype)
        self._pool = None if serial or threads == 1 else ThreadPoolExecutor(threads)
        self._process = os.getpid()
        self._scratch = [aligned(scratch, dtype) for _ in range(1 if self._pool is None else threads)]

    @property
    def serial(self) -> bool:
        """Whether chunks are worked off one after the other."""
        return self._pool is None

    def renew_after_fork(self) -> bool:
        """Start threads anew where a forked child has none of its parent's; tell whether that was so."""
        if self._process == os.getpid():
            return False
        self._process = os.getpid()
        self._pool = None if self._pool is None else ThreadPoolExecutor(self.threads)
        return True

    def run(self, kernel: Callable[..., None], chunks: list[tuple[Any, ...]]) -> None:
        """Run a kernel over chunks of work, each with its own scratch memory, in all threads."""
        if self._pool is None or len(chunks) == 1:
            for chunk in chunks:
                kernel(*chunk, self._scratch[0])
            return
        others = [
            self._pool.submit(kernel, *chunk, scratch)
            for chunk, scratch in zip(chunks[1:], self._scratch[1:], strict=True)
        ]
        kernel(*chunks[0], self._scratch[0])
        for other in others:
            other.result()

    def rows(self, kernel: Callable[..., None], count: int, *arguments: Any) -> None:
        """Run a kernel over `count` rows, none of which depends on another."""
        parts = self.threads if count > _SERIAL_ROWS else 1
        bounds = [count * part // parts for part in range(parts + 1)]
        self.run(kernel, [(a, b, *arguments) for a, b in itertools.pairwise(bounds)])

    def linear(self, x: Array, rows: int, weights: Array, bias: Array | None, y: Array, *, add: bool = False) -> None:
        """Compute y = x W + b, or add x W to y, over `rows` rows."""
        inputs, outputs = weights.shape
        flat = weights.ravel()
        shift = flat[:0] if bias is None else bias
        if bias is None and not add:
            shift = self.space.zeros("no bias", outputs)
        parts = self.threads if rows * inputs * outputs > _SERIAL else 1
        tiles = whole_rows(rows) // 6
        bounds = [6 * (tiles * part // parts) for part in range(parts + 1)]
        self.run(linear, [(a, b, x, inputs, flat, shift, outputs, y, add) for a, b in itertools.pairwise(bounds)])
