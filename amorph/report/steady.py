"""What a trajectory must be for its diffusion to be measured: equal intervals, one temperature, no friction."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from amorph.pipeline.mobility import MEASURED
from amorph.run import read_json, read_run_toml

_CLOCKS: Final = {"time_ps": "ps", "time": "units of time", "timestep": "steps"}
"""What frames may say of when they were, the best first, and what that counts: LAMMPS may change the length of its
step, which its times show and its steps do not."""
_SAME: Final = 1e-3
"""Share of the interval by which the frames may lie off it: a thousandth, as times in print do, moves no D."""


def timed(frames: list[Atoms], interval_ps: float | None = None, skip_ps: float = 0.0) -> tuple[list[Atoms], float]:
    """Leave out the start, and find the time between the frames [ps]; of a stage of `[diffusion]` what it measures.

    Raises
    ------
    ValueError
        The frames do not say when they were in ps and no interval is given, are not equally far apart in whatever they
        say (ps, another time, the step of LAMMPS), or say another interval than is given.
    """
    frames = [frame for frame in frames if frame.info.get("segment") == MEASURED] or frames
    if interval_ps is not None and not interval_ps > 0.0:
        raise ValueError(f"frame_interval_ps = {interval_ps:g} must be above 0")
    frames = _after(frames, skip_ps, interval_ps)
    clock = next((clock for clock in _CLOCKS if _tells(frames, clock)), None)
    if interval_ps is None and clock != "time_ps":
        said = "do not say when they were" if clock is None else f"say when they were in {_CLOCKS[clock]}, not in ps"
        raise ValueError(f"the frames {said}; give --frame-interval-ps")
    if clock is not None:
        frames, usual = _equally_apart(frames, clock)
        if clock == "time_ps":
            if interval_ps is not None and abs(interval_ps - usual) > 1e-6 * max(usual, 1.0):
                raise ValueError(
                    f"frame_interval_ps = {interval_ps:g} is given, and the file says {usual:g} ps; leave it out"
                )
            interval_ps = usual
    assert interval_ps is not None
    return frames, interval_ps


def _tells(frames: list[Atoms], clock: str) -> bool:
    """Tell whether frames say by a clock when they were; one that stands still, 0 in every frame say, is none.

    Raises
    ------
    ValueError
        Some of them do and others do not.
    """
    times = [frame.info[clock] for frame in frames if clock in frame.info]
    if 0 < len(times) < len(frames):
        raise ValueError(
            f"{len(times)} of {len(frames)} frames say when they were, as {clock}, and the others do not; give a file "
            "of one kind"
        )
    return len(set(times)) > 1


def _equally_apart(frames: list[Atoms], clock: str) -> tuple[list[Atoms], float]:
    """Find how far apart the frames are by a clock.

    A last one that a run keeps whenever it comes is left out, and one that comes twice, as where a run was continued.
    """
    twice = [a.info[clock] == b.info[clock] and _alike(a, b) for a, b in pairwise(frames)]
    frames = [frames[0], *(frame for frame, same in zip(frames[1:], twice, strict=True) if not same)]
    times = np.array([frame.info[clock] for frame in frames], dtype=float)
    steps = np.diff(times)
    usual = float(np.median(steps))
    wrong = np.abs(steps - usual) > _SAME * abs(usual)
    if len(steps) > 1 and wrong[-1]:
        frames, steps, wrong = frames[:-1], steps[:-1], wrong[:-1]
    if usual <= 0.0 or wrong.any():
        k = int(np.argmax(np.abs(steps - steps[0]) > _SAME * abs(steps[0])))
        raise ValueError(
            f"frames are {steps.min():.10g} to {steps.max():.10g} {_CLOCKS[clock]} apart (frame {k} is of "
            f"{times[k]:.10g}, frame {k + 1} of {times[k + 1]:.10g}), and equal intervals are needed: give the frames "
            "of one interval, and none twice, as a file of their own, or leave others out at the start by --skip-ps"
        )
    return frames, usual


def _alike(one: Atoms, other: Atoms) -> bool:
    return one.positions.shape == other.positions.shape and np.allclose(one.positions, other.positions, atol=1e-3)


def _after(frames: list[Atoms], skip_ps: float, interval_ps: float | None) -> list[Atoms]:
    """Leave out the start, by the given interval or by the frames' own time; where there is neither, nothing."""
    if interval_ps is not None:
        times = interval_ps * np.arange(len(frames))
    elif all("time_ps" in frame.info for frame in frames):
        times = np.array([frame.info["time_ps"] - frames[0].info["time_ps"] for frame in frames])
    else:
        return frames
    if times[-1] < skip_ps:
        raise ValueError(f"skip_ps = {skip_ps:g} leaves nothing of {times[-1]:g} ps; skip less")
    return frames[int(np.argmax(times >= skip_ps - 1e-9 * max(skip_ps, 1.0))) :]


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
