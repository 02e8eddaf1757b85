"""Voronoi and power tessellations: the volume of each atom's cell, and the faces that it shares with its neighbors."""

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from amorph.analysis.grids import sort_into_bins
from amorph.machine.processors import available_processors
from amorph.parameters import Meaning, Threads, checked
from amorph.structure import Radii, atomic_radii, periodic_atoms

Kind = Annotated[
    Literal["plain", "power"],
    Meaning(
        '"plain": faces half-way between atoms; it alone fits published figures. "power" (radical, Laguerre): faces '
        "shifted by the radii."
    ),
]

VOLUME_TOLERANCE: Final = 1e-12
"""Largest relative difference of Σ V_i and V_cell; rounding and the slack of cuts make some 1e-14."""

_SLACK: Final = (2e-14, 1e-15)
"""A plane that reaches less far into a cell than this, in units of the distance between atoms and of the longest
lattice vector, removes nothing: twenty times the rounding of corners, and a few times that of the images of atoms. It
moves volumes in first order, so it is no larger."""
_TOUCHING: Final = 1e-12
"""Faces of less area than this, in units of the squared distance between atoms, are planes that only touch."""
_MISMATCH: Final = 1e-5
"""Largest difference of a face's areas from its two sides, in the same units. Where the planes of two neighbors
coincide but for 1e-9 rad, as radii can make them do, the line between their faces is only good to 1e-6."""
_ATOMS_PER_BIN: Final = 8.0
_BLOCK: Final = 256
"""Atoms of a block of work; only speed depends on it, and on the number per bin."""
_FIRST_REACH: Final = 2.5
"""Neighbors that are gathered at first, in units of the distance between atoms."""
_FIRST_HALF: Final = 2.0
"""Half the edge of the first cube that a cell is cut from, in the same units."""


@dataclass(frozen=True, eq=False)
class Tessellation:
    """The cells of the atoms and the faces between them, each face seen from both sides, sorted by i, j and shift."""

    symbols: tuple[str, ...]
    """(n,) chemical symbol of each atom."""
    volumes: NDArray[np.float64]
    """(n,) volume of each atom's cell [Å³]; 0 for an empty power cell."""
    i: NDArray[np.int64]
    """(m,) index of the atom whose cell has the face."""
    j: NDArray[np.int64]
    """(m,) index of the neighbor behind it."""
    S: NDArray[np.int64]
    """(m, 3) cell shifts of the neighbor: it is at r_j + S·cell."""
    areas: NDArray[np.float64]
    """(m,) area of each face [Å²]."""
    distances: NDArray[np.float64]
    """(m,) distance of the two atoms, \\|r_j − r_i + S·cell\\| [Å]."""
    cell_volume: float
    """Volume of the periodic cell [Å³]."""
    tessellation: Kind
    """Plain Voronoi cells, or power cells weighted by radii."""
    radii_set: str | None
    """Name of the radii of a power tessellation; "given" for radii passed as numbers."""

    def __repr__(self) -> str:
        return f"Tessellation({len(self.volumes)} cells, {len(self.i)} faces, {self.tessellation})"

    @functools.cached_property
    def surfaces(self) -> NDArray[np.float64]:
        """(n,) surface of each cell [Å²]."""
        return np.bincount(self.i, self.areas, len(self.volumes)).astype(np.float64)

    @functools.cached_property
    def shares(self) -> NDArray[np.float64]:
        """(m,) area of each face over the surface of its cell."""
        return self.areas / self.surfaces[self.i]

    @property
    def faces(self) -> NDArray[np.int64]:
        """(n,) number of faces of each cell, however small."""
        return np.bincount(self.i, minlength=len(self.volumes))

    @property
    def empty_cells(self) -> tuple[int, ...]:
        """Atoms whose power cell is empty."""
        return tuple(np.flatnonzero(self.volumes == 0.0).tolist())


