"""Compiled kernels of Voronoi and power tessellations: one polyhedron per atom, cut by its neighbors' planes.

Atoms are sorted into bins of the reduced cell; the images near the atoms of a bin are gathered once, by walking the
bins with their cell shifts, and each atom takes them from near to far until none can reach its cell any more. Periodic
images count like other atoms, however small or skewed the cell. Blocks of atoms do not depend on each other: any number
of threads gives the same bits.
"""

import math

import numpy as np
from numba import njit

from amorph.analysis.grids._walk import gather
from amorph.analysis.voronoi._polyhedron import (
    CUBE_FACES,
    cut,
    farthest_square,
    heights_over,
    measure,
    start_cube,
    touches_cube,
    workspace,
)
from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

_BUCKETS = 48
"""Classes of squared distance into which the candidates are sorted."""
_GROWTH = 1.25
"""Widening of the sphere of candidates where it does not yet hold all that can reach a cell."""
_SOON = 0.7
"""Neighbors within this share of the first reach are sorted and taken at first; most cells need few others."""
_LOOSE = 1.0 + 1e-9
"""Widening of reaches against rounding."""


@njit(cache=True, nogil=True, error_model="numpy")
def _gather_named(center, reach, lattice, positions, near, whom):  # type: ignore[no-untyped-def]
    """Write the atom images within reach of a point to rows 0 to 2 of `near` (4, m), their names to `whom` (6, m).

    A name is the atom, in the order of the bins, and three cell shifts. Returns both arrays, larger if need be, and how
    many images there are; the other rows are for :func:`_sort_candidates`.
    """
    cell, inverse, heights, bins, starts = lattice
    near, count = gather(center, reach, (cell, inverse, heights, bins, starts, positions), near)
    if whom.shape[1] < near.shape[1]:
        whom = np.empty((6, near.shape[1]), np.int64)
    for k in range(count):
        n = np.int64(near[3, k])
        dx = near[0, k] - positions[0, n]
        dy = near[1, k] - positions[1, n]
        dz = near[2, k] - positions[2, n]
        whom[0, k] = n
        for axis in range(3):
            shift = dx * inverse[0, axis] + dy * inverse[1, axis] + dz * inverse[2, axis]
            whom[1 + axis, k] = math.floor(shift + 0.5)
    return near, whom, count


@njit(cache=True, nogil=True, error_model="numpy")
def _squares_from(near, count, x, y, z):  # type: ignore[no-untyped-def]
    """Write the squared distances of the images from a point to row 3."""
    xs = near[0]
    ys = near[1]
    zs = near[2]
    squares = near[3]
    for n in range(count):
        dx = xs[n] - x
        dy = ys[n] - y
        dz = zs[n] - z
        squares[n] = dx * dx + dy * dy + dz * dz


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_candidates(near, whom, count, low, high, ends):  # type: ignore[no-untyped-def]
    """Write the images whose squared distance is above `low` and at most `high` to row 4 of `whom`; returns how many.

    Near before far, up to classes of squared distance; their order is that of the walk over the bins.
    """
    squares = near[3]
    order = whom[4]
    chosen = whom[5]
    found = 0
    for n in range(count):
        chosen[found] = n
        found += (squares[n] > low) & (squares[n] <= high)
    scale = _BUCKETS / (high - low)
    ends[:] = 0
    for n in range(found):
        ends[min(int((squares[chosen[n]] - low) * scale), _BUCKETS) + 1] += 1
    for b in range(_BUCKETS + 1):
        ends[b + 1] += ends[b]
    for n in range(found):
        b = min(int((squares[chosen[n]] - low) * scale), _BUCKETS)
        order[ends[b]] = chosen[n]
        ends[b] += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _reach_square(farthest, lead):  # type: ignore[no-untyped-def]
    """Find the squared distance from which on no neighbor reaches a cell whose corners lie within √farthest.

    The plane of a neighbor lies (d² − R_j² + R_i²)/2d away, beyond √farthest where d exceeds
    √farthest + √(farthest + lead), lead being the largest R² in the structure less R_i².
    """
    reach = math.sqrt(farthest) + math.sqrt(farthest + lead)
    return reach * reach * _LOOSE


