"""Compiled kernels: bond-valence sums on a periodic grid, and at points."""

import math

import numpy as np
from numba import njit

from amorph.analysis.grids._exponential import _exp2, power_of_two
from amorph.analysis.grids._spheres import free_points
from amorph.analysis.grids._walk import (
    _LOOSE,
    _TILE,
    BLOCK_ROOM,
    SLAB,
    _collect,
    _corner_box,
    _enclose,
    _square_outside,
    gather,
)
from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import prefer_wide_vectors

provide_cache_folder()


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_inner(points, m, images, count, exponents, sums):  # type: ignore[no-untyped-def]
    """Add the valences of images that are within the cutoff of every point, all in the precision of the sums."""
    # atoms outside, points inside: the inner loop has no dependence and becomes vector code
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        kind = np.int64(images[3, n])
        factor = sums.dtype.type(exponents[kind, 0])
        unit = sums.dtype.type(exponents[kind, 1])
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            sums[k] += power_of_two(factor * (unit - math.sqrt(dx * dx + dy * dy + dz * dz)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_outer(points, m, images, count, limit, exponents, sums):  # type: ignore[no-untyped-def]
    """Add the valences of images that the cutoff may leave out; float64 decides, whatever the precision of the sums."""
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    nothing = sums.dtype.type(0.0)
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        kind = np.int64(images[3, n])
        factor = sums.dtype.type(exponents[kind, 0])
        unit = sums.dtype.type(exponents[kind, 1])
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            square = dx * dx + dy * dy + dz * dz
            valence = power_of_two(factor * (unit - math.sqrt(sums.dtype.type(square))))
            sums[k] += valence if square <= limit else nothing


@njit(cache=True, nogil=True, error_model="numpy")
def _split(images, count, center, half, cutoff, inner, outer):  # type: ignore[no-untyped-def]
    """Copy the images that reach a box to `outer`, but those that reach all of it to `inner`, seen from its center.

    `half` are half the edges of the box. `inner` is for sums of low precision, whose coordinates must be small; in
    float64 nothing goes there, so that the order of a sum does not depend on the box. Returns how many there are of
    each.
    """
    is_single = inner.itemsize < 8
    within = cutoff**2 / _LOOSE
    reach = cutoff**2 * _LOOSE
    found_inner = found_outer = 0
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        outer[0, found_outer] = x
        outer[1, found_outer] = y
        outer[2, found_outer] = z
        outer[3, found_outer] = images[3, n]
        reaches = _square_outside(x, y, z, center, half) <= reach
        if is_single:
            dx = x - center[0]
            dy = y - center[1]
            dz = z - center[2]
            inner[0, found_inner] = dx
            inner[1, found_inner] = dy
            inner[2, found_inner] = dz
            inner[3, found_inner] = images[3, n]
            farthest = (abs(dx) + half[0]) ** 2 + (abs(dy) + half[1]) ** 2 + (abs(dz) + half[2]) ** 2
            found_inner += farthest <= within
            found_outer += reaches & (farthest > within)
        else:
            found_outer += reaches
    return found_inner, found_outer


@njit(cache=True, nogil=True, error_model="numpy")
def _occupied_blocks(free):  # type: ignore[no-untyped-def]
    """Tell which blocks of 8 rows and 8 points have a free point, (blocks of rows, blocks of points) as bytes."""
    planes, ny, words = free.shape
    rows = np.zeros(((ny + SLAB - 1) // SLAB, words), np.uint64)
    for i in range(planes):
        for iy in range(ny):
            for word in range(words):
                rows[iy // SLAB, word] |= free[i, iy, word]
    return rows.view(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def bond_valence_slab(x0, planes, maps, grid, spheres, anions, cutoff, limit, bonds, exponents):  # type: ignore[no-untyped-def]
    """Fill planes of the maps of some ions, from x0 on, with Σ 2^[scale·(r0 − d)] over d² ≤ limit, NaN in the spheres.

    `maps` (ions, nx, ny, nz) are filled in their precision; `grid` (cell, heights, xs, ys, zs); `spheres` (fractional,
    positions, radii, limits), as free_points takes them; `anions` (cell, inverse, heights, bins, starts, positions and
    kinds); `bonds` holds target and window of each ion, `exponents` scale and r0 of its bond with each kind. Returns
    for each ion how many points are NaN, below, within and above |v − target| < window.
    """
    _, _, xs, ys, zs = grid
    fractional, positions, radii, limits = spheres
    free = free_points(x0, planes, grid, fractional, positions, radii, limits)
    ions, _, ny, nz = maps.shape
    flags = free.view(np.uint8)  # little-endian: byte k holds the points 8k to 8k + 7
    occupied = _occupied_blocks(free)
    flat = maps.reshape(-1)
    starts = np.array([(ion * xs.shape[0] + x0) * ny * nz for ion in range(ions)])
    for start in starts:
        flat[start : start + planes * ny * nz] = np.nan

    images = np.empty((4, 256))
    inner = np.empty((4, 256), maps.dtype)
    outer = np.empty((4, 256))
    points = np.empty((3, BLOCK_ROOM))
    near = np.empty((3, BLOCK_ROOM), maps.dtype)
    sums = np.empty(SLAB**3, maps.dtype)
    where = np.empty(SLAB**3 + 1, np.int64)
    counts = np.zeros((ions, 4), np.int64)
    center = np.empty(3)
    half = np.empty(3)
    lanes = 64 // maps.itemsize
    accessible = 0
    for tile_y in range(0, ny, _TILE):
        end_y = min(tile_y + _TILE, ny)
        for tile_z in range(0, nz, _TILE):
            end_z = min(tile_z + _TILE, nz)
            count = -1
            for block_y in range(tile_y, end_y, SLAB):
                for block_z in range(tile_z, end_z, SLAB):
                    if occupied[block_y // SLAB, block_z // SLAB] == 0:
                        continue
                    m = _collect(flags, x0, block_y, block_z, xs, ys, zs, points, where)
                    if m == 0:
                        continue
                    if count < 0:
                        radius = _corner_box(
                            center, x0, x0 + planes - 1, tile_y, end_y - 1, tile_z, end_z - 1, xs, ys, zs
                        )
                        images, count = gather(center, cutoff + radius, anions, images)
                        if outer.shape[1] <= count:
                            inner = np.empty((4, images.shape[1] + 1), maps.dtype)
                            outer = np.empty((4, images.shape[1] + 1))
                    _enclose(points, m, center, half)
                    found_inner, found_outer = _split(images, count, center, half, cutoff, inner, outer)
                    padded = (m + lanes - 1) // lanes * lanes
                    for k in range(3):
                        points[k, m:padded] = points[k, m - 1]  # whole vectors: the last point again
                        for n in range(padded):
                            near[k, n] = points[k, n] - center[k]
                    accessible += m
                    for ion in range(ions):
                        target, window = bonds[ion]
                        sums[:padded] = 0.0
                        _add_inner(near, padded, inner, found_inner, exponents[ion], sums)
                        _add_outer(points, padded, outer, found_outer, limit, exponents[ion], sums)
                        below = inside = 0
                        for n in range(m):
                            flat[starts[ion] + where[n]] = sums[n]
                            excess = np.float64(sums[n]) - target
                            below += excess <= -window
                            inside += abs(excess) < window
                        counts[ion, 1] += below
                        counts[ion, 2] += inside
    for ion in range(ions):
        counts[ion, 0] = planes * ny * nz - accessible
        counts[ion, 3] = accessible - counts[ion, 1] - counts[ion, 2]
    return counts


@njit(cache=True, nogil=True, error_model="numpy")
def bond_valence_points(points, sums, anions, cutoff, limit, exponents):  # type: ignore[no-untyped-def]
    """Fill `sums` with Σ 2^[scale·(r0 − d)] over d² ≤ limit, by kind of anion, at arbitrary points."""
    images = np.empty((4, 256))
    for n in range(points.shape[0]):
        images, count = gather(points[n], cutoff, anions, images)
        total = 0.0
        for k in range(count):
            square = (
                (points[n, 0] - images[0, k]) ** 2
                + (points[n, 1] - images[1, k]) ** 2
                + (points[n, 2] - images[2, k]) ** 2
            )
            if square <= limit:
                scale, r0 = exponents[np.int64(images[3, k])]
                total += _exp2(scale * (r0 - math.sqrt(square)))
        sums[n] = total
