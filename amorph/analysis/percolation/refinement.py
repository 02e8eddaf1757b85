"""The barrier of a potential along a migration path: its hops as relaxed elastic bands."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.mep import NEB
from ase.optimize import FIRE
from numpy.typing import NDArray

from amorph.analysis.electrochemistry import Minimized
from amorph.analysis.grids import Task
from amorph.analysis.percolation.paths import MigrationPath
from amorph.figures import Result, Row
from amorph.parameters import Count, Force, checked
from amorph.progress import task_of
from amorph.structure import periodic_atoms
from amorph.tables import parse_ion

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

SITE_A: Final = 1.0
"""Distance of an ion from a site of the path within which it sits there [Å]."""
BLOCKING_A: Final = 1.5
"""Distance from the path within which another mobile ion is in the way [Å]: half a hop."""
WIDTH_A: Final = 8.0
"""Least distance between the hopping ion and its image [Å]."""
SPRING: Final = 1.0
"""Of the band [eV/Å²]."""
LOOSE: Final = 4.0
"""Times its tolerance to which the band is relaxed before its highest image climbs."""


@dataclass(frozen=True, eq=False)
class RefinedHop(Result):
    """One hop between two sites, relaxed by a potential."""

    start: Array
    """(3,) site that it leaves [Å]."""
    end: Array
    """(3,) site that it reaches [Å]."""
    map_barrier_eV: float
    """Barrier of the map from its start [eV]."""
    barrier_eV: float
    """Energy of the climbing image above the relaxed start [eV]."""
    reverse_barrier_eV: float
    """The same above the relaxed end [eV]."""
    length_A: float
    """Length of the relaxed path of the ion [Å]."""
    profile_eV: tuple[float, ...]
    """Energy of each image above the start, both ends among them [eV]."""
    max_force: float
    """Largest force on the band [eV/Å]."""
    converged: bool
    """Whether both ends and the band are within the tolerance."""
    removed: int
    """Other mobile ions that were in the way and taken out: the vacancy."""
    inserted: bool
    """Whether no ion sat at the start, so that one was put there."""
    atoms: int
    """Atoms of its cell."""
    images: tuple[Atoms, ...]
    """The relaxed band, both ends among them."""
    _large: ClassVar[frozenset[str]] = frozenset({"images"})


@dataclass(frozen=True, eq=False)
class RefinedPath(Result):
    """A migration path, hop by hop, relaxed by a potential."""

    ion: str
    hops: tuple[RefinedHop, ...]
    map_barrier_eV: float
    """Barrier of the map along the whole path, from its lowest site [eV]."""
    barrier_eV: float
    """Highest saddle above the lowest site before or behind it, in the order in which the vacancy or the ion meets the
    hops; where some hops are into vacancies and some are not, that of the highest hop [eV]."""
    converged: bool
    """Whether every hop is, and the ends of those that have one site."""
    one_site: tuple[tuple[Array, Array], ...]
    """(3,) sites of the map, two by two, that are one by the potential: hops without a barrier [Å]."""

    def table(self) -> list[dict[str, Any]]:
        """One row per hop."""
        return [
            {
                "hop": number,
                "from_x_y_z_A": hop.start.round(2),
                "to_x_y_z_A": hop.end.round(2),
                "map_eV": hop.map_barrier_eV,
                "barrier_eV": hop.barrier_eV,
                "reverse_barrier_eV": hop.reverse_barrier_eV,
                "length_A": hop.length_A,
                "vacancies": hop.removed,
                "atoms": hop.atoms,
                "converged": hop.converged,
            }
            for number, hop in enumerate(self.hops, start=1)
        ]

    def rows(self) -> list[Row]:
        """Give both barriers."""
        return [
            Row(f"migration barrier of {self.ion} by the map", self.map_barrier_eV, "eV"),
            Row(f"migration barrier of {self.ion} by the potential", self.barrier_eV, "eV"),
        ]


@checked
def refine_path(
    path: MigrationPath,
    atoms: Atoms,
    calculator: BaseCalculator,
    relax: Callable[[Atoms], Minimized],
    *,
    images: Count = 5,
    fmax: Force = 0.05,
    max_steps: Count = 300,
    progress: Task | None = None,
) -> RefinedPath:
    r"""Relax a path of a site-energy map by a potential: nudged elastic bands with a climbing image.

    Parameters
    ----------
    path
        Path of an ion whose quantity is an energy.
    atoms
        The structure that the map was made of, its mobile ions in. Its cell stays, repeated until it is 8 Å wide.
    calculator
        Any ASE calculator, for the band.
    relax
        Relaxes the ends by the same potential, the cell fixed: ``functools.partial(amorph.relax, calculator=...)``.
    images
        Images of a band between its ends.
    fmax
        Largest force on the band.
    max_steps
        Steps after which a band gives up, and says so.
    progress
        Where progress goes: :meth:`amorph.progress.Progress.task`.

    Raises
    ------
    ValueError
        The path is of no energy or of no ion; of no hop the ends are two sites by the potential.

    Notes
    -----
    A hop leads from one occupied site of the path (an ion within 1 Å) to the next; minima of the map between them are
    passed. The ion hops into a vacancy: other mobile ions within 1.5 Å of the way are taken out. Where none sits at the
    start, one is put there. The other ions stay, and relax. Where both ends relax into one site, as in glasses, the hop
    has no barrier, and the path's is that of the others. Bands follow Henkelman, Uberuaga and Jónsson (2000),
    doi:10.1063/1.1329672, by ASE.
    """
    if path.ion is None or path.unit != "eV" or path.side != "below":
        raise ValueError(f"the path is of the {path.quantity}; a barrier is refined on one of an ion's site energy")
    atoms = periodic_atoms(atoms)
    whole = _enlarged(atoms)
    element = parse_ion(path.ion).element
    stops = _stops(path, whole, element)
    hops: list[RefinedHop] = []
    merged: list[_Ends] = []
    with task_of(progress)("hops", len(stops) - 1) as update:
        for number, span in enumerate(pairwise(stops), start=1):
            hop = _Hop(path, span, whole, element, calculator, relax, fmax, max_steps)
            ends = hop.ends()
            if ends.are_one:
                merged.append(ends)
                update(number, "one site")
            else:
                hops.append(hop.relaxed(ends, images))
                update(number, f"{hops[-1].barrier_eV:.3f} eV")
    if not hops:
        raise ValueError(
            f"the hop from {_text(merged[0].way[0])} to {_text(merged[0].way[-1])} Å has one site by this potential: "
            f"its ends relax to within {merged[0].apart_A:.2f} Å of each other; choose other sites"
        )
    return RefinedPath(
        path.ion,
        tuple(hops),
        path.threshold - float(path.values.min()),
        _highest(hops),
        all(hop.converged for hop in hops) and all(ends.converged for ends in merged),
        tuple((ends.way[0], ends.way[-1]) for ends in merged),
    )


def _enlarged(atoms: Atoms) -> Atoms:
    """Repeat a cell until its faces are far enough from each other."""
    cell = atoms.cell.array
    widths = atoms.cell.volume / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    return atoms.repeat(np.ceil(WIDTH_A / widths - 1e-9).astype(int).tolist())


def _stops(path: MigrationPath, atoms: Atoms, element: str) -> list[int]:
    """Choose the points where hops begin and end: both ends, and the sites between where an ion sits."""
    ions = atoms.positions[atoms.symbols == element]
    taken = [number for number in path.sites[1:-1] if _distances(ions, path.positions[number], atoms).min() < SITE_A]
    return [path.sites[0], *taken, path.sites[-1]]


def _distances(positions: Array, point: Array, atoms: Atoms) -> Array:
    """Distances of positions from a point, by nearest images [Å]; none is an infinite one."""
    if not len(positions):
        return np.array([np.inf])
    lengths: Array = find_mic(positions - point, atoms.cell, pbc=True)[1]
    return lengths


def _highest(hops: list[RefinedHop]) -> float:
    """Highest climb along a chain of hops, forward or backward: of saddles above sites, each from the hop before it.

    A vacancy meets the hops of its ions in reverse. Hops into vacancies and of an ion between the others have no common
    level: of these the highest alone counts.
    """
    if len({hop.removed for hop in hops}) > 1 or len({hop.inserted for hop in hops}) > 1:
        return max(max(hop.barrier_eV, hop.reverse_barrier_eV) for hop in hops)
    if hops[0].removed:
        hops = hops[::-1]
    level, levels = 0.0, [0.0]
    saddles = []
    for hop in hops:
        saddles.append(level + hop.barrier_eV)
        level += hop.barrier_eV - hop.reverse_barrier_eV
        levels.append(level)
    return max(saddles) - min(levels)


@dataclass(frozen=True, eq=False)
class _Ends:
    """Both ends of a hop, relaxed."""

    way: Array
    """(n, 3) points of the hop [Å]."""
    first: Atoms
    last: Atoms
    energies_eV: tuple[float, float]
    converged: bool
    ion: int
    """Number of the ion that hops."""
    removed: int
    inserted: bool

    @property
    def apart_A(self) -> float:
        """Distance of the ion between them [Å]."""
        return float(np.linalg.norm(self.last.positions[self.ion] - self.first.positions[self.ion]))

    @property
    def are_one(self) -> bool:
        """Whether that is less than half of what it was."""
        return self.apart_A < 0.5 * float(np.linalg.norm(self.way[-1] - self.way[0]))


@dataclass(frozen=True, eq=False)
class _Hop:
    """A hop in its cell, before it is relaxed."""

    path: MigrationPath
    span: tuple[int, int]
    """First and last point of it."""
    whole: Atoms
    element: str
    calculator: BaseCalculator
    relax: Callable[[Atoms], Minimized]
    fmax: float
    max_steps: int

    @property
    def way(self) -> Array:
        """(n, 3) points of the hop [Å]."""
        return self.path.positions[self.span[0] : self.span[1] + 1]

    def ends(self) -> _Ends:
        """Relax both ends."""
        start, ion, removed, inserted = self._vacated()
        end = start.copy()
        end.positions[ion] = self.way[-1]
        done = [self.relax(one) for one in (start, end)]
        first, last = (self._unwrapped(one, found.atoms) for one, found in zip((start, end), done, strict=True))
        energies = done[0].energy_eV, done[1].energy_eV
        converged = all(found.converged for found in done)
        return _Ends(self.way, first, last, energies, converged, ion, removed, inserted)

    def relaxed(self, ends: _Ends, images: int) -> RefinedHop:
        """Relax the band between its ends."""
        first, last = ends.first, ends.last
        band = [first, *self._between(first, last, ends.ion, images), last]
        for image, energy in zip((first, last), ends.energies_eV, strict=True):
            image.calc = SinglePointCalculator(image, energy=energy, forces=np.zeros((len(image), 3)))
        energies, force, converged = self._climb(band)
        moved = np.diff([image.positions[ends.ion] for image in band], axis=0)
        along = self.path.values[self.span[0] : self.span[1] + 1]
        return RefinedHop(
            start=self.way[0],
            end=self.way[-1],
            map_barrier_eV=float(along.max() - along[0]),
            barrier_eV=float(energies.max() - energies[0]),
            reverse_barrier_eV=float(energies.max() - energies[-1]),
            length_A=float(np.linalg.norm(moved, axis=1).sum()),
            profile_eV=tuple((energies - energies[0]).tolist()),
            max_force=force,
            converged=converged and ends.converged,
            removed=ends.removed,
            inserted=ends.inserted,
            atoms=len(first),
            images=tuple(_bare(image, energy) for image, energy in zip(band, energies, strict=True)),
        )

    def _vacated(self) -> tuple[Atoms, int, int, bool]:
        """Clear the way: the cell with the ion at the start, its number, ions taken out, whether it was put there."""
        atoms = self.whole.copy()
        mobile = np.flatnonzero(atoms.symbols == self.element)
        home = _distances(atoms.positions[mobile], self.way[0], atoms)
        inserted = bool(home.min() > SITE_A)
        if inserted:
            atoms.append(self.element)
        ion = len(atoms) - 1 if inserted else int(mobile[np.argmin(home)])
        atoms.positions[ion] = self.way[0]
        others = mobile[mobile != ion]
        near = [min(_distances(self.way, atoms.positions[k], atoms)) < BLOCKING_A for k in others]
        blocking = others[np.array(near, dtype=bool)]
        del atoms[blocking]
        return atoms, ion - int((blocking < ion).sum()), len(blocking), inserted

    def _unwrapped(self, before: Atoms, after: Atoms) -> Atoms:
        """Give the relaxed atoms next to where they were."""
        atoms = before.copy()
        atoms.positions += find_mic(after.positions - before.positions, atoms.cell, pbc=True)[0]
        return atoms

    def _between(self, first: Atoms, last: Atoms, ion: int, images: int) -> list[Atoms]:
        """Lay images between two relaxed ends: the ion along the path, all others on straight lines."""
        lengths = self.path.lengths[self.span[0] : self.span[1] + 1] - self.path.lengths[self.span[0]]
        made = []
        for share in np.arange(1, images + 1) / (images + 1):
            image = first.copy()
            image.positions += share * (last.positions - first.positions)
            point = [np.interp(share * lengths[-1], lengths, axis) for axis in self.way.T]
            straight = self.way[0] + share * (self.way[-1] - self.way[0])
            image.positions[ion] += point - straight
            image.calc = self.calculator
            made.append(image)
        return made

    def _climb(self, band: list[Atoms]) -> tuple[Array, float, bool]:
        """Relax the band, then let its top image climb; energies [eV], largest force [eV/Å], if it converged."""
        neb = NEB(band, k=SPRING, method="improvedtangent", allow_shared_calculator=True)
        for climb, tolerance in ((False, LOOSE * self.fmax), (True, self.fmax)):
            neb.climb = climb
            with FIRE(neb, logfile=None) as optimizer:
                converged = bool(optimizer.run(fmax=tolerance, steps=self.max_steps))
        force = float(np.linalg.norm(neb.get_forces(), axis=1).max())
        log.info(
            "band of %d images: largest force %.3f eV/Å, %s",
            len(band),
            force,
            "converged" if converged else "NOT CONVERGED",
        )
        return np.array(neb.energies), force, converged


def _bare(image: Atoms, energy: float) -> Atoms:
    """Copy an image with its energy [eV], without the calculator that it shares."""
    copy = image.copy()
    copy.info["energy_eV"] = float(energy)
    return copy


def _text(point: Array) -> str:
    return " ".join(f"{x:.2f}" for x in point)
