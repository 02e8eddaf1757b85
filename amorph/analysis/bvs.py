"""Bond-valence sums of a mobile ion: on a grid over the cell, and at points."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from amorph.analysis import grids
from amorph.analysis.distance import fill_distances
from amorph.fields import ScalarField
from amorph.parameters import Count, Length, NonNegativeLength, Valence, checked
from amorph.structure import periodic_atoms
from amorph.tables import bond_valence, parse_ion

Blocking = Literal["all", "framework"]

SOFTNESS = 0.37
"""The b of Brown & Altermatt (1985), for an r0 given alone [Å]."""

_MOST_ANIONS = 1_000_000
"""Anions within the cutoff of one point: beyond this the cutoff must be a slip."""
_LARGEST_EXPONENT = 690.0
"""exp of this is 1e299; beyond about 709 float64 overflows."""


@dataclass(frozen=True, eq=False)
class BvsMap:
    """Bond-valence sums of one ion on a grid, and how the points share out.

    A point is excluded, under-bonded (v ≤ V − window), in the window (|v − V| < window) or over-bonded
    (v ≥ V + window), where V is the valence of the ion; the four shares of the cell add up to one. The window is not
    the free volume: roomy points are under-bonded.
    """

    field: ScalarField
    """Bond valence sum at every point [v.u.], NaN where excluded; its parameters are the arguments that repeat it."""
    atoms: Atoms
    """The structure, every atom of it."""
    ion: str
    """The ion whose valence is summed: "Mg2+"."""
    target_valence: float
    """V, the valence of the ion [v.u.]."""
    window: float
    """Half width of the window around V [v.u.]."""
    r0: float
    """Length of a bond of unit valence [Å]."""
    b: float
    """Softness [Å]."""
    source: str
    """Where r0 and b come from; with "unverified" where nobody confirmed them in their first source."""
    cutoff: float
    """Anions at this distance or nearer count [Å]."""
    exclusion_radius: float
    """Points nearer than this to a blocking atom are excluded [Å]."""
    anion_exclusion_radius: float
    """The same for anions [Å]."""
    blocking: Blocking
    """Whether all atoms block, or the framework only: without the ions of the mobile element."""
    anion: str
    """Chemical symbol of the anion."""
    excluded_fraction: float
    """Share of the cell's points that are excluded."""
    under_bonded_fraction_of_cell: float
    """Share of the cell's points that are under-bonded."""
    window_fraction_of_cell: float
    """Share of the cell's points that are in the window."""
    over_bonded_fraction_of_cell: float
    """Share of the cell's points that are over-bonded."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of points along each lattice vector."""
        return self.field.grid

    @property
    def under_bonded_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are under-bonded; 0 where all are excluded."""
        return self._of_accessible(self.under_bonded_fraction_of_cell)

    @property
    def window_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are in the window; 0 where all are excluded."""
        return self._of_accessible(self.window_fraction_of_cell)

    @property
    def over_bonded_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are over-bonded; 0 where all are excluded."""
        return self._of_accessible(self.over_bonded_fraction_of_cell)

    @property
    def mismatch(self) -> ScalarField:
        """|v − V| at every point [v.u.], NaN where excluded."""
        values = self.field.values - self.target_valence
        np.abs(values, out=values)
        quantity = f"bond valence mismatch of {self.ion}"
        return ScalarField(values, self.field.cell, quantity, "v.u.", self.field.parameters)

    def table(self) -> list[dict[str, str | float | None]]:
        """Give the shares of the cell and of its accessible points, and the volumes [Å³], one row for each region."""
        low, high = self.target_valence - self.window, self.target_valence + self.window
        volume = self.field.cell_volume
        rows: list[dict[str, str | float | None]] = [
            {
                "region": "excluded",
                "fraction_of_cell": self.excluded_fraction,
                "fraction_of_accessible": None,
                "volume_A3": self.excluded_fraction * volume,
            }
        ]
        for region, share in (
            (f"under-bonded, v ≤ {low:g}", self.under_bonded_fraction_of_cell),
            (f"window, {low:g} < v < {high:g}", self.window_fraction_of_cell),
            (f"over-bonded, v ≥ {high:g}", self.over_bonded_fraction_of_cell),
        ):
            rows.append(
                {
                    "region": region,
                    "fraction_of_cell": share,
                    "fraction_of_accessible": self._of_accessible(share),
                    "volume_A3": share * volume,
                }
            )
        return rows

    def _of_accessible(self, share: float) -> float:
        accessible = 1.0 - self.excluded_fraction
        return share / accessible if accessible > 0.0 else 0.0


@checked
def bvs_map(
    atoms: Atoms,
    ion: str,
    *,
    grid: tuple[Count, Count, Count] | None = None,
    spacing: Length | None = None,
    cutoff: Length = 6.0,
    exclusion_radius: NonNegativeLength = 1.7,
    anion_exclusion_radius: NonNegativeLength | None = None,
    blocking: Blocking = "all",
    window: Valence = 0.4,
    r0: Length | None = None,
    b: Length | None = None,
    anion: str = "O",
    parameters: Path | None = None,
    threads: Count | None = None,
) -> BvsMap:
    r"""Map the bond valence sum that an ion would have at every point of a grid over the cell.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    ion
        The mobile ion: "Mg2+".
    grid
        Number of points along each lattice vector; by default `spacing` decides.
    spacing
        Largest distance between neighbouring points along a lattice vector [Å], in place of a grid; by default 0.1 Å.
    cutoff
        Anions at this distance or nearer count [Å].
    exclusion_radius
        Points nearer than this to a blocking atom are excluded [Å].
    anion_exclusion_radius
        The same for anions, where it differs [Å].
    blocking
        "all": every atom excludes the points around it; "framework": the ions of the mobile element do not.
    window
        Half width of the window around the valence of the ion [v.u.]. The 0.4 v.u. belong to Mg2+ with r0 = 1.693 Å
        and b = 0.37 Å; for another ion, r0 or b the width is the user's choice.
    r0
        Length of a bond of unit valence [Å]; by default the table's.
    b
        Softness [Å]; by default that of the table's r0, and 0.37 Å beside an r0 given here.
    anion
        Element that the ion bonds, or its ion: "O", "O2-".
    parameters
        A bvparm .cif file of the IUCr to take r0 and b from, instead of the table.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Returns
    -------
    BvsMap
        The map, with the shares of the cell that are excluded, under-bonded, in the window and over-bonded.

    Raises
    ------
    ValueError
        A structure that makes no sense, no anion in it, an ion without parameters, both a grid and a spacing, or a grid
        larger than memory.

    Notes
    -----
    :math:`v = \sum_j \exp[(r_0 - d_j)/b]` over the anions with :math:`d_j` at most the cutoff, Brown & Altermatt
    (1985), doi:10.1107/S0108768185002063. Points with a blocking atom at :math:`d` less than the exclusion radius are
    NaN; a point at exactly the cutoff of an anion counts it, a point at exactly the exclusion radius is kept.

    Examples
    --------
    The octahedral site of Mg in MgO, its ions removed first:

    >>> from ase.build import bulk
    >>> made = bvs_map(bulk("MgO", "rocksalt", a=4.212), "Mg2+", grid=(2, 2, 2), blocking="framework", threads=1)
    >>> made.field.values[0, 0, 0].round(3), made.window_fraction_of_cell
    (np.float64(2.013), 0.125)
    """
    atoms = periodic_atoms(atoms)
    bond = _bond(atoms, ion, r0, b, anion, parameters, cutoff)
    if anion_exclusion_radius is None:
        anion_exclusion_radius = exclusion_radius
    points = grids.resolve_points(atoms.cell.array, grid, spacing)
    layout = grids.make_grid(atoms.cell.array, points)
    blockers = _blockers(atoms, bond, blocking)
    radii = np.where(blockers.symbols == bond.anion, anion_exclusion_radius, exclusion_radius)
    values = np.empty(points)

    fill = _sums(layout, bond, blockers.positions, radii, window)
    counts = np.sum(grids.over_slabs(values, fill, threads), axis=0) / values.size
    arguments = {
        "ion": bond.ion,
        "grid": list(points),
        "cutoff": cutoff,
        "exclusion_radius": exclusion_radius,
        "anion_exclusion_radius": anion_exclusion_radius,
        "blocking": blocking,
        "window": window,
        "r0": bond.r0,
        "b": bond.b,
        "anion": bond.anion,
    }
    return BvsMap(
        ScalarField(values, atoms.cell.array, f"bond valence sum of {bond.ion}", "v.u.", arguments),
        atoms,
        ion=bond.ion,
        target_valence=bond.target_valence,
        window=window,
        r0=bond.r0,
        b=bond.b,
        source=bond.source,
        cutoff=cutoff,
        exclusion_radius=exclusion_radius,
        anion_exclusion_radius=anion_exclusion_radius,
        blocking=blocking,
        anion=bond.anion,
        excluded_fraction=float(counts[0]),
        under_bonded_fraction_of_cell=float(counts[1]),
        window_fraction_of_cell=float(counts[2]),
        over_bonded_fraction_of_cell=float(counts[3]),
    )


@checked
def window_field(bvs: BvsMap, *, window: Valence | None = None, threads: Count | None = None) -> ScalarField:
    r"""Give the continuous field whose zero is the surface of the window of a bond-valence map.

    Parameters
    ----------
    bvs
        The map; the field is on its grid.
    window
        Half width of the window [v.u.]; by default the map's.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Returns
    -------
    ScalarField
        Negative in the window, positive elsewhere, finite everywhere.

    Notes
    -----
    :math:`\max(|v - V| - w, r_\mathrm{excl} - d_\mathrm{min})`, with v computed at excluded points too and d_min the
    exact distance to the nearest blocking atom; with two exclusion radii, the largest over both kinds of atom. Where a
    radius is 0 its term is left out. The first term is in v.u., the second in Å: only the zero has a meaning.
    """
    if window is None:
        window = bvs.window
    arguments = bvs.field.parameters
    bond = _bond(bvs.atoms, bvs.ion, bvs.r0, bvs.b, bvs.anion, None, bvs.cutoff)
    # the map of distances stands beside the sums
    points = grids.resolve_points(bvs.field.cell, bvs.grid, None, bytes_per_point=16)
    layout = grids.make_grid(bvs.field.cell, points)
    blockers = _blockers(bvs.atoms, bond, bvs.blocking)
    is_anion = blockers.symbols == bond.anion
    radii = {bvs.anion_exclusion_radius: is_anion, bvs.exclusion_radius: ~is_anion}
    if bvs.anion_exclusion_radius == bvs.exclusion_radius:
        radii = {bvs.exclusion_radius: np.ones(len(blockers), dtype=bool)}
    kinds = [
        (radius, grids.make_bins(bvs.field.cell, blockers.positions[which], np.zeros(which.sum())))
        for radius, which in radii.items()
        if radius > 0.0 and which.any()
    ]
    values = np.empty(points)
    fill = _sums(layout, bond, np.empty((0, 3)), np.empty(0), window)

    def work(first: int, slab: NDArray[np.float64]) -> None:
        fill(first, slab)
        slab -= bond.target_valence
        np.abs(slab, out=slab)
        slab -= window
        distances = np.empty_like(slab)
        for radius, bins in kinds:
            fill_distances(first, distances, layout, bins)
            np.maximum(slab, np.subtract(radius, distances, out=distances), out=slab)

    grids.over_slabs(values, work, threads)
    quantity = f"window of the bond valence sum of {bvs.ion}"
    return ScalarField(values, bvs.field.cell, quantity, "v.u. or Å", {**arguments, "window": window})


@checked
def bond_valence_sum_at(
    points: ArrayLike,
    atoms: Atoms,
    ion: str,
    *,
    cutoff: Length = 6.0,
    r0: Length | None = None,
    b: Length | None = None,
    anion: str = "O",
    parameters: Path | None = None,
) -> NDArray[np.float64]:
    """Sum the bond valences that an ion would have at given points.

    Parameters
    ----------
    points
        (n, 3) or (3,) positions, anywhere [Å].
    atoms
        Structure, periodic in three directions; any cell.
    ion, cutoff, r0, b, anion, parameters
        As in :func:`bvs_map`.

    Returns
    -------
    (n,) array
        Bond valence sum at each point [v.u.].

    Raises
    ------
    ValueError
        As in :func:`bvs_map`, and points that are not finite or not triples.

    Examples
    --------
    The six nearest O of Mg in MgO, and all O within 6 Å:

    >>> from ase.build import bulk
    >>> crystal = bulk("MgO", "rocksalt", a=4.212)
    >>> bond_valence_sum_at([0, 0, 0], crystal, "Mg2+", cutoff=2.2).round(3)
    array([1.965])
    >>> bond_valence_sum_at([0, 0, 0], crystal, "Mg2+").round(3)
    array([2.013])
    """
    from amorph.analysis._grid_kernels import bond_valence_points

    atoms = periodic_atoms(atoms)
    bond = _bond(atoms, ion, r0, b, anion, parameters, cutoff)
    where = np.atleast_2d(np.array(points, dtype=np.float64, order="C"))
    if where.ndim != 2 or where.shape[1] != 3:
        raise ValueError(f"points of the shape {np.shape(points)}; give (n, 3) positions in Å")
    if not np.isfinite(where).all():
        raise ValueError(f"point {int(np.argmin(np.isfinite(where).all(axis=1)))} is not finite; give positions in Å")
    sums = np.empty(len(where))
    bond_valence_points(where, sums, tuple(grids.make_bins(atoms.cell.array, bond.positions)), *bond.constants)
    return sums


@dataclass(frozen=True, eq=False)
class _Bond:
    """A bond valence, resolved: the ion, its anions in the structure, and the exponential's constants."""

    ion: str
    element: str
    target_valence: float
    r0: float
    b: float
    source: str
    cutoff: float
    anion: str
    positions: NDArray[np.float64]

    @property
    def constants(self) -> tuple[float, float, float, float]:
        """Cutoff, its square as float64 decides it, and scale and r0 of exp[(r0 − d)/b] = 2^[scale·(r0 − d)]."""
        return self.cutoff, grids.largest_square_within(self.cutoff), math.log2(math.e) / self.b, self.r0


