r"""Is the glass a glass? Crystal order of any kind, order left from the parent crystal, and whether it melted.

(a) *Bragg peaks*: the largest I/N² at any G up to 5/Å (mean over the frames) of the anions, the cations and all atoms,
and of each without one element, so that ions that flow do not hide a frame that stands. At most
:math:`0.05 + 1 - e^{-33/n}` for the n atoms that scatter. Where the rocksalt parent is known, the mean I/N² of all
atoms over its strongest star is at most :math:`0.02 + 5/N` too. A limit of 1 or more decides nothing.

(b) *Solid anions*: those of which at least 9 of the 12 nearest anions (of those tied for the twelfth place all, and
three quarters) are in like surroundings, by a normalised :math:`q_6 \cdot q_6^*` above 0.5. The *crystal fraction* is
the share of anions in the largest cluster that like surroundings join, or at its surface.

(c) *It melted*: every species' mean-square displacement is at least the square of its nearest-neighbor distance.
That distance is the mean over the species' atoms of the distance to the closest atom of any species, in `start`.
Displacements are those of fractional coordinates in the current cell, less the centre of mass: a change of the
cell's size moves nothing.

Frames are first reduced by the translations that repeat each of them within 0.1 Å, so that a cell and its repetition
have one verdict; up to 1000 atoms, a first one that spglib finds symmetric within 0.1 Å is "crystalline". Where there
are no anions all atoms are the one sublattice. How often the verdict errs, and on what its limits rest, is in
``docs/verdict.md``; ``benchmarks/verdict.py`` prints it.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.crystallinity import order as measures
from amorph.analysis.crystallinity.bragg import bragg_peaks, strongest
from amorph.analysis.crystallinity.repetition import SYMMETRY_ATOMS, space_group, without_repetition
from amorph.figures import Result
from amorph.parameters import Fraction, Supercell, checked
from amorph.structure import anion_mask, periodic_atoms
from amorph.tables import element_of

log = logging.getLogger(__name__)

Verdict = Literal["amorphous", "amorphous with embryo", "partly crystalline", "crystalline", "cannot exclude a crystal"]

CRYSTALLINE: Final = 0.5
"""I/N² or solid share from which a structure is called crystalline. Crystals at 1500 K still have 0.77."""
EMBRYO: Final = (5, 300)
"""Smallest cluster of solid anions that is no accident among so many anions; one more for every doubling of these."""
CRYSTALLITE: Final = 10
"""Smallest cluster of solid anions that may be a crystal; glasses reach 8."""
CRYSTAL_LIMIT: Final = 0.1
"""Crystal fraction from which a structure is partly crystalline."""
FEWEST: Final = 50
"""Anions below which a cell without a sign of a crystal is not called amorphous."""
VISIBLE: Final = 30
"""Anions of a crystal below which its clusters of solid anions are no larger than those of a glass."""
SPREAD: Final = 1.2
"""Standard deviation of a crystal fraction, times the root of the number of anions."""

PARENT_SITES: Final = (4, 8)
"""Atoms per conventional rocksalt cell: from none to all of the cations."""


@dataclass(frozen=True, eq=False)
class Crystallinity(Result):
    """How crystalline a structure is, by three criteria; of several frames, the mean.

    Of a verdict that an earlier version wrote into a run directory, what that did not measure is None.
    """

    verdict: Verdict
    """"amorphous", "amorphous with embryo", "partly crystalline", "crystalline" or "cannot exclude a crystal"."""
    reason: str
    """The figures that decided, in one sentence."""
    parent_order: float | None
    """(a) I/N² of the parent's strongest star, 1 in the undisturbed crystal; None where the parent is unknown."""
    parent_order_limit: float
    """Largest I/N² of a disordered structure, 0.02 + 5/N."""
    bragg_peak: float | None
    """(a) I/N² of the strongest Bragg peak, by its limit, of any sublattice."""
    bragg_peak_limit: float | None
    """Largest such I/N² of a disordered structure."""
    solid_share: float
    """(b) Share of anions whose surroundings are those of their neighbors, 1 in any crystal of close-packed anions."""
    melted: bool | None
    """(c) Whether every species moved on by at least one neighbor; None where the history is unknown."""
    mean_square_displacement: Mapping[str, float] | None
    """Mean-square displacement of each species since the start, without the drift of the whole [Å²]."""
    required_displacement: Mapping[str, float] | None
    """Mean-square displacement that counts as molten: nearest-neighbor distance at the start, squared [Å²]."""
    space_group: str | None
    """Space group above P1 of the (first) structure within 0.1 Å; not looked for above 1000 atoms."""
    anions: tuple[str, ...]
    """Elements of the anion sublattice; none where all atoms are the one sublattice."""
    n_frames: int
    """Number of frames averaged."""
    bragg_peak_of: str | None = None
    """Whose Bragg peak that is: "anions", "cations without Li"."""
    solid_cluster: float | None = None
    """(b) Number of solid anions in their largest cluster."""
    crystal_fraction: float | None = None
    """(b) Share of the anions in that cluster or at its surface: an estimate of how much is crystal."""
    crystal_fraction_sd: float | None = None
    """Standard deviation of that estimate, from crystals of known size in glasses."""
    crystal_limit: float | None = None
    """Largest crystal fraction of what is called amorphous."""
    smallest_visible_crystal: float | None = None
    """Share of the cell below which a crystal may not show, as its cluster is no larger than those of a glass; above it
    one may show only as an embryo."""
    n_judged: int | None = None
    """Anions of the cell that were judged, its repetitions left out; all atoms where there are no anions."""

    @property
    def is_glass(self) -> bool | None:
        """Whether it is amorphous, with an embryo or without; None where the cell is too small to say so."""
        return None if self.verdict == "cannot exclude a crystal" else self.verdict.startswith("amorphous")

    @property
    def is_disordered(self) -> bool:
        """Whether (a) and (b) hold: no crystal is seen, in a melt or in a glass."""
        return not any(row["holds"] is False for row in self._order())

    @property
    def _has_crystallite(self) -> bool:
        if self.solid_cluster is None or self.crystal_fraction is None or self.crystal_limit is None:
            return False
        return self.solid_cluster >= CRYSTALLITE and self.crystal_fraction >= self.crystal_limit

    def table(self) -> list[dict[str, str | float | bool | None]]:
        """Give one row per criterion; what is unknown, or undecided in so small a cell, is None."""
        rows = self._order()
        if self.mean_square_displacement is None or self.required_displacement is None:
            rows.append(_row("(c) it melted", None, None, self.melted))
            return rows
        for species, moved in self.mean_square_displacement.items():
            needed = self.required_displacement[species]
            name = f"(c) mean-square displacement of {species} [Å²], at least"
            rows.append(_row(name, moved, needed, moved >= needed))
        return rows

    def _order(self) -> list[dict[str, str | float | bool | None]]:
        what = "anions" if self.anions else "atoms"
        cluster, fraction, limit = self.solid_cluster, self.crystal_fraction, self.crystal_limit
        fits = None if fraction is None else not self._has_crystallite
        rows = [
            _row(
                "(a) parent order I/N², at most",
                self.parent_order,
                self.parent_order_limit,
                _holds(self.parent_order, self.parent_order_limit),
            ),
            _row(
                f"(a) strongest Bragg peak I/N², {self.bragg_peak_of or 'any sublattice'}, at most",
                self.bragg_peak,
                self.bragg_peak_limit,
                _holds(self.bragg_peak, self.bragg_peak_limit),
            ),
            _row(f"(b) largest cluster of solid {what}, below", cluster, CRYSTALLITE, fits),
            _row("(b) or crystal fraction, below", fraction, limit, fits),
            _row("    its standard deviation", self.crystal_fraction_sd, None, None),
            _row("    a crystal shows from", self.smallest_visible_crystal, None, None),
            _row(
                f"(b) solid share of the {what}, below", self.solid_share, CRYSTALLINE, self.solid_share < CRYSTALLINE
            ),
        ]
        if self.space_group is not None:
            rows.append(_row("symmetry of the cell, at most", self.space_group, "P1 (1)", False))
        return rows


