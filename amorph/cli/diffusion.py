"""The verb of transport: diffusion."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.transport import Arrhenius, Diffusion, arrhenius, diffusion as measure
from amorph.cli.flags import takes
from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show, show_json, start
from amorph.export import writer_for
from amorph.export.charts import CHART_WRITERS, diffusion_charts, write_charts
from amorph.figures import plain
from amorph.parameters import arguments_of
from amorph.pipeline.mobility import MEASURED
from amorph.progress import Progress
from amorph.reading import read_trajectory
from amorph.run import make_folder, read_json, read_run_toml, write_csv

log = logging.getLogger(__name__)

TRAJECTORY = "trajectory.extxyz"


@takes(measure, read_trajectory, skip=("temperature_K",))
def diffusion(
    files: Annotated[
        list[Path],
        Parameter(help="Trajectories, each at one temperature, or folders of a run's stages that hold one."),
    ],
    /,
    *,
    frame_interval_ps: Annotated[
        float | None, Parameter(help="Time between frames [ps], where the file does not say.")
    ] = None,
    temperature_k: Annotated[
        list[float] | None,
        Parameter(consume_multiple=True, negative_iterable=(), help="Temperature of each file [K], if it says none."),
    ] = None,
    skip_ps: Annotated[float, Parameter(help="Time at the start of each file that is left out [ps].")] = 0.0,
    element: Annotated[
        str | None, Parameter(help="Element of the activation energy; by default the one that moves fastest.")
    ] = None,
    langevin: Annotated[
        bool,
        Parameter(negative="", help="Measure Langevin dynamics too, although its friction slows what is measured."),
    ] = False,
    curves: Annotated[Path | None, Parameter(help="Folder for every curve as CSV.")] = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Does the ion move? Diffusion, conductivity and, of several temperatures, the activation energy, with intervals.

    Where no diffusion is seen, the most that it can be is given in its place. The name of --output chooses the format
    of the figure: pdf, svg or png.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, CHART_WRITERS, "figure"))
    if temperature_k is not None and len(temperature_k) != len(files):
        raise ValueError(f"{len(temperature_k)} temperatures for {len(files)} files; give one for each")
    if skip_ps < 0.0:
        raise ValueError(f"skip_ps = {skip_ps:g} must be at least 0")
    progress = None if quiet else Progress(visible=True).task
    measured: dict[str, Diffusion] = {}
    for number, given in enumerate(files):
        file = _trajectory(given)
        frames = read_trajectory(file, **arguments_of(read_trajectory, parameters))
        try:
            measuring = [frame for frame in frames if frame.info.get("segment") == MEASURED]
            frames, interval = _timed(measuring or frames, frame_interval_ps, skip_ps)
            _check_ensembles(file, frames, langevin=langevin, told=temperature_k is not None)
            temperature = _temperature(frames) if temperature_k is None else temperature_k[number]
            measured[str(given)] = measure(
                frames,
                frame_interval_ps=interval,
                temperature_K=temperature,
                progress=progress,
                **{k: v for k, v in arguments_of(measure, parameters).items() if v is not None},
            )
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    found = list(measured.values())
    line = None
    if len({one.temperature_K for one in found} - {None}) > 1 or (element is not None and len(found) > 1):
        line = arrhenius(found, element or _fastest(found))
    if curves is not None:
        make_folder(curves)
        for name, rows in _curves(measured).items():
            write_csv(curves / f"{name}.csv", rows)
    if output is not None:
        write_charts(output, diffusion_charts(measured, line))
    if json:
        figures = found[0].figures() if len(found) == 1 else {"files": {k: v.figures() for k, v in measured.items()}}
        show_json(figures | ({} if line is None else line.figures()) | {"file": output, "curves": curves})
    elif not quiet:
        _show(measured, line)
        written = [str(path) for path in (output, curves) if path is not None]
        say(f"written to {' and '.join(written)}" if written else "nothing written: -o FILE draws, --curves DIR keeps")


def _trajectory(path: Path) -> Path:
    """Find the trajectory of a stage's folder."""
    if not path.is_dir():
        return path
    if (path / TRAJECTORY).exists():
        return path / TRAJECTORY
    inside = sorted(str(found.parent) for found in path.glob(f"*/{TRAJECTORY}"))
    if len(inside) != 1:
        remedy = f"give the folder of one: {', '.join(inside)}" if inside else "give a trajectory"
        raise ValueError(f"{path} has {len(inside)} stages with a trajectory; {remedy}")
    return Path(inside[0]) / TRAJECTORY


