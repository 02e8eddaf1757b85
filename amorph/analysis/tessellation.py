"""Voronoi and power tessellations: the volume of each atom's cell, and the faces that it shares with its neighbours."""

import functools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from amorph.analysis.grids import available_processors, wrap
from amorph.parameters import Count, Fraction, NonNegativeLength, checked
from amorph.structure import periodic_atoms
from amorph.tables import Ion, radius

Kind = Literal["plain", "power"]
Radii = str | Mapping[str, NonNegativeLength]

VOLUME_TOLERANCE: Final = 1e-12
"""Largest relative difference of Σ V_i and V_cell; rounding makes some 1e-15."""

_TOLERANCE: Final = 1e-12
"""A plane that reaches less far into a cell than this only touches it: in units of the distance between atoms."""
_ROUNDING: Final = 1e-14
"""The same in units of the longest lattice vector, whose rounding moves the images of atoms."""
_ATOMS_PER_BIN: Final = 5.0
_BLOCK: Final = 256
"""Atoms of a block of work; only speed depends on it, and on the number per bin."""
_FIRST_REACH: Final = 2.5
"""Neighbours that are gathered at first, in units of the distance between atoms."""
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
    """(m,) index of the neighbour behind it."""
    S: NDArray[np.int64]
    """(m, 3) cell shifts of the neighbour: it is at r_j + S·cell."""
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

    @functools.cached_property
    def surfaces(self) -> NDArray[np.float64]:
        """(n,) surface of each cell [Å²]."""
        return np.bincount(self.i, self.areas, len(self.volumes))

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


@dataclass(frozen=True, slots=True)
class PairCoordination:
    """Faces of the cells of one species towards another; means over all atoms of the first."""

    species: str
    """Chemical symbol of the atoms whose cells are counted."""
    neighbor: str
    """Chemical symbol of the atoms behind the faces; "any" for all of them."""
    coordination_number: float
    """Mean number of faces of at least the smallest share."""
    effective_coordination_number: float
    """Mean of (Σ a)²/Σ a² over all faces towards the neighbour's species; 0 for an atom without any."""
    area: float
    """Mean area of all faces towards the neighbour's species [Å²]."""
    share: float
    """Mean share of the surface that these faces have."""


@dataclass(frozen=True, eq=False)
class FaceCoordination:
    """Coordination by the area of Voronoi faces."""

    coordination_numbers: NDArray[np.int64]
    """(n,) faces of at least the smallest share of the atom's surface."""
    effective_coordination_numbers: NDArray[np.float64]
    """(n,) (Σ a)²/Σ a² over all faces of the atom: their number if they were equal. 0 for an empty cell."""
    counted: NDArray[np.bool_]
    """(m,) the faces that count, in the order of the tessellation."""
    pairs: tuple[PairCoordination, ...]
    """Means by species and species of the neighbours, in alphabetical order, "any" after each species' own."""
    smallest_share: float
    """The smallest share of the surface that counts."""

    def table(self) -> list[dict[str, str | float]]:
        """Give one row per pair of species."""
        return [
            {
                "species": pair.species,
                "neighbour": pair.neighbor,
                "coordination": pair.coordination_number,
                "effective coordination": pair.effective_coordination_number,
                "area [Å²]": pair.area,
                "share of the surface": pair.share,
            }
            for pair in self.pairs
        ]