@checked
def crystallinity(
    frames: Atoms | Sequence[Atoms],
    *,
    supercell: Supercell | None = None,
    anion: str | None = None,
    crystal_limit: Fraction = CRYSTAL_LIMIT,
    start: Atoms | None = None,
    melted: bool | None = None,
) -> Crystallinity:
    r"""Judge whether a structure is amorphous; best at a minimum of its energy, as thermal motion hides small crystals.

    Parameters
    ----------
    frames
        A structure, or frames of a melt to average over (at least ten say something).
    supercell
        The rocksalt supercell it came from: three integers, or a matrix whose rows are the cell vectors in conventional
        cells. Without it ``atoms.info["supercell"]`` counts.
    anion
        The anion, "O" or "O2-". Without it the negative ``oxidation_states`` decide, else the elements; where these are
        no anions, all atoms are judged as one sublattice.
    crystal_limit
        Crystal fraction from which a structure counts as partly crystalline.
    start
        The structure before the melt, its atoms in the same order, for (c); frames must be unwrapped (:func:`unwrap`).
    melted
        Whether the melt that the structure was quenched from passed criterion (c), where that is known.

    Raises
    ------
    ValueError
        No frames; an anion that is not in the cell; a supercell that does not fit the number of atoms; a start with
        other atoms.

    Notes
    -----
    *Crystalline*: a symmetry above P1, or I/N² or the solid share from 0.5 on. *Partly crystalline*: it never melted;
    I/N² above its limit; or ten solid anions or more in one cluster and a crystal fraction from `crystal_limit` on.
    *Cannot exclude a crystal*: none of these, in fewer than 50 anions. *Amorphous with embryo*: the largest cluster has
    five solid anions or more (one more for every doubling of the anions above 300). *Amorphous*: all else. The module
    says what each figure is.

    Examples
    --------
    >>> from ase.build import bulk
    >>> crystallinity(bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2), supercell=(2, 2, 2)).verdict
    'crystalline'
    """
    images = _checked_frames(frames)
    anions = _anions(images[0], anion)
    matrix = _parent(images[0], supercell)
    parent_order = None if matrix is None else float(np.mean([measures.parent_order(one, matrix) for one in images]))
    return _judged(images, anions, parent_order, _melting(start, melted, images), crystal_limit)


