"""Compiled kernels that draw a surface through a periodic grid.

What decides how the surface runs is one bit for each point: at or above the level, or below. The bits of a row of
points are packed into words of 64, with the first point once more behind the last, and rows of cubes that the surface
does not cross are passed over 64 at a time. Every vertex lies on one edge of the grid, and its number follows from
the edge: the first number of the plane, that of the word within the plane, and the crossed edges before it in the
word. Planes do not depend on each other: any number of threads gives the same bits.
"""

import numpy as np
from numba import njit

from amorph.kernel_cache import provide_cache_folder

provide_cache_folder()

WORD = 64
"""Points in a word of bits."""

_ONE = np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy")
def _count(word):  # type: ignore[no-untyped-def]
    """Count the bits of a word; LLVM knows the pattern and makes one instruction of it."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True, error_model="numpy")
def classify(values, level, margin, planes):  # type: ignore[no-untyped-def]
    """Set the bits of the points at or above the level, plane by plane; returns how many values are not finite.

    With a margin of 1 the row begins with a point above the level, and ends with its own first point.
    """
    n_planes, ny, nz = values.shape
    words = planes.shape[2]
    above = np.zeros(words * WORD, np.uint8)
    above[0] = 1
    inner = above[margin : margin + nz]
    packed = above.view(np.uint64)
    broken = 0
    for i in range(n_planes):
        for j in range(ny):
            row = values[i, j]
            unfit = 0
            for k in range(nz):
                value = np.float64(row[k])
                inner[k] = value >= level
                unfit += value - value != 0.0
            above[margin + nz] = inner[0]
            if margin:
                above[nz + 2] = 1
            broken += unfit
            for word in range(words):
                bits = np.uint64(0)
                for byte in range(8):
                    # the lowest bits of eight bytes, gathered into one byte
                    eight = (packed[8 * word + byte] * np.uint64(0x0102040810204080)) >> np.uint64(56)
                    bits |= eight << np.uint64(8 * byte)
                planes[i, j, word] = bits
    return broken


@njit(cache=True, nogil=True, error_model="numpy")
def _shifted(row, word):  # type: ignore[no-untyped-def]
    """Move the bits of a row down by one: bit k then belongs to point k + 1."""
    bits = row[word] >> _ONE
    if word + 1 < row.shape[0]:
        bits |= row[word + 1] << np.uint64(63)
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def _points(word, nz):  # type: ignore[no-untyped-def]
    """Give the bits of a word that stand for points of the grid, not for the repeated one."""
    left = nz - word * WORD
    if left >= WORD:
        return ~np.uint64(0)
    return (_ONE << np.uint64(left)) - _ONE if left > 0 else np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _active(rows, next_rows, j, word, nz):  # type: ignore[no-untyped-def]
    """Find the cubes of a word whose corners differ; returns them and the eight corners' bits."""
    after = j + 1 if j + 1 < rows.shape[0] else 0
    c0 = rows[j, word]
    c2 = rows[after, word]
    c4 = next_rows[j, word]
    c6 = next_rows[after, word]
    c1 = _shifted(rows[j], word)
    c3 = _shifted(rows[after], word)
    c5 = _shifted(next_rows[j], word)
    c7 = _shifted(next_rows[after], word)
    some = c0 | c1 | c2 | c3 | c4 | c5 | c6 | c7
    every = c0 & c1 & c2 & c3 & c4 & c5 & c6 & c7
    return some & ~every & _points(word, nz), (c0, c1, c2, c3, c4, c5, c6, c7)


@njit(cache=True, nogil=True, error_model="numpy")
def _case(corners, k):  # type: ignore[no-untyped-def]
    case = np.uint64(0)
    for corner in range(8):
        case |= ((corners[corner] >> np.uint64(k)) & _ONE) << np.uint64(corner)
    return np.int64(case)


@njit(cache=True, nogil=True, error_model="numpy")
def _crossed(planes, i, j, word, axis):  # type: ignore[no-untyped-def]
    """Find the edges along an axis, from the points of one word, that the surface crosses; some beyond the row too."""
    bits = planes[i, j, word]
    if axis == 0:
        return bits ^ planes[i + 1 if i + 1 < planes.shape[0] else 0, j, word]
    if axis == 1:
        return bits ^ planes[i, j + 1 if j + 1 < planes.shape[1] else 0, word]
    return bits ^ _shifted(planes[i, j], word)


