"""Kernels of the renderer: depth buffers, lamps and translucent panes.

All take coordinates in pixels and a depth that grows towards the viewer; row 0 is at the bottom.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

OFFSET: Final = 0.06
"""How far above its surface a point is lit [Å], so that it does not shade itself."""
_ON_EDGE: Final = 1e-6
"""How close to an edge counts as on it [pixels]."""
_BLOCK: Final = 1024
"""Points that are lit together."""


@njit(cache=True, nogil=True)
def fill_triangles(vertices: Any, faces: Any, depth: Any, index: Any) -> None:
    """Enter the number of each triangle where it is the nearest so far."""
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        bottom, top, left, right = _box(a, b, c, depth.shape)
        if bottom > top or left > right:
            continue
        u0, ux, uy, v0, vx, vy = _weights(a, b, c)
        for row in range(bottom, top + 1):
            u, v = u0 + row * uy, v0 + row * vy
            low, high = _span(u, ux, v, vx, left, right)
            for column in range(low, high + 1):
                z = c[2] + (u + column * ux) * (a[2] - c[2]) + (v + column * vx) * (b[2] - c[2])
                if z > depth[row, column]:
                    depth[row, column] = z
                    index[row, column] = f


@njit(cache=True, nogil=True)
def fill_discs(discs: Any, radii: Any, rise: Any, depth: Any, index: Any, first: int) -> None:
    """Enter the number of each sphere, counted from `first`; `rise` is its depth per pixel."""
    height, width = depth.shape
    for s in range(len(discs)):
        x0, y0, r = discs[s, 0] - 0.5, discs[s, 1] - 0.5, radii[s]
        for row in range(max(0, int(np.ceil(y0 - r))), min(height - 1, int(np.floor(y0 + r))) + 1):
            half = np.sqrt(max(0.0, r * r - (row - y0) ** 2))
            for column in range(max(0, int(np.ceil(x0 - half))), min(width - 1, int(np.floor(x0 + half))) + 1):
                z = discs[s, 2] + np.sqrt(max(0.0, half * half - (column - x0) ** 2)) * rise[s]
                if z > depth[row, column]:
                    depth[row, column] = z
                    index[row, column] = first + s


@njit(cache=True, nogil=True)
def surface_normals(
    rows: Any, columns: Any, index: Any, vertices: Any, normals: Any, faces: Any, discs: Any, radii: Any
) -> Any:
    """Find the normal, turned towards the viewer, of what each pixel shows."""
    found = np.empty((len(rows), 3), np.float32)
    for k in range(len(rows)):
        f = index[rows[k], columns[k]]
        if f < len(faces):
            a, b, c = faces[f]
            u0, ux, uy, v0, vx, vy = _weights(vertices[a], vertices[b], vertices[c])
            u, v = u0 + columns[k] * ux + rows[k] * uy, v0 + columns[k] * vx + rows[k] * vy
            for i in range(3):
                found[k, i] = u * normals[a, i] + v * normals[b, i] + (1 - u - v) * normals[c, i]
        else:
            s = f - len(faces)
            found[k, 0] = (columns[k] + 0.5 - discs[s, 0]) / radii[s]
            found[k, 1] = (rows[k] + 0.5 - discs[s, 1]) / radii[s]
            found[k, 2] = np.sqrt(max(0.0, 1 - found[k, 0] ** 2 - found[k, 1] ** 2))
        length = np.sqrt(found[k, 0] ** 2 + found[k, 1] ** 2 + found[k, 2] ** 2)
        if length > 0:
            for i in range(3):
                found[k, i] /= length if found[k, 2] >= 0 else -length
    return found


@njit(cache=True, nogil=True)
def gather_light(points: Any, normals: Any, turns: Any, starts: Any, strengths: Any, maps: Any, light: Any) -> None:
    """Sum the light of all lamps on points with normals into `light`.

    `turns` and `starts` take a point to column, row and depth of each lamp's map; the third row of `turns` points at
    the lamp. A lamp shines on what its map holds nothing nearer for.
    """
    # Lamp by lamp over points that lie side by side: they share a corner of its map, which stays in the cache, and
    # loops over single-precision arrays without branches become vector instructions.
    size, offset, none = maps.shape[1], np.float32(OFFSET), np.float32(0.0)
    normal, raised = np.empty((3, _BLOCK), np.float32), np.empty((3, _BLOCK), np.float32)
    place, height = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.float32)
    received, total = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    for first in range(0, len(points), _BLOCK):
        count = min(_BLOCK, len(points) - first)
        for k in range(count):
            total[k] = none
            for i in range(3):
                normal[i, k] = normals[first + k, i]
                raised[i, k] = points[first + k, i] + offset * normal[i, k]
        nx, ny, nz = normal
        x, y, z = raised
        for lamp in range(len(turns)):
            (ax, ay, az), (bx, by, bz), (cx, cy, cz) = turns[lamp]
            a, b, c = starts[lamp]
            nearest, strength = maps[lamp].ravel(), strengths[lamp]
            for k in range(count):
                column = np.int32(ax * x[k] + ay * y[k] + az * z[k] + a)
                row = np.int32(bx * x[k] + by * y[k] + bz * z[k] + b)
                place[k] = row * size + column
                height[k] = cx * x[k] + cy * y[k] + cz * z[k] + c + offset
                received[k] = max(cx * nx[k] + cy * ny[k] + cz * nz[k], none) * strength
            for k in range(count):
                total[k] += received[k] if height[k] >= nearest[place[k]] else none
        for k in range(count):
            light[first + k] = total[k]


@njit(cache=True)
def blend(panes: Any, colors: Any, stopped: Any, depth: Any, image: Any) -> None:
    """Lay translucent triangles over an image, in their order, where nothing in the depth buffer is nearer."""
    for f in range(len(panes)):
        a, b, c = panes[f, 0], panes[f, 1], panes[f, 2]
        bottom, top, left, right = _box(a, b, c, depth.shape)
        u0, ux, uy, v0, vx, vy = _weights(a, b, c)
        for row in range(bottom, top + 1):
            u, v = u0 + row * uy, v0 + row * vy
            low, high = _span(u, ux, v, vx, left, right)
            for column in range(low, high + 1):
                z = c[2] + (u + column * ux) * (a[2] - c[2]) + (v + column * vx) * (b[2] - c[2])
                if z >= depth[row, column]:
                    for i in range(3):
                        image[row, column, i] += stopped[f] * (colors[f, i] - image[row, column, i])


@njit(cache=True)
def _box(a: Any, b: Any, c: Any, shape: Any) -> Any:
    """Give the rows and columns of the pixels whose middles may lie in a triangle."""
    height, width = shape
    left, right = int(np.ceil(min(a[0], b[0], c[0]) - 0.5)), int(np.floor(max(a[0], b[0], c[0]) - 0.5))
    bottom, top = int(np.ceil(min(a[1], b[1], c[1]) - 0.5)), int(np.floor(max(a[1], b[1], c[1]) - 0.5))
    return max(0, bottom), min(height - 1, top), max(0, left), min(width - 1, right)


@njit(cache=True)
def _weights(a: Any, b: Any, c: Any) -> Any:
    """Give the weights of corners a and b at the middle of pixel (0, 0), each with its slopes in x and y."""
    ax, ay, bx, by = np.float64(a[0]) - c[0], np.float64(a[1]) - c[1], np.float64(b[0]) - c[0], np.float64(b[1]) - c[1]
    area = ax * by - bx * ay
    if area == 0:  # seen edge-on: no pixel has positive weights
        return -1.0, 0.0, 0.0, -1.0, 0.0, 0.0
    ux, uy, vx, vy = by / area, -bx / area, -ay / area, ax / area
    x, y = 0.5 - c[0], 0.5 - c[1]
    return x * ux + y * uy, ux, uy, x * vx + y * vy, vx, vy


@njit(cache=True)
def _span(u: float, ux: float, v: float, vx: float, left: int, right: int) -> Any:
    """Give the first and last column of a row in which no weight is negative.

    A middle exactly on an edge belongs to both triangles, so that rounding leaves no gap.
    """
    low, high = float(left), float(right)
    for value, slope in ((u, ux), (v, vx), (1 - u - v, -ux - vx)):
        if slope > 0:
            low = max(low, np.ceil(-value / slope - _ON_EDGE))
        elif slope < 0:
            high = min(high, np.floor(-value / slope + _ON_EDGE))
        elif value < -_ON_EDGE:
            high = -1.0
    return (int(low), int(high)) if low <= high else (0, -1)