_Melting = tuple[bool | None, dict[str, float] | None, dict[str, float] | None]


def _melting(start: Atoms | None, melted: bool | None, images: list[Atoms]) -> _Melting:
    """Judge criterion (c), where the start is known; with the displacements that it found and needs."""
    if start is None:
        return melted, None, None
    if melted is not None:
        raise ValueError(f"melted = {melted} beside a start structure: (c) is judged from the start; give only one")
    origin = periodic_atoms(start)
    _check_same_atoms(origin, images[0])
    moved, needed = measures.displacements(origin, images)
    return all(moved[species] >= needed[species] for species in moved), moved, needed


def _judged(
    images: list[Atoms], anions: tuple[str, ...], parent_order: float | None, melting: _Melting, crystal_limit: float
) -> Crystallinity:
    """Measure what the verdict rests on, and give it."""
    melted, moved, needed = melting
    cells = without_repetition(images)
    atoms = cells[0]
    judged = np.isin(np.array(atoms.symbols), anions) if anions else np.ones(len(atoms), dtype=bool)
    solid = [measures.solid_cluster(cell[judged]) for cell in cells]
    peak = strongest(bragg_peaks(cells, judged))
    n, cluster = int(judged.sum()), float(np.mean([one.cluster for one in solid]))
    found = Crystallinity(
        verdict="amorphous",
        reason="",
        parent_order=parent_order,
        parent_order_limit=0.02 + 5.0 / len(atoms),
        bragg_peak=peak.intensity,
        bragg_peak_limit=peak.limit,
        solid_share=float(np.mean([one.share for one in solid])),
        melted=melted,
        mean_square_displacement=moved,
        required_displacement=needed,
        space_group=space_group(atoms) if len(atoms) <= SYMMETRY_ATOMS else None,
        anions=anions,
        n_frames=len(images),
        bragg_peak_of=peak.name,
        solid_cluster=cluster,
        crystal_fraction=float(np.mean([one.crystal for one in solid])),
        crystal_fraction_sd=SPREAD / math.sqrt(n),
        crystal_limit=crystal_limit,
        smallest_visible_crystal=min(1.0, VISIBLE / n),
        n_judged=n,
    )
    verdict = _verdict(found)
    return replace(found, verdict=verdict, reason=_reason(verdict, found))


def _verdict(found: Crystallinity) -> Verdict:
    """Judge the figures."""
    n, cluster = found.n_judged or 0, found.solid_cluster or 0.0
    order = [(found.parent_order, found.parent_order_limit), (found.bragg_peak, found.bragg_peak_limit)]
    above = [value for value, limit in order if value is not None and _holds(value, limit) is False]
    if found.space_group is not None or max([found.solid_share, *above]) >= CRYSTALLINE:
        return "crystalline"
    if above or found._has_crystallite or found.melted is False:
        return "partly crystalline"
    if n < FEWEST:
        return "cannot exclude a crystal"
    fewest, among = EMBRYO
    return "amorphous with embryo" if cluster >= fewest + max(0.0, math.log2(n / among)) else "amorphous"


