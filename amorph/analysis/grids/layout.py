"""What every map on a grid needs: the number of points, the memory they take, bins of atoms, threads over slabs."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.grids.bins import _inverse_and_heights
from amorph.fields import DEFAULT_SPACING, grid_points
from amorph.machine.memory import refuse_beyond_memory


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


def make_grid(cell: NDArray[np.float64], points: tuple[int, int, int]) -> Grid:
    """Lay a grid over a cell."""
    cell = np.array(cell, dtype=np.float64, order="C")
    # multiplied before divided: a step that float64 can hold is exact
    x, y, z = (np.arange(n)[:, None] * vector / n for n, vector in zip(points, cell, strict=True))
    return Grid(cell, _inverse_and_heights(cell)[1], x, y, z)
