"""Dynamics and relaxations that write down what they do, and continue from their checkpoint."""

import contextlib
import csv
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixCom
from numpy.typing import NDArray

from amorph.calculators import GPA_PER_EV_A3
from amorph.meltquench import DynamicsState, Frame, Thermo, named
from amorph.meltquench.dynamics import dynamics
from amorph.reading.files import sound
from amorph.relaxation import Relaxed, RelaxFrame, RelaxState, relaxation
from amorph.run import Checkpoints, Stage, Work, appended, csv_rows, structure_text

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

FORCE_TOLERANCE = 1e-3
"""Deviation of forces [eV/Å], and relative one, above which another model made a checkpoint; a processor or a number of
threads changes last digits only."""
ENERGY_TOLERANCE = 1e-3
"""Such a deviation of the energy of a relaxation [eV per atom]."""
STRESS_TOLERANCE = 0.01
"""Such a deviation of the stress that moves a cell [GPa], and relative one: a sum of many forces, it scatters more."""


def record_dynamics(
    stage: Stage, atoms: Atoms, calculator: BaseCalculator, rng: np.random.Generator, work: Work
) -> None:
    """Run molecular dynamics into a stage's folder, from its checkpoint where there is one."""
    schedule, sample_every = named(stage.parameters["schedule"]), stage.parameters["sample_every"]
    checkpoints = Checkpoints(stage, atoms, work)
    saved = checkpoints.read()
    state = None if saved is None else DynamicsState.from_arrays(saved)
    grown: list[Any] = [(), ()]  # the sizes of the two files and, since there are checksums, those
    if saved is not None:
        grown = list(zip(saved["sizes"].tolist(), saved.get("sha256", np.array(["", ""])).tolist(), strict=True))
    if state is not None:
        log.info("%s: continuing after step %d of %d", stage.name, state.step, schedule.steps)
        _check_state(stage, atoms, calculator, state)
    done = 0 if state is None else state.step
    with (
        appended(stage.directory / "trajectory.extxyz", *grown[0]) as trajectory,
        appended(stage.directory / "thermo.csv", *grown[1]) as table,
        work.progress.task(stage.name, schedule.steps, done=done) as update,
    ):
        engine = stage.parameters.get("engine")
        for frame in dynamics(atoms, calculator, schedule, rng=rng, engine=engine, state=state):
            if state is not None and frame.step == state.step:
                continue  # sampled before the checkpoint
            if frame.step % sample_every == 0 or frame.step == schedule.steps:
                thermo = frame.thermo()
                table.append(csv_rows([asdict(thermo)], header=frame.step == 0))
                trajectory.append(structure_text(_sampled(frame)).decode())
                update(frame.step, f"{thermo.temperature_K:.0f} K, {thermo.pressure_GPa:.1f} GPa")
            else:
                update(frame.step, f"{frame.target_K:.0f} K wanted")
            if frame.step < schedule.steps and checkpoints.due():
                sizes = {"sizes": np.array([trajectory.sync(), table.sync()])}
                digests = {"sha256": np.array([trajectory.sha256, table.sha256])}
                checkpoints.save({**frame.state().to_arrays(), **sizes, **digests}, frame.step)


def _check_state(stage: Stage, atoms: Atoms, calculator: BaseCalculator, state: DynamicsState) -> None:
    """Check that a calculator gives a checkpoint's forces, without the net force, and under a barostat its stress."""
    trial = Atoms(atoms.numbers, positions=state.positions, cell=state.cell, pbc=True, calculator=calculator)
    trial.arrays.update({name: array.copy() for name, array in atoms.arrays.items() if name not in trial.arrays})
    found, kept = trial.get_forces(), state.forces.copy()
    for forces in (found, kept):
        FixCom().adjust_forces(trial, forces)  # the net force, which the dynamics takes off
    _check_forces(stage, found, kept)
    if state.chains:
        _check_stress(stage, trial, state.chains["virial_stress"])


def _check_forces(stage: Stage, found: Array, kept: Array) -> None:
    """Refuse, unless forced, to continue with a calculator whose forces are not those of the checkpoint."""
    apart, largest = float(np.abs(found - kept).max()), float(np.abs(kept).max())
    if not apart <= FORCE_TOLERANCE * (1.0 + largest):
        _refuse_another(stage, "forces", f"{apart:.3g} eV/Å")


