"""Curves drawn once for everything: numbers, units on the axes, vector files, kinds of hops."""

import csv
import re

import numpy as np
import pytest
from ase.build import bulk

import amorph
from amorph.analysis.percolation import migration_path
from amorph.export.charts import (
    activation,
    charts_of,
    displacements,
    drawn,
    profile,
    radial,
    table_charts,
    write_chart_table,
    write_charts,
)
from amorph.fields import ScalarField

MGO = bulk("MgO", "rocksalt", a=4.212, cubic=True)


@pytest.fixture(scope="module")
def report():
    return amorph.structure_report(MGO, q_max=8.0)


def valley(waves, lift=0.0):
    """A valley along x with so many equal barriers of 1 eV; the last is higher by `lift`."""
    n = 60
    x = np.arange(n) / n
    along = 0.5 - 0.5 * np.cos(2 * np.pi * waves * x)
    along = along * np.where(x > (waves - 1) / waves, 1.0 + lift, 1.0)
    values = np.full((n, 6, 6), 10.0)
    values[:, 0, 0] = along
    return ScalarField(values, np.diag([12.0, 6.0, 6.0]), "site energy", "eV", kind="site_energy")


@pytest.mark.parametrize(("waves", "lift", "kinds"), [(3, 0.0, 1), (3, 0.5, 2), (1, 0.0, 1)])
def test_hops_of_one_kind_are_drawn_once(waves, lift, kinds):
    chart = profile(migration_path(valley(waves, lift)))
    table = chart.tables[""]
    assert len(set(table["hop"].tolist())) == kinds
    counts = dict(zip(table["hop"].tolist(), table["times"].tolist(), strict=True))
    assert sum(counts.values()) == waves


def test_every_axis_has_its_unit(report):
    labels = []
    for chart in (*charts_of(report), *charts_of(amorph.free_volume(MGO)), *charts_of(amorph.bvs_map(MGO, "Mg2+"))):
        for axes in drawn([chart]).get_axes():
            labels.append(axes.get_xlabel())
            assert axes.get_ylabel()
    assert all(re.search(r"\[(Å|1/Å|Å³|°|v\.u\.)\]", label) for label in labels), labels


def test_files_are_vectors_with_their_text_and_the_same_each_time(tmp_path, report):
    charts = charts_of(report)
    for name in ("a.svg", "b.svg", "a.pdf"):
        write_charts(tmp_path / name, charts)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "S(q)" in text
    assert "<image" not in text
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="jpg"):
        write_charts(tmp_path / "a.jpg", charts)


def test_a_table_beside_the_figure_makes_the_figure_again(tmp_path, report):
    for chart in charts_of(report):
        if chart.name == "pair_function":
            continue
        write_chart_table(tmp_path / "table.csv", chart)
        with (tmp_path / "table.csv").open() as file:
            rows = list(csv.DictReader(file))
        table = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
        (again,) = table_charts("table", table)
        assert again.name == chart.name
        assert again.text == chart.text


def test_several_structures_stand_in_one_table(report):
    pattern = {"two_theta_deg": report.pattern.two_theta_deg, "intensity": report.pattern.intensity}
    from amorph.export.charts import drawn, powder

    for wavelength_A, said in ((None, "2θ [°]"), (0.7107, "2θ [°], λ = 0.7107 Å")):
        (axes,) = drawn([powder({"glass": pattern}, wavelength_A)]).get_axes()
        assert axes.get_xlabel() == said
    rows = powder({"glass": pattern, "crystal": pattern}).rows()
    assert [rows[0]["of"], rows[-1]["of"]] == ["glass", "crystal"]
    assert len(rows) == 2 * len(report.pattern.intensity)


def walk(temperature_K, step_A, rng):
    """A walk of Li whose D is step²/(2·1 ps) in each direction, in a frame of O that rattles."""
    atoms = bulk("Li", "sc", a=4.0).repeat(3)
    atoms.symbols[::2] = "O"
    frames = []
    for _ in range(200):
        frames.append(atoms.copy())
        moved = np.where((atoms.symbols == "Li")[:, None], step_A, 0.0) * rng.normal(size=(27, 3))
        atoms.positions += moved
        frames[-1].rattle(0.01, rng=rng)
    return amorph.diffusion(frames, frame_interval_ps=1.0, temperature_K=temperature_K)


def test_diffusion_by_temperature_goes_through_the_walks(tmp_path):
    rng = np.random.default_rng(0)
    walks = [walk(600.0, 0.1, rng), walk(1000.0, 0.3, rng)]
    chart = activation(amorph.arrhenius(walks, "Li"), walks)
    points, line = chart.tables["Li"], chart.tables["Li, line"]
    expected = [1e-4 * step**2 / 2 for step in (0.1, 0.3)]  # cm²/s
    assert np.allclose(points["D_cm2_s"], expected, rtol=0.5)
    # the line goes through two points
    assert np.allclose(sorted(line["fitted_cm2_s"])[1:], sorted(points["D_cm2_s"]), rtol=1e-6)
    still = activation(amorph.arrhenius(walks, "Li"), [walk(400.0, 0.0, rng)]).tables["Li"]
    assert still["D_cm2_s"] == [None]
    assert still["to_cm2_s"][0] > 0.0
    write_charts(tmp_path / "a.svg", [chart, displacements({"hot": walks[1]})])
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "mathdefault" not in text  # markup of mathematics is off
    assert re.search(r">\de-\d\d<", text)


def test_every_pair_of_five_elements_is_drawn_and_what_is_left_out_is_said():
    def table(elements):
        pairs = [f"g_{one}-{other}" for k, one in enumerate(elements) for other in elements[k:]]
        return {"r_A": np.linspace(0.1, 5.0, 50)} | dict.fromkeys(["g_total", *pairs], np.ones(50))

    five, six = (radial({"": table(elements)}) for elements in ("ABCDE", "ABCDEF"))
    assert (five.panels, "not drawn" in five.text) == (16, False)
    assert (six.panels, "6 pairs more are not drawn" in six.text) == (16, True)
