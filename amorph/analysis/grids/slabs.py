"""Work on a grid, slab by slab, in all threads."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

from numpy.typing import NDArray

import amorph.progress
from amorph.machine.processors import available_processors
from amorph.parameters import Meaning
from amorph.progress import task_of

_FEW_POINTS: Final = 100_000
"""A grid of fewer points is not worth a second thread."""
_LONG: Final = 2.0
"""A map that takes longer shows its progress [s]."""

Task = Annotated[
    amorph.progress.Task | bool,
    Meaning(
        "Whether to show progress, or what shows it, ``Progress(visible=True).task``; by default, on a terminal and in "
        "a notebook, where it takes more than two seconds."
    ),
]
"""How a function is told to show its progress."""


def over_slabs(
    values: NDArray[Any],
    work: Callable[[int, NDArray[Any]], Any],
    threads: int | None,
    *,
    progress: Task | None = None,
    label: str = "",
) -> list[Any]:
    """Call `work` with every slab's first plane and its part of `values`, in threads; results in the slabs' order.

    Progress is shown where the first slabs let expect a long time.
    """
    from amorph.analysis.grids._walk import SLAB

    firsts = range(0, len(values), SLAB)
    slabs = [values[first : first + SLAB] for first in firsts]
    if threads is None:
        threads = available_processors()
    if min(threads, len(slabs)) == 1 or values.size < _FEW_POINTS:
        return _followed(map(work, firsts, slabs), len(slabs), progress, label)
    with ThreadPoolExecutor(threads) as pool:
        return _followed(pool.map(work, firsts, slabs), len(slabs), progress, label)


def _followed(results: Iterator[Any], total: int, progress: Task | None, label: str) -> list[Any]:
    kept = [next(results)]  # which may have waited for its kernel to compile
    begun = time.monotonic()
    for result in results:
        kept.append(result)
        left = total - len(kept)
        if (time.monotonic() - begun) / (len(kept) - 1) * left > _LONG:
            with task_of(progress)(label, total) as update:
                for later in results:
                    kept.append(later)
                    update(len(kept), "")
    return kept
