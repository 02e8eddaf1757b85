"""Ordered cells of a crystal whose sites are shared or partly empty."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Count, Length, Rng, Supercell, checked, generator_of
from amorph.structure.atoms import periodic_atoms
from amorph.structure.cells import supercell_matrix
from amorph.structure.disorder import DisorderedCrystal, Share, SharedSite
from amorph.structure.oxidation_states import resolve_oxidation_states
from amorph.structure.pairs import pair_list

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
    Rows of one place each with the same species, as a file in P 1 has them, are one site. The number of each species on
    each site of the file is rounded down or up such that the sites stay as full as the
    occupancies say. Of these choices those are taken whose charge is nearest to the one by occupancy, and of them the
    one with the least squared change of the numbers, which is the method of largest remainders.

    The Coulomb energy is the Ewald sum of the oxidation states,
    :math:`E = \sum_{ij} q_i q_j M_{ij}`, the matrix M summed once for all sites.
    """
    rng = generator_of(rng)
    matrix = supercell_matrix(supercell)
    sites = _pooled([_stated(site, oxidation_states or {}) for site in crystal.sites])
    strangers = set(oxidation_states or {}) - {share.element for site in sites for share in site.shares}
    if strangers:
        raise ValueError(f"oxidation_states names {', '.join(sorted(strangers))}, which the crystal does not hold")
    draft = _Draft(sites, crystal.cell, matrix, closest)
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
    wanted: dict[str, float] = {}
    for site, positions in zip(sites, draft.places, strict=True):
        for share in site.shares:
            wanted[share.element] = wanted.get(share.element, 0.0) + share.occupancy * len(positions)
    return OrderedCells(
        cells, cells[0].get_chemical_formula("metal"), wanted, draft.wanted_charge, draft.charge, energies
    )


def _stated(site: SharedSite, states: Mapping[str, float]) -> SharedSite:
    """Give the species of a site the oxidation states that were asked for."""
    shares = (replace(share, oxidation_state=states.get(share.element, share.oxidation_state)) for share in site.shares)
    return replace(site, shares=tuple(shares))


def _pooled(sites: Sequence[SharedSite]) -> list[SharedSite]:
    """Take rows of one place each with the same species for one site: a file in P 1 writes every copy out."""
    pools: dict[object, list[SharedSite]] = {}
    for number, site in enumerate(sites):
        species = tuple((share.element, share.occupancy, share.oxidation_state) for share in site.shares)
        pools.setdefault(species if len(site.positions) == 1 else number, []).append(site)
    return [replace(pool[0], positions=np.concatenate([site.positions for site in pool])) for pool in pools.values()]


class _Draft:
    """The sites of a supercell, and how many of each species are put on them."""

    def __init__(
        self, sites: Sequence[SharedSite], cell: NDArray[np.float64], matrix: NDArray[np.int64], closest: float
    ) -> None:
        self.cell = np.asarray(matrix @ cell, dtype=np.float64)
        self._matrix = matrix
        self.shares: list[Share] = []
        self._kinds: list[list[int]] = []  # of each site, the indices of its species among all
        for site in sites:
            self._kinds.append(list(range(len(self.shares), len(self.shares) + len(site.shares))))
            self.shares += site.shares
        self.places = [_repeated(site.positions, cell, matrix) for site in sites]
        sizes = [len(positions) for positions in self.places]
        self._counts = _rounded(sites, sizes)
        states = [share.oxidation_state for share in self.shares]
        self.wanted_charge: float | None = None
        self.charge: float | None = None
        if None not in states:
            known = np.array(states, dtype=np.float64)
            wanted = np.concatenate(
                [[s.occupancy * size for s in site.shares] for site, size in zip(sites, sizes, strict=True)]
            )
            self.wanted_charge = round(float(known @ wanted), 6)
            self.charge = round(float(known @ np.concatenate(self._counts)), 6)
        self.owner = np.repeat(np.arange(len(sites)), sizes)
        self.positions = np.concatenate(self.places)
        self._excluded = self._neighbors(sites, closest)

    def _neighbors(self, sites: Sequence[SharedSite], closest: float) -> dict[int, list[int]]:
        """List for each place of a site that is not full the others of such sites that are too near."""
        empty = np.array([site.occupancy < 1.0 - 1e-3 for site in sites])
        every = Atoms(np.ones(len(self.positions)), scaled_positions=self.positions, cell=self.cell, pbc=True)
        pairs = pair_list(every, max(closest, 0.5))
        near = (pairs.d < closest) & empty[self.owner[pairs.i]] & empty[self.owner[pairs.j]] & (pairs.i != pairs.j)
        found: dict[int, list[int]] = {}
        for i, j in zip(pairs.i[near].tolist(), pairs.j[near].tolist(), strict=True):
            found.setdefault(i, []).append(j)
        return found

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the species on each place, −1 where it stays empty."""
        starts = np.concatenate([[0], np.cumsum([len(positions) for positions in self.places])])
        for _ in range(_ATTEMPTS):
            kinds = np.full(len(self.positions), -1)
            blocked = np.zeros(len(self.positions), dtype=bool)
            # sites that are split closest have the least choice, and are filled first
            for k in sorted(
                range(len(self.places)), key=lambda k: len(self._excluded.get(int(starts[k]), ())), reverse=True
            ):
                species = np.repeat(self._kinds[k], self._counts[k])
                filled: list[int] = []
                for place in (starts[k] + rng.permutation(len(self.places[k]))).tolist():
                    if len(filled) == len(species):
                        break
                    if not blocked[place]:
                        filled.append(place)
                        blocked[self._excluded.get(place, [])] = True
                if len(filled) < len(species):
                    break
                kinds[filled] = species
            else:
                return kinds
        raise ValueError(
            f"no arrangement in {_ATTEMPTS} keeps partly occupied sites apart as far as closest asks; give a larger "
            "supercell or a smaller distance"
        )

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


def _repeated(
    positions: NDArray[np.float64], cell: NDArray[np.float64], matrix: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Give the positions of a site in the supercell, in fractions of it."""
    site = Atoms(np.ones(len(positions)), scaled_positions=positions, cell=cell, pbc=True)
    return np.asarray(make_supercell(site, matrix).get_scaled_positions())


def _rounded(sites: Sequence[SharedSite], sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """Round the numbers of species on all sites, by the rule in the notes of :func:`ordered_cells`."""
    known = all(share.oxidation_state is not None for site in sites for share in site.shares)
    target = 0.0
    reached: dict[float, tuple[float, tuple[NDArray[np.int64], ...]]] = {0.0: (0.0, ())}
    for site, size in zip(sites, sizes, strict=True):
        exact = np.array([share.occupancy * size for share in site.shares])
        states = np.array([share.oxidation_state if known else 0.0 for share in site.shares], dtype=np.float64)
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
