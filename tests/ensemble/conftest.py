"""A folder with an ensemble in it."""

import sys

import pytest
from toy_ensemble import HERE, write_files


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