def _check_stress(stage: Stage, atoms: Atoms, kept: Array) -> None:
    """Do so with another stress, where it moves the cell."""
    apart = GPA_PER_EV_A3 * float(np.abs(atoms.get_stress(voigt=False) - kept).max())
    if not apart <= STRESS_TOLERANCE * (1.0 + GPA_PER_EV_A3 * float(np.abs(kept).max())):
        _refuse_another(stage, "stress", f"{apart:.3g} GPa")


def _check_relaxed(stage: Stage, frame: RelaxFrame, saved: Mapping[str, Array]) -> None:
    """Do so in a relaxation, whose forces say little once they are small: its energy too."""
    if "forces" not in saved:  # a checkpoint of before
        return
    _check_forces(stage, frame.atoms.get_forces(), saved["forces"])
    apart = abs(frame.energy_eV - float(saved["energy"])) / len(frame.atoms)
    if not apart <= ENERGY_TOLERANCE:
        _refuse_another(stage, "energy", f"{apart:.3g} eV per atom")
    if "stress" in saved:
        _check_stress(stage, frame.atoms, saved["stress"])


def _refuse_another(stage: Stage, what: str, apart: str) -> None:
    said = f"{stage.name}'s checkpoint has other {what} than the calculator gives, {apart} apart"
    if not stage.force:
        raise ValueError(f"{said}; take the calculator that it began with, or continue all the same with --force")
    log.warning("%s; it is continued by force", said)


def record_relaxation(stage: Stage, atoms: Atoms, calculator: BaseCalculator, work: Work) -> Relaxed:
    """Minimise the energy into a stage's folder, from its checkpoint where there is one."""
    checkpoints = Checkpoints(stage, atoms, work)
    saved = checkpoints.read()
    state = None if saved is None else RelaxState.from_arrays(saved)
    grown = () if saved is None else (int(saved["size"]), str(saved.get("sha256", "")))
    if state is not None:
        log.info("%s: continuing after step %d", stage.name, state.step)
    done = 0 if state is None else state.step
    last: RelaxFrame | None = None
    with (
        appended(stage.directory / "relaxation.csv", *grown) as table,
        work.progress.task(stage.name, stage.parameters["max_steps"], done=done) as update,
    ):
        for frame in relaxation(atoms, calculator, **stage.parameters, state=state):
            last = frame
            if saved is not None and state is not None and frame.step == state.step:
                _check_relaxed(stage, frame, saved)
            if state is None or frame.step > state.step:
                row = {key: getattr(frame, key) for key in _RELAX_COLUMNS}
                table.append(csv_rows([row], header=frame.step == 0))
            update(frame.step, f"largest force {frame.max_force:.3f} eV/Å, stress {frame.stress_residual_GPa:.2f} GPa")
            if not frame.converged and frame.step < stage.parameters["max_steps"] and checkpoints.due():
                written = {"size": np.array(table.sync()), "sha256": np.array(table.sha256)}
                found = {"forces": frame.atoms.get_forces(), "energy": np.array(frame.energy_eV)}
                if stage.parameters["cell"] != "fixed":
                    found["stress"] = frame.atoms.get_stress(voigt=False)
                checkpoints.save({**frame.state().to_arrays(), **found, **written}, frame.step)
        assert last is not None  # a relaxation yields its start at least
        return last.result()


_RELAX_COLUMNS = ("step", "energy_eV", "max_force", "pressure_GPa", "stress_residual_GPa")


def _sampled(frame: Frame) -> Atoms:
    """Frame as the trajectory keeps it: positions without momenta, and when it was."""
    atoms = frame.snapshot()
    atoms.set_momenta(None)
    atoms.info |= {"step": frame.step, "time_ps": frame.time_ps, "segment": frame.segment, "target_K": frame.target_K}
    return atoms


def read_thermo(path: Path) -> list[Thermo]:
    """Read the rows of thermo.csv back."""
    kinds = Thermo.__annotations__
    with path.open(encoding="utf-8", newline="") as file, _named(path):
        return [Thermo(**{key: kinds[key](value) for key, value in row.items()}) for row in csv.DictReader(file)]


def sampled_frames(path: Path) -> Iterator[Atoms]:
    """Read the frames of trajectory.extxyz back, one at a time: all of a long run at once may not fit in the memory."""
    with path.open(encoding="utf-8") as file, _named(path):
        for number, frame in enumerate(ase.io.iread(file, index=":", format="extxyz")):
            yield sound(path, frame, f"frame {number}: ")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error of its content."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise ValueError(
            f"{path} is damaged ({' '.join(str(error).split())}); remove the folder {path.parent} to redo the stage"
        ) from error
