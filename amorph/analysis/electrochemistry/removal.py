"""The voltage at which an ion leaves a structure, step by step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers
from numpy.typing import NDArray

from amorph.analysis.bvs import bond_valence_sums
from amorph.analysis.decorrelation import nearest_distances
from amorph.analysis.electrochemistry.capacities import MAH_PER_MOL, capacity_mAh_per_g
from amorph.analysis.electrochemistry.metals import METALS, metal_crystal
from amorph.analysis.grids import Task
from amorph.figures import Plottable, Result, Row
from amorph.parameters import Count, Fraction, Rng, checked, generator_of
from amorph.progress import task_of
from amorph.structure import periodic_atoms, resolve_oxidation_states
from amorph.tables import Ion, parse_ion

Pick = Literal["mean", "lowest"]
Moments = Callable[[Atoms], NDArray[np.float64]]


class Minimized(Protocol):
    """What a relaxation gives: :class:`amorph.relaxation.Relaxed` is one."""

    @property
    def atoms(self) -> Atoms:
        """Relaxed structure."""

    @property
    def energy_eV(self) -> float:
        """Its potential energy [eV]."""

    @property
    def converged(self) -> bool:
        """Whether the relaxation ended by itself."""


@dataclass(frozen=True, eq=False)
class VoltageStep(Result):
    """A structure from which some ions are removed."""

    removed: int
    """Ions removed."""
    left: int
    """Ions that are left."""
    choices: int
    """Ways to choose them that were relaxed."""
    energy_eV: float
    """Energy of the cell: mean over the choices, or the lowest of them [eV]."""
    standard_error_eV: float | None
    """Standard error of the mean [eV]; None where there is one choice, or the lowest counts."""
    volume_A3: float
    """Volume of the cell, of the same choices [Å³]."""
    volume_change: float
    """Relative to the first step."""
    voltage_V: float | None
    """Average voltage from the step before to this one [V]; None for the first."""
    voltage_standard_error_V: float | None
    """Its standard error over the choices, each followed from step to step [V]."""
    valences_vu: dict[str, float | None]
    """Mean bond valence sum of each element of the framework, cations first [v.u.], by the parameters of the first
    step's states; None where there are none. An older file has the cations alone."""
    moments_muB: dict[str, float] | None
    """Mean size of the magnetic moment of each of these elements [μB]; None where the model gives none."""
    instability_vu: float | None
    """Global instability index against the states of the first step [v.u.]; None where a pair has no parameters."""
    converged: bool
    """Whether all its relaxations converged."""
    shortest_A: dict[str, float] = field(default_factory=dict)
    """Shortest distance between two anions of each element over the choices that count [Å]: oxidized ones pair."""

    @property
    def percent(self) -> str:
        """Share of the ions that is removed, as rows name it."""
        return f"{100 * self.removed / (self.removed + self.left):.3g}"


@dataclass(frozen=True, eq=False)
class Voltage(Result, Plottable):
    """The voltage of an ion in a structure, against its metal."""

    ion: str
    pick: Pick
    """Whether a step's energy is the mean over the choices or the lowest of them."""
    steps: tuple[VoltageStep, ...]
    metal_energy_eV: float
    """Energy of an atom of the metal, relaxed by the same potential [eV]."""
    formula: str
    """Formula of the first step, the discharged cell: capacities are per mass and volume of it."""
    average_voltage_V: float
    """From the first step to the last [V]."""
    standard_error: float | None
    """Its standard error over the choices [V]; None where both ends have one choice only."""
    capacity_mAh_per_g: float
    """Charge from the first step to the last, by the mass of the first [mAh/g]."""
    capacity_mAh_per_cm3: float
    """By its relaxed volume [mAh/cm³]."""
    energy_Wh_per_kg: float
    """Average voltage times capacity, by the mass of the first step, the metal left out [Wh/kg]."""
    volume_change: float
    """From the first step to the last."""
    converged: bool
    """Whether every relaxation converged."""
    _large: ClassVar[frozenset[str]] = frozenset()

    def table(self) -> list[dict[str, Any]]:
        """One row per step."""
        rows = []
        for step in self.steps:
            row: dict[str, Any] = {
                "removed": step.removed,
                "choices": step.choices,
                "energy_eV": step.energy_eV,
                "voltage_V": step.voltage_V,
                "standard_error_V": step.voltage_standard_error_V,
                "volume_change": step.volume_change,
            }
            row |= {f"{element}_sum_vu": value for element, value in step.valences_vu.items()}
            row |= {f"{element}_moment_μB": value for element, value in (step.moments_muB or {}).items()}
            row |= {f"shortest_{element}-{element}_A": value for element, value in step.shortest_A.items()}
            rows.append(row | {"instability_vu": step.instability_vu, "converged": step.converged})
        return rows

    def rows(self) -> list[Row]:
        """Give voltage, capacity and energy, then what each step has of its own: of one alone the average says it."""
        first, *between = self.steps
        pairs = list(pairwise(self.steps)) if len(between) > 1 else []
        return [
            Row(f"average voltage of {self.ion}", self.average_voltage_V, "V"),
            *(Row(f"voltage from {a.percent} to {b.percent} % removed", b.voltage_V, "V") for a, b in pairs),
            Row("capacity", self.capacity_mAh_per_g, "mAh/g"),
            Row("volumetric capacity", self.capacity_mAh_per_cm3, "mAh/cm³"),
            Row("energy density of the cathode", self.energy_Wh_per_kg, "Wh/kg"),
            Row("volume change on removal", self.volume_change),
            *(
                Row(f"volume change from {first.percent} to {step.percent} % removed", step.volume_change)
                for step in between[:-1]
            ),
            *(row for step in self.steps for row in _of_state(step)),
        ]


