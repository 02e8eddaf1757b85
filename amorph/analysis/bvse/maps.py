r"""Bond-valence site energy of a mobile ion: on a grid over the cell, and at points.

.. math::
    E = c \sum_\mathrm{anions} D_0 \{[e^{(R_\mathrm{min} - R)/b} - 1]^2 - 1\}
      + \sum_\mathrm{cations} \frac{14.4\,q_1 q_2}{\sqrt{n_1 n_2}\,R}\,\mathrm{erfc}\frac{R}{f (r_1 + r_2)}

with the Morse parameters of Chen & Adams (2019), doi:10.1107/S2052520618015718, the oxidation states q, the principal
quantum numbers n (the period), the covalent radii r of Cordero et al. (2008), doi:10.1039/B801115J, and f = 0.74.
Nearer than 0.01 Å to a cation its repulsion is that at 0.01 Å, some thousand eV: at the nucleus it would be infinite.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from amorph.analysis import grids
from amorph.analysis.bvse.interactions import Choice, Convention, Interaction, _Kind, _kinds
from amorph.fields import ScalarField
from amorph.figures import Result
from amorph.parameters import Count, Energy, Length, NonNegativeLength, checked
from amorph.structure import GivenLengths, periodic_atoms, resolve_oxidation_states
from amorph.tables import Ion, SoftBondValence

Energies = Energy | Mapping[str, Energy]
"""An energy for the one anion, or one for each, by element."""


@dataclass(frozen=True, eq=False)
class BvseMap(Result):
    """Bond-valence site energy of one ion on a grid."""

    field: ScalarField
    """Site energy at every point [eV], NaN where excluded; its parameters are the arguments that repeat it."""
    atoms: Atoms
    """The structure, every atom of it, with the oxidation states used."""
    ion: str
    """The mobile ion: "Li+"."""
    convention: Convention
    """"full": c = 1 before the Morse terms; "half": c = ½."""
    cutoff: float
    """Atoms at this distance or nearer count [Å]; nothing is shifted there."""
    exclusion_radius: float
    """Points nearer than this to an atom of the framework are excluded [Å]; 0: none is."""
    charges: str
    """Where the oxidation states come from."""
    parameters: tuple[SoftBondValence, ...]
    """Morse parameters of the ion with each anion, and their source."""
    interactions: tuple[Interaction, ...]
    """One for each element and charge of the framework."""
    removed: int
    """Atoms of the mobile element, which are no part of the framework."""
    minimum: float
    """Lowest site energy on the grid [eV]; NaN where every point is excluded."""
    maximum: float
    """Highest site energy on the grid [eV]."""
    minimum_position: tuple[float, float, float] | None
    """Where the lowest site energy is [Å]; None where every point is excluded."""
    _large: ClassVar[frozenset[str]] = frozenset({"field", "atoms"})
    _derived: ClassVar[tuple[str, ...]] = ("grid", "oxidation_states")

    @property
    def oxidation_states(self) -> Mapping[str, float]:
        """Oxidation state of each element, or of each atom, as the map was made with [e]."""
        states: Mapping[str, float] = self.field.parameters["oxidation_states"]
        return states

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of points along each lattice vector."""
        return self.field.grid

    def table(self) -> list[dict[str, Any]]:
        """Give the interactions with the framework, one row for each element and charge."""
        return [
            {
                "species": each.species,
                "count": each.count,
                "interaction": each.kind,
                "factor_eV": each.depth,
                "length_A": each.length,
                "r_min_A": each.r_min,
                "source": each.source,
            }
            for each in self.interactions
        ]


