"""Does the ion move, and does its host bear the heat? Dynamics at each temperature, and the line through them."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Gt, MinLen
from ase import Atoms

from amorph.analysis.crystallinity import Crystallinity, crystallinity, displacements
from amorph.analysis.transport import Arrhenius, Diffusion, diffusion as measure, fit_arrhenius
from amorph.calculators import calculator_name
from amorph.figures import restored
from amorph.meltquench import QuenchSchedule, Segment
from amorph.parameters import Count, Duration, Unit, checked
from amorph.pipeline.recording import read_thermo, record_dynamics, sampled_frames
from amorph.pipeline.results import Activation, Mobility
from amorph.pipeline.stages import Setting
from amorph.progress import Task
from amorph.run import Stage, read_json, write_json
from amorph.tables import parse_ion

log = logging.getLogger(__name__)

MOBILITY: Final = "mobility.json"
"""What the dynamics at one temperature found, beside its trajectory."""
MEASURED: Final = "measure"
"""Name of the segment in which displacements count."""
RELAXATION_PS: Final = 0.1
"""Time in which Bussi's thermostat relaxes the kinetic energy [ps]."""
FRAMES: Final = 32
"""Frames that a diffusion coefficient needs."""
JUDGED: Final = 10
"""Frames at the end over which the structure is judged."""
CAGE: Final = 0.5
"""Share of the distance to its nearest neighbor from which an atom has left its place; a melt is at 1."""

Kelvin = Annotated[float, Gt(0), Unit("K")]


@checked
def diffusion(
    *,
    temperatures_K: Annotated[tuple[Kelvin, ...], MinLen(1)],
    duration_ps: Duration,
    equilibration_ps: Duration = 2.0,
    thermostat: Literal["Bussi", "NVE"] = "Bussi",
    timestep_fs: Annotated[float, Gt(0), Unit("fs")] = 2.0,
    sample_every: Count = 10,
    host: bool = True,
) -> None:
    """Measure how the ion moves, by dynamics of the relaxed cell at several temperatures.

    Parameters
    ----------
    temperatures_K
        Temperatures, each measured from the cell as it stands there, the exchanged one relaxed and the host
        equilibrated, with velocities of its own; two that show diffusion give an activation energy.
    duration_ps
        Time that is measured at each.
    equilibration_ps
        Time before it, with Bussi's thermostat, that is left out.
    thermostat
        Bussi (velocity rescaling) or NVE while it is measured.
    timestep_fs
        Time step.
    sample_every
        Steps between the frames kept.
    host
        Measure the ion that is exchanged in the unexchanged host too.
    """


