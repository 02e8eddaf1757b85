"""Compiled kernels of percolation: connected regions of a periodic grid, and the lattices along which they wind.

Two points are neighbors where their indices differ by at most one along each axis: a point has 26. Inside the cell
nothing winds, so a plain union-find joins runs of points along z; only what meets across the faces of the cell carries
whole cells as offsets. The sweep over all values joins in any order, so there every point carries its offset from the
root.

A winding lattice is kept as three integer rows in Hermite normal form: row c begins with column c, or is zero, and what
stands above a leading entry is smaller than it. Rows that were only in echelon form would grow with every vector.
"""

from collections import namedtuple

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()


Forest = namedtuple("Forest", ("parents", "offsets", "bases"))
"""Parts that have met: on which each hangs, how many cells away, and the winding lattice of each root."""
Runs = namedtuple("Runs", ("parts", "starts", "stops"))
"""Runs of points along z: the part that each belongs to, its first point and that after its last."""


_LARGEST = np.finfo(np.float64).max
_WORD = 8
"""Bytes that are looked at in one go."""
_BYTE_NUMBERS = np.uint64(0x0001020304050607)
"""Times 256^k, its highest byte is k: the number of the byte in which a lone bit stands."""


@njit(cache=True, nogil=True, error_model="numpy")
def _root(parents, n):  # type: ignore[no-untyped-def]
    while parents[n] != n:
        parents[n] = parents[parents[n]]
        n = parents[n]
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _join_rows(parents, starts, stops, a, end_a, b, end_b):  # type: ignore[no-untyped-def]
    """Join the runs of two neighboring rows that overlap or touch along z."""
    while a < end_a and b < end_b:
        if stops[a] < starts[b]:
            a += 1
        elif stops[b] < starts[a]:
            b += 1
        else:
            if parents[a] != parents[b]:
                root_a = _root(parents, a)
                root_b = _root(parents, b)
                if root_a < root_b:
                    parents[root_b] = root_a
                else:
                    parents[root_a] = root_b
            if stops[a] < stops[b]:
                a += 1
            else:
                b += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _runs_of_row(row, sign, threshold, inside, words, starts, stops, count):  # type: ignore[no-untyped-def]
    """Append the runs of finite points with sign·value <= threshold; returns how many runs there are then."""
    for k in range(row.size):
        value = sign * row[k]
        inside[k] = (value <= threshold) & (value >= -_LARGEST)
    before = words[0] & np.uint64(0)  # the byte of the point before
    for word in range(words.size):
        flags = words[word]
        # little-endian: byte k holds point k; where a byte differs from the one before it, a run starts or stops
        changes = flags ^ ((flags << np.uint64(8)) | before)
        before = flags >> np.uint64(56)
        while changes != 0:
            lowest = changes & (~changes + np.uint64(1))
            changes ^= lowest
            place = word * _WORD + np.int64((lowest * _BYTE_NUMBERS) >> np.uint64(56))
            if (flags & lowest) != 0:
                starts[count] = place
            else:
                stops[count] = place
                count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _lowest(row, sign, start, stop):  # type: ignore[no-untyped-def]
    low = np.inf
    for k in range(start, stop):
        value = sign * row[k]
        low = value if value < low else low
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def find_runs(values, sign, threshold):  # type: ignore[no-untyped-def]
    """Find the runs along z of the finite points with sign·value <= threshold, joined within the cell.

    Returns the first run of every row (and their number), where runs start and stop, the smallest sign·value of each,
    the part of the cell's inside that each belongs to, and the number of these parts.
    """
    nx, ny, nz = values.shape
    firsts = np.zeros(nx * ny + 1, np.int64)
    starts = np.empty(max(1024, nz), np.int32)
    stops = np.empty(starts.size, np.int32)
    parents = np.empty(starts.size, np.int32)
    lows = np.empty(starts.size)
    words = np.zeros(nz // _WORD + 1, np.uint64)  # at least one byte more than points: it closes the last run
    inside = words.view(np.uint8)
    count = 0
    for i in range(nx):
        for j in range(ny):
            row = i * ny + j
            if count + nz // 2 + 1 > starts.size:
                starts = np.concatenate((starts, np.empty_like(starts)))
                stops = np.concatenate((stops, np.empty_like(stops)))
                parents = np.concatenate((parents, np.empty_like(parents)))
                lows = np.concatenate((lows, np.empty_like(lows)))
            first = count
            count = _runs_of_row(values[i, j], sign, threshold, inside, words, starts, stops, count)
            firsts[row + 1] = count
            for run in range(first, count):
                parents[run] = run
                lows[run] = _lowest(values[i, j], sign, starts[run], stops[run])
            if count > first:
                if j > 0:
                    _join_rows(parents, starts, stops, firsts[row - 1], first, first, count)
                if i > 0:
                    for other in range(row - ny - (j > 0), row - ny + 1 + (j < ny - 1)):
                        _join_rows(parents, starts, stops, firsts[other], firsts[other + 1], first, count)
    parts = parents[:count]
    n_parts = 0
    for run in range(count):  # a root is the first run of its part
        if parts[run] == run:
            parts[run] = n_parts
            n_parts += 1
        else:
            parts[run] = parts[parts[run]]
    return firsts, starts[:count], stops[:count], lows[:count], parts, n_parts


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(basis):  # type: ignore[no-untyped-def]
    return (basis[0, 0] != 0) + (basis[1, 1] != 0) + (basis[2, 2] != 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce(basis):  # type: ignore[no-untyped-def]
    """Bring echelon rows to Hermite normal form."""
    for column in range(1, 3):
        if basis[column, column] != 0:
            for row in range(column):
                factor = basis[row, column] // basis[column, column]
                for k in range(3):
                    basis[row, k] -= factor * basis[column, k]


@njit(cache=True, nogil=True, error_model="numpy")
def add_winding(basis, x, y, z):  # type: ignore[no-untyped-def]
    """Add a vector to the lattice that the rows of `basis` span; returns the rank."""
    vector = np.array((x, y, z), np.int64)
    for column in range(3):
        if vector[column] == 0:
            continue
        row = basis[column]
        while vector[column] != 0:  # Euclid's algorithm on the leading column
            if row[column] != 0:
                factor = row[column] // vector[column]
                for k in range(3):
                    row[k] -= factor * vector[k]
            for k in range(3):
                row[k], vector[k] = vector[k], row[k]
        if row[column] < 0:
            for k in range(3):
                row[k] = -row[k]
    _reduce(basis)
    return _rank(basis)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_lattice(basis, given):  # type: ignore[no-untyped-def]
    """Add the rows of one lattice to another."""
    for row in range(3):
        if given[row, row] != 0:
            add_winding(basis, given[row, 0], given[row, 1], given[row, 2])


@njit(cache=True, nogil=True, error_model="numpy")
def _root_and_offset(parents, offsets, n):  # type: ignore[no-untyped-def]
    """Find the root of n and how many cells away from it n lies, along each axis; halves the way for the next call."""
    x = y = z = np.int64(0)
    while parents[n] != n:
        up = parents[n]
        if parents[up] != up:
            for k in range(3):
                offsets[n, k] += offsets[up, k]
            parents[n] = parents[up]
        x += offsets[n, 0]
        y += offsets[n, 1]
        z += offsets[n, 2]
        n = parents[n]
    return n, x, y, z


@njit(cache=True, nogil=True, error_model="numpy")
def _meet(forest, a, b, x, y, z):  # type: ignore[no-untyped-def]
    """Join part a to the image of part b that lies (x, y, z) cells away."""
    parents, offsets, bases = forest
    root_a, ax, ay, az = _root_and_offset(parents, offsets, a)
    root_b, bx, by, bz = _root_and_offset(parents, offsets, b)
    x += ax - bx
    y += ay - by
    z += az - bz
    if root_a == root_b:
        if x != 0 or y != 0 or z != 0:
            add_winding(bases[root_a], x, y, z)
        return
    if root_b < root_a:
        root_a, root_b = root_b, root_a
        x, y, z = -x, -y, -z
    parents[root_b] = root_a
    offsets[root_b, 0] = x
    offsets[root_b, 1] = y
    offsets[root_b, 2] = z
    _add_lattice(bases[root_a], bases[root_b])


@njit(cache=True, nogil=True, error_model="numpy")
def _meet_rows(forest, runs, a, end_a, b, end_b, x, y):  # type: ignore[no-untyped-def]
    """Join the parts of two rows that are neighbors across a face of the cell."""
    parts, starts, stops = runs
    while a < end_a and b < end_b:
        if stops[a] < starts[b]:
            a += 1
        elif stops[b] < starts[a]:
            b += 1
        else:
            _meet(forest, parts[a], parts[b], x, y, 0)
            if stops[a] < stops[b]:
                a += 1
            else:
                b += 1


@njit(cache=True, nogil=True, error_model="numpy")
def join_faces(shape, firsts, starts, stops, parts, n_parts):  # type: ignore[no-untyped-def]
    """Join the parts of the cell's inside across its faces.

    Returns the root of every part and, for every root, the winding lattice of its region in Hermite normal form.
    """
    nx, ny, nz = shape
    parents = np.arange(n_parts)
    offsets = np.zeros((n_parts, 3), np.int64)
    bases = np.zeros((n_parts, 3, 3), np.int64)
    forest = Forest(parents, offsets, bases)
    runs = Runs(parts, starts, stops)
    for i in range(nx):
        for j in range(ny):
            a = firsts[i * ny + j]
            end_a = firsts[i * ny + j + 1]
            if a == end_a:
                continue
            if starts[a] == 0 and stops[end_a - 1] == nz:
                _meet(forest, parts[end_a - 1], parts[a], 0, 0, 1)
            for step in range(4):  # half of the neighboring rows; the other half are these seen from there
                qi = i + (step > 0)
                qj = j + (1 if step == 0 else step - 2)
                x = np.int64(qi >= nx)
                y = np.int64(qj >= ny) - np.int64(qj < 0)
                row = (qi - x * nx) * ny + qj - y * ny
                b = firsts[row]
                end_b = firsts[row + 1]
                if b == end_b:
                    continue
                if x != 0 or y != 0:
                    _meet_rows(forest, runs, a, end_a, b, end_b, x, y)
                if stops[end_a - 1] == nz and starts[b] == 0:
                    _meet(forest, parts[end_a - 1], parts[b], x, y, 1)
                if starts[a] == 0 and stops[end_b - 1] == nz:
                    _meet(forest, parts[a], parts[end_b - 1], x, y, -1)
    for part in range(n_parts):
        parents[part] = _root_and_offset(parents, offsets, part)[0]
    return parents, bases


@njit(cache=True, nogil=True, error_model="numpy")
def measure_regions(values, sign, firsts, starts, stops, lows, parts, numbers, n_regions):  # type: ignore[no-untyped-def]
    """Count the points of every region and find its smallest sign·value and where; `numbers` gives a part's region."""
    nx, ny, nz = values.shape
    points = np.zeros(n_regions, np.int64)
    extremes = np.full(n_regions, np.inf)
    rows = np.zeros(n_regions, np.int64)
    runs = np.zeros(n_regions, np.int64)
    for row in range(nx * ny):
        for run in range(firsts[row], firsts[row + 1]):
            region = numbers[parts[run]]
            points[region] += stops[run] - starts[run]
            if lows[run] < extremes[region]:
                extremes[region] = lows[run]
                rows[region] = row
                runs[region] = run
    for region in range(n_regions):
        i, j = rows[region] // ny, rows[region] % ny
        k = starts[runs[region]]
        while sign * values[i, j, k] != extremes[region]:
            k += 1
        rows[region] = rows[region] * nz + k
    return points, extremes, rows


@njit(cache=True, nogil=True, error_model="numpy")
def paint(labels, firsts, starts, stops, parts, numbers):  # type: ignore[no-untyped-def]
    """Write the number of its region to every point of every run."""
    nx, ny, _ = labels.shape
    for i in range(nx):
        for j in range(ny):
            row = i * ny + j
            for run in range(firsts[row], firsts[row + 1]):
                number = numbers[parts[run]]
                for k in range(starts[run], stops[run]):
                    labels[i, j, k] = number


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _neighbor(i, j, k, shape):  # type: ignore[no-untyped-def]
    """Give the flat index of a point next to the cell or in it, and how many cells away it lies along each axis."""
    nx, ny, nz = shape
    x = (i >= nx) - (i < 0)
    y = (j >= ny) - (j < 0)
    z = (k >= nz) - (k < 0)
    return ((i - x * nx) * ny + j - y * ny) * nz + k - z * nz, x, y, z


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(values, order, shape, steps, tie, highest, first, second):  # type: ignore[no-untyped-def]
    """Add points in order of their values, and note when a region first winds in one, two and three directions.

    `values` is flat, `steps` (n, 3) leads from a point to all its neighbors, of which each component is −1, 0 or 1.
    Ends where a region winds in `highest` directions, or where the points `first` and `second` have met (−1: never).
    Returns the point that closed each winding (−1: none), the winding lattice and the lowest point that its region then
    has, all points of its value included or above it by `tie` of its height above the lowest value, and the point that
    made first and second meet.
    """
    _, ny, nz = shape
    parents = np.full(values.size, -1, np.int32)
    offsets = np.empty((values.size, 3), np.int32)
    slots = np.zeros(values.size, np.int32)
    bases = np.zeros((64, 3, 3), np.int64)
    n_bases = 1  # slot 0 stands for a region that does not wind
    closed = np.full(3, -1, np.int64)
    windings = np.zeros((3, 3, 3), np.int64)
    lows = np.full(3, -1, np.int64)
    best = settled = 0
    met = np.int64(-1)
    for number in range(order.size):
        p = order[number]
        parents[p] = p
        offsets[p] = 0
        i, j, k = p // (ny * nz), p // nz % ny, p % nz
        for step in range(len(steps)):
            q, x, y, z = _neighbor(i + steps[step, 0], j + steps[step, 1], k + steps[step, 2], shape)
            if parents[q] < 0:
                continue
            root, px, py, pz = _root_and_offset(parents, offsets, p)
            other, qx, qy, qz = _root_and_offset(parents, offsets, q)
            x += px - qx
            y += py - qy
            z += pz - qz
            if root != other:
                # the older root stays: it is the lowest point of its region
                if values[root] > values[other] or (values[root] == values[other] and root > other):
                    root, other = other, root
                    x, y, z = -x, -y, -z
                parents[other] = root
                offsets[other, 0] = x
                offsets[other, 1] = y
                offsets[other, 2] = z
                if slots[other] == 0:
                    continue
                if slots[root] == 0:
                    slots[root] = slots[other]
                    continue
                _add_lattice(bases[slots[root]], bases[slots[other]])
            elif x != 0 or y != 0 or z != 0:
                if slots[root] == 0:
                    if n_bases == len(bases):
                        bases = np.concatenate((bases, np.zeros_like(bases)))
                    slots[root] = n_bases
                    n_bases += 1
                add_winding(bases[slots[root]], x, y, z)
            else:
                continue
            rank = _rank(bases[slots[root]])
            while best < rank:
                closed[best] = p
                best += 1
        if first >= 0 and parents[first] >= 0 and parents[second] >= 0:
            one = _root_and_offset(parents, offsets, first)[0]
            if one == _root_and_offset(parents, offsets, second)[0]:
                met = p
                break
        while settled < best:
            height = values[closed[settled]]
            limit = height + tie * (height - values[order[0]])
            if number + 1 < order.size and values[order[number + 1]] <= limit:
                break
            root = _root_and_offset(parents, offsets, closed[settled])[0]
            windings[settled] = bases[slots[root]]
            lows[settled] = root  # the older root stays
            settled += 1
        if settled == highest:
            break
    return closed, windings, lows, met
