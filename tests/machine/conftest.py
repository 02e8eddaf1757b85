"""A made-up machine: its /proc and its control groups."""

import pytest


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that writes files of a machine, and gives the two folders that the questions are asked of."""
    for name in (
        "SLURM_MEM_PER_NODE",
        "SLURM_MEM_PER_CPU",
        "SLURM_CPUS_ON_NODE",
        "OMP_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    ):
        monkeypatch.delenv(name, raising=False)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path / "proc", tmp_path / "cgroup"

    return write
