"""Compiled kernels of migration paths: the cheapest walks over a periodic grid, and their smoothing.

A step of a walk has a number from 0 to 26: 9·(x + 1) + 3·(y + 1) + z + 1 of its components −1, 0 and 1.
"""

import math

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_SAMPLES = 4
"""Intervals in which a segment of a path is sampled."""


@njit(cache=True, nogil=True, error_model="numpy")
def _push(keys, items, count, key, item):  # type: ignore[no-untyped-def]
    n = count
    while n > 0:
        up = (n - 1) // 2
        if keys[up] <= key:
            break
        keys[n] = keys[up]
        items[n] = items[up]
        n = up
    keys[n] = key
    items[n] = item


@njit(cache=True, nogil=True, error_model="numpy")
def _pop(keys, items, count):  # type: ignore[no-untyped-def]
    """Take the smallest of `count` entries off a heap, which is at its front, by moving the last one down."""
    last = count - 1
    key = keys[last]
    item = items[last]
    n = 0
    while 2 * n + 1 < last:
        down = 2 * n + 1
        if down + 1 < last and keys[down + 1] < keys[down]:
            down += 1
        if keys[down] >= key:
            break
        keys[n] = keys[down]
        items[n] = items[down]
        n = down
    keys[n] = key
    items[n] = item


@njit(cache=True, nogil=True, error_model="numpy")
def _look_around(p, shape, places, cells):  # type: ignore[no-untyped-def]
    """Find the points that the 27 steps from p lead to, and in which cells around p's."""
    nx, ny, nz = shape
    i = p // (ny * nz)
    j = p // nz % ny
    k = p % nz
    for step in range(27):
        qi = i + step // 9 - 1
        qj = j + step // 3 % 3 - 1
        qk = k + step % 3 - 1
        x = (qi >= nx) - (qi < 0)
        y = (qj >= ny) - (qj < 0)
        z = (qk >= nz) - (qk < 0)
        cells[step, 0] = x
        cells[step, 1] = y
        cells[step, 2] = z
        places[step] = ((qi - x * nx) * ny + qj - y * ny) * nz + qk - z * nz


@njit(cache=True, nogil=True, error_model="numpy")
def cheapest_walks(weights, shape, lengths, start, end):  # type: ignore[no-untyped-def]
    """Find the cheapest walk from one point to all others, or until `end` is reached (−1: all).

    `weights` (n,) is the cost per length, 0 outside; `lengths` (27,) those of the steps. Returns the cost of every
    point, the step that led to it, and the cell in which the walk arrives.
    """
    costs = np.full(weights.size, np.inf)
    steps = np.full(weights.size, -1, np.int8)
    offsets = np.zeros((weights.size, 3), np.int32)
    done = np.zeros(weights.size, np.bool_)
    places = np.empty(27, np.int64)
    cells = np.empty((27, 3), np.int64)
    keys = np.empty(1024)
    items = np.empty(1024, np.int64)
    keys[0] = costs[start] = 0.0
    items[0] = start
    count = 1
    while count > 0:
        p = items[0]
        _pop(keys, items, count)
        count -= 1
        if done[p]:
            continue
        done[p] = True
        if p == end:
            break
        if count + 27 > keys.size:
            keys = np.concatenate((keys, np.empty_like(keys)))
            items = np.concatenate((items, np.empty_like(items)))
        _look_around(p, shape, places, cells)
        for step in range(27):
            q = places[step]
            if done[q] or not weights[q] > 0.0:
                continue
            cost = costs[p] + 0.5 * (weights[p] + weights[q]) * lengths[step]
            if cost < costs[q]:
                costs[q] = cost
                steps[q] = step
                for axis in range(3):
                    offsets[q, axis] = offsets[p, axis] + cells[step, axis]
                _push(keys, items, count, cost, q)
                count += 1
    return costs, steps, offsets


