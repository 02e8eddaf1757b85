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


def test_no_peak_and_every_size_of_ring_have_their_rows():
    """Diamond has 6-rings alone; a single cell has no vector below 2 1/Å, so no first sharp peak."""
    report = structure_report(bulk("C", "diamond", a=3.567), cutoffs={"C-C": 1.8})
    assert report.peak is None
    rows = {row.figure: (row.value, row.share) for row in report.rows()}
    assert rows["first sharp diffraction peak"] == rows["its full width at half maximum"] == (None, False)
    shares = {name.split(" of ")[1]: value for name, value in rows.items() if "rings of" in name}
    assert shares == {"3": (0.0, True), "4": (0.0, True), "5": (0.0, True), "6": (1.0, True), "7 or more": (0.0, True)}


def test_without_rings_no_size_has_a_share():
    apart = bulk("C", "diamond", a=3.567)
    assert {row.value for row in structure_report(apart, cutoffs={"C-C": 1.0}).rings.rows()} == {None}


def test_curves_of_several_glasses_have_their_standard_errors(glasses):
    both = structure_report(glasses, q_max=8.0).curves()
    each = [structure_report(glass, q_max=8.0).curves() for glass in glasses]
    for name, column in (("g_r", "g_Mg-O"), ("g_r", "n_O-Mg"), ("g_r", "g_total"), ("s_q", "s_xray"), ("s_q", "s_O-O")):
        one, other = (np.array([row[column] for row in curves[name]]) for curves in each)
        errors = [row[f"{column}_standard_error"] for row in both[name]]
        np.testing.assert_allclose(errors, np.abs(one - other) / 2.0, rtol=0.0, atol=1e-9)  # s/√2 of two values
    one, other = (np.array([row["intensity"] for row in curves["pattern"]]) for curves in each)
    errors = [row["intensity_standard_error"] for row in both["pattern"]]
    np.testing.assert_allclose(errors, np.abs(one - other) / 2.0, rtol=1e-9, atol=1e-9)
    assert not [column for rows in each[0].values() for column in rows[0] if column.endswith("_standard_error")]


def test_a_band_of_the_error_is_drawn_where_there_is_one(glasses):
    for structures, bands in ((glasses, {"g(r)", "S(q)"}), (glasses[0], set())):
        figure = structure_report(structures, q_max=8.0).plot().figure
        drawn = {axes.get_ylabel() for axes in _axes(figure) if axes.collections}
        assert drawn == bands
        assert not [axes for axes in _axes(figure) if "error" in axes.get_title()]


def _axes(figure):
    return [axes for part in figure.subfigs for axes in part.axes]
