"""What every map on a grid needs: the number of points, the memory they take, bins of atoms, threads over slabs."""

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from amorph.fields import DEFAULT_SPACING, grid_points
from amorph.progress import Update

_BIN: Final = 3.0
"""Width of the bins that atoms are sorted into [Å]; only speed depends on it."""
_FEW_POINTS: Final = 100_000
"""A grid of fewer points is not worth a second thread."""
_LONG: Final = 3.0
"""A map that takes longer shows its progress [s]."""

Task = Callable[[str, int], AbstractContextManager[Update]]
"""What opens a display of progress for a label and a number of steps: :meth:`amorph.progress.Progress.task`."""


class Grid(NamedTuple):
    """Points of a grid over a cell, point (i, j, k) at x[i] + y[j] + z[k]."""

    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    heights: NDArray[np.float64]
    """(3,) distances between opposite faces of the cell [Å]."""
    x: NDArray[np.float64]
    """(nx, 3) steps along the first lattice vector [Å]."""
    y: NDArray[np.float64]
    """(ny, 3) steps along the second [Å]."""
    z: NDArray[np.float64]
    """(nz, 3) steps along the third [Å]."""


class Bins(NamedTuple):
    """Atoms sorted into bins of the cell, for a walk over periodic images."""

    cell: NDArray[np.float64]
    """(3, 3) the shortest lattice vectors that span the lattice [Å]: in a skewed cell the walk would not end."""
    inverse: NDArray[np.float64]
    """(3, 3) inverse of these [1/Å]."""
    heights: NDArray[np.float64]
    """(3,) distances between opposite faces of their cell [Å]."""
    shape: NDArray[np.int64]
    """(3,) bins along each of them."""
    starts: NDArray[np.int64]
    """First atom of each bin, and the end."""
    positions: NDArray[np.float64]
    """(3, n) positions inside the cell, in the order of the bins [Å]; further rows hold what goes with each atom."""


def resolve_points(
    cell: NDArray[np.float64], grid: tuple[int, int, int] | None, spacing: float | None, *, bytes_per_point: int = 8
) -> tuple[int, int, int]:
    """Settle the number of grid points, and refuse what memory cannot hold before anything is allocated.

    Raises
    ------
    ValueError
        Both a grid and a spacing; a grid that needs more memory than is available.
    """
    if grid is not None and spacing is not None:
        raise ValueError(
            f"grid = {' '.join(map(str, grid))} and spacing = {spacing:g} Å are given; give one of them, the number "
            "of points or the distance between them"
        )
    if grid is not None:
        points = grid
        asked = f"a grid of {grid[0]} × {grid[1]} × {grid[2]} points"
        remedy = "give fewer points"
    else:
        spacing = DEFAULT_SPACING if spacing is None else spacing
        longest = float(max(np.linalg.norm(cell, axis=1)))
        if longest > 1e9 * spacing:
            raise ValueError(
                f"a spacing of {spacing:g} Å makes more than 1e9 points along an edge of {longest:.2f} Å; "
                f"give a larger spacing"
            )
        points = grid_points(cell, spacing)
        asked = f"a spacing of {spacing:g} Å, which makes {points[0]} × {points[1]} × {points[2]} points,"
        remedy = "give a larger spacing"
    # beside the values, three float64 for each step along each edge
    refuse_beyond_memory(bytes_per_point * math.prod(points) + 24 * sum(points), asked, remedy)
    return points


def refuse_beyond_memory(needed: int, asked: str, remedy: str) -> None:
    """Raise a ValueError that says how much memory is needed and how much there is, where that is not enough."""
    available = available_memory()
    if needed > available:
        raise ValueError(f"{asked} needs {_size(needed)} of memory, and {_size(available)} are available; {remedy}")


