"""The benchmarks of order and scattering run, with and without the programs that they compare with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

PHASES = """
import numpy as np

def calc_rho_q(x, q):
    return np.exp(1j * q @ x.T).sum(axis=1)
"""
"""What dynasor computes, in one line."""


def run(name, *, without=(), path=None):
    """Run a benchmark on small work, as if the packages of some names were not there."""
    code = f"import runpy, sys; sys.modules |= dict.fromkeys({list(without)!r}); sys.argv[1:] = ['--quick']; "
    code += f"sys.path.insert(0, {str(BENCHMARKS)!r}); runpy.run_path({str(BENCHMARKS / name)!r}, run_name='__main__')"
    environment = os.environ | ({} if path is None else {"PYTHONPATH": str(path)})
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_order_without_its_peers_still_compares_with_ase():
    said = run("order.py", without=("freud", "matscipy", "sovapy"))
    assert all(f"without {peer}" in said for peer in ("freud", "matscipy", "sovapy"))
    assert "× ase" in said


def test_scattering_without_dynasor_times_its_own_sums():
    said = run("scattering.py", without=("dynasor",))
    assert "without dynasor" in said
    assert "9770 vectors" in said


def test_scattering_beside_plain_phases(tmp_path):
    folder = tmp_path / "dynasor" / "core"
    folder.mkdir(parents=True)
    (folder / "reciprocal.py").write_text(PHASES)
    about = tmp_path / "dynasor-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dynasor\nVersion: 0\n")
    every, half = run("scattering.py", path=tmp_path).splitlines()
    assert "every vector" in every
    assert "half of the vectors" in half


@pytest.mark.parametrize("name", ["order.py", "scattering.py"])
def test_with_what_is_installed(name):
    assert run(name)
