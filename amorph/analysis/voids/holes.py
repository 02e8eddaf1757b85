"""The holes between atoms and the windows that join them: the exact skeleton of the distance to the nearest atom.

A hole is a place where a sphere is locked in by four atoms or more (a maximum of the distance), a window the narrowest
place between two holes, where three atoms or more in a plane surround it (a saddle). Which holes join at a given radius
depends on these alone, so the largest sphere that can pass through the crystal is exact, whatever any grid says.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.analysis.distance import distance_map
from amorph.parameters import checked
from amorph.structure import Radii, atomic_radii, pair_list, periodic_atoms

DEPTH: Final = 0.1
"""By how much the sphere of a hole must shrink to leave for a larger one, for the two to be separate voids [Å]."""
_JITTER: Final = 1e-6
"""How far neighbors are moved at random to bring them into general position [Å]; radii change by no more."""
_EQUAL: Final = 4e-6
"""Windows whose radii differ by no more may be equal before the jitter [Å]."""
_SAME_HOLE: Final = 1e-4
"""Nearer than this two maxima are one hole, which the atoms around it lock in more than once [Å]."""
_TOUCHES: Final = 3e-5
"""Atoms no farther than this from a sphere touch it, once they are back in their places [Å]."""
_SPACING: Final = 0.4
"""Spacing of the grid whose largest distance bounds every sphere [Å]."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The largest sphere that can pass through the crystal without end, along some directions."""

    dimension: int
    """Independent directions along which one connected way leads on without end: 1, 2 or 3."""
    radius: float
    """Radius of the sphere [Å]; negative where the atoms' spheres overlap all around every way."""
    position: tuple[float, float, float]
    """Center of the narrowest window of the way, inside the cell [Å]."""
    included_radius: float
    """Radius of the largest sphere that fits anywhere along the way [Å]."""

    @property
    def diameter(self) -> float:
        """Diameter of the sphere [Å]."""
        return 2.0 * self.radius


@dataclass(frozen=True, eq=False)
class Holes:
    """Every hole between the atoms and every window between two holes."""

    radii: NDArray[np.float64]
    """(n,) radius of the sphere that each hole locks in, the largest first [Å]; the first exact, others to 2e-6 Å."""
    positions: NDArray[np.float64]
    """(n, 3) centers of the holes, inside the cell [Å]."""
    window_radii: NDArray[np.float64]
    """(m,) radius of the largest sphere that passes each window, the largest first [Å]."""
    window_positions: NDArray[np.float64]
    """(m, 3) centers of the windows, inside the cell [Å]."""
    joined: NDArray[np.int64]
    """(m, 2) the holes on either side of each window."""
    shifts: NDArray[np.int64]
    """(m, 3) lattice vectors from the cell of the first of them to that of the second."""
    passages: tuple[Passage, Passage, Passage]
    """The largest spheres that pass without end along one, two and three independent directions."""
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""

    def separate(self, *, least: float = 0.0, depth: float = DEPTH) -> NDArray[np.int64]:
        """Choose one hole for each void: those out of which no way leads up that is not `depth` lower at some place.

        One void has many shallow maxima. The sphere of a separate hole must shrink by at least `depth` [Å] before it
        can leave for a larger one (the persistence of the maximum). Moving every atom by δ changes a depth by no more
        than 2δ. Among equal holes of one void, one is chosen; which is arbitrary, their number is not. Holes smaller
        than `least` [Å] are left out.

        Returns
        -------
        (k,) array
            Numbers of the holes, the largest first.
        """
        chosen = self.radii >= least
        parents = list(range(len(self.radii)))

        def top(hole: int) -> int:
            while parents[hole] != hole:
                parents[hole] = parents[parents[hole]]
                hole = parents[hole]
            return hole

        for radius, (a, b) in zip(self.window_radii.tolist(), self.joined.tolist(), strict=True):
            larger, smaller = sorted((top(a), top(b)))
            if larger != smaller:
                parents[smaller] = larger
                chosen[smaller] &= self.radii[smaller] - radius >= depth
        return np.flatnonzero(chosen)


