"""Nodes of the endless network of a periodic structure, in compiled kernels.

A node is an atom and the code of its image, (x·W + y)·W + z with W = 2¹³: codes of images add up as their shifts do.
`starts` (n + 1), `neighbors` (m) and `codes` (m) are the links of each atom of the cell.
"""

import numpy as np
from numba import njit

from amorph.machine.kernel_cache import provide_cache_folder

provide_cache_folder()

WIDTH = 1 << 13
FAR = 255
"""Distance of what was not reached."""
EMPTY = np.int64(-(1 << 62))
_ATOM_BITS = 22
_ATOM = (1 << _ATOM_BITS) - 1


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def slot(keys, atom, code):  # type: ignore[no-untyped-def]
    """Find the place of a node in an open hash table, or the free one where it belongs."""
    key = (code << _ATOM_BITS) | atom
    mask = keys.size - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64(mixed >> np.uint64(20)) & mask
    while keys[place] != key and keys[place] != EMPTY:
        place = (place + 1) & mask
    return place, key


@njit(cache=True, nogil=True, error_model="numpy")
def ball(source, depth, starts, neighbors, codes, keys, steps, nodes):  # type: ignore[no-untyped-def]
    """Walk the network out from an atom of the cell; returns the number of nodes within `depth` steps.

    `keys` (empty, a power of two) and `steps` become the table of their distances, `nodes` (2, n) their list. Returns
    −1 when the table is more than half full, or the list full.
    """
    place, key = slot(keys, source, 0)
    keys[place], steps[place] = key, 0
    nodes[0, 0], nodes[1, 0] = source, 0
    count, begin, end = 1, 0, 1
    for step in range(1, depth + 1):
        for n in range(begin, end):
            atom, code = nodes[0, n], nodes[1, n]
            for e in range(starts[atom], starts[atom + 1]):
                j, c = neighbors[e], code + codes[e]
                place, key = slot(keys, j, c)
                if keys[place] == EMPTY:
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
        keys = np.full((n, size), EMPTY, np.int64)
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
def distance(keys, steps, a, ca, b, cb):  # type: ignore[no-untyped-def]
    place, _ = slot(keys[a], b, cb - ca)
    return FAR if keys[a, place] == EMPTY else np.int64(steps[a, place])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def later(atom, code, source):  # type: ignore[no-untyped-def]
    return atom > source or (atom == source and code > 0)
