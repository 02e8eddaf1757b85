"""What a trajectory must be for its diffusion to be measured: equal intervals, one temperature, no friction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amorph.pipeline.mobility import MEASURED
from amorph.run import read_json, read_run_toml


def timed(frames: list[Atoms], interval_ps: float | None = None, skip_ps: float = 0.0) -> tuple[list[Atoms], float]:
    """Leave out the start, and find the time between the frames [ps]; of a stage of `[diffusion]` what it measures.

    Raises
    ------
    ValueError
        The frames do not say when they were, are not equally far apart, or say another interval than is given.
    """
    frames = [frame for frame in frames if frame.info.get("segment") == MEASURED] or frames
    times = [frame.info.get("time_ps") for frame in frames]
    if interval_ps is not None and not interval_ps > 0.0:
        raise ValueError(f"frame_interval_ps = {interval_ps:g} must be above 0")
    if len(frames) < 2 or any(time is None for time in times):
        if interval_ps is None:
            raise ValueError("the frames do not say when they were; give --frame-interval-ps")
        return _after(frames, skip_ps, interval_ps), interval_ps
    steps = np.diff(np.array(times, dtype=float))
    usual = float(np.median(steps))
    if len(steps) > 1 and abs(steps[-1] - usual) > 1e-6:  # the last step of a run is kept whenever it comes
        frames, steps = frames[:-1], steps[:-1]
    if usual <= 0.0 or np.abs(steps - usual).max() > 1e-6 * max(usual, 1.0):
        raise ValueError(
            f"frames are {steps.min():g} to {steps.max():g} ps apart, and equal intervals are needed; give such frames"
        )
    if interval_ps is not None and abs(interval_ps - usual) > 1e-6 * max(usual, 1.0):
        raise ValueError(f"frame_interval_ps = {interval_ps:g} is given, and the file says {usual:g} ps; leave it out")
    return _after(frames, skip_ps, usual), usual


def _after(frames: list[Atoms], skip_ps: float, interval_ps: float) -> list[Atoms]:
    skipped = int(np.ceil(skip_ps / interval_ps - 1e-9))
    if skipped >= len(frames):
        raise ValueError(f"skip_ps = {skip_ps:g} leaves nothing of {(len(frames) - 1) * interval_ps:g} ps; skip less")
    return frames[skipped:]


def target_temperature(frames: Sequence[Atoms]) -> float | None:
    """Find the one target temperature of the frames [K], where they say it.

    Raises
    ------
    ValueError
        They say several.
    """
    targets = {float(frame.info["target_K"]) for frame in frames if "target_K" in frame.info}
    if len(targets) > 1:
        raise ValueError(
            f"the target temperature goes from {max(targets):g} to {min(targets):g} K: diffusion is measured at one; "
            "leave the ramp out with --skip-ps, or give a trajectory of constant temperature"
        )
    return targets.pop() if targets else None


def check_ensembles(file: Path, frames: Sequence[Atoms], *, langevin: bool, told: bool) -> None:
    """Refuse segments that run.toml calls NVT, which is Langevin there, and NVE ones whose temperature nobody told.

    Raises
    ------
    ValueError
        The frames have such a segment.
    """
    segments = _segments(file.absolute().parent)
    names = {frame.info.get("segment") for frame in frames}
    kinds = {s["name"]: s["ensemble"] for s in segments if s["name"] in names}
    free = [name for name, kind in kinds.items() if kind == "NVE"]
    if free and not told:
        raise ValueError(
            f"segment '{free[0]}' is NVE, whose temperature is not its target; give --temperature-k, the mean of "
            "temperature_K in thermo.csv"
        )
    slowed = [name for name, kind in kinds.items() if kind == "NVT"]
    if slowed and not langevin:
        raise ValueError(
            f"segment '{slowed[0]}' ran with a Langevin thermostat, whose friction slows diffusion; measure an NVE "
            "segment, or say --langevin to have its lower bound"
        )


def _segments(folder: Path) -> list[dict[str, Any]]:
    """Read the schedule of a stage from its mark or, while it runs, from run.toml; none where this is no stage."""
    if (folder / "stage.json").exists():
        schedule = read_json(folder / "stage.json")["parameters"]["schedule"]
    elif configured := [p for p in list(folder.parents)[:3] if (p / "run.toml").exists()]:
        name = folder.name.partition("_")[2]
        # a melt that members of an ensemble share has the schedule of their quench
        study = read_run_toml(configured[0])
        if name.startswith("diffusion_"):  # its table makes the schedule
            return [{"name": MEASURED, "ensemble": study["diffusion"]["thermostat"]}]
        schedule = study.get("melt_quench" if name == "melt" else name, {}).get("schedule", {"segments": []})
    else:
        return []
    segments: list[dict[str, Any]] = schedule["segments"]
    return segments
