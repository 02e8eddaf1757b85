"""Compiled kernel: which points of a periodic grid lie outside every atom's sphere, one bit for each point."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import prefer_wide_vectors

provide_cache_folder()

_LOOSE = 1.0 + 1e-9
"""Widening of every reach that only preselects, so that rounding cannot lose a point at the very radius."""
_NEAR = 1e-6
"""How near to a grid point, in grid steps, a row may enter a sphere before the point's own distance decides."""


class Chord(NamedTuple):
    """Where the rows of a plane meet a sphere, as functions of their way β along b from the atom."""

    square: float
    slope: float
    bb: float
    """The square of half a chord's length is square − slope·β − bb·β² [Å²]."""
    least: float
    """The least square that is taken for it [Å²]."""
    middle: float
    lean: float
    """The middle of a chord is the point middle − lean·β."""
    steps: float
    """Points along a row per Å."""


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _clear_bits(bits, row, first, last):  # type: ignore[no-untyped-def]
    ones = ~np.uint64(0)
    low = row + (first >> 6)
    high = row + (last >> 6)
    above = ones << np.uint64(first & 63)
    below = ones >> np.uint64(63 - (last & 63))
    if low == high:
        bits[low] &= ~(above & below)
    else:
        bits[low] &= ~above
        for word in range(low + 1, high):
            bits[word] = 0
        bits[high] &= ~below


@njit(cache=True, nogil=True, error_model="numpy")
def _is_inside(start, iz, zs, cell, limit):  # type: ignore[no-untyped-def]
    # start: the row's first point seen from the atom; iz counts on beyond the cell
    nz = zs.shape[0]
    wrapped = iz % nz
    shift = (iz - wrapped) // nz
    dx = start[0] + (zs[wrapped, 0] + shift * cell[2, 0])
    dy = start[1] + (zs[wrapped, 1] + shift * cell[2, 1])
    dz = start[2] + (zs[wrapped, 2] + shift * cell[2, 2])
    return dx * dx + dy * dy + dz * dz < limit


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(u, v):  # type: ignore[no-untyped-def]
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _trim(first, last, start, zs, cell, limit):  # type: ignore[no-untyped-def]
    """Drop the points at the ends of an interval of a row that their own distance puts outside."""
    while first <= last and not _is_inside(start, first, zs, cell, limit):
        first += 1
    while last >= first and not _is_inside(start, last, zs, cell, limit):
        last -= 1
    return first, last


