"""Compiled kernels that search a periodic network for rings.

A node of the endless network is an atom and the code of its image, (x·W + y)·W + z with W = 2¹³: codes of images add up
as their shifts do. A ring closes in the endless network, so one that winds around the cell is none. `starts` (n + 1),
`neighbors` (m) and `codes` (m) are the links of each atom of the cell. Of equivalent rings the one is kept whose least
node, by atom and then by code, is in the cell.
"""

from collections import namedtuple

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

WIDTH = 1 << 13
FAR = 255
"""Distance of what was not reached."""
Sides = namedtuple("Sides", ("closer", "equal", "places", "numbers", "before", "ends"))
"""Bits of the nodes by their places, the places by number and back, and by number the places of neighbors: those a step
nearer to the source, of these the later ones first, then those as near, the later ones first; and where each part ends.
"""
_EMPTY = np.int64(-(1 << 62))
_ATOM_BITS = 22
_ATOM = (1 << _ATOM_BITS) - 1


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _slot(keys, atom, code):  # type: ignore[no-untyped-def]
    """Find the place of a node in an open hash table, or the free one where it belongs."""
    key = (code << _ATOM_BITS) | atom
    mask = keys.size - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64(mixed >> np.uint64(20)) & mask
    while keys[place] != key and keys[place] != _EMPTY:
        place = (place + 1) & mask
    return place, key


