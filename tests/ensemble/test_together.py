"""Members that advance together in one process leave what each would have left alone."""

import io
import os
import signal
import subprocess
import sys

import pytest
from toy_ensemble import HERE, STUDY, wait_for, write_files
from toy_run import assert_same, content
from toys import OneByOne

from amorph.cli import main
from amorph.ensemble.engines import local
from amorph.ensemble.engines.together import run_together
from amorph.ensemble.plan import prepare, read_ensemble
from amorph.ensemble.status import member_names, member_status
from amorph.pipeline import read_study, run_study
from amorph.run import StopRequest

NAMES = ["000_000", "000_001"]


def prepared(folder, *, vary="", study=STUDY):
    write_files(folder, vary)
    (folder / "study.toml").write_text(study)
    prepare(read_ensemble(folder / "ensemble.toml"), folder / "all")
    return folder / "all"


def together(directory, *, stop=None, names=NAMES):
    """Run the members together in this process; returns their exit statuses."""
    ended = {}
    run_together(names, directory, at_a_time=2, stop=stop or StopRequest(), report=ended.__setitem__)
    return ended


def alone(directory, name):
    run_study(read_study(directory / "studies" / f"{name}.toml"), directory / name)


def begun(directory):
    return all((directory / name / "2_melt_quench/thermo.csv").exists() for name in NAMES)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Members that ran one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        patch.setenv("GIT_DIR", "/nonexistent")
        directory = prepared(tmp_path_factory.mktemp("alone"))
        for name in NAMES:
            alone(directory, name)
        return directory


def assert_as_alone(directory, reference):
    for name in NAMES:
        assert_same(content(directory / name), content(reference / name))


def sizes_of_batches(monkeypatch):
    """How many structures each batch holds, as they come."""
    sizes, evaluate = [], OneByOne.evaluate

    def counted(batch, structures, properties):
        sizes.append(len(structures))
        return evaluate(batch, structures, properties)

    monkeypatch.setattr(OneByOne, "evaluate", counted)
    return sizes


def log_lines(directory, name):
    """What a member's log says, without the time and the place."""
    text = (directory / name / "run.log").read_text().replace(str(directory), "")
    return [line.split(" ", 2)[2] for line in text.splitlines()]


def test_members_run_together_leave_the_files_of_members_run_alone(reference, folder, monkeypatch):
    directory = prepared(folder)
    sizes = sizes_of_batches(monkeypatch)
    statuses = together(directory)
    assert sizes.count(2) > len(sizes) / 2
    assert set(statuses.values()) <= {0, 4}
    assert [member_status(directory, name).state for name in NAMES] == [
        "check failed" if statuses[name] else "done" for name in NAMES
    ]
    assert_as_alone(directory, reference)
    for name in NAMES:
        assert len(log_lines(directory, name)) > 10
        assert log_lines(directory, name) == log_lines(reference, name)


def test_members_with_a_repulsion_run_together_as_alone(folder):
    study = STUDY.replace('factory = "pageless:Ions"', 'factory = "toys:Ions"\nrepulsion = "zbl"')
    for name in ("together", "alone"):
        (folder / name).mkdir()
    directory, single = prepared(folder / "together", study=study), prepared(folder / "alone", study=study)
    assert set(together(directory).values()) <= {0, 4}
    assert "Ions + ZBL" in (directory / NAMES[0] / "summary.json").read_text()
    alone(single, NAMES[0])
    assert_same(content(directory / NAMES[0]), content(single / NAMES[0]))