def _of_state(step: VoltageStep) -> list[Row]:
    """Give what tells which element gave the charge."""
    at = f"at {step.percent} % removed"
    return [
        *(Row(f"valence sum of {element} {at}", value, "v.u.") for element, value in step.valences_vu.items()),
        *(Row(f"moment of {element} {at}", value, "μB") for element, value in (step.moments_muB or {}).items()),
        *(Row(f"shortest {element}-{element} {at}", value, "Å") for element, value in step.shortest_A.items()),
    ]


@dataclass(frozen=True, eq=False)
class _Choice:
    """One relaxed way to remove some ions."""

    atoms: Atoms
    energy_eV: float
    converged: bool


@checked
def voltage(
    atoms: Atoms,
    relax: Callable[[Atoms], Minimized],
    *,
    metal_energy_eV: float,
    ion: str = "Mg2+",
    removed: tuple[Fraction, ...] = (0.0, 0.25, 0.5, 0.75, 1.0),
    choices: Count = 3,
    pick: Pick = "mean",
    rng: Rng,
    moments: Moments | None = None,
    progress: Task | None = None,
) -> Voltage:
    r"""Remove an ion step by step, relax each step, and give the voltages between them.

    Parameters
    ----------
    atoms
        The discharged structure, all ions in.
    relax
        Relaxes a structure by the potential: ``functools.partial(amorph.relax, calculator=..., cell="free")``.
    metal_energy_eV
        Energy of an atom of the ion's metal, :func:`metal_crystal` relaxed by the same potential [eV].
    ion
        Ion that leaves, as in Mg2+ or Li+.
    removed
        Shares of the ions that are removed at the steps, rising: 0 0.5 1.
    choices
        Random ways to choose the ions of a step; each goes on from step to step. Where none or all are removed there is
        only one.
    pick
        Energy of a step: mean of the choices, or lowest of them.
    rng
        Random generator that chooses the ions, or its seed.
    moments
        Gives the magnetic moments of a structure [μB].

    Raises
    ------
    ValueError
        No such ion; shares that do not rise, or are the same number of ions; nothing would be left; no oxidation states
        balance the structure.

    Notes
    -----
    :math:`V = -[E(x_1) - E(x_2) - (x_1 - x_2) E_\mathrm{metal}] / (z (x_1 - x_2))` for :math:`x_1 > x_2` ions of charge
    z in the cell. Energies at 0 K stand for free energies; pressure times volume and entropy are left out, some
    hundredths of a volt.
    """
    rng = generator_of(rng)
    atoms = periodic_atoms(atoms)
    mobile = _ion_of_metal(ion)
    sites = np.flatnonzero(atoms.numbers == atomic_numbers[mobile.element])
    counts = _counts(sites, removed, mobile.element, len(atoms))
    atoms, _ = resolve_oxidation_states(atoms, None)
    orders = [rng.permutation(sites) for _ in range(choices)]
    table: list[list[_Choice]] = []
    total = sum(_ways(count, len(sites), choices) for count in counts)
    done = 0
    with task_of(progress)("relaxations", total) as update:
        for count in counts:
            made: list[_Choice] = []
            for order in orders[: _ways(count, len(sites), choices)]:
                start = atoms.copy()
                del start[np.sort(order[:count])]
                relaxed = relax(start)
                states = start.arrays["oxidation_states"]
                final = relaxed.atoms.copy()
                final.set_array("oxidation_states", states, dtype=np.float64)
                made.append(_Choice(final, relaxed.energy_eV, relaxed.converged))
                done += 1
                update(done, f"{count} of {len(sites)} {mobile.element} removed")
            table.append(made)
    return _result(
        atoms, mobile.name, mobile.charge, counts, table, metal_energy_eV, pick, moments, len(sites), choices
    )


def _ion_of_metal(ion: str) -> Ion:
    mobile = parse_ion(ion)
    metal_crystal(mobile.element)  # refuses ions without a metal
    if mobile.charge != (charge := METALS[mobile.element]):
        raise ValueError(f"ion = {ion} is not what {mobile.element} metal gives; name {Ion(mobile.element, charge)}")
    return mobile


