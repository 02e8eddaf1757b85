"""A folder with an ensemble in it, and a real queue."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from toy_ensemble import HERE, ask, wait_for, write_files


@pytest.fixture(scope="module", autouse=True)
def _no_page():
    """Leave out the page of an ensemble that ends in this process: drawing it takes longer than its members."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amorph.cli.report.tried_page", lambda _: None)
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Working directory of the tests, where the toy lies, and a folder with a study and an ensemble."""
    monkeypatch.chdir(HERE)
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    write_files(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder):
    """The command that runs the ensemble."""
    return [
        sys.executable, "-m", "amorph", "ensemble", "run", str(folder / "ensemble.toml"), "--dir", str(folder / "all"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    """A SLURM of one node for the time of one file of tests."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    programs = ("slurmctld", "slurmd", "sbatch", "munged")
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if os.geteuid() != 0 or missing:
        reason = f"no {', '.join(missing)} on this machine" if missing else "only root can start a SLURM of its own"
        (pytest.fail if os.environ.get("SLURM_REQUIRED") else pytest.skip)(f"{reason}: left out")
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([HERE / "ensemble/start_slurm.sh", folder], check=True, timeout=60, capture_output=True)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield folder
    ask("scancel", "--user", "root")
    wait_for(lambda: not ask("squeue", "-h"), 60)  # jobs that a failed test has left end before their queue
    for name in ("slurmd", "slurmctld"):
        os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGKILL)
    if before is None:
        del os.environ["SLURM_CONF"]
    else:
        os.environ["SLURM_CONF"] = before
