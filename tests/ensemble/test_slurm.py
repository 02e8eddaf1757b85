"""An ensemble on a real SLURM: submitted, asked to stop, queued again, cancelled, continued."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from toy_ensemble import HERE, ask, begun, processes_of, states, wait_for, write_files

from amorph.cli import main
from amorph.ensemble.engines.slurm import script, submit
from amorph.ensemble.plan import prepare, read_ensemble

WHICH = shutil.which
pytestmark = pytest.mark.xdist_group("slurm")  # one queue on one machine


# the script


@pytest.fixture
def plan(folder, monkeypatch):
    """An ensemble, prepared, on a machine without a queue."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    path = folder / "ensemble.toml"
    path.write_text(path.read_text() + '[slurm]\noptions.time = "24:00:00"\nsetup = ["module load python"]\n')
    plan = read_ensemble(path)
    prepare(plan, folder / "all")
    return plan


def test_the_script_is_plain_shell_for_what_is_missing(plan, folder):
    text = script(plan, folder / "all", at_a_time=3)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    for line in (
        "#SBATCH --array=0-3%3",
        "#SBATCH --time=24:00:00",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --requeue",
        "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}",
        "module load python",
        "members=(000_000 000_001 001_000 001_001)",
    ):
        assert f"{line}\n" in text


def test_names_with_blanks_quotes_and_percent_signs_stay_whole(plan, folder, tmp_path):
    directory = tmp_path / """it's "all" of 100 %"""
    prepare(plan, directory)
    lines = script(plan, directory).splitlines()
    output = next(line for line in lines if line.startswith("#SBATCH --output="))
    assert output == f"""#SBATCH --output="{tmp_path}/it's \\"all\\" of 100 %%/logs/slurm-%A_%a.txt\""""
    at = next(line for line in lines if line.startswith("directory="))
    said = subprocess.run(["bash", "-c", f'{at}; echo "$directory"'], capture_output=True, text=True, check=True)
    assert said.stdout == f"{directory}\n"


@pytest.mark.parametrize("time", [2, '"2"', '"1:30"', '"0:01:59"', '"0-0:2"'])
def test_a_time_limit_that_leaves_no_time_is_refused(plan, folder, time):
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace('"24:00:00"', str(time)))
    with pytest.raises(ValueError, match=r"slurm\.seconds_to_stop = 120 s is not below the time of the queue, \d+ s"):
        script(read_ensemble(path), folder / "all")


@pytest.mark.parametrize("time", [3, '"2:01"', '"1-0"', '"1-0:0:0"', '"0:02:01"', '"UNLIMITED"'])
def test_a_time_limit_that_leaves_time_is_taken(plan, folder, time):
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace('"24:00:00"', str(time)))
    assert f"#SBATCH --time={str(time).strip(chr(34))}\n" in script(read_ensemble(path), folder / "all")


def test_an_option_of_ours_and_a_machine_without_a_queue_are_told(folder, plan, monkeypatch):
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace("options.time", "options.array"))
    with pytest.raises(ValueError, match=r"slurm\.options\.array: the script sets it; leave it out"):
        script(read_ensemble(path), folder / "all")
    with pytest.raises(ValueError, match=r"no sbatch on this machine; .*array\.sh is written: submit it where there"):
        submit(plan, folder / "all")
    assert (folder / "all/array.sh").exists()


def stub(folder, monkeypatch, **programs):
    """Programs of a queue that say these lines of shell."""
    (folder / "bin").mkdir()
    for name, lines in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setattr("shutil.which", WHICH)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")


def test_a_queue_that_does_not_answer_is_given_nothing(plan, folder, monkeypatch):
    stub(folder, monkeypatch, squeue="echo Socket timed out >&2; exit 1", sbatch="echo 7", scontrol="exit 0")
    with pytest.raises(RuntimeError, match=r"^squeue does not answer \(Socket timed out\); run the same command again"):
        submit(plan, folder / "all")
    assert not (folder / "all/array.sh").exists()


def test_no_array_is_larger_than_the_queue_takes(plan, folder, monkeypatch):
    stub(folder, monkeypatch, squeue="exit 0", sbatch="echo 7", scontrol="echo 'MaxArraySize            = 3'")
    assert submit(plan, folder / "all").startswith(f"submitted 3 members in {folder}/all/array.sh as job 7; ")
    assert "members=(000_000 000_001 001_000)\n" in (folder / "all/array.sh").read_text()


