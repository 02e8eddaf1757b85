"""The verb of transport: diffusion."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.analysis.transport import Arrhenius, Diffusion, arrhenius, diffusion as measure
from amorph.cli.flags import takes
from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import density_of, say, show, show_json, start
from amorph.export import writer_for
from amorph.export.charts import CHART_WRITERS, diffusion_charts, write_charts
from amorph.figures import plain
from amorph.parameters import arguments_of
from amorph.progress import Progress
from amorph.reading import one_by_one, read_trajectory
from amorph.report import check_ensembles, target_temperature, timed
from amorph.run import make_folder, write_csv

log = logging.getLogger(__name__)

TRAJECTORY = "trajectory.extxyz"
TOLD_APART = 0.1
"""Share by which a temperature that is given differs from the file's where it is told."""


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
    if twice := next((file for number, file in enumerate(files) if file in files[:number]), None):
        raise ValueError(f"{twice} is given twice; give each trajectory once")
    if skip_ps < 0.0:
        raise ValueError(f"skip_ps = {skip_ps:g} must be at least 0")
    progress = None if quiet else Progress(visible=True).task
    measured: dict[str, Diffusion] = {}
    densities: dict[str, dict[str, float]] = {}
    for number, given in enumerate(files):
        file = _trajectory(given)
        frames = read_trajectory(file, **arguments_of(read_trajectory, parameters))
        try:
            frames, interval = timed(frames, frame_interval_ps, skip_ps)
            check_ensembles(file, frames, langevin=langevin, told=temperature_k is not None)
            temperature = said = target_temperature(frames)
            if temperature_k is not None:
                temperature = temperature_k[number]
                if said is not None and abs(temperature / said - 1.0) > TOLD_APART:
                    log.warning("%s: %g K is given and counts, where the file says %g K", file, temperature, said)
            densities[str(given)] = density_of(*frames)
            measured[str(given)] = measure(
                one_by_one(frames),
                frame_interval_ps=interval,
                temperature_K=temperature,
                progress=progress,
                **{k: v for k, v in arguments_of(measure, parameters).items() if v is not None},
            )
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    if parameters.get("charges") and any(one.temperature_K is None for one in measured.values()):
        log.warning("no conductivity without a temperature; give --temperature-k")
    line = _line(list(measured.values()), element)
    if curves is not None:
        make_folder(curves)
        for name, rows in _curves(measured).items():
            write_csv(curves / f"{name}.csv", rows)
    if output is not None:
        write_charts(output, diffusion_charts(measured, line))
    if json:
        show_json(_figures(measured, densities, line) | {"file": output, "curves": curves})
    elif not quiet:
        _show(measured, densities, line)
        written = [str(path) for path in (output, curves) if path is not None]
        say(f"written to {' and '.join(written)}" if written else "nothing written: -o FILE draws, --curves DIR keeps")


def _line(found: Sequence[Diffusion], element: str | None) -> Arrhenius | None:
    """Fit the activation energy where there are several temperatures, or where its element is asked for."""
    if element is not None and (without := next((one for one in found if element not in one.ions), None)):
        raise ValueError(f"element = '{element}' is not there; the elements are {', '.join(without.ions)}")
    if len({one.temperature_K for one in found} - {None}) < 2 and (element is None or len(found) < 2):
        return None
    try:
        line = arrhenius(found, element or _fastest(found))
    except ValueError as error:
        if element is not None and any(one.temperature_K is None for one in found):
            raise
        log.warning("no activation energy: %s", error)
        return None
    if line.caveat:
        log.warning("%s", line.caveat)
    return line


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


def _figures(
    measured: Mapping[str, Diffusion], densities: Mapping[str, Mapping[str, float]], line: Arrhenius | None
) -> dict[str, Any]:
    """Give those of one file, or of several each by its name, and of the line through them."""
    each = {name: {**one.figures(), **densities[name]} for name, one in measured.items()}
    figures = next(iter(each.values())) if len(each) == 1 else {"files": each}
    return figures | ({} if line is None else line.figures())


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


def _show(
    measured: Mapping[str, Diffusion], densities: Mapping[str, Mapping[str, float]], line: Arrhenius | None
) -> None:
    for name, one in measured.items():
        at = "" if one.temperature_K is None else f", {one.temperature_K:g} K"
        at += f", {densities[name]['density_g_cm3']:.3f} g/cm³"
        show(one.table(), title=f"{name}: {one.duration_ps:g} ps, a frame every {one.frame_interval_ps:g} ps{at}")
        if unseen := [symbol for symbol, ion in one.ions.items() if ion.diffusivity_cm2_s is None]:
            say(f"no diffusion of {', '.join(unseen)} is seen: D is at most what stands below 'to'")
        if one.joint_conductivity_interval_95 is not None:
            low, high = one.joint_conductivity_interval_95
            value = one.joint_conductivity_S_per_cm
            say(f"conductivity of all charges together {value:.3g} ({low:.2g} to {high:.2g}) S/cm")
        say("")
    if line is not None:
        show(line.table(), title=f"{line.element} at {', '.join(f'{t:g}' for t in line.temperatures_K)} K")
        if line.left_out_K:
            say(f"left out, no diffusion seen: {', '.join(f'{t:g}' for t in line.left_out_K)} K")
        say("")
