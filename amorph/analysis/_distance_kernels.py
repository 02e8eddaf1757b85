"""Compiled kernels over periodic grids: distances to the nearest atom, or to the nearest sphere around one."""

import math

import numpy as np
from numba import njit

from amorph.analysis._grid_kernels import _TILE, SLAB, _corner_box, _gather
from amorph.analysis._wide_vectors import prefer_wide_vectors
from amorph.kernel_cache import provide_cache_folder

provide_cache_folder()

_SLACK = 1e-9
"""Widening of every reach that only preselects [Å], so that rounding cannot lose an atom that is just as near."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _nearest_centers(points, m, images, count, nearest):  # type: ignore[no-untyped-def]
    """Write to `nearest` the distance from each point to the nearest image."""
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    nearest[:m] = np.inf
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            square = dx * dx + dy * dy + dz * dz
            nearest[k] = square if square < nearest[k] else nearest[k]
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


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest_to(center, images, count):  # type: ignore[no-untyped-def]
    """Give the distance from a point to the nearest sphere; infinite without one."""
    nearest = np.inf
    for n in range(count):
        x = images[0, n] - center[0]
        y = images[1, n] - center[1]
        z = images[2, n] - center[2]
        nearest = min(nearest, math.sqrt(x * x + y * y + z * z) - images[3, n])
    return nearest


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_nearest(images, count, center, reach, kept):  # type: ignore[no-untyped-def]
    """Copy the images whose spheres are within reach of a point to `kept`, seen from there; returns how many."""
    found = 0
    for n in range(count):
        x = images[0, n] - center[0]
        y = images[1, n] - center[1]
        z = images[2, n] - center[2]
        kept[0, found] = x
        kept[1, found] = y
        kept[2, found] = z
        kept[3, found] = images[3, n]
        found += math.sqrt(x * x + y * y + z * z) <= reach + images[3, n]
    return found


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
    kept = np.empty((4, 256), slab.dtype)
    points = np.empty((3, SLAB**3), slab.dtype)
    nearest = np.empty(SLAB**3, slab.dtype)
    center = np.empty(3)
    for tile_y in range(0, ny, _TILE):
        end_y = min(tile_y + _TILE, ny)
        for tile_z in range(0, nz, _TILE):
            end_z = min(tile_z + _TILE, nz)
            half = _corner_box(center, x0, x0 + planes - 1, tile_y, end_y - 1, tile_z, end_z - 1, xs, ys, zs)
            reach = guess
            images, count = _gather(center, reach, atoms, images)
            # what is nearest to any point of the box is at most so far from its center
            needed = _nearest_to(center, images, count) + 2.0 * half + largest + _SLACK
            while reach < needed:
                reach = min(needed, 1.5 * reach)
                images, count = _gather(center, reach, atoms, images)
                needed = _nearest_to(center, images, count) + 2.0 * half + largest + _SLACK
            if kept.shape[1] <= count:
                kept = np.empty((4, images.shape[1] + 1), slab.dtype)
            for block_y in range(tile_y, end_y, SLAB):
                stop_y = min(block_y + SLAB, ny)
                for block_z in range(tile_z, end_z, SLAB):
                    stop_z = min(block_z + SLAB, nz)
                    half = _corner_box(
                        center, x0, x0 + planes - 1, block_y, stop_y - 1, block_z, stop_z - 1, xs, ys, zs
                    )
                    reach = _nearest_to(center, images, count) + 2.0 * half + _SLACK
                    found = _keep_nearest(images, count, center, reach, kept)
                    m = 0
                    for i in range(planes):
                        for iy in range(block_y, stop_y):
                            x = xs[x0 + i, 0] + ys[iy, 0]
                            y = xs[x0 + i, 1] + ys[iy, 1]
                            z = xs[x0 + i, 2] + ys[iy, 2]
                            for iz in range(block_z, stop_z):
                                points[0, m] = x + zs[iz, 0] - center[0]
                                points[1, m] = y + zs[iz, 1] - center[1]
                                points[2, m] = z + zs[iz, 2] - center[2]
                                m += 1
                    if largest == 0.0:
                        _nearest_centers(points, m, kept, found, nearest)
                    else:
                        _nearest_spheres(points, m, kept, found, nearest)
                    m = 0
                    for i in range(planes):
                        for iy in range(block_y, stop_y):
                            for iz in range(block_z, stop_z):
                                slab[i, iy, iz] = nearest[m]
                                m += 1