def _timed(frames: list[Atoms], interval_ps: float | None, skip_ps: float) -> tuple[list[Atoms], float]:
    """Leave out the start, and find the time between the frames."""
    times = [frame.info.get("time_ps") for frame in frames]
    if interval_ps is not None:
        if not interval_ps > 0.0:
            raise ValueError(f"frame_interval_ps = {interval_ps:g} must be above 0")
        return _after(frames, skip_ps, interval_ps), interval_ps
    if len(frames) < 2 or any(time is None for time in times):
        raise ValueError("the frames do not say when they were; give --frame-interval-ps")
    steps = np.diff(np.array(times, dtype=float))
    usual = float(np.median(steps))
    if len(steps) > 1 and abs(steps[-1] - usual) > 1e-6:  # the last step of a run is kept whenever it comes
        frames, steps = frames[:-1], steps[:-1]
    if usual <= 0.0 or np.abs(steps - usual).max() > 1e-6 * max(usual, 1.0):
        raise ValueError(
            f"frames are {steps.min():g} to {steps.max():g} ps apart, and equal intervals are needed; give them, or "
            "say --frame-interval-ps"
        )
    return _after(frames, skip_ps, usual), usual


def _after(frames: list[Atoms], skip_ps: float, interval_ps: float) -> list[Atoms]:
    skipped = int(np.ceil(skip_ps / interval_ps - 1e-9))
    if skipped >= len(frames):
        raise ValueError(f"skip_ps = {skip_ps:g} leaves nothing of {(len(frames) - 1) * interval_ps:g} ps; skip less")
    return frames[skipped:]


def _temperature(frames: Sequence[Atoms]) -> float | None:
    """Find the one target temperature of the frames, where they say it."""
    targets = {float(frame.info["target_K"]) for frame in frames if "target_K" in frame.info}
    if len(targets) > 1:
        raise ValueError(
            f"the target temperature goes from {max(targets):g} to {min(targets):g} K: diffusion is measured at one; "
            "leave the ramp out with --skip-ps, or give a trajectory of constant temperature"
        )
    return targets.pop() if targets else None


def _check_ensembles(file: Path, frames: Sequence[Atoms], *, langevin: bool, told: bool) -> None:
    """Refuse segments that run.toml calls NVT, which is Langevin there, and NVE ones whose temperature nobody told."""
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


def _fastest(measured: Sequence[Diffusion]) -> str:
    """Find the element that moves fastest in the hottest trajectory."""
    hottest = max(measured, key=lambda one: one.temperature_K or 0.0)
    return max(hottest.ions, key=lambda symbol: hottest.ions[symbol].diffusivity_cm2_s or 0.0)


def _curves(measured: Mapping[str, Diffusion]) -> dict[str, list[dict[str, Any]]]:
    """Give every curve as rows: displacements by lag, and the van Hove function by distance."""
    tables: dict[str, list[dict[str, Any]]] = {"displacements": [], "van_hove": []}
    for file, one in measured.items():
        for element, ion in one.ions.items():
            about = {"file": file, "element": element}
            tables["displacements"] += [
                about | dict(zip(ion.curves, values, strict=True))
                for values in zip(*plain(ion.curves).values(), strict=True)
            ]
            r_A, *rest = ion.van_hove
            tables["van_hove"] += [
                about | {"lag_ps": lag.removesuffix("_ps"), "r_A": r, "per_A": value}
                for lag in rest
                for r, value in zip(ion.van_hove[r_A].tolist(), ion.van_hove[lag].tolist(), strict=True)
            ]
    return tables


def _show(measured: Mapping[str, Diffusion], line: Arrhenius | None) -> None:
    for name, one in measured.items():
        at = "" if one.temperature_K is None else f", {one.temperature_K:g} K"
        show(one.table(), title=f"{name}: {one.duration_ps:g} ps, a frame every {one.frame_interval_ps:g} ps{at}")
        if unseen := [symbol for symbol, ion in one.ions.items() if ion.diffusivity_cm2_s is None]:
            say(f"no diffusion of {', '.join(unseen)} is seen: D is at most what stands below 'to'")
        say("")
    if line is not None:
        show(line.table(), title=f"{line.element} at {', '.join(f'{t:g}' for t in line.temperatures_K)} K")
        if line.left_out_K:
            say(f"left out, no diffusion seen: {', '.join(f'{t:g}' for t in line.left_out_K)} K")
        say("")
