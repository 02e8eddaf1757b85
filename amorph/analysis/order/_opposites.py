"""Compiled kernels that tell which two nodes of a network may be opposite on a primitive ring."""

from collections import namedtuple

import numpy as np
from numba import njit

from amorph.analysis.order._nodes import EMPTY, ball, later, slot
from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

Sides = namedtuple("Sides", ("closer", "equal", "places", "numbers", "before", "ends"))
"""Bits of the nodes by their places, the places by number and back, and by number the places of neighbors: those a step
nearer to the source, of these the later ones first, then those as near, the later ones first; and where each part ends.
"""


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
        keys[:] = EMPTY
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
            if not later(atom, code, source):
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
        places[n], _ = slot(keys, nodes[0, n], nodes[1, n])
        closer[places[n]] = equal[places[n]] = 0
        numbers[places[n]] = n
    _list_before(source, count, starts, neighbors, codes, keys, steps, nodes, sides)
    for e in range(starts[source], min(starts[source + 1], starts[source] + 64)):
        if later(neighbors[e], codes[e], source):
            place, _ = slot(keys, neighbors[e], codes[e])
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
            place, _ = slot(keys, neighbors[e], code + codes[e])
            if keys[place] == EMPTY or steps[place] > step:
                continue
            part = 2 * (steps[place] == step) + (not later(neighbors[e], code + codes[e], source))
            found[part, sizes[part]] = place
            sizes[part] += 1
        end = 0
        for part in range(4):
            before[n, end : end + sizes[part]] = found[part, : sizes[part]]
            end += sizes[part]
            ends[n, part] = end
