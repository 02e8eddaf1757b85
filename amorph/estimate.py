"""What a study will cost, before it is run: atoms, steps, time and memory."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from ase import Atoms

from amorph.calculators import calculator_name, make_calculator
from amorph.evaluation import evaluate
from amorph.fields import grid_points
from amorph.rocksalt import build
from amorph.schedule import named
from amorph.study import Study
from amorph.substitution import substitute

TRIAL_SUPERCELL = (2, 2, 2)
"""Cell on which a force call is measured; cost and memory of a model with a cutoff grow with the number of atoms."""
TRIAL_CALLS = 3


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
    """Time it takes, for a relaxation at most [s]."""


@dataclass(frozen=True)
class Estimate:
    """The plan of a study and its cost on this machine."""

    study: Study
    """The study, every default filled in."""
    stages: tuple[PlannedStage, ...]
    """The stages that cost time."""
    model: str
    """The calculator that was measured."""
    seconds_per_atom: float
    """Time of one energy and force call per atom [s]."""
    memory_bytes: float
    """Memory needed above that of the interpreter [bytes]."""
    available_bytes: float
    """Memory available now [bytes]."""

    @property
    def seconds(self) -> float:
        """Time of the whole run, relaxations at their step limit [s]."""
        return sum(stage.seconds for stage in self.stages)

    def table(self) -> list[dict[str, Any]]:
        """One row per stage."""
        return [
            {"stage": row.stage, "atoms": row.atoms, "steps": row.steps, "time": duration_text(row.seconds)}
            for row in self.stages
        ]

    @property
    def figures(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "tables": self.study.tables,
            "stages": [vars(row) for row in self.stages],
            "model": self.model,
            "seconds_per_atom": self.seconds_per_atom,
            "seconds": self.seconds,
            "memory_bytes": self.memory_bytes,
            "available_bytes": self.available_bytes,
        }


def duration_text(seconds: float) -> str:
    """Write a duration as a person says it.

    >>> duration_text(45), duration_text(600), duration_text(20_000), duration_text(1e6)
    ('45 s', '10 min', '5.6 h', '11.6 days')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def estimate(study: Study) -> Estimate:
    """Build the cells of a study, measure its calculators on a small cell of the same composition, and scale.

    Raises
    ------
    ValueError
        What the study asks to build or to exchange is impossible.
    """
    rng = np.random.default_rng(study.seed)
    host = build(**study["build"], rng=rng).atoms
    exchanged = substitute(host, **study["substitute"], rng=rng).atoms
    trial = build(**{**study["build"], "supercell": TRIAL_SUPERCELL}, rng=rng).atoms
    trial.rattle(0.05, seed=study.seed)

    costs: dict[str, tuple[str, float, float]] = {}
    for table in ("calculator", "final_calculator"):
        same = table == "final_calculator" and study[table] == study["calculator"]
        costs[table] = costs["calculator"] if same else _measure(trial, study[table])
    model, melt, memory = costs["calculator"]
    _, final, final_memory = costs["final_calculator"]

    replicas = study["run"]["replicas"]
    crystal = study["control"]["crystal"]
    stages = []

    def plan(stage: str, atoms: Atoms, steps: int, per_atom: float) -> None:
        stages.append(PlannedStage(stage, len(atoms), steps, steps * len(atoms) * per_atom))

    if study["build"]["lattice_constant"] == "relaxed":
        plan("starting_relax", host, study["starting_relax"]["max_steps"], melt)
    plan("melt_quench", host, named(study["melt_quench"]["schedule"]).steps, melt)
    plan("relax", host, study["relax"]["max_steps"], melt)
    plan("equilibrate", host, named(study["equilibrate"]["schedule"]).steps, melt)
    if not study["vasp"]:
        for n in range(replicas):
            name = "final_relax" if replicas == 1 else f"replica_{n}/final_relax"
            plan(name, exchanged, study["final_relax"]["max_steps"], final)
    if crystal:
        plan("crystal/relax", host, study["relax"]["max_steps"], melt)
        if not study["vasp"]:
            plan("crystal/final_relax", exchanged, study["final_relax"]["max_steps"], final)

    bvs = study["bvs"]
    points = np.prod(bvs["grid"] or grid_points(exchanged.cell.array, bvs["spacing"]), dtype=float)
    # Three fields at once: the sums, the continuous field of the surface, and the distance to the nearest atom.
    maps = 3 * 8 * points
    return Estimate(
        study=study,
        stages=tuple(stages),
        model=model,
        seconds_per_atom=melt,
        memory_bytes=max(memory, final_memory) * len(host) / len(trial) + maps,
        available_bytes=float(psutil.virtual_memory().available),
    )


def _measure(trial: Atoms, parameters: Mapping[str, Any]) -> tuple[str, float, float]:
    """Measure name, seconds per atom and bytes of one force call; the first call, which may compile, does not count."""
    calculator = make_calculator(**parameters)
    atoms = trial.copy()
    atoms.calc = calculator
    evaluate(atoms, ["energy", "forces"])
    times = []

    def call() -> None:
        for n in range(TRIAL_CALLS):
            atoms.rattle(0.01, seed=n)
            started = time.perf_counter()
            evaluate(atoms, ["energy", "forces"])
            times.append(time.perf_counter() - started)

    memory = _peak_during(call)
    return calculator_name(calculator), float(np.median(times)) / len(atoms), memory


def _peak_during(call: Callable[[], None]) -> float:
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
