"""The atom graph and the bond graph of one structure, rebuilt exactly at every step from a Verlet list with a skin.

Half of the directed edges are kept (bonds): i < j, or i = j with a shift whose first non-zero component is positive.
Bonds are sorted by i, j and shift, so what is computed from them does not depend on the age of the list.

The bond graph holds the bonds shorter than 3 Å. Each gives two directed short edges, one at either end, numbered by the
atom they start from. An angle is an ordered pair of distinct short edges of one center.
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numba import njit
from numpy.typing import NDArray

from amorph.chgnet.cpu.tables import RADIAL_INTERVALS, RADIAL_START, angular_step
from amorph.chgnet.guards import refuse_close, refuse_isolated
from amorph.structure import half_list

COSINE_SCALE = 1 - 1e-6
"""CHGNet shortens the cosine so that the slope of its arc cosine stays finite."""

Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Graph:
    """Bonds, short edges and angles of one structure."""

    i: Ints
    """(bonds,) first atom."""
    j: Ints
    """(bonds,) second atom."""
    D: NDArray[np.float64]
    """(bonds, 3) vector from i to j [Å]."""
    d: NDArray[np.float64]
    """(bonds,) length [Å]."""
    knot: Ints
    """(bonds,) interval of the radial tables."""
    t: NDArray[Any]
    """(bonds,) place in the interval, 0 to 1."""
    short: Ints
    """(bonds,) number of the bond in the bond graph, or −1."""
    bond: Ints
    """(short bonds,) number of the short bond in the atom graph."""
    edge_start: Ints
    """(atoms + 1,) first directed short edge of each center."""
    edge_bond: Ints
    """(edges,) short bond of each directed edge."""
    edge_vector: NDArray[np.float64]
    """(edges, 4) unit vector from the center to the neighbor, and length [Å]."""
    ends: Ints
    """(short bonds, 2) the two directed edges of each short bond."""
    angle_start: NDArray[np.int64]
    """(atoms + 1,) first angle of each center."""
    angle_edges: Ints
    """(angles, 2) the two directed edges of each angle."""
    angle_knot: Ints
    """(angles,) interval of the angular tables."""
    angle_t: NDArray[Any]
    """(angles,) place in the interval."""


class VerletList:
    """Pairs within cutoff + skin, kept until an atom could have come closer than the cutoff unseen."""

    def __init__(self, cutoff: float, bond_cutoff: float, step: float, skin: float, dtype: Any = np.float32) -> None:
        self.cutoff = cutoff
        self.bond_cutoff = bond_cutoff
        self.skin = skin
        self.rebuilds = 0
        self._step = step
        self._like = np.empty(0, dtype)
        self._positions: NDArray[np.float64] | None = None
        self._inverse: NDArray[Any] = np.eye(3)
        self._pairs: tuple[Any, ...] = ()

    def graph(self, atoms: Atoms) -> Graph:
        """Build the graph of a structure.

        Raises
        ------
        ValueError
            Two atoms are too close, or an atom has no neighbor.
        """
        positions = np.ascontiguousarray(atoms.positions)
        cell = np.ascontiguousarray(atoms.cell.array)
        if not self._holds(positions, cell):
            self._rebuild(atoms, positions, cell)
        bonds = _compact(
            *self._pairs,
            positions,
            cell,
            self.cutoff,
            self.bond_cutoff,
            RADIAL_START,
            self._step,
            RADIAL_INTERVALS,
            self._like,
        )
        i, j, D, d, knot, t, short, bond, neighbors, nearest = bonds
        if nearest >= 0:
            refuse_close(atoms, int(i[nearest]), int(j[nearest]), float(d[nearest]))
        if (neighbors == 0).any():
            refuse_isolated(atoms, np.flatnonzero(neighbors == 0), self.cutoff)
        return Graph(
            i, j, D, d, knot, t, short, bond, *_bond_graph(i, j, D, d, bond, len(atoms), angular_step(), self._like)
        )

    def _holds(self, positions: NDArray[np.float64], cell: NDArray[np.float64]) -> bool:
        """Tell whether no pair outside the list can be within the cutoff.

        With the deformation F from the old cell to the new one and displacements u = r − F r_old beyond it, a pair that
        was more than cutoff + skin apart is now at least σ_min(F) (cutoff + skin) − 2 max|u| apart.
        """
        if self._positions is None or len(self._positions) != len(positions):
            return False
        deformation = self._inverse @ cell
        smallest = float(np.linalg.svd(deformation, compute_uv=False)[-1])
        u = positions - self._positions @ deformation
        return bool(smallest * (self.cutoff + self.skin) - 2 * np.sqrt((u**2).sum(axis=1).max()) >= self.cutoff)

    def _rebuild(self, atoms: Atoms, positions: NDArray[np.float64], cell: NDArray[np.float64]) -> None:
        self._pairs = half_list(atoms, self.cutoff + self.skin)
        self._positions, self._inverse = positions.copy(), np.linalg.inv(cell)
        self.rebuilds += 1


@njit(cache=True, nogil=True)
def _compact(pair_i, pair_j, shift, positions, cell, cutoff, bond_cutoff, start, step, intervals, like):
    """Keep the pairs within the cutoff; find the interval of each length in the radial tables."""
    capacity = pair_i.size
    i, j = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    D, d = np.empty((capacity, 3)), np.empty(capacity)
    knot, t = np.empty(capacity, np.int32), np.empty(capacity, like.dtype)
    short, bond = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    neighbors = np.zeros(positions.shape[0], np.int32)
    nearest = -1
    count = shorts = 0
    for k in range(capacity):
        a, b = pair_i[k], pair_j[k]
        s0, s1, s2 = shift[k, 0], shift[k, 1], shift[k, 2]
        x = positions[b, 0] - positions[a, 0] + (s0 * cell[0, 0] + s1 * cell[1, 0] + s2 * cell[2, 0])
        y = positions[b, 1] - positions[a, 1] + (s0 * cell[0, 1] + s1 * cell[1, 1] + s2 * cell[2, 1])
        z = positions[b, 2] - positions[a, 2] + (s0 * cell[0, 2] + s1 * cell[1, 2] + s2 * cell[2, 2])
        square = x * x + y * y + z * z
        if square >= cutoff * cutoff:
            continue
        length = np.sqrt(square)
        i[count], j[count] = a, b
        D[count, 0], D[count, 1], D[count, 2] = x, y, z
        d[count] = length
        neighbors[a] += 1
        neighbors[b] += 1
        if length < start:
            if nearest < 0 or length < d[nearest]:
                nearest = count
            knot[count], t[count] = 0, 0.0
        else:
            place = (length - start) / step
            knot[count] = min(int(place), intervals - 1)
            t[count] = place - knot[count]
        short[count] = -1
        if length < bond_cutoff:
            short[count] = shorts
            bond[shorts] = count
            shorts += 1
        count += 1
    return (
        i[:count],
        j[:count],
        D[:count],
        d[:count],
        knot[:count],
        t[:count],
        short[:count],
        bond[:shorts],
        neighbors,
        nearest,
    )


@njit(cache=True, nogil=True)
def _bond_graph(i, j, D, d, bond, atoms, angle_step, like):
    """List the directed short edges of each center and the ordered pairs of them."""
    shorts = bond.size
    edge_start = np.zeros(atoms + 1, np.int32)
    for s in range(shorts):
        edge_start[i[bond[s]] + 1] += 1
        edge_start[j[bond[s]] + 1] += 1
    for a in range(atoms):
        edge_start[a + 1] += edge_start[a]
    edges = 2 * shorts
    edge_bond, edge_vector, ends = np.empty(edges, np.int32), np.empty((edges, 4)), np.empty((shorts, 2), np.int32)
    cursor = edge_start[:-1].copy()
    for s in range(shorts):
        b = bond[s]
        for side in range(2):
            center = i[b] if side == 0 else j[b]
            sign = 1.0 if side == 0 else -1.0
            e = cursor[center]
            cursor[center] += 1
            edge_bond[e] = s
            ends[s, side] = e
            for x in range(3):
                edge_vector[e, x] = sign * D[b, x] / d[b]
            edge_vector[e, 3] = d[b]
    angle_start = np.zeros(atoms + 1, np.int64)
    for a in range(atoms):
        n = np.int64(edge_start[a + 1] - edge_start[a])
        angle_start[a + 1] = angle_start[a] + n * (n - 1)
    angles = angle_start[atoms]
    angle_edges, angle_knot, angle_t = (
        np.empty((angles, 2), np.int32),
        np.empty(angles, np.int32),
        np.empty(angles, like.dtype),
    )
    last = int(np.round(np.pi / angle_step)) - 1
    k = 0
    for a in range(atoms):
        for first in range(edge_start[a], edge_start[a + 1]):
            for second in range(edge_start[a], edge_start[a + 1]):
                if first == second:
                    continue
                cosine = (
                    edge_vector[first, 0] * edge_vector[second, 0]
                    + edge_vector[first, 1] * edge_vector[second, 1]
                    + edge_vector[first, 2] * edge_vector[second, 2]
                )
                place = np.arccos(cosine * COSINE_SCALE) / angle_step
                angle_edges[k, 0], angle_edges[k, 1] = first, second
                angle_knot[k] = min(int(place), last)
                angle_t[k] = place - angle_knot[k]
                k += 1
    return edge_start, edge_bond, edge_vector, ends, angle_start, angle_edges, angle_knot, angle_t


@njit(cache=True, nogil=True)
def gather_forces(i, j, D, d, bond_slope, short, ends, edge_vector, angle_edges, angle_slope, forces, virial):
    """Turn the slopes dE/dd of bonds and dE/dθ of angles into forces and the virial Σ D ⊗ dE/dD."""
    edges = edge_vector.shape[0]
    gradient = np.zeros((edges, 3))
    for k in range(angle_edges.shape[0]):
        first, second = angle_edges[k, 0], angle_edges[k, 1]
        cosine = (
            edge_vector[first, 0] * edge_vector[second, 0]
            + edge_vector[first, 1] * edge_vector[second, 1]
            + edge_vector[first, 2] * edge_vector[second, 2]
        )
        scaled = cosine * COSINE_SCALE
        slope = -np.float64(angle_slope[k]) * COSINE_SCALE / np.sqrt(1 - scaled * scaled)
        for x in range(3):
            gradient[first, x] += (
                slope * (edge_vector[second, x] - cosine * edge_vector[first, x]) / edge_vector[first, 3]
            )
            gradient[second, x] += (
                slope * (edge_vector[first, x] - cosine * edge_vector[second, x]) / edge_vector[second, 3]
            )
    for b in range(i.size):
        s = short[b]
        for x in range(3):
            g = bond_slope[b] * D[b, x] / d[b]
            if s >= 0:
                g += gradient[ends[s, 0], x] - gradient[ends[s, 1], x]
            forces[i[b], x] += g
            forces[j[b], x] -= g
            for y in range(3):
                virial[y, x] += D[b, y] * g


KERNELS = [_compact, _bond_graph, gather_forces]
