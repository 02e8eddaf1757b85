"""An ensemble by Parsl, on this machine and on a real SLURM: workers and drivers are killed, each member runs once."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

import pytest
from toy_ensemble import (
    HERE,
    ask,
    assert_each_stage_once,
    begun,
    content_of,
    process_of,
    processes_of,
    states,
    wait_for,
    write_files,
)
from toy_run import assert_same

from amorph.cli import main
from amorph.ensemble.engines import parsl as engine
from amorph.ensemble.engines.blocks import block_provider, check_blocks
from amorph.ensemble.engines.local import Slot
from amorph.ensemble.engines.waiting import Waiting
from amorph.ensemble.plan import read_ensemble
from amorph.ensemble.status import member_status
from amorph.run import StopRequest

pytestmark = pytest.mark.xdist_group("slurm")  # one queue on one machine
DONE = {"done", "check failed"}


def table(folder, lines, **files):
    """The ensemble's table [parsl] with these lines."""
    write_files(folder, vary=f"[parsl]\n{lines}\n", **files)
    return read_ensemble(folder / "ensemble.toml").parsl


# the table


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "workers = 3\ngpus = 2",
            r"parsl\.workers = 3 with gpus = 2: each worker has a GPU of its own; give",
        ),
        ("workers = 999", r"parsl\.workers = 999 of cores_per_worker = 1 need 999 cores and \d+ are here; give fewer"),
        ('queue = "long"', r"parsl\.queue = 'long' is for a queue; name the provider, or leave it out"),
        ("blocks = 2", r"parsl\.blocks = 2 is for a queue"),
        (
            'provider = "slurm"\nwalltime_hours = 0.05',
            r"0\.05 h is no more than twice seconds_to_stop = 120 s",
        ),
        ('provider = "pbs"', r"there is no qsub on this machine for parsl\.provider = 'pbs'; start it where jobs are"),
        ('provider = "lsf"', r"there is no bsub on this machine"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_line(folder, lines, said):
    with pytest.raises(ValueError, match=said):
        check_blocks(table(folder, lines), folder)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("worker = 2", r"unknown key 'worker' in \[parsl\]; did you mean 'workers'\?"),
        ('provider = "moab"', r"provider = 'moab' in \[parsl\] must be 'local', 'slurm', 'pbs' or 'lsf'"),
        ("walltime_hours = 0.0", r"walltime_hours = 0\.0 h in \[parsl\] must be greater than 0 \(default 24\.0\)"),
    ],
)
def test_a_wrong_table_is_told_in_one_line(folder, lines, said):
    with pytest.raises(ValueError, match=said):
        table(folder, lines)


def test_a_path_with_blanks_is_refused(folder):
    with pytest.raises(ValueError, match=r"Parsl's scripts take no path with blanks or quotes; give another --dir"):
        check_blocks(table(folder, ""), folder / "of mine")


@pytest.mark.parametrize(
    ("provider", "program", "answer", "expected"),
    [
        (
            "slurm",
            "sbatch",
            "Submitted batch job 7",
            ["#SBATCH --partition=long", "#SBATCH --account=me", "#SBATCH --cpus-per-task=8", "#SBATCH --time=750",
             "#SBATCH --gpus-per-node=2", "#SBATCH --nodes=1"],
        ),
        ("pbs", "qsub", "7.server", ["#PBS -l select=1:ncpus=8:ngpus=2", "#PBS -l walltime=12:30:00"]),
        (
            "lsf",
            "bsub",
            "Job <7> is submitted to queue <long>.",
            ["#BSUB -q long", "#BSUB -P me", "#BSUB -n 8", "#BSUB -W 750", "#BSUB -gpu num=2"],
        ),
    ],
)  # fmt: skip
def test_a_block_asks_the_queue_for_what_the_table_says(folder, monkeypatch, provider, program, answer, expected):
    stub = folder / "bin" / program  # no PBS and no LSF here: this shows what they would be given
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\necho "$@" >{folder}/words\necho "{answer}"\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    chosen = table(
        folder,
        f'provider = "{provider}"\nworkers = 2\ncores_per_worker = 4\ngpus = 2\nwalltime_hours = 12.5\nqueue = "long"\n'
        'account = "me"\ndirectives = ["#XXX --further"]\nsetup = ["module load python"]',
    )
    check_blocks(chosen, folder)
    block = block_provider(chosen, 1)
    block.script_dir = str(folder)
    assert block.submit("the pool", 1).startswith("7")
    script = next(path for path in folder.glob("parsl*") if path.is_file())
    lines = script.read_text().splitlines()
    for line in [*expected, "#XXX --further", "module load python", f"cd {HERE}", "the pool"]:
        assert line in lines
    end = "export AMORPH_BLOCK_END=$(( $(date +%s) + 44880 ))"  # 12.5 h less two minutes
    assert lines.index(end) < lines.index("module load python")  # which may take its time
    subprocess.run(["bash", "-n", script], check=True)
    if provider == "pbs":
        assert "-q long -A me" in (folder / "words").read_text()


