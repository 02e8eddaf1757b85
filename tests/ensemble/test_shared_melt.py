"""Quenches that share one melt: which snapshots they begin with, that nothing is lost, and what the errors count."""

import csv
import json
import os
import pty
import re
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from toy_ensemble import HERE, STUDY, write_files
from toy_run import assert_same, content

from amorph.analysis.decorrelation import effective_number
from amorph.cli import main
from amorph.ensemble.plan import check_snapshots, prepare, read_ensemble
from amorph.ensemble.shared_melt import snapshots_of
from amorph.ensemble.status import melt_names, member_names, member_status
from amorph.ensemble.summary import Statistics, summarize_ensemble
from amorph.pipeline import read_study, run_study
from amorph.pipeline.estimate import estimate
from amorph.run import Stopped, StopRequest, sha256_of

MELT = "[melt]\nduration_ps = 3.0\n"
QUENCH = "melt_quench.schedule.segments.quench.duration_ps"


def planned(folder, *, vary="", melt=MELT, members=2, study=STUDY):
    write_files(folder, vary)
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace("members = 2", f"members = {members}") + melt)
    (folder / "study.toml").write_text(study)
    return read_ensemble(path)


def run(directory, name, **keywords):
    return run_study(read_study(directory / "studies" / f"{name}.toml"), directory / name, **keywords)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A melt and its two quenches, at two rates, by one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HERE)
        patch.setenv("GIT_DIR", "/nonexistent")
        folder = tmp_path_factory.mktemp("shared")
        planned(folder, vary=f"[vary]\n{QUENCH} = [0.25, 0.15]\n")
        flags = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"), "--quiet"]
        assert main([*flags, "--together", "4"]) in (0, 4)
        return folder / "all"


# the plan


def test_members_of_one_melt_share_it_whatever_comes_after(folder):
    plan = planned(folder, vary=f"[vary]\n{QUENCH} = [0.25, 0.15]\n")
    (melt,) = plan.melts
    assert [segment.name for segment in melt.study["melt_quench"]["schedule"].segments] == ["melt"]
    assert melt.study["melt_quench"]["schedule"].segments[0].duration_ps == 3.0
    assert melt.study["snapshots"] == {"discard_ps": 0.5}  # what a member would have melted for
    assert [(member.melt, member.snapshot) for member in plan.members] == [("melt_000", 0), ("melt_000", 1)] * 2
    for member in plan.members:
        assert [segment.name for segment in member.study["melt_quench"]["schedule"].segments] == ["quench"]
    alone = planned(folder, vary=f"[vary]\n{QUENCH} = [0.25, 0.15]\n", melt="")
    assert [member.seed for member in alone.members] == [member.seed for member in plan.members]
    assert len({melt.seed, *(member.seed for member in plan.members)}) == 5


def test_another_melt_or_cell_has_a_melt_of_its_own(folder):
    plan = planned(folder, vary='[vary]\nbuild.composition = ["Li2Ti1/3Mo2/3O3", "Li2TiO3"]\n')
    assert [melt.name for melt in plan.melts] == ["melt_000", "melt_001"]
    assert [member.melt for member in plan.members] == ["melt_000"] * 2 + ["melt_001"] * 2
    assert len({melt.seed for melt in plan.melts}) == 2


def test_more_members_leave_melt_and_first_quenches_as_they_were(folder):
    before = planned(folder)
    after = planned(folder, members=5)
    assert [melt.text for melt in after.melts] == [melt.text for melt in before.melts]
    assert [member.text for member in after.members[:2]] == [member.text for member in before.members]


@pytest.mark.parametrize(
    ("melt", "study", "said"),
    [
        ("[melt]\nduration_ps = 0.6\n", STUDY, r"duration_ps = 0\.6 leaves 7 frames after the 0\.5 ps that the study"),
        ("[melt]\nduration_ps = 0.4\n", STUDY, r"leaves 0 frames after the 0\.5 ps"),
        ("[melt]\nduration = 3\n", STUDY, r"unknown key 'duration' in \[melt\]; did you mean 'duration_ps'\?"),
        (MELT, STUDY.replace("end_K = 9000", "end_K = 8999"), "a hold at its highest temperature before the cooling"),
    ],
)
def test_a_melt_that_cannot_be_shared_is_told_in_one_line(folder, melt, study, said):
    with pytest.raises(ValueError, match=said) as error:
        planned(folder, melt=melt, study=study)
    assert "\n" not in str(error.value)