def at_temperature(table: Mapping[str, Any], kelvin: float, ion: str) -> dict[str, Any]:
    """Give the parameters of the dynamics at one temperature of a study.

    Raises
    ------
    ValueError
        Too few frames would be measured.
    """
    schedule = QuenchSchedule(
        (
            Segment("equilibrate", "Bussi", kelvin, kelvin, table["equilibration_ps"]),
            Segment(MEASURED, table["thermostat"], kelvin, kelvin, table["duration_ps"]),
        ),
        timestep_fs=table["timestep_fs"],
        damping_time_ps=RELAXATION_PS,
    )
    first, last = schedule.spans[1]
    every = table["sample_every"]
    if (frames := last // every - first // every) < FRAMES:
        raise ValueError(
            f"duration_ps = {table['duration_ps']:g} in [diffusion] leaves {frames} frames to measure, and {FRAMES} "
            "are needed; measure for longer, or lower sample_every"
        )
    return {"schedule": schedule, "sample_every": every, "ion": ion}


def mobility_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Mobility:
    """Run the dynamics at one temperature, from its checkpoint where there is one, and measure what moved."""
    schedule, every = stage.parameters["schedule"], stage.parameters["sample_every"]
    element = parse_ion(stage.parameters["ion"]).element
    record_dynamics(stage, atoms, setting.calculator, setting.rng(stage.name), setting.work)
    last = deque[Atoms](maxlen=JUDGED)
    found = _measured(
        stage.directory, stage.parameters["ion"], every, schedule.time_ps(every), last, setting.work.progress.task
    )
    assert found.temperature_K is not None  # given above
    moved, _ = displacements(atoms, list(last))
    after = crystallinity(list(last), melted=setting.melted)
    faults = _faults(atoms, element, list(last), after)
    mobile = found.ions[element]
    result = Mobility(
        calculator_name(setting.calculator),
        element,
        schedule.target_K(schedule.steps),
        found.temperature_K,
        found.duration_ps,
        mobile.diffusivity_cm2_s,
        mobile.standard_error,
        mobile.interval_95,
        mobile.upper_limit_cm2_s,
        mobile.conductivity_S_per_cm,
        {symbol: square for symbol, square in moved.items() if symbol != element},
        not faults,
        "; ".join(faults) or f"no element of it moves by more than {CAGE:g} of its nearest distance, root mean square",
        after,
        found.figures()["ions"],
    )
    write_json(stage.directory / MOBILITY, result.figures())
    log.info("%s: %s; the host %s", stage.name, result.text, "stands" if not faults else f"does not: {result.reason}")
    return result


def motion_found(figures: Mapping[str, Any]) -> tuple[dict[str, Mobility], Arrhenius | None]:
    """Read back what the stages of one structure found, by their names, and the line through it."""
    found = {name: restored(Mobility, figures[name]) for name in figures if name.startswith("diffusion_")}
    return found, restored(Activation, figures["activation"]).line if found else None


def measured_again(folder: Path) -> Diffusion:
    """Measure the dynamics of a finished stage again, which keeps their trajectory and no curves."""
    made = read_json(folder / "stage.json")["parameters"]
    every = made["sample_every"]
    return _measured(folder, made["ion"], every, 1e-3 * made["schedule"]["timestep_fs"] * every)


def _measured(
    folder: Path,
    ion: str,
    every: int,
    interval_ps: float,
    last: deque[Atoms] | None = None,
    progress: Task | None = None,
) -> Diffusion:
    """Measure the displacements of a trajectory; the last of its frames are kept in `last`."""
    rows = read_thermo(folder / "thermo.csv")
    kelvin = float(np.mean([row.temperature_K for row in rows if row.segment == MEASURED]))

    def measured() -> Iterator[Atoms]:
        for frame, row in zip(sampled_frames(folder / "trajectory.extxyz"), rows, strict=True):
            if row.segment == MEASURED and row.step % every == 0:  # the last step may lie between two samples
                if last is not None:
                    last.append(frame)
                yield frame

    charge = parse_ion(ion)
    return measure(
        measured(),
        frame_interval_ps=interval_ps,
        temperature_K=kelvin,
        charges={charge.element: charge.charge},
        progress=progress,
    )


def _faults(atoms: Atoms, element: str, last: list[Atoms], after: Crystallinity) -> list[str]:
    """Say what has become of the host: an element of it that has left its places, an order that is another."""
    before = crystallinity(atoms, melted=after.melted)
    moved, needed = displacements(atoms, last)
    faults = [
        f"{symbol} has moved by {square:.2f} Å², above {limit:.2f}"
        for symbol, square in moved.items()
        if symbol != element and square > (limit := CAGE**2 * needed[symbol])
    ]
    if before.is_disordered != after.is_disordered:
        faults.append(f"its crystal order {'is lost' if after.is_disordered else 'has grown'}: {after.reason}")
    return faults


def activation_stage(stage: Stage, _: Atoms, setting: Setting) -> Activation:
    """Lay a line through the temperatures that the host survives."""
    element = parse_ion(stage.parameters["ion"]).element
    measured = [restored(Mobility, read_json(path)) for role, path in stage.inputs.items() if role != "structure"]
    standing = [one for one in measured if one.survives]
    fallen = [one.temperature_K for one in measured if not one.survives]
    points = [
        (one.measured_K, one.diffusivity_cm2_s, one.standard_error)
        for one in standing
        if one.diffusivity_cm2_s is not None and one.standard_error is not None
    ]
    unseen = [one.measured_K for one in standing if one.diffusivity_cm2_s is None]
    try:
        line, reason = fit_arrhenius(element, points, unseen), ""
    except ValueError as error:
        line, reason = None, str(error)
    result = Activation(element, line, reason, fallen)
    log.info("%s: %s", stage.name, result.text)
    return result
