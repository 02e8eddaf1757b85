"""Ordered cells of a crystal whose sites are shared or partly empty."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Count, Length, Rng, Supercell, checked, generator_of
from amorph.structure.anions import anion_charges
from amorph.structure.atoms import periodic_atoms
from amorph.structure.cells import supercell_matrix
from amorph.structure.choices import Choice, choices_of, rounded, with_states
from amorph.structure.disorder import DisorderedCrystal, Share
from amorph.structure.oxidation_states import states_by_occupancy
from amorph.structure.pairs import pair_list

_ATTEMPTS: Final = 200
"""Arrangements tried before it is said that none keeps close sites apart."""
_MOST_SITES: Final = 4000
"""Sites of a cell between which Coulomb energies are summed; their matrix takes 130 MB."""


@dataclass(frozen=True, eq=False)
class OrderedCells(Result):
    """Ordered cells of a disordered crystal, with the same counts in each."""

    cells: tuple[Atoms, ...]
    """The cells; with oxidation states where all are given. Formal ones are for who reads a cell to find again."""
    formula: str
    """Content of a cell."""
    fractions: dict[str, float]
    """Number of each element that the occupancies ask for, before rounding."""
    charges: str
    """Where the oxidation states come from, or why there are none."""
    charge_of_file: float | None
    """Charge of the cell by the occupancies [e]; None where oxidation states are not known."""
    charge: float | None
    """Charge of every ordered cell [e]."""
    coulomb_energies_eV: tuple[float, ...] | None
    """Coulomb energy of each cell [eV], formal charges in vacuum; None where cells are taken at random."""
    _large: ClassVar[frozenset[str]] = frozenset({"cells"})

    def table(self) -> list[dict[str, Any]]:
        """Give the elements: what the occupancies ask for, and what a cell has."""
        counts = self.cells[0].symbols.formula.count()
        return [
            {"element": element, "by occupancy": number, "in the cell": int(counts.get(element, 0))}
            for element, number in self.fractions.items()
        ]


@checked
def ordered_cells(
    crystal: DisorderedCrystal,
    *,
    supercell: Supercell = (1, 1, 1),
    number: Count = 1,
    trials: Count = 1,
    closest: Length = 1.0,
    oxidation_states: Mapping[str, float] | None = None,
    rng: Rng,
) -> OrderedCells:
    r"""Make ordered cells from partial occupancies: whole atoms, at random or with little Coulomb energy.

    Parameters
    ----------
    crystal
        Average content of a cell.
    supercell
        Cells along each axis, or an integer matrix whose rows are the lattice vectors in cells.
    number
        Ordered cells to make.
    trials
        Random arrangements of which the one with the lowest Coulomb energy is taken for each cell; 1 takes any.
    closest
        Distance below which two partly occupied sites are never both filled, as where an atom is split in two [Å].
    oxidation_states
        States of elements [e], as in Ni=3; by default those of the file. What has none is given formal ones, balanced
        by the occupancies.
    rng
        Random generator, or its seed.

    Returns
    -------
    OrderedCells
        The cells, what was rounded, and the charge before and after.

    Raises
    ------
    ValueError
        No arrangement keeps close sites apart; the Coulomb energy is asked for and no oxidation states are known.

    Notes
    -----
    The groups of an assembly of disorder exclude each other: every place gets one of them, with all its atoms, or none.

    Rows of one place each with the same species, as a file in P 1 has them, are one site. The number of each species on
    each site of the file, and that of its empty places, is rounded down or up. Of these choices those are taken whose
    charge is nearest to the one by occupancy, and of them the one with the least squared change of the numbers, which
    is the method of largest remainders.

    The Coulomb energy is the Ewald sum of the oxidation states,
    :math:`E = \sum_{ij} q_i q_j M_{ij}`, the matrix M summed once for all sites.
    """
    rng = generator_of(rng)
    matrix = supercell_matrix(supercell)
    states = oxidation_states or {}
    choices = choices_of(crystal, states)
    elements = {share.element for choice in choices for shares in choice.alternatives for share in shares}
    if strangers := set(states) - elements:
        raise ValueError(f"oxidation_states names {', '.join(sorted(strangers))}, which the crystal does not hold")
    draft = _Draft(choices, crystal.cell, matrix, closest)
    draft, told, is_given = _stated_whole(draft, states, required=trials > 1)
    charges, energies = None, None
    if trials > 1:
        charges, interactions = draft.charges, _ewald_matrix(draft)
    drawn: list[NDArray[np.int64]] = []
    for _ in range(number):
        tried = [draft.draw(rng) for _ in range(trials)]
        if charges is None:
            drawn += tried
            continue
        found = [float(filled @ interactions @ filled) for filled in (charges[kinds] for kinds in tried)]
        best = int(np.argmin(found))
        drawn.append(tried[best])
        energies = (*(energies or ()), found[best])
    cells = tuple(periodic_atoms(draft.atoms(kinds)) for kinds in drawn)
    if is_given:
        for cell, kinds in zip(cells, drawn, strict=True):
            cell.set_array("oxidation_states", draft.charges[kinds[kinds >= 0]])
    formula = cells[0].get_chemical_formula("metal")
    return OrderedCells(cells, formula, draft.fractions(), told, draft.wanted_charge, draft.charge, energies)


def _stated_whole(draft: "_Draft", states: Mapping[str, float], *, required: bool) -> tuple["_Draft", str, bool]:
    """Give species without a state formal ones; tell where all states come from, and whether all are given.

    The arrangement whose bonds tell the anions is always the same one, and takes nothing from the seed of the cells.
    """
    named = f"by element: {' '.join(f'{e}={q:g}' for e, q in states.items())}" if states else ""
    if all(share.oxidation_state is not None for share in draft.shares):
        return draft, named or "given in the file", True
    try:
        formal, assumed = _formal_states(draft, draft.draw(np.random.default_rng(0)))
    except ValueError as error:
        if required:
            raise
        return draft, f"none: {error}", False
    told = f"{named}, the rest formal" if named else "formal: balanced by occupancy"
    return draft.with_states(formal), "; ".join([told, *assumed]), False


def _formal_states(draft: "_Draft", kinds: NDArray[np.int64]) -> tuple[list[float], list[str]]:
    """Find the state of each species: given, of the anions of an arrangement, or balanced by the occupancies.

    A species of an element that has a given state elsewhere has that.
    """
    given = {s.element: s.oxidation_state for s in draft.shares if s.oxidation_state is not None}
    anions, assumed = anion_charges(draft.atoms(kinds))
    which = kinds[kinds >= 0]
    found: list[float | None] = []
    for number, share in enumerate(draft.shares):
        state = given.get(share.element) if share.oxidation_state is None else share.oxidation_state
        own = anions[which == number]
        if state is None and own.size and own.mean() < 0:
            state = float(own.mean())
        found.append(state)
    amounts = draft.amounts
    known = [(state, amount) for state, amount in zip(found, amounts, strict=True) if state is not None]
    negative = sum(state * amount for state, amount in known if state < 0)
    if not negative:
        raise ValueError("no anion, so that no oxidation state balances; give them by element, as in Ti=4")
    unknown: dict[str, float] = {}
    for share, state, amount in zip(draft.shares, found, amounts, strict=True):
        if state is None:
            unknown[share.element] = unknown.get(share.element, 0.0) + amount
    balanced = states_by_occupancy(unknown, sum(state * amount for state, amount in known), negative) if unknown else {}
    pairs = zip(draft.shares, found, strict=True)
    return [balanced[share.element] if state is None else state for share, state in pairs], assumed


class _Draft:
    """The places of a supercell, and how many of each alternative are put on them."""

    def __init__(
        self, choices: Sequence[Choice], cell: NDArray[np.float64], matrix: NDArray[np.int64], closest: float
    ) -> None:
        self.cell = np.asarray(matrix @ cell, dtype=np.float64)
        self._matrix = matrix
        self._choices = choices
        self.shares: list[Share] = []
        self._kinds: list[list[list[int]]] = []  # of each choice and alternative, the numbers of its atoms among all
        self._atoms: list[list[list[list[int]]]] = []  # of each choice, alternative and place, where its atoms stand
        positions: list[NDArray[np.float64]] = []
        places: list[NDArray[np.int64]] = []
        partial: list[NDArray[np.bool_]] = []
        count = start = 0
        for choice in choices:
            self._kinds.append([])
            for shares in choice.alternatives:
                self._kinds[-1].append(list(range(len(self.shares), len(self.shares) + len(shares))))
                self.shares += shares
            standing = []
            for blocks in (_repeated(each, cell, matrix) for each in choice.positions):
                size, atoms = blocks.shape[:2]
                standing.append((start + np.arange(size * atoms)).reshape(size, atoms).tolist())
                start += size * atoms
                positions.append(blocks.reshape(-1, 3))
                places.append(np.repeat(count + np.arange(size), atoms))
                partial.append(np.full(size * atoms, choice.is_partial))
            self._atoms.append(standing if len(standing) > 1 else standing * len(choice.alternatives))
            count += len(standing[0])
        self.sizes = [len(standing[0]) for standing in self._atoms]
        self.positions = np.concatenate(positions)
        self._excluded = self._neighbors(np.concatenate(places), np.concatenate(partial), closest)
        self._round()

    def _round(self) -> None:
        """Round the numbers of the alternatives such that the charge stays, where the states are known."""
        choices = self._choices
        charges = [choice.charges for choice in choices]
        known = [each for each in charges if each is not None]
        is_charged = len(known) == len(choices)
        occupancies = [choice.occupancies for choice in choices]
        # an empty place is an alternative without a charge
        states = known if is_charged else [np.zeros(len(each)) for each in occupancies]
        counts = rounded(
            [np.append(each, choice.empty) for each, choice in zip(occupancies, choices, strict=True)],
            [np.append(each, 0.0) for each in states],
            self.sizes,
        )
        self._counts = [each[:-1] for each in counts]
        self.wanted_charge: float | None = None
        self.charge: float | None = None
        if is_charged:
            wanted = [each * size for each, size in zip(occupancies, self.sizes, strict=True)]
            self.wanted_charge = round(float(np.concatenate(known) @ np.concatenate(wanted)), 6)
            self.charge = round(float(np.concatenate(known) @ np.concatenate(self._counts)), 6)

    def with_states(self, states: Sequence[float]) -> "_Draft":
        """Give the draft of the same places whose species have these oxidation states."""
        stated = copy.copy(self)
        stated._choices = with_states(self._choices, states)
        stated.shares = [s for choice in stated._choices for shares in choice.alternatives for s in shares]
        stated._round()
        return stated

    @property
    def amounts(self) -> list[float]:
        """Number of each species that the occupancies ask for."""
        return [
            occupancy * size
            for choice, size in zip(self._choices, self.sizes, strict=True)
            for shares, occupancy in zip(choice.alternatives, choice.occupancies.tolist(), strict=True)
            for _ in shares
        ]

    @property
    def charges(self) -> NDArray[np.float64]:
        """Charge of each species and, last, of an empty place [e]; NaN where a state is not known."""
        return np.array([*(share.oxidation_state for share in self.shares), 0.0], dtype=np.float64)

    def fractions(self) -> dict[str, float]:
        """Give the number of each element that the occupancies ask for."""
        wanted: dict[str, float] = {}
        for share, amount in zip(self.shares, self.amounts, strict=True):
            wanted[share.element] = wanted.get(share.element, 0.0) + amount
        return wanted

    def _neighbors(self, places: NDArray[np.int64], partial: NDArray[np.bool_], closest: float) -> dict[int, list[int]]:
        """List for each atom of a choice that is not full those of other places that are too near."""
        every = Atoms(np.ones(len(self.positions)), scaled_positions=self.positions, cell=self.cell, pbc=True)
        pairs = pair_list(every, max(closest, 0.5))
        near = (pairs.d < closest) & partial[pairs.i] & partial[pairs.j] & (places[pairs.i] != places[pairs.j])
        found: dict[int, list[int]] = {}
        for i, j in zip(pairs.i[near].tolist(), pairs.j[near].tolist(), strict=True):
            found.setdefault(i, []).append(j)
        return found

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the species of each atom, −1 where it is not there."""
        # places that are split closest have the least choice, and are filled first
        order = sorted(
            range(len(self._atoms)), key=lambda k: len(self._excluded.get(self._atoms[k][0][0][0], ())), reverse=True
        )
        for _ in range(_ATTEMPTS):
            kinds = np.full(len(self.positions), -1)
            blocked = bytearray(len(self.positions))
            if all(self._fill(k, kinds, blocked, rng) for k in order):
                return kinds
        raise ValueError(
            f"no arrangement in {_ATTEMPTS} keeps partly occupied sites apart as far as closest asks; give a larger "
            "supercell or a smaller distance"
        )

    def _fill(self, k: int, kinds: NDArray[np.int64], blocked: bytearray, rng: np.random.Generator) -> bool:
        """Put the alternatives of a choice on places at random; tells whether all found one."""
        left = self._counts[k].tolist()
        for place in rng.permutation(self.sizes[k]).tolist():
            for alternative, standing in enumerate(self._atoms[k]):
                atoms = standing[place]
                if left[alternative] and not any(blocked[atom] for atom in atoms):
                    left[alternative] -= 1
                    kinds[atoms] = self._kinds[k][alternative]
                    for atom in atoms:
                        for other in self._excluded.get(atom, ()):
                            blocked[other] = 1
                    break
        return not any(left)

    def atoms(self, kinds: NDArray[np.int64]) -> Atoms:
        """Make the atoms of an arrangement."""
        shares = [self.shares[kind] for kind in kinds[kinds >= 0].tolist()]
        atoms = Atoms(
            [share.element for share in shares], scaled_positions=self.positions[kinds >= 0], cell=self.cell, pbc=True
        )
        atoms.info["supercell"] = self._matrix
        return atoms


def _repeated(blocks: NDArray[np.float64], cell: NDArray[np.float64], matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give (m, n, 3) positions of blocks of atoms in the supercell, in fractions of it; blocks stay in one piece."""
    firsts = Atoms(np.ones(len(blocks)), scaled_positions=blocks[:, 0], cell=cell, pbc=True)
    placed = np.asarray(make_supercell(firsts, matrix).get_scaled_positions())
    within = (blocks - blocks[:, :1]) @ np.linalg.inv(matrix)
    return placed[:, None] + np.tile(within, (len(placed) // len(blocks), 1, 1))


def _ewald_matrix(draft: _Draft) -> NDArray[np.float64]:
    """Sum the Coulomb energies of unit charges on all pairs of places [eV/e²]."""
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Lattice, Species, Structure

    number = len(draft.positions)
    if number > _MOST_SITES:
        raise ValueError(
            f"the cell has {number} sites, and Coulomb energies are summed between at most {_MOST_SITES}; give a "
            "smaller supercell, or trials = 1 for cells at random"
        )
    unit = Structure(Lattice(draft.cell), [Species("H", 1)] * number, draft.positions)
    return np.asarray(EwaldSummation(unit).total_energy_matrix, dtype=np.float64)
