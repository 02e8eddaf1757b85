"""The stages of a run, in order: composition → glass → exchange → free volume → bond-valence map → surface.

Running, rehearsal, estimate and summary go through these records; another stage is one more of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from ase import Atoms

from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.grids import resolve_points
from amorph.figures import Result
from amorph.meltquench import check_engine, named
from amorph.pipeline import analyses, stages
from amorph.pipeline.results import Analysed, Quench, References, Relaxation, SharedMelt
from amorph.pipeline.shared_melt import melt_stage
from amorph.pipeline.stages import Setting
from amorph.pipeline.study import Study
from amorph.rocksalt import build
from amorph.run import Stage
from amorph.substitution import substitute

Part = Literal["reference", "start", "melt", "glass", "exchanged"]
"""Where a stage belongs: reference crystals; the cell that melts; a melt for other runs; from the melt to the glass;
from the exchange on, for every replica and the crystal control."""
Potential = Literal["calculator", "final_calculator"]


@dataclass(frozen=True)
class Record:
    """One stage of a run."""

    name: str
    """Name of its folder, and of its random stream."""
    part: Part
    work: Callable[[Stage, Atoms, Setting], Result]
    """What it does."""
    parameters: Callable[[Study], Mapping[str, Any]]
    """What of the study it is made with."""
    kind: type[Result] | None = None
    """The result that its figures are read back as; None where nothing of the pipeline asks."""
    wanted: Callable[[Study], bool] = lambda _: True
    """Whether the study has it."""
    control: bool = False
    """Whether the crystal control goes through it before the exchange."""
    potential: Potential | None = None
    """The table of the calculator that moves its atoms."""
    reads: tuple[str, ...] = ()
    """Files of the stage before that it reads besides the structure."""
    trial: Callable[[Study, Atoms, np.random.Generator], Atoms] | None = None
    """Tries on the built cell what could fail after hours, and hands the cell on."""


def _table(name: str) -> Callable[[Study], Mapping[str, Any]]:
    return lambda study: study[name]


def _tables(*names: str) -> Callable[[Study], Mapping[str, Any]]:
    return lambda study: {name: study[name] for name in names}


def _try_build(study: Study, _: Atoms, rng: np.random.Generator) -> Atoms:
    return build(**study["build"], rng=rng).atoms


def _try_dynamics(table: str, study: Study, atoms: Atoms, _: np.random.Generator) -> Atoms:
    check_engine(study[table]["engine"], named(study[table]["schedule"]))
    crystallinity(atoms, supercell=study[table]["supercell"], anion=study[table]["anion"])
    return atoms


def _try_exchange(study: Study, atoms: Atoms, rng: np.random.Generator) -> Atoms:
    # Whether new ions find room at a distance from each other shows only in the glass.
    return substitute(atoms, **{**study["substitute"], "minimum_distance": 0.0}, rng=rng).atoms


def _try_analyses(study: Study, atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Ask every question on grids of a few points, after the memory for the real ones is known to be there."""
    atoms = atoms.copy()
    atoms.positions += rng.normal(
        scale=0.02, size=atoms.positions.shape
    )  # no glass has points of the grid on its atoms
    tables = {name: study[name] for name in stages.ANALYSED}
    for name, table in tables.items():
        if "grid" in table:
            resolve_points(atoms.cell.array, table["grid"], table["spacing"])
            tables[name] = {**table, "grid": (8, 8, 8), "spacing": None}
    for analysis in analyses.ANALYSES:
        analysis.measure(analyses.Subject(atoms, tables))
    return atoms


STAGES: tuple[Record, ...] = (
    Record("relax", "reference", stages.reference_stage, _table("reference"), References, potential="final_calculator"),
    Record(
        "relax_by_melt_model",
        "reference",
        stages.reference_stage,
        _table("reference"),
        References,
        wanted=lambda study: study["calculator"] != study["final_calculator"],
        potential="calculator",
    ),
    Record("build", "start", stages.build_stage, _table("build"), trial=_try_build),
    Record(
        "starting_relax",
        "start",
        stages.relax_stage,
        _table("starting_relax"),
        Relaxation,
        wanted=lambda study: study["build"]["lattice_constant"] == "relaxed",
        potential="calculator",
    ),
    Record(
        "melt",
        "melt",
        melt_stage,
        lambda study: study["melt_quench"] | study["snapshots"],
        SharedMelt,
        potential="calculator",
        trial=partial(_try_dynamics, "melt_quench"),
    ),
    Record(
        "melt_quench",
        "glass",
        stages.quench_stage,
        _table("melt_quench"),
        Quench,
        potential="calculator",
        trial=partial(_try_dynamics, "melt_quench"),
    ),
    Record("relax", "glass", stages.relax_stage, _table("relax"), Relaxation, control=True, potential="calculator"),
    Record(
        "equilibrate",
        "glass",
        stages.quench_stage,
        _table("equilibrate"),
        Quench,
        potential="calculator",
        trial=partial(_try_dynamics, "equilibrate"),
    ),
    Record("substitute", "exchanged", stages.substitute_stage, _table("substitute"), trial=_try_exchange),
    Record(
        "final_relax",
        "exchanged",
        stages.relax_stage,
        _table("final_relax"),
        Relaxation,
        wanted=lambda study: not study["vasp"],
        potential="final_calculator",
    ),
    Record(
        "final_relax",
        "exchanged",
        stages.vasp_stage,
        _table("vasp"),
        Relaxation,
        wanted=lambda study: bool(study["vasp"]),
    ),
    Record("analysis", "exchanged", stages.analysis_stage, _tables(*stages.ANALYSED), Analysed, trial=_try_analyses),
    Record("export", "exchanged", stages.export_stage, _tables("isosurface", "export"), reads=("bvs.npz",)),
)
"""Every stage that a run can have."""


def stages_of(study: Study, *parts: Part) -> list[Record]:
    """Give the stages of a study that belong to some parts, in order; the glass has none where the study only melts."""
    there: set[Part] = {"start", "melt"} if study["snapshots"] else {"reference", "start", "glass", "exchanged"}
    return [record for record in STAGES if record.part in there.intersection(parts) and record.wanted(study)]
