"""Compiled kernels that draw a surface through a periodic grid.

What decides how the surface runs is one bit for each point: at or above the level, or below. The bits of a row of
points are packed into words of 64, with the first point once more behind the last, and rows of cubes that the surface
does not cross are passed over 64 at a time. Every vertex lies on one edge of the grid, and its number follows from
the edge: the first number of the plane, that of the word within the plane, and the crossed edges before it in the
word. Planes do not depend on each other: any number of threads gives the same bits.
"""

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

WORD = 64
"""Points in a word of bits."""

_ONE = np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
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


# Views of rows would be counted references, which cost more than the work on them: everything is indexed in full.


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _shifted(planes, i, j, word):  # type: ignore[no-untyped-def]
    """Move the bits of a row down by one: bit k then belongs to point k + 1."""
    bits = planes[i, j, word] >> _ONE
    if word + 1 < planes.shape[2]:
        bits |= planes[i, j, word + 1] << np.uint64(63)
    return bits


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _points(word, nz):  # type: ignore[no-untyped-def]
    """Give the bits of a word that stand for points of the grid, not for the repeated one."""
    left = nz - word * WORD
    if left >= WORD:
        return ~np.uint64(0)
    return (_ONE << np.uint64(left)) - _ONE if left > 0 else np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _corners(planes, i, j, word):  # type: ignore[no-untyped-def]
    """Give the bits of the eight corners of the cubes of a word."""
    after_i = i + 1 if i + 1 < planes.shape[0] else 0
    after_j = j + 1 if j + 1 < planes.shape[1] else 0
    return (
        planes[i, j, word],
        _shifted(planes, i, j, word),
        planes[i, after_j, word],
        _shifted(planes, i, after_j, word),
        planes[after_i, j, word],
        _shifted(planes, after_i, j, word),
        planes[after_i, after_j, word],
        _shifted(planes, after_i, after_j, word),
    )


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _mixed(corners):  # type: ignore[no-untyped-def]
    """Find the cubes whose corners are not all on one side."""
    c0, c1, c2, c3, c4, c5, c6, c7 = corners
    return (c0 | c1 | c2 | c3 | c4 | c5 | c6 | c7) & ~(c0 & c1 & c2 & c3 & c4 & c5 & c6 & c7)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _case(corners, bit):  # type: ignore[no-untyped-def]
    c0, c1, c2, c3, c4, c5, c6, c7 = corners
    k = np.uint64(bit)
    low = ((c0 >> k) & _ONE) | ((c1 >> k) & _ONE) << _ONE | ((c2 >> k) & _ONE) << np.uint64(2)
    low |= ((c3 >> k) & _ONE) << np.uint64(3) | ((c4 >> k) & _ONE) << np.uint64(4)
    high = ((c5 >> k) & _ONE) << np.uint64(5) | ((c6 >> k) & _ONE) << np.uint64(6) | ((c7 >> k) & _ONE) << np.uint64(7)
    return np.int64(low | high)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _crossed(planes, i, j, word, axis):  # type: ignore[no-untyped-def]
    """Find the edges along an axis, from the points of one word, that the surface crosses; some beyond the row too."""
    bits = planes[i, j, word]
    if axis == 0:
        return bits ^ planes[i + 1 if i + 1 < planes.shape[0] else 0, j, word]
    if axis == 1:
        return bits ^ planes[i, j + 1 if j + 1 < planes.shape[1] else 0, word]
    return bits ^ _shifted(planes, i, j, word)


@njit(cache=True, nogil=True, error_model="numpy")
def count_planes(planes, first, n_planes, nz, mixed, numbers, table, counts):  # type: ignore[no-untyped-def]
    """Number the vertices of some planes word by word; counts[i] becomes vertices and triangles of plane i.

    `mixed` gets the bits of the cubes that the surface crosses. A word without any has no crossed edges either.
    """
    ny = planes.shape[1]
    words = planes.shape[2]
    for i in range(first, first + n_planes):
        vertices = 0
        triangles = 0
        for j in range(ny):
            for word in range(words):
                inside = _points(word, nz)
                corners = _corners(planes, i, j, word)
                left = _mixed(corners) & inside
                mixed[i, j, word] = left
                if not left:
                    continue
                for axis in range(3):
                    numbers[i, j, word, axis] = vertices
                    vertices += _count(_crossed(planes, i, j, word, axis) & inside)
                while left:
                    lowest = left & (~left + _ONE)
                    triangles += table[_case(corners, _count(lowest - _ONE)), 0] // 3
                    left ^= lowest
        counts[i, 0] = vertices
        counts[i, 1] = triangles


