"""Compiled kernels of one convex polyhedron that planes cut.

A polyhedron is a map of corners in which exactly three edges meet; a corner where more faces meet is several corners
at one place. Half-edge 4·v + k is edge k of corner v, the three counted counterclockwise as seen from outside; `twin`
is the same edge from its other end, `face` the plane to the left of it, which lies between edges k and k + 1.

A plane removes the corners that are connected with the farthest one beyond it, and what that cuts off from the rest;
the kept corners are connected and so are the removed ones, so the edges between them form one ring, whatever the
rounding of coordinates. The ring becomes the new face. So every map stays that of a convex polyhedron: planes that
touch an edge or a corner within rounding change volumes in second order, and no input can corrupt a cell.

The arrays of a polyhedron are (corners, halves, scratch): corners (7, m) with positions in rows 0 to 2, the heights
over a plane in row 3 and new corners in rows 4 to 6; halves (2, 4 m) with `twin` and `face`; scratch (4, m), of which
row 0 is zero between cuts. Each cut adds at most two corners.
"""

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

CUBE_FACES = 6
"""The first planes of every polyhedron are the faces of the cube that it is cut from."""


def _cube() -> tuple[np.ndarray, np.ndarray]:
    """Make the half-edges of a cube; bit a of a corner's number tells its side along axis a."""
    # three axes are counterclockwise around (+, +, +) and around every corner that two mirrors lead to
    axes = [(0, 1, 2) if corner.bit_count() % 2 == 1 else (0, 2, 1) for corner in range(8)]
    twin, face = np.zeros(32, np.int64), np.zeros(32, np.int64)
    for corner in range(8):
        for k in range(3):
            axis = axes[corner][k]
            other = corner ^ (1 << axis)
            twin[4 * corner + k] = 4 * other + axes[other].index(axis)
            normal = 3 - axis - axes[corner][(k + 1) % 3]
            face[4 * corner + k] = 2 * normal + (corner >> normal & 1)
    return twin, face


_CUBE_TWIN, _CUBE_FACE = _cube()


@njit(cache=True, nogil=True, error_model="numpy")
def start_cube(corners, halves, half):  # type: ignore[no-untyped-def]
    """Make the cell a cube."""
    for v in range(8):
        for axis in range(3):
            corners[axis, v] = half if v >> axis & 1 else -half
    halves[0, :32] = _CUBE_TWIN
    halves[1, :32] = _CUBE_FACE


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc"})
def heights_over(corners, n, x, y, z, offset):  # type: ignore[no-untyped-def]
    """Write how far each corner lies beyond a plane, in lengths of its normal, to row 3; returns the largest."""
    xs = corners[0]
    ys = corners[1]
    zs = corners[2]
    out = corners[3]
    best = -np.inf
    for v in range(n):
        height = xs[v] * x + ys[v] * y + zs[v] * z - offset
        out[v] = height
        best = max(best, height)
    return best


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "nsz", "reassoc"})
def farthest_square(corners, n):  # type: ignore[no-untyped-def]
    xs = corners[0]
    ys = corners[1]
    zs = corners[2]
    best = 0.0
    for v in range(n):
        best = max(best, xs[v] * xs[v] + ys[v] * ys[v] + zs[v] * zs[v])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _flood(heights, twin, top, slack, removed, stack):  # type: ignore[no-untyped-def]
    """Mark the corners beyond a plane that are connected with `top`; returns how many, the edges out, and one."""
    removed[top] = 1
    stack[0] = top
    count = 1
    edges = 0
    edge = -1
    seen = 0
    while seen < count:
        v = stack[seen]
        seen += 1
        for k in range(3):
            u = twin[4 * v + k] >> 2
            if removed[u] == 0:
                if heights[u] > slack:
                    removed[u] = 1
                    stack[count] = u
                    count += 1
                else:
                    edges += 1
                    edge = 4 * v + k
    return count, edges, edge


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_one_part(heights, n, twin, removed, stack):  # type: ignore[no-untyped-def]
    """Keep only the corners that are connected with the deepest kept one; returns what :func:`_flood` does."""
    deepest = -1
    for v in range(n):
        if removed[v] == 0 and (deepest < 0 or heights[v] < heights[deepest]):
            deepest = v
    removed[deepest] = 2
    stack[0] = deepest
    count = 1
    seen = 0
    while seen < count:
        v = stack[seen]
        seen += 1
        for k in range(3):
            u = twin[4 * v + k] >> 2
            if removed[u] == 0:
                removed[u] = 2
                stack[count] = u
                count += 1
    count = 0
    for v in range(n):
        if removed[v] == 2:
            removed[v] = 0
        else:
            removed[v] = 1
            stack[count] = v
            count += 1
    edges = 0
    edge = -1
    for n_removed in range(count):
        v = stack[n_removed]
        for k in range(3):
            if removed[twin[4 * v + k] >> 2] == 0:
                edges += 1
                edge = 4 * v + k
    return count, edges, edge


@njit(cache=True, nogil=True, error_model="numpy")
def _ring(edge, twin, removed, ring):  # type: ignore[no-untyped-def]
    """Follow the edges from kept to removed corners around; returns how many there are."""
    first = twin[edge]
    g = first
    m = 0
    while True:
        ring[m] = g
        m += 1
        h = g
        while True:  # along the face to the left, through what is removed
            t = twin[h]
            h = t + 2 if t & 3 == 0 else t - 1
            if removed[twin[h] >> 2] == 0:
                break
        g = twin[h]
        if g == first:
            return m