def test_without_parsl_the_remedy_is_told(folder, capsys, monkeypatch):
    table(folder, "")
    monkeypatch.setitem(sys.modules, "parsl", None)
    words = ["ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"), "--engine", "parsl"]
    assert main(words) == 2
    assert "the engine parsl is not installed here; pip install amorph[hpc]" in capsys.readouterr().err
    assert main([*words, "--workers", "2"]) == 2
    assert "workers = 2 is for the engines local and slurm; give workers in [parsl]" in capsys.readouterr().err


# the leash


def test_what_a_leashed_program_leaves_behind_ends_with_it(tmp_path):
    # a grandchild that outlives its parent, and takes a while to stop as a run does that writes a checkpoint
    left = f"trap 'sleep 1; touch {tmp_path}/stopped; exit' TERM; touch {tmp_path}/up; while :; do sleep 0.1; done"
    program = (
        f"setsid bash -c '{left.replace(chr(39), chr(34))}' & until [ -e {tmp_path}/up ]; do sleep 0.1; done; exit 7"
    )
    leash = [sys.executable, "-m", "amorph.ensemble.engines.leash", "0", "bash", "-c", program]
    assert subprocess.run(leash, check=False, timeout=60).returncode == 7
    assert (tmp_path / "stopped").exists()
    assert not processes_of(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_leashed_program_ends_when_who_started_it_dies(tmp_path, number):
    program = f"import pathlib, time; pathlib.Path('{tmp_path}/up').touch(); time.sleep(600)"
    starter = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'amorph.ensemble.engines.leash', str(os.getpid()),"
        f' sys.executable, "-c", """{program}"""])\ntime.sleep(600)\n'
    )
    with subprocess.Popen([sys.executable, "-c", starter]) as process:
        wait_for((tmp_path / "up").exists)
        process.send_signal(number)
    wait_for(lambda: not processes_of(tmp_path), 20)


# workers and the driver


def test_a_worker_takes_its_share_of_the_cores(monkeypatch):
    chosen = {"provider": "slurm", "workers": 2, "cores_per_worker": 2}
    monkeypatch.setenv("PARSL_WORKER_RANK", "1")
    monkeypatch.setattr(engine, "own_cores", lambda: [4, 5, 6, 7])
    assert engine._slot(chosen) == Slot((6, 7), None, 2)
    # more than was asked for: the node is shared, and which cores are the others' is not known
    monkeypatch.setattr(engine, "own_cores", lambda: [*range(16)])
    assert engine._slot(chosen) == Slot((*range(16),), None, 2)
    assert engine._slot(chosen | {"provider": "local"}) == Slot((2, 3), None, 2)


@pytest.mark.parametrize("seconds_left", [-1, 3600])
def test_a_member_is_not_begun_at_the_end_of_a_block_or_after_a_stop(tmp_path, monkeypatch, seconds_left):
    monkeypatch.setattr(engine, "MemberProcess", None)  # whatever begins a member fails
    monkeypatch.setenv("AMORPH_BLOCK_END", str(int(time.time() + seconds_left)))
    if seconds_left > 0:
        (tmp_path / "stop").touch()
    assert engine.run_member("000_000", tmp_path, tmp_path, {}, tmp_path / "stop") is None


