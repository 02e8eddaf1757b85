"""Compiled kernels over periodic grids: distances to the nearest atom, or to the nearest sphere around one."""

import math

import numpy as np
from numba import njit

from amorph.analysis.grids._walk import _TILE, SLAB, _corner_box, gather
from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import prefer_wide_vectors

provide_cache_folder()

_SLACK = 1e-9
"""Widening of every reach that only preselects [Å], so that rounding cannot lose an atom that is just as near."""
_NOWHERE = 1e15
"""A coordinate farther than any atom [Å], whose square float32 still holds."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _nearest_centers(points, m, images, count, nearest):  # type: ignore[no-untyped-def]
    """Write to `nearest` the distance from each point to the nearest image; the images come in fours."""
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    ix = images[0]
    iy = images[1]
    iz = images[2]
    nearest[:m] = np.inf
    for n in range(0, count, 4):
        ax, bx, cx, dx = ix[n], ix[n + 1], ix[n + 2], ix[n + 3]
        ay, by, cy, dy = iy[n], iy[n + 1], iy[n + 2], iy[n + 3]
        az, bz, cz, dz = iz[n], iz[n + 1], iz[n + 2], iz[n + 3]
        for k in range(m):  # four at a time: each point is loaded once for them
            x = px[k]
            y = py[k]
            z = pz[k]
            a = (x - ax) * (x - ax) + (y - ay) * (y - ay) + (z - az) * (z - az)
            b = (x - bx) * (x - bx) + (y - by) * (y - by) + (z - bz) * (z - bz)
            c = (x - cx) * (x - cx) + (y - cy) * (y - cy) + (z - cz) * (z - cz)
            d = (x - dx) * (x - dx) + (y - dy) * (y - dy) + (z - dz) * (z - dz)
            a = a if a < b else b
            c = c if c < d else d
            a = a if a < c else c
            nearest[k] = a if a < nearest[k] else nearest[k]
    for k in range(m):
        nearest[k] = math.sqrt(nearest[k])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _nearest_spheres(points, m, images, count, nearest):  # type: ignore[no-untyped-def]
    """Write to `nearest` the distance from each point to the nearest image's sphere, negative inside it."""
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    nearest[:m] = np.inf
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        radius = images[3, n]
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            distance = math.sqrt(dx * dx + dy * dy + dz * dz) - radius
            nearest[k] = distance if distance < nearest[k] else nearest[k]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nnan", "nsz"})
def _distances_to(center, images, count, distances):  # type: ignore[no-untyped-def]
    """Write the distances from a point to the images' spheres to `distances`; returns the least, infinite for none."""
    prefer_wide_vectors()
    x, y, z = center[0], center[1], center[2]
    ix = images[0]
    iy = images[1]
    iz = images[2]
    radii = images[3]
    least = 1e300
    for n in range(count):
        dx = ix[n] - x
        dy = iy[n] - y
        dz = iz[n] - z
        distances[n] = math.sqrt(dx * dx + dy * dy + dz * dz) - radii[n]
    for n in range(count):
        least = min(least, distances[n])
    return least if count > 0 else np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_near(images, count, center, distances, reach, kept):  # type: ignore[no-untyped-def]
    """Copy the images whose distance is within reach to `kept`, seen from a point, filled up to a multiple of four."""
    found = 0
    for n in range(count):
        if distances[n] <= reach:
            kept[0, found] = images[0, n] - center[0]
            kept[1, found] = images[1, n] - center[1]
            kept[2, found] = images[2, n] - center[2]
            kept[3, found] = images[3, n]
            found += 1
    while found % 4:
        kept[:3, found] = _NOWHERE
        kept[3, found] = 0.0
        found += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _gather_near(center, half, guess, largest, atoms, images, distances):  # type: ignore[no-untyped-def]
    """Gather what may be nearest to a point within `half` of a center; returns the arrays, larger if need be."""
    reach = guess
    while True:
        images, count = gather(center, reach, atoms, images)
        if distances.size < images.shape[1]:
            distances = np.empty(images.shape[1])
        # what is nearest to any such point is at most so far from the center
        needed = _distances_to(center, images, count, distances) + 2.0 * half + largest + _SLACK
        if reach >= needed:
            return images, count, distances
        reach = min(needed, 1.5 * reach)


