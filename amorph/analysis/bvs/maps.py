r"""Bond-valence sums of a mobile ion: on a grid over the cell, and at points.

:math:`v = \sum_j \exp[(r_0 - d_j)/b]` over the anions with :math:`d_j` at most the cutoff, Brown & Altermatt
(1985), doi:10.1107/S0108768185002063. Points with a blocking atom at :math:`d` less than the exclusion radius are
NaN; a point at exactly the cutoff of an anion counts it, a point at exactly the exclusion radius is kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from amorph.analysis import grids
from amorph.analysis.bvs.bond import WINDOW, Bond, bond_of, resolve_bond
from amorph.analysis.bvs.exclusion import Exclusion, slab_filler
from amorph.analysis.bvs.result import Blocking, BvsMap
from amorph.analysis.bvs.window import window_field
from amorph.fields import Precision, ScalarField
from amorph.parameters import Count, Length, NonNegativeLength, Valence, arguments_of, checked, parse
from amorph.structure import GivenLengths, periodic_atoms

__all__ = ["Blocking", "BvsMap", "bond_valence_sum_at", "bvs_map", "bvs_maps", "window_field"]


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
    window: Valence | None = None,
    anion: str | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    r0: GivenLengths | None = None,
    b: GivenLengths | None = None,
    estimates: bool = True,
    precision: Precision = "float64",
    threads: Count | None = None,
    progress: grids.Task | None = None,
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
        Largest distance between neighboring points along a lattice vector [Å], in place of a grid; by default 0.1 Å.
    cutoff
        Anions at this distance or nearer count [Å].
    exclusion_radius
        Points nearer than this to a blocking atom are excluded [Å].
    anion_exclusion_radius
        The same for anions, where it differs [Å].
    blocking
        "all": every atom excludes the points around it; "framework": the ions of the mobile element do not.
    window
        Half width of the window around the ion's valence [v.u.]; by default a fifth of the valence, for Mg2+ 0.4.
    anion
        Elements of the anions to sum over, "O" or "O,Cl"; by default of all atoms in a negative oxidation state or, in
        a structure without ``oxidation_states``, of all that are anions by elements and bonds.
    set
        Name of the one set of parameters to take; by default the first that has the pair (``amorph parameters``).
    parameters
        A file to take the parameters from instead: a bvparm .cif of the IUCr, or a CSV table of one's own.
    r0
        Length of a bond of unit valence [Å] instead; with several anions one for each, as in O=1.466 Cl=1.9.
    b
        Softness [Å] beside an r0 given here, by default 0.37 Å; one for all anions, or one for each.
    estimates
        Whether to estimate the parameters of a pair that no set has, from the sizes of its elements.
    precision
        "float64", or "float32" for half the memory: sums good to 4e-6 of themselves or of 1 v.u. at b = 0.37 Å.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Raises
    ------
    ValueError
        A structure that makes no sense, no anion in it, an ion without parameters, a grid larger than memory.

    Examples
    --------
    >>> from ase.build import bulk
    >>> bvs_map(bulk("MgO", "rocksalt", a=4.212), "Mg2+", grid=(2, 2, 2), blocking="framework").window_fraction_of_cell
    0.125
    """
    atoms = periodic_atoms(atoms)
    chosen: dict[str, Any] = {"r0": r0, "b": b, "set": set, "parameters": parameters, "estimates": estimates}
    bond = resolve_bond(atoms, ion, anion=anion, cutoff=cutoff, precision=precision, **chosen)
    exclusion = Exclusion(exclusion_radius, anion_exclusion_radius, blocking)
    mesh = (grid, spacing)
    return _make_maps(atoms, [bond], mesh, exclusion, window, precision, threads=threads, progress=progress)[0]


