"""What a run goes through on a cluster: kills in the midst of a write, full disks, disks gone read-only, no network."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dying import HERE, Runs
from toy_run import BRIEF, assert_same, content, written

from amorph.durable import read_checkpoint, write_checkpoint

# In each child: the second checkpoint is written, and the process dies after so many bytes or operations of it.
DYING_WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from amorph import durable

folder = Path(sys.argv[1])
for number in range(int(sys.argv[2])):
    directory = folder / str(number)
    directory.mkdir()
    durable.write_checkpoint(directory, {"step": np.array(1), "x": np.full(500, 1.0)})
    if (pid := os.fork()) == 0:
        rng = np.random.default_rng(number)
        kinds = ("open", "os.rename", "write", "fsync")
        kind, left = kinds[number % 4], [int(rng.integers(1, 4))]
        def die(event, arguments):
            if event == kind and str(arguments[0]).startswith(str(directory)):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        if kind == "write":
            opened = Path.open
            def cut(self, mode="r", *a, **k):
                file = opened(self, mode, *a, **k)
                if "w" not in mode:
                    return file
                class Cut:
                    def __enter__(self): return self
                    def __exit__(self, *_): pass
                    def write(self, content):
                        file.write(content[: int(rng.integers(0, len(content)))])
                        file.flush()
                        os.kill(os.getpid(), signal.SIGKILL)
                return Cut()
            Path.open = cut
        elif kind == "fsync":
            os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        else:
            sys.addaudithook(die)
        durable.write_checkpoint(directory, {"step": np.array(2), "x": np.full(500, 2.0)})
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(kind if pid == 0 else number, status)
"""


def test_a_kill_inside_the_write_of_a_checkpoint_leaves_a_whole_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DYING_WRITER, tmp_path, "50"], capture_output=True, text=True, check=True, timeout=120
    )
    statuses = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(statuses) == 50
    assert statuses.count(-signal.SIGKILL) >= 30  # the others died of nothing: fewer operations than was drawn
    steps = []
    for number in range(50):
        read = read_checkpoint(tmp_path / str(number))
        steps.append(int(read["step"]))
        np.testing.assert_array_equal(read["x"], np.full(500, float(read["step"])))
        write_checkpoint(tmp_path / str(number), {"step": np.array(3)})  # and the next one is written as ever
        assert read_checkpoint(tmp_path / str(number))["step"] == 3
    assert {1, 2} == set(steps)


# a disk of its own


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
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
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
        assert stopped.status == 1, (point, size, stopped.said)
        assert stopped.said.count("\n") == 1, stopped.said
        assert "No space left" in stopped.said
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


# no network


def test_nothing_asks_the_network(tmp_path):
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no empty network namespace can be made here")
    study = written(tmp_path / "study.toml", BRIEF)
    mgo = Path(__file__).parent.parent / "structures/MgO.cif"
    isolated = ["unshare", "-n", sys.executable, "-m", "amorph"]
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
