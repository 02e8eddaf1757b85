"""The 256 ways in which a surface crosses a cube, derived from one rule for the faces of the cube.

Corner c of a cube lies at (c >> 2, c >> 1 & 1, c & 1); the cases have bit c set where corner c is above the level. On
each face the crossed edges are joined in pairs by looking at the four corners of that face alone, so two cubes that
share a face agree on it, and the surface is closed. Where the corners alternate, the two above are cut off one by one:
the region below holds together.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

EDGES = tuple((start, axis) for axis, bit in enumerate((4, 2, 1)) for start in range(8) if not start & bit)
"""The twelve edges of a cube: the corner where one starts, and the axis along which it runs."""


@functools.cache
def _faces() -> list[list[int]]:
    """Give the corners of the six faces, counter-clockwise seen from outside."""
    faces = []
    for axis in range(3):
        normal, u, v = (4 >> (axis + turn) % 3 for turn in range(3))
        faces += [[0, v, u + v, u], [normal, normal + u, normal + u + v, normal + v]]
    return faces


@functools.cache
def tables_of_cases() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Give the crossed edges of each case, and the corners of its triangles as places in that list.

    Each row begins with how many there are. An edge is four times the corner where it starts plus its axis. Triangles
    are counter-clockwise seen from the side above the level.
    """
    crossed, triangles = np.zeros((256, 13), dtype=np.int8), np.zeros((256, 16), dtype=np.int8)
    for case in range(256):
        loops = _loops(case)
        edges = [edge for loop in loops for edge in loop]
        corners = [edges.index(edge) for loop in loops for triangle in _triangulate(loop) for edge in triangle]
        crossed[case, : len(edges) + 1] = [len(edges), *(4 * EDGES[edge][0] + EDGES[edge][1] for edge in edges)]
        triangles[case, : len(corners) + 1] = [len(corners), *corners]
    return crossed, triangles


@functools.cache
def _edge_between(a: int, b: int) -> int:
    return EDGES.index((min(a, b), (4, 2, 1).index(a ^ b)))


def _loops(case: int) -> list[list[int]]:
    """Chain the lines on the faces of a cube to closed loops of edges."""
    following = {}
    for corners in _faces():
        rising: list[tuple[int, int]] = []
        falling: list[tuple[int, int]] = []
        for a, b in itertools.pairwise([*corners, corners[0]]):
            above, next_above = case >> a & 1, case >> b & 1
            if above != next_above:
                (rising if next_above else falling).append((corners.index(a), _edge_between(a, b)))
        for place, edge in rising:
            # the next place round the face where one comes down again: just one stretch above lies between
            _, end = min(((down - place) % 4, edge) for down, edge in falling)
            following[edge] = end
    loops = []
    while following:
        edge, after = following.popitem()
        loop = [edge]
        while after != edge:
            loop.append(after)
            after = following.pop(after)
        loops.append(loop)
    return loops


def _triangulate(loop: list[int]) -> list[tuple[int, int, int]]:
    """Fill a loop with triangles: no diagonal in a face of the cube, and the diagonals as short as possible.

    A diagonal in a face would meet the one that the neighboring cube may draw there: four triangles at one edge.
    """

    @functools.cache
    def best(first: int, last: int) -> tuple[float, tuple[tuple[int, int, int], ...]]:
        if last - first < 2:
            return 0.0, ()
        options = []
        for middle in range(first + 1, last):
            cost = 0.0
            triangles: tuple[tuple[int, int, int], ...] = ((loop[first], loop[last], loop[middle]),)
            for a, b in ((first, middle), (middle, last)):
                inner, more = best(a, b)
                cost += inner + (_cost(loop[a], loop[b]) if b - a > 1 else 0.0)
                triangles += more
            options.append((cost, triangles))
        return min(options)

    return list(best(0, len(loop) - 1)[1])


@functools.cache
def _cost(edge: int, other: int) -> float:
    (a, b), (c, d) = _ends(edge), _ends(other)
    in_a_face = any(a[axis] == b[axis] == c[axis] == d[axis] for axis in range(3))
    square = sum((a[k] + b[k] - c[k] - d[k]) ** 2 / 4 for k in range(3))
    return 1000.0 * in_a_face + square


def _ends(edge: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    start, axis = EDGES[edge]
    return _place(start), _place(start | 4 >> axis)


def _place(corner: int) -> tuple[int, int, int]:
    return corner >> 2, corner >> 1 & 1, corner & 1
