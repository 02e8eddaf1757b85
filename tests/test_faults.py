"""What a run goes through on a cluster: kills in the midst of a write, full disks, disks gone read-only, no network."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dying import HERE, Runs, kill_checkpoints
from faulting import Trials, moving_study
from toy_run import BRIEF, assert_same, content, written

from amorph.run import read_checkpoint, write_checkpoint


def test_a_kill_inside_the_write_of_a_checkpoint_leaves_a_whole_one(tmp_path):
    assert [status for _, status in kill_checkpoints(tmp_path, 50)] == [-signal.SIGKILL] * 50
    steps = []
    for number in range(50):
        read = read_checkpoint(tmp_path / str(number))
        steps.append(int(read["step"]))
        np.testing.assert_array_equal(read["x"], np.full(500, float(read["step"])))
        write_checkpoint(tmp_path / str(number), {"step": np.array(3)})  # and the next one is written as ever
        assert read_checkpoint(tmp_path / str(number))["step"] == 3
    assert {1, 2} == set(steps)


# Each child begins the hand-off to VASP and dies before one of its file operations.
HAND_OFF = """
import os, sys
from pathlib import Path
import numpy as np
from ase.build import bulk
from dying import die_at
from amorph.pipeline import stages
from amorph.run import RunDirectory, Work

def begin(directory):
    with RunDirectory(directory, {}, {}) as run:
        setting = stages.Setting(None, Work(), None)
        stages.vasp_stage(run.stage("1_final_relax", {}), bulk("MgO", "rocksalt", a=4.2, cubic=True), setting)

try:
    begin(Path(sys.argv[1]) / "whole")
except stages.WaitingForVasp:
    pass
for number in range(1, int(sys.argv[2])):
    directory = Path(sys.argv[1]) / str(number)
    if (pid := os.fork()) == 0:
        die_at("file", number, ("SIGKILL",), str(directory / "1_final_relax"))
        begin(directory)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), sorted(path.name for path in directory.rglob("vasp/*")))
    try:
        begin(directory)
    except stages.WaitingForVasp:
        pass
"""


def test_a_kill_while_the_input_of_vasp_is_written_is_mended(tmp_path):
    command = [sys.executable, "-c", HAND_OFF, str(tmp_path), "12"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True, timeout=600)
    killed = [line for line in done.stdout.splitlines() if line.startswith(str(-signal.SIGKILL))]
    assert len(killed) == 11
    expected = content(tmp_path / "whole")
    assert {f"1_final_relax/vasp/{name}" for name in ("INCAR", "KPOINTS", "POSCAR", "POTCAR.spec")} < set(expected)
    assert any("'POSCAR'" in line and "'INCAR'" not in line for line in killed)
    for number in range(1, 12):
        assert_same(content(tmp_path / str(number)), expected)


# faults at system calls; benchmarks/faults.py draws a thousand


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    if shutil.which("cc") is None:
        unable("there is no C compiler here")
    with Trials(tmp_path_factory.mktemp("trials"), seed=0) as trials:
        yield trials


@pytest.mark.parametrize("number", [12, pytest.param(60, marks=pytest.mark.slow)])
def test_a_call_that_goes_wrong_is_told_or_without_effect_and_costs_no_byte(trials, number):
    seen = {(fault.act, trials(fault)) for fault in (trials.draw() for _ in range(number))}
    assert len(seen) > 3  # kinds of fault with their outcomes


@pytest.mark.slow
def test_a_call_that_goes_wrong_in_a_run_of_crystal_diffusion_and_voltage(tmp_path):
    if shutil.which("cc") is None:
        unable("there is no C compiler here")
    with Trials(tmp_path, seed=0, text=moving_study()) as trials:
        names = {stage.name for stage in trials.stages}
        assert {"voltage", "diffusion_600K"} <= {name.partition("_")[2] for name in names}
        assert any(stage.parts[0] == "crystal" for stage in trials.stages)
        seen = {(fault.act, trials(fault)) for fault in (trials.draw() for _ in range(12))}
    assert len(seen) > 3


# a disk of its own


def unable(reason):
    """Leave a test out that this machine cannot run; on CI, where nothing may be left out, fail."""
    (pytest.fail if os.environ.get("SLURM_REQUIRED") else pytest.skip)(reason)


@pytest.fixture
def disk(tmp_path):
    """A file system in memory that can be made small, large or read-only."""

    class Disk:
        path = tmp_path / "disk"

        def set(self, options):
            subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    Disk.path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", Disk.path], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        unable(f"no file system can be mounted here: {done.stderr.strip()}")
    yield Disk()
    subprocess.run(["umount", "-l", Disk.path], check=True)


@pytest.fixture(scope="module")
def runs():
    with Runs() as runs:
        yield runs


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """A brief run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    study, directory = written(folder / "study.toml", BRIEF), folder / "run"
    return study, directory, runs(study, directory)