@checked
def bvs_maps(
    atoms: Atoms,
    ions: Sequence[str],
    *,
    grid: tuple[Count, Count, Count] | None = None,
    spacing: Length | None = None,
    cutoff: Length = 6.0,
    exclusion_radius: NonNegativeLength = 1.7,
    anion_exclusion_radius: NonNegativeLength | None = None,
    blocking: Blocking = "all",
    window: Valence | None = None,
    anion: str | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    estimates: bool = True,
    precision: Precision = "float64",
    threads: Count | None = None,
    progress: grids.Task | None = None,
) -> tuple[BvsMap, ...]:
    """Map the bond valence sums of several ions in one pass over the grid.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    ions
        The mobile ions, each by itself: ("Mg2+", "Ca2+").
    grid, spacing, cutoff, exclusion_radius, anion_exclusion_radius, blocking, anion, set, parameters, estimates
        As in :func:`bvs_map`, for every ion.
    precision
        As in :func:`bvs_map`, for every ion.
    window
        Half width of the window around the valence of each ion [v.u.]; by default a fifth of it.
    threads, progress
        As in :func:`bvs_map`.

    Returns
    -------
    tuple of BvsMap
        The map of each ion, in their order; each is to the last bit what :func:`bvs_map` makes.

    Raises
    ------
    ValueError
        As in :func:`bvs_map`; no ions, or one of them twice.

    Notes
    -----
    Ions that the same atoms block share the search for points outside their spheres and for the anions around them;
    with ``blocking="framework"`` each ion leaves out its own element.

    Examples
    --------
    >>> from ase.build import bulk
    >>> crystal = bulk("MgO", "rocksalt", a=4.212)
    >>> [made.field.values[0, 0, 0].round(2) for made in bvs_maps(crystal, ["Mg2+", "Li+"], grid=(1, 1, 1),
    ...     exclusion_radius=0.0, threads=1)]
    [np.float64(2.01), np.float64(1.09)]
    """
    atoms = periodic_atoms(atoms)
    chosen: dict[str, Any] = {"set": set, "parameters": parameters, "estimates": estimates}
    bonds = [resolve_bond(atoms, ion, anion=anion, cutoff=cutoff, precision=precision, **chosen) for ion in ions]
    names = [bond.ion for bond in bonds]
    if not names or len(dict.fromkeys(names)) < len(names):
        raise ValueError(f"ions = {', '.join(names) or 'none'}; give at least one, and each once")
    exclusion = Exclusion(exclusion_radius, anion_exclusion_radius, blocking)
    return _make_maps(atoms, bonds, (grid, spacing), exclusion, window, precision, threads=threads, progress=progress)


