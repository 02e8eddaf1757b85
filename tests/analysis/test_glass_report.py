"""Order and scattering in one report: each figure is that of its own function."""

import json

import numpy as np
import pytest
from ase.build import bulk

from amorph import structure_report
from amorph.analysis.order import coordination, pair_distributions, rings
from amorph.analysis.scattering import compare, pair_function, structure_factor


@pytest.fixture(scope="module")
def glasses():
    """Two rocksalt cells, shaken apart: independent structures."""
    made = []
    for seed in (1, 2):
        atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 1)
        atoms.rattle(0.1, seed=seed)
        made.append(atoms)
    return made


def test_the_crystal_has_six_neighbors_and_its_own_distance():
    report = structure_report(bulk("MgO", "rocksalt", a=4.212, cubic=True), cutoffs={"Mg-O": 2.5})
    rows = {row.figure: row.value for row in report.rows()}
    assert rows["Mg-O coordination"] == 6.0
    assert rows["Mg-O bond length"] == pytest.approx(2.106, abs=1e-9)


def test_every_part_is_what_its_function_gives(glasses):
    figures = structure_report(glasses, r_max=6.0, bin_width=0.05, q_max=8.0).figures()
    alone = pair_distributions(glasses, r_max=6.0, bin_width=0.05).figures()
    assert {key: figures[key] for key in alone} == alone
    assert figures["coordination"] == coordination(glasses).figures()["coordination"]
    assert figures["rings"]["sizes"] == rings(glasses).figures()["sizes"]
    scattering = structure_factor(glasses, q_max=8.0).figures()
    assert {key: figures[key] for key in scattering} == scattering
    assert figures["samples"] == figures["frames"] == 2
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize("window", ["lorch", "none"])
def test_its_own_pair_function_is_found_again(glasses, window):
    """Of the other window it is another curve: about a quarter is missing from every peak."""
    scattering = structure_factor(glasses, q_max=12.0)
    of_cell = {"intervals": scattering.intervals, "number_density": scattering.number_density}
    alone = pair_function(scattering.q, scattering.total("xray"), **of_cell, window=window)
    measured = np.column_stack([alone.r_pdf_A, alone.g_pdf])
    made = {name: structure_report(glasses, q_max=12.0, window=name).pair_function for name in ("lorch", "none")}
    beside = {name: compare(found.r_pdf_A, found.g_pdf, measured) for name, found in made.items()}
    assert made[window].window == window
    assert beside[window].scale == pytest.approx(1.0, abs=1e-9)
    assert beside[window].r_w == pytest.approx(0.0, abs=1e-9)
    assert beside["lorch" if window == "none" else "none"].r_w > 0.2


def test_curves_are_those_of_the_figures(glasses):
    report = structure_report(glasses, q_max=8.0)
    figures, curves = report.figures(), report.curves()
    assert [row["g_Mg-O"] for row in curves["g_r"]] == figures["g_r"]["Mg-O"]
    assert [row["s_xray"] for row in curves["s_q"]] == figures["s_q"]["xray"]
    assert [row["intensity"] for row in curves["pattern"]] == figures["intensity"]
    assert [row["g_pdf_per_A2"] for row in curves["g_pdf"]] == figures["g_pdf"]


def test_an_element_has_no_polyhedra():
    report = structure_report(bulk("Si", "diamond", a=5.431, cubic=True) * 2, cutoffs={"Si-Si": 2.6})
    assert report.polyhedra is report.connectivity is None
    assert report.figures()["rings"]["sizes"]["6"] == pytest.approx(2.0)
    assert np.isfinite(report.pattern.intensity).all()