def used(directory):
    """Bytes that a directory takes on a disk of pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in directory.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(runs, whole, disk):
    study, whole_run, outcome = whole
    needed = used(whole_run)
    for point in range(20):
        directory = disk.path / f"run{point}"
        directory.mkdir()
        # the least that tmpfs knows is a page, and beside the run lies nothing
        size = 4096 * max(2, int(needed / 4096 * (point + 0.5) / 20))
        disk.set(f"size={size}")
        stopped = runs(study, directory)
        # a text field that would not fit is refused before it is begun
        refused = "are free on the disk" in stopped.said
        assert stopped.status == (2 if refused else 1), (point, size, stopped.said)
        assert stopped.said.count("\n") == 1, stopped.said
        assert refused or "No space left" in stopped.said
        disk.set("size=64m")
        assert runs(study, directory).status == outcome.status
        assert_same(content(directory), content(whole_run))
        shutil.rmtree(directory)


def test_a_disk_gone_read_only_is_told_and_costs_nothing(runs, whole, disk):
    study, whole_run, outcome = whole
    directory = disk.path / "run"
    runs(study, directory, die=("call", 40))
    disk.set("ro")
    before = content(directory)
    stopped = runs(study, directory)
    assert stopped.status in (1, 2)
    assert stopped.said.count("\n") == 1
    assert "Read-only" in stopped.said
    disk.set("rw")
    assert_same(content(directory), before)
    assert runs(study, directory).status == outcome.status
    assert_same(content(directory), content(whole_run))


# what else a machine takes away


@pytest.mark.parametrize(("fault", "said"), [("EACCES", "Permission denied"), ("ENOMEM", "MemoryError")])
@pytest.mark.parametrize("call", [30, pytest.param(120, marks=pytest.mark.slow)])  # melt and minimisation
def test_lost_permission_and_exhausted_memory_are_told_and_cost_nothing(runs, whole, tmp_path, fault, said, call):
    study, whole_run, outcome = whole
    directory = tmp_path / "run"
    stopped = runs(study, directory, die=("call", call), signals=(fault,))
    assert stopped.status in (1, 2), stopped.said
    assert stopped.said.count("\n") == 1
    assert said in stopped.said
    for folder in (directory, *directory.rglob("*/")):
        folder.chmod(0o755)
        read_checkpoint(folder)  # raises where none is whole
    assert list(directory.rglob("checkpoint.npz"))
    assert runs(study, directory).status == outcome.status
    assert "continuing after step" in (directory / "run.log").read_text()
    assert_same(content(directory), content(whole_run))


# no network


# Ends the process at its first look-up of a name or connection over the network, whatever becomes of the error.
WATCHED = """
import os, socket, sys

def hook(event, arguments):
    asks = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
    if asks or (event == "socket.connect" and arguments[0].family != socket.AF_UNIX):
        os.write(2, f"{event} {arguments[1:]}".encode())
        os._exit(99)

sys.addaudithook(hook)
from amorph.cli import main
"""


@pytest.mark.parametrize(
    "attempt", ["socket.getaddrinfo('example.org', 80)", "socket.socket().connect(('127.0.0.1', 9))"]
)
def test_an_attempt_that_fails_silently_would_be_seen(attempt):
    code = WATCHED + f"try: {attempt}\nexcept OSError: pass"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 99


@pytest.mark.slow
def test_nothing_asks_the_network(tmp_path):
    study = written(tmp_path / "study.toml", BRIEF)
    mgo = Path(__file__).parent.parent / "structures/MgO.cif"
    empty = ["unshare", "-n"]
    if subprocess.run([*empty, "true"], capture_output=True, check=False).returncode != 0:
        unable("no empty network namespace can be had here")
    isolated = [*empty, sys.executable, "-c", WATCHED + "sys.exit(main())"]
    for words, status in (
        (["run", study, "--dir", tmp_path / "run", "--quiet"], {0, 4}),
        (["relax", mgo, "-o", tmp_path / "relaxed.extxyz", "--max-steps", "1"], {0, 4}),  # CHGNet's weights
        (["bvs", mgo, "--ion", "Mg2+", "--grid", "8", "8", "8", "-o", tmp_path / "bvs.cube"], {0}),
    ):
        done = subprocess.run(
            [*isolated, *map(str, words)], cwd=HERE, capture_output=True, text=True, check=False,
            env={**os.environ, "GIT_DIR": "/nonexistent"},
        )  # fmt: skip
        assert done.returncode in status, done.stderr