def _bond(
    atoms: Atoms, ion: str, r0: float | None, b: float | None, anion: str, parameters: Path | None, cutoff: float
) -> _Bond:
    mobile = parse_ion(ion)
    element = anion if anion.isalpha() else parse_ion(anion).element
    if element == mobile.element:
        raise ValueError(f"the ion {mobile} and the anion {anion} are of one element; name two")
    which = atoms.symbols == element
    if not which.any():
        raise ValueError(
            f"no {element} in {atoms.symbols.formula.format('hill')}: a bond valence sum needs the anion that "
            f"{mobile} bonds; name the structure's own with anion"
        )
    if r0 is None:
        if b is not None:
            raise ValueError(f"b = {b:g} Å without r0: the two belong together; give r0 as well, or neither")
        values = bond_valence(mobile, anion, parameters=parameters)
        r0, b = values.r0, values.b
        source = values.source if values.verified else f"{values.source}, unverified"
    elif parameters is not None:
        raise ValueError(f"r0 = {r0:g} Å and the file {parameters} are given; give one of them")
    else:
        b, source = SOFTNESS if b is None else b, "given"
    anions = 4.0 / 3.0 * math.pi * cutoff**3 * which.sum() / atoms.cell.volume
    if anions > _MOST_ANIONS:
        raise ValueError(
            f"cutoff = {cutoff:g} Å reaches {anions:.1e} {element} from every point, more than {_MOST_ANIONS:.0e}; "
            f"give a smaller one (default 6.0)"
        )
    smallest = max(r0, abs(r0 - cutoff)) / _LARGEST_EXPONENT
    if b < smallest:
        raise ValueError(
            f"b = {b:g} Å is too small for r0 = {r0:g} Å and a cutoff of {cutoff:g} Å: exp[(r0 − d)/b] leaves "
            f"float64; b must be at least {smallest:.2g} Å"
        )
    return _Bond(
        mobile.name,
        mobile.element,
        float(abs(mobile.charge)),
        r0,
        b,
        source,
        cutoff,
        element,
        np.ascontiguousarray(atoms.positions[which]),
    )