@pytest.mark.slow
def test_a_killed_batch_is_continued_one_by_one_and_the_other_way_round(reference, folder, command):
    directory = prepared(folder)
    with subprocess.Popen(
        [*command, "--together", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        wait_for(lambda: begun(directory))
        owners = {member_status(directory, name).note.split()[1] for name in NAMES}
        assert len(owners) == 1  # one process
        os.kill(int(owners.pop()), signal.SIGKILL)
        said = driver.communicate(timeout=60)[1]
    assert driver.returncode == 1
    assert "2 of 2 members failed; 000_000: killed by signal 9" in said
    # one member goes on alone and is killed again, then both go on together
    single = [sys.executable, "-m", "amorph", "run", directory / "studies/000_000.toml", "--dir", directory / "000_000"]
    log = directory / "000_000/run.log"
    before = log.read_text().count("— ")
    with subprocess.Popen(single, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: log.read_text().count("— ") > before + 2)
        process.kill()
    alone(directory, "000_001")
    assert set(together(directory).values()) <= {0, 4}
    assert_as_alone(directory, reference)


@pytest.mark.slow
def test_a_signal_stops_every_member_with_a_checkpoint(reference, folder, command):
    directory = prepared(folder)
    with subprocess.Popen(
        [*command, "--together", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        wait_for(lambda: begun(directory))
        driver.send_signal(signal.SIGTERM)
        said = driver.communicate(timeout=60)[1]
    assert driver.returncode == 3
    assert "amorph: stopped by SIGTERM; run the same command again to continue" in said
    for name in NAMES:
        assert (directory / name / "2_melt_quench/checkpoint.npz").exists()
        assert "stopped by SIGTERM after step" in (directory / "logs" / f"{name}.log").read_text()
    alone(directory, NAMES[0])
    together(directory)
    assert_as_alone(directory, reference)


def test_a_member_that_fails_is_named_and_the_others_go_on(folder):
    unstable = "[vary]\nmelt_quench.schedule.timestep_fs = [2.0, 20.0]\n"
    directory = prepared(folder, vary=unstable, study=STUDY.replace("= 7", "= 1"))
    statuses = together(directory, names=["000_000", "001_000"])
    assert statuses["001_000"] == 1
    assert statuses["000_000"] in {0, 4}
    assert "the run is unstable; reduce timestep_fs (now 20)" in member_status(directory, "001_000").note


def test_members_that_wait_when_a_stop_is_asked_for_are_not_begun(folder):
    directory = prepared(folder)
    stop = StopRequest()
    stop.by = "SIGTERM"
    assert together(directory, stop=stop) == dict.fromkeys(NAMES, 3)
    assert "stopped by SIGTERM before 000_001" in (directory / "logs/000_001.log").read_text()
    assert not any((directory / name).exists() for name in member_names(directory))


def test_what_a_calculator_prints_goes_into_the_log(folder, command, tmp_path, monkeypatch):
    (tmp_path / "talkative.py").write_text(
        "import toys\nprint('12,345 parameters were read')\nclass Ions(toys.Toy):\n    pass  # evaluates nothing\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(HERE)]))
    directory = prepared(folder, study=STUDY.replace("pageless:Ions", "talkative:Ions"))
    assert main([*command[3:], "--together", "2"]) == 1
    assert "12,345 parameters were read" in (directory / "logs/together.log").read_text()


def test_a_death_takes_with_it_only_those_that_had_begun(folder, command, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    path = folder / "ensemble.toml"
    directory = prepared(folder)
    path.write_text(path.read_text().replace("members = 2", "members = 4"))
    plan = read_ensemble(path)
    prepare(plan, directory)
    for member in plan.members:  # interrupted in another turn
        (directory / member.name).mkdir()
        (directory / member.name / "run.toml").touch()
    batches = []

    class Process(local.MemberProcess):
        """A process that dies with its first two members, or goes through all."""

        ended = local._Together.ended

        def __init__(self, names, directory, slot, _at_a_time):
            self.slot, self._names, self._begun, self._said = slot, set(names), set(), b""
            self._output = io.BytesIO("".join(f"{name} begun\n" for name in names[:2]).encode())
            batches.append(names)
            self.status = -9 if len(batches) == 1 else 1

        def poll(self):
            return self.status

    monkeypatch.setattr(local, "_Together", Process)
    outcome = local.run_local(plan.members, directory, together=2)
    assert batches == [["000_000", "000_001", "000_002", "000_003"], ["000_002", "000_003"]]
    assert list(outcome.failed) == ["000_000", "000_001", "000_002", "000_003"]
    assert outcome.failed["000_000"] == "killed by signal 9"


def test_a_calculator_without_a_batch_and_bad_numbers_are_told(folder, monkeypatch, capsys):
    monkeypatch.delattr("toys.Toy.batch")
    directory = prepared(folder)
    assert set(together(directory).values()) == {1}
    assert "Ions evaluates one structure at a time" in (directory / "logs/000_000.log").read_text()
    flags = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(directory)]
    assert main([*flags, "--together", "0"]) == 2
    assert "together = 0 must be at least 1" in capsys.readouterr().err
    assert main([*flags, "--together", "2", "--engine", "slurm"]) == 2
    assert "together = 2 is for the local engine" in capsys.readouterr().err