@njit(cache=True, nogil=True, error_model="numpy")
def cheapest_loops(weights, shape, lengths, costs, offsets):  # type: ignore[no-untyped-def]
    """Find for every winding the cheapest loop of two walks from the start and one step between their ends.

    Returns windings (n, 3), costs, the points where the steps begin and the steps. Of a winding and its opposite only
    one is there.
    """
    places = np.empty(27, np.int64)
    cells = np.empty((27, 3), np.int64)
    windings = np.empty((16, 3), np.int64)
    totals = np.empty(16)
    begins = np.empty(16, np.int64)
    steps = np.empty(16, np.int64)
    count = 0
    for p in range(weights.size):
        if not costs[p] < np.inf:
            continue
        _look_around(p, shape, places, cells)
        for step in range(27):
            q = places[step]
            if not costs[q] < np.inf:
                continue
            x = offsets[p, 0] + cells[step, 0] - offsets[q, 0]
            y = offsets[p, 1] + cells[step, 1] - offsets[q, 1]
            z = offsets[p, 2] + cells[step, 2] - offsets[q, 2]
            if x < 0 or (x == 0 and (y < 0 or (y == 0 and z <= 0))):
                continue
            total = costs[p] + costs[q] + 0.5 * (weights[p] + weights[q]) * lengths[step]
            known = 0
            while known < count and (windings[known, 0] != x or windings[known, 1] != y or windings[known, 2] != z):
                known += 1
            if known == count:
                if count == totals.size:
                    windings = np.concatenate((windings, np.empty_like(windings)))
                    totals = np.concatenate((totals, np.empty_like(totals)))
                    begins = np.concatenate((begins, np.empty_like(begins)))
                    steps = np.concatenate((steps, np.empty_like(steps)))
                windings[known, 0] = x
                windings[known, 1] = y
                windings[known, 2] = z
                totals[known] = np.inf
                count += 1
            if total < totals[known]:
                totals[known] = total
                begins[known] = p
                steps[known] = step
    return windings[:count], totals[:count], begins[:count], steps[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _value(values, x, y, z):  # type: ignore[no-untyped-def]
    """Interpolate between the eight points around a place in grid units; infinite beside a point that is not finite."""
    nx, ny, nz = values.shape
    i0 = math.floor(x)
    j0 = math.floor(y)
    k0 = math.floor(z)
    fx = x - i0
    fy = y - j0
    fz = z - k0
    total = 0.0
    for corner in range(8):
        i = corner // 4
        j = corner // 2 % 2
        k = corner % 2
        weight = (fx if i else 1.0 - fx) * (fy if j else 1.0 - fy) * (fz if k else 1.0 - fz)
        if weight > 0.0:
            value = values[int(i0 + i) % nx, int(j0 + j) % ny, int(k0 + k) % nz]
            if not math.isfinite(value):
                return np.inf
            total += weight * value
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def values_along(values, points):  # type: ignore[no-untyped-def]
    """Interpolate at places (n, 3) in grid units."""
    out = np.empty(len(points))
    for n in range(len(points)):
        out[n] = _value(values, points[n, 0], points[n, 1], points[n, 2])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _segment_cost(values, metric, a, b, highest, sharpness, longest):  # type: ignore[no-untyped-def]
    """Integrate exp[sharpness·(value − highest)] over a segment; infinite where it is undefined or too long."""
    dx = b[0] - a[0]
    dy = b[1] - a[1]
    dz = b[2] - a[2]
    square = 0.0
    for k in range(3):
        square += (dx * metric[0, k] + dy * metric[1, k] + dz * metric[2, k]) ** 2
    length = math.sqrt(square)
    if length > longest:
        return np.inf
    total = 0.0
    for n in range(_SAMPLES + 1):
        t = n / _SAMPLES
        value = _value(values, a[0] + t * dx, a[1] + t * dy, a[2] + t * dz)
        total += (0.5 if n in (0, _SAMPLES) else 1.0) * math.exp(sharpness * (value - highest))
    return total * length / _SAMPLES


@njit(cache=True, nogil=True, error_model="numpy")
def relax_path(values, metric, points, fixed, highest, sharpness, sweeps):  # type: ignore[no-untyped-def]
    """Move the points of a path, in grid units, to where the integral along it is smaller; none above `highest`.

    `metric` holds the grid steps as rows [Å]; points that are `fixed` stay.
    """
    inverse = np.linalg.inv(metric)
    step = math.sqrt((metric**2).sum() / 3.0)
    longest = 4.0 * step
    size = 0.25 * step
    move = np.empty(3)
    tried = np.empty(3)
    for _ in range(sweeps):
        improved = False
        for n in range(1, len(points) - 1):
            if fixed[n]:
                continue
            before, here, after = points[n - 1], points[n], points[n + 1]
            cost = _segment_cost(values, metric, before, here, highest, sharpness, longest)
            cost += _segment_cost(values, metric, here, after, highest, sharpness, longest)
            for choice in range(14):
                if choice < 2:  # to the middle between its neighbors, or half the way
                    for k in range(3):
                        move[k] = (0.5 * (before[k] + after[k]) - here[k]) * (1.0 if choice == 0 else 0.5)
                else:  # to either side along x, y or z, far or near
                    axis = (choice - 2) // 4
                    amount = size * (1.0 if choice % 2 else -1.0) * (1.0 if (choice - 2) // 2 % 2 == 0 else 0.25)
                    for k in range(3):
                        move[k] = amount * inverse[axis, k]
                for k in range(3):
                    tried[k] = here[k] + move[k]
                if not _value(values, tried[0], tried[1], tried[2]) <= highest:
                    continue
                new = _segment_cost(values, metric, before, tried, highest, sharpness, longest)
                if new < cost:
                    new += _segment_cost(values, metric, tried, after, highest, sharpness, longest)
                if new < cost * (1.0 - 1e-6):
                    cost = new
                    improved = True
                    for k in range(3):
                        here[k] = tried[k]
        if not improved:
            break


@njit(cache=True, nogil=True, error_model="numpy")
def straighten_path(values, points, fixed, highest, allowance, sweeps):  # type: ignore[no-untyped-def]
    """Move the points of a path, in grid units, towards the middle between their neighbors.

    A point stays where its value would rise above `highest`, or by more than `allowance` above what it and its
    neighbors began with. Linear interpolation is too high between the points of a grid: its integral keeps some zigzag.
    """
    tried = np.empty(3)
    heights = values_along(values, points)
    for _ in range(sweeps):
        for n in range(1, len(points) - 1):
            if fixed[n]:
                continue
            limit = max(heights[n - 1], heights[n], heights[n + 1]) + allowance
            for share in (1.0, 0.5, 0.25):
                for k in range(3):
                    middle = 0.5 * (points[n - 1, k] + points[n + 1, k])
                    tried[k] = points[n, k] + share * (middle - points[n, k])
                value = _value(values, tried[0], tried[1], tried[2])
                if value <= min(limit, highest):
                    points[n] = tried
                    break