# the melt and its quenches


def test_the_melt_states_its_snapshots_and_how_many_are_independent(whole):
    found = snapshots_of(whole / "melt_000")
    assert found["melted"] is True
    assert found["frames"] == 1500 // 7 - 249 // 7  # sampled steps from 250 to 1500
    assert 1 < found["effective_frames"] < found["number"] + 1
    assert found["spacing_ps"] >= found["decorrelation_time_ps"]
    assert len(list((whole / "melt_000/2_melt").glob("snapshot_*.extxyz"))) == found["number"]
    trajectory = ase.io.read(whole / "melt_000/2_melt/trajectory.extxyz", index=":")
    first = next(atoms for atoms in trajectory if atoms.info["step"] >= 250)
    first.wrap()
    snapshot = ase.io.read(whole / "melt_000/2_melt/snapshot_000.extxyz")
    np.testing.assert_allclose(snapshot.positions, first.positions, atol=1e-7)  # text of eight decimals
    assert f"worth {found['effective_frames']:.1f} independent ones" in member_status(whole, "melt_000").note
    assert melt_names(whole) == ["melt_000"]
    assert "melt_000" not in member_names(whole)


def test_a_quench_begins_with_its_snapshot_and_goes_its_own_way(whole):
    started = {}
    for name, number in (("000_000", 0), ("000_001", 1), ("001_000", 0)):
        snapshot = whole / f"melt_000/2_melt/snapshot_{number:03d}.extxyz"
        mark = json.loads((whole / name / "2_melt_quench/stage.json").read_text())
        assert mark["inputs"]["structure"] == sha256_of(snapshot)
        frames = ase.io.read(whole / name / "2_melt_quench/trajectory.extxyz", index=":")
        np.testing.assert_allclose(frames[0].positions, ase.io.read(snapshot).positions, atol=1e-7)
        assert mark["figures"]["after_quench"]["melted"] is True  # criterion (c), of the shared melt
        assert mark["figures"]["melt"] is None
        started[name] = frames[1].positions
        build = [(whole / run / "1_build/structure.extxyz").read_bytes() for run in (name, "melt_000")]
        assert build[0] == build[1]
    # the same snapshot, other velocities: after seven steps of 2 fs the atoms of two members are apart
    assert np.abs(started["000_000"] - started["001_000"]).max() > 0.1


class After(StopRequest):
    """Asks to stop after so many looks."""

    looks = 0

    @property
    def asked(self):
        self.looks += 1
        if self.looks > 900:
            self.by = "the test"
        return bool(self.by)


def test_a_melt_and_a_quench_that_were_stopped_end_with_the_same_bytes(whole, folder):
    prepare(planned(folder, vary=f"[vary]\n{QUENCH} = [0.25, 0.15]\n"), folder / "all")
    for name in ("melt_000", "000_001"):
        with pytest.raises(Stopped):
            stop = After()
            stop.looks = 0 if name.startswith("melt") else 800
            run(folder / "all", name, stop=stop)
        assert list((folder / "all" / name).glob("2_melt*/checkpoint.npz"))
        run(folder / "all", name)
        assert_same(content(folder / "all" / name), content(whole / name))


def test_a_quench_without_its_melt_or_from_another_snapshot_is_refused(whole, folder):
    import shutil

    plan = planned(folder)
    prepare(plan, folder / "all")
    with pytest.raises(ValueError, match=r"melt_000/1_build/structure\.extxyz is not there; run the melt first"):
        run(folder / "all", "000_000")
    shutil.copytree(whole, folder / "copy")
    path = folder / "copy/melt_000/2_melt/snapshot_000.extxyz"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ValueError, match=r"snapshot_000\.extxyz is missing or was changed"):
        run(folder / "copy", "000_000")