@njit(cache=True, nogil=True, error_model="numpy")
def place_vertices(cubes, first, n_planes, values, level, margin, steps, vertices, outside):  # type: ignore[no-untyped-def]
    """Write where the level is crossed on each edge; `steps` (3, 3) are the steps of the grid as rows.

    With a margin of 1 the bits have one more layer of points all round the cell, where nothing is known: a vertex on an
    edge to it is moved onto the cell face, and marked with one more than the number of the point that it moves to.
    """
    planes, nz, mixed, starts = cubes
    ny = planes.shape[1]
    words = planes.shape[2]
    na, nb, nc = values.shape
    for i in range(first, first + n_planes):
        vertex = starts[i, 0]
        a = i - margin
        from_a = a if a < na else 0
        to_a = a + 1 if a + 1 < na else 0
        for j in range(ny):
            b = j - margin
            from_b = b if b < nb else 0
            to_b = b + 1 if b + 1 < nb else 0
            for word in range(words):
                if not mixed[i, j, word]:
                    continue
                inside = _points(word, nz)
                for axis in range(3):
                    left = _crossed(planes, i, j, word, axis) & inside
                    while left:
                        lowest = left & (~left + _ONE)
                        left ^= lowest
                        c = word * WORD + _count(lowest - _ONE) - margin
                        from_c = c if c < nc else 0
                        at = a if axis == 0 else b if axis == 1 else c
                        fraction = 0.0
                        if at < 0:
                            fraction = 1.0
                            at = 0
                        elif margin == 0 or at < values.shape[axis]:
                            start = np.float64(values[from_a, from_b, from_c])
                            if axis == 0:
                                end = np.float64(values[to_a, from_b, from_c])
                            elif axis == 1:
                                end = np.float64(values[from_a, to_b, from_c])
                            else:
                                end = np.float64(values[from_a, from_b, c + 1 if c + 1 < nc else 0])
                            if np.isinf(end - start):  # values at the ends of the number range
                                fraction = (0.5 * level - 0.5 * start) / (0.5 * end - 0.5 * start)
                            else:
                                fraction = (level - start) / (end - start)
                            at = -1
                        if at >= 0:
                            whole_a = at if axis == 0 else a
                            whole_b = at if axis == 1 else b
                            whole_c = at if axis == 2 else c
                            outside[vertex] = 1 + (whole_a * (nb + 1) + whole_b) * (nc + 1) + whole_c
                        x = a + (fraction if axis == 0 else 0.0)
                        y = b + (fraction if axis == 1 else 0.0)
                        z = c + (fraction if axis == 2 else 0.0)
                        for k in range(3):
                            vertices[vertex, k] = x * steps[0, k] + y * steps[1, k] + z * steps[2, k]
                        vertex += 1


@njit(cache=True, nogil=True, error_model="numpy")
def connect(cubes, first, n_planes, numbers, crossed, table, turned, faces, shifts):  # type: ignore[no-untyped-def]
    """Write the triangles of some planes of cubes, and in which image of the cell each of their corners lies.

    `crossed` and `table` are those of :mod:`amorph.analysis.isosurface._cases`.
    """
    planes, nz, mixed, starts = cubes
    ny = planes.shape[1]
    words = planes.shape[2]
    vertices = np.empty(12, np.int64)
    images = np.empty((12, 3), np.int8)
    for i in range(first, first + n_planes):
        face = starts[i, 1]
        for j in range(ny):
            for word in range(words):
                left = mixed[i, j, word]
                if not left:
                    continue
                corners = _corners(planes, i, j, word)
                while left:
                    lowest = left & (~left + _ONE)
                    bit = _count(lowest - _ONE)
                    left ^= lowest
                    case = _case(corners, bit)
                    for n in range(crossed[case, 0]):
                        edge = crossed[case, 1 + n]
                        start = edge >> 2
                        axis = edge & 3
                        x = i + (start >> 2)
                        y = j + ((start >> 1) & 1)
                        z = word * WORD + bit + (start & 1)
                        image_x = x == planes.shape[0]
                        image_y = y == ny
                        image_z = z == nz
                        images[n, 0] = image_x
                        images[n, 1] = image_y
                        images[n, 2] = image_z
                        x = 0 if image_x else x
                        y = 0 if image_y else y
                        z = 0 if image_z else z
                        before = (_ONE << np.uint64(z & (WORD - 1))) - _ONE
                        z >>= 6
                        vertices[n] = (
                            starts[x, 0] + numbers[x, y, z, axis] + _count(_crossed(planes, x, y, z, axis) & before)
                        )
                    for n in range(0, table[case, 0], 3):
                        for corner in range(3):
                            vertex = table[case, 1 + n + (2 - corner if turned else corner)]
                            faces[face, corner] = vertices[vertex]
                            shifts[face, corner, 0] = images[vertex, 0]
                            shifts[face, corner, 1] = images[vertex, 1]
                            shifts[face, corner, 2] = images[vertex, 2]
                        face += 1
