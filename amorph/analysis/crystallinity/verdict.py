r"""Is the glass a glass? Order left from the parent crystal, crystal order of any kind, and whether it melted.

(c) *It melted*: every species' mean-square displacement is at least the square of its nearest-neighbour distance.
That distance is the mean over the species' atoms of the distance to the closest atom of any species, in `start`.
Displacements are those of fractional coordinates in the current cell, less the centre of mass: a change of the
cell's size moves nothing.

Where the parent is unknown two things stand in for (a), as (b) misses crystals whose anions are far from
close-packed, such as quartz. A cell that spglib finds symmetric within 0.1 Å is "crystalline". And in the place of
the parent's star comes the strongest *Bragg peak* of the cell: the largest I/N² at any G up to 5/Å (mean over the
frames), for the anions, the cations and all atoms, each of which may reach 0.05 + 24/n, n being their number.
Speckle alone gives S(G)/n times a logarithm of the number of G: in toy and CHGNet liquids and glasses of 64 and
216 atoms n·I/N² was at most 17.7 (0.51 for the 32 anions of a CHGNet glass). Crystals rattled by 0.15 Å per
coordinate have 0.76 or more (quartz, cristobalite, rutile, anatase, corundum, forsterite, perovskite, fluorite,
CsCl). Of fewer than about 50 anions or cations the peaks prove little and a rattled crystal may pass; name the
parent there.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.crystallinity import order as measures
from amorph.figures import Result
from amorph.parameters import Supercell, checked
from amorph.structure import anion_mask, periodic_atoms
from amorph.tables import element_of

log = logging.getLogger(__name__)

Verdict = Literal["amorphous", "partly crystalline", "crystalline"]

SOLID_SHARE_LIMIT: Final = 0.05
"""Largest share of solid anions in a disordered structure. Liquids and glasses have 0.00, half-crystals 0.3."""
CRYSTALLINE: Final = 0.5
"""Parent order or solid share from which a structure is called crystalline. Crystals at 1500 K still have 0.77."""

PARENT_SITES: Final = (4, 8)
"""Atoms per conventional rocksalt cell: from none to all of the cations."""


@dataclass(frozen=True, eq=False)
class Crystallinity(Result):
    """How crystalline a structure is, by three criteria; of several frames, the mean."""

    verdict: Verdict
    """"amorphous", "partly crystalline" or "crystalline"."""
    reason: str
    """The figures that decided, in one sentence."""
    parent_order: float | None
    """(a) I/N² of the parent's strongest star, 1 in the undisturbed crystal; None where the parent is unknown."""
    parent_order_limit: float
    """Largest I/N² of a disordered structure, 0.02 + 5/N."""
    bragg_peak: float | None
    """I/N² of the strongest Bragg peak of anions, cations or all, judged instead of (a) where the parent is unknown."""
    bragg_peak_limit: float | None
    """Largest such I/N² of a disordered structure, 0.05 + 24/n for the n atoms that scatter."""
    solid_share: float
    """(b) Share of anions whose surroundings are those of their neighbours, 1 in any crystal."""
    solid_share_limit: float
    """Largest such share of a disordered structure."""
    melted: bool | None
    """(c) Whether every species moved on by at least one neighbour; None where the history is unknown."""
    mean_square_displacement: Mapping[str, float] | None
    """Mean-square displacement of each species since the start, without the drift of the whole [Å²]."""
    required_displacement: Mapping[str, float] | None
    """Mean-square displacement that counts as molten: nearest-neighbour distance at the start, squared [Å²]."""
    space_group: str | None
    """Space group above P1 of the (first) structure within 0.1 Å; looked for only where the parent is unknown."""
    anions: tuple[str, ...]
    """Elements of the anion sublattice."""
    n_frames: int
    """Number of frames averaged."""

    @property
    def is_disordered(self) -> bool:
        """Whether (a), or the Bragg peaks in its stead, and (b) hold: no crystal is left, in a melt or in a glass."""
        holds = self._parent_order_holds is not False and self._bragg_peak_holds is not False
        return holds and self.solid_share <= self.solid_share_limit and self.space_group is None

    @property
    def _parent_order_holds(self) -> bool | None:
        return None if self.parent_order is None else self.parent_order <= self.parent_order_limit

    @property
    def _bragg_peak_holds(self) -> bool | None:
        if self.bragg_peak is None or self.bragg_peak_limit is None:
            return None
        return self.bragg_peak <= self.bragg_peak_limit

    def table(self) -> list[dict[str, str | float | bool | None]]:
        """Give one row per criterion; what is unknown is None."""
        rows: list[dict[str, str | float | bool | None]] = [
            _row(
                "(a) parent order I/N², at most", self.parent_order, self.parent_order_limit, self._parent_order_holds
            ),
            _row(
                "(b) solid share of the anions, at most",
                self.solid_share,
                self.solid_share_limit,
                self.solid_share <= self.solid_share_limit,
            ),
        ]
        if self._bragg_peak_holds is not None:
            name = "(a) without the parent: strongest Bragg peak I/N², at most"
            rows.insert(1, _row(name, self.bragg_peak, self.bragg_peak_limit, self._bragg_peak_holds))
        if self.space_group is not None:
            rows.append(_row("symmetry of the cell, at most", self.space_group, "P1 (1)", False))
        if self.mean_square_displacement is None or self.required_displacement is None:
            rows.append(_row("(c) it melted", None, None, self.melted))
            return rows
        for species, moved in self.mean_square_displacement.items():
            needed = self.required_displacement[species]
            name = f"(c) mean-square displacement of {species} [Å²], at least"
            rows.append(_row(name, moved, needed, moved >= needed))
        return rows