def test_too_few_snapshots_are_told_with_their_effective_number(whole, folder, capsys):
    import shutil

    plan = planned(folder, members=30)
    shutil.copytree(whole / "melt_000", folder / "all/melt_000")
    (folder / "all/studies").mkdir()
    flags = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"), "--quiet"]
    assert main(flags) == 2
    said = capsys.readouterr().err
    found = snapshots_of(folder / "all/melt_000")
    assert f"melt_000 holds {found['number']} snapshots" in said
    assert f"effective number of independent frames {found['effective_frames']:.1f}) and 30 members are asked" in said
    assert float(re.search(r"at least duration_ps = (\S+) in", said)[1]) > 30 * found["decorrelation_time_ps"]
    assert not (folder / "all/000_000").exists()
    about = folder / "all/melt_000/2_melt/snapshots.json"
    about.write_text(json.dumps(found | {"melted": False, "reason": "it never melted: Mo moved by 1.0 of 4.4 Å²"}))
    with pytest.raises(
        ValueError, match=r"melt_000 did not melt \(it never melted: Mo.*\), so no quench starts from it"
    ):
        check_snapshots(plan, folder / "all")


def test_a_cell_that_does_not_melt_is_a_failed_check(folder):
    prepare(planned(folder, study=STUDY.replace("9000", "400")), folder / "all")
    summary = run(folder / "all", "melt_000")
    assert summary.failed[0].startswith("no melt: ")
    assert snapshots_of(folder / "all/melt_000")["effective_frames"] < 2
    assert member_status(folder / "all", "melt_000").state == "check failed"


# what the errors count


def test_the_errors_count_the_independent_members(whole):
    rows = {(row[QUENCH], row["figure"]): row for row in summarize_ensemble(whole).table()}
    correlation = np.array(snapshots_of(whole / "melt_000")["correlation"])
    row = rows["0.25", "cell volume"]
    assert row["n"] == 2
    assert row["independent"] == pytest.approx(effective_number([0, 1], correlation))
    assert row["independent"] < 2
    assert row["standard error"] == pytest.approx(row["sd"] / np.sqrt(row["independent"]))
    with (whole / "members.csv").open(newline="") as file:
        assert [row["snapshot"] for row in csv.DictReader(file)] == ["0", "1", "0", "1"]


def test_the_interval_of_correlated_members_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    correlation = 0.3 ** np.arange(8)
    root = np.linalg.cholesky(correlation[np.abs(np.subtract.outer(range(8), range(8)))])
    n = effective_number(range(8), correlation)
    assert 4 < n < 6
    held = {n: 0, None: 0}
    for _ in range(2000):
        values = tuple(3.0 + root @ rng.normal(size=8))
        for effective in held:
            low, high = Statistics({}, "x", "", "glass", values, effective).interval
            held[effective] += low < 3.0 < high
    # s² of correlated values is a little low, n − 1 degrees of freedom for n independent ones are more than cautious
    assert 0.94 < held[n] / 2000 < 0.98
    assert held[None] / 2000 < 0.90  # independent members they are not
    assert Statistics({}, "x", "", "glass", (1.0, 2.0), 1.2).interval is None


def test_a_melt_that_is_gone_is_told(whole, tmp_path, capsys):
    import shutil

    shutil.copytree(whole, tmp_path / "all")
    shutil.rmtree(tmp_path / "all/melt_000")
    assert main(["ensemble", "summary", str(tmp_path / "all")]) == 2
    assert "melt_000 holds no snapshots any more, whose correlation the errors count" in capsys.readouterr().err


# the live table


def test_the_status_is_live_on_a_terminal_as_long_as_a_member_runs(whole, tmp_path):
    import fcntl
    import shutil

    shutil.copytree(whole, tmp_path / "all")
    (tmp_path / "all/000_000/lock").write_text("pid 1 on elsewhere\n")
    terminal, other = pty.openpty()
    with (tmp_path / "all/000_000/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "amorph", "ensemble", "status", str(tmp_path / "all")]
        with subprocess.Popen(command, stdout=other, stderr=other, env={**os.environ, "TERM": "xterm"}) as process:
            said = b""
            while said.count(b"1 running") < 2:  # drawn again
                said += os.read(terminal, 65536)
            assert process.poll() is None
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert process.wait(60) == 0
    os.set_blocking(terminal, False)
    said += os.read(terminal, 65536)
    os.close(terminal)
    os.close(other)
    assert b"4 done" in said or b"check failed" in said


def test_the_cost_of_a_melt_is_that_of_its_steps_alone(folder):
    plan = planned(folder)
    assert [(stage.stage, stage.steps) for stage in estimate(plan.melts[0].study).stages] == [("melt", 1500)]
    assert next(stage.steps for stage in estimate(plan.members[0].study).stages if stage.stage == "melt_quench") == 125