def _reason(verdict: Verdict, found: Crystallinity) -> str:
    """Say what decided."""
    what = "anions" if found.anions else "atoms (no anions: all are one sublattice)"
    if found.space_group is not None:
        return f"the cell has the symmetry {found.space_group}: it is a crystal"
    said = [
        f"largest cluster of solid {what} {found.solid_cluster:.3g} of {found.n_judged}, "
        f"crystal fraction {found.crystal_fraction:.2f} ± {found.crystal_fraction_sd:.2f} "
        f"(partly crystalline from {found.crystal_limit:g} in a cluster of {CRYSTALLITE})",
        f"Bragg peak of {found.bragg_peak_of} I/N² {found.bragg_peak:.3f} ({_at_most(found.bragg_peak_limit)})",
    ]
    if found.parent_order is not None:
        said.append(f"parent order I/N² {found.parent_order:.3f} ({_at_most(found.parent_order_limit)})")
    if verdict == "crystalline":
        return (
            f"{', '.join(said)}, solid share {found.solid_share:.2f}: a share or I/N² of {CRYSTALLINE} is crystalline"
        )
    history = _history(found.melted, found.mean_square_displacement, found.required_displacement)
    size = f"a crystal of less than {100 * (found.smallest_visible_crystal or 1.0):.2g} % of the cell may not show"
    if verdict == "cannot exclude a crystal":
        size += f", and {FEWEST} are the fewest that are judged"
    return f"{', '.join(said)}; {history}; {size}"


def _holds(value: float | None, limit: float | None) -> bool | None:
    """Tell whether a value is within its limit; None where it is unknown or the limit beyond any value."""
    return None if value is None or limit is None or limit >= 1.0 else value <= limit


def _at_most(limit: float | None) -> str:
    return "undecided: the cell is too small" if limit is None or limit >= 1.0 else f"at most {limit:.3f}"


def _row(
    criterion: str, value: str | float | None, limit: str | float | None, holds: bool | None
) -> dict[str, str | float | bool | None]:
    return {"criterion": criterion, "value": value, "limit": limit, "holds": holds}


def _history(melted: bool | None, moved: Mapping[str, float] | None, needed: Mapping[str, float] | None) -> str:
    if melted is None:
        return "whether it melted is unknown without its history"
    if melted:
        return "it melted"
    if moved is None or needed is None:
        return "it never melted"
    slowest = min(moved, key=lambda species: moved[species] / needed[species])
    return f"it never melted: {slowest} moved by {moved[slowest]:.1f} of {needed[slowest]:.1f} Å²"


def _checked_frames(frames: Any) -> list[Atoms]:
    # a pymatgen structure is a sequence too, of its sites
    single = isinstance(frames, Atoms) or hasattr(frames, "lattice")
    images = [periodic_atoms(atoms) for atoms in ([frames] if single else frames)]
    if not images:
        raise ValueError("no frames to judge; give a structure or at least one frame")
    for atoms in images[1:]:
        _check_same_atoms(images[0], atoms)
    return images


def _check_same_atoms(first: Atoms, other: Atoms) -> None:
    if len(first) != len(other) or (first.numbers != other.numbers).any():
        raise ValueError(
            f"frames with different atoms, {first.symbols} and {other.symbols}; "
            f"every frame, and the start, must have the same atoms in the same order"
        )


def _anions(atoms: Atoms, anion: str | None) -> tuple[str, ...]:
    present = set(atoms.symbols)
    if anion is not None:
        element = element_of(anion)
        if element not in present:
            raise ValueError(f"no {element} in the cell, which has {', '.join(sorted(present))}; name its anion")
        return (element,)
    return tuple(sorted(set(atoms.symbols[anion_mask(atoms)])))


def _parent(atoms: Atoms, supercell: Any) -> NDArray[np.int64] | None:
    """Find the rows of the parent's supercell, or None where it is unknown or does not fit the number of atoms."""
    given = atoms.info.get("supercell") if supercell is None else supercell
    if given is None:
        return None
    try:
        values = np.asarray(given, dtype=float)
        matrix = np.diag(values) if values.shape == (3,) else values.reshape(3, 3)
    except (TypeError, ValueError):
        matrix = np.zeros((3, 3))
    cells = abs(np.linalg.det(matrix))
    fewest, most = PARENT_SITES
    # an interstitial or a lost anion or two still fit; a cell repeated since then does not
    if (matrix == np.rint(matrix)).all() and 0.95 * fewest * cells <= len(atoms) <= 1.05 * most * cells:
        return matrix.astype(np.int64)
    fault = f"supercell {np.asarray(given).tolist()} does not fit {len(atoms)} atoms"
    if supercell is not None:
        raise ValueError(f"{fault}: a rocksalt cell has {fewest} to {most} for each conventional cell; give its own")
    log.warning("%s: the parent counts as unknown", fault)
    return None
