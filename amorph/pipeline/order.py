"""The stages of a run, in order: composition → glass → exchange → free volume → bond-valence map → surface.

Running, rehearsal, estimate and summary go through these records; another stage is one more of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms

from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.grids import resolve_points
from amorph.figures import Result
from amorph.meltquench import check_engine, named
from amorph.pipeline import analyses, stages
from amorph.pipeline.electrode import relaxations, removal_stage, try_removal
from amorph.pipeline.mobility import MOBILITY, activation_stage, at_temperature, mobility_stage
from amorph.pipeline.results import (
    Activation,
    Analysed,
    Mobility,
    Quench,
    References,
    Relaxation,
    Removal,
    SharedMelt,
)
from amorph.pipeline.shared_melt import melt_stage
from amorph.pipeline.stages import Setting
from amorph.pipeline.study import Study
from amorph.rocksalt import build
from amorph.run import Stage, begun
from amorph.substitution import substitute
from amorph.tables import parse_ion

Part = Literal["reference", "start", "melt", "glass", "exchanged", "host"]
"""Where a stage belongs: reference crystals; the cell that melts; a melt for other runs; from the melt to the glass;
from the exchange on, for every replica and the crystal control; what is asked of both before the exchange."""
Potential = Literal["calculator", "final_calculator"]


@dataclass(frozen=True)
class Tables:
    """What of a study a stage is made with."""

    names: tuple[str, ...]
    """The tables that it depends on."""
    made: Callable[[Study], Mapping[str, Any]]
    """How its parameters come out of them."""

    def __call__(self, study: Study) -> Mapping[str, Any]:
        """Take them from a study."""
        return self.made(study)


@dataclass(frozen=True)
class Record:
    """One stage of a run."""

    name: str
    """Name of its folder, and of its random stream."""
    part: Part
    work: Callable[[Stage, Atoms, Setting], Result]
    """What it does."""
    parameters: Tables
    """What of the study it is made with."""
    kind: type[Result] | None = None
    """The result that its figures are read back as; None where nothing of the pipeline asks."""
    wanted: Callable[[Study], bool] = lambda _: True
    """Whether the study has it."""
    control: bool = False
    """Whether the crystal control goes through it before the exchange."""
    potential: Potential | None = None
    """The table of the calculator that moves its atoms."""
    reads: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Files of earlier stages of its row that it reads besides the structure, "stage/file" by role."""
    each: Callable[["Record", Study], list["Record"]] = lambda record, _: [record]
    """What a study makes of it: one stage for each run at each of its temperatures."""
    trial: Callable[[Study, Atoms, np.random.Generator], Atoms] | None = None
    """Tries on the built cell what could fail after hours, and hands the cell on."""
    times: Callable[[Study], int] = lambda _: 1
    """How many times it minimises."""


def _table(*names: str) -> Tables:
    """Take the keys of tables, side by side."""
    return Tables(names, lambda study: {key: value for name in names for key, value in study[name].items()})


def _tables(*names: str) -> Tables:
    """Take tables by their names."""
    return Tables(names, lambda study: {name: study[name] for name in names})


def _analysed(study: Study) -> Mapping[str, Any]:
    """Take the tables of the analyses; without [structure] they are those of runs from before there was one."""
    return {name: study[name] for name in stages.ANALYSED if name != "structure" or study[name]}


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
    if tables["structure"]:
        analyses.check_structure(atoms, tables["structure"])
    for analysis in analyses.ANALYSES:
        analysis.measure(analyses.Subject(atoms, tables))
    return atoms


def _ion(part: Part, study: Study) -> str:
    return study.mobile_ion if part == "exchanged" else str(study["substitute"]["ion"])


def _at(part: Part, kelvin: float, study: Study) -> Mapping[str, Any]:
    return at_temperature(study["diffusion"], kelvin, _ion(part, study))


def _mobile(part: Part, study: Study) -> frozenset[str]:
    """Name the elements of the ions that move, those that a partial exchange left behind among them."""
    left = [study["substitute"]["ion"]] if study["substitute"]["fraction"] < 1.0 else []
    return frozenset(parse_ion(ion).element for ion in [_ion(part, study), *(left if part == "exchanged" else [])])