@checked
def bvse_map(
    atoms: Atoms,
    ion: str,
    *,
    grid: tuple[Count, Count, Count] | None = None,
    spacing: Length | None = None,
    cutoff: Length = 10.0,
    convention: Convention = "half",
    oxidation_states: str | Mapping[str, float] | None = None,
    anion: str | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    d0: Energies | None = None,
    r_min: GivenLengths | None = None,
    b: GivenLengths | None = None,
    exclusion_radius: NonNegativeLength = 0.0,
    threads: Count | None = None,
    progress: grids.Task | None = None,
) -> BvseMap:
    r"""Map the bond-valence site energy that an ion would have at every point of a grid over the cell.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell. Its atoms of the mobile element are left out.
    ion
        The mobile ion, a cation: "Li+".
    grid
        Number of points along each lattice vector; by default `spacing` decides.
    spacing
        Largest distance between neighboring points along a lattice vector [Å], in place of a grid; by default 0.1 Å.
    cutoff
        Atoms at this distance or nearer count [Å]; the terms are cut off there, not shifted.
    convention
        "full": the Morse potential as it stands; "half": half of it, as BVlain has it.
    oxidation_states
        "given": those that the structure has; "formal": balanced by composition; "fitted": to bond lengths; or those of
        elements [e], as in Ti=4. By default those of the structure and, in a structure without, formal ones.
    anion
        Elements of the anions that attract the ion, "O" or "O,Cl"; by default all in a negative state.
    set
        Name of the set of Morse parameters; only chen_adams2019 (soft-BV), the default, has them.
    parameters
        A CSV table of one's own to take the Morse parameters from instead.
    d0
        Depth of the Morse potential [eV] instead, beside `r_min` and `b`; with several anions one for each, as O=0.988.
    r_min
        Distance of its minimum [Å], likewise.
    b
        Its softness, one over the exponent α [Å], likewise.
    exclusion_radius
        Points nearer than this to an atom of the framework are excluded [Å]; 0 excludes none.
    threads
        Threads to work in, by default one for each processor; the result is the same to the last bit.

    Raises
    ------
    ValueError
        A structure that makes no sense, no oxidation states, no anion or no parameters, a grid larger than memory.

    Examples
    --------
    >>> from ase.build import bulk
    >>> made = bvse_map(bulk("Li2O", "fluorite", a=4.619), "Li+", grid=(4, 4, 4), threads=1)
    >>> made.field.values[1, 1, 1] == made.minimum, made.field.values[2, 2, 2] > made.minimum
    (np.True_, np.True_)
    """
    atoms = periodic_atoms(atoms)
    if oxidation_states is None:
        oxidation_states = "given" if "oxidation_states" in atoms.arrays else "formal"
    atoms, origin = resolve_oxidation_states(atoms, oxidation_states)
    mobile, kinds, values_of = _kinds(atoms, ion, convention, cutoff, Choice(anion, set, parameters, d0, r_min, b))
    points = grids.resolve_points(atoms.cell.array, grid, spacing)
    values = np.zeros(points)
    fill = _energies(grids.make_grid(atoms.cell.array, points), kinds, cutoff, exclusion_radius)
    grids.over_slabs(values, fill, threads, progress=progress, label=f"site energy of {mobile.name}")
    chosen = {"cutoff": cutoff, "convention": convention, "oxidation_states": oxidation_states}
    return _map_of(values, {**chosen, "exclusion_radius": exclusion_radius}, atoms, mobile, kinds, values_of, origin)


def _map_of(
    values: NDArray[np.float64],
    chosen: dict[str, Any],
    atoms: Atoms,
    mobile: Ion,
    kinds: list[_Kind],
    values_of: dict[str, SoftBondValence],
    origin: str,
) -> BvseMap:
    morse = {name: {e: getattr(each, name) for e, each in values_of.items()} for name in ("d0", "r_min", "b")}
    states = chosen["oxidation_states"]
    chosen["oxidation_states"] = states if isinstance(states, str) else dict(states)
    arguments = {"ion": mobile.name, "grid": list(values.shape), **chosen, "anion": ",".join(values_of), **morse}
    minimum, maximum, index = _extremes(values)
    position = None
    if index is not None:
        x, y, z = (np.array(index) / values.shape @ atoms.cell.array).tolist()
        position = (x, y, z)
    quantity = f"bond valence site energy of {mobile}"
    looked_up = {
        "parameters": [asdict(each) for each in values_of.values()],
        "charges": origin,
        "oxidation_states": chosen["oxidation_states"],
    }
    return BvseMap(
        ScalarField(values, atoms.cell.array, quantity, "eV", arguments, "site_energy", mobile.name, looked_up),
        atoms,
        ion=mobile.name,
        convention=chosen["convention"],
        cutoff=chosen["cutoff"],
        exclusion_radius=chosen["exclusion_radius"],
        charges=origin,
        parameters=tuple(values_of.values()),
        interactions=tuple(kind.interaction for kind in kinds),
        removed=int((atoms.symbols == mobile.element).sum()),
        minimum=minimum,
        maximum=maximum,
        minimum_position=position,
    )


