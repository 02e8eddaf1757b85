"""Ion exchange in a periodic structure: A+ → ½ M2+ + ½ vacancy, and any other rule of charges."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from amorph.figures import Result
from amorph.parameters import Count, Fraction, NonNegativeLength, Rng, checked, generator_of
from amorph.structure import pair_list, periodic_atoms
from amorph.tables import Ion, parse_ion

_ATTEMPTS = 50
"""Attempts at placing ions a minimum distance apart: as many in random order, then first where fewest are near."""
_EPSILON = 1e-6
"""Length by which two ions may miss the minimum distance by rounding [Å]."""


@dataclass(frozen=True, eq=False)
class Substituted(Result):
    """A structure after ion exchange and the book-keeping of the exchange."""

    atoms: Atoms
    """The exchanged structure: the input's order, new ions in place, vacant sites left out."""
    ion: str
    """The ion that was exchanged."""
    by: str | None
    """The ion that replaced it; None for plain removal."""
    replaced: NDArray[np.int64]
    """(n_new,) indices of the input whose ion was replaced by a new one, ascending."""
    removed: NDArray[np.int64]
    """(n_vacancies,) indices of the input whose ion was removed, ascending."""
    vacancy_positions: NDArray[np.float64]
    """(n_vacancies, 3) positions of the vacancies [Å]."""
    n_available: int
    """Number of ions of the exchanged kind in the input."""
    n_kept: int
    """Number of them that stay."""
    n_new: int
    """Number of new ions."""
    n_vacancies: int
    """Number of vacancies."""
    charge_before: float
    """Charge of the cell before the exchange [e]; taken as zero where the input has no oxidation states."""
    charge_change: float
    """Charge that the exchange adds to the cell [e]."""
    residual_charge: float
    """Charge of the cell after the exchange [e]."""
    charge_assumed: bool
    """Whether the input had no oxidation states, so that its charge was taken as zero."""
    formula: str
    """Formula of the exchanged cell."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms"})

    def figures(self) -> dict[str, Any]:
        """Give every figure, and the number of atoms."""
        return super().figures() | {"atoms": len(self.atoms)}

    def table(self) -> list[dict[str, str | int | float]]:
        """List what became of the ions and the charge that each row brings to the cell [e]."""
        old = parse_ion(self.ion).charge
        rows: list[dict[str, str | int | float]] = [
            {"species": f"{self.ion} kept", "count": self.n_kept, "charge": self.n_kept * old},
            {"species": f"{self.ion} taken out", "count": self.n_new + self.n_vacancies, "charge": 0},
        ]
        if self.by is not None:
            new = parse_ion(self.by).charge
            rows.append({"species": f"{self.by} put in", "count": self.n_new, "charge": self.n_new * new})
        rows.append({"species": "vacancy", "count": self.n_vacancies, "charge": 0})
        rows.append({"species": "cell", "count": len(self.atoms), "charge": self.residual_charge})
        return rows


@checked
def substitute(
    atoms: Atoms,
    *,
    ion: str = "Li+",
    by: str | None = "Mg2+",
    fraction: Fraction = 1.0,
    minimum_distance: NonNegativeLength = 0.0,
    rng: Rng,
) -> Substituted:
    r"""Exchange ions at random so that the charge that leaves is the charge that comes.

    Parameters
    ----------
    atoms
        Periodic structure. With oxidation states, only atoms of the ion's own state are exchanged. Its velocities,
        magnetic moments and calculator results are dropped; ``info["supercell"]`` is kept.
    ion
        Ion to take out, as in ``Li+``.
    by
        Ion to put in on some of the freed sites, as in ``Mg2+``; ``vacancy`` only removes.
    fraction
        Share of the ions to take out.
    minimum_distance
        Least distance between two new ions, periodic images included [Å].
    rng
        Random generator that chooses the sites, or its seed.

    Raises
    ------
    ValueError
        There is no such ion; the fraction is less than one ion, or than the charge of one new ion; the new ion has the
        smaller charge (more of them than freed sites) or one of the other sign; no arrangement keeps the minimum
        distance.

    Notes
    -----
    With N ions of charge q to be exchanged for ions of charge q', k = fraction·N are taken out and
    :math:`m = k\,q/q'` put in, so that k − m sites stay vacant. Where k or m is no whole number, the whole numbers
    next to it that leave the cell closest to neutral are chosen; of equals those closest to fraction·N, then the
    smallest m. A cell without oxidation states is taken as neutral before the exchange.

    Examples
    --------
    >>> from amorph.rocksalt import build
    >>> rng = np.random.default_rng(0)
    >>> oxide = build("Li2Ti1/3Mo2/3O3", supercell=(5, 5, 5), lattice_constant=4.15, rng=rng)
    >>> exchanged = substitute(oxide.atoms, rng=rng)
    >>> exchanged.n_new, exchanged.n_vacancies, len(exchanged.atoms), exchanged.residual_charge
    (166, 167, 833, 0.0)
    """
    atoms, rng = periodic_atoms(atoms), generator_of(rng)
    old, new = _ions(ion, by)
    sites = _sites(atoms, old)
    states = atoms.arrays.get("oxidation_states")
    charge_before = 0.0 if states is None else float(states.sum())
    n_out, n_new = _numbers(len(sites), fraction, old, new, charge_before)
    replaced = _choose(atoms, sites, n_new, minimum_distance, str(by), rng)
    removed = np.sort(rng.permutation(np.setdiff1d(sites, replaced))[: n_out - n_new])
    if len(removed) == len(atoms):
        raise ValueError(f"taking out all {len(sites)} {old} leaves no atoms; lower fraction (now {fraction:g})")
    exchanged = _exchanged(atoms, new, replaced, removed)
    change = float((new.charge * n_new if new else 0) - old.charge * n_out)
    return Substituted(
        atoms=exchanged,
        ion=old.name,
        by=None if new is None else new.name,
        replaced=replaced,
        removed=removed,
        vacancy_positions=atoms.positions[removed],
        n_available=len(sites),
        n_kept=len(sites) - n_out,
        n_new=n_new,
        n_vacancies=n_out - n_new,
        charge_before=charge_before,
        charge_change=change,
        residual_charge=charge_before + change,
        charge_assumed=states is None,
        formula=exchanged.get_chemical_formula("metal"),
    )


def _exchanged(atoms: Atoms, new: Ion | None, replaced: NDArray[np.int64], removed: NDArray[np.int64]) -> Atoms:
    kept = np.setdiff1d(np.arange(len(atoms)), removed)
    states = atoms.arrays.get("oxidation_states")
    numbers = atoms.numbers.copy()
    if new is not None:
        numbers[replaced] = atomic_numbers[new.element]
    exchanged = Atoms(numbers[kept], positions=atoms.positions[kept], cell=atoms.cell, pbc=True)
    if states is not None:
        changed = states.astype(np.float64)
        if new is not None:
            changed[replaced] = new.charge
        exchanged.set_array("oxidation_states", changed[kept])
    if "supercell" in atoms.info:
        exchanged.info["supercell"] = np.array(atoms.info["supercell"])
    return exchanged


@checked
def substitute_replicas(
    atoms: Atoms,
    replicas: Count,
    *,
    ion: str = "Li+",
    by: str | None = "Mg2+",
    fraction: Fraction = 1.0,
    minimum_distance: NonNegativeLength = 0.0,
    rng: Rng,
) -> list[Substituted]:
    """Exchange ions in several independent ways; the parameters are those of :func:`substitute`.

    The first n of many replicas are the n replicas made from the same seed.
    """
    return [
        substitute(atoms, ion=ion, by=by, fraction=fraction, minimum_distance=minimum_distance, rng=child)
        for child in generator_of(rng).spawn(replicas)
    ]


def _ions(ion: str, by: str | None) -> tuple[Ion, Ion | None]:
    """Read the ion that goes and the one that comes, none for vacancies, and refuse charges that do not fit."""
    old = parse_ion(ion)
    if by is None or by.strip().lower() == "vacancy":
        return old, None
    new = parse_ion(by)
    if new == old:
        raise ValueError(f"{old} is to be replaced by itself; give another ion")
    if old.charge * new.charge < 0:
        raise ValueError(f"cannot replace {old} by {new}: the charges have different signs; give an ion of like charge")
    if abs(new.charge) < abs(old.charge):
        raise ValueError(
            f"cannot replace {old} by {new}: each {old} needs {old.charge / new.charge:g} {new}, "
            f"more ions than freed sites; give an ion of at least {abs(old.charge)} e"
        )
    return old, new


def _sites(atoms: Atoms, ion: Ion) -> NDArray[np.int64]:
    """Find the atoms of an ion: of its element and, where states are known, of its charge."""
    of_element = atoms.numbers == atomic_numbers[ion.element]
    if not of_element.any():
        raise ValueError(f"no {ion.element} in {atoms.get_chemical_formula('metal')}; name an ion that is there")
    states = atoms.arrays.get("oxidation_states")
    if states is None:
        return np.flatnonzero(of_element)
    sites = np.flatnonzero(of_element & (np.abs(states - ion.charge) < 1e-3))
    if not len(sites):
        found = ", ".join(f"{state:+g}" for state in np.unique(states[of_element]))
        raise ValueError(f"no {ion} in the structure: its {ion.element} have the oxidation states {found}; name those")
    return sites


def _numbers(available: int, fraction: float, old: Ion, new: Ion | None, charge: float) -> tuple[int, int]:
    """Choose how many ions go and how many come, by the rule in the notes of :func:`substitute`."""
    wanted = fraction * available
    if wanted == 0:
        return 0, 0
    if wanted < 0.5:
        raise ValueError(
            f"fraction {fraction:g} of {available} {old} is {wanted:.3g} ions, which rounds to none; "
            f"at least {0.5 / available:.3g} is needed"
        )
    # 1e-9: 0.1 of 30 is 3, whatever the last bit says
    out = [k for k in {math.floor(wanted + 1e-9), math.ceil(wanted - 1e-9)} if k > 0]
    if new is None:
        n_out = min(out, key=lambda k: (abs(charge - k * old.charge), abs(k - wanted)))
        return n_out, 0
    if max(out) * old.charge / new.charge < 0.5:
        raise ValueError(
            f"{max(out)} of {available} {old} carry less than half the charge of one {new}, so that none would come "
            f"in; at least {math.ceil(new.charge / old.charge / 2)} must go: raise fraction (now {fraction:g})"
        )
    # m = 0 would be plain removal, which nobody asked for
    choices = {(k, m) for k in out for m in (k * old.charge // new.charge, -(-k * old.charge // new.charge)) if m > 0}
    return min(
        choices,
        key=lambda c: (abs(charge - c[0] * old.charge + c[1] * new.charge), abs(c[0] - wanted), c[1]),
    )


def _choose(
    atoms: Atoms,
    sites: NDArray[np.int64],
    n_new: int,
    minimum_distance: float,
    name: str,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Choose sites at random, none closer to another than the minimum distance."""
    if minimum_distance == 0 or n_new == 0:
        return np.sort(rng.permutation(sites)[:n_new])
    # no arrangement of spheres is denser than the face-centred cubic one: n d³ / √2 ≤ V
    limit = (math.sqrt(2) * atoms.cell.volume / n_new) ** (1 / 3)
    if minimum_distance > limit + _EPSILON:
        raise ValueError(
            f"cannot place {n_new} {name} at least {minimum_distance:g} Å apart in {atoms.cell.volume:.1f} Å³: "
            f"{limit:.2f} Å is the most that any arrangement reaches; reduce minimum_distance or fraction"
        )
    pairs = pair_list(atoms[sites], minimum_distance)
    close = np.unique(np.stack([pairs.i, pairs.j])[:, pairs.d < minimum_distance - _EPSILON], axis=1)
    near = np.split(close[1], np.searchsorted(close[0], np.arange(1, len(sites))))
    most = 0
    for attempt in range(2 * _ATTEMPTS):
        chosen = _spread(near, n_new, rng, fewest_neighbors=attempt >= _ATTEMPTS)
        if len(chosen) == n_new:
            return np.sort(sites[chosen])
        most = max(most, len(chosen))
    raise ValueError(
        f"cannot place {n_new} {name} on {len(sites)} sites at least {minimum_distance:g} Å apart: "
        f"{most} is the most found in {2 * _ATTEMPTS} attempts; reduce minimum_distance or fraction"
    )


def _spread(near: list[NDArray[np.int64]], n: int, rng: np.random.Generator, *, fewest_neighbors: bool) -> list[int]:
    """Fill up to `n` sites one after the other, each not near one filled before."""
    # a site near its own image can hold no ion
    free = np.array([site not in neighbors for site, neighbors in enumerate(near)])
    degree = np.array([np.count_nonzero(free[neighbors]) for neighbors in near])
    order = rng.permutation(len(near))
    chosen: list[int] = []
    while len(chosen) < n and (candidates := order[free[order]]).size:
        # the site that blocks fewest of those still free packs closest (greedy independent set)
        site = int(candidates[np.argmin(degree[candidates])] if fewest_neighbors else candidates[0])
        chosen.append(site)
        for blocked in (site, *near[site]):
            if free[blocked]:
                free[blocked] = False
                degree[near[blocked]] -= 1
    return chosen
