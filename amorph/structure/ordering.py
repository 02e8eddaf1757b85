"""Ordered cells of a crystal whose sites are shared or partly empty."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeVar

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Count, Length, Rng, Supercell, checked, generator_of
from amorph.structure.atoms import periodic_atoms
from amorph.structure.cells import supercell_matrix
from amorph.structure.disorder import Alternative, Assembly, DisorderedCrystal, Share, SharedSite
from amorph.structure.oxidation_states import resolve_oxidation_states
from amorph.structure.pairs import pair_list

_HasShares = TypeVar("_HasShares", SharedSite, Alternative)

_ATTEMPTS: Final = 200
"""Arrangements tried before it is said that none keeps close sites apart."""
_MOST_SITES: Final = 4000
"""Sites of a cell between which Coulomb energies are summed; their matrix takes 130 MB."""


@dataclass(frozen=True, eq=False)
class OrderedCells(Result):
    """Ordered cells of a disordered crystal, with the same counts in each."""

    cells: tuple[Atoms, ...]
    """The cells; with oxidation states where they are known."""
    formula: str
    """Content of a cell."""
    fractions: dict[str, float]
    """Number of each element that the occupancies ask for, before rounding."""
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
        States of elements [e], as in Ni=3; by default those of the file, or formal ones.
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
    each site of the file is rounded down or up such that the sites stay as full as the
    occupancies say. Of these choices those are taken whose charge is nearest to the one by occupancy, and of them the
    one with the least squared change of the numbers, which is the method of largest remainders.

    The Coulomb energy is the Ewald sum of the oxidation states,
    :math:`E = \sum_{ij} q_i q_j M_{ij}`, the matrix M summed once for all sites.
    """
    rng = generator_of(rng)
    matrix = supercell_matrix(supercell)
    states = oxidation_states or {}
    choices = [_Choice.of_site(site) for site in _pooled([_stated(site, states) for site in crystal.sites])]
    assemblies = _pooled_assemblies([_stated_assembly(found, states) for found in crystal.assemblies])
    choices += [_Choice.of_assembly(found) for found in assemblies]
    elements = {share.element for choice in choices for shares in choice.alternatives for share in shares}
    if strangers := set(states) - elements:
        raise ValueError(f"oxidation_states names {', '.join(sorted(strangers))}, which the crystal does not hold")
    draft = _Draft(choices, crystal.cell, matrix, closest)
    charges, energies = None, None
    if trials > 1:
        charges = draft.charges(draft.draw(rng))
        interactions = _ewald_matrix(draft)
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
    return OrderedCells(
        cells, cells[0].get_chemical_formula("metal"), draft.fractions(), draft.wanted_charge, draft.charge, energies
    )


def _stated(found: _HasShares, states: Mapping[str, float]) -> _HasShares:
    """Give the species of a site or group the oxidation states that were asked for."""
    shares = (replace(s, oxidation_state=states.get(s.element, s.oxidation_state)) for s in found.shares)
    return replace(found, shares=tuple(shares))


def _stated_assembly(assembly: Assembly, states: Mapping[str, float]) -> Assembly:
    return replace(assembly, alternatives=tuple(_stated(each, states) for each in assembly.alternatives))


def _pooled(sites: Sequence[SharedSite]) -> list[SharedSite]:
    """Take rows of one place each with the same species for one site: a file in P 1 writes every copy out."""
    pools: dict[object, list[SharedSite]] = {}
    for number, site in enumerate(sites):
        species = tuple((share.element, share.occupancy, share.oxidation_state) for share in site.shares)
        pools.setdefault(species if len(site.positions) == 1 else number, []).append(site)
    return [replace(pool[0], positions=np.concatenate([site.positions for site in pool])) for pool in pools.values()]


def _pooled_assemblies(assemblies: Sequence[Assembly]) -> list[Assembly]:
    """Do the same with assemblies of one place each and the same groups."""
    pools: dict[object, list[Assembly]] = {}
    for number, assembly in enumerate(assemblies):
        groups = tuple(
            (each.occupancy, *((share.element, share.oxidation_state) for share in each.shares))
            for each in assembly.alternatives
        )
        is_single = all(len(each.positions) == 1 for each in assembly.alternatives)
        pools.setdefault(groups if is_single else number, []).append(assembly)
    pooled = []
    for pool in pools.values():
        together = zip(*(assembly.alternatives for assembly in pool), strict=True)
        alternatives = (
            replace(same[0], positions=np.concatenate([each.positions for each in same])) for same in together
        )
        pooled.append(replace(pool[0], alternatives=tuple(alternatives)))
    return pooled