@checked
def site_energy_at(
    points: ArrayLike,
    atoms: Atoms,
    ion: str,
    *,
    cutoff: Length = 10.0,
    convention: Convention = "half",
    oxidation_states: str | Mapping[str, float] | None = None,
    anion: str | None = None,
    set: str | None = None,
    parameters: Path | None = None,
    d0: Energies | None = None,
    r_min: GivenLengths | None = None,
    b: GivenLengths | None = None,
) -> NDArray[np.float64]:
    """Give the bond-valence site energy that an ion would have at given points.

    Parameters
    ----------
    points
        (n, 3) or (3,) positions, anywhere [Å].
    atoms
        Structure, periodic in three directions; any cell. Its atoms of the mobile element are left out.
    ion, cutoff, convention, oxidation_states, anion, set, parameters, d0, r_min, b
        As in :func:`bvse_map`.

    Returns
    -------
    (n,) array
        Site energy at each point [eV].

    Raises
    ------
    ValueError
        As in :func:`bvse_map`, and points that are not finite or not triples.

    Examples
    --------
    One O at the distance of the minimum: the depth D0 of Li+ and O2-, and half of it.

    >>> oxygen = Atoms("O", cell=[30, 30, 30], pbc=True)
    >>> [
    ...     site_energy_at([1.94001, 0, 0], oxygen, "Li+", oxidation_states={"O": -2}, convention=c).round(5).item()
    ...     for c in ("full", "half")
    ... ]
    [-0.98816, -0.49408]
    """
    from amorph.analysis.bvse._kernels import site_energy_points

    atoms, _ = resolve_oxidation_states(atoms, oxidation_states)
    _, kinds, _ = _kinds(atoms, ion, convention, cutoff, Choice(anion, set, parameters, d0, r_min, b))
    where = np.atleast_2d(np.array(points, dtype=np.float64, order="C"))
    if where.ndim != 2 or where.shape[1] != 3:
        raise ValueError(f"points of the shape {np.shape(points)}; give (n, 3) positions in Å")
    if not np.isfinite(where).all():
        raise ValueError(f"point {int(np.argmin(np.isfinite(where).all(axis=1)))} is not finite; give positions in Å")
    energies = np.zeros(len(where))
    limit = grids.largest_square_within(cutoff)
    for kind in kinds:
        bins = grids.make_bins(atoms.cell.array, kind.positions)
        site_energy_points(where, energies, tuple(bins), cutoff, limit, kind.term)
    return energies


def _energies(grid: grids.Grid, kinds: list[_Kind], cutoff: float, exclusion_radius: float) -> Any:
    """Prepare what adds the energies to a slab of zeros, NaN inside the spheres of the framework."""
    from amorph.analysis.bvse._kernels import site_energy_slab
    from amorph.analysis.grids._spheres import free_points

    positions = np.concatenate([kind.positions for kind in kinds])
    # a sphere that reaches across the whole cell excludes all of it, and a larger one no more
    radii = np.full(len(positions), min(exclusion_radius, float(np.linalg.norm(grid.cell, axis=1).sum())))
    spheres = (*grids.wrap(grid.cell, positions), radii, np.full(len(radii), 0.0))
    spheres[3][:] = grids.smallest_square_reaching(float(radii[0]))
    binned = [(tuple(grids.make_bins(grid.cell, kind.positions)), kind.term) for kind in kinds]
    limit = grids.largest_square_within(cutoff)
    nz = len(grid.z)

    def fill(first: int, slab: NDArray[np.float64]) -> None:
        free = free_points(first, len(slab), tuple(grid), *spheres)
        for bins, term in binned:
            site_energy_slab(first, slab, free, tuple(grid), bins, cutoff, limit, term)
        if exclusion_radius > 0.0:
            bits = np.unpackbits(free.view(np.uint8), axis=-1, count=nz, bitorder="little")
            slab[bits == 0] = np.nan

    return fill


def _extremes(values: NDArray[np.float64]) -> tuple[float, float, tuple[int, ...] | None]:
    """Find the lowest and the highest value and the grid point of the lowest, without a second copy of the field."""
    low = np.fmin.reduce(values, axis=None)
    if np.isnan(low):
        return math.nan, math.nan, None
    where = tuple(int(k) for k in np.unravel_index(np.nanargmin(values), values.shape))
    return float(low), float(np.fmax.reduce(values, axis=None)), where
