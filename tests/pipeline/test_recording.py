"""What a stage writes down as it goes, and what it continues from."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from ase.build import bulk
from lammps_here import needs_lammps
from toys import LennardJones, Told

from amorph.meltquench import QuenchSchedule, Segment, melt_quench
from amorph.parameters import parse
from amorph.pipeline.recording import read_thermo, record_dynamics, record_relaxation, sampled_frames
from amorph.relaxation import relax
from amorph.run import (
    RunDirectory,
    Stopped,
    StopRequest,
    Work,
    read_checkpoint,
    read_json,
    read_structure,
    sha256_of,
    structure_text,
    write_checkpoint,
    write_json,
)

HOLD = QuenchSchedule((Segment("hold", "NVT", 60.0, 60.0, 0.02),))
DYNAMICS = parse(melt_quench, {"schedule": HOLD, "sample_every": 5})
MINIMISATION = parse(relax, {"fmax": 1e-9, "max_steps": 20})


class Argon(LennardJones):
    """Asks the run to stop at a force call, or fails there."""

    def __init__(self, work=None, at=-1):
        super().__init__(cutoff=6.0)
        self.work, self.at = work, at

    def evaluate(self, atoms):
        if self.evaluations == self.at:
            if self.work is None:
                raise RuntimeError("the power is gone")
            self.work.stop.by = "SIGTERM"
        return super().evaluate(atoms)


def molten(stage, atoms, calculator, work):
    record_dynamics(stage, atoms, calculator, np.random.default_rng(1), work)


def relaxed(stage, atoms, calculator, work):
    record_relaxation(stage, atoms, calculator, work)


BOTH = pytest.mark.parametrize(("do", "parameters"), [(molten, DYNAMICS), (relaxed, MINIMISATION)])


@pytest.fixture
def source(tmp_path):
    """The input of the stage."""
    atoms = bulk("Ar", a=5.4, cubic=True)
    atoms.rattle(0.1, seed=1)
    (tmp_path / "input.extxyz").write_bytes(structure_text(atoms))
    return tmp_path / "input.extxyz"


def begin(source, do, parameters, *, work=None, at=-1, force=False):
    """Do the stage, or a part of it until `work` says stop; returns it and its figures."""
    with RunDirectory(source.parent / "run", {}, {}, force=force) as run:
        stage = run.stage("1_stage", parameters, {"structure": source})
        do(stage, read_structure(source), Argon(work, at), work or Work())
        return stage, stage.finish(Told(), started=0.0)


def stopped(source, do, parameters):
    with pytest.raises(Stopped):
        begin(source, do, parameters, work=Work(), at=6)
    assert read_checkpoint(source.parent / "run/1_stage")["step"] > 0


# what a checkpoint was made for


@BOTH
@pytest.mark.parametrize("force", [False, True])
def test_a_stage_begun_from_another_input_is_not_continued(source, do, parameters, force):
    stopped(source, do, parameters)
    source.write_bytes(source.read_bytes().replace(b"Ar", b"Kr"))
    message = (
        r"begun from another input: inputs\.structure .*, start\.formula 'Ar4' there, 'Kr4' here.*; remove .* redo"
    )
    with pytest.raises(ValueError, match=message):
        begin(source, do, parameters, force=force)


@BOTH
def test_a_stage_handed_other_atoms_than_its_checkpoint_is_not_continued(source, do, parameters):
    with RunDirectory(source.parent / "run", {}, {}) as run:
        stage, atoms, work = run.stage("1_stage", parameters), read_structure(source), Work()
        with pytest.raises(Stopped):
            do(stage, atoms, Argon(work, 6), work)
        atoms.positions[0, 0] += 0.01
        with pytest.raises(ValueError, match=r"begun from another input: start\.sha256 "):
            do(stage, atoms, Argon(), Work())


@BOTH
def test_a_stage_begun_with_other_parameters_goes_on_by_force_and_from_then_on_without(source, do, parameters, caplog):
    stopped(source, do, parameters)
    key, value = ("sample_every", 4) if "sample_every" in parameters else ("fmax", 2e-9)
    other = {**parameters, key: value}
    changed = rf"begun with other parameters: parameters\.{key} {parameters[key]} there, {value} here"
    with pytest.raises(ValueError, match=changed + "; remove .* or continue it all the same with --force"):
        begin(source, do, other)
    with pytest.raises(RuntimeError, match="the power is gone"):
        begin(source, do, other, at=1, force=True)
    assert f"parameters.{key} {parameters[key]} there, {value} here" in caplog.text
    caplog.clear()
    begin(source, do, other)
    assert "other parameters" not in caplog.text


@BOTH
def test_a_checkpoint_that_does_not_say_what_it_was_made_for_is_refused(source, do, parameters):
    stopped(source, do, parameters)
    folder = source.parent / "run/1_stage"
    saved = read_checkpoint(folder)
    del saved["made_for"]
    write_checkpoint(folder, saved)
    with pytest.raises(ValueError, match=r"does not say what it was made for; remove .* to redo it"):
        begin(source, do, parameters)


def test_what_is_no_number_does_not_become_a_checkpoint(source, monkeypatch):
    class Broken(Argon):
        def evaluate(self, atoms):
            energy, forces, virial = super().evaluate(atoms)
            return energy, forces * (np.nan if self.evaluations == 9 else 1.0), virial

    def work(stage, atoms, _calculator, work):
        molten(stage, atoms, Broken(), work)

    monkeypatch.setattr("amorph.meltquench.stability.Stability.check", lambda *_: None)  # which should have seen it
    with pytest.raises(RuntimeError, match=r"momenta at step \d of stage is no number.*check the calculator"):
        begin(source, work, DYNAMICS, work=Work(checkpoint_minutes=1e-9))
    assert np.isfinite(read_checkpoint(source.parent / "run/1_stage")["positions"]).all()


def test_a_log_that_nobody_can_read_does_not_keep_a_run_from_stopping(monkeypatch):
    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr("amorph.pipeline.recording.log.info", gone)
    with pytest.raises(Stopped, match="stopped by SIGTERM here; run the same command again"):
        StopRequest(by="SIGTERM").check("here")


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"another"), lambda path: path.unlink()])
def test_the_mark_has_the_input_that_was_read(source, change):
    digest = sha256_of(source)

    def work(stage, atoms, calculator, work):
        molten(stage, atoms, calculator, work)
        change(source)

    stage, _ = begin(source, work, DYNAMICS)
    assert f'"structure": "{digest}"' in (stage.directory / "stage.json").read_text()


def test_a_stage_begun_before_a_parameter_was_there_goes_on(source):
    stopped(source, molten, DYNAMICS)
    folder = source.parent / "run/1_stage"
    saved = read_checkpoint(folder)
    made_for = json.loads(str(saved["made_for"]))
    del made_for["parameters"]["engine"]
    write_checkpoint(folder, saved | {"made_for": np.array(json.dumps(made_for))})
    begin(source, molten, DYNAMICS)
    mark = folder / "stage.json"
    record = read_json(mark)
    del record["parameters"]["engine"]
    write_json(mark, record)
    with RunDirectory(source.parent / "run", {}, {}) as run:
        assert run.stage("1_stage", DYNAMICS, {"structure": source}).look() is not None
        with pytest.raises(ValueError, match=r"made with other parameters: engine nothing there, 'lammps' here"):
            run.stage("1_stage", {**DYNAMICS, "engine": "lammps"}, {"structure": source}).look()


# in LAMMPS


@needs_lammps
def test_a_stage_in_lammps_is_stopped_and_continued(source):
    parameters = {**DYNAMICS, "engine": "lammps"}
    stopped(source, molten, parameters)
    stage, _ = begin(source, molten, parameters)
    assert [row.step for row in read_thermo(stage.directory / "thermo.csv")] == [0, 5, 10, 15, 20]
    assert len(list(sampled_frames(stage.directory / "trajectory.extxyz"))) == 5


# another calculator


@BOTH
def test_forces_that_are_not_those_of_the_checkpoint_are_refused_and_forced_on(source, caplog, do, parameters):
    stopped(source, do, parameters)
    with RunDirectory(source.parent / "run", {}, {}) as run:
        stage = run.stage("1_stage", parameters, {"structure": source})
        with pytest.raises(ValueError, match=r"other (forces|energy) than .*, .* eV.* apart; .*--force"):
            do(stage, read_structure(source), LennardJones(epsilon=0.02, cutoff=6.0), Work())
    with RunDirectory(source.parent / "run", {}, {}, force=True) as run:
        stage = run.stage("1_stage", parameters, {"structure": source})
        do(stage, read_structure(source), LennardJones(epsilon=0.02, cutoff=6.0), Work())
    assert "it is continued by force" in caplog.text


class Pressed(Argon):
    """Argon with another stress and the same forces."""

    def evaluate(self, atoms):
        energy, forces, virial = super().evaluate(atoms)
        return energy, forces, virial + 0.1 * np.eye(3)


PRESSED = QuenchSchedule((Segment("hold", "NPT", 60.0, 60.0, 0.02),))
REFUSED = pytest.raises(ValueError, match=r"other stress .* 0\.[01].* GPa apart")


@pytest.mark.parametrize(
    ("do", "parameters", "outcome"),
    [
        (molten, DYNAMICS, nullcontext()),
        (molten, parse(melt_quench, {"schedule": PRESSED, "sample_every": 5}), REFUSED),
        (relaxed, MINIMISATION, nullcontext()),
        (relaxed, parse(relax, {"fmax": 1e-9, "max_steps": 20, "cell": "free"}), REFUSED),
    ],
)
def test_another_stress_is_refused_where_it_moves_the_cell(source, do, parameters, outcome):
    stopped(source, do, parameters)
    with RunDirectory(source.parent / "run", {}, {}) as run, outcome:
        do(run.stage("1_stage", parameters, {"structure": source}), read_structure(source), Pressed(), Work())


def test_a_trajectory_that_was_edited_since_its_checkpoint_is_told(source):
    stopped(source, molten, DYNAMICS)
    path = source.parent / "run/1_stage/trajectory.extxyz"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(ValueError, match=r"trajectory\.extxyz holds other bytes than those that its checkpoint knows"):
        begin(source, molten, DYNAMICS)


def test_frames_are_read_one_at_a_time_and_a_broken_line_names_its_file(source):
    begin(source, molten, DYNAMICS)
    path = source.parent / "run/1_stage/trajectory.extxyz"
    frames = sampled_frames(path)
    assert next(frames).get_chemical_formula() == "Ar4"
    assert len(list(frames)) == 4
    path.write_text(path.read_text().replace("Ar ", "Qq ", 5))
    with pytest.raises(ValueError, match=r"trajectory\.extxyz is damaged .*redo the stage"):
        list(sampled_frames(path))
    (path.parent / "thermo.csv").write_text("step,time_ps\n0,x\n")
    with pytest.raises(ValueError, match=r"thermo\.csv is damaged"):
        read_thermo(path.parent / "thermo.csv")
