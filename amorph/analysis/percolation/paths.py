"""The path that an ion takes through a field: over the lowest barrier, and along the valleys below it."""

import heapq
import itertools
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from annotated_types import Interval
from ase.units import kB
from numpy.typing import NDArray

from amorph.analysis.percolation.regions import STEPS, percolation, percolation_thresholds, points_in_order
from amorph.analysis.percolation.result import Percolation, Side
from amorph.fields import ScalarField
from amorph.figures import Plottable, Result, keyed, plain
from amorph.machine.memory import refuse_beyond_memory
from amorph.parameters import checked

Point = tuple[float, float, float]
Array = NDArray[np.float64]

SHARPNESS: Final = 20.0
"""(barrier)/kT of the weight exp(E/kT) that chooses among the paths over the same barrier."""
_LEAST_DEPTH: Final = 0.05
"""A minimum along a path is a site where it lies this share of the barrier below what surrounds it."""
_NEVER: Final = 4
"""A number of dimensions that no region reaches."""
_DIRECTIONS: Final[tuple[Literal[1, -1], ...]] = (1, -1)
_BYTES: Final = 72
"""Memory for each point: 31 bytes of weights, costs, steps, offsets and marks, 16 of the field twice, and the heap."""
_FARTHEST: Final = 1e6
"""Cells from the origin to a site at most: farther off its coordinates tell no grid point."""
_SWEEPS: Final = 200
"""Sweeps over a path at most, to take its staircase away."""
_STRAIGHTENING: Final = 2
"""Sweeps that take its zigzag away: few, or it would leave the valley."""
_ALLOWANCE: Final = 0.01
"""Share of the barrier by which a point may rise for that, below the barrier."""