@njit(cache=True, nogil=True, error_model="numpy")
def count_plane(planes, first, n_planes, nz, numbers, n_triangles, counts):  # type: ignore[no-untyped-def]
    """Number the vertices of some planes word by word; counts[i] becomes vertices and triangles of plane i."""
    ny, words = planes.shape[1:]
    for i in range(first, first + n_planes):
        after = i + 1 if i + 1 < planes.shape[0] else 0
        vertices = 0
        triangles = 0
        for j in range(ny):
            for word in range(words):
                inside = _points(word, nz)
                for axis in range(3):
                    numbers[i, j, word, axis] = vertices
                    vertices += _count(_crossed(planes, i, j, word, axis) & inside)
                left, corners = _active(planes[i], planes[after], j, word, nz)
                while left:
                    lowest = left & (~left + _ONE)
                    triangles += n_triangles[_case(corners, _count(lowest - _ONE))]
                    left ^= lowest
        counts[i, 0] = vertices
        counts[i, 1] = triangles


@njit(cache=True, nogil=True, error_model="numpy")
def place_vertices(planes, first, n_planes, nz, starts, values, level, margin, places, outside):  # type: ignore[no-untyped-def]
    """Write where the level is crossed on each edge, in steps of the grid.

    With a margin of 1 the bits have one more layer of points all round the cell, where nothing is known: a vertex on an
    edge to it is moved onto the cell face, and marked with one more than the number of the point that it moves to.
    """
    ny, words = planes.shape[1:]
    grid = values.shape
    lower = np.empty(3, np.int64)
    for i in range(first, first + n_planes):
        vertex = starts[i, 0]
        for j in range(ny):
            for word in range(words):
                inside = _points(word, nz)
                for axis in range(3):
                    left = _crossed(planes, i, j, word, axis) & inside
                    while left:
                        lowest = left & (~left + _ONE)
                        lower[0] = i - margin
                        lower[1] = j - margin
                        lower[2] = word * WORD + _count(lowest - _ONE) - margin
                        left ^= lowest
                        for k in range(3):
                            places[vertex, k] = lower[k]
                        if lower[axis] < 0 or (margin and lower[axis] == grid[axis]):
                            lower[axis] = max(lower[axis], 0)
                            places[vertex, axis] = lower[axis]
                            outside[vertex] = 1 + (
                                (lower[0] * (grid[1] + 1) + lower[1]) * (grid[2] + 1) + lower[2]
                            )
                        else:
                            start = np.float64(values[lower[0] % grid[0], lower[1] % grid[1], lower[2] % grid[2]])
                            lower[axis] += 1
                            end = np.float64(values[lower[0] % grid[0], lower[1] % grid[1], lower[2] % grid[2]])
                            places[vertex, axis] += (level - start) / (end - start)
                        vertex += 1


@njit(cache=True, nogil=True, error_model="numpy")
def connect(planes, first, n_planes, nz, starts, numbers, edges, n_triangles, table, turned, faces, shifts):  # type: ignore[no-untyped-def]
    """Write the triangles of some planes of cubes, and in which image of the cell each of their corners lies."""
    ny, words = planes.shape[1:]
    vertices = np.empty(12, np.int64)
    images = np.empty((12, 3), np.int8)
    for i in range(first, first + n_planes):
        after = i + 1 if i + 1 < planes.shape[0] else 0
        face = starts[i, 1]
        for j in range(ny):
            for word in range(words):
                left, corners = _active(planes[i], planes[after], j, word, nz)
                while left:
                    lowest = left & (~left + _ONE)
                    bit = _count(lowest - _ONE)
                    left ^= lowest
                    case = _case(corners, bit)
                    k = word * WORD + bit
                    for edge in range(12):
                        start = edges[edge, 0]
                        axis = edges[edge, 1]
                        if ((case >> start) ^ (case >> (start | (4 >> axis)))) & 1 == 0:
                            continue
                        x = i + (start >> 2)
                        y = j + ((start >> 1) & 1)
                        z = k + (start & 1)
                        images[edge, 0] = x == planes.shape[0]
                        images[edge, 1] = y == ny
                        images[edge, 2] = z == nz
                        x = 0 if images[edge, 0] else x
                        y = 0 if images[edge, 1] else y
                        z = 0 if images[edge, 2] else z
                        owner = z // WORD
                        before = (_ONE << np.uint64(z % WORD)) - _ONE
                        vertices[edge] = (
                            starts[x, 0]
                            + numbers[x, y, owner, axis]
                            + _count(_crossed(planes, x, y, owner, axis) & before)
                        )
                    for triangle in range(n_triangles[case]):
                        for corner in range(3):
                            edge = table[case, 3 * triangle + (2 - corner if turned else corner)]
                            faces[face, corner] = vertices[edge]
                            for axis in range(3):
                                shifts[face, corner, axis] = images[edge, axis]
                        face += 1
