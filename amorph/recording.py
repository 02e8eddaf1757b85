"""Dynamics and relaxations that write down what they do, and continue from their checkpoint."""

import contextlib
import csv
import hashlib
import io
import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from amorph.durable import appended, read_checkpoint, write_atomically, write_checkpoint
from amorph.dynamics import DynamicsState, Frame, Thermo, dynamics
from amorph.progress import Progress
from amorph.relaxation import Relaxed, RelaxFrame, RelaxState, relaxation
from amorph.run import Stage, difference, structure_text
from amorph.schedule import named

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The run stopped where the same command continues it."""


@dataclass
class StopRequest:
    """Whether the run is to stop after the step at hand, and who asked.

    Asking takes no lock, so that a signal may do it at any moment, a second one in the midst of the first.
    """

    by: str = ""
    """Name of the signal or the limit; empty as long as the run may go on."""
    max_hours: float | None = None
    """Wall time after which the run stops by itself, counted from here [h]."""
    ends_process: bool = False
    """Whether the process ends when the run has stopped, as a command does: until then signals are passed over."""

    def __post_init__(self) -> None:
        if self.max_hours is not None and not 0 < self.max_hours < math.inf:
            raise ValueError(f"max_hours = {self.max_hours:g} h must be above 0; leave it out for a run without limit")
        self._end = None if self.max_hours is None else time.monotonic() + 3600.0 * self.max_hours

    @property
    def asked(self) -> bool:
        """Whether a signal came, or the time is up."""
        if not self.by and self._end is not None and time.monotonic() >= self._end:
            self.by = f"the limit of {self.max_hours:g} h"
        return bool(self.by)

    def check(self, where: str) -> None:
        """Stop here, where the same command continues, if that was asked for.

        Raises
        ------
        Stopped
            It was.
        """
        if self.asked:
            with contextlib.suppress(OSError):  # whoever listens to the log may be gone
                log.info("%s: stopped %s", self.by, where)
            raise Stopped(f"stopped by {self.by} {where}; run the same command again to continue")


@dataclass(frozen=True)
class Work:
    """What the stages of one process share."""

    progress: Progress = field(default_factory=Progress)
    stop: StopRequest = field(default_factory=StopRequest)
    checkpoint_minutes: float = 5.0
    """Wall time between checkpoints [min]."""


def record_dynamics(
    stage: Stage, atoms: Atoms, calculator: BaseCalculator, rng: np.random.Generator, work: Work
) -> None:
    """Run molecular dynamics into a stage's folder, from its checkpoint where there is one.

    Raises
    ------
    ValueError
        The checkpoint was made for something else.
    Stopped
        A stop was asked for; the checkpoint is written.
    """
    schedule, sample_every = named(stage.parameters["schedule"]), stage.parameters["sample_every"]
    checkpoints = _Checkpoints(stage, atoms, work)
    saved = checkpoints.read()
    state = None if saved is None else DynamicsState.from_arrays(saved)
    trajectory_size, thermo_size = (0, 0) if saved is None else (int(n) for n in saved["sizes"])
    if state is not None:
        log.info("%s: continuing after step %d of %d", stage.name, state.step, schedule.steps)
    done = 0 if state is None else state.step
    with (
        appended(stage.directory / "trajectory.extxyz", trajectory_size) as trajectory,
        appended(stage.directory / "thermo.csv", thermo_size) as table,
        work.progress.task(stage.name, schedule.steps, done=done) as update,
    ):
        for frame in dynamics(atoms, calculator, schedule, rng=rng, state=state):
            if state is not None and frame.step == state.step:
                continue  # sampled before the checkpoint
            if frame.step % sample_every == 0 or frame.step == schedule.steps:
                thermo = frame.thermo()
                table.append(_csv_rows([asdict(thermo)], header=frame.step == 0))
                trajectory.append(structure_text(_sampled(frame)).decode())
                update(frame.step, f"{thermo.temperature_K:.0f} K, {thermo.pressure_GPa:.1f} GPa")
            else:
                update(frame.step, f"{frame.target_K:.0f} K wanted")
            if frame.step < schedule.steps and checkpoints.due():
                sizes = np.array([trajectory.sync(), table.sync()])
                checkpoints.save({**frame.state().to_arrays(), "sizes": sizes}, frame.step)


def record_relaxation(stage: Stage, atoms: Atoms, calculator: BaseCalculator, work: Work) -> Relaxed:
    """Minimise the energy into a stage's folder, from its checkpoint where there is one.

    Raises
    ------
    ValueError
        The checkpoint was made for something else.
    Stopped
        A stop was asked for; the checkpoint is written.
    """
    checkpoints = _Checkpoints(stage, atoms, work)
    saved = checkpoints.read()
    state = None if saved is None else RelaxState.from_arrays(saved)
    size = 0 if saved is None else int(saved["size"])
    if state is not None:
        log.info("%s: continuing after step %d", stage.name, state.step)
    done = 0 if state is None else state.step
    last: RelaxFrame | None = None
    with (
        appended(stage.directory / "relaxation.csv", size) as table,
        work.progress.task(stage.name, stage.parameters["max_steps"], done=done) as update,
    ):
        for frame in relaxation(atoms, calculator, **stage.parameters, state=state):
            last = frame
            if state is None or frame.step > state.step:
                row = {key: getattr(frame, key) for key in _RELAX_COLUMNS}
                table.append(_csv_rows([row], header=frame.step == 0))
            update(frame.step, f"largest force {frame.max_force:.3f} eV/Å, stress {frame.stress_residual_GPa:.2f} GPa")
            if not frame.converged and frame.step < stage.parameters["max_steps"] and checkpoints.due():
                checkpoints.save({**frame.state().to_arrays(), "size": np.array(table.sync())}, frame.step)
        assert last is not None  # a relaxation yields its start at least
        return last.result()


_RELAX_COLUMNS = ("step", "energy_eV", "max_force", "pressure_GPa", "stress_residual_GPa")


class _Checkpoints:
    """Reads a stage's checkpoint, decides when it writes one, and stops it where that was asked for."""

    def __init__(self, stage: Stage, atoms: Atoms, work: Work) -> None:
        self.stage, self.work, self.last = stage, work, time.monotonic()
        digest = hashlib.sha256(structure_text(atoms)).hexdigest()
        self.made_for = {**stage.made_for, "start": {"formula": atoms.get_chemical_formula(), "sha256": digest}}

    def read(self) -> dict[str, NDArray[Any]] | None:
        """Return the newest checkpoint of this very stage; None where there is none.

        Raises
        ------
        ValueError
            It was made from another input, or with other parameters (unless forced).
        """
        saved = read_checkpoint(self.stage.directory)
        if saved is None:
            return None
        remedy = f"remove {self.stage.directory} to redo it"
        if "made_for" not in saved:
            raise ValueError(f"the checkpoint in {self.stage.directory} does not say what it was made for; {remedy}")
        made_for = json.loads(str(saved["made_for"]))
        if made_for == self.made_for:
            return saved
        changed = difference(made_for, self.made_for)
        # The study's own record has what was forced; a structure half made from another one is no structure of either.
        if {**made_for, "parameters": None} != {**self.made_for, "parameters": None}:
            raise ValueError(f"{self.stage.directory} was begun from another input: {changed}; {remedy}")
        if not self.stage.force:
            raise ValueError(
                f"{self.stage.directory} was begun with other parameters: {changed}; {remedy}, or continue it all the "
                "same with --force"
            )
        log.warning("%s is continued, although begun with other parameters: %s", self.stage.directory, changed)
        self._write(saved)  # from now on without force
        return saved

    def due(self) -> bool:
        return self.work.stop.asked or time.monotonic() - self.last > 60.0 * self.work.checkpoint_minutes

    def save(self, arrays: Mapping[str, NDArray[Any]], step: int) -> None:
        """Write the checkpoint of a step.

        Raises
        ------
        RuntimeError
            It holds what is no number: the one before is worth more.
        """
        for name, values in arrays.items():
            if values.dtype.kind == "f" and np.isnan(values).any():  # a minimiser begins with an infinite energy
                raise RuntimeError(
                    f"{name.replace('_', ' ')} at step {step} of {self.stage.name} is no number, so no checkpoint is "
                    "written; the same command continues from the one before, check the calculator"
                )
        self._write(arrays)
        self.last = time.monotonic()
        self.work.stop.check(f"after step {step} of {self.stage.name}")

    def _write(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        write_checkpoint(self.stage.directory, {**arrays, "made_for": np.array(json.dumps(self.made_for))})


def _sampled(frame: Frame) -> Atoms:
    """Frame as the trajectory keeps it: positions without momenta, and when it was."""
    atoms = frame.snapshot()
    atoms.set_momenta(None)
    atoms.info |= {"step": frame.step, "time_ps": frame.time_ps, "segment": frame.segment, "target_K": frame.target_K}
    return atoms


def _csv_rows(rows: list[dict[str, Any]], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all."""
    write_atomically(path, _csv_rows(rows, header=True).encode())


def read_thermo(path: Path) -> list[Thermo]:
    """Read the rows of thermo.csv back."""
    kinds = Thermo.__annotations__
    with path.open(encoding="utf-8", newline="") as file:
        return [Thermo(**{key: kinds[key](value) for key, value in row.items()}) for row in csv.DictReader(file)]
