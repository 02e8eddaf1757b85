"""A melt that several quenches share: its stage, its independent snapshots, and how a quench takes one up."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.decorrelation import decorrelation
from amorph.calculators import calculator_name
from amorph.meltquench import named
from amorph.pipeline.figures import crystallinity_figures
from amorph.pipeline.recording import read_thermo, record_dynamics
from amorph.reading import read_trajectory
from amorph.run import Stage, Work, structure_text, write_atomically

log = logging.getLogger(__name__)

Figures = Mapping[str, Any]

SNAPSHOTS = "snapshots.json"
"""What a melt found about its snapshots, beside them."""


def snapshot_file(number: int) -> str:
    """Name the file of a snapshot."""
    return f"snapshot_{number:03d}.extxyz"


def melt_stage(
    stage: Stage, atoms: Atoms, *, calculator: BaseCalculator, rng: np.random.Generator, work: Work
) -> Figures:
    """Melt, find out how soon the melt forgets, and keep snapshots that are independent."""
    parameters = stage.parameters
    schedule = named(parameters["schedule"])
    record_dynamics(stage, atoms, calculator, rng, work)
    discarded = round(parameters["discard_ps"] * 1000.0 / schedule.timestep_fs)
    every = parameters["sample_every"]
    taken = [
        (frame, row)
        for frame, row in zip(
            read_trajectory(stage.directory / "trajectory.extxyz"),
            read_thermo(stage.directory / "thermo.csv"),
            strict=True,
        )
        if row.step >= discarded and row.step % every == 0  # the last step may lie between two samples
    ]
    frames = [frame for frame, _ in taken]
    judged = crystallinity(frames, supercell=parameters["supercell"], anion=parameters["anion"], start=atoms)
    memory = decorrelation(
        frames,
        [row.potential_energy_eV for _, row in taken],
        start=atoms,
        interval_ps=schedule.time_ps(every),
    )
    for number, place in enumerate(memory.snapshots):
        snapshot = frames[place].copy()
        snapshot.wrap()
        snapshot.info = dict(atoms.info)
        write_atomically(stage.directory / snapshot_file(number), structure_text(snapshot))
    found = {
        "melted": judged.melted,
        "reason": judged.reason,
        "discard_ps": parameters["discard_ps"],
        "frames": memory.frames,
        "effective_frames": memory.effective_frames,
        "decorrelation_time_ps": memory.time_ps,
        "slowest": memory.slowest,
        "number": len(memory.snapshots),
        "spacing_ps": (memory.snapshots[1] if len(memory.snapshots) > 1 else memory.frames) * memory.interval_ps,
        "correlation": memory.snapshot_correlation.tolist(),
    }
    write_atomically(stage.directory / SNAPSHOTS, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode())
    final = frames[-1].copy()
    final.wrap()
    final.info = dict(atoms.info)
    stage.write_structure(final)
    log.info("the melt: %s", judged.reason)
    log.info(
        "%d snapshots %.3g ps apart; %d frames are worth %.1f independent ones, %s being the slowest",
        found["number"],
        found["spacing_ps"],
        memory.frames,
        memory.effective_frames,
        memory.slowest,
    )
    return {
        "model": calculator_name(calculator),
        "melt": crystallinity_figures(judged),
        "snapshots": found,
        "correlations": memory.table(),
    }


def inherit_stage(stage: Stage, _atoms: Atoms) -> Figures:
    """Take over the same stage of another run, which shares its melt.

    Raises
    ------
    ValueError
        It is not finished there, or was made with other parameters.
    """
    source = stage.inputs["inherited"].parent
    figures = Stage(source, stage.parameters, {}).look()
    if figures is None:
        raise ValueError(f"{source} is not finished; run the melt first")
    write_atomically(stage.structure, stage.inputs["inherited"].read_bytes())
    log.info("%s: as in %s", stage.name, source)
    return figures


def snapshot(run: Path, number: int) -> tuple[bool, dict[str, Path]]:
    """Find a snapshot of a shared melt: whether that melted, and the files that the quench depends on.

    Raises
    ------
    ValueError
        The melt is not done, or holds no such snapshot.
    """
    folder = next(iter(run.glob(f"[0-9]_melt/{SNAPSHOTS}")), run).parent
    chosen, about = folder / snapshot_file(number), folder / SNAPSHOTS
    if not about.exists():
        raise ValueError(f"{run} holds no finished melt; run it first")
    found = json.loads(about.read_text(encoding="utf-8"))
    if not chosen.exists():
        raise ValueError(
            f"{run} has no snapshot {number}: it holds {found['number']}, the effective number of independent frames "
            f"being {found['effective_frames']:.1f}; melt for longer"
        )
    return bool(found["melted"]), {"structure": chosen, "melt": about}
