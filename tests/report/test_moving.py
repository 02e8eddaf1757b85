"""A run whose ion is moved and removed: what its page and amorph plot draw of it."""

import csv
import json
import shutil

import numpy as np
import pytest
from test_run_page import Reader
from toy_run import BRIEF

from amorph.export.charts import write_chart_table
from amorph.figures import restored
from amorph.pipeline import read_study, run_study
from amorph.pipeline.mobility import MOBILITY, measured_again
from amorph.pipeline.results import Mobility
from amorph.report import charts_from, write_report
from amorph.run import read_json

TABLES = """
[diffusion]
temperatures_K = [300, 900]
duration_ps = 0.2
equilibration_ps = 0.02
sample_every = 2
[voltage]
removed = [0.0, 0.5, 1.0]
choices = 2
"""


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moved")
    (folder / "study.toml").write_text(BRIEF + TABLES)
    run_study(read_study(folder / "study.toml"), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def charts(moved):
    return {chart.name: chart for chart in charts_from(moved)}


def test_displacements_measured_again_are_those_of_the_stage(moved):
    for mark in moved.rglob(MOBILITY):
        kept, again = read_json(mark), measured_again(mark.parent)
        assert again.figures()["ions"] == kept["details"]
        assert (again.temperature_K, again.duration_ps) == (kept["measured_K"], kept["duration_ps"])


def test_glass_crystal_and_hosts_are_drawn_at_each_temperature(charts):
    of = [charts[name].title for name in charts if name.startswith("msd")]
    assert [title.rpartition(" the ")[2] for title in of] == ["glass", "crystal", "exchange", "exchange"]
    assert charts["msd-0"].panels == 2
    assert {"Mg, 300 K", "O, 900 K"} <= charts["msd-0"].tables.keys()
    assert {"Li, 300 K", "O, 900 K"} <= charts["msd-3"].tables.keys()


def test_every_rate_stands_in_the_table_of_temperatures_a_limit_as_a_limit(charts, moved, tmp_path):
    write_chart_table(tmp_path / "table.csv", charts["arrhenius"])
    with (tmp_path / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["of"].endswith("line")]
    kept = [restored(Mobility, read_json(path)) for path in moved.rglob(MOBILITY)]
    assert len(rows) == len(kept) == 8
    for one in kept:
        [row] = [row for row in rows if np.isclose(float(row["temperature_K"]), one.measured_K, rtol=1e-12)]
        assert row["of"].startswith(one.element)
        assert row["host_stands"] == str(one.survives)
        assert row["D_cm2_s"] == ("" if one.diffusivity_cm2_s is None else repr(one.diffusivity_cm2_s))
        top = one.upper_limit_cm2_s if one.interval_95 is None else one.interval_95[1]
        assert float(row["to_cm2_s"]) == top


def test_voltages_are_those_of_the_summary(charts, moved):
    summary = json.loads((moved / "summary.json").read_text())
    tables = charts["voltage"].tables
    for name, figures in (("glass", summary["exchanged"][0]), ("crystal", summary["crystal"])):
        assert tables[name]["removed_to"] == [0.5, 1.0]
        mean = np.mean(tables[name]["voltage_V"])  # of two steps of equal size
        assert mean == pytest.approx(figures["voltage"]["average_voltage_V"])


def test_the_page_has_them_and_the_course_of_the_quench_alone(moved, tmp_path):
    text = write_report(moved, tmp_path / "page.html").read_text(encoding="utf-8")
    page = Reader(text)
    names = [found["aria-labelledby"].split("-title")[0] for tag, found in page.elements if tag == "figure"]
    assert names[-6:] == ["msd-0", "msd-1", "msd-2", "msd-3", "arrhenius", "voltage"]
    assert [name for name in names if name.startswith("course")] == ["course-2_melt_quench", "course-4_equilibrate"]
    assert "mathdefault" not in text  # markup of mathematics is off


def test_a_stage_alone_is_drawn(moved):
    names = [[chart.name for chart in charts_from(moved / stage)] for stage in ("10_diffusion_300K", "9_voltage")]
    assert names == [["course", "displacements"], ["voltage"]]


def test_a_stage_that_is_gone_is_told(moved, tmp_path):
    run = shutil.copytree(moved, tmp_path / "run")
    shutil.rmtree(run / "10_diffusion_300K")
    with pytest.raises(ValueError, match="0 folders of the stage diffusion_300K"):
        write_report(run)
