"""Compiled kernels over periodic grids: the walk over slabs, tiles and blocks, and a fast exponential.

A grid is walked in slabs of eight planes, a slab in tiles of 32 × 32 rows and points, a tile in blocks of 8³ points.
Atoms are binned in fractional coordinates; a tile gathers the atom images within reach by walking the bins with their
cell shifts, so every image counts however small or skewed the cell, and each block keeps those that reach it. Slabs do
not depend on each other: any number of threads gives the same bits.
"""

import math

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import prefer_wide_vectors

provide_cache_folder()

SLAB = 8
"""Planes in a slab and points along the edges of a block: a block's points along z are one byte of a row's bits."""
_TILE = 32
"""Rows and points along the edges of a tile."""
_LOOSE = 1.0 + 1e-9
"""Widening of every reach that only preselects, so that rounding cannot lose an atom at the very cutoff."""
BLOCK_ROOM = SLAB**3 + 8
"""Columns for the points of a block: one more than there are, for what is not a free point, and rows of whole vectors:
with odd rows most loads of eight numbers would straddle two cache lines."""


@njit(cache=True, nogil=True, error_model="numpy")
def gather(center, reach, atoms, images):  # type: ignore[no-untyped-def]
    """Write the atom images within reach of a point to `images` (3, m); returns it, larger if need be, and how many.

    Rows of the atoms' `positions` beyond the three coordinates (a radius, a charge) go with each image: `images` then
    has as many rows.
    """
    cell, inverse, heights, bins, starts, positions = atoms
    lows = np.empty(3, np.int64)
    highs = np.empty(3, np.int64)
    for k in range(3):
        f = center[0] * inverse[0, k] + center[1] * inverse[1, k] + center[2] * inverse[2, k]
        width = reach / heights[k] * _LOOSE + 1e-9
        lows[k] = math.floor((f - width) * bins[k])
        highs[k] = math.floor((f + width) * bins[k])
    square = reach * reach * _LOOSE
    count = 0
    for b0 in range(lows[0], highs[0] + 1):
        s0 = b0 // bins[0]
        for b1 in range(lows[1], highs[1] + 1):
            s1 = b1 // bins[1]
            column = ((b0 - s0 * bins[0]) * bins[1] + (b1 - s1 * bins[1])) * bins[2]
            for s2 in range(lows[2] // bins[2], highs[2] // bins[2] + 1):
                # the bins of one image along c follow each other, and so do their atoms
                start = starts[column + max(lows[2] - s2 * bins[2], 0)]
                stop = starts[column + min(highs[2] - s2 * bins[2] + 1, bins[2])]
                if count + stop - start >= images.shape[1]:
                    larger = np.empty((images.shape[0], 2 * (count + stop - start)))
                    larger[:, :count] = images[:, :count]
                    images = larger
                x = s0 * cell[0, 0] + s1 * cell[1, 0] + s2 * cell[2, 0]
                y = s0 * cell[0, 1] + s1 * cell[1, 1] + s2 * cell[2, 1]
                z = s0 * cell[0, 2] + s1 * cell[1, 2] + s2 * cell[2, 2]
                for k in range(start, stop):
                    px = positions[0, k] + x
                    py = positions[1, k] + y
                    pz = positions[2, k] + z
                    images[0, count] = px
                    images[1, count] = py
                    images[2, count] = pz
                    for row in range(3, images.shape[0]):
                        images[row, count] = positions[row, k]
                    count += (px - center[0]) ** 2 + (py - center[1]) ** 2 + (pz - center[2]) ** 2 <= square
    return images, count


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nnan", "nsz"})
def _enclose(points, m, center, half):  # type: ignore[no-untyped-def]
    """Write the center of the box around points and half its edges."""
    prefer_wide_vectors()
    for k in range(3):
        coordinate = points[k]
        low = high = coordinate[0]
        for n in range(m):
            low = min(low, coordinate[n])
            high = max(high, coordinate[n])
        center[k] = 0.5 * (low + high)
        half[k] = 0.5 * (high - low)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _square_outside(x, y, z, center, half):  # type: ignore[no-untyped-def]
    """Square the distance from a point to a box, 0 inside."""
    dx = max(abs(x - center[0]) - half[0], 0.0)
    dy = max(abs(y - center[1]) - half[1], 0.0)
    dz = max(abs(z - center[2]) - half[2], 0.0)
    return dx * dx + dy * dy + dz * dz


@njit(cache=True, nogil=True, error_model="numpy")
def _keep(images, count, center, half, reach, kept):  # type: ignore[no-untyped-def]
    """Copy the images within reach of a box to `kept`; returns how many."""
    square = reach * reach * _LOOSE
    found = 0
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        kept[0, found] = x
        kept[1, found] = y
        kept[2, found] = z
        found += _square_outside(x, y, z, center, half) <= square
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _corner_box(center, x0, x1, y0, y1, z0, z1, xs, ys, zs):  # type: ignore[no-untyped-def]
    """Write the center of the box of points between two corners, both included; returns its half diagonal."""
    for k in range(3):
        center[k] = 0.5 * ((xs[x0, k] + xs[x1, k]) + (ys[y0, k] + ys[y1, k]) + (zs[z0, k] + zs[z1, k]))
    longest = 0.0
    for sign_y in (-1.0, 1.0):
        for sign_z in (-1.0, 1.0):
            square = 0.0
            for k in range(3):
                edge = (xs[x1, k] - xs[x0, k]) + sign_y * (ys[y1, k] - ys[y0, k]) + sign_z * (zs[z1, k] - zs[z0, k])
                square += edge * edge
            longest = max(longest, square)
    return 0.5 * math.sqrt(longest)


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(flags, x0, block_y, block_z, xs, ys, zs, points, where):  # type: ignore[no-untyped-def]
    """Write the free points of one block and their flat indices; returns how many."""
    ny = ys.shape[0]
    nz = zs.shape[0]
    byte = block_z // SLAB
    m = 0
    for i in range(flags.shape[0]):
        for iy in range(block_y, min(block_y + SLAB, ny)):
            flag = np.int64(flags[i, iy, byte])
            if flag == 0:
                continue
            ix = x0 + i
            x = xs[ix, 0] + ys[iy, 0]
            y = xs[ix, 1] + ys[iy, 1]
            z = xs[ix, 2] + ys[iy, 2]
            index = (i * ny + iy) * nz + block_z
            for b in range(min(SLAB, nz - block_z)):
                points[0, m] = x + zs[block_z + b, 0]
                points[1, m] = y + zs[block_z + b, 1]
                points[2, m] = z + zs[block_z + b, 2]
                where[m] = index + b
                m += 1 if (flag >> b) & 1 else 0
    return m


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(images, count, center):  # type: ignore[no-untyped-def]
    square = np.inf
    for n in range(count):
        square = min(
            square, (images[0, n] - center[0]) ** 2 + (images[1, n] - center[1]) ** 2 + (images[2, n] - center[2]) ** 2
        )
    return math.sqrt(square)