@checked
def bond_valence_sum_at(
    points: ArrayLike,
    atoms: Atoms,
    ion: str,
    *,
    cutoff: Length = 6.0,
    anion: str | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    r0: GivenLengths | None = None,
    b: GivenLengths | None = None,
    estimates: bool = True,
) -> NDArray[np.float64]:
    """Sum the bond valences that an ion would have at given points.

    Parameters
    ----------
    points
        (n, 3) or (3,) positions, anywhere [Å].
    atoms
        Structure, periodic in three directions; any cell.
    ion, cutoff, anion, set, parameters, r0, b, estimates
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
    from amorph.analysis.bvs._kernels import bond_valence_points

    atoms = periodic_atoms(atoms)
    chosen: dict[str, Any] = {"r0": r0, "b": b, "set": set, "parameters": parameters, "estimates": estimates}
    bond = resolve_bond(atoms, ion, anion=anion, cutoff=cutoff, **chosen)
    where = np.atleast_2d(np.array(points, dtype=np.float64, order="C"))
    if where.ndim != 2 or where.shape[1] != 3:
        raise ValueError(f"points of the shape {np.shape(points)}; give (n, 3) positions in Å")
    if not np.isfinite(where).all():
        raise ValueError(f"point {int(np.argmin(np.isfinite(where).all(axis=1)))} is not finite; give positions in Å")
    sums = np.empty(len(where))
    anions = tuple(grids.make_bins(atoms.cell.array, bond.positions, bond.kinds))
    bond_valence_points(where, sums, anions, cutoff, grids.largest_square_within(cutoff), bond.exponents)
    return sums


def bvs_map_of(field: ScalarField, atoms: Atoms) -> BvsMap:
    """Give back the map that a field is of, from its values and its parameters; nothing is summed anew, or checked.

    Parameters
    ----------
    field
        Bond valence sums as :func:`bvs_map` makes them, of any file.
    atoms
        The structure that they were made from, checked as reading a file checks it.

    Raises
    ------
    ValueError
        Another kind of field; parameters that make no map of the structure.
    """
    if field.kind != "bond_valence":
        raise ValueError(f"the {field.quantity} is no bond valence sum; give a map of one")
    try:
        given = parse(bvs_map, field.parameters)
        bond = bond_of(atoms, given).as_looked_up(field.origin)
    except ValueError as error:
        raise ValueError(f"its parameters do not make a map: {error}") from None
    window = _window_of(bond, given["window"])
    counts = np.zeros(4)
    for plane in field.values:
        excess = plane.astype(np.float64) - bond.target_valence
        inside = np.abs(excess) < window
        counts += [np.isnan(excess).sum(), (excess <= -window).sum(), inside.sum(), 0]
    counts[3] = field.values.size - counts.sum()
    exclusion = Exclusion(given["exclusion_radius"], given["anion_exclusion_radius"], given["blocking"])
    return _map_of(atoms, bond, field.values, (counts / field.values.size).tolist(), exclusion, window)


def _make_maps(
    atoms: Atoms,
    bonds: Sequence[Bond],
    mesh: tuple[tuple[int, int, int] | None, float | None],
    exclusion: Exclusion,
    window: float | None,
    precision: Precision,
    *,
    threads: int | None,
    progress: grids.Task | None,
) -> tuple[BvsMap, ...]:
    """Fill the maps of some ions, together those that the same atoms block; `mesh` is a grid or a spacing."""
    item = np.dtype(precision).itemsize * len(bonds)
    points = grids.resolve_points(atoms.cell.array, *mesh, bytes_per_point=item)
    layout = grids.make_grid(atoms.cell.array, points)
    alike: dict[bytes, list[Bond]] = {}
    for bond in bonds:
        shared = (bond.which, *exclusion.of(atoms, bond))
        alike.setdefault(b"".join(array.tobytes() for array in shared), []).append(bond)
    made = {}
    for group in alike.values():
        values = np.empty((len(group), *points), precision)
        windows = [_window_of(bond, window) for bond in group]
        fill = slab_filler(values, layout, group, *exclusion.of(atoms, group[0]), windows)
        label = f"bond valence sums of {', '.join(bond.ion for bond in group)}"
        counts = np.sum(grids.over_slabs(values[0], fill, threads, progress=progress, label=label), axis=0)
        for bond, own, shares, width in zip(group, values, counts / values[0].size, windows, strict=True):
            made[bond.ion] = _map_of(atoms, bond, own, shares.tolist(), exclusion, width)
    return tuple(made[bond.ion] for bond in bonds)


def _window_of(bond: Bond, window: float | None) -> float:
    return WINDOW * bond.target_valence if window is None else window


def _map_of(
    atoms: Atoms, bond: Bond, values: NDArray[Any], shares: list[float], exclusion: Exclusion, window: float
) -> BvsMap:
    anion_radius = exclusion.radius if exclusion.anion_radius is None else exclusion.anion_radius
    arguments = {
        "ion": bond.ion,
        "grid": list(values.shape),
        "cutoff": bond.cutoff,
        "exclusion_radius": exclusion.radius,
        "anion_exclusion_radius": anion_radius,
        "blocking": exclusion.blocking,
        "window": window,
        **bond.arguments,
        "precision": str(values.dtype),
    }
    excluded, under, within, over = shares
    quantity = f"bond valence sum of {bond.ion}"
    return BvsMap(
        ScalarField(values, atoms.cell.array, quantity, "v.u.", arguments, "bond_valence", bond.ion, bond.origin),
        atoms,
        ion=bond.ion,
        target_valence=bond.target_valence,
        window=window,
        parameters=bond.parameters,
        anions=bond.anions,
        cutoff=bond.cutoff,
        exclusion_radius=exclusion.radius,
        anion_exclusion_radius=anion_radius,
        blocking=exclusion.blocking,
        excluded_fraction=excluded,
        under_bonded_fraction_of_cell=under,
        window_fraction_of_cell=within,
        over_bonded_fraction_of_cell=over,
    )


def sum_as_mapped(made: BvsMap, points: ArrayLike) -> NDArray[np.float64]:
    """Give (n,) sums at (n, 3) points [Å] by the parameters that a map was made with [v.u.]."""
    bond = arguments_of(bond_valence_sum_at, parse(bvs_map, made.field.parameters))
    return bond_valence_sum_at(points, made.atoms, **bond)
