"""What a study will cost, before it is run: atoms, steps, time and memory."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator

from amorph.analysis.grids import resolve_points
from amorph.calculators import CHGNET, calculator_name, evaluate, make_calculator
from amorph.figures import Result, plain
from amorph.machine.memory import available_memory
from amorph.meltquench import named
from amorph.pipeline.order import Record, rows_of
from amorph.pipeline.study import Study
from amorph.rocksalt import Built, build
from amorph.substitution import substitute
from amorph.tables import UNMOLTEN

TRIAL_SUPERCELL = (2, 2, 2)
"""Cell on which a force call is measured on a CPU, where cost and memory grow with the number of atoms."""
TRIAL_CALLS = 3
SAME_SHARE = 0.01
"""Difference in an element's share of the atoms within which two cells are one composition: whole ions are rounded."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of the plan."""

    stage: str
    """Name of the stage."""
    atoms: int
    """Atoms in its cell."""
    steps: int
    """Steps of dynamics, or the most steps of a relaxation."""
    seconds: float
    """Time it takes, for a relaxation at most [s]; NaN with a potential that is not timed."""


@dataclass(frozen=True)
class Estimate(Result):
    """The plan of a study and its cost on this machine."""

    study: Study
    """The study, every default filled in."""
    stages: tuple[PlannedStage, ...]
    """The stages that cost time."""
    model: str
    """The calculator that was measured, or the factory that was not called."""
    seconds_per_atom: float
    """Time of one energy and force call per atom [s]; NaN with a potential that is not timed."""
    memory_bytes: float
    """Memory needed above that of the interpreter [bytes]; NaN with a potential that is not timed."""
    available_bytes: float
    """Memory available now [bytes]."""
    notes: tuple[str, ...]
    """What is known to go wrong."""

    @property
    def seconds(self) -> float:
        """Time of the whole run, relaxations at their step limit [s]; NaN with a potential that is not timed."""
        return sum(stage.seconds for stage in self.stages)

    def table(self) -> list[dict[str, Any]]:
        """One row per stage."""
        return [
            {"stage": row.stage, "atoms": row.atoms, "steps": row.steps, "time": duration_text(row.seconds)}
            for row in self.stages
        ]

    def figures(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "tables": plain(self.study.tables),
            "stages": plain(self.stages),
            "model": self.model,
            "seconds_per_atom": plain(self.seconds_per_atom),
            "seconds": plain(self.seconds),
            "memory_bytes": plain(self.memory_bytes),
            "available_bytes": self.available_bytes,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Cost:
    """What a calculator costs per atom."""

    model: str
    forces: float
    """Time of energy and forces [s]."""
    stress: float
    """Time of energy, forces and stress [s]."""
    memory: float
    """Memory of the machine, not of a GPU [bytes]."""


def duration_text(seconds: float) -> str:
    """Write a duration as a person says it.

    >>> duration_text(45), duration_text(600), duration_text(20_000), duration_text(1e6), duration_text(np.nan)
    ('45 s', '10 min', '5.6 h', '11.6 days', 'not timed')
    """
    if np.isnan(seconds):
        return "not timed"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def estimate(study: Study, *, time_factory: bool = False) -> Estimate:
    """Build the cells of a study, measure its calculators on a small cell of the same composition, and scale.

    A calculator on a GPU is measured on the study's own cell: its launches take as long for few atoms as for many.
    Only amorph's own calculator is measured: to look at a study runs no code that the study names.

    Parameters
    ----------
    study
        What is to be run.
    time_factory
        Measure the calculators of foreign factories too, which calls their code.

    Raises
    ------
    ValueError
        What the study asks to build or to exchange is impossible.
    """
    rng = np.random.default_rng(study.seed)
    built = build(**study["build"], rng=rng)
    host = built.atoms
    exchanged = host if study["snapshots"] else substitute(host, **study["substitute"], rng=rng).atoms
    trial = _trial_cell(host, built.lattice_constant, rng)
    measure = partial(_measure, trial, host, foreign=time_factory)
    costs = {"calculator": measure(study["calculator"])}
    same = study["final_calculator"] == study["calculator"]
    costs["final_calculator"] = costs["calculator"] if same else measure(study["final_calculator"])
    elsewhere = {"reference"} | ({"start"} if study["melt"] else set())  # a shared melt did its start
    planned = [
        _planned(f"{row.folder}{record.name}", record, study, exchanged if record.part == "exchanged" else host, costs)
        for row in rows_of(study)
        for record in row.records
        if record.potential is not None and record.part not in elsewhere
    ]
    bvs = study["bvs"]
    points = np.prod(resolve_points(exchanged.cell.array, bvs["grid"], bvs["spacing"]), dtype=float)
    # Three fields at once: the sums, the continuous field of the surface, and the distance to the nearest atom.
    maps = 3 * 8 * points
    return Estimate(
        study=study,
        stages=tuple(planned),
        model=costs["calculator"].model,
        seconds_per_atom=costs["calculator"].forces,
        memory_bytes=float(np.max([cost.memory for cost in costs.values()])) * len(host) + maps,
        available_bytes=float(available_memory()),
        notes=known_not_to_melt(study, built),
    )


def known_not_to_melt(study: Study, built: Built) -> tuple[str, ...]:
    """Say of which start that was tried and did not melt this one is a repetition."""
    melt = named(study["melt_quench"]["schedule"])
    if melt.melt is None or study["build"]["lattice_constant"] == "relaxed" or study["calculator"]["factory"] != CHGNET:
        return ()
    hottest = max(segment.end_K for segment in melt.segments)
    duration_ps = melt.time_ps(melt.melt[1] - melt.melt[0])
    shares = {element: n / len(built.atoms) for element, n in built.atoms.symbols.formula.count().items()}
    return tuple(
        f"this start is known not to melt ({row.source}): with {row.model}, a = {row.lattice_constant:g} Å is crystal "
        f'still after {row.duration_ps:g} ps at {row.temperature_K:g} K; give lattice_constant = "relaxed"'
        for row in UNMOLTEN
        if study["calculator"].get("model") == row.model
        and shares.keys() == dict(row.shares).keys()
        and all(abs(shares[element] - share) < SAME_SHARE for element, share in row.shares)
        and built.lattice_constant <= row.lattice_constant
        and hottest <= row.temperature_K
        and duration_ps <= row.duration_ps
    )


def _planned(name: str, record: Record, study: Study, atoms: Atoms, costs: Mapping[str, _Cost]) -> PlannedStage:
    parameters, cost = record.parameters(study), costs[record.potential or "calculator"]
    if "schedule" in parameters:
        steps = named(parameters["schedule"]).steps
        # A sampled step asks for the stress too.
        calls = steps * cost.forces + steps / parameters["sample_every"] * cost.stress
    else:
        steps = parameters["max_steps"] * record.times(study)
        calls = steps * cost.stress
    return PlannedStage(name, len(atoms), steps, calls * len(atoms))


def _trial_cell(host: Atoms, lattice_constant: float, rng: np.random.Generator) -> Atoms:
    """Make a small rocksalt cell with cations and anions drawn from those of the host."""
    atoms = bulk("NaCl", "rocksalt", a=lattice_constant, cubic=True).repeat(TRIAL_SUPERCELL)
    anion = host.arrays["oxidation_states"] < 0
    numbers = atoms.numbers.copy()
    for sites, pool in ((numbers == 11, host.numbers[~anion]), (numbers == 17, host.numbers[anion])):
        numbers[sites] = rng.choice(pool, sites.sum(), replace=sites.sum() > len(pool))
    atoms.numbers = numbers
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    return atoms


def _measure(trial: Atoms, host: Atoms, parameters: Mapping[str, Any], *, foreign: bool = False) -> _Cost:
    """Measure a calculator on the trial cell, after a first call that may compile, and on a cell twice as large.

    The smaller cell has taken its memory when the larger one is looked at, so the difference is that of the atoms. On a
    GPU the study's own cell is measured instead, which shows by itself that it fits in the memory there.
    """
    if parameters["factory"] != CHGNET and not foreign:
        return _Cost(parameters["factory"], np.nan, np.nan, np.nan)
    calculator = make_calculator(**parameters)
    on_gpu = getattr(getattr(calculator, "calculator", calculator), "device", "cpu") != "cpu"
    trial = host if on_gpu else trial
    wanted = (["energy", "forces"], ["energy", "forces", "stress"])
    for properties in wanted:
        _seconds(trial, calculator, properties)
    forces, stress = (
        float(np.median([_seconds(trial, calculator, properties, n) for n in range(TRIAL_CALLS)])) / len(trial)
        for properties in wanted
    )
    if on_gpu:
        return _Cost(calculator_name(calculator), forces, stress, 0.0)
    double = trial.repeat((2, 1, 1))
    growth = _peak_during(lambda: _seconds(double, calculator, wanted[1]))
    return _Cost(calculator_name(calculator), forces, stress, growth / (len(double) - len(trial)))


def _seconds(atoms: Atoms, calculator: BaseCalculator, properties: list[str], seed: int = 0) -> float:
    """Time one call on slightly moved atoms [s]."""
    moved = atoms.copy()
    moved.rattle(0.01, seed=seed)
    moved.calc = calculator
    started = time.perf_counter()
    evaluate(moved, properties)
    return time.perf_counter() - started


def _peak_during(call: Callable[[], object]) -> float:
    """Return by how much the memory of this process peaks during a call [bytes], sampled every millisecond."""
    process = psutil.Process()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return float(peak - before)