@njit(cache=True, nogil=True, error_model="numpy")
def ball(source, depth, starts, neighbors, codes, keys, steps, nodes):  # type: ignore[no-untyped-def]
    """Walk the network out from an atom of the cell; returns the number of nodes within `depth` steps.

    `keys` (empty, a power of two) and `steps` become the table of their distances, `nodes` (2, n) their list. Returns
    −1 when the table is more than half full, or the list full.
    """
    place, key = _slot(keys, source, 0)
    keys[place], steps[place] = key, 0
    nodes[0, 0], nodes[1, 0] = source, 0
    count, begin, end = 1, 0, 1
    for step in range(1, depth + 1):
        for n in range(begin, end):
            atom, code = nodes[0, n], nodes[1, n]
            for e in range(starts[atom], starts[atom + 1]):
                j, c = neighbors[e], code + codes[e]
                place, key = _slot(keys, j, c)
                if keys[place] == _EMPTY:
                    if 2 * (count + 1) > keys.size or count == nodes.shape[1]:
                        return -1
                    keys[place], steps[place] = key, step
                    nodes[0, count], nodes[1, count] = j, c
                    count += 1
        begin, end = end, count
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def distance_tables(depth, starts, neighbors, codes):  # type: ignore[no-untyped-def]
    """Tabulate, for every atom of the cell, the distances up to `depth` in the network."""
    n = starts.size - 1
    size = 64
    while True:
        nodes = np.empty((2, size // 2), np.int64)
        keys = np.full((n, size), _EMPTY, np.int64)
        steps = np.empty((n, size), np.uint8)
        done = True
        for atom in range(n):
            if ball(atom, depth, starts, neighbors, codes, keys[atom], steps[atom], nodes) < 0:
                done = False
                break
        if done:
            return keys, steps
        size *= 2


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _distance(keys, steps, a, ca, b, cb):  # type: ignore[no-untyped-def]
    place, _ = _slot(keys[a], b, cb - ca)
    return FAR if keys[a, place] == _EMPTY else np.int64(steps[a, place])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _later(atom, code, source):  # type: ignore[no-untyped-def]
    return atom > source or (atom == source and code > 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _keep(ring, size, rings, sizes, count):  # type: ignore[no-untyped-def]
    """Append a ring, (2, size) atoms and codes, to lists that grow."""
    if count == sizes.size:
        more = np.empty((2 * count, rings.shape[1], rings.shape[2]), rings.dtype)
        more[:count] = rings
        more_sizes = np.empty(2 * count, sizes.dtype)
        more_sizes[:count] = sizes
        rings, sizes = more, more_sizes
    rings[count, :, :size] = ring[:, :size]
    sizes[count] = size
    return rings, sizes, count + 1


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _fits(keys, steps, a, b, level, size):  # type: ignore[no-untyped-def]
    """Tell whether two arms of a ring are, at a level and opposite, as far apart as along the ring."""
    half = size // 2
    if _distance(keys, steps, a[0, level], a[1, level], b[0, level], b[1, level]) != min(2 * level, size - 2 * level):
        return False
    for other in range(half - level, half - level + 1 + size % 2):
        if 0 < other < level:
            if _distance(keys, steps, a[0, level], a[1, level], b[0, other], b[1, other]) != half:
                return False
            if _distance(keys, steps, a[0, other], a[1, other], b[0, level], b[1, level]) != half:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def opposites(largest, starts, neighbors, codes):  # type: ignore[no-untyped-def]
    """Find pairs of nodes that may be opposite on a primitive ring, (m, 5): least node, the other, its code, half, odd.

    On a ring, the neighbor of the one on this side is half the ring away from the neighbor of the other on that side.
    In a dense network next to no two nodes have such neighbors, and their many shortest ways need not be walked. A bit
    for each neighbor of the source says whether it is nearer to a node than the source is, or as near, and goes on from
    node to node: `sides` are these bits, and the places of the nodes and of their neighbors in the table.
    """
    found = np.empty((1024, 5), np.int64)
    count, size = 0, 1024
    source = 0
    keys, steps, nodes, sides = _workspace(size, starts)
    while source < starts.size - 1:
        keys[:] = _EMPTY
        n_nodes = ball(source, largest // 2, starts, neighbors, codes, keys, steps, nodes)
        if n_nodes < 0:
            size *= 2
            keys, steps, nodes, sides = _workspace(size, starts)
            continue
        many = starts[source + 1] - starts[source] > 64
        _tell_sides(source, n_nodes, starts, neighbors, codes, keys, steps, nodes, sides)
        for n in range(1, n_nodes):
            atom, code = nodes[0, n], nodes[1, n]
            half = np.int64(steps[sides.places[n]])
            if not _later(atom, code, source):
                continue
            for odd in range(2):
                if not 3 <= 2 * half + odd <= largest:
                    continue
                if not (many or _sides_fit(n, half, odd, sides)):
                    continue
                if count == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[count] = source, atom, code, half, odd
                count += 1
        source += 1
    return found[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _workspace(size, starts):  # type: ignore[no-untyped-def]
    room = size // 2
    sides = Sides(
        np.empty(size, np.uint64),
        np.empty(size, np.uint64),
        np.empty(room, np.int64),
        np.empty(size, np.int64),
        np.empty((room, (starts[1:] - starts[:-1]).max()), np.int64),
        np.empty((room, 4), np.int64),
    )
    return np.empty(size, np.int64), np.empty(size, np.uint8), np.empty((2, room), np.int64), sides


@njit(cache=True, nogil=True, error_model="numpy")
def _sides_fit(n, half, odd, sides):  # type: ignore[no-untyped-def]
    """Tell whether neighbors of a node and of the source may be those of both on a ring.

    The arms leave the source by u and v, and end at the node: by x the one through u, by w the other. v is nearer to w
    and half the ring from x; u is nearer to x and half the ring from w. In an odd ring w is opposite to the source too,
    and v leads to it by the node y before it.
    """
    closer, equal, places, numbers, before, ends = sides
    far = places[n]
    for k in range(ends[n, 1] if odd else 0, ends[n, 2] if odd else ends[n, 0]):
        w = before[n, k]
        of_u = closer[far] & (equal[w] if odd else ~closer[w] & ~equal[w])
        if of_u == 0:
            continue
        if half == 1:  # a triangle: the source itself is before both
            return True
        for m in range(ends[n, 0]):
            x = before[n, m]
            if x == w or of_u & closer[x] == 0:
                continue
            of_v = closer[w] & ~closer[x] & ~equal[x] & (equal[far] if odd else closer[far])
            if of_v == 0:
                continue
            if not odd:
                return True
            for i in range(ends[numbers[w], 0]):
                y = before[numbers[w], i]
                if of_u & closer[x] & ~closer[y] & ~equal[y] != 0 and of_v & closer[y] != 0:
                    return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _tell_sides(source, count, starts, neighbors, codes, keys, steps, nodes, sides):  # type: ignore[no-untyped-def]
    """Write for every node of a ball which neighbors of the source are nearer to it than that, and which as near."""
    closer, equal, places, numbers, before, ends = sides
    for n in range(count):
        places[n], _ = _slot(keys, nodes[0, n], nodes[1, n])
        closer[places[n]] = equal[places[n]] = 0
        numbers[places[n]] = n
    _list_before(source, count, starts, neighbors, codes, keys, steps, nodes, sides)
    for e in range(starts[source], min(starts[source + 1], starts[source] + 64)):
        if _later(neighbors[e], codes[e], source):
            place, _ = _slot(keys, neighbors[e], codes[e])
            closer[place] |= np.uint64(1) << np.uint64(e - starts[source])
    begin = 1
    while begin < count:
        step, end = steps[places[begin]], begin
        while end < count and steps[places[end]] == step:
            for k in range(ends[end, 1]):
                closer[places[end]] |= closer[before[end, k]]
                equal[places[end]] |= equal[before[end, k]]
            end += 1
        for n in range(begin, end):
            for k in range(ends[n, 1], ends[n, 3]):
                equal[places[n]] |= closer[before[n, k]]
        begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def _list_before(source, count, starts, neighbors, codes, keys, steps, nodes, sides):  # type: ignore[no-untyped-def]
    """List the neighbors of every node of a ball that are not farther from the source, in the order of `Sides`."""
    _, _, places, _, before, ends = sides
    found = np.empty((4, before.shape[1]), np.int64)
    sizes = np.empty(4, np.int64)
    for n in range(count):
        atom, code, step = nodes[0, n], nodes[1, n], np.int64(steps[places[n]])
        sizes[:] = 0
        for e in range(starts[atom], starts[atom + 1]):
            place, _ = _slot(keys, neighbors[e], code + codes[e])
            if keys[place] == _EMPTY or steps[place] > step:
                continue
            part = 2 * (steps[place] == step) + (not _later(neighbors[e], code + codes[e], source))
            found[part, sizes[part]] = place
            sizes[part] += 1
        end = 0
        for part in range(4):
            before[n, end : end + sizes[part]] = found[part, : sizes[part]]
            end += sizes[part]
            ends[n, part] = end


@njit(cache=True, nogil=True, error_model="numpy")
def primitive_rings(largest, pairs, starts, neighbors, codes, keys, steps):  # type: ignore[no-untyped-def]
    """Find the rings in which no two nodes are nearer through the network than along the ring.

    `pairs` are those of :func:`opposites`, `keys` and `steps` the distances up to half of the largest ring of these.
    Every ring is built from its least node and the node opposite to it; in an odd ring that is the end of the first of
    two arms.
    """
    rings = np.empty((64, 2, largest), np.int64)
    sizes = np.empty(64, np.int64)
    count = 0
    arms = np.empty((6, largest), np.int64)
    for n in range(len(pairs)):
        source, atom, code, half, odd = pairs[n]
        rings, sizes, count = _close(
            arms, source, atom, code, 2 * half + odd, starts, neighbors, codes, keys, steps, rings, sizes, count
        )
    return rings[:count], sizes[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _close(arms, source, far, far_code, size, starts, neighbors, codes, keys, steps, rings, sizes, count):  # type: ignore[no-untyped-def]
    """Keep the primitive rings of one size whose least node is the source and that have a given node opposite to it.

    Two arms grow from the source together; both, and every two nodes opposite on the ring, must be as far apart as the
    ring has it.
    """
    half, odd = size // 2, size % 2
    top = (size - 1) // 2
    # the atoms and codes of the arms, and the links that they took to each level
    a, b, ea, eb = arms[0:2], arms[2:4], arms[4], arms[5]
    a[0, 0] = b[0, 0] = source
    a[1, 0] = b[1, 0] = 0
    level = 1
    ea[1], eb[1] = starts[source] - 1, starts[source + 1]
    while level > 0:
        from_a, from_b = a[0, level - 1], b[0, level - 1]
        eb[level] += 1
        if eb[level] >= starts[from_b + 1]:
            ea[level] += 1
            if ea[level] >= starts[from_a + 1]:
                level -= 1
                continue
            a[0, level], a[1, level] = neighbors[ea[level]], a[1, level - 1] + codes[ea[level]]
            # a step nearer to the far node is a step from the source: they are half the ring apart
            possible = (
                _later(a[0, level], a[1, level], source)
                and _distance(keys, steps, far, far_code, a[0, level], a[1, level]) == half - level
            )
            if not possible:
                eb[level] = starts[from_b + 1]
            else:
                # one order of the arms will do: the first is the one that leaves by the earlier link
                eb[level] = ea[level] if level == 1 else starts[from_b] - 1
            continue
        b[0, level], b[1, level] = neighbors[eb[level]], b[1, level - 1] + codes[eb[level]]
        if (
            not _later(b[0, level], b[1, level], source)
            or _distance(keys, steps, far, far_code, b[0, level], b[1, level]) != half - level + odd
            or (odd and _distance(keys, steps, source, 0, b[0, level], b[1, level]) != level)
            or not _fits(keys, steps, a, b, level, size)
        ):
            continue
        if level < top:
            level += 1
            ea[level], eb[level] = starts[a[0, level - 1]] - 1, starts[b[0, level - 1] + 1]
            continue
        ring = np.empty((2, size), np.int64)
        for k in range(top):
            ring[:, k] = a[:, top - k]
            ring[:, top + 1 + k] = b[:, 1 + k]
        ring[0, top], ring[1, top] = source, 0
        if not odd:
            ring[0, size - 1], ring[1, size - 1] = far, far_code
        rings, sizes, count = _keep(ring, size, rings, sizes, count)
    return rings, sizes, count


@njit(cache=True, nogil=True, error_model="numpy")
def shortest_rings(largest, nearest_only, starts, neighbors, codes):  # type: ignore[no-untyped-def]
    """Find the shortest rings through each atom of the cell and two of its neighbors, as often as they turn up.

    With `nearest_only` those through the atom and one neighbor, whichever the other is.
    """
    rings = np.empty((64, 2, largest), np.int64)
    sizes = np.empty(64, np.int64)
    count = 0
    keys = np.empty(1 << 10, np.int64)
    steps = np.empty(keys.size, np.uint8)
    nodes = np.empty((2, keys.size // 2), np.int64)
    ring = np.empty((2, largest), np.int64)
    link = np.zeros(largest, np.int64)
    for source in range(starts.size - 1):
        for p in range(starts[source], starts[source + 1]):
            while True:
                first = _walk(source, p, largest - 2, nearest_only, starts, neighbors, codes, keys, steps, nodes)
                if first != 0:
                    break
                keys = np.empty(2 * keys.size, np.int64)
                steps = np.empty(keys.size, np.uint8)
                nodes = np.empty((2, keys.size // 2), np.int64)
            for q in range(starts[source] if nearest_only else p + 1, starts[source + 1]):
                place, _ = _slot(keys, neighbors[q], codes[q])
                if q == p or keys[place] == _EMPTY or (nearest_only and steps[place] > first):
                    continue
                # back from q to p, along every shortest way
                length = steps[place]
                ring[0, 0], ring[1, 0] = source, 0
                ring[0, 1], ring[1, 1] = neighbors[q], codes[q]
                level = 1
                link[1] = starts[neighbors[q]]
                while level > 0:
                    if level == length + 1:
                        rings, sizes, count = _keep(ring, level + 1, rings, sizes, count)
                        level -= 1
                        continue
                    atom = ring[0, level]
                    if link[level] == starts[atom + 1]:
                        level -= 1
                        continue
                    e = link[level]
                    link[level] += 1
                    place, _ = _slot(keys, neighbors[e], ring[1, level] + codes[e])
                    if keys[place] != _EMPTY and steps[place] == length - level:
                        ring[0, level + 1], ring[1, level + 1] = neighbors[e], ring[1, level] + codes[e]
                        level += 1
                        link[level] = starts[neighbors[e]]
    return rings[:count], sizes[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(source, p, depth, nearest_only, starts, neighbors, codes, keys, steps, nodes):  # type: ignore[no-untyped-def]
    """Walk out from a neighbor of an atom, never through the atom, until its other neighbors are reached.

    Returns the steps to the nearest of them, `FAR` where none was reached, 0 when the table is too small.
    """
    keys[:] = _EMPTY
    wanted = starts[source + 1] - starts[source] - 1
    place, key = _slot(keys, neighbors[p], codes[p])
    keys[place], steps[place] = key, 0
    nodes[0, 0], nodes[1, 0] = neighbors[p], codes[p]
    count, begin, end, step, first = 1, 0, 1, 0, FAR
    while step < depth and wanted > 0 and begin < end and not (nearest_only and first < FAR):
        step += 1
        for n in range(begin, end):
            atom, code = nodes[0, n], nodes[1, n]
            for e in range(starts[atom], starts[atom + 1]):
                j, c = neighbors[e], code + codes[e]
                place, key = _slot(keys, j, c)
                if keys[place] != _EMPTY or (j == source and c == 0):
                    continue
                if 2 * (count + 1) > keys.size:
                    return 0
                keys[place], steps[place] = key, step
                nodes[0, count], nodes[1, count] = j, c
                count += 1
                for q in range(starts[source], starts[source + 1]):
                    if neighbors[q] == j and codes[q] == c:
                        wanted -= 1
                        first = min(first, step)
        begin, end = end, count
    return first