def finish(run):
    """Leave what a member leaves that is done: its state counts, not the status of its process."""
    run.mkdir(exist_ok=True)
    (run / "summary.json").write_text('{"failed": [], "notes": [], "comparison": []}')


def run_driver(folder, names, task):
    driver = engine._Driver(Waiting(names, folder), {}, StopRequest(), lambda _done, _note: None)
    driver.run(task, folder)
    return driver.waiting.outcome


def test_a_member_that_each_turn_brings_further_goes_on_whatever_its_workers_die_of(folder, monkeypatch):
    from parsl.executors.high_throughput.errors import ManagerLost

    monkeypatch.setattr(engine, "_SECONDS_BETWEEN_LOOKS", 0.0)
    stage = folder / "000_000/2_melt_quench"
    stage.mkdir(parents=True)
    (folder / "000_000/run.toml").touch()
    turns = []

    def task(name, *_):
        turns.append(name)
        (stage / "thermo.csv").write_text(f"step\n{len(turns)},\n")
        future = Future()
        if len(turns) == 9:
            finish(folder / name)
            future.set_result(0)
        else:
            future.set_exception(ManagerLost(b"0", "node"))
        return future

    assert run_driver(folder, ["000_000"], task).finished == ["000_000"]
    assert len(turns) == 9


def test_what_becomes_of_members_by_how_their_tasks_end(folder, monkeypatch):
    from parsl.executors.high_throughput.errors import WorkerLost

    monkeypatch.setattr(engine, "_SECONDS_BETWEEN_LOOKS", 0.0)
    ends = {
        "stopped at times": [3, None, 3, None, 3, 0],
        "not a glass": [WorkerLost(0, "node"), 4],
        "its worker dies": [WorkerLost(0, "node")] * 5,
        "waits for a person": [3] * 5,
        "fails": [1],
        "is not found": [ModuleNotFoundError("No module named 'amorph'")],
    }

    def task(name, *_):
        future, end = Future(), ends[name].pop(0)
        if end in (0, 4):
            finish(folder / name)
        future.set_exception(end) if isinstance(end, Exception) else future.set_result(end)
        return future

    outcome = run_driver(folder, ends, task)
    assert outcome.finished == ["not a glass", "stopped at times"]
    assert outcome.stopped == ["waits for a person"]
    assert outcome.failed == {
        "its worker dies": (
            "Task failure due to loss of worker 0 on host node, and 3 turns before it brought it no further"
        ),
        "fails": "ended with status 1 before it was done",
        "is not found": "No module named 'amorph'",
    }
    assert not any(ends.values())


def test_blocks_that_cannot_begin_end_the_driver(folder):
    from parsl.executors.errors import BadStateException

    def task(*_):
        future = Future()
        future.set_exception(BadStateException("the executor", RuntimeError("3 blocks ended")))
        return future

    with pytest.raises(RuntimeError, match=r"^3 blocks ended$"):
        run_driver(folder, ["000_000"], task)


# members


def driver(folder):
    """The command that runs the ensemble by Parsl."""
    return [
        sys.executable, "-m", "amorph", "ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"),
        "--engine", "parsl",
    ]  # fmt: skip