@njit(cache=True, nogil=True, error_model="numpy")
def _carve(atom, state, candidates, points, cell_arrays, tolerance):  # type: ignore[no-untyped-def]
    """Cut the cell of an atom by candidates in their order.

    `state` is (corners, planes, farthest corner squared); returns it anew. No corners: the cell is empty; fewer than
    no planes: there is no room for another one.
    """
    near, whom, found = candidates
    positions, weights, heaviest = points
    corners, halves, scratch, planes, plane_squares = cell_arrays
    n, n_planes, farthest = state
    x = positions[0, atom]
    y = positions[1, atom]
    z = positions[2, atom]
    lead = heaviest - weights[atom]
    limit = _reach_square(farthest, lead)
    for k in range(found):
        one = whom[4, k]
        square = near[3, one]
        if square > limit:
            continue
        dx = near[0, one] - x
        dy = near[1, one] - y
        dz = near[2, one] - z
        offset = 0.5 * (square + (weights[atom] - weights[whom[0, one]]))
        slack = tolerance * math.sqrt(square)
        if heights_over(corners, n, dx, dy, dz, offset) <= slack:
            continue
        if n_planes == planes.shape[1]:
            return n, -1, farthest
        for row in range(4):
            planes[row, n_planes] = whom[row, one]
        plane_squares[n_planes] = square
        n = cut(corners, halves, scratch, n, slack, n_planes)
        n_planes += 1
        if n == 0:
            return 0, n_planes, 0.0
        farthest = farthest_square(corners, n)
        limit = _reach_square(farthest, lead)
    return n, n_planes, farthest


@njit(cache=True, nogil=True, error_model="numpy")
def _carve_whole(atom, center, sizes, reach, near_list, lattice, points, cell_arrays):  # type: ignore[no-untyped-def]
    """Cut the cell of an atom out of a cube, from near neighbors to far, until none can reach it any more.

    `sizes` is (half the edge of the cube, squared reach of the neighbors taken first, tolerance, room for sorting).
    Returns the corners and planes as :func:`_carve` does, the reach of the list of neighbors, and the list.
    """
    near, whom, count = near_list
    half, high, tolerance, ends = sizes
    positions, weights, heaviest = points
    x = positions[0, atom]
    y = positions[1, atom]
    z = positions[2, atom]
    away = math.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)
    start_cube(cell_arrays[0], cell_arrays[1], half)
    state = (8, CUBE_FACES, 3.0 * half * half)
    _squares_from(near, count, x, y, z)
    low = 0.0
    while True:
        known = (reach - away) ** 2
        high = min(high, known)
        found = _sort_candidates(near, whom, count, low, high, ends)
        state = _carve(atom, state, (near, whom, found), points, cell_arrays, tolerance)
        if state[0] == 0 or state[1] < 0:
            break
        limit = _reach_square(state[2], heaviest - weights[atom])
        if limit <= high:
            break
        low = high
        if low == known:
            reach = min(_GROWTH * reach, (math.sqrt(limit) + away) * _LOOSE)
            near, whom, count = _gather_named(center, reach, lattice, positions, near, whom)
            _squares_from(near, count, x, y, z)
        high = limit
    return state[0], state[1], reach, (near, whom, count)


@njit(cache=True, nogil=True, error_model="numpy")
def _comes_before(planes, f, g):  # type: ignore[no-untyped-def]
    for row in range(4):
        if planes[row, f] != planes[row, g]:
            return planes[row, f] < planes[row, g]
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _write_faces(atom, n_planes, cell_arrays, surfaces, naming, rows, areas, used):  # type: ignore[no-untyped-def]
    """Append the faces of a cell, sorted by neighbor and shift; returns how many rows are used then.

    A row holds the neighbor's index and its cell shifts in the cell of the caller, an entry of `areas` the area and
    the squared distance.
    """
    order, wraps, transformation = naming
    _, _, scratch, planes, plane_squares = cell_arrays
    sequence = scratch[1]  # planes in the order of their rows
    found = 0
    for f in range(CUBE_FACES, n_planes):
        if surfaces[3, f] == 0.0:
            continue
        other = planes[0, f]
        s0 = planes[1, f] - wraps[other, 0] + wraps[atom, 0]
        s1 = planes[2, f] - wraps[other, 1] + wraps[atom, 1]
        s2 = planes[3, f] - wraps[other, 2] + wraps[atom, 2]
        planes[0, f] = order[other]
        for axis in range(3):
            planes[axis + 1, f] = (
                s0 * transformation[0, axis] + s1 * transformation[1, axis] + s2 * transformation[2, axis]
            )
        k = found
        while k > 0 and _comes_before(planes, f, sequence[k - 1]):
            sequence[k] = sequence[k - 1]
            k -= 1
        sequence[k] = f
        found += 1
    for k in range(found):
        f = sequence[k]
        for column in range(4):
            rows[used, column] = planes[column, f]
        areas[used, 0] = math.sqrt(surfaces[0, f] ** 2 + surfaces[1, f] ** 2 + surfaces[2, f] ** 2)
        areas[used, 1] = plane_squares[f]
        used += 1
    return used


