"""Compiled kernels of the site energy: sums of Morse terms and of screened repulsions over periodic images.

Slabs, tiles and blocks of a grid, and the walk over images, are those of the bond-valence map. Every kind of atom adds
its own terms to a slab, so that the inner loop has one form. Any number of threads gives the same bits.
"""

import math

import numpy as np
from numba import njit

from amorph.analysis.grids._exponential import _exp2
from amorph.analysis.grids._walk import _TILE, BLOCK_ROOM, SLAB, _collect, _corner_box, _enclose, _keep, gather
from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import prefer_wide_vectors

provide_cache_folder()

CLOSEST = 0.01
"""A repulsion nearer than this is the one at this distance [Å]: at a nucleus it would be infinite."""
_LOG2_E = 1.4426950408889634
_SMALLEST_POWER = -1000.0
"""Two to this power is 1e-301, and the last that `_exp2` gives."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _erfc_over(x):  # type: ignore[no-untyped-def]
    """Give erfc(x)/x for x > 0, to a relative error of 3e-16·(6 + x²)."""
    # (x + 4)·exp(x²)·erfc(x) as a polynomial in t = (x − 4)/(x + 4), which maps 0 ... ∞ on −1 ... 1: interpolated at
    # 41 Chebyshev nodes and cut after degree 20, relative error 1.5e-15 before rounding. One division gives both
    # 1/(x + 4) and 1/x.
    reciprocal = 1.0 / (x * (x + 4.0))
    t = (x - 4.0) * x * reciprocal
    p = -8.63468977317044e-09
    p = p * t + 2.217412702497469e-09
    p = p * t + 1.0675739778045443e-07
    p = p * t - 7.910456767468112e-08
    p = p * t - 8.224847023397082e-07
    p = p * t + 1.4288949184116379e-06
    p = p * t + 4.674744822324247e-06
    p = p * t - 1.8864521854080786e-05
    p = p * t - 3.624761713063644e-06
    p = p * t + 0.00017681456678765166
    p = p * t - 0.00045505621737945045
    p = p * t - 0.00028095939003489013
    p = p * t + 0.006112056403898361
    p = p * t - 0.026370053245775675
    p = p * t + 0.07638151481677181
    p = p * t - 0.17401093724931305
    p = p * t + 0.33085158788388885
    p = p * t - 0.5408538313128077
    p = p * t + 0.7732087022650914
    p = p * t - 0.9765487290808877
    p = p * t + 1.0959956610004917
    return p * reciprocal * _exp2(max(-_LOG2_E * x * x, _SMALLEST_POWER))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_morse(points, m, images, count, limit, scale, r_min, sums):  # type: ignore[no-untyped-def]
    # atoms outside, points inside: the inner loop has no dependence and becomes vector code
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            square = dx * dx + dy * dy + dz * dz
            # (e − 1)² − 1 without the cancellation
            e = _exp2(scale * (r_min - math.sqrt(square)))
            sums[k] += e * (e - 2.0) if square <= limit else 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add_repulsion(points, m, images, count, limit, scale, closest, sums):  # type: ignore[no-untyped-def]
    prefer_wide_vectors()
    px = points[0]
    py = points[1]
    pz = points[2]
    for n in range(count):
        x = images[0, n]
        y = images[1, n]
        z = images[2, n]
        for k in range(m):
            dx = px[k] - x
            dy = py[k] - y
            dz = pz[k] - z
            square = dx * dx + dy * dy + dz * dz
            term = _erfc_over(scale * math.sqrt(max(square, closest)))
            sums[k] += term if square <= limit else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def site_energy_slab(x0, slab, free, grid, atoms, cutoff, limit, term):  # type: ignore[no-untyped-def]
    """Add the terms of one kind of atom to the free points of the planes of a grid from x0 on, d² ≤ limit.

    A Morse kind adds weight·[(e − 1)² − 1] with e = 2^[scale·(r_min − d)], the others weight·erfc(scale·d)/(scale·d).
    `slab` is the part of the map to add to; `free` its bits, as of `free_points`; `grid` (cell, heights, xs, ys, zs);
    `atoms` are grids.Bins, `term` a Term.
    """
    is_morse, scale, r_min, weight = term
    _, _, xs, ys, zs = grid
    planes, ny, nz = slab.shape
    flags = free.view(np.uint8)  # little-endian: byte k holds the points 8k to 8k + 7
    flat = slab.reshape(-1)
    closest = CLOSEST * CLOSEST
    images = np.empty((3, 256))
    kept = np.empty((3, 256))
    points = np.empty((3, BLOCK_ROOM))
    sums = np.empty(SLAB**3)
    where = np.empty(SLAB**3 + 1, np.int64)
    center = np.empty(3)
    half = np.empty(3)
    for tile_y in range(0, ny, _TILE):
        end_y = min(tile_y + _TILE, ny)
        for tile_z in range(0, nz, _TILE):
            end_z = min(tile_z + _TILE, nz)
            count = -1
            for block_y in range(tile_y, end_y, SLAB):
                for block_z in range(tile_z, end_z, SLAB):
                    m = _collect(flags, x0, block_y, block_z, xs, ys, zs, points, where)
                    if m == 0:
                        continue
                    if count < 0:
                        radius = _corner_box(
                            center, x0, x0 + planes - 1, tile_y, end_y - 1, tile_z, end_z - 1, xs, ys, zs
                        )
                        images, count = gather(center, cutoff + radius, atoms, images)
                        if kept.shape[1] <= count:
                            kept = np.empty((3, images.shape[1] + 1))
                    _enclose(points, m, center, half)
                    found = _keep(images, count, center, half, cutoff, kept)
                    padded = (m + SLAB - 1) // SLAB * SLAB
                    for n in range(m, padded):  # whole vectors: the last point again
                        for k in range(3):
                            points[k, n] = points[k, m - 1]
                    sums[:padded] = 0.0
                    if is_morse:
                        _add_morse(points, padded, kept, found, limit, scale, r_min, sums)
                    else:
                        _add_repulsion(points, padded, kept, found, limit, scale, closest, sums)
                    for n in range(m):
                        flat[where[n]] += weight * sums[n]


@njit(cache=True, nogil=True, error_model="numpy")
def site_energy_points(points, energies, atoms, cutoff, limit, term):  # type: ignore[no-untyped-def]
    """Add the terms of one kind of atom at arbitrary points (n, 3), with the mathematical library's functions."""
    is_morse, scale, r_min, weight = term
    images = np.empty((3, 256))
    for n in range(points.shape[0]):
        images, count = gather(points[n], cutoff, atoms, images)
        total = 0.0
        for k in range(count):
            square = (
                (points[n, 0] - images[0, k]) ** 2
                + (points[n, 1] - images[1, k]) ** 2
                + (points[n, 2] - images[2, k]) ** 2
            )
            if square > limit:
                continue
            if is_morse:
                e = math.exp(math.log(2.0) * scale * (r_min - math.sqrt(square)))
                total += e * (e - 2.0)
            else:
                x = scale * max(math.sqrt(square), CLOSEST)
                total += math.erfc(x) / x
        energies[n] += weight * total
