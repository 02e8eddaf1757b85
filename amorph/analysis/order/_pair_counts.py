"""The compiled kernel that sorts the distances of all pairs into bins."""

import math

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

EDGE = 1e-9
"""In bins: a distance this little below an edge is on it, so that rounding does not split the shells of a crystal."""


@njit(cache=True, nogil=True, error_model="numpy")
def count_pairs(cell, inverse, heights, shape, starts, positions, species, width, bins, counts):  # type: ignore[no-untyped-def]
    """Count the pairs of atoms by their distance, each pair once, over all images within reach.

    Atoms are binned (``make_bins``), the fourth row of `positions` holds their species. A column of bins along the
    third lattice vector is contiguous, so an atom meets runs of neighbors. `counts` (species², bins + 1) is filled at
    [species of i · `species` + species of j]; its last bin takes what lies beyond.
    """
    nx, ny, nz = shape
    reach = width * bins
    inverse_width = 1.0 / width
    a, b = cell[0], cell[1]
    length = math.sqrt((cell[2] * cell[2]).sum())
    c = cell[2] / length
    a_along, b_along = (a * c).sum(), (b * c).sum()
    a_flat, b_flat = a - a_along * c, b - b_along * c
    # half the extent of a column, along the third vector and across it
    half_along = 0.5 * (abs(a_along) / nx + abs(b_along) / ny)
    plus, minus = a_flat / nx + b_flat / ny, a_flat / nx - b_flat / ny
    half_flat = 0.5 * math.sqrt(max((plus * plus).sum(), (minus * minus).sum()))
    x_reach = math.floor(reach / heights[0] * nx) + 1
    y_reach = math.floor(reach / heights[1] * ny) + 1
    xs, ys, zs, kinds = positions
    row = bins + 1
    offsets = np.empty(kinds.size, np.int32)
    for j in range(kinds.size):
        offsets[j] = np.int32(kinds[j]) * row
    found = np.empty(kinds.size, np.int32)
    flat = counts.reshape(-1)
    for ix in range(nx):
        for iy in range(ny):
            home = (ix * ny + iy) * nz
            for dx in range(x_reach + 1):
                sx = (ix + dx) // nx
                for dy in range(0 if dx == 0 else -y_reach, y_reach + 1):
                    sy = (iy + dy) // ny
                    own = dx == 0 and dy == 0
                    column = ((ix + dx - sx * nx) * ny + iy + dy - sy * ny) * nz
                    for i in range(starts[home], starts[home + nz]):
                        fx = xs[i] * inverse[0, 0] + ys[i] * inverse[1, 0] + zs[i] * inverse[2, 0]
                        fy = xs[i] * inverse[0, 1] + ys[i] * inverse[1, 1] + zs[i] * inverse[2, 1]
                        fz = xs[i] * inverse[0, 2] + ys[i] * inverse[1, 2] + zs[i] * inverse[2, 2]
                        u = (ix + dx + 0.5) / nx - fx
                        v = (iy + dy + 0.5) / ny - fy
                        away = 0.0
                        for k in range(3):
                            away += (u * a_flat[k] + v * b_flat[k]) ** 2
                        gap = max(math.sqrt(away) - half_flat, 0.0)
                        if gap > reach:
                            continue
                        half = math.sqrt(reach * reach - gap * gap) + half_along + 1e-9
                        middle = fz - (u * a_along + v * b_along) / length
                        low, high = middle - half / length, middle + half / length
                        s_low, s_high = math.floor(low), math.floor(high)
                        for sz in range(max(s_low, 0) if own else s_low, s_high + 1):
                            first = max(int((low - sz) * nz), 0) if sz == s_low else 0
                            last = min(int((high - sz) * nz), nz - 1) if sz == s_high else nz - 1
                            start, stop = starts[column + first], starts[column + last + 1]
                            if own and sz == 0:
                                start = max(start, i + 1)
                            x = xs[i] - sx * cell[0, 0] - sy * cell[1, 0] - sz * cell[2, 0]
                            y = ys[i] - sx * cell[0, 1] - sy * cell[1, 1] - sz * cell[2, 1]
                            z = zs[i] - sx * cell[0, 2] - sy * cell[1, 2] - sz * cell[2, 2]
                            for j in range(start, stop):
                                square = (xs[j] - x) ** 2 + (ys[j] - y) ** 2 + (zs[j] - z) ** 2
                                place = min(math.sqrt(square) * inverse_width + EDGE, float(bins))
                                found[j] = offsets[j] + np.int32(place)
                            shift = np.int64(kinds[i]) * species * row
                            for j in range(start, stop):
                                flat[shift + found[j]] += 1