def test_the_command_speaks_json_or_not_at_all(plan, folder, monkeypatch, capsys):
    stub(folder, monkeypatch, squeue="exit 0", sbatch="echo 7", scontrol="exit 0")
    words = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"), "--engine", "slurm"]
    assert main([*words, "--json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["waiting"] * 4
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


# the queue


def submitted(folder, *, slower=1, name="all"):
    """Submit the ensemble by its command; returns the number of the job."""
    write_files(folder, vary="", slower=slower)
    return re.search(r"as job (\d+)", submission(folder, name))[1]


def submission(folder, name="all"):
    """What the command says that submits the ensemble."""
    command = ["-m", "amorph", "ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / name)]
    return ask(sys.executable, *command, "--engine", "slurm")


def test_an_array_runs_every_member_once(queue, folder):
    name = """it's "all" of 100 %"""  # what sbatch, its file names and the shell each take for something else
    submitted(folder, name=name)
    directory = folder / name
    wait_for(lambda: set(states(directory)) <= {"done", "check failed"})
    wait_for(lambda: not ask("squeue", "-h"))
    completed = (queue / "completed.txt").read_text()
    assert len(re.findall(rf"JobState=COMPLETED .*WorkDir={HERE}", completed)) >= 2
    for log in directory.glob("*_*/run.log"):  # each stage was begun once
        begun_stages = re.findall(r"— (.+/\d_\w+)$", log.read_text(), re.M)
        assert len(begun_stages) == len(set(begun_stages)) > 5
    assert len(list((directory / "logs").glob("slurm-*_*.txt"))) == 2
    # nothing is left to do, and that is said without a job
    said = ask(sys.executable, "-m", "amorph", "ensemble", "run", str(folder / "ensemble.toml"), "--dir",
               str(directory), "--engine", "slurm")  # fmt: skip
    assert "nothing to submit" in said


@pytest.mark.slow  # the queue's limits are whole minutes, and it holds a job back for two before its next turn
def test_a_member_is_warned_before_the_time_limit_and_queued_again(queue, folder):
    write_files(folder, vary="[slurm]\noptions.time = 2\nseconds_to_stop = 80\n", slower=1000)
    job = re.search(r"as job (\d+)", submission(folder))[1]
    directory = folder / "all"
    wait_for(lambda: begun(directory))
    wait_for(lambda: "running" not in states(directory))
    assert "SIGUSR1: stopped" in (directory / "000_000/run.log").read_text()
    assert (directory / "000_000/2_melt_quench/checkpoint.npz").exists()
    wait_for(lambda: ask("squeue", "-h", "-o", "%t").split().count("PD") == 2)
    assert "nothing to submit" in submission(folder)  # they are no one's but the queue's
    wait_for(lambda: "continuing after step" in (directory / "000_000/run.log").read_text())
    ask("scancel", job)
    wait_for(lambda: not ask("squeue", "-h"))


@pytest.mark.slow
def test_what_waits_in_the_queue_is_not_submitted_twice(queue, folder):
    name = "all of it"
    vary = '[slurm]\noptions.begin = "now+1hour"\n'
    write_files(folder, vary=vary)
    submission(folder, name)
    assert "in the queue: nothing to submit" in submission(folder, name)
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace("members = 2", "members = 4"))
    submission(folder, name)
    assert "members=(000_002 000_003)\n" in (folder / name / "array.sh").read_text()
    assert "in the queue: nothing to submit" in submission(folder, name)
    assert ask("squeue", "-h", "-r", "-o", "%t").split() == ["PD"] * 4
    ask("scancel", "--user", "root")
    wait_for(lambda: not ask("squeue", "-h"))
    assert "as job" in submission(folder, name)
    ask("scancel", "--user", "root")
    wait_for(lambda: not ask("squeue", "-h"))


@pytest.mark.slow
def test_a_cancelled_member_stops_with_a_checkpoint_and_goes_on_when_submitted_again(queue, folder):
    job = submitted(folder, slower=4)
    directory = folder / "all"
    wait_for(lambda: begun(directory))
    ask("scancel", job)
    wait_for(lambda: not ask("squeue", "-h"))
    wait_for(lambda: "running" not in states(directory))
    assert states(directory) == ["interrupted", "interrupted"]
    assert (directory / "000_000/2_melt_quench/checkpoint.npz").exists()
    again = submitted(folder, slower=4)
    assert again != job
    wait_for(lambda: set(states(directory)) <= {"done", "check failed"})
    assert "continuing after step" in (directory / "000_000/run.log").read_text()
    wait_for(lambda: not processes_of(directory), 60)


@pytest.mark.parametrize(
    ("name", "table"), [("ensemble", "slurm"), ("ensemble_cluster", "parsl"), ("kawaguchi2025_216_volumes", "vary")]
)
def test_the_shipped_ensembles_are_ensembles(name, table):
    path = HERE.parent / "workflows" / f"{name}.toml"
    assert table in tomllib.loads(path.read_text())
    assert len(read_ensemble(path).members) > 1