@checked
def crystallinity(
    frames: Atoms | Sequence[Atoms],
    *,
    supercell: Supercell | None = None,
    anion: str | None = None,
    start: Atoms | None = None,
    melted: bool | None = None,
) -> Crystallinity:
    r"""Judge whether a structure is amorphous.

    Parameters
    ----------
    frames
        A structure, or frames of a melt to average over (at least ten say something).
    supercell
        The rocksalt supercell it came from: three integers, or a matrix whose rows are the cell vectors in conventional
        cells. Without it ``atoms.info["supercell"]`` counts.
    anion
        The anion, "O" or "O2-". Without it the negative ``oxidation_states`` decide, else the elements.
    start
        The structure before the melt, its atoms in the same order, for (c); frames must be unwrapped (:func:`unwrap`).
    melted
        Whether the melt that the structure was quenched from passed criterion (c), where that is known.

    Raises
    ------
    ValueError
        No frames; no anion in the cell; a supercell that does not fit the number of atoms; a start with other atoms.

    Notes
    -----
    (a) *Parent order*: :math:`I/N^2 = |\sum_j \exp(i G \cdot r_j)|^2 / N^2` over all atoms in the current cell, mean
    over {200} of the parent, at most :math:`0.02 + 5/N`.

    (b) *Any crystal order, however turned*: the share of anions of which at least 9 of the 12 nearest anions (of those
    tied for the twelfth place all, and three quarters) have a normalised :math:`q_6 \cdot q_6^*` above 0.5 is at most
    0.05. This sees close-packed and nearly close-packed anions at any temperature (rocksalt, spinel, wurtzite, rutile,
    corundum); in fluorite, whose anions are simple cubic, thermal motion of 0.2 Å already hides the crystal.

    (c) *It melted*: every species moved on by at least one neighbour; for it, and an unknown parent, see the module.

    "Amorphous" needs (a), (b) and, where known, (c). I/N² or a solid share from 0.5 on is "crystalline", all else
    "partly crystalline".

    Examples
    --------
    >>> from ase.build import bulk
    >>> crystallinity(bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2), supercell=(2, 2, 2)).verdict
    'crystalline'
    """
    first, *_ = images = _checked_frames(frames)
    anions = _anions(first, anion)
    matrix = _parent(first, supercell)
    space_group = _space_group(first) if matrix is None else None
    limit = 0.02 + 5.0 / len(first)
    parent_order = bragg_peak = bragg_limit = None
    if matrix is not None:
        order = parent_order = float(np.mean([measures.parent_order(atoms, matrix) for atoms in images]))
    else:
        order, _ = bragg_peak, bragg_limit = measures.bragg_peak(images, anions)
    solid_share = float(np.mean([measures.solid_share(atoms, anions) for atoms in images]))
    melted, moved, needed = melting = _melting(start, melted, images)
    verdict, reason = _judged(space_group, matrix is not None, order, bragg_limit or limit, solid_share, melting)
    return Crystallinity(
        verdict=verdict,
        reason=reason,
        parent_order=parent_order,
        parent_order_limit=limit,
        bragg_peak=bragg_peak,
        bragg_peak_limit=bragg_limit,
        solid_share=solid_share,
        solid_share_limit=SOLID_SHARE_LIMIT,
        melted=melted,
        mean_square_displacement=moved,
        required_displacement=needed,
        space_group=space_group,
        anions=anions,
        n_frames=len(images),
    )


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