@njit(cache=True, nogil=True, error_model="numpy")
def _place_points(planes, rows, length, xs, ys, zs, points):  # type: ignore[no-untyped-def]
    """Write the points of a block, seen from its center."""
    m = 0
    for i in range(planes):
        for j in range(rows):
            for n in range(length):
                for k in range(3):
                    corner = 0.5 * (xs[planes - 1, k] + ys[rows - 1, k] + zs[length - 1, k])
                    points[k, m] = xs[i, k] + ys[j, k] + zs[n, k] - corner
                m += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _put_rows(values, slab, block_y, stop_y, block_z, stop_z):  # type: ignore[no-untyped-def]
    """Copy the values of a block's points to their places in a slab."""
    m = 0
    for i in range(slab.shape[0]):
        for iy in range(block_y, stop_y):
            if stop_z - block_z == SLAB:  # a length known to the compiler
                for n in range(SLAB):
                    slab[i, iy, block_z + n] = values[m + n]
                m += SLAB
            else:
                for iz in range(block_z, stop_z):
                    slab[i, iy, iz] = values[m]
                    m += 1


@njit(cache=True, nogil=True, error_model="numpy")
def distance_slab(x0, slab, grid, atoms, guess, largest):  # type: ignore[no-untyped-def]
    """Fill the planes of a grid from x0 on with the distance to the nearest sphere around an image of an atom.

    `slab` is the part of the map to fill; `grid` (cell, heights, xs, ys, zs); `atoms` (cell, inverse, heights, bins,
    starts, positions), with the radii as the fourth row of `positions`; `guess` a first search radius; `largest` the
    largest of the radii. Where it is 0 all are.
    """
    _, _, xs, ys, zs = grid
    planes, ny, nz = slab.shape
    images = np.empty((4, 256))
    distances = np.empty(256)
    kept = np.empty((4, 260), slab.dtype)
    points = np.empty((3, SLAB**3), slab.dtype)
    nearest = np.empty(SLAB**3, slab.dtype)
    center = np.empty(3)
    placed = (0, 0)
    for tile_y in range(0, ny, _TILE):
        end_y = min(tile_y + _TILE, ny)
        for tile_z in range(0, nz, _TILE):
            end_z = min(tile_z + _TILE, nz)
            half = _corner_box(center, x0, x0 + planes - 1, tile_y, end_y - 1, tile_z, end_z - 1, xs, ys, zs)
            images, count, distances = _gather_near(center, half, guess, largest, atoms, images, distances)
            if kept.shape[1] < count + 4:
                kept = np.empty((4, images.shape[1] + 4), slab.dtype)
            for block_y in range(tile_y, end_y, SLAB):
                stop_y = min(block_y + SLAB, ny)
                for block_z in range(tile_z, end_z, SLAB):
                    stop_z = min(block_z + SLAB, nz)
                    half = _corner_box(
                        center, x0, x0 + planes - 1, block_y, stop_y - 1, block_z, stop_z - 1, xs, ys, zs
                    )
                    reach = _distances_to(center, images, count, distances) + 2.0 * half + _SLACK
                    found = _keep_near(images, count, center, distances, reach, kept)
                    # blocks of one shape have the same points
                    if (stop_y - block_y, stop_z - block_z) != placed:
                        placed = (stop_y - block_y, stop_z - block_z)
                        _place_points(planes, placed[0], placed[1], xs, ys, zs, points)
                    m = planes * placed[0] * placed[1]
                    if largest == 0.0:
                        _nearest_centers(points, m, kept, found, nearest)
                    else:
                        _nearest_spheres(points, m, kept, found, nearest)
                    _put_rows(nearest, slab, block_y, stop_y, block_z, stop_z)
