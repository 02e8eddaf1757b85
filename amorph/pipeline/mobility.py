"""Does the ion move, and does its host bear the heat? Dynamics at each temperature, and the line through them."""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from annotated_types import MinLen
from ase import Atoms

from amorph.analysis.crystallinity import Crystallinity, crystallinity, displaced_shares, displacements
from amorph.analysis.transport import Arrhenius, Diffusion, diffusion as measure, fit_arrhenius
from amorph.analysis.transport.regression import FEWEST_FRAMES
from amorph.calculators import calculator_name
from amorph.figures import restored
from amorph.meltquench import QuenchSchedule, Segment
from amorph.parameters import Count, Duration, Kelvin, Timestep, checked
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
JUDGED: Final = 10
"""Frames at the end over which the structure is judged."""
CAGE: Final = 0.5
"""Share of the distance to its nearest neighbor from which an atom has left its place."""
DISPLACED: Final = 0.05
"""Share of an element's atoms that may have left theirs in a host that survives."""
SINGLE: Final = 1
"""Atoms of an element that may have, whatever their share: one hop says nothing of a network."""


@checked
def diffusion(
    *,
    temperatures_K: Annotated[tuple[Kelvin, ...], MinLen(1)],
    duration_ps: Duration,
    equilibration_ps: Duration = 2.0,
    thermostat: Literal["Bussi", "NVE"] = "Bussi",
    timestep_fs: Timestep = 2.0,
    sample_every: Count = 10,
    seeds: Count | None = None,
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
    seeds
        Number of runs at each temperature, each with velocities of its own, and D there is their mean; 1 by default.
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
    if (frames := last // every - first // every) < FEWEST_FRAMES:
        raise ValueError(
            f"duration_ps = {table['duration_ps']:g} in [diffusion] leaves {frames} frames to measure, and "
            f"{FEWEST_FRAMES} are needed; measure for longer, or lower sample_every"
        )
    return {"schedule": schedule, "sample_every": every, "ion": ion}


def mobility_stage(
    stage: Stage, atoms: Atoms, setting: Setting, *, mobile: Set[str] = frozenset(), seed: int = 1
) -> Mobility:
    """Run the dynamics at one temperature, from its checkpoint where there is one, and measure what moved.

    No host are the element of the ion and the `mobile` ones; `seed` counts the runs at this temperature.
    """
    record_dynamics(stage, atoms, setting.calculator, setting.rng(stage.name), setting.work)
    schedule = stage.parameters["schedule"]
    result = found_in(
        stage.directory,
        atoms,
        stage.parameters["ion"],
        schedule.target_K(schedule.steps),
        stage.parameters["sample_every"],
        schedule.timestep_fs,
        model=calculator_name(setting.calculator),
        melted=setting.melted,
        mobile=mobile,
        seed=seed,
        progress=setting.work.progress.task,
    )
    write_json(stage.directory / MOBILITY, result.figures())
    stands = "stands" if result.survives else f"does not: {result.reason}"
    log.info("%s: %s; the host %s", stage.name, result.text, stands)
    return result


def found_in(
    folder: Path,
    atoms: Atoms,
    ion: str,
    asked_K: float,
    every: int,
    timestep_fs: float,
    *,
    model: str,
    melted: bool | None,
    mobile: Set[str] = frozenset(),
    seed: int = 1,
    progress: Task | None = None,
) -> Mobility:
    """Measure dynamics that a folder holds, which began with these atoms: what moved, and whether the host stands."""
    element = parse_ion(ion).element
    mobile = mobile | {element}
    counted = _counted(folder, every)
    ends = Ends(counted.number, len(atoms))
    found = _measured(ends.watched(counted.frames), ion, 1e-3 * timestep_fs * every, counted.kelvin, progress)
    moved, _ = displacements(atoms, list(ends.last))
    after = crystallinity(list(ends.last), melted=melted)
    left = displaced_shares(atoms, ends.before, ends.after, mobile=mobile, beyond=CAGE)
    faults = _faults(left, Counter(atoms.symbols), crystallinity(atoms, melted=melted), after)
    moving = found.ions[element]
    return Mobility(
        model,
        element,
        asked_K,
        counted.kelvin,
        found.duration_ps,
        moving.diffusivity_cm2_s,
        moving.standard_error,
        moving.interval_95,
        moving.upper_limit_cm2_s,
        moving.conductivity_S_per_cm,
        {symbol: square for symbol, square in moved.items() if symbol not in mobile},
        not faults,
        "; ".join(faults)
        or f"of no element of it more than {DISPLACED:.0%} of the atoms, or more than one, have left their places",
        after,
        left,
        found.figures()["ions"],
        seed,
        1e3 * counted.energy_change_eV / len(atoms),
        1e3 * counted.energy_error_eV / len(atoms),
    )


class Ends:
    """How so many frames begin and end: mean places over the first and the last quarter, and the last frames."""

    def __init__(self, frames: int, atoms: int) -> None:
        self._frames, self._quarter = frames, frames // 4
        self.before, self.after = np.zeros((2, atoms, 3))
        self.last = deque[Atoms](maxlen=JUDGED)

    def watched(self, frames: Iterable[Atoms]) -> Iterator[Atoms]:
        """Hand the frames on and keep what they are judged by."""
        for number, frame in enumerate(frames):
            if number < self._quarter:
                self.before += frame.positions / self._quarter
            if number >= self._frames - self._quarter:
                self.after += frame.positions / self._quarter
            self.last.append(frame)
            yield frame


def motion_found(figures: Mapping[str, Any]) -> tuple[dict[str, Mobility], Arrhenius | None]:
    """Read back what the stages of one structure found, by their names, and the line through it."""
    found = {name: restored(Mobility, figures[name]) for name in figures if name.startswith("diffusion_")}
    return found, restored(Activation, figures["activation"]).line if found else None


def measured_again(folder: Path) -> Diffusion:
    """Measure the dynamics of a finished stage again, which keeps their trajectory and no curves."""
    made = read_json(folder / "stage.json")["parameters"]
    counted, interval_ps = _counted(folder, made["sample_every"]), 1e-3 * made["schedule"]["timestep_fs"]
    return _measured(counted.frames, made["ion"], interval_ps * made["sample_every"], counted.kelvin)


class Counted(NamedTuple):
    """What a folder holds of the time in which displacements count."""

    kelvin: float
    """Mean kinetic temperature [K]."""
    energy_change_eV: float
    """Mean potential energy of its last quarter less that of its first [eV]."""
    energy_error_eV: float
    """Its standard error, of the means of four blocks in each [eV]."""
    number: int
    """Number of its frames."""
    frames: Iterator[Atoms]
    """Its frames."""


def _counted(folder: Path, every: int) -> Counted:
    rows = read_thermo(folder / "thermo.csv")
    counts = [row.segment == MEASURED and row.step % every == 0 for row in rows]  # not a last step between two samples
    measured = [row for row in rows if row.segment == MEASURED]
    energies = np.array([row.potential_energy_eV for row in measured])
    blocks = np.array([block.mean() for block in np.array_split(energies, 16)])
    pairs = zip(sampled_frames(folder / "trajectory.extxyz"), counts, strict=True)
    return Counted(
        float(np.mean([row.temperature_K for row in measured])),
        float(blocks[-4:].mean() - blocks[:4].mean()),
        float(np.hypot(blocks[-4:].std(ddof=1), blocks[:4].std(ddof=1))) / 2.0,
        sum(counts),
        (frame for frame, counted in pairs if counted),
    )


def _measured(
    frames: Iterable[Atoms], ion: str, interval_ps: float, kelvin: float, progress: Task | None = None
) -> Diffusion:
    charge = parse_ion(ion)
    return measure(
        frames,
        frame_interval_ps=interval_ps,
        temperature_K=kelvin,
        charges={charge.element: charge.charge},
        progress=progress,
    )


def _faults(
    left: Mapping[str, float], counts: Mapping[str, int], before: Crystallinity, after: Crystallinity
) -> list[str]:
    """Say what has become of the host: an element of it that has left its places, an order that is another."""
    faults = [
        f"{share:.0%} of {symbol} have left their places, more than {DISPLACED:.0%}"
        for symbol, share in left.items()
        if share > DISPLACED and round(share * counts[symbol]) > SINGLE
    ]
    if before.is_disordered != after.is_disordered:
        faults.append(f"its crystal order {'is lost' if after.is_disordered else 'has grown'}: {after.reason}")
    return faults


def activation_stage(stage: Stage, _: Atoms, setting: Setting) -> Activation:
    """Lay a line through the temperatures that the host survives."""
    element = parse_ion(stage.parameters["ion"]).element
    found = [restored(Mobility, read_json(path)) for role, path in stage.inputs.items() if role != "structure"]
    temperatures = dict.fromkeys(one.temperature_K for one in found)
    runs = [[one for one in found if one.temperature_K == kelvin] for kelvin in temperatures]
    standing = [same for same in runs if all(one.survives for one in same)]
    fallen = [same[0].temperature_K for same in runs if not all(one.survives for one in same)]
    points = [_mean_of(same) for same in standing if not _unseen(same)]
    try:
        line, reason = fit_arrhenius(element, points, [_limit_of(same) for same in standing if _unseen(same)]), ""
    except ValueError as error:
        line, reason = None, str(error)
    result = Activation(element, line, reason, fallen)
    log.info("%s: %s", stage.name, result.text)
    return result


def _unseen(runs: Sequence[Mobility]) -> bool:
    """Say whether one of the runs at one temperature shows no diffusion: the others' mean would be the lucky ones'."""
    return any(one.diffusivity_cm2_s is None or one.standard_error is None for one in runs)


def _mean_of(runs: Sequence[Mobility]) -> tuple[float, float, float]:
    """Give temperature, mean D and its standard error of runs at one temperature, all of which show one."""
    values, errors = np.array([(one.diffusivity_cm2_s, one.standard_error) for one in runs], dtype=float).T
    spread = float(np.std(values, ddof=1)) / len(runs) ** 0.5 if len(runs) > 1 else 0.0
    error = max(float(np.linalg.norm(errors)) / len(runs), spread)
    return _kelvin(runs), float(values.mean()), error


def _limit_of(runs: Sequence[Mobility]) -> tuple[float, float]:
    """Give temperature, and what the mean D of runs at one temperature is at most."""
    most = [one.upper_limit_cm2_s if one.interval_95 is None else one.interval_95[1] for one in runs]
    return _kelvin(runs), float(np.mean(np.array(most, dtype=float)))


def _kelvin(runs: Sequence[Mobility]) -> float:
    return float(np.mean([one.measured_K for one in runs]))
