"""Compiled kernels that search a periodic network for rings.

A ring closes in the endless network, so one that winds around the cell is none. Of equivalent rings the one is kept
whose least node, by atom and then by code, is in the cell. `starts`, `neighbors` and `codes` are those of `_nodes`.
"""

import numpy as np
from numba import njit

from amorph.analysis.order._nodes import EMPTY, FAR, distance, later, slot
from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()


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
    if distance(keys, steps, a[0, level], a[1, level], b[0, level], b[1, level]) != min(2 * level, size - 2 * level):
        return False
    for other in range(half - level, half - level + 1 + size % 2):
        if 0 < other < level:
            if distance(keys, steps, a[0, level], a[1, level], b[0, other], b[1, other]) != half:
                return False
            if distance(keys, steps, a[0, other], a[1, other], b[0, level], b[1, level]) != half:
                return False
    return True


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
                later(a[0, level], a[1, level], source)
                and distance(keys, steps, far, far_code, a[0, level], a[1, level]) == half - level
            )
            if not possible:
                eb[level] = starts[from_b + 1]
            else:
                # one order of the arms will do: the first is the one that leaves by the earlier link
                eb[level] = ea[level] if level == 1 else starts[from_b] - 1
            continue
        b[0, level], b[1, level] = neighbors[eb[level]], b[1, level - 1] + codes[eb[level]]
        if (
            not later(b[0, level], b[1, level], source)
            or distance(keys, steps, far, far_code, b[0, level], b[1, level]) != half - level + odd
            or (odd and distance(keys, steps, source, 0, b[0, level], b[1, level]) != level)
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
                place, _ = slot(keys, neighbors[q], codes[q])
                if q == p or keys[place] == EMPTY or (nearest_only and steps[place] > first):
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
                    place, _ = slot(keys, neighbors[e], ring[1, level] + codes[e])
                    if keys[place] != EMPTY and steps[place] == length - level:
                        ring[0, level + 1], ring[1, level + 1] = neighbors[e], ring[1, level] + codes[e]
                        level += 1
                        link[level] = starts[neighbors[e]]
    return rings[:count], sizes[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(source, p, depth, nearest_only, starts, neighbors, codes, keys, steps, nodes):  # type: ignore[no-untyped-def]
    """Walk out from a neighbor of an atom, never through the atom, until its other neighbors are reached.

    Returns the steps to the nearest of them, `FAR` where none was reached, 0 when the table is too small.
    """
    keys[:] = EMPTY
    wanted = starts[source + 1] - starts[source] - 1
    place, key = slot(keys, neighbors[p], codes[p])
    keys[place], steps[place] = key, 0
    nodes[0, 0], nodes[1, 0] = neighbors[p], codes[p]
    count, begin, end, step, first = 1, 0, 1, 0, FAR
    while step < depth and wanted > 0 and begin < end and not (nearest_only and first < FAR):
        step += 1
        for n in range(begin, end):
            atom, code = nodes[0, n], nodes[1, n]
            for e in range(starts[atom], starts[atom + 1]):
                j, c = neighbors[e], code + codes[e]
                place, key = slot(keys, j, c)
                if keys[place] != EMPTY or (j == source and c == 0):
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