@checked
def tessellate(
    atoms: Atoms, *, tessellation: Kind = "plain", radii: Radii | None = None, threads: Threads | None = None
) -> Tessellation:
    r"""Divide space among the atoms: the cell of each, and its faces.

    Parameters
    ----------
    atoms
        Periodic structure; any cell, however small or skewed.
    radii
        Radii of a power tessellation: the name of a set (`shannon_ionic` needs ``oxidation_states``,
        `cordero_covalent` does not), or numbers [Å] by ion or element.

    Returns
    -------
    Tessellation
        Volumes [Å³], and faces as pairs of atoms with their areas [Å²]. An atom can be its own neighbor, and two
        atoms can share several faces. A plane that only touches a cell, at a corner or along an edge, makes no face.

    Raises
    ------
    ValueError
        A structure that makes no sense; a power tessellation without radii, or radii without a power tessellation; no
        radius for an atom.
    RuntimeError
        The volumes do not add up to the cell's; a face is not the same from both sides, where radii make the planes
        of two neighbors all but coincide.

    Notes
    -----
    The face between i and j holds the points with
    :math:`|x - r_i|^2 - R_i^2 = |x - r_j|^2 - R_j^2`; plain cells have all :math:`R = 0`. A cell is cut out of a cube
    by the planes of the neighbors from near to far, until the next neighbor is too far to reach its farthest corner.

    Examples
    --------
    The cell of an atom in a body-centred cubic crystal is a truncated octahedron, 8 hexagons and 6 squares:

    >>> from ase.build import bulk
    >>> cells = tessellate(bulk("Fe", "bcc", a=4.0))
    >>> cells.volumes.round(9), cells.faces, np.unique(cells.areas.round(9))
    (array([32.]), array([14]), array([2.        , 5.19615242]))
    """
    atoms = periodic_atoms(atoms)
    made = cut_cells(atoms, tessellation, radii, threads)
    name = radii if isinstance(radii, str) or radii is None else "given"
    symbols = tuple(atoms.symbols)
    return Tessellation(symbols, made.volumes, *_matched(made), made.cell_volume, tessellation, name)


def cut_cells(atoms: Atoms, tessellation: Kind, radii: Radii | None, threads: int | None = None) -> "Cells":
    """Cut the cells of the atoms, and refuse volumes that do not add up to the cell's."""
    values = _radii_of(atoms, tessellation, radii)
    squares = np.zeros(len(atoms)) if values is None else values**2
    cells = _cells(atoms.cell.array, atoms.positions, squares, threads)
    difference = cells.volumes.sum() / cells.cell_volume - 1.0
    if not abs(difference) <= VOLUME_TOLERANCE:
        raise RuntimeError(
            f"the {tessellation} Voronoi volumes add up to {cells.volumes.sum():.9g} Å³ in a cell of "
            f"{cells.cell_volume:.9g} Å³ (relative difference {difference:.1e}, at most {VOLUME_TOLERANCE:g}); "
            f"check the structure"
        )
    return cells


def _radii_of(atoms: Atoms, tessellation: Kind, radii: Radii | None) -> NDArray[np.float64] | None:
    """Find the radius of each atom [Å]; None for a plain tessellation."""
    if tessellation == "plain":
        if radii is not None:
            raise ValueError(f"radii = {radii!r} have no place in a plain tessellation; choose tessellation = power")
        return None
    if radii is None:
        raise ValueError(
            "a power tessellation needs radii; name a set, shannon_ionic or cordero_covalent, or give them"
        )
    return atomic_radii(atoms, radii)


class _Layout(NamedTuple):
    """What the kernel needs, atoms in the order of their bins."""

    lattice: tuple[NDArray[Any], ...]
    points: tuple[NDArray[np.float64], NDArray[np.float64], float]
    bin_of: NDArray[np.int64]
    naming: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    sizes: tuple[float, float, float, float]


class _Faces(NamedTuple):
    """Faces in the order of the atoms, as :class:`Tessellation` has them."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    S: NDArray[np.int64]
    areas: NDArray[np.float64]
    distances: NDArray[np.float64]


class Cells(NamedTuple):
    """Cells and their faces, all of them, as cut."""

    volumes: NDArray[np.float64]
    corners: NDArray[np.int64]
    faces: _Faces
    cell_volume: float
    """Determinant of the shortest lattice vectors [Å³]; that of long, skewed ones has lost digits."""
    spacing: float
    """Edge of a cube of an atom's share of the volume [Å]."""
    touching: float
    """Area up to which a face is none [Å²]."""