def _mobility(part: Part, potential: Potential) -> tuple[Record, Record]:
    """How the ion moves at each temperature, and the line through them."""

    def wanted(study: Study) -> bool:
        return bool(study["diffusion"]) and (study.leaves_ion if part == "exchanged" else study["diffusion"]["host"])

    def runs(record: Record, study: Study) -> list[Record]:
        return [
            replace(
                record,
                name=f"diffusion_{kelvin:g}K" + (f"_{seed}" if seed > 1 else ""),
                work=partial(mobility_stage, mobile=_mobile(part, study), seed=seed),
                parameters=Tables(record.parameters.names, partial(_at, part, kelvin)),
            )
            for seed in range(1, (study["diffusion"]["seeds"] or 1) + 1)
            for kelvin in study["diffusion"]["temperatures_K"]
        ]

    def gathered(record: Record, study: Study) -> list[Record]:
        names = [run.name for run in runs(record, study)]
        return [replace(record, reads={name: f"{name}/{MOBILITY}" for name in names})]

    said = partial(Record, part=part, wanted=wanted)
    return (
        said(
            "diffusion",
            work=mobility_stage,
            parameters=_table("diffusion", "substitute"),
            kind=Mobility,
            potential=potential,
            each=runs,
        ),
        said(
            "activation",
            work=activation_stage,
            parameters=Tables(("diffusion", "substitute"), lambda study: {"ion": _ion(part, study)}),
            kind=Activation,
            each=gathered,
        ),
    )


def _try_removal(study: Study, atoms: Atoms, rng: np.random.Generator) -> Atoms:
    try_removal({**study["voltage"], "metal_energy_eV": 0.0}, atoms, rng)
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
        _table("melt_quench", "snapshots"),
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
        "anneal",
        "exchanged",
        stages.quench_stage,
        _table("anneal"),
        Quench,
        wanted=lambda study: bool(study["anneal"]),
        potential="final_calculator",
        trial=partial(_try_dynamics, "anneal"),
    ),
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
    Record(
        "analysis",
        "exchanged",
        stages.analysis_stage,
        Tables(stages.ANALYSED, _analysed),
        Analysed,
        trial=_try_analyses,
    ),
    Record(
        "export",
        "exchanged",
        stages.export_stage,
        _tables("isosurface", "export"),
        reads={"bvs.npz": "analysis/bvs.npz"},
    ),
    Record(
        "voltage",
        "exchanged",
        removal_stage,
        Tables(("final_relax", "voltage"), lambda study: study["final_relax"] | {"voltage": study["voltage"]}),
        Removal,
        wanted=lambda study: bool(study["voltage"]),
        potential="final_calculator",
        trial=_try_removal,
        times=lambda study: relaxations(study["voltage"]),
    ),
    *_mobility("exchanged", "final_calculator"),
    *_mobility("host", "calculator"),
)
"""Every stage that a run can have."""


def stages_of(study: Study, *parts: Part) -> list[Record]:
    """Give the stages of a study that belong to some parts, in order; the glass has none where the study only melts."""
    whole: set[Part] = {"reference", "start", "glass", "exchanged", "host"}
    there: set[Part] = {"start", "melt"} if study["snapshots"] else whole
    records = [record for record in STAGES if record.part in there.intersection(parts) and record.wanted(study)]
    return [stage for record in records for stage in record.each(record, study)]


class Row(NamedTuple):
    """A row of stages in folders that are numbered on."""

    folder: str
    """Folder of the row in the run's directory: "", "reference/", "host/", "replica_0/", "crystal/" or below that."""
    before: int
    """Number of stages that stand before its first."""
    records: list[Record]


def rows_of(study: Study) -> list[Row]:
    """Give every stage of a study, in rows, with the folders that they go to."""
    start, glass = stages_of(study, "start"), stages_of(study, "start", "melt", "glass")
    exchanged, host = stages_of(study, "exchanged"), stages_of(study, "host")
    replicas = study["run"]["replicas"]
    rows = [Row("reference/", 0, stages_of(study, "reference")), Row("", 0, glass)]
    rows += [Row(f"replica_{n}/" if replicas > 1 else "", len(glass), exchanged) for n in range(replicas)]
    if study["control"]["crystal"]:
        control = [record for record in stages_of(study, "glass") if record.control]
        rows.append(Row("crystal/", len(start), control + exchanged))
        rows.append(Row("crystal/host/", len(start + control), host))
    return [*rows, Row("host/", len(glass), host)]


def tables_to_come(directory: Path) -> frozenset[str]:
    """Name the tables of a study on which nothing in a run directory depends yet: their stages have not begun."""
    there = {
        (path.parent.name == "reference", path.name.partition("_")[2])
        for path in directory.glob("**/[0-9]*_*")
        if path.is_dir() and begun(path)
    }
    tables = [set(record.parameters.names) for record in STAGES]
    begun_ones = [
        number
        for number, record in enumerate(STAGES, start=1)
        for reference, name in there
        if reference == (record.part == "reference") and f"{name}_".startswith(f"{record.name}_")
    ]
    # What comes before a stage binds it too: its input, the crystals beside it, the number of its folder.
    bound = tables[: max(begun_ones, default=0)]
    # With snapshots or without, a run takes another course: that is another study.
    return frozenset(set().union(*tables) - set().union({"snapshots"}, *bound))