def kill_worker_and_driver_then_run_again(folder):
    """Kill a worker of Parsl amid its member, then the driver, and finish the ensemble by the same command."""
    directory = folder / "all"
    with subprocess.Popen(driver(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (directory / "members.csv").exists() and begun(directory))
        lost = process_of(directory, "000_000")
        lost.parent().kill()
        log = directory / "000_000/run.log"
        wait_for(lambda: "continuing after step" in log.read_text())  # another worker goes on with it
        assert process_of(directory, "000_000") != lost
        process.kill()
    wait_for(lambda: not processes_of(directory), 60)
    assert "interrupted" in states(directory)
    assert "SIGTERM: stopped" in log.read_text().splitlines()[-1]  # with a checkpoint of the moment
    done = subprocess.run(driver(folder), capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode in (0, 4), done.stderr
    assert set(states(directory)) <= DONE
    assert_each_stage_once(directory)
    wait_for(lambda: not processes_of(directory), 60)
    whole = [*driver(folder)[:-3], str(folder / "whole")]  # by the local engine
    assert subprocess.run(whole, capture_output=True, check=False).returncode in (0, 4)
    assert_same(content_of(directory), content_of(folder / "whole"))


@pytest.mark.slow
def test_a_block_with_more_workers_than_members_is_let_be(folder):
    table(folder, "workers = 2")
    path = folder / "ensemble.toml"
    path.write_text(path.read_text().replace("members = 2", "members = 1"))
    assert subprocess.run(driver(folder), capture_output=True, check=False, timeout=500).returncode in (0, 4)
    assert len([*(folder / "all/parsl/000/submit_scripts").glob("*.sh")]) == 1


@pytest.mark.slow
def test_a_shared_melt_comes_first(folder):
    table(folder, "workers = 2")
    path = folder / "ensemble.toml"
    path.write_text(path.read_text() + "[melt]\nduration_ps = 3.0\n")
    assert subprocess.run(driver(folder), capture_output=True, check=False, timeout=500).returncode in (0, 4)
    assert states(folder / "all") == [state for state in states(folder / "all") if state in DONE]
    assert member_status(folder / "all", "melt_000").state in DONE
    assert_each_stage_once(folder / "all")
    wait_for(lambda: not processes_of(folder / "all"), 60)


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_driver_cost_nothing(folder):
    table(folder, "workers = 2", slower=200)
    kill_worker_and_driver_then_run_again(folder)


@pytest.mark.slow
def test_a_killed_pool_is_replaced(folder):
    table(folder, "workers = 2", slower=20)
    directory = folder / "all"
    with subprocess.Popen(driver(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (directory / "members.csv").exists() and begun(directory))
        process_of(directory, "000_000").parent().parent().kill()
        assert process.wait(500) in (0, 4)
    assert "continuing after step" in (directory / "000_000/run.log").read_text()
    assert_each_stage_once(directory)
    wait_for(lambda: not processes_of(directory), 60)


@pytest.mark.slow
def test_a_signal_to_the_driver_stops_the_members_with_checkpoints(folder):
    table(folder, "workers = 1", slower=20)  # one at work, one waits
    directory = folder / "all"
    with subprocess.Popen(driver(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_for((directory / "000_000/2_melt_quench/thermo.csv").exists)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 3
    assert said.count("stopped by SIGTERM; run the same command again to continue") == 1
    assert states(directory) == ["interrupted", "waiting"]
    assert (directory / "000_000/2_melt_quench/checkpoint.npz").exists()
    wait_for(lambda: not processes_of(directory), 60)


@pytest.mark.slow
def test_members_of_an_ensemble_on_slurm_survive_a_killed_worker_and_driver(queue, folder):
    table(folder, 'provider = "slurm"\nworkers = 2\nwalltime_hours = 1.0', slower=200)
    kill_worker_and_driver_then_run_again(folder)
    wait_for(lambda: not ask("squeue", "-h"))
    assert (queue / "completed.txt").read_text().count("Name=parsl.amorph.block") == 2


@pytest.mark.slow
def test_members_stop_before_their_block_ends_and_go_on_in_the_next(queue, folder):
    # 70 s for the members of the first block: the melt alone takes minutes on any machine
    table(folder, 'provider = "slurm"\nworkers = 2\nwalltime_hours = 0.034\nseconds_to_stop = 50', slower=1000)
    directory = folder / "all"
    with subprocess.Popen(driver(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (directory / "members.csv").exists() and begun(directory))
        log = directory / "000_000/run.log"
        wait_for(lambda: "stopped" in log.read_text())
        assert "the limit of 0.01" in log.read_text()
        wait_for(lambda: "continuing after step" in log.read_text())
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert process.returncode == 3
    wait_for(lambda: not ask("squeue", "-h"))
    wait_for(lambda: not processes_of(directory), 60)


@pytest.mark.slow
def test_blocks_that_end_at_once_are_told_in_one_line(folder):
    table(folder, 'setup = ["echo no such module >&2; exit 1"]')
    done = subprocess.run(driver(folder), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("amorph: 3 blocks ended before their workers had begun; the last said: ")
    assert "no such module" in last
    assert states(folder / "all") == ["waiting", "waiting"]