@checked
def find_holes(atoms: Atoms, *, radii: Radii | None = None) -> Holes:
    r"""Find all holes between the atoms, all windows between holes, and the largest spheres that pass through.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.

    Returns
    -------
    Holes
        Radii and centers, and how the holes hang together.

    Raises
    ------
    ValueError
        A structure that makes no sense; no radius for an atom.
    RuntimeError
        The atoms are too special for floating-point numbers: a way up from a window was lost.

    Notes
    -----
    Holes and windows are the maxima and the index-2 saddles of :math:`d(x) = \min_i (|x - x_i| - r_i)`: vertices of the
    Voronoi (with radii: Apollonius) network and points of its edges. Each window is the circle that touches three atoms
    in their plane and holds no other; from it a growing sphere is followed to both sides, from atom to atom, until it
    is locked in. The holes that hang together above a radius are those that windows above it join (Morse theory); the
    lattice vectors of the closed ways among them decide the dimension. The atoms are first moved by 1e-6 Å at random,
    always the same way, so that no five of them touch one sphere; the figures of `passages` and the first hole are then
    solved for again with the atoms in their places.

    Examples
    --------
    In fcc the octahedral holes, a/2 from the atoms, join through triangles of atoms, a/√6 from each:

    >>> from ase.build import bulk
    >>> found = find_holes(bulk("Al", a=4.0))
    >>> len(found.radii), found.radii.round(4), round(found.passages[0].radius / 4.0 * 6**0.5, 9)
    (3, array([2.    , 1.7321, 1.7321]), 1.0)
    """
    atoms = periodic_atoms(atoms)
    own = np.zeros(len(atoms)) if radii is None else atomic_radii(atoms, radii)
    return _network(atoms, own, _bound(atoms, radii))


def _bound(atoms: Atoms, radii: Radii | None) -> float:
    """Bound the radius of every sphere between the atoms from above: the distance varies by no more than the way."""
    field = distance_map(atoms, radii=radii, spacing=_SPACING, threads=1)
    steps = atoms.cell.array / np.array(field.grid)[:, None]
    corners = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) @ steps
    return float(field.values.max() + 0.5 * np.linalg.norm(corners, axis=1).max()) + 10.0 * _JITTER


def _network(atoms: Atoms, own: NDArray[np.float64], largest: float) -> Holes:
    from amorph.analysis.voids._holes import climb_all, saddles

    cell = atoms.cell.array
    moved = atoms.copy()
    rng = np.random.default_rng(0)
    # moving the atoms of one cell leaves the symmetry of the lattice; a strain does not
    strain = np.eye(3) + _JITTER / largest * rng.uniform(-0.5, 0.5, (3, 3))
    moved.set_cell(cell @ strain, scale_atoms=True)
    moved.positions += _JITTER * rng.uniform(-0.5, 0.5, (len(atoms), 3))
    pairs = pair_list(moved, 2.0 * (largest + float(own.max())))
    order = np.lexsort((pairs.d, pairs.i))
    order = order[pairs.d[order] <= 2.0 * largest + own[pairs.i[order]] + own[pairs.j[order]]]
    starts = np.searchsorted(pairs.i[order], np.arange(len(atoms) + 1))
    lists = (starts, np.ascontiguousarray(pairs.D[order]), pairs.j[order], own[pairs.j[order]])
    triples, where = saddles(*lists, own, largest)
    ends = climb_all(triples, where, *lists, own)
    if not len(triples) or not np.isfinite(ends).all():
        raise RuntimeError(
            "a way between two holes was lost among the atoms of this structure; displace them by 1e-4 Å, "
            "or give other radii"
        )
    by_size = np.argsort(-where[:, 3], kind="stable")
    where, ends, origins = where[by_size], ends[by_size], atoms.positions[triples[by_size, 0]]
    levels, centers, joined, shifts = _merge(ends[:, :, 3], ends[:, :, :3] + origins[:, None], cell)
    solver = _Solver(cell, grids.make_bins(cell, atoms.positions, own), float(own.max()))
    levels[0] = solver.solve(centers[0], levels[0])[0]
    np.minimum(levels, levels[0], out=levels)  # equal holes differ by the jitter, and none is larger than the first
    windows = where[:, :3] + origins
    passages = []
    for dimension, window, along in _thresholds(where[:, 3], len(levels), joined, shifts):
        radius, center = solver.solve(windows[window], where[window, 3])
        x, y, z = grids.wrap(cell, center[None])[1][0].tolist()
        passages.append(Passage(dimension, radius, (x, y, z), solver.solve(centers[along], levels[along])[0]))
    one, two, three = passages
    windows = grids.wrap(cell, windows)[1]
    return Holes(levels, centers, where[:, 3], windows, joined, shifts, (one, two, three), np.array(cell))