@njit(cache=True, nogil=True, error_model="numpy")
def cells_of_block(first, last, lattice, points, bin_of, naming, sizes):  # type: ignore[no-untyped-def]
    """Make the cells of a run of atoms, in the order of the bins.

    `lattice` is (cell, inverse, heights, bins, starts); `points` (positions (4, n), the last row
    numbering them, squared radii, the largest of them); `naming` (original index of each atom, lattice vectors taken
    off when it was moved into the cell,
    transformation to the caller's lattice vectors); `sizes` (half the edge of the first cube, half the edge of a cube
    that holds every cell, reach of the first list of neighbors, tolerance).

    Returns the volumes, the numbers of corners and of faces, and the rows and areas of the faces.
    """
    positions = points[0]
    half_first, half_last, reach_first, tolerance = sizes
    soon = (_SOON * reach_first) ** 2
    volumes = np.zeros(last - first)
    counts = np.zeros((2, last - first), np.int64)
    rows = np.empty((24 * (last - first) + 64, 4), np.int64)
    areas = np.empty((rows.shape[0], 2))
    used = 0
    size = 96
    cell_arrays = workspace(size)
    surfaces = np.empty((5, size))
    near = np.empty((4, 512))
    whom = np.empty((6, 512), np.int64)
    ends = np.empty(_BUCKETS + 2, np.int64)
    center = np.empty(3)
    group = first
    while group < last:
        end = group + 1
        while end < last and bin_of[end] == bin_of[group]:
            end += 1
        for axis in range(3):
            center[axis] = 0.5 * (positions[axis, group:end].min() + positions[axis, group:end].max())
        away = 0.0
        for atom in range(group, end):
            square = 0.0
            for axis in range(3):
                square += (positions[axis, atom] - center[axis]) ** 2
            away = max(away, math.sqrt(square))
        reach = reach_first + away
        near, whom, count = _gather_named(center, reach, lattice, positions, near, whom)
        for atom in range(group, end):
            half = half_first
            while True:
                n, n_planes, reach, (near, whom, count) = _carve_whole(
                    atom,
                    center,
                    (half, soon, tolerance, ends),
                    reach,
                    (near, whom, count),
                    lattice,
                    points,
                    cell_arrays,
                )
                if n_planes < 0:
                    size *= 2
                    cell_arrays = workspace(size)
                    surfaces = np.empty((5, size))
                elif half < half_last and (n == 0 or touches_cube(cell_arrays[1], n)):
                    half = min(4.0 * half, half_last)
                else:
                    break
            if n == 0:
                continue
            volumes[atom - first] = measure(cell_arrays[0], cell_arrays[1], n, n_planes, surfaces)
            if used + n_planes > rows.shape[0]:
                longer = np.empty((2 * (used + n_planes), 4), np.int64)
                longer[:used] = rows[:used]
                rows = longer
                wider = np.empty((rows.shape[0], 2))
                wider[:used] = areas[:used]
                areas = wider
            stop = _write_faces(atom, n_planes, cell_arrays, surfaces, naming, rows, areas, used)
            counts[0, atom - first] = n
            counts[1, atom - first] = stop - used
            used = stop
        group = end
    return volumes, counts, rows[:used], areas[:used]


@njit(cache=True, nogil=True, error_model="numpy")
def place_faces(first, counts, order, starts, rows, areas, faces):  # type: ignore[no-untyped-def]
    """Move the faces of a block to where the original order of the atoms has them.

    `starts` is the first row of each original atom; `faces` (neighbors, shifts, areas, distances).
    """
    neighbors, shifts, face_areas, distances = faces
    used = 0
    for k in range(counts.size):
        start = starts[order[first + k]]
        for row in range(start, start + counts[k]):
            neighbors[row] = rows[used, 0]
            for axis in range(3):
                shifts[row, axis] = rows[used, 1 + axis]
            face_areas[row] = areas[used, 0]
            distances[row] = math.sqrt(areas[used, 1])
            used += 1


@njit(cache=True, nogil=True, error_model="numpy")
def match_faces(starts, neighbors, shifts, areas, distances):  # type: ignore[no-untyped-def]
    """Give a face the means of what its two sides say, 0 where one side does not have it.

    Returns the row of the largest difference of areas, the difference, and the area from the other side.
    """
    matched = np.zeros(neighbors.size, np.bool_)
    worst = 0
    area_there = areas[0]
    largest = 0.0
    for i in range(starts.size - 1):
        for row in range(starts[i], starts[i + 1]):
            if matched[row]:
                continue
            j = neighbors[row]
            here = areas[row]
            there = 0.0
            areas[row] = 0.0
            for other in range(starts[j], starts[j + 1]):
                if (
                    neighbors[other] == i
                    and shifts[other, 0] == -shifts[row, 0]
                    and shifts[other, 1] == -shifts[row, 1]
                    and shifts[other, 2] == -shifts[row, 2]
                ):
                    there = areas[other]
                    matched[other] = True
                    areas[row] = 0.5 * (here + there)
                    areas[other] = areas[row]
                    distances[other] = 0.5 * (distances[row] + distances[other])
                    distances[row] = distances[other]
                    break
            if abs(here - there) > largest:
                largest = abs(here - there)
                worst = row
                area_there = there
    return worst, largest, area_there
