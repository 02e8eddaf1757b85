"""Members in processes of this machine: each once, whatever is killed."""

import contextlib
import csv
import fcntl
import io
import json
import os
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from toy_ensemble import HERE, content_of, states, wait_for, write_files
from toy_run import assert_same

from amorph.chgnet import CHGNetCalculator
from amorph.cli import main
from amorph.ensemble.engines.local import Slot, _child_of, _environment, own_gpus, run_local, slots_of
from amorph.ensemble.plan import prepare, read_ensemble
from amorph.ensemble.status import member_names, member_status
from amorph.ensemble.summary import Statistics, summarize_ensemble
from amorph.run.lock import locked

FIRST = ["000_000", "000_001"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An ensemble that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    write_files(folder, vary="")
    words = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all")]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.chdir(HERE)
        patch.setenv("GIT_DIR", "/nonexistent")
        status = main(words)
    return folder / "all", status, said.getvalue()


def test_an_ensemble_finishes_and_its_members_are_ordinary_runs(whole):
    directory, status, said = whole
    assert status in (0, 4)
    assert set(states(directory)) <= {"done", "check failed"}
    assert member_names(directory) == FIRST
    assert "2 members: " in said
    seeds = {json.loads((directory / name / "2_melt_quench/stage.json").read_text())["outputs"]["structure.extxyz"]
             for name in FIRST}  # fmt: skip
    assert len(seeds) == 2


@pytest.mark.slow
def test_killed_members_and_a_killed_driver_cost_nothing(whole, folder, command):
    write_files(folder, vary="")
    directory = folder / "all"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        wait_for((directory / "000_000/2_melt_quench/thermo.csv").exists)
        member = member_status(directory, "000_000")
        assert member.state == "running"
        assert member.stage == "2_melt_quench"
        os.kill(int(member.note.split()[1]), signal.SIGKILL)
        wait_for(lambda: "running" in states(directory)[1:])
        driver.kill()
    # the death of the driver asks its members to stop
    wait_for(lambda: "running" not in states(directory), 60)
    assert "interrupted" in states(directory)
    assert main(command[3:]) == whole[1]
    assert_same(content_of(directory), content_of(whole[0]))


def test_a_signal_stops_the_members_with_checkpoints(whole, folder, command):
    write_files(folder, vary="", slower=4)
    directory = folder / "all"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as driver:
        wait_for((directory / "000_000/2_melt_quench/thermo.csv").exists)
        driver.send_signal(signal.SIGTERM)
        said = driver.communicate(timeout=60)[1]
    assert driver.returncode == 3
    assert "amorph: stopped by SIGTERM; run the same command again to continue" in said
    assert "running" not in states(directory)
    assert (directory / "000_000/2_melt_quench/checkpoint.npz").exists()
    before = {path: path.stat().st_mtime_ns for path in whole[0].rglob("stage.json")}
    write_files(folder, vary="")
    assert main([*command[3:-1], str(whole[0])]) == whole[1]  # all done: nothing is run again
    assert {path: path.stat().st_mtime_ns for path in whole[0].rglob("stage.json")} == before


@pytest.mark.slow
def test_a_member_that_fails_is_named_and_the_others_go_on(folder, command, capsys):
    # a time step so long that the melt blows up
    text = '[ensemble]\nstudy = "study.toml"\n[vary]\nmelt_quench.schedule.timestep_fs = [2.0, 20.0]\n'
    (folder / "ensemble.toml").write_text(text)
    (folder / "study.toml").write_text((folder / "study.toml").read_text().replace("= 7", "= 1"))
    assert main(command[3:]) == 1
    said = capsys.readouterr().err
    assert "1 of 2 members failed; 001_000: amorph: " in said
    assert "the run is unstable; reduce timestep_fs (now 20)" in said
    assert states(folder / "all")[0] in {"done", "check failed"}
    assert states(folder / "all")[1] == "interrupted"


# two drivers, and what lies there


@pytest.fixture
def members(folder):
    """An ensemble of two members, prepared, with nothing run."""
    write_files(folder, vary="")
    plan = read_ensemble(folder / "ensemble.toml")
    prepare(plan, folder / "all")
    return plan.members, folder / "all"


def write_summary(run, **figures):
    run.mkdir(exist_ok=True)
    (run / "summary.json").write_text(json.dumps({"failed": [], "notes": [], "comparison": []} | figures))


@pytest.mark.parametrize("status", [2, -9])  # refused, since another driver's process held the lock; killed at its end
def test_a_member_that_is_done_counts_whatever_its_process_says(members, monkeypatch, status):
    (first, second), directory = members

    class Ended:
        """A process beside which the member was finished."""

        def __init__(self, name, directory, slot):
            self.slot, self.name = slot, name
            write_summary(directory / name)

        def ended(self):
            return {self.name: status}, True

    monkeypatch.setattr("amorph.ensemble.engines.local.MemberProcess", Ended)
    outcome = run_local([first, second], directory, workers=1)
    assert outcome.finished == FIRST
    assert not outcome.failed


def test_a_member_that_another_driver_finished_meanwhile_is_not_begun(members, monkeypatch):
    (first, second), directory = members
    begun = []

    class Ended:
        def __init__(self, name, directory, slot):
            self.slot, self.name = slot, name
            begun.append(name)
            for each in FIRST:  # this one's work, and that of the other driver
                write_summary(directory / each)

        def ended(self):
            return {self.name: 0}, True

    monkeypatch.setattr("amorph.ensemble.engines.local.MemberProcess", Ended)
    assert run_local([first, second], directory, workers=1).finished == FIRST
    assert begun == FIRST[:1]


def test_a_driver_beside_another_says_what_it_left_and_keeps_its_log(members, command, monkeypatch, capsys):
    _, directory = members
    monkeypatch.setattr("amorph.ensemble.engines.waiting.PATIENCE", 0.5)
    log = directory / "logs/000_000.log"
    log.write_text("said before\n")
    for name in FIRST:
        write_summary(directory / name)
    (directory / FIRST[1] / "lock").write_text("pid 1 on elsewhere\n")
    with (directory / FIRST[1] / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(command[3:]) == 3
    said = "another process works on 000_001; run the same command again when it has ended"
    assert said in capsys.readouterr().err
    assert log.read_text() == "said before\n"


def test_members_that_a_killed_driver_left_behind_are_run_when_they_have_stopped(members, monkeypatch):
    (first, second), directory = members
    (directory / FIRST[0]).mkdir()
    lock = (directory / FIRST[0] / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    begun = []

    class Ended:
        def __init__(self, name, directory, slot):
            self.slot, self.name = slot, name
            begun.append(name)
            write_summary(directory / name)
            lock.close()  # while the other member ran

        def ended(self):
            return {self.name: 0}, True

    monkeypatch.setattr("amorph.ensemble.engines.local.MemberProcess", Ended)
    outcome = run_local([first, second], directory, workers=1)
    assert begun == FIRST[::-1]
    assert outcome.finished == begun
    assert not outcome.elsewhere


def test_a_member_that_stopped_by_itself_is_named_with_its_word(command, monkeypatch, capsys):
    class Ended:
        def __init__(self, name, directory, slot):
            self.slot, self.name = slot, name
            (directory / name).mkdir()
            (directory / name / "run.toml").touch()
            (directory / "logs" / f"{name}.log").write_text("amorph: run VASP in here, then the same command again\n")

        def ended(self):
            return {self.name: 3}, True

    monkeypatch.setattr("amorph.ensemble.engines.local.MemberProcess", Ended)
    assert main(command[3:]) == 3
    said = "4 of 4 members stopped; 000_000: run VASP in here, then the same command again"
    assert said in capsys.readouterr().err


def test_a_member_takes_no_more_threads_than_its_share(monkeypatch):
    slot = slots_of(None, 9)[0]
    for name, value in _environment(replace(slot, threads=1)).items():
        monkeypatch.setenv(name, value)
    assert CHGNetCalculator(device="cpu").threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "999,2")
    assert CHGNetCalculator(device="cpu").threads <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("said", "threads"),
    [
        ({}, "444"),
        ({"OMP": "1"}, "111"),
        ({"OMP": "9"}, "444"),
        ({"MKL": "2"}, "424"),
        ({"OMP": "3", "NUMBA": "2"}, "332"),
    ],
)
def test_a_member_takes_no_more_threads_than_the_environment_allows(monkeypatch, said, threads):
    for name in (names := ("OMP", "MKL", "NUMBA")):
        monkeypatch.delenv(f"{name}_NUM_THREADS", raising=False)
    for name, value in said.items():
        monkeypatch.setenv(f"{name}_NUM_THREADS", value)
    made = _environment(Slot((0, 1, 2, 3), None))
    assert "".join(made[f"{name}_NUM_THREADS"] for name in names) == threads


def test_a_child_whose_parent_died_before_its_program_began_ends_at_once():
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # as a driver has one, which a child inherits till then
    try:
        child = subprocess.Popen(
            ["sleep", "60"],
            preexec_fn=_child_of(1, tuple(os.sched_getaffinity(0))),  # noqa: PLW1509 (another parent than it has)
        )
        assert child.wait(20) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_whose_lock_was_removed_still_runs(members):
    _, directory = members
    run = directory / FIRST[0]
    run.mkdir()
    with locked(run):
        assert states(directory) == ["running", "waiting"]
        (run / "lock").unlink()
        assert states(directory) == ["running", "waiting"]
        (run / "lock").touch()  # as a second process leaves it that was refused
        assert states(directory) == ["running", "waiting"]
    assert states(directory) == ["waiting", "waiting"]


@pytest.mark.parametrize("text", ["{}", "[]", '{"failed": 3, "comparison": []}', '{"failed": ['])
def test_a_damaged_summary_is_none(members, text):
    _, directory = members
    (directory / FIRST[0]).mkdir()
    (directory / FIRST[0] / "run.toml").touch()
    (directory / FIRST[0] / "summary.json").write_text(text)
    assert states(directory) == ["interrupted", "waiting"]
    assert summarize_ensemble(directory).missing == tuple(FIRST)


def test_members_with_and_without_a_control_are_averaged_apart(members):
    _, directory = members
    volume = {"figure": "cell volume", "unit": "Å³"}
    write_summary(directory / FIRST[0], comparison=[volume | {"glass": 12.0, "± sd": 2.0, "crystal": 8.0}])
    write_summary(directory / FIRST[1], comparison=[volume | {"glass": 10.0}])
    rows = {row["structure"]: row for row in summarize_ensemble(directory).table() if row["figure"] == "cell volume"}
    # replicas of a member are no members: their mean counts once
    assert (rows["glass"]["n"], rows["glass"]["mean"]) == (2, 11.0)
    assert (rows["crystal"]["n"], rows["crystal"]["mean"], rows["crystal"]["low 95 %"]) == (1, 8.0, None)
    assert (rows["difference"]["n"], rows["difference"]["mean"]) == (1, 4.0)


def test_glass_and_crystal_of_one_member_are_compared_in_pairs(members):
    """What a cell's draw does to both falls out: each 4 Å³ roomier than its own crystal, whatever the draw."""
    _, directory = members
    for name, crystal in zip(FIRST, (8.0, 6.0), strict=True):
        row = {"figure": "cell volume", "unit": "Å³", "glass": crystal + 4.0, "crystal": crystal}
        write_summary(directory / name, comparison=[row])
    rows = {row["structure"]: row for row in summarize_ensemble(directory).table()}
    assert (rows["difference"]["mean"], rows["difference"]["low 95 %"], rows["difference"]["high 95 %"]) == (4, 4, 4)
    assert rows["glass"]["low 95 %"] < 8.0 < rows["crystal"]["high 95 %"]


def test_cores_and_gpus_are_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [slot.cores for slot in slots_of(3, 9)] == [(0, 1), (2, 3), (4, 5)]
    assert [slot.cores for slot in slots_of(None, 2)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert len(slots_of(None, 100)) == 8
    assert own_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5f")
    gpus = own_gpus()
    assert [(slot.gpu, len(slot.cores)) for slot in slots_of(None, 100, gpus=gpus)] == [("2", 4), ("GPU-5f", 4)]
    assert [slot.gpu for slot in slots_of(4, 100, gpus=gpus)] == ["2", "GPU-5f", "2", "GPU-5f"]
    # members in batches: one process for each GPU, or one with all cores
    slots = slots_of(None, 100, together=8, gpus=gpus)
    assert [(slot.gpu, len(slot.cores)) for slot in slots] == [("2", 4), ("GPU-5f", 4)]
    assert len(slots_of(None, 8, together=8, gpus=gpus)) == 1
    assert [slot.cores for slot in slots_of(None, 100, together=8)] == [(0, 1, 2, 3, 4, 5, 6, 7)]
    assert len(slots_of(2, 100, together=8)) == 2
    with pytest.raises(ValueError, match="workers = 9 on 8 cores; give at most one for each core"):
        slots_of(9, 100)


# the summary


def test_statistics_are_those_of_the_textbook():
    entry = Statistics({}, "f_V", "", "glass", (1.0, 2.0, 3.0, 4.0))
    assert entry.mean == 2.5
    assert entry.standard_deviation == pytest.approx(np.sqrt(5 / 3))
    assert entry.standard_error == pytest.approx(np.sqrt(5 / 12))
    # Student's t for 3 degrees of freedom and 95 %: 3.182446
    assert entry.interval == pytest.approx((2.5 - 3.182446 * np.sqrt(5 / 12), 2.5 + 3.182446 * np.sqrt(5 / 12)))
    assert Statistics({}, "f_V", "", "glass", (1.0,)).interval is None


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        low, high = Statistics({}, "x", "", "glass", tuple(rng.normal(3.0, 2.0, 5))).interval
        held += low < 3.0 < high
    assert held / 2000 == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 2000))


