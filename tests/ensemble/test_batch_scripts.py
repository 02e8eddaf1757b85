"""The batch scripts of workflows/: run.slurm on a real queue, run.pbs under a stand-in for qsub."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy_ensemble import HERE, ask, wait_for, write_files
from toy_run import assert_same, content

from amorph.ensemble.status import member_status
from amorph.pipeline import read_study, run_study

pytestmark = pytest.mark.xdist_group("slurm")  # one queue on one machine
WORKFLOWS = HERE.parent / "workflows"


@pytest.fixture
def run(folder, monkeypatch):
    """A run directory to be; the scripts find the command amorph, and the run its toy."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    write_files(folder, slower=4)
    return folder / "run"


@pytest.mark.slow  # the queue holds a job back for two minutes before its next turn
def test_the_slurm_script_goes_back_into_the_queue_until_the_run_is_done(queue, folder, run):
    words = [str(WORKFLOWS / "run.slurm"), str(folder / "study.toml"), str(run)]
    # the script asks for more cores than this machine may have
    said = ask("sbatch", "--parsable", "--cpus-per-task=1", f"--output={folder}/said.txt", *words)
    wait_for((run / "2_melt_quench/thermo.csv").exists)
    ask("scancel", "--batch", "--signal=USR1", said.strip())  # what the queue sends before the time limit
    wait_for(lambda: "SIGUSR1: stopped" in (run / "run.log").read_text())
    wait_for(lambda: ask("squeue", "-h", "-o", "%t").split() == ["PD"])
    wait_for((run / "summary.json").exists)
    wait_for(lambda: not ask("squeue", "-h"))
    assert "continuing after step" in (run / "run.log").read_text()
    assert re.findall(r"JobState=(\w+)", (queue / "completed.txt").read_text())[-1] == "COMPLETED"
    assert (folder / "said.txt").read_text().count("stopped by SIGUSR1") == 1  # appended to, turn after turn
    run_study(read_study(folder / "study.toml"), folder / "whole")
    made = content(run)
    assert made.pop("report.html")  # the command's page, which the function does not make
    assert_same(made, content(folder / "whole"))


def pbs(folder, run, max_hours):
    """The PBS script in a job's surroundings; the stand-in for qsub notes its words."""
    stand_in = folder / "bin/qsub"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f'#!/bin/sh\necho "$@" >>{folder}/queued\n')
    stand_in.chmod(0o755)
    script = folder / "run.pbs"
    text = (WORKFLOWS / "run.pbs").read_text()
    assert "max_hours=23.9 " in text
    script.write_text(text.replace("max_hours=23.9 ", f"max_hours={max_hours} "))
    surroundings = {
        "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
        "PBS_O_WORKDIR": str(HERE),
        "NCPUS": "1",
        "STUDY": str(folder / "study.toml"),
        "DIRECTORY": str(run),
    }
    return subprocess.Popen(["bash", script], env={**os.environ, **surroundings}, cwd="/", stderr=subprocess.PIPE)


@pytest.mark.slow
def test_the_pbs_script_queues_its_continuation_until_the_run_is_done(folder, run):
    subprocess.run(["bash", "-n", WORKFLOWS / "run.pbs"], check=True)
    with pbs(folder, run, "0.0005") as job:
        said = job.communicate(timeout=240)[1]
    assert job.returncode == 0, said
    queued = f"-v STUDY={folder}/study.toml,DIRECTORY={run} workflows/run.pbs\n"
    assert (folder / "queued").read_text() == queued
    assert not (run / "summary.json").exists()
    with pbs(folder, run, 23.9) as job:  # what was queued; deleted by its owner
        wait_for(lambda: member_status(run.parent, run.name).state == "running")
        job.terminate()
        job.communicate(timeout=240)
    assert job.returncode == 3
    with pbs(folder, run, 23.9) as job:
        job.communicate(timeout=240)
    assert job.returncode == 0  # also with a failed check
    assert (run / "summary.json").exists()
    assert (folder / "queued").read_text() == queued  # nothing more