def _counts(sites: NDArray[np.int64], removed: tuple[float, ...], element: str, atoms: int) -> list[int]:
    if not len(sites):
        raise ValueError(f"there is no {element} to remove; name an ion that is there")
    counts = [round(share * len(sites)) for share in removed]
    if len(counts) < 2 or any(b <= a for a, b in pairwise(counts)):
        raise ValueError(
            f"removed = {' '.join(f'{share:g}' for share in removed)} of {len(sites)} {element} are "
            f"{', '.join(map(str, counts))} ions; give at least two shares that rise by an ion or more"
        )
    if counts[-1] == atoms:
        raise ValueError(f"removing all {element} leaves nothing; a voltage needs a framework")
    return counts


def _ways(count: int, sites: int, choices: int) -> int:
    return 1 if count in (0, sites) else choices


def _result(
    atoms: Atoms,
    ion: str,
    charge: int,
    counts: list[int],
    table: list[list[_Choice]],
    metal: float,
    pick: Pick,
    moments: Moments | None,
    sites: int,
    choices: int,
) -> Voltage:
    if pick == "lowest":
        table = [[min(made, key=lambda one: one.energy_eV)] for made in table]
    energies = [np.array([one.energy_eV for one in made]) for made in table]
    volumes = [float(np.mean([one.atoms.cell.volume for one in made])) for made in table]
    states = atoms.arrays["oxidation_states"]
    anions = list(dict.fromkeys(atoms.symbols[states < 0]))
    framework = [e for e in dict.fromkeys([*atoms.symbols[states > 0], *anions]) if e != parse_ion(ion).element]
    steps = []
    for k, (count, made) in enumerate(zip(counts, table, strict=True)):
        value, error = (
            (None, None) if k == 0 else _between(energies[k - 1], energies[k], counts, k - 1, k, metal, charge)
        )
        mean, spread = float(energies[k].mean()), _error(energies[k])
        sums = [_sums(one.atoms) for one in made]
        steps.append(
            VoltageStep(
                removed=count,
                left=sites - count,
                choices=_ways(count, sites, choices),
                energy_eV=mean,
                standard_error_eV=spread,
                volume_A3=volumes[k],
                volume_change=volumes[k] / volumes[0] - 1.0,
                voltage_V=value,
                voltage_standard_error_V=error,
                valences_vu=_valences(made, sums, framework),
                moments_muB=None if moments is None else _moments(made, framework, moments),
                instability_vu=_known(np.array([index for _, index in sums])),
                converged=all(one.converged for one in made),
                shortest_A={element: min(_shortest(one.atoms, element) for one in made) for element in anions},
            )
        )
    last = len(counts) - 1
    average, error = _between(energies[0], energies[last], counts, 0, last, metal, charge)
    given = charge * (counts[last] - counts[0])
    capacity = capacity_mAh_per_g(given, table[0][0].atoms)
    return Voltage(
        ion=ion,
        pick=pick,
        steps=tuple(steps),
        metal_energy_eV=metal,
        formula=table[0][0].atoms.get_chemical_formula("metal"),
        average_voltage_V=average,
        standard_error=error,
        capacity_mAh_per_g=capacity,
        capacity_mAh_per_cm3=given * MAH_PER_MOL / units._Nav / (volumes[0] * 1e-24),
        energy_Wh_per_kg=average * capacity,
        volume_change=volumes[last] / volumes[0] - 1.0,
        converged=all(step.converged for step in steps),
    )


def _between(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    counts: list[int],
    first: int,
    second: int,
    metal: float,
    charge: int,
) -> tuple[float, float | None]:
    """Average voltage between two steps, and its standard error over the choices, each followed on its own."""
    ions = counts[second] - counts[first]
    values = (after + ions * metal - before) / (charge * ions)
    return float(values.mean()), _error(values)


def _error(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _sums(atoms: Atoms) -> tuple[NDArray[np.float64], float]:
    """Give the bond valence sum of each atom and the instability index; NaN where a pair has no parameters."""
    try:
        found = bond_valence_sums(atoms, estimates=False)
    except ValueError:
        return np.full(len(atoms), np.nan), float("nan")
    return found.sums_vu, found.global_instability_index


def _valences(
    made: list[_Choice], sums: list[tuple[NDArray[np.float64], float]], framework: list[str]
) -> dict[str, float | None]:
    own = [(one.atoms.symbols, values) for one, (values, _) in zip(made, sums, strict=True)]
    return {e: _known(np.concatenate([v[s == e] for s, v in own])) for e in framework}


def _known(values: NDArray[np.float64]) -> float | None:
    """Give the mean of what is known; None where something is not."""
    mean = float(values.mean())
    return None if np.isnan(mean) else mean


def _moments(made: list[_Choice], framework: list[str], moments: Moments) -> dict[str, float]:
    sizes = [(one.atoms.symbols, np.abs(moments(one.atoms))) for one in made]
    return {e: float(np.mean(np.concatenate([v[s == e] for s, v in sizes]))) for e in framework}


def _shortest(atoms: Atoms, element: str) -> float:
    """Give the shortest distance between two anions of an element [Å]."""
    anions = (atoms.symbols == element) & (atoms.arrays["oxidation_states"] < 0)
    return float(nearest_distances(atoms[anions]).min())