def test_only_glasses_are_averaged_and_the_others_are_listed(whole, tmp_path):
    directory = whole[0]
    summary = summarize_ensemble(directory)
    good = [name for name in FIRST if member_status(directory, name).state == "done"]
    assert set(summary.apart) == set(FIRST) - set(good)
    assert summary.missing == ()
    volumes = {}
    for name in good:
        figures = json.loads((directory / name / "summary.json").read_text())
        volumes.setdefault(name[:3], []).append(figures["exchanged"][0]["final_relax"]["cell_volume"])
    rows = [row for row in summary.table() if row["figure"] == "cell volume"]
    assert [row["mean"] for row in rows] == pytest.approx([np.mean(values) for values in volumes.values()])
    assert [row["n"] for row in rows] == [len(values) for values in volumes.values()]


def test_a_glass_that_is_none_counts_nowhere(whole, tmp_path):
    import shutil

    shutil.copytree(whole[0], tmp_path / "all")
    name = next(name for name in FIRST if member_status(tmp_path / "all", name).state == "done")
    path = tmp_path / "all" / name / "summary.json"
    figures = json.loads(path.read_text())
    figures["failed"] = ["not a glass: I/N² 0.5"]
    del figures["sha256"]  # as of before records had a checksum
    for row in figures["comparison"]:
        if row["figure"] == "cell volume":
            row["glass"] = 1e9
    path.write_text(json.dumps(figures))
    summary = summarize_ensemble(tmp_path / "all")
    assert summary.apart[name] == "not a glass: I/N² 0.5"
    assert max(row["mean"] for row in summary.table() if row["figure"] == "cell volume") < 1e6


def test_table_and_plot_are_written(whole, tmp_path):
    for name in ("summary.csv", "summary.png"):
        assert main(["ensemble", "summary", str(whole[0]), "-o", str(tmp_path / name), "--quiet"]) == 0
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["mean"]) == pytest.approx(summarize_ensemble(whole[0]).table()[0]["mean"])
    assert (tmp_path / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_no_ensemble_is_told(tmp_path, capsys):
    assert main(["ensemble", "status", str(tmp_path)]) == 2
    assert "holds no members.csv; give the --dir of amorph ensemble run" in capsys.readouterr().err
