"""A hundred thousand atoms."""

import json
import subprocess
import sys

import pytest

LARGE = """
import json
from pathlib import Path
from ase.spacegroup import crystal
from amorph.analysis.order import coordination, pair_distributions, rings

sites = [(0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7858)]
cell = crystal(["Si", "O"], basis=sites, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])
atoms = cell * (22, 22, 23)
atoms.rattle(0.1, seed=1)
bonded = {"cutoffs": {"Si-O": 2.2}}
g = pair_distributions(atoms, r_max=10.0, bin_width=0.05)
mean = coordination(atoms, **bonded).figures()["coordination"]["Si-O"]
sizes = rings(atoms, **bonded).sizes
status = Path("/proc/self/status").read_text(encoding="ascii")  # ru_maxrss begins with what its parent held
peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps([len(atoms), float(g.total_g_r[100:].mean()), mean, sizes, peak]))
"""


@pytest.mark.slow
def test_order_of_a_hundred_thousand_atoms_takes_less_than_2_gb():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    atoms, far, bonds, sizes, peak = json.loads(done.stdout)
    assert atoms == 100_188
    assert far == pytest.approx(1.0, abs=0.03)
    assert bonds["mean"] == pytest.approx(4.0, abs=1e-3)
    # of quartz: its atoms are displaced, its bonds are not changed
    assert sizes["6"] == pytest.approx(1.0, abs=0.01)
    assert peak < 2e9