def available_memory() -> int:
    """Estimate the memory that this process can still take [bytes]: of the machine, and of its job or container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    left = control_group_memory(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    if left is not None:
        total = min(total, left)
    try:
        # the count of free pages would leave out the file cache, which gives way
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return total
    return min(total, 1024 * int(kilobytes))


def control_group_memory(membership: Path, mount: Path) -> int | None:
    """Find what the control groups of this process leave of their memory limits [bytes]; None without a limit.

    Schedulers and containers limit a group or one above it; of a container's own group only the mount may be seen.
    """
    left = []
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":
            root, limit, usage, cache = mount, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        parts = [part for part in group.split("/") if part not in {"", "."}]
        for depth in range(len(parts) + 1):
            folder = root.joinpath(*parts[:depth])
            try:
                free = int((folder / limit).read_text(encoding="ascii"))
                free -= int((folder / usage).read_text(encoding="ascii"))
                statistics = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
            except (OSError, ValueError):  # no such group, or no limit: "max"
                continue
            left.append(max(0, free + int(statistics.get(cache, 0))))
    return min(left, default=None)


def make_grid(cell: NDArray[np.float64], points: tuple[int, int, int]) -> Grid:
    """Lay a grid over a cell."""
    cell = np.array(cell, dtype=np.float64, order="C")
    # multiplied before divided: a step that float64 can hold is exact
    x, y, z = (np.arange(n)[:, None] * vector / n for n, vector in zip(points, cell, strict=True))
    return Grid(cell, _inverse_and_heights(cell)[1], x, y, z)


def make_bins(cell: NDArray[np.float64], positions: NDArray[np.float64], *carried: NDArray[np.float64]) -> Bins:
    """Sort atoms into bins about 3 Å wide, in the cell of the shortest lattice vectors.

    Each of `carried`, (n,) radii or charges, becomes a row below the coordinates.
    """
    reduced, _ = minkowski_reduce(cell)
    reduced = np.array(reduced, dtype=np.float64, order="C")
    inverse, heights = _inverse_and_heights(reduced)
    fractional, inside = wrap(reduced, positions)
    shape = np.clip(heights / _BIN, 1, 512).astype(np.int64)
    index = np.minimum((fractional * shape).astype(np.int64), shape - 1)
    flat = np.ravel_multi_index(tuple(index.T), tuple(shape))
    order = np.argsort(flat, kind="stable")
    starts = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
    np.cumsum(np.bincount(flat, minlength=starts.size - 1), out=starts[1:])
    return Bins(reduced, inverse, heights, shape, starts, np.vstack([inside.T, *carried])[:, order].copy())


def wrap(cell: NDArray[np.float64], positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move positions into a cell by whole lattice vectors; returns fractional and Cartesian coordinates."""
    fractional = positions @ np.linalg.inv(cell)
    shifts = np.floor(fractional)
    return np.ascontiguousarray(fractional - shifts), np.ascontiguousarray(positions - shifts @ cell)


def _inverse_and_heights(cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    return inverse, 1.0 / np.linalg.norm(inverse, axis=0)


def smallest_square_reaching(distance: float) -> float:
    """Find the smallest float64 whose root is at least a distance: √x < distance exactly where x is below it.

    >>> smallest_square_reaching(1.5)
    2.25
    """
    square = distance * distance
    while square > 0.0 and math.sqrt(math.nextafter(square, 0.0)) >= distance:
        square = math.nextafter(square, 0.0)
    while math.sqrt(square) < distance:
        square = math.nextafter(square, math.inf)
    return square


def largest_square_within(distance: float) -> float:
    """Find the largest float64 whose root is at most a distance: √x <= distance exactly where x is at most it."""
    return math.nextafter(smallest_square_reaching(math.nextafter(distance, math.inf)), 0.0)


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
    from amorph.analysis._grid_kernels import SLAB

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
        if progress is not None and (time.monotonic() - begun) / (len(kept) - 1) * left > _LONG:
            with progress(label, total) as update:
                for later in results:
                    kept.append(later)
                    update(len(kept), "")
    return kept


def available_processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _size(number: int) -> str:
    for unit, size in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
