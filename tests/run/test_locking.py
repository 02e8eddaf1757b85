"""One process at a time in a run directory."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amorph.run import RunDirectory


def opened(path):
    return RunDirectory(path, {}, {})


def names(path):
    return sorted(entry.name for entry in path.iterdir())


HOLD = "import sys, time; from pathlib import Path; from amorph.run.directory import RunDirectory\n"
HOLD += "with RunDirectory(Path(sys.argv[1]), {}, {}): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(tmp_path):
    """Another process that has the directory open."""
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process, path
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_and_the_crash_of_the_first_frees_the_directory(holder):
    process, path = holder
    found = names(path)
    with (
        pytest.raises(ValueError, match=f"is in use by pid {process.pid} on {re.escape(socket.gethostname())}; wait"),
        opened(path),
    ):
        pass
    assert names(path) == found
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert f"pid {process.pid}" in (path / "lock").read_text()  # stale, and no obstacle
    with opened(path):
        assert f"pid {os.getpid()} " in (path / "lock").read_text()
    assert (path / "lock").read_text() == ""


def test_the_same_process_is_refused_too_and_may_come_back(tmp_path):
    with opened(tmp_path / "run"), pytest.raises(ValueError, match=f"in use by pid {os.getpid()} on"):
        opened(tmp_path / "run").__enter__()
    with opened(tmp_path / "run"):
        pass


def test_removing_the_lock_of_a_running_process_lets_nobody_in(holder):
    process, path = holder
    (path / "lock").unlink()
    with (
        pytest.raises(ValueError, match="is in use by another process, whose lock was removed; wait for it"),
        opened(path),
    ):
        pass
    process.kill()
    process.wait()
    with opened(path):
        pass


def test_a_lock_whose_name_went_to_another_file_is_not_taken_for_one(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    lock, flock, files = tmp_path / "run/lock", fcntl.flock, []

    def replaced(file, how):
        flock(file, how)
        files.append(file)
        if len(files) == 1:  # between open and lock another process removed the file
            lock.unlink()
            lock.write_text("")

    monkeypatch.setattr("fcntl.flock", replaced)
    with opened(tmp_path / "run"), lock.open() as seen, pytest.raises(BlockingIOError):
        flock(seen, fcntl.LOCK_SH | fcntl.LOCK_NB)


@pytest.mark.parametrize(("machine", "told"), [("elsewhere", True), (socket.gethostname(), False)])
def test_a_lock_that_another_machine_left_is_told(tmp_path, machine, told):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").write_text(f"pid 7 on {machine}\n")
    with opened(tmp_path / "run"):
        pass
    log = (tmp_path / "run/run.log").read_text()
    assert ("was not given back by pid 7 on elsewhere: if that still runs" in log) is told


def test_a_lock_that_cannot_be_cleared_at_the_end_hides_no_error_and_is_free(tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file, self.cut = file, 0

        def __getattr__(self, name):
            return getattr(self.file, name)

        def truncate(self):
            self.cut += 1
            if self.cut == 2:
                raise OSError(30, "Read-only file system")

    usual = Path.open

    def cramped(path, *arguments, **options):
        file = usual(path, *arguments, **options)
        return Full(file) if path.name == "lock" else file

    monkeypatch.setattr(Path, "open", cramped)
    with pytest.raises(RuntimeError, match="what ended the run"), opened(tmp_path / "run"):
        raise RuntimeError("what ended the run")
    monkeypatch.undo()
    with opened(tmp_path / "run"):
        pass


def test_a_look_at_the_status_is_no_obstacle(tmp_path):
    (tmp_path / "run").mkdir()
    lock = (tmp_path / "run/lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)  # what whoever looks holds for a moment
    looking = threading.Timer(0.3, lock.close)
    looking.start()
    with opened(tmp_path / "run"):
        pass
    looking.join()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with pytest.raises(ValueError, match="cannot be locked \\(Function not implemented\\)"), opened(tmp_path / "run"):
        pass