@dataclass(frozen=True, eq=False)
class MigrationPath(Result, Plottable):
    """A path between two sites, or from a site to an image of itself."""

    positions: Array
    """(n, 3) points, in one piece across cell faces [Å]."""
    lengths: Array
    """(n,) length of the path up to each point [Å]."""
    values: Array
    """(n,) field at each point, interpolated between grid points [`unit`]; none is beyond the threshold."""
    threshold: float
    """Highest value on the path, or the lowest on the side above: exactly that of a grid point [`unit`]."""
    bottleneck: int
    """Number of the point that has it."""
    barrier: float
    """Distance of the threshold from the value at the start, never negative [`unit`]."""
    reverse_barrier: float
    """Distance of the threshold from the value at the end [`unit`]."""
    winding: tuple[int, int, int]
    """Lattice vectors from the start to the end of a path across the cell; of a path between two given sites, those
    from the end as it was given to the image of it that the path reaches."""
    sites: tuple[int, ...]
    """Numbers of the points that are sites: both ends, and every minimum (maximum on the side above) between them that
    lies at least 5 % of the larger barrier below what surrounds it."""
    side: Side
    """"below": the path stays low; "above": it stays high."""
    weight_energy: float
    """kT of the weight exp(E/kT) that chose among the paths over this barrier: a twentieth of the distance from the
    field's extreme to the threshold [`unit`]."""
    cell: Array
    """(3, 3) lattice vectors as rows [Å]."""
    quantity: str
    """What the values are."""
    unit: str
    """Unit of the field."""
    ion: str | None
    """The mobile ion that the field belongs to; None where it is that of no ion."""
    _large: ClassVar[frozenset[str]] = frozenset({"positions", "lengths", "values", "cell"})
    _derived: ClassVar[tuple[str, ...]] = ("length",)

    def figures(self) -> dict[str, Any]:
        """Give every figure, and the hops one by one."""
        return super().figures() | {"hops": plain(self.table())}

    @property
    def length(self) -> float:
        """Length of the whole path [Å]."""
        return float(self.lengths[-1])

    @property
    def fractional(self) -> Array:
        """(n, 3) points in lattice vectors, in one piece across cell faces."""
        return self.positions @ np.linalg.inv(self.cell).astype(np.float64)

    @property
    def weight_temperature_K(self) -> float | None:
        """The temperature of the weight, where the field is an energy in eV [K]."""
        return self.weight_energy / kB if self.unit == "eV" else None

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each hop from site to site."""
        sign = 1.0 if self.side == "below" else -1.0
        rows = []
        for number, (start, end) in enumerate(zip(self.sites[:-1], self.sites[1:], strict=True), start=1):
            top = start + int(np.argmax(sign * self.values[start : end + 1]))
            rows.append(
                {
                    "hop": number,
                    "from_x_y_z_A": self.positions[start].round(2),
                    "to_x_y_z_A": self.positions[end].round(2),
                    "length_A": float(self.lengths[end] - self.lengths[start]),
                    keyed("start", self.unit): float(self.values[start]),
                    keyed("saddle", self.unit): float(self.values[top]),
                    keyed("end", self.unit): float(self.values[end]),
                    keyed("barrier", self.unit): float(sign * (self.values[top] - self.values[start])),
                    keyed("reverse_barrier", self.unit): float(sign * (self.values[top] - self.values[end])),
                }
            )
        return rows


@checked
def migration_path(
    field: ScalarField,
    *,
    start: Point | None = None,
    end: Point | None = None,
    dimension: Annotated[int, Interval(ge=1, le=3)] = 1,
    side: Side = "below",
) -> MigrationPath:
    r"""Find the path over the lowest barrier: between two sites, or from a site across the cell to its own image.

    Parameters
    ----------
    field
        Periodic field on any cell.
    start
        Where the path starts [Å]; the nearest grid point counts. Without start and end the path crosses the cell.
    end
        Where it ends [Å]. Of all periodic images the one with the lowest barrier is taken, and among images with the
        same barrier the one with the smallest integral (see Notes): not necessarily the nearest.
    dimension
        A path across the cell leads where a region first reaches this dimension: its winding is one that no region has
        below that threshold, so no path with this winding has a lower barrier.
    side
        "below": the path stays low, and its barrier is the highest value; "above": it stays high.

    Returns
    -------
    MigrationPath
        Points, lengths, values, barriers both ways and the sites between.

    Raises
    ------
    ValueError
        One site without the other, or both the same; a site that is excluded; sites that no path joins; a dimension
        that no region reaches; a grid larger than memory.

    Notes
    -----
    The barrier is that of the grid: the lowest value at which both ends are in one region, or at which a region reaches
    `dimension`, as in :func:`~amorph.analysis.percolation.percolation_thresholds`, with the same neighbors. Of all
    paths within it the one with the smallest :math:`\int \exp(E/kT)\,\mathrm{d}s` is taken, which follows the valleys
    (the path of maximum flux of Berkowitz et al. 1983, doi:10.1063/1.445675, unverified), with kT a twentieth of the
    threshold's distance from the field's extreme. Each site on the way is moved to the minimum of its well. The steps
    of the grid are then smoothed by moving its points to where this integral is smaller, those beyond the barrier left
    out; the bottleneck and the minima, which are grid points, stay.

    Examples
    --------
    −cos x − 4·cos y − 4·cos z: along x, over the saddle, with a barrier of 2:

    >>> x, y, z = np.meshgrid(*[2 * np.pi * np.arange(16) / 16] * 3, indexing="ij")
    >>> field = ScalarField(-np.cos(x) - 4 * np.cos(y) - 4 * np.cos(z), np.eye(3) * 5.0, "potential", "eV")
    >>> path = migration_path(field)
    >>> path.winding, round(path.barrier, 9), round(path.length, 9)
    ((1, 0, 0), 2.0, 5.0)
    """
    if (start is None) != (end is None):
        given, missing = ("start", "end") if end is None else ("end", "start")
        raise ValueError(f"{given} is given without {missing}; give both, or none for a path across the cell")
    asked = f"a path over a grid of {field.values.size} points"
    refuse_beyond_memory(_BYTES * field.values.size, asked, "give a field of fewer points")
    if start is not None and end is not None:
        walk = _between(field, start, end, side)
    else:
        walk = _across(field, dimension, side)
    return _smoothed(field, side, walk, end)


def _between(field: ScalarField, start: Point, end: Point, side: Side) -> NDArray[np.int64]:
    """Walk from one site to the image of another over the lowest barrier; points of the grid, in one piece."""
    from amorph.analysis.percolation._paths import cheapest_walks
    from amorph.analysis.percolation._regions import sweep

    grid = np.array(field.grid)
    nearest = [_nearest_point(field, name, site) for name, site in (("start", start), ("end", end))]
    inside = [tuple((point % grid).tolist()) for point in nearest]
    if inside[0] == inside[1]:
        raise ValueError(
            f"start {_text(start)} and end {_text(end)} Å are one site of the grid; "
            "give two, or none for a path across the cell"
        )
    first, second = (int(np.ravel_multi_index(point, field.grid)) for point in inside)

    def joined(made: Percolation) -> bool:
        return bool(made.labels[inside[0]] == made.labels[inside[1]] > 0)

    values, order = points_in_order(field, side, joined)
    _, _, _, met = sweep(values, order, field.grid, STEPS, 0.0, _NEVER, first, second)
    if met < 0:
        raise ValueError(f"no path joins {_text(start)} and {_text(end)} Å: excluded points separate them")
    weights = _weights(values, values[order[0]], values[met])
    _, steps, offsets = cheapest_walks(weights, field.grid, _step_lengths(field), first, second)
    walk = _through_minima(values.reshape(field.grid), _walk_to(second, steps, offsets, field.grid))
    moved: NDArray[np.int64] = walk - walk[0] + nearest[0]
    return moved


def _across(field: ScalarField, dimension: int, side: Side) -> NDArray[np.int64]:
    """Walk from the lowest site on a loop through the bottleneck of a dimension to that site's image."""
    from amorph.analysis.percolation._paths import cheapest_loops, cheapest_walks

    found = percolation_thresholds(field, side=side)
    crossing = found.crossings[dimension - 1]
    if crossing is None or found.extreme is None:
        reached = sum(each is not None for each in found.crossings)
        raise ValueError(f"no region of the {field.quantity} reaches dimension {dimension}; the highest is {reached}")
    sign = 1.0 if side == "below" else -1.0
    values = sign * np.asarray(field.values, dtype=np.float64).ravel()
    weights = _weights(values, sign * found.extreme, sign * crossing.threshold)
    place = int(np.ravel_multi_index(crossing.bottleneck_index, field.grid))
    lengths = _step_lengths(field)
    costs, steps, offsets = cheapest_walks(weights, field.grid, lengths, place, -1)
    windings, totals, begins, last = cheapest_loops(weights, field.grid, lengths, costs, offsets)
    lower = percolation(field, threshold=float(np.nextafter(crossing.threshold, -sign * np.inf)), side=side)
    known = np.unique(lower.windings[lower.dimensions > 0], axis=0)
    grid = np.array(field.grid)
    walk = np.array(crossing.bottleneck_index)[None]
    for number, direction in _cheapest_sum(windings, totals, known):
        begin = _walk_to(int(begins[number]), steps, offsets, field.grid)
        step = np.array(np.unravel_index(last[number], (3, 3, 3))) - 1
        met = (begin[-1] + step) % grid
        back = _walk_to(int(np.ravel_multi_index(tuple(met), field.grid)), steps, offsets, field.grid)[::-1]
        loop = np.concatenate([begin, back + begin[-1] + step - back[0]])[::direction]
        walk = np.concatenate([walk, (loop + walk[-1] - loop[0])[1:]])
    walk = _through_minima(values.reshape(field.grid), walk)
    along = walk[-1] - walk[0]
    lowest = int(np.argmin(values[np.ravel_multi_index(tuple((walk % grid).T), field.grid)]))
    walk = np.concatenate([walk[lowest:], walk[1 : lowest + 1] + along])
    turned: NDArray[np.int64] = walk - np.floor(walk.mean(axis=0) / grid).astype(int) * grid
    return turned