@dataclass(frozen=True, eq=False)
class _Choice:
    """Equivalent places, each filled by one of several alternatives or by none."""

    alternatives: tuple[tuple[Share, ...], ...]
    """The atoms of each alternative: one species of a site, a group of an assembly."""
    occupancies: NDArray[np.float64]
    """Share of the places that each fills."""
    positions: tuple[NDArray[np.float64], ...]
    """(m, n, 3) fractional coordinates for each alternative; one array for all species of a site."""
    is_partial: bool
    """Whether close atoms of it exclude each other."""

    @classmethod
    def of_site(cls, site: SharedSite) -> "_Choice":
        """Take every species of a site for an alternative."""
        occupancies = np.array([share.occupancy for share in site.shares])
        alternatives = tuple((share,) for share in site.shares)
        return cls(alternatives, occupancies, (site.positions[:, None],), site.occupancy < 1.0 - 1e-3)

    @classmethod
    def of_assembly(cls, assembly: Assembly) -> "_Choice":
        """Take every group of an assembly for an alternative."""
        groups = assembly.alternatives
        occupancies = np.array([each.occupancy for each in groups])
        return cls(tuple(each.shares for each in groups), occupancies, tuple(each.positions for each in groups), True)

    @property
    def charges(self) -> NDArray[np.float64] | None:
        """Charge of each alternative [e]; None where a state is not known."""
        states = [[share.oxidation_state for share in shares] for shares in self.alternatives]
        if any(None in each for each in states):
            return None
        return np.array([sum(state for state in each if state is not None) for each in states], dtype=np.float64)


class _Draft:
    """The places of a supercell, and how many of each alternative are put on them."""

    def __init__(
        self, choices: Sequence[_Choice], cell: NDArray[np.float64], matrix: NDArray[np.int64], closest: float
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
        charges = [choice.charges for choice in choices]
        known = [each for each in charges if each is not None]
        is_charged = len(known) == len(choices)
        occupancies = [choice.occupancies for choice in choices]
        uncharged = [np.zeros(len(each)) for each in occupancies]
        self._counts = _rounded(occupancies, known if is_charged else uncharged, self.sizes)
        self.wanted_charge: float | None = None
        self.charge: float | None = None
        if is_charged:
            wanted = [each * size for each, size in zip(occupancies, self.sizes, strict=True)]
            self.wanted_charge = round(float(np.concatenate(known) @ np.concatenate(wanted)), 6)
            self.charge = round(float(np.concatenate(known) @ np.concatenate(self._counts)), 6)
        self.positions = np.concatenate(positions)
        self._excluded = self._neighbors(np.concatenate(places), np.concatenate(partial), closest)

    def fractions(self) -> dict[str, float]:
        """Give the number of each element that the occupancies ask for."""
        wanted: dict[str, float] = {}
        for choice, size in zip(self._choices, self.sizes, strict=True):
            for shares, occupancy in zip(choice.alternatives, choice.occupancies.tolist(), strict=True):
                for share in shares:
                    wanted[share.element] = wanted.get(share.element, 0.0) + occupancy * size
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
        states = [share.oxidation_state for share in shares]
        if None not in states:
            atoms.set_array("oxidation_states", np.array(states, dtype=np.float64))
        atoms.info["supercell"] = self._matrix
        return atoms

    def charges(self, kinds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the charge of each species and, last, of an empty place: of the file, else formal ones."""
        states = [share.oxidation_state for share in self.shares]
        if None in states:
            given = {s.element: s.oxidation_state for s in self.shares if s.oxidation_state is not None}
            whole = resolve_oxidation_states(self.atoms(kinds), given or "formal")[0]
            by_element = dict(zip(whole.get_chemical_symbols(), whole.arrays["oxidation_states"].tolist(), strict=True))
            states = [
                share.oxidation_state if share.oxidation_state is not None else by_element.get(share.element, 0.0)
                for share in self.shares
            ]
        return np.array([*states, 0.0], dtype=np.float64)


def _repeated(blocks: NDArray[np.float64], cell: NDArray[np.float64], matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give (m, n, 3) positions of blocks of atoms in the supercell, in fractions of it; blocks stay in one piece."""
    firsts = Atoms(np.ones(len(blocks)), scaled_positions=blocks[:, 0], cell=cell, pbc=True)
    placed = np.asarray(make_supercell(firsts, matrix).get_scaled_positions())
    within = (blocks - blocks[:, :1]) @ np.linalg.inv(matrix)
    return placed[:, None] + np.tile(within, (len(placed) // len(blocks), 1, 1))


def _rounded(
    occupancies: Sequence[NDArray[np.float64]], charges: Sequence[NDArray[np.float64]], sizes: Sequence[int]
) -> list[NDArray[np.int64]]:
    """Round the numbers of all alternatives, by the rule in the notes of :func:`ordered_cells`."""
    target = 0.0
    reached: dict[float, tuple[float, tuple[NDArray[np.int64], ...]]] = {0.0: (0.0, ())}
    for shares, states, size in zip(occupancies, charges, sizes, strict=True):
        exact = shares * size
        target += float(states @ exact)
        down = np.floor(exact + 1e-6).astype(int)
        ups = min(round(float(exact.sum())), size) - int(down.sum())
        larger: dict[float, tuple[float, tuple[NDArray[np.int64], ...]]] = {}
        for raised in itertools.combinations(range(len(exact)), max(ups, 0)):
            counts = down.copy()
            counts[list(raised)] += 1
            change = float(np.square(counts - exact).sum())
            for charge, (before, chosen) in reached.items():
                total = round(charge + float(states @ counts), 6)
                if total not in larger or before + change < larger[total][0]:
                    larger[total] = (before + change, (*chosen, counts))
        reached = larger
    best = min(reached, key=lambda charge: (round(abs(charge - target), 6), reached[charge][0]))
    return list(reached[best][1])


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