def _merge(
    levels: NDArray[np.float64], ends: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Number the holes at the ends of windows by size; returns their radii and centers, who joins whom, and shifts."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    flat = ends.reshape(-1, 3)
    fractional, _ = grids.wrap(cell, flat)
    # distances from the faces of the cell: points that are near in space are near in these, across the faces too
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    tree = cKDTree(np.minimum(fractional * heights, np.nextafter(heights, 0.0)), boxsize=heights)
    near = tree.query_pairs(_SAME_HOLE, output_type="ndarray")
    graph = coo_array((np.ones(len(near), bool), near.T), shape=(len(flat), len(flat)))
    count, labels = connected_components(graph, directed=False)
    # the largest of the maxima that are one hole stands for it
    order = np.argsort(-levels.ravel(), kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    chosen = order[np.sort(first)]
    numbers = np.empty(count, np.int64)
    numbers[labels[chosen]] = np.arange(count)
    joined = numbers[labels]
    centers = grids.wrap(cell, flat[chosen])[1]
    shifts = np.rint((flat - centers[joined]) @ np.linalg.inv(cell)).astype(np.int64).reshape(-1, 2, 3)
    return levels.ravel()[chosen], centers, joined.reshape(-1, 2), shifts[:, 1] - shifts[:, 0]


def _thresholds(
    radii: NDArray[np.float64], count: int, joined: NDArray[np.int64], shifts: NDArray[np.int64]
) -> list[tuple[int, int, int]]:
    """Open windows from the largest down until holes hang together without end in 1, 2 and 3 directions.

    Returns for each dimension the window that completes it and the largest hole on the way; hole 0 is the largest.
    Windows as large as the one that completes it, which the jitter put behind it, are open to the way too.
    """
    from amorph.analysis.percolation._regions import add_winding

    parents = list(range(count))
    offsets = [np.zeros(3, np.int64) for _ in range(count)]
    bases = np.zeros((count, 3, 3), np.int64)

    def find(hole: int) -> tuple[int, NDArray[np.int64]]:
        offset = np.zeros(3, np.int64)
        while parents[hole] != hole:
            offset = offset + offsets[hole]
            hole = parents[hole]
        return hole, offset

    found: list[tuple[int, int, int]] = []
    completing: list[tuple[int, int]] = []
    for window, (a, b) in enumerate(joined.tolist()):
        known = len(found)
        if len(completing) > known and radii[window] < radii[completing[known][0]] - _EQUAL:
            found += [(k + 1, completing[k][0], find(completing[k][1])[0]) for k in range(known, len(completing))]
            if len(found) == 3:
                return found
        (root_a, offset_a), (root_b, offset_b) = find(a), find(b)
        step = offset_a + shifts[window] - offset_b
        if root_a == root_b:
            if not step.any():
                continue
            root, added = root_a, step[None]
        else:
            # the larger hole becomes the root, so a root is the largest hole of its tree
            root, leaf, offset = (root_a, root_b, step) if root_a < root_b else (root_b, root_a, -step)
            parents[leaf], offsets[leaf], added = root, offset, bases[leaf]
        rank = max(add_winding(bases[root], *vector) for vector in added.tolist())
        while len(completing) < rank:
            completing.append((window, root))
    if len(completing) == 3:
        return found + [(k + 1, completing[k][0], find(completing[k][1])[0]) for k in range(len(found), 3)]
    raise RuntimeError("the holes between the atoms do not hang together; displace the atoms by 1e-4 Å")


@dataclass(frozen=True, eq=False)
class _Solver:
    """Solves for the center and radius of a sphere from all the atoms that it touches, in their own places."""

    cell: NDArray[np.float64]
    atoms: grids.Bins
    widest: float

    def solve(self, center: NDArray[np.float64], radius: float) -> tuple[float, NDArray[np.float64]]:
        """Solve by Gauss and Newton near a sphere; at a window the center keeps to the plane of the atoms."""
        from amorph.analysis.grids._walk import gather

        center = center.copy()
        reach = radius + self.widest + _TOUCHES
        images, count = gather(center, reach, tuple(self.atoms), np.empty((4, 64)))
        points, sizes = images[:3, :count].T, images[3, :count]
        gaps = np.linalg.norm(points - center, axis=1) - sizes
        touching = gaps < gaps.min() + _TOUCHES
        points, sizes = points[touching], sizes[touching]
        for _ in range(8):
            away = center - points
            lengths = np.linalg.norm(away, axis=1)
            jacobian = np.column_stack([away / lengths[:, None], -np.ones(len(points))])
            step = np.linalg.lstsq(jacobian, radius - (lengths - sizes), rcond=1e-4)[0]
            center += step[:3]
            radius += step[3]
        return float(radius), center