@checked
def tessellate(
    atoms: Atoms, *, tessellation: Kind = "plain", radii: Radii | None = None, threads: Count | None = None
) -> Tessellation:
    r"""Divide space among the atoms: the cell of each, and its faces.

    Parameters
    ----------
    atoms
        Periodic structure; any cell, however small or skewed.
    tessellation
        "plain": faces half-way between atoms. "power" (radical, Laguerre): faces shifted by the radii.
    radii
        Radii of a power tessellation: the name of a set (`shannon_ionic` needs ``oxidation_states``,
        `cordero_covalent` does not), or numbers [Å] by ion or element.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Returns
    -------
    Tessellation
        Volumes [Å³], and faces as pairs of atoms with their areas [Å²]. An atom can be its own neighbour, and two
        atoms can share several faces. A plane that only touches a cell, at a corner or along an edge, makes no face.

    Raises
    ------
    ValueError
        A structure that makes no sense; a power tessellation without radii, or radii without a power tessellation; no
        radius for an atom.
    RuntimeError
        The volumes do not add up to the cell's, or a face is not the same from both sides.

    Notes
    -----
    The face between i and j holds the points with
    :math:`|x - r_i|^2 - R_i^2 = |x - r_j|^2 - R_j^2`; plain cells have all :math:`R = 0`. A cell is cut out of a cube
    by the planes of the neighbours from near to far, until the next neighbour is too far to reach its farthest corner.

    Examples
    --------
    The cell of an atom in a body-centred cubic crystal is a truncated octahedron, 8 hexagons and 6 squares:

    >>> from ase.build import bulk
    >>> cells = tessellate(bulk("Fe", "bcc", a=4.0))
    >>> cells.volumes.round(9), cells.faces, np.unique(cells.areas.round(9))
    (array([32.]), array([14]), array([2.        , 5.19615242]))
    """
    atoms = periodic_atoms(atoms)
    values = radii_of(atoms, tessellation, radii)
    squares = np.zeros(len(atoms)) if values is None else values**2
    volumes, i, j, shifts, areas, distances = _cells(atoms, squares, threads)
    cell_volume = float(atoms.cell.volume)
    check_volumes(volumes, cell_volume, tessellation)
    name = radii if isinstance(radii, str) or radii is None else "given"
    symbols = tuple(atoms.symbols)
    return Tessellation(symbols, volumes, i, j, shifts, areas, distances, cell_volume, tessellation, name)


@checked
def face_coordination(cells: Tessellation, *, smallest_share: Fraction = 0.01) -> FaceCoordination:
    r"""Count the neighbours of each atom by the faces that its cell shares with them.

    Parameters
    ----------
    cells
        Voronoi or power tessellation.
    smallest_share
        Smallest share of an atom's surface that a face must have to count.

    Notes
    -----
    The effective coordination number :math:`(\sum_j a_{ij})^2 / \sum_j a_{ij}^2` weighs the faces by their area a and
    needs no threshold: n for n equal faces, and a face that vanishes leaves it continuously. This form (the
    participation number of the areas) is ours.

    Examples
    --------
    >>> from ase.build import bulk
    >>> cells = tessellate(bulk("Fe", "bcc", a=4.0))
    >>> [face_coordination(cells, smallest_share=share).coordination_numbers.item() for share in (0.01, 0.05)]
    [14, 8]
    """
    n = len(cells.volumes)
    counted = cells.shares >= smallest_share
    effective = _effective(cells.i, cells.areas, n)
    species = sorted(set(cells.symbols))
    kind = np.array([species.index(symbol) for symbol in cells.symbols])
    behind = kind[cells.j]
    pairs = []
    for a, name in enumerate(species):
        own = kind == a
        for b, neighbor in [*enumerate(species), (None, "any")]:
            towards = np.ones(len(cells.i), bool) if b is None else behind == b
            i, areas = cells.i[towards], cells.areas[towards]
            pairs.append(
                PairCoordination(
                    name,
                    neighbor,
                    float(np.bincount(i[counted[towards]], minlength=n)[own].mean()),
                    float(_effective(i, areas, n)[own].mean()),
                    float(np.bincount(i, areas, n)[own].mean()),
                    float(np.bincount(i, cells.shares[towards], n)[own].mean()),
                )
            )
    return FaceCoordination(
        np.bincount(cells.i[counted], minlength=n), effective, counted, tuple(pairs), smallest_share
    )


def check_volumes(volumes: NDArray[np.float64], cell_volume: float, tessellation: Kind) -> None:
    """Refuse volumes that do not add up to the cell's."""
    difference = volumes.sum() / cell_volume - 1.0
    if not abs(difference) <= VOLUME_TOLERANCE:
        raise RuntimeError(
            f"the {tessellation} Voronoi volumes add up to {volumes.sum():.9g} Å³ in a cell of {cell_volume:.9g} Å³ "
            f"(relative difference {difference:.1e}, at most {VOLUME_TOLERANCE:g}); check the structure"
        )


