"""A melt that several quenches share: its stage, its independent snapshots, and how a quench takes one up."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.decorrelation import decorrelation
from amorph.calculators import calculator_name
from amorph.figures import Result, Row
from amorph.meltquench import named
from amorph.pipeline.recording import read_thermo, record_dynamics, sampled_frames
from amorph.pipeline.results import SharedMelt, Snapshots
from amorph.pipeline.stages import Setting
from amorph.run import (
    Finished,
    Stage,
    as_from,
    check_outputs,
    read_json,
    refuse_links,
    structure_text,
    write_atomically,
    write_json,
)

log = logging.getLogger(__name__)

SNAPSHOTS = "snapshots.json"
"""What a melt found about its snapshots, beside them."""


def snapshot_file(number: int) -> str:
    """Name the file of a snapshot."""
    return f"snapshot_{number:03d}.extxyz"


def melt_stage(stage: Stage, atoms: Atoms, setting: Setting) -> SharedMelt:
    """Melt, find out how soon the melt forgets, and keep snapshots that are independent."""
    parameters = stage.parameters
    schedule = named(parameters["schedule"])
    record_dynamics(stage, atoms, setting.calculator, setting.rng(stage.name), setting.work)
    discarded = round(parameters["discard_ps"] * 1000.0 / schedule.timestep_fs)
    every = parameters["sample_every"]
    sampled = sampled_frames(stage.directory / "trajectory.extxyz"), read_thermo(stage.directory / "thermo.csv")
    taken = [
        (frame, row)
        for frame, row in zip(*sampled, strict=True)
        if row.step >= discarded and row.step % every == 0  # the last step may lie between two samples
    ]
    frames = [frame for frame, _ in taken]
    judged = crystallinity(frames, supercell=parameters["supercell"], anion=parameters["anion"], start=atoms)
    energies = [row.potential_energy_eV for _, row in taken]
    memory = decorrelation(frames, energies, start=atoms, interval_ps=schedule.time_ps(every))
    for number, place in enumerate(memory.snapshots):
        write_atomically(stage.directory / snapshot_file(number), structure_text(as_from(frames[place], atoms)))
    found = Snapshots(
        judged.melted,
        judged.reason,
        discard_ps=parameters["discard_ps"],
        frames=memory.frames,
        effective_frames=memory.effective_frames,
        decorrelation_time_ps=memory.time_ps,
        slowest=memory.slowest,
        number=len(memory.snapshots),
        spacing_ps=(memory.snapshots[1] if len(memory.snapshots) > 1 else memory.frames) * memory.interval_ps,
        correlation=memory.snapshot_correlation.tolist(),
    )
    write_json(stage.directory / SNAPSHOTS, found.figures())
    stage.write_structure(frames[-1], like=atoms)
    log.info("the melt: %s", judged.reason)
    log.info("%s", found.text)
    return SharedMelt(calculator_name(setting.calculator), judged, found, memory.table())


@dataclass(frozen=True)
class Inherited(Result):
    """What another run's stage found."""

    found: Finished

    def figures(self) -> dict[str, Any]:
        """Give its figures."""
        return dict(self.found.figures)

    def rows(self) -> list[Row]:
        """Give its rows."""
        return list(self.found.rows or ())


def inherited(folder: Path) -> Path:
    """Find the structure of another run's stage."""
    refuse_links(folder.parent)
    structure = folder / "structure.extxyz"
    if not structure.exists():
        raise ValueError(f"{structure} is not there; run the melt first")
    return structure


def inherit_stage(stage: Stage, _: Atoms) -> Inherited:
    """Take over the same stage of another run, which shares its melt."""
    source = stage.inputs["inherited"].parent
    found = Stage(source, stage.parameters, {}).look()
    if found is None:
        raise ValueError(f"{source} is not finished; run the melt first")
    write_atomically(stage.structure, stage.inputs["inherited"].read_bytes())
    log.info("%s: as in %s", stage.name, source)
    return Inherited(found)


def snapshot(run: Path, number: int) -> tuple[bool, dict[str, Path]]:
    """Find a snapshot of a shared melt: whether that melted, and the files that the quench depends on."""
    folder = next(iter(run.glob(f"[0-9]_melt/{SNAPSHOTS}")), run).parent
    chosen, about = folder / snapshot_file(number), folder / SNAPSHOTS
    if not about.exists():
        raise ValueError(f"{run} holds no finished melt; run it first")
    found = read_json(about)
    if not chosen.exists():
        raise ValueError(
            f"{run} has no snapshot {number}: it holds {found['number']}, the effective number of independent frames "
            f"being {found['effective_frames']:.1f}; melt for longer"
        )
    check_outputs(folder)
    return bool(found["melted"]), {"structure": chosen, "melt": about}
