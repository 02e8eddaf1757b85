"""Compiled kernels over the points of a periodic grid: the largest sphere over each of them, and the nearest atom."""

import math

import numpy as np
from numba import njit

from amorph.analysis.grids._walk import _corner_box, _nearest, gather
from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_BLOCK = 8
"""Points along the edges of a block; a block with nothing left to paint is passed over whole."""
_NEAR = 1e-9
"""In grid steps: a point this little outside a sphere is on it."""


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _blocks(n):  # type: ignore[no-untyped-def]
    return (n + _BLOCK - 1) // _BLOCK


@njit(cache=True, nogil=True, error_model="numpy")
def paint_spheres(values, order, cell, heights, sizes):  # type: ignore[no-untyped-def]
    """Paint the sphere of each point, in an order from the largest down, over what is not yet painted.

    `values` (nx, ny, nz) are the radii, `sizes` of the same shape is filled: 0 where no sphere reaches.
    """
    nx, ny, nz = values.shape
    flat = values.reshape(-1)
    left = np.zeros((_blocks(nx), _blocks(ny), _blocks(nz)), np.int32)
    # what is left of each row in each block, a bit for each point
    bits = np.zeros((nx, ny, _blocks(nz)), np.uint8)
    for ix in range(nx):
        for iy in range(ny):
            for iz in range(nz):
                sizes[ix, iy, iz] = 0.0
                if values[ix, iy, iz] > 0.0:
                    left[ix // _BLOCK, iy // _BLOCK, iz // _BLOCK] += 1
                    bits[ix, iy, iz // _BLOCK] |= np.uint8(1 << iz % _BLOCK)
    remaining = order.size
    a = cell[0] / nx
    b = cell[1] / ny
    c = cell[2] / nz
    cc = (c * c).sum()
    ca = (c * a).sum() / cc
    cb = (c * b).sum() / cc
    # steps along a and b across c
    aa = (a * a).sum() - ca * ca * cc
    ab = (a * b).sum() - ca * cb * cc
    bb = (b * b).sum() - cb * cb * cc
    for n in range(order.size):
        if remaining == 0:
            return
        index = order[n]
        radius = flat[index]
        cx = index // (ny * nz)
        cy = index // nz % ny
        cz = index % nz
        wx = math.floor(radius / heights[0] * nx + _NEAR)
        wy = math.floor(radius / heights[1] * ny + _NEAR)
        wz = math.floor(radius / heights[2] * nz + _NEAR)
        square = radius * radius
        for sx in range((cx - wx) // nx, (cx + wx) // nx + 1):
            x_low = max(cx - wx - sx * nx, 0)
            x_high = min(cx + wx - sx * nx, nx - 1)
            for sy in range((cy - wy) // ny, (cy + wy) // ny + 1):
                y_low = max(cy - wy - sy * ny, 0)
                y_high = min(cy + wy - sy * ny, ny - 1)
                for sz in range((cz - wz) // nz, (cz + wz) // nz + 1):
                    z_low = max(cz - wz - sz * nz, 0)
                    z_high = min(cz + wz - sz * nz, nz - 1)
                    for bx in range(x_low // _BLOCK, x_high // _BLOCK + 1):
                        for by in range(y_low // _BLOCK, y_high // _BLOCK + 1):
                            for bz in range(z_low // _BLOCK, z_high // _BLOCK + 1):
                                if left[bx, by, bz] == 0:
                                    continue
                                done = 0
                                first = max(z_low, bz * _BLOCK)
                                last = min(z_high, bz * _BLOCK + _BLOCK - 1)
                                for ix in range(max(x_low, bx * _BLOCK), min(x_high, bx * _BLOCK + _BLOCK - 1) + 1):
                                    i = ix + sx * nx - cx
                                    for iy in range(max(y_low, by * _BLOCK), min(y_high, by * _BLOCK + _BLOCK - 1) + 1):
                                        rest = bits[ix, iy, bz]
                                        if rest == 0:
                                            continue
                                        j = iy + sy * ny - cy
                                        across = (aa * i + 2.0 * ab * j) * i + bb * j * j
                                        if across > square * (1.0 + _NEAR):
                                            continue
                                        half = math.sqrt(max(square - across, 0.0) / cc) + _NEAR
                                        middle = cz - sz * nz - ca * i - cb * j
                                        start = max(first, math.ceil(middle - half))
                                        stop = min(last, math.floor(middle + half))
                                        for iz in range(start, stop + 1):
                                            if rest >> (iz - bz * _BLOCK) & 1:
                                                sizes[ix, iy, iz] = radius
                                                rest &= ~np.uint8(1 << (iz - bz * _BLOCK))
                                                done += 1
                                        bits[ix, iy, bz] = rest
                                left[bx, by, bz] -= done
                                remaining -= done


@njit(cache=True, nogil=True, error_model="numpy")
def share_out(x0, inside, grid, atoms, guess, limit, counts):  # type: ignore[no-untyped-def]
    """Count the inside points of some planes, from x0 on, for the atom that each is nearest to.

    `atoms` are bins that carry the number of each atom in their fourth row. Points farther than the root of `limit`
    from every atom are counted last, in counts[-1].
    """
    _, _, xs, ys, zs = grid
    planes, ny, nz = inside.shape
    images = np.empty((4, 64))
    center = np.empty(3)
    for block_y in range(0, ny, _BLOCK):
        stop_y = min(block_y + _BLOCK, ny)
        for block_z in range(0, nz, _BLOCK):
            stop_z = min(block_z + _BLOCK, nz)
            if not inside[:, block_y:stop_y, block_z:stop_z].any():
                continue
            half = _corner_box(center, x0, x0 + planes - 1, block_y, stop_y - 1, block_z, stop_z - 1, xs, ys, zs)
            reach = guess
            images, count = gather(center, reach, atoms, images)
            while count == 0:
                reach *= 1.5
                images, count = gather(center, reach, atoms, images)
            # the atom nearest to any point of the box is at most this far from the center
            reach = _nearest(images, count, center) + 2.0 * half
            images, count = gather(center, reach, atoms, images)
            for i in range(planes):
                for iy in range(block_y, stop_y):
                    for iz in range(block_z, stop_z):
                        if not inside[i, iy, iz]:
                            continue
                        x = xs[x0 + i, 0] + ys[iy, 0] + zs[iz, 0]
                        y = xs[x0 + i, 1] + ys[iy, 1] + zs[iz, 1]
                        z = xs[x0 + i, 2] + ys[iy, 2] + zs[iz, 2]
                        least = np.inf
                        nearest = -1
                        for n in range(count):
                            square = (images[0, n] - x) ** 2 + (images[1, n] - y) ** 2 + (images[2, n] - z) ** 2
                            if square < least:
                                least = square
                                nearest = int(images[3, n])
                        counts[nearest if least <= limit else counts.size - 1] += 1