def radii_of(atoms: Atoms, tessellation: Kind, radii: Radii | None) -> NDArray[np.float64] | None:
    """Find the radius of each atom [Å]; None for a plain tessellation."""
    if tessellation == "plain":
        if radii is not None:
            raise ValueError(f"radii = {radii!r} have no place in a plain tessellation; choose tessellation = power")
        return None
    if radii is None:
        raise ValueError(
            "a power tessellation needs radii; name a set, shannon_ionic or cordero_covalent, or give them"
        )
    states: list[float | None] = [None] * len(atoms)
    if "oxidation_states" in atoms.arrays:
        states = atoms.arrays["oxidation_states"].astype(float).tolist()
    kinds = list(zip(atoms.symbols, states, strict=True))
    values = {
        (element, state): radius(radii, element, state) if isinstance(radii, str) else _given(radii, element, state)
        for element, state in dict.fromkeys(kinds)
    }
    return np.array([values[kind] for kind in kinds])


def _given(radii: Mapping[str, float], element: str, state: float | None) -> float:
    name = Ion(element, int(state)).name if state is not None and state == int(state) != 0 else element
    for key in (name, element):
        if key in radii:
            return radii[key]
    raise ValueError(f"no radius for {name} among {', '.join(radii) or 'none'}; give one for every species [Å]")


def _effective(i: NDArray[np.int64], areas: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    total, squares = np.bincount(i, areas, n), np.bincount(i, areas**2, n)
    return np.divide(total**2, squares, out=np.zeros(n), where=squares > 0.0)


def _cells(
    atoms: Atoms, squares: NDArray[np.float64], threads: int | None
) -> tuple[
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
]:
    """Make the cells; returns volumes, and i, j, shifts, areas and distances of the faces."""
    from amorph.analysis._tessellation_kernels import cells_of_block, opposite_faces, place_faces

    n = len(atoms)
    # in the cell of the shortest lattice vectors the walk over images is short
    cell, transformation = minkowski_reduce(atoms.cell.array)
    cell = np.array(cell, dtype=np.float64, order="C")
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    spacing = (abs(np.linalg.det(cell)) / n) ** (1 / 3)
    shape = np.clip(heights / (spacing * _ATOMS_PER_BIN ** (1 / 3)), 1, 512).astype(np.int64)
    fractional, inside = wrap(cell, atoms.positions)
    bins = np.ravel_multi_index(tuple(np.minimum((fractional * shape).astype(np.int64), shape - 1).T), tuple(shape))
    order = np.argsort(bins, kind="stable")
    first_of_bin = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
    np.cumsum(np.bincount(bins, minlength=first_of_bin.size - 1), out=first_of_bin[1:])
    wraps = np.rint((atoms.positions - inside) @ inverse).astype(np.int64)[order]
    lattice = (cell, inverse, heights, shape, first_of_bin)
    points = (np.ascontiguousarray(inside[order].T), squares[order], float(squares.max()))
    naming = (order, wraps, np.ascontiguousarray(transformation, dtype=np.int64))
    # no corner of a cell is farther from its atom than half the diagonal of a box of these edges
    half_last = 0.51 * float(np.sqrt((cell**2).sum()))
    tolerance = _TOLERANCE * spacing + _ROUNDING * float(np.sqrt((cell**2).sum(axis=1).max()))
    sizes = (min(_FIRST_HALF * spacing, half_last), half_last, _FIRST_REACH * spacing, tolerance)
    sorted_bins = bins[order]
    firsts = range(0, n, _BLOCK)

    def work(first: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        made: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
        made = cells_of_block(first, min(first + _BLOCK, n), lattice, points, sorted_bins, naming, sizes)
        return made

    threads = available_processors() if threads is None else threads
    if min(threads, len(firsts)) == 1:
        blocks = list(map(work, firsts))
    else:
        with ThreadPoolExecutor(threads) as pool:
            blocks = list(pool.map(work, firsts))
    volumes, counts = np.empty(n), np.empty(n, dtype=np.int64)
    volumes[order] = np.concatenate([block[0] for block in blocks])
    counts[order] = np.concatenate([block[1][1] for block in blocks])
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    total = int(starts[-1])
    faces = (np.empty(total, np.int64), np.empty((total, 3), np.int64), np.empty(total), np.empty(total))
    for first, (_, counts_of_block, rows, areas) in zip(firsts, blocks, strict=True):
        place_faces(first, counts_of_block[1], order, starts, rows, areas, faces)
    opposite = np.empty(total, np.int64)
    opposite_faces(starts, faces[0], faces[1], opposite)
    i = np.repeat(np.arange(n), counts)
    return volumes, i, *faces
