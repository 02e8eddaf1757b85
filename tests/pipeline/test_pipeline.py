"""The whole chain on a toy of ions: what it leaves, how it continues, what it refuses."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from dying import HERE, Runs
from toy_run import BRIEF, STUDY, assert_same, content, written
from toys import Told

from amorph.figures import Row
from amorph.pipeline import ANALYSES, Analysis, read_study, rehearse, resolve, run_study
from amorph.run import read_checkpoint, sha256_of

NAMES = ["build", "melt_quench", "relax", "equilibrate", "substitute", "final_relax", "analysis", "export"]
CONTROL = ["relax", "substitute", "final_relax", "analysis", "export"]


@pytest.fixture(scope="module")
def runs():
    with Runs() as runs:
        yield runs


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """A run that nothing interrupted: study, directory, outcome."""
    folder = tmp_path_factory.mktemp("whole")
    study, directory = written(folder / "study.toml"), folder / "run"
    return study, directory, runs(study, directory)


def figures(directory, folder):
    return json.loads((directory / folder / "stage.json").read_text())["figures"]


# what a run leaves


def test_the_chain_finishes_with_a_glass(whole):
    _, directory, outcome = whole
    assert (outcome.status, outcome.said) == (0, "")
    folders = [f"{n}_{name}" for n, name in enumerate(NAMES, start=1)]
    folders += [f"crystal/{n}_{name}" for n, name in enumerate(CONTROL, start=2)]
    assert sorted(str(path.parent.relative_to(directory)) for path in directory.rglob("stage.json")) == sorted(
        [*folders, "reference/1_relax"]
    )
    assert not list(directory.rglob("checkpoint*"))
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["verdict"] == "cannot exclude a crystal"  # 32 anions
    assert [note.split(":")[0] for note in summary["notes"]] == ["the glass", "the exchanged glass"]
    assert summary["failed"] == []
    assert summary["crystal"]["final_relax"]["crystallinity"]["melted"] is False
    assert summary["model"] == "Ions"


def test_every_stage_started_from_the_file_of_the_one_before(whole):
    _, directory, _ = whole
    for chain, start in (("", None), ("crystal/", "1_build")):
        before = start
        for folder in sorted(path for path in (directory / chain).iterdir() if path.name[0].isdigit()):
            inputs = json.loads((folder / "stage.json").read_text())["inputs"]
            expected = {} if before is None else {"structure": sha256_of(directory / before / "structure.extxyz")}
            if folder.name.endswith("export"):
                expected["bvs.npz"] = sha256_of(directory / before / "bvs.npz")
            assert inputs == expected, folder
            if (folder / "structure.extxyz").exists():
                before = folder.relative_to(directory)


def test_the_exchange_keeps_the_books(whole):
    _, directory, _ = whole
    assert figures(directory, "1_build")["counts"] == {"Li": 21, "Ti": 4, "Mo": 7, "O": 32}
    for folder in ("5_substitute", "crystal/3_substitute"):
        exchange = figures(directory, folder)
        assert exchange["n_new"] + exchange["n_vacancies"] == 21
        assert exchange["n_new"] == 10  # half of 21, and the charge of +1 e goes
        assert exchange["residual_charge"] == 0.0


def test_the_shares_of_the_map_add_up_to_the_cell(whole):
    _, directory, _ = whole
    for folder in ("7_analysis", "crystal/5_analysis"):
        for shares in figures(directory, folder)["bvs"].values():
            names = ("under_bonded_fraction_of_cell", "window_fraction_of_cell", "over_bonded_fraction_of_cell")
            assert sum(shares[name] for name in names) + shares["excluded_fraction"] == pytest.approx(1.0, abs=1e-12)


def test_the_tables_have_every_step_once(whole):
    _, directory, _ = whole
    table = np.genfromtxt(directory / "2_melt_quench/thermo.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert table["step"].tolist() == [*range(0, 475, 7), 475]
    headers = [
        line for line in (directory / "2_melt_quench/trajectory.extxyz").read_text().splitlines() if "Lattice" in line
    ]
    assert len(headers) == len(table)
    steps = figures(directory, "3_relax")["steps"]
    rows = (directory / "3_relax/relaxation.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", *map(str, range(steps + 1))]


def test_run_toml_is_a_study_that_makes_the_same_run(whole):
    study, directory, _ = whole
    stored = tomllib.loads((directory / "run.toml").read_text())
    provenance = stored.pop("provenance")
    assert provenance["models"] == ["Ions"]
    assert {"python", "amorph", "numpy", "numba", "ase"} <= set(provenance["versions"])
    assert resolve({name: table for name, table in stored.items() if table}) == read_study(study)


def test_running_again_changes_nothing_and_says_the_same(runs, whole):
    study, directory, outcome = whole
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*_*/*")}
    files = content(directory)
    assert vars(runs(study, directory)) == vars(outcome)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*_*/*")} == before
    assert_same(content(directory), files)


# continuation


@pytest.mark.parametrize(
    ("kind", "most", "stages"),
    [
        ("file", 80, 1),
        pytest.param("call", 90, 3, marks=pytest.mark.slow),
        pytest.param("write", 40, 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(runs, whole, tmp_path, kind, most, stages):
    study, directory = whole[0], tmp_path / "run"
    random = np.random.default_rng(0)
    statuses = []
    while not statuses or (statuses[-1] == -signal.SIGKILL and len(statuses) < 100):
        statuses.append(runs(study, directory, die=(kind, int(random.integers(1, most)))).status)
    assert statuses[-1] == 0, statuses
    assert len(statuses) > 10
    log = (directory / "run.log").read_text()
    assert len(set(re.findall(r"INFO (\w+): continuing after step", log))) >= stages
    assert_same(content(directory), content(whole[1]))


def test_a_run_that_signals_stop_ends_with_the_same_bytes(runs, whole, tmp_path):
    study, directory = whole[0], tmp_path / "run"
    outcome = runs(study, directory, die=("call", 1), signals=("SIGTERM",))
    assert (outcome.status, outcome.said.count("\n")) == (3, 1)
    assert "stopped by SIGTERM after step 0 of melt_quench; run the same command again to continue" in outcome.said
    for call, signals, where in (
        # one evaluation of the 100 compares the calculator with the checkpoint
        (100, ("SIGUSR1",), "SIGUSR1 after step 87 of melt_quench"),
        (500, ("SIGTERM", "SIGINT"), "SIGINT after step"),  # the second one while the first is still open
        (90, ("SIGINT",), "SIGINT after step"),
    ):
        outcome = runs(study, directory, die=("call", call), signals=signals)
        assert outcome.status == 3
        assert f"stopped by {where}" in outcome.said
        # the newest checkpoint is damaged, and the run goes back to the one before
        if (newest := directory / "2_melt_quench/checkpoint.npz").exists():
            newest.write_bytes(newest.read_bytes()[:-1])
    assert runs(study, directory).status == 0
    assert "checkpoint.npz is damaged" in (directory / "run.log").read_text()
    assert_same(content(directory), content(whole[1]))


def test_a_stop_between_two_stages_is_heard(runs, whole, tmp_path):
    study, directory = whole[0], tmp_path / "run"
    outcome = runs(study, directory, die=("file", 4), signals=("SIGTERM",))
    assert outcome.status == 3
    assert "stopped by SIGTERM before " in outcome.said
    assert not (directory / "2_melt_quench").exists() or not list((directory / "2_melt_quench").iterdir())


@pytest.mark.parametrize("listener", ["there", "gone"])
def test_a_real_process_signalled_until_it_ends_has_status_3_whoever_listens(runs, whole, tmp_path, listener):
    study, directory = whole[0], tmp_path / "run"
    command = [sys.executable, "-m", "amorph", "run", str(study), "--dir", str(directory)]
    environment = {**os.environ, "GIT_DIR": "/nonexistent"}
    table, deadline = directory / "2_melt_quench/thermo.csv", time.monotonic() + 60
    with subprocess.Popen(
        command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while not (table.exists() and table.stat().st_size > 400):
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                pytest.fail(f"the run did not begin to melt: {process.stderr.read().decode()}")
            time.sleep(0.005)
        if listener == "gone":
            process.stderr.close()
        first = time.monotonic()
        for number in itertools.cycle((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)):
            process.send_signal(number)  # which does nothing once the process has ended
            time.sleep(0.02)
            if process.poll() is not None:
                break
        took = time.monotonic() - first
        said = process.stderr.read().decode() if listener == "there" else ""
    assert process.returncode == 3, said
    assert took < 10
    assert re.search(r"stopped after step \d+ of melt_quench", (directory / "run.log").read_text())
    if listener == "there":
        assert re.match(r"amorph: stopped by SIG\w+ after step", said.splitlines()[-1])
        assert "Traceback" not in said
    assert runs(study, directory).status == 0
    assert_same(content(directory), content(whole[1]))


def test_a_time_limit_stops_with_a_checkpoint_and_costs_no_byte(runs, whole, tmp_path):
    study, directory = whole[0], tmp_path / "run"
    # a second passes between any two looks at the clock: 0.05 h are 180 of them
    outcome = runs(study, directory, flags=("--max-hours", "0.05"))
    assert outcome.status == 3
    assert re.search(r"stopped by the limit of 0\.05 h after step \d+ of melt_quench; run the same", outcome.said)
    statuses = [outcome.status]
    while statuses[-1] == 3 and len(statuses) < 50:
        statuses.append(runs(study, directory, flags=("--max-hours", "0.2")).status)
    assert statuses[-1] == 0
    assert len(statuses) > 3
    assert_same(content(directory), content(whole[1]))


# other studies


@pytest.fixture(scope="module")
def variant(runs, tmp_path_factory):
    """A brief run with replicas, a relaxed start, no control, and relaxations that end too early."""
    folder = tmp_path_factory.mktemp("variant")
    text = BRIEF.replace("lattice_constant = 4.2", 'lattice_constant = "relaxed"')
    text = text.replace("seed = 0", "seed = 0\nreplicas = 2").replace("[final_relax]", "[final_relax]\nmax_steps = 2")
    text += "[starting_relax]\nfmax = 0.5\npressure_tolerance_GPa = 0.5\n[control]\ncrystal = false\n"
    study, directory = written(folder / "study.toml", text), folder / "run"
    return study, directory, runs(study, directory)


def test_a_failed_check_is_kept_and_told_by_its_own_status(runs, variant):
    study, directory, outcome = variant
    assert outcome.status == 4
    assert outcome.said.count("\n") == 1
    for part in (
        "amorph: done and kept, but not a glass: ",
        "it never melted",
        "final_relax of replica 0 did not converge in 2 steps",
        "final_relax of replica 1 did not converge in 2 steps",
    ):
        assert part in outcome.said
    assert " relax of the glass did not" not in outcome.said
    before = content(directory)
    assert vars(runs(study, directory)) == vars(outcome)  # and not repeated
    assert_same(content(directory), before)


def test_replicas_have_folders_and_ions_of_their_own(variant):
    _, directory, _ = variant
    top = ["1_build", "2_starting_relax", "3_melt_quench", "4_relax", "5_equilibrate", "reference"]
    assert sorted(path.name for path in directory.iterdir() if path.is_dir()) == [*top, "replica_0", "replica_1"]
    own = ["6_substitute", "7_final_relax", "8_analysis", "9_export"]
    for replica in ("replica_0", "replica_1"):
        assert sorted(path.name for path in (directory / replica).iterdir()) == own
    removed = [figures(directory, f"replica_{n}/6_substitute")["removed"] for n in (0, 1)]
    assert removed[0] != removed[1]


def test_the_python_call_continues_what_the_command_began(variant, monkeypatch):
    study, directory, _ = variant
    monkeypatch.chdir(HERE)
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    before = content(directory)
    summary = run_study(read_study(study), directory)
    assert_same(content(directory), before)
    volumes = [figures(directory, f"replica_{n}/7_final_relax")["cell_volume"] for n in (0, 1)]
    row = next(row for row in summary.table() if row["figure"] == "cell volume")
    assert row["glass"] == pytest.approx(np.mean(volumes), rel=1e-12)
    assert row["± sd"] == pytest.approx(abs(volumes[0] - volumes[1]) / 2**0.5, rel=1e-9)
    assert "crystal" not in row
    names = [row["figure"] for row in summary.table()]
    assert "f_V, V_O of the same potential's MgO" not in names  # the study relaxes no MgO
    assert "migration barrier (BVSE), 1D" not in names  # nor does it ask for site energies
    assert "largest free sphere, ion removed" in names
    assert len(summary.failed) == 3


def test_a_relaxed_start_is_relaxed(variant):
    _, directory, _ = variant
    relaxed = figures(directory, "2_starting_relax")
    assert relaxed["converged"]
    lengths = relaxed["cell_lengths_and_angles"]
    assert lengths[0] == pytest.approx(lengths[2])  # isotropic
    assert abs(relaxed["volume_change"]) > 0.01
    assert figures(directory, "1_build")["lattice_constant_source"] == "estimated"


# errors


def test_another_study_is_refused_and_changes_nothing(runs, variant):
    study, directory, _ = variant
    before = content(directory)
    other = written(study.parent / "other.toml", study.read_text().replace("spacing = 0.5", "spacing = 0.4"))
    outcome = runs(other, directory)
    assert outcome.status == 2
    assert "holds a run with bvs.spacing 0.5 there, 0.4 here; use a new --dir" in outcome.said
    assert_same(content(directory), before)


def test_another_study_is_continued_by_force_and_says_so(runs, variant, tmp_path):
    study, directory = variant[0], tmp_path / "run"
    shutil.copytree(variant[1], directory)
    other = written(tmp_path / "other.toml", study.read_text().replace("spacing = 0.5", "spacing = 0.4"))
    for folder in ("8_analysis", "9_export"):  # the export is made from the map
        shutil.rmtree(directory / "replica_1" / folder)
    assert runs(other, directory).status == 2
    assert runs(other, directory, flags=("--force",)).status == 4
    stored = tomllib.loads((directory / "run.toml").read_text())
    assert stored["bvs"]["spacing"] == 0.4
    assert stored["provenance"]["bond_valence"]["source"]
    [forced] = stored["provenance"]["forced"]
    assert forced["changed"] == "bvs.spacing 0.5 there, 0.4 here"
    # what was finished stays as it was made, and says for what it was taken; what was missing is made anew
    grids = [figures(directory, f"replica_{n}/8_analysis")["bvs"]["all"]["grid"] for n in (0, 1)]
    assert grids[1][0] > grids[0][0]
    notes = json.loads((directory / "summary.json").read_text())["notes"]
    assert "continued by force: bvs.spacing 0.5 there, 0.4 here; what was finished before is as it was" in notes
    kept = json.loads((directory / "replica_0/8_analysis/stage.json").read_text())
    assert kept["parameters"]["bvs"]["spacing"] == 0.5
    assert [accepted["bvs"]["spacing"] for accepted in kept["accepted_for"]] == [0.4]
    before = content(directory)
    assert runs(other, directory).status == 4  # from now on without force
    assert_same(content(directory), before)


def test_another_study_is_tried_before_it_is_continued_by_force(runs, variant, tmp_path):
    study, directory = variant[0], tmp_path / "run"
    shutil.copytree(variant[1], directory)
    before = content(directory)
    other = written(tmp_path / "other.toml", study.read_text().replace("[bvs]", '[substitute]\nion = "Na+"\n[bvs]'))
    outcome = runs(other, directory, flags=("--force",))
    assert outcome.status == 2
    assert "no Na" in outcome.said
    assert_same(content(directory), before)


def test_a_changed_result_is_refused(runs, variant, tmp_path):
    study, directory = variant[0], tmp_path / "run"
    shutil.copytree(variant[1], directory)
    path = directory / "4_relax/structure.extxyz"
    path.write_bytes(path.read_bytes().replace(b"Mo", b"Ti"))
    outcome = runs(study, directory)
    assert outcome.status == 2
    assert "4_relax/structure.extxyz is missing or was changed since it was made; use a new --dir" in outcome.said
    # the remedy that the message names: that folder and those after it
    for folder in ("4_relax", "5_equilibrate", "replica_0", "replica_1"):
        shutil.rmtree(directory / folder)
    assert runs(study, directory).status == 4
    assert_same(content(directory), content(variant[1]))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[bvs]", '[substitute]\nion = "Na+"\n[bvs]', "no Na"),
        ("[bvs]", '[substitute]\nby = "Xx2+"\n[bvs]', "Xx"),
        ("[bvs]", '[bvs]\nanion = "F"', "F"),
        ("spacing = 0.5", "grid = [90000, 90000, 90000]", "a grid of 90000 × 90000 × 90000 points needs"),
        ("sample_every = 7", 'sample_every = 7\nanion = "F"', "no F in the cell"),
        ("composition = ", "density_g_cm3 = 4.0\ncomposition = ", "give exactly one of the two"),
        ("toys:Ions", "toys:Iona", "module 'toys' has no attribute 'Iona'"),
    ],
)
def test_what_would_fail_after_hours_is_refused_before_anything_is_written(runs, tmp_path, old, new, said):
    study = written(tmp_path / "study.toml", STUDY.replace(old, new))
    outcome = runs(study, tmp_path / "run")
    assert outcome.status == 2
    assert said in outcome.said
    assert outcome.said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_another_analysis_is_one_record(tmp_path, monkeypatch):
    made_up = Analysis("made_up", lambda subject: Told({"atoms": (n := len(subject.atoms))}, (Row("atoms", n),)))
    monkeypatch.setattr("amorph.pipeline.analyses.ANALYSES", (*ANALYSES, made_up))
    directory = tmp_path / "run"
    summary = run_study(read_study(written(tmp_path / "study.toml", BRIEF)), directory)
    row = {"figure": "atoms", "unit": "", "glass": 53.0, "crystal": 53}
    assert row in summary.table()
    assert row in json.loads((directory / "summary.json").read_text())["comparison"]
    assert figures(directory, "7_analysis")["made_up"] == {"atoms": 53}


def test_a_distance_that_only_the_glass_may_have_is_no_obstacle(tmp_path):
    study = read_study(written(tmp_path / "study.toml", STUDY + "[substitute]\nminimum_distance = 50.0\n"))
    rehearse(study)


@pytest.mark.slow
def test_an_unstable_run_fails_and_keeps_its_checkpoint(runs, tmp_path):
    text = BRIEF.replace("timestep_fs = 2.0\nschedule.damping", "timestep_fs = 20.0\nschedule.damping")
    text = text.replace("duration_ps = 0.1 ", "duration_ps = 1.0 ")
    assert text.count("timestep_fs = 20.0") == text.count("duration_ps = 1.0 ") == 1
    study, directory = written(tmp_path / "study.toml", text), tmp_path / "run"
    first = runs(study, directory, die=("call", 2), signals=("SIGTERM",))
    assert first.status == 3
    outcome = runs(study, directory)
    assert outcome.status == 1
    assert "the run is unstable; reduce timestep_fs (now 20)" in outcome.said
    assert not (directory / "2_melt_quench/stage.json").exists()
    saved = read_checkpoint(directory / "2_melt_quench")
    assert all(np.isfinite(array).all() for array in saved.values() if array.dtype.kind == "f")
    before = content(directory / "2_melt_quench")
    assert vars(runs(study, directory)) == vars(outcome)  # from there, to the same end
    assert_same(content(directory / "2_melt_quench"), before)