@njit(cache=True, nogil=True, error_model="numpy")
def _clear_wrapped(bits, row, first, last, nz):  # type: ignore[no-untyped-def]
    """Clear a row's bits from first to last, both included, where they reach beyond the cell."""
    if first < 0 or first >= nz:  # a division takes as long as the rest
        wrapped = first % nz
        last += wrapped - first
        first = wrapped
    if last < nz:
        _clear_bits(bits, row, first, last)
    else:
        _clear_bits(bits, row, first, nz - 1)
        _clear_bits(bits, row, 0, min(last - nz, nz - 1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _cross_rows(first_y, rows, ny, fy, chord, crossings):  # type: ignore[no-untyped-def]
    """Write the first and the last point of each of a plane's rows in a sphere, and whether these are in doubt.

    A row lies β along b from the atom, and meets the sphere at `steps`·√(square − slope·β − bb·β²) points to either
    side of the point middle − lean·β.
    """
    prefer_wide_vectors()
    square, slope, bb, least, middle, lean, steps = chord
    firsts = crossings[0]
    lasts = crossings[1]
    in_doubt = crossings[2]
    step = 1.0 / ny
    tangent = steps * math.sqrt(least)
    for k in range(rows):
        beta = (first_y + k) * step - fy
        half = steps * math.sqrt(max(square - beta * (slope + bb * beta), least))
        lower = middle - lean * beta - half
        upper = middle - lean * beta + half
        first = math.ceil(lower - _NEAR)
        last = math.floor(upper + _NEAR)
        firsts[k] = first
        lasts[k] = last
        in_doubt[k] = 1 if min(first - lower, upper - last) < _NEAR or half <= tangent else 0


@njit(cache=True, nogil=True, error_model="numpy")
def free_points(x0, planes, grid, fractional, positions, radii, limits):  # type: ignore[no-untyped-def]
    """Find the points of some planes, from x0 on, that lie in no atom's sphere, d² < limit.

    Returns the bits of each row in words of 64, (planes, ny, words): bit k of word w is point 64 w + k, and bits beyond
    the row mean nothing. Along a row the inside of a sphere is one interval, between the roots of a quadratic; where a
    root comes near a point, the point's own distance decides. `grid` is (cell, heights, xs, ys, zs).
    """
    cell, heights, xs, ys, zs = grid
    nx = xs.shape[0]
    ny = ys.shape[0]
    nz = zs.shape[0]
    words = (nz + 63) // 64
    free = np.full((planes, ny, words), ~np.uint64(0))
    bits = free.reshape(-1)
    # a and b split into their parts along c, in grid steps, and across it
    cc = _dot(cell[2], cell[2])
    a_steps = _dot(cell[0], cell[2]) / cc * nz
    b_steps = _dot(cell[1], cell[2]) / cc * nz
    a_across = cell[0] - a_steps / nz * cell[2]
    b_across = cell[1] - b_steps / nz * cell[2]
    aa = _dot(a_across, a_across)
    ab = _dot(a_across, b_across)
    bb = _dot(b_across, b_across)
    steps = nz / math.sqrt(cc)
    start = np.empty(3)
    widest = radii.max() if radii.size else 0.0
    crossings = np.empty((3, math.ceil(2.0 * widest * _LOOSE / math.sqrt(bb) * ny) + 2), np.int64)
    for n in range(radii.size):
        fx, fy, fz = fractional[n, 0], fractional[n, 1], fractional[n, 2] * nz
        square = (radii[n] * _LOOSE) ** 2
        reach = radii[n] / heights[0] * _LOOSE
        first_x = math.ceil((fx - reach) * nx - _NEAR)
        last_x = math.floor((fx + reach) * nx + _NEAR)
        for shift_x in range(-((x0 + planes - 1 - first_x) // nx), (last_x - x0) // nx + 1):
            base = x0 + shift_x * nx
            for ix in range(max(first_x, base), min(last_x, base + planes - 1) + 1):
                alpha = ix / nx - fx
                left = square - aa * alpha * alpha
                slope = 2.0 * ab * alpha
                root = 0.25 * slope * slope + bb * left
                if root < 0.0:
                    continue
                root = math.sqrt(root)
                first_y = math.ceil((fy - (0.5 * slope + root) / bb) * ny - _NEAR)
                last_y = math.floor((fy - (0.5 * slope - root) / bb) * ny + _NEAR)
                rows = last_y - first_y + 1
                middle = fz - a_steps * alpha
                # near a tangent a small error under the root moves the ends far: every end is in doubt there
                least = 2.0 * _NEAR * square
                chord = Chord(left, slope, bb, least, middle, b_steps, steps)
                _cross_rows(first_y, rows, ny, fy, chord, crossings)
                row_y = first_y % ny
                for k in range(rows):
                    first = crossings[0, k]
                    last = crossings[1, k]
                    if crossings[2, k]:
                        shift_y = (first_y + k - row_y) // ny
                        for m in range(3):
                            image = positions[n, m] - (shift_x * cell[0, m] + shift_y * cell[1, m])
                            start[m] = xs[ix - shift_x * nx, m] + ys[row_y, m] - image
                        first, last = _trim(first, last, start, zs, cell, limits[n])
                    if first <= last:
                        row = ((ix - base) * ny + row_y) * words
                        if first >= 0 and last < nz:
                            _clear_bits(bits, row, first, last)
                        else:
                            _clear_wrapped(bits, row, first, last, nz)
                    row_y += 1
                    if row_y == ny:
                        row_y = 0
    return free