@njit(cache=True, nogil=True, error_model="numpy")
def cut(corners, halves, scratch, n, slack, plane):  # type: ignore[no-untyped-def]
    """Cut a polyhedron of n corners by the plane whose heights stand in row 3; returns the new number of corners."""
    xs = corners[0]
    ys = corners[1]
    zs = corners[2]
    heights = corners[3]
    twin = halves[0]
    face = halves[1]
    removed = scratch[0]
    stack = scratch[1]
    ring = scratch[2]
    left = scratch[3]
    top = 0
    for v in range(1, n):
        if heights[v] > heights[top]:
            top = v
    count, edges, edge = _flood(heights, twin, top, slack, removed, stack)
    if count < n:
        m = _ring(edge, twin, removed, ring)
        if m < edges:  # rounding has left the kept corners in several parts
            count, edges, edge = _keep_one_part(heights, n, twin, removed, stack)
            m = _ring(edge, twin, removed, ring)
    else:
        m = 0
    for k in range(m):
        u = ring[k] >> 2
        v = twin[ring[k]] >> 2
        left[k] = face[ring[k]]
        # within [0, 1] for corners that are kept or removed against their height, which rounding alone can do
        t = 0.0 if heights[u] >= 0.0 else 1.0 if heights[v] <= 0.0 else heights[u] / (heights[u] - heights[v])
        corners[4, k] = xs[u] + t * (xs[v] - xs[u])
        corners[5, k] = ys[u] + t * (ys[v] - ys[u])
        corners[6, k] = zs[u] + t * (zs[v] - zs[u])
    for k in range(count, m):  # new corners take the places of removed ones, then those behind the last
        stack[k] = n + k - count
    for k in range(m):
        before = k - 1 if k > 0 else m - 1
        after = k + 1 if k + 1 < m else 0
        v = stack[k]
        xs[v] = corners[4, k]
        ys[v] = corners[5, k]
        zs[v] = corners[6, k]
        removed[v] = 0
        twin[4 * v] = ring[k]
        twin[ring[k]] = 4 * v
        face[4 * v] = left[before]
        twin[4 * v + 1] = 4 * stack[before] + 2
        face[4 * v + 1] = plane
        twin[4 * v + 2] = 4 * stack[after] + 1
        face[4 * v + 2] = left[k]
    last = n
    for k in range(m, count):  # the last corners move to places that stay empty
        v = stack[k]
        if v < n + m - count:
            last -= 1
            while removed[last] == 1:
                last -= 1
            xs[v] = xs[last]
            ys[v] = ys[last]
            zs[v] = zs[last]
            for e in range(3):
                other = twin[4 * last + e]
                twin[4 * v + e] = other
                twin[other] = 4 * v + e
                face[4 * v + e] = face[4 * last + e]
    for k in range(m, count):
        removed[stack[k]] = 0
    return n + m - count


@njit(cache=True, nogil=True, error_model="numpy")
def measure(corners, halves, n, n_planes, surfaces):  # type: ignore[no-untyped-def]
    """Write the area vector of each plane's face to rows 0 to 2 of `surfaces`, its edges to row 3; returns the volume.

    Areas and pyramids are summed from a corner of each face, so that small faces keep their digits.
    """
    twin = halves[0]
    face = halves[1]
    for f in range(n_planes):
        for row in range(4):
            surfaces[row, f] = 0.0
    for v in range(n):
        for k in range(3):
            f = face[4 * v + k]
            if surfaces[3, f] == 0.0:
                surfaces[4, f] = v
            surfaces[3, f] += 1.0
            anchor = int(surfaces[4, f])
            u = twin[4 * v + k] >> 2
            ax = corners[0, v] - corners[0, anchor]
            ay = corners[1, v] - corners[1, anchor]
            az = corners[2, v] - corners[2, anchor]
            bx = corners[0, u] - corners[0, anchor]
            by = corners[1, u] - corners[1, anchor]
            bz = corners[2, u] - corners[2, anchor]
            surfaces[0, f] += 0.5 * (ay * bz - az * by)
            surfaces[1, f] += 0.5 * (az * bx - ax * bz)
            surfaces[2, f] += 0.5 * (ax * by - ay * bx)
    volume = 0.0
    for f in range(n_planes):
        if surfaces[3, f] > 0.0:
            anchor = int(surfaces[4, f])
            for axis in range(3):
                volume += corners[axis, anchor] * surfaces[axis, f] / 3.0
    return volume


@njit(cache=True, nogil=True, error_model="numpy")
def touches_cube(halves, n):  # type: ignore[no-untyped-def]
    for v in range(n):
        for k in range(3):
            if halves[1, 4 * v + k] < CUBE_FACES:
                return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def workspace(size):  # type: ignore[no-untyped-def]
    """Make the arrays of one cell of at most `size` planes; each cut adds at most two corners."""
    most = 8 + 2 * size
    return (
        np.empty((7, most)),
        np.empty((2, 4 * most), np.int64),
        np.zeros((4, most), np.int64),
        np.empty((4, size), np.int64),
        np.empty(size),
    )
