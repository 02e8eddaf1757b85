"""The dynamics of the exchanged cell before it is relaxed, of glass and crystal."""

import json

import numpy as np
import pytest
from ase.io import read
from dying import Runs
from toy_run import BRIEF, assert_same, content, written

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


def test_it_is_not_put_before_what_was_made_without_it(tmp_path):
    """Not even by force: two analyses would stand side by side, and the page take one of them."""
    with Runs() as runs:
        runs(written(tmp_path / "study.toml", BRIEF), tmp_path / "run")
        before = content(tmp_path / "run")
        outcome = runs(written(tmp_path / "study.toml", BRIEF + ANNEAL), tmp_path / "run", flags=("--force",))
    assert outcome.status == 2
    for name in ("6_final_relax (here 7_final_relax)", "crystal/6_export (here 7_export)"):
        assert name in outcome.said
    assert_same(content(tmp_path / "run"), before)


HOT = ANNEAL.replace("start_K = 900, end_K = 500, duration_ps = 0.1", "start_K = 9000, end_K = 9000, duration_ps = 0.4")


@pytest.mark.slow
def test_a_crystal_that_melts_in_it_is_a_failed_check(tmp_path):
    study = (BRIEF + HOT).replace("supercell = [2, 2, 2]", "supercell = [2, 2, 4]").replace('"NPT"', '"NVT"')
    with Runs() as runs:
        outcome = runs(written(tmp_path / "study.toml", study), tmp_path / "run")
    assert outcome.status == 4
    failed = json.loads((tmp_path / "run/summary.json").read_text())["failed"]
    assert any(fault.startswith("the crystal that the glass is compared with is none any more") for fault in failed)
