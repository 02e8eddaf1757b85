"""Voids between atoms: the largest spheres, the sizes of the pores, and how much of the cell a probe reaches."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from annotated_types import Len
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.analysis.distance import distance_map
from amorph.analysis.percolation import Percolation, percolation
from amorph.analysis.voids.holes import Holes, find_holes
from amorph.fields import ScalarField
from amorph.figures import Plottable, Result, plain
from amorph.parameters import GridPoints, NonNegativeLength, Spacing, Threads, checked
from amorph.structure import Radii, periodic_atoms

PROBE_RADIUS: Final = 1.7
"""Probe radius around atoms that are points: the exclusion radius of the reference study's bond-valence map [Å]."""
PORE_BIN: Final = 0.05
"""Width of the bins of pore radii [Å]."""
_CURVE_POINTS: Final = 25
_BYTES_PER_POINT: Final = 8 * 6


@dataclass(frozen=True, eq=False)
class Voids(Result, Plottable):
    """The void space between atoms, or between spheres around them.

    The void is where the distance to the nearest atom (sphere) is above 0. A probe is a sphere: its center fits where
    that distance is at least its radius. What it can reach is *accessible* where such points hang together without end,
    in one direction or more, and *locked* where they form a closed pocket. What it can *occupy* is all that some sphere
    of its radius, wherever it fits, covers.
    """

    field: ScalarField
    """Distance from every point to the nearest atom, or to its sphere [Å]."""
    pore_radii: ScalarField
    """Radius of the largest sphere that covers each point and overlaps no atom [Å]; 0 outside the void."""
    atoms: Atoms
    """The structure."""
    radii: Radii | None
    """Radii of the atoms as they were asked for; None where distances are to the centers."""
    holes: Holes
    """Every hole and window, exactly; no grid in it."""
    probe_radius: float
    """Radius of the probe [Å]."""
    regions: Percolation
    """The connected regions where the center of the probe fits."""
    void_fraction: float
    """Share of the cell in the void."""
    occupiable_fraction: float
    """Share of the cell that the probe can cover, in closed pockets too."""
    occupiable_error: float
    """What half as many points along each edge make of it, less this: it converges as the spacing, so that is about as
    far as it is from its limit."""
    mean_pore_radius: float
    """Mean of the pore radius over the void [Å]; 0 where there is none."""
    mean_pore_radius_error: float
    """The same for the mean pore radius [Å]."""
    _large: ClassVar[frozenset[str]] = frozenset({"field", "pore_radii", "atoms", "holes", "regions"})
    _derived: ClassVar[tuple[str, ...]] = (
        "largest_included_radius",
        "largest_free_radius",
        "included_radius_along_free_path",
        "center_fraction",
        "accessible_fraction",
        "locked_fraction",
    )

    def figures(self) -> dict[str, Any]:
        """Give every figure: the spheres with their diameters and places, and the shares of the cell."""
        return super().figures() | {
            "largest_included_diameter": 2.0 * self.largest_included_radius,
            "largest_included_position": self.holes.positions[0].tolist(),
            "largest_free_diameter": 2.0 * self.largest_free_radius,
            "included_diameter_along_free_path": 2.0 * self.included_radius_along_free_path,
            "passages": [plain(passage) | {"diameter": passage.diameter} for passage in self.holes.passages],
            "grid": list(self.field.grid),
            "spacing_A": self.spacing,
            "cavities": len(self.cavities),
            "dimension": self.regions.dimension,
        }

    @property
    def spacing(self) -> float:
        """Largest distance between neighboring points along a lattice vector [Å]."""
        return float((np.linalg.norm(self.field.cell, axis=1) / self.field.grid).max())

    @property
    def largest_included_radius(self) -> float:
        """Radius of the largest sphere that fits anywhere (Zeo++: half of D_i) [Å]."""
        return float(self.holes.radii[0])

    @property
    def largest_free_radius(self) -> float:
        """Radius of the largest sphere that passes without end along one direction or more (half of D_f) [Å]."""
        return self.holes.passages[0].radius

    @property
    def included_radius_along_free_path(self) -> float:
        """Radius of the largest sphere that fits anywhere along that way (half of D_if) [Å]."""
        return self.holes.passages[0].included_radius

    @property
    def center_fraction(self) -> float:
        """Share of the cell where the center of the probe fits."""
        return self.regions.fraction_of_cell

    @property
    def accessible_fraction(self) -> float:
        """Share of the cell where it fits and from where it can travel without end."""
        return self.regions.percolating_fraction_of_cell

    @property
    def locked_fraction(self) -> float:
        """Share of the cell where it fits in a closed pocket."""
        return self.regions.fractions_by_dimension[0]

    @property
    def cavities(self) -> NDArray[np.float64]:
        """(n, 3) centers of the separate holes that hold the probe, the largest first [Å]."""
        return self.holes.positions[self.holes.separate(least=self.probe_radius)]

    def pore_size_distribution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the lower edges of the bins of the pore radius [Å] and the share of the void in each [1/Å]."""
        return _distribution(self.pore_radii.values)

    def table(self) -> list[dict[str, Any]]:
        """Give the spheres, one row each, radius and diameter [Å]."""
        rows: list[dict[str, Any]] = [
            _sphere("largest included", self.largest_included_radius, self.holes.positions[0])
        ]
        for passage in self.holes.passages:
            name = f"largest free, {passage.dimension}D"
            rows.append(_sphere(name, passage.radius, np.array(passage.position)))
        rows.append(_sphere("largest included along the free path, 1D", self.included_radius_along_free_path, None))
        return rows


@dataclass(frozen=True, eq=False)
class ProbeCurve(Result, Plottable):
    """How the volume that a probe reaches shrinks as the probe grows; every share is of the cell."""

    probe_radii: NDArray[np.float64]
    """(n,) radius of the probe [Å]."""
    center_fractions: NDArray[np.float64]
    """(n,) share where its center fits."""
    accessible_fractions: NDArray[np.float64]
    """(n,) share where its center fits and can travel without end."""
    occupiable_fractions: NDArray[np.float64]
    """(n,) share that it can cover."""
    dimensions: NDArray[np.int64]
    """(n,) the most directions along which it can travel without end."""

    @property
    def locked_fractions(self) -> NDArray[np.float64]:
        """(n,) share where its center fits in a closed pocket."""
        return self.center_fractions - self.accessible_fractions

    def table(self) -> list[dict[str, float | int]]:
        """Give one row for each radius."""
        columns = (self.center_fractions, self.accessible_fractions, self.locked_fractions, self.occupiable_fractions)
        return [
            {
                "probe_radius_A": radius,
                "center_fraction": center,
                "accessible_fraction": accessible,
                "locked_fraction": locked,
                "occupiable_fraction": occupiable,
                "dimension": dimension,
            }
            for radius, center, accessible, locked, occupiable, dimension in zip(
                self.probe_radii.tolist(), *(c.tolist() for c in columns), self.dimensions.tolist(), strict=True
            )
        ]


@checked
def voids(
    atoms: Atoms,
    *,
    radii: Radii | None = None,
    probe_radius: NonNegativeLength | None = None,
    grid: GridPoints | None = None,
    spacing: Spacing | None = None,
    threads: Threads | None = None,
) -> Voids:
    r"""Measure the voids between atoms.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    probe_radius
        Radius of the probe [Å]; by default 1.7 Å between atoms that are points, and 0 between spheres.

    Returns
    -------
    Voids
        The largest included and free spheres, which no grid limits, and the maps and shares on the grid.

    Raises
    ------
    ValueError
        A structure that makes no sense, no radius for an atom, both a grid and a spacing, or a grid larger than memory.
    RuntimeError
        The exact spheres and the grid contradict each other.

    Notes
    -----
    With :math:`d(x) = \min_i(|x - x_i| - r_i)` the largest included sphere is :math:`\max d`, the largest free sphere
    the largest t at which :math:`\{d \ge t\}` winds around the cell (see :func:`~amorph.analysis.voids.find_holes`).
    The pore radius at x is :math:`\max\{d(y) : |x - y| \le d(y)\}`, Gelb & Gubbins, Langmuir 15, 305 (1999), with y
    on the grid: below the limit by at most half the diagonal of a voxel. Its mean, and the share that a probe can
    cover, come nearer to theirs as the spacing does to 0; a grid of half as many points along each edge says how far
    they are.

    Examples
    --------
    In fcc the octahedral hole has radius a/2, and the way between holes leads through triangles, a/√6 from the atoms:

    >>> from ase.build import bulk
    >>> made = voids(bulk("Al", a=4.0), grid=(8, 8, 8))
    >>> made.largest_included_radius, round(made.largest_free_radius * math.sqrt(6) / 4.0, 9)
    (2.0, 1.0)
    """
    atoms = periodic_atoms(atoms)
    if probe_radius is None:
        probe_radius = PROBE_RADIUS if radii is None else 0.0
    points = grids.resolve_points(atoms.cell.array, grid, spacing, bytes_per_point=_BYTES_PER_POINT)
    field = distance_map(atoms, radii=radii, grid=points, threads=threads)
    holes = find_holes(atoms, radii=radii)
    _check(holes, field)
    sizes = _pore_radii(field)
    nx, ny, nz = (max(n // 2, 1) for n in points)
    coarse = _pore_radii(distance_map(atoms, radii=radii, grid=(nx, ny, nz), threads=threads))
    occupiable, mean = _occupiable(sizes, probe_radius), _mean(sizes)
    return Voids(
        field,
        sizes,
        atoms,
        radii,
        holes,
        probe_radius,
        percolation(field, threshold=probe_radius, side="above"),
        void_fraction=float(np.mean(sizes.values > 0.0)),
        occupiable_fraction=occupiable,
        occupiable_error=abs(_occupiable(coarse, probe_radius) - occupiable),
        mean_pore_radius=mean,
        mean_pore_radius_error=abs(_mean(coarse) - mean),
    )


@checked
def probe_curve(
    made: Voids, *, probe_radii: Annotated[tuple[NonNegativeLength, ...], Len(1)] | None = None
) -> ProbeCurve:
    """Measure what probes of many radii reach.

    Parameters
    ----------
    made
        The voids; the curve is on their grid.
    probe_radii
        Radii of the probes [Å]; by default 25 from 0 to that of the largest included sphere.

    Examples
    --------
    A probe of the radius of the largest sphere is locked in:

    >>> from ase.build import bulk
    >>> curve = probe_curve(voids(bulk("Al", a=4.0), grid=(8, 8, 8)), probe_radii=(0.5, 2.0))
    >>> curve.dimensions.tolist(), curve.center_fractions[1] * 8**3
    ([3, 0], np.float64(1.0))
    """
    largest = made.largest_included_radius
    radii = np.linspace(0.0, largest, _CURVE_POINTS) if probe_radii is None else np.array(probe_radii)
    found = [percolation(made.field, threshold=float(radius), side="above") for radius in radii]
    return ProbeCurve(
        radii,
        np.array([one.fraction_of_cell for one in found]),
        np.array([one.percolating_fraction_of_cell for one in found]),
        np.array([_occupiable(made.pore_radii, radius) for radius in radii.tolist()]),
        np.array([one.dimension for one in found]),
    )


def _check(holes: Holes, field: ScalarField) -> None:
    """Refuse spheres that the grid contradicts: the distance changes by no more than the way between two points."""
    steps = field.cell / np.array(field.grid)[:, None]
    corners = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) @ steps
    # no point is farther from its nearest grid point, and neighbors on the grid are at most twice as far apart
    half_diagonal = 0.5 * float(np.linalg.norm(corners, axis=1).max()) + 1e-9
    highest = float(field.values.max())
    if not highest - 1e-9 <= holes.radii[0] <= highest + half_diagonal:
        raise RuntimeError(
            f"the largest included sphere has the radius {holes.radii[0]:.6f} Å, but the grid allows "
            f"{highest:.6f} to {highest + half_diagonal:.6f} Å; displace the atoms by 1e-4 Å"
        )
    for passage in holes.passages:
        low, high = passage.radius - half_diagonal, passage.radius + half_diagonal
        reached = percolation(field, threshold=low, side="above").dimension
        beyond = percolation(field, threshold=high, side="above").dimension
        if not beyond < passage.dimension <= reached:
            raise RuntimeError(
                f"the largest sphere that passes in {passage.dimension} dimensions has the radius {passage.radius:.6f} "
                f"Å, but on the grid spheres of {low:.6f} Å pass in {reached} and of {high:.6f} Å in {beyond}; "
                f"displace the atoms by 1e-4 Å"
            )


def _pore_radii(field: ScalarField) -> ScalarField:
    from amorph.analysis.voids._pores import paint_spheres

    order = np.argsort(-field.values, axis=None, kind="stable")[: np.count_nonzero(field.values > 0.0)]
    sizes = np.empty(field.grid)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(field.cell), axis=0)
    paint_spheres(field.values, order, np.ascontiguousarray(field.cell), heights, sizes)
    quantity = "radius of the largest sphere over the point"
    return ScalarField(sizes, field.cell, quantity, "Å", field.parameters, "pore_radius")


def _distribution(sizes: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inside = sizes[sizes > 0.0]
    bins = max(1, math.ceil(float(inside.max(initial=0.0)) / PORE_BIN + 1e-9))
    counts, edges = np.histogram(inside, bins=bins, range=(0.0, bins * PORE_BIN))
    return edges[:-1], counts / (max(inside.size, 1) * PORE_BIN)


def _occupiable(sizes: ScalarField, probe_radius: float) -> float:
    covered = (sizes.values >= probe_radius) & (sizes.values > 0.0)
    return float(np.count_nonzero(covered) / sizes.values.size)


def _mean(sizes: ScalarField) -> float:
    inside = sizes.values[sizes.values > 0.0]
    return float(inside.mean()) if inside.size else 0.0


def _sphere(name: str, radius: float, position: NDArray[np.float64] | None) -> dict[str, Any]:
    where = None if position is None else (position.round(3) + 0.0).tolist()  # + 0.0: no minus zero
    return {"sphere": name, "radius_A": radius, "diameter_A": 2.0 * radius, "center_x_y_z_A": where}