def _layout(
    cell: NDArray[np.float64], positions: NDArray[np.float64], squares: NDArray[np.float64]
) -> tuple[_Layout, float]:
    """Sort atoms into bins of the cell of the shortest lattice vectors, in which the walk over images is short.

    Returns the distance between atoms too, the edge of a cube of an atom's share of the volume.
    """
    cell, transformation = minkowski_reduce(cell)
    cell = np.array(cell, dtype=np.float64, order="C")
    spacing = float(abs(np.linalg.det(cell)) / len(positions)) ** (1 / 3)
    numbers = np.arange(len(positions), dtype=np.float64)
    *lattice, inside = sort_into_bins(cell, positions, spacing * _ATOMS_PER_BIN ** (1 / 3), numbers)
    order = inside[3].astype(np.int64)
    inside[3] = numbers
    wraps = np.rint((positions[order] - inside[:3].T) @ lattice[1]).astype(np.int64)
    starts = lattice[4]
    lengths = np.linalg.norm(cell, axis=1)
    # half the diagonal of a box of these edges: no corner of a cell is farther from its atom
    largest = 0.51 * float(np.linalg.norm(lengths))
    slack = _SLACK[0] * spacing + _SLACK[1] * float(lengths.max())
    layout = _Layout(
        tuple(lattice),
        (inside, squares[order], float(squares.max())),
        np.repeat(np.arange(len(starts) - 1), np.diff(starts)),
        (order, wraps, np.ascontiguousarray(transformation, dtype=np.int64)),
        (min(_FIRST_HALF * spacing, largest), largest, _FIRST_REACH * spacing, slack),
    )
    return layout, spacing


def _cells(
    cell: NDArray[np.float64], positions: NDArray[np.float64], squares: NDArray[np.float64], threads: int | None
) -> Cells:
    """Make the cells, given the squared radii."""
    from amorph.analysis.voronoi._cells import cells_of_block, place_faces

    n = len(positions)
    layout, spacing = _layout(cell, positions, squares)
    order = layout.naming[0]
    firsts = range(0, n, _BLOCK)

    def work(first: int) -> tuple[NDArray[Any], ...]:
        made: tuple[NDArray[Any], ...] = cells_of_block(first, min(first + _BLOCK, n), *layout)
        return made

    threads = available_processors() if threads is None else threads
    if min(threads, len(firsts)) == 1:
        blocks = list(map(work, firsts))
    else:
        with ThreadPoolExecutor(threads) as pool:
            blocks = list(pool.map(work, firsts))
    volumes, counts = np.empty(n), np.empty((2, n), dtype=np.int64)
    volumes[order] = np.concatenate([block[0] for block in blocks])
    counts[:, order] = np.concatenate([block[1] for block in blocks], axis=1)
    corners, n_faces = counts
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(n_faces, out=starts[1:])
    total = int(starts[-1])
    i = np.repeat(np.arange(n), n_faces)
    faces = _Faces(i, np.empty(total, np.int64), np.empty((total, 3), np.int64), np.empty(total), np.empty(total))
    for first, (_, counts_of_block, rows, areas) in zip(firsts, blocks, strict=True):
        place_faces(first, counts_of_block[1], order, starts, rows, areas, faces[1:])
    # slivers of planes that touch along an edge are as wide as the slack
    touching = max(_TOUCHING * spacing, 10.0 * layout.sizes[3]) * spacing
    volumes[volumes < touching * spacing] = 0.0
    return Cells(volumes, corners, faces, spacing**3 * n, spacing, touching)


def _matched(cells: Cells) -> _Faces:
    """Give both sides of a face the same area, and leave out what only touches."""
    from amorph.analysis.voronoi._cells import match_faces

    faces, n = cells.faces, len(cells.volumes)
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(faces.i, minlength=n), out=starts[1:])
    areas, distances = faces.areas.copy(), faces.distances.copy()
    k, difference, there = match_faces(starts, faces.j, faces.S, areas, distances)
    if difference > _MISMATCH * cells.spacing**2:
        raise RuntimeError(
            f"the face between atoms {faces.i[k]} and {faces.j[k]} has {faces.areas[k]:.9g} Å² from one side and "
            f"{there:.9g} Å² from the other, as planes all but coincide; change a position or a radius by 1e-6 Å"
        )
    keep = areas > cells.touching
    if keep.all():
        return faces._replace(areas=areas, distances=distances)
    return _Faces(faces.i[keep], faces.j[keep], faces.S[keep], areas[keep], distances[keep])