def _cheapest_sum(
    windings: NDArray[np.int64], totals: Array, known: NDArray[np.int64]
) -> list[tuple[int, Literal[1, -1]]]:
    """Choose loops, and the direction of each, whose windings add up to one outside all known lattices."""
    spans = [(basis, np.linalg.matrix_rank(basis)) for basis in (np.zeros((1, 3)), *known)]
    # the second entry settles ties: what came first
    heap: list[tuple[float, int, tuple[int, ...], list[tuple[int, Literal[1, -1]]]]] = [(0.0, 0, (0, 0, 0), [])]
    seen = set()
    count = itertools.count(1)
    while True:
        cost, _, winding, chosen = heapq.heappop(heap)
        if all(np.linalg.matrix_rank(np.vstack([basis, winding])) > rank for basis, rank in spans):
            return chosen
        if winding in seen:
            continue
        seen.add(winding)
        for direction, number in product(_DIRECTIONS, range(len(totals))):
            longer = tuple((winding + direction * windings[number]).tolist())
            heapq.heappush(heap, (cost + totals[number], next(count), longer, [*chosen, (number, direction)]))


def _smoothed(field: ScalarField, side: Side, walk: NDArray[np.int64], end: Point | None) -> MigrationPath:
    """Take the staircase off a walk over the grid, and measure it."""
    from amorph.analysis.percolation._paths import relax_path, straighten_path, values_along

    sign = 1.0 if side == "below" else -1.0
    values = sign * np.ascontiguousarray(field.values, dtype=np.float64)
    grid = np.array(field.grid)
    points = walk.astype(np.float64)
    along = values_along(values, points)
    bottleneck = int(np.argmax(along))
    threshold = float(along[bottleneck])
    depth = threshold - float(np.min(values, where=np.isfinite(values), initial=np.inf))
    fixed = np.zeros(len(points), dtype=bool)
    fixed[[*_sites(along), bottleneck]] = True
    sharpness = SHARPNESS / depth if depth > 0 else 0.0
    relax_path(values, field.cell / grid[:, None], points, fixed, threshold, sharpness, _SWEEPS)
    straighten_path(values, points, fixed, threshold, _ALLOWANCE * depth, _STRAIGHTENING)
    along = values_along(values, points)
    positions = points / grid @ field.cell
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(positions, axis=0), axis=1))])
    target = walk[0] if end is None else _nearest_point(field, "end", end)
    x, y, z = ((walk[-1] - target) // grid).tolist()
    return MigrationPath(
        positions,
        lengths,
        sign * along + 0.0,  # no −0.0
        sign * threshold + 0.0,
        bottleneck,
        threshold - float(along[0]),
        threshold - float(along[-1]),
        (x, y, z),
        _sites(along),
        side,
        depth / SHARPNESS,
        field.cell,
        field.quantity,
        field.unit,
        field.ion,
    )


def _through_minima(values: Array, walk: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lead a walk through the minimum below each of its sites.

    In a wide well exp(E/kT) is next to nothing wherever it leads, so that the cheapest walk cuts the corner.
    """
    along = values[tuple((walk % values.shape).T)]
    parts, done, last = [], 0, None
    for site in _sites(along)[1:-1]:
        descent = _descent(values, walk[site])
        if last is not None and (descent[-1] == last[-1]).all():
            # both sites are on the slopes of one well: what the walk did between them is left out
            parts[-1] = descent[-2::-1]
        else:
            parts += [walk[done : site + 1], descent[1:], descent[-2::-1]]
        done, last = site + 1, descent
    return np.concatenate([*parts, walk[done:]])


def _descent(values: Array, point: NDArray[np.int64]) -> NDArray[np.int64]:
    """Go from a point of the grid to its lowest neighbor, and on until there is none lower."""
    found = [point]
    while True:
        around = found[-1] + STEPS
        heights = values[tuple((around % values.shape).T)]
        heights = np.where(np.isfinite(heights), heights, np.inf)
        if not heights.min() < values[tuple(found[-1] % values.shape)]:
            return np.array(found)
        found.append(around[np.argmin(heights)])


def _sites(along: Array) -> tuple[int, ...]:
    from scipy.signal import find_peaks

    least = _LEAST_DEPTH * float(np.max(along) - np.min(along))
    between, _ = find_peaks(-along, prominence=least) if least > 0 else ([], None)
    return (0, *map(int, between), len(along) - 1)


def _weights(values: Array, extreme: float, threshold: float) -> Array:
    """Cost per length at every point: exp(E/kT), 1 at the threshold and 0 for points that are not inside."""
    depth = threshold - extreme
    weights = np.zeros(values.size)
    inside = values <= threshold  # what is not finite is a comparison that fails, or below any extreme
    weights[inside] = np.exp(SHARPNESS * (values[inside] - threshold) / depth) if depth > 0 else 1.0
    return weights


def _step_lengths(field: ScalarField) -> Array:
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    lengths: Array = np.linalg.norm(steps / np.array(field.grid) @ field.cell, axis=1)
    return lengths


def _walk_to(
    place: int, steps: NDArray[np.int8], offsets: NDArray[np.int32], grid: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Follow the steps that led to a point back to where they began; returns the points from there, in one piece."""
    shape = np.array(grid)
    here = np.array(np.unravel_index(place, grid)) + offsets[place] * shape
    walk = [here]
    while steps[place] >= 0:
        here = here - np.array(np.unravel_index(steps[place], (3, 3, 3))) + 1
        place = int(np.ravel_multi_index(tuple(here % shape), grid))
        walk.append(here)
    return np.array(walk[::-1])


def _nearest_point(field: ScalarField, name: str, site: Point) -> NDArray[np.int64]:
    """Find the grid point nearest to a site, in the site's own cell."""
    fractional = np.linalg.solve(field.cell.T, site)
    if np.abs(fractional).max() > _FARTHEST:
        raise ValueError(f"{name} {_text(site)} Å is more than {_FARTHEST:g} cells away; give positions in Å")
    point = np.rint(fractional * field.grid).astype(np.int64)
    if not np.isfinite(field.values[tuple(point % field.grid)]):
        raise ValueError(f"{name} {_text(site)} Å lies where the {field.quantity} is excluded; give another site")
    return point


def _text(site: Point) -> str:
    return " ".join(f"{x:g}" for x in site)