def _row(
    criterion: str, value: str | float | None, limit: str | float | None, holds: bool | None
) -> dict[str, str | float | bool | None]:
    return {"criterion": criterion, "value": value, "limit": limit, "holds": holds}


def _judged(
    space_group: str | None,
    is_parent_known: bool,
    order: float,
    limit: float,
    solid_share: float,
    melting: _Melting,
) -> tuple[Verdict, str]:
    """Give the verdict and its reason."""
    if space_group is not None:
        reason = f"the parent cell is unknown, and the cell has the symmetry {space_group}: it is a crystal"
        return "crystalline", reason
    verdict = _verdict(order, limit, solid_share, melting[0])
    known = "" if is_parent_known else "the parent cell is unknown, strongest Bragg peak "
    return verdict, _reason(verdict, f"{known}I/N² {order:.3f}", limit, solid_share, _history(*melting))


def _verdict(order: float, limit: float, solid_share: float, melted: bool | None) -> Verdict:
    # In a cell of few atoms chance alone may give 0.5.
    if order >= max(CRYSTALLINE, limit) or solid_share >= CRYSTALLINE:
        return "crystalline"
    if order <= limit and solid_share <= SOLID_SHARE_LIMIT and melted is not False:
        return "amorphous"
    return "partly crystalline"


def _reason(verdict: Verdict, order: str, limit: float, solid_share: float, history: str) -> str:
    if verdict == "crystalline":
        rule = f"either at {CRYSTALLINE}" if limit <= CRYSTALLINE else f"{limit:.2f} or {CRYSTALLINE}"
        return f"{order}, solid share {solid_share:.2f}: {rule} or above is crystalline"
    return f"{order} (at most {limit:.3f}), solid share {solid_share:.2f} (at most {SOLID_SHARE_LIMIT}); {history}"


def _history(melted: bool | None, moved: Mapping[str, float] | None, needed: Mapping[str, float] | None) -> str:
    if melted is None:
        return "whether it melted is unknown without its history"
    if melted:
        return "it melted"
    if moved is None or needed is None:
        return "it never melted"
    slowest = min(moved, key=lambda species: moved[species] / needed[species])
    return f"it never melted: {slowest} moved by {moved[slowest]:.1f} of {needed[slowest]:.1f} Å²"


def _space_group(atoms: Atoms) -> str | None:
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        # spglib 2 announces on every call that version 3 will raise where it now returns None; both are met here
        warnings.filterwarnings("ignore", message="Set OLD_ERROR_HANDLING", category=DeprecationWarning)
        try:
            found = spglib.get_spacegroup(cell, symprec=0.1)
        except spglib.SpglibError:
            found = None
    return None if found is None or found.endswith("(1)") else str(found)


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
    found = set(atoms.symbols[anion_mask(atoms)])
    if not found:
        raise ValueError(f"no anion in the cell, which has {', '.join(sorted(present))}; name one with anion = ...")
    return tuple(sorted(found))


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
