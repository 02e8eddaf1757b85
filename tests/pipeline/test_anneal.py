"""The dynamics of the exchanged cell before it is relaxed: glass and crystal, each with velocities of its replica."""

import json

import numpy as np
import pytest
from ase.io import read
from dying import Runs
from toy_run import BRIEF, written

from amorph.run import sha256_of

ANNEAL = """
[anneal]
sample_every = 5
schedule.timestep_fs = 2.0
schedule.segments = [{ name = "anneal", ensemble = "NPT", start_K = 900, end_K = 500, duration_ps = 0.1 }]
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annealed")
    with Runs() as runs:
        runs(written(folder / "study.toml", BRIEF + ANNEAL), folder / "run")
    return folder / "run"


@pytest.mark.parametrize(("before", "annealed", "after"), [
    ("5_substitute", "6_anneal", "7_final_relax"),
    ("crystal/3_substitute", "crystal/4_anneal", "crystal/5_final_relax"),
])  # fmt: skip
def test_it_comes_between_the_exchange_and_its_relaxation(directory, before, annealed, after):
    mark = json.loads((directory / annealed / "stage.json").read_text())
    assert mark["inputs"] == {"structure": sha256_of(directory / before / "structure.extxyz")}
    mark = json.loads((directory / after / "stage.json").read_text())
    assert mark["inputs"] == {"structure": sha256_of(directory / annealed / "structure.extxyz")}
    first, last = (read(directory / stage / "structure.extxyz") for stage in (before, annealed))
    assert first.get_chemical_formula() == last.get_chemical_formula()
    assert first.get_volume() != last.get_volume()  # at constant pressure


def test_it_follows_its_schedule(directory):
    table = np.genfromtxt(directory / "6_anneal/thermo.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert table["step"].tolist() == list(range(0, 55, 5))
    assert table["target_K"][[0, -1]].tolist() == [900.0, 500.0]


def test_a_crystal_that_was_annealed_has_not_melted(directory):
    figures = json.loads((directory / "crystal/4_anneal/stage.json").read_text())["figures"]
    assert figures["after_quench"]["melted"] is False