def _blockers(atoms: Atoms, bond: _Bond, blocking: Blocking) -> Atoms:
    """Choose the atoms that exclude the points around them."""
    return atoms if blocking == "all" else atoms[~(atoms.symbols == bond.element)]


def _sums(
    grid: grids.Grid, bond: _Bond, blockers: NDArray[np.float64], radii: NDArray[np.float64], window: float
) -> Callable[[int, NDArray[np.float64]], tuple[int, int, int, int]]:
    """Prepare what fills a slab of a grid with bond valence sums, NaN inside the spheres of the blockers.

    It returns how many points are excluded, under-bonded, in the window and over-bonded.
    """
    from amorph.analysis._grid_kernels import bond_valence_slab
    from amorph.analysis._sphere_kernels import free_points

    # a sphere that reaches across the whole cell excludes all of it, and a larger one no more
    radii = np.minimum(radii, np.linalg.norm(grid.cell, axis=1).sum())
    limits = np.empty(len(radii))
    for radius in np.unique(radii):
        limits[radii == radius] = grids.smallest_square_reaching(float(radius))
    spheres = (*grids.wrap(grid.cell, blockers), radii, limits)
    anions = tuple(grids.make_bins(grid.cell, bond.positions))
    target = bond.target_valence
    constants = bond.constants

    def fill(first: int, slab: NDArray[np.float64]) -> tuple[int, int, int, int]:
        free = free_points(first, len(slab), tuple(grid), *spheres)
        return bond_valence_slab(first, slab, free, tuple(grid), anions, *constants, target, window)

    return fill
