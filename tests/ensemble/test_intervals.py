"""Intervals of means: Student's, and those of shares, which end within what a share can be."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from amorph.ensemble import summary
from amorph.ensemble.plot import ensemble_chart
from amorph.ensemble.summary import MOST_FIGURES, EnsembleSummary, Statistics
from amorph.figures import Row
from amorph.pipeline.summary import side_by_side


def of(values, figure="window share of the cell", unit="", structure="glass", *, share=True, **more):
    return Statistics({}, figure, unit, structure, tuple(values), share=share, **more)


def test_what_is_no_share_has_students_interval():
    values = [3.1, 3.4, 2.9, 3.3]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert of(values, "density", "g/cm³", share=False).interval == pytest.approx(expected)


def test_a_share_stays_within_0_and_1_where_students_does_not():
    values = [0.0, 0.0, 0.1]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert low < 0
    assert of(values).interval == pytest.approx((0.0, high))
    assert of(values).row()["interval by"] == "t, cut at 0 and 1"


def test_a_share_far_from_its_limits_has_students_interval():
    values = [0.400, 0.401, 0.402, 0.399]
    assert of(values).interval == pytest.approx(stats.t.interval(0.95, 3, np.mean(values), stats.sem(values)))


def test_rounding_does_not_take_a_share_beyond_1():
    assert of([1.0, 1.0 + 2e-16, 1.0 + 4e-16, 1.0]).interval[1] <= 1.0
    assert of([1.0, np.nextafter(1.0, 0.0), 1.0]).interval[1] == 1.0


def test_a_share_beyond_its_limits_keeps_students_interval():
    """An f_V below 0 is no slip of rounding: its reference volume does not fit, and the interval must show it."""
    values = [-0.1, 0.0, 0.1]
    assert of(values).interval == pytest.approx(stats.t.interval(0.95, 2, 0.0, stats.sem(values)))


def test_what_is_a_share_is_said_by_the_row_and_not_by_its_name():
    assert of([0.99, 1.0, 1.0], "its largest cluster").interval[1] == 1.0
    assert of([0.99, 1.0, 1.0], "share of nothing", share=False).interval[1] > 1.0


def test_turning_a_share_around_turns_its_interval_around():
    values = np.array([0.1, 0.2, 0.4])
    low, high = of(values).interval
    assert of(1 - values).interval == pytest.approx((1 - high, 1 - low))


def test_all_alike_leave_no_interval_but_the_value():
    assert of([0.0, 0.0, 0.0]).interval == (0.0, 0.0)


def test_the_difference_of_shares_stays_within_minus_1_and_1():
    low, high = of([-0.9, -0.2, 0.9], structure="difference").interval
    assert (low, high) == (-1, 1)


def test_a_share_is_one_from_the_row_of_a_stage_to_the_interval(tmp_path, monkeypatch):
    values = {"000": 0.98, "001": 1.0, "002": 1.0}
    done = SimpleNamespace(state=next(iter(summary.FINISHED)), note="")
    monkeypatch.setattr(summary, "member_rows", lambda _: [{"member": name, "seed": "0"} for name in values])
    monkeypatch.setattr(summary, "member_status", lambda *_: done)
    monkeypatch.setattr(summary, "melt_names", lambda _: [])

    def rows(directory):
        chain = [Row("its largest cluster", values[directory.name], share=True), Row("ratio", values[directory.name])]
        return {"comparison": side_by_side([chain], None)}

    monkeypatch.setattr(summary, "summary_of", rows)
    found = {entry.figure: entry.interval[1] for entry in summary.summarize_ensemble(tmp_path).statistics}
    assert found["its largest cluster"] == 1.0 < found["ratio"]


def test_a_picture_has_few_panels_and_a_point_for_every_member():
    made = [of([0.1 * k, 0.2], f"figure {k}", failed=(False, True)) for k in range(12)]
    whole = EnsembleSummary(tuple(made), {"001": "no glass"}, (), {})
    assert len(dict.fromkeys(entry.figure for entry in whole.of(None).statistics)) == MOST_FIGURES
    assert {entry.figure for entry in whole.of(["figure 1"]).statistics} == {"figure 1", "figure 10", "figure 11"}
    with pytest.raises(ValueError, match="'density'"):
        whole.of(["density"])
    chart = ensemble_chart(whole.of(["figure 3"]))
    assert "001" in chart.note
    from amorph.export.charts import drawn

    (axes,) = drawn([chart]).get_axes()
    markers = [line.get_marker() for line in axes.get_lines() if line.get_marker() in {".", "x"}]
    assert markers == [".", "x"]
