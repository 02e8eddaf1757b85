"""What an ensemble averages, over members that are summaries alone: the voltage of a step, what spans decades."""

import json

import numpy as np
import pytest
from scipy import stats

from amorph.analysis.electrochemistry import Voltage, VoltageStep
from amorph.analysis.transport.activation import fit_arrhenius
from amorph.cli import main
from amorph.ensemble.plot import write_summary
from amorph.ensemble.status import sealed
from amorph.ensemble.summary import Statistics, summarize_ensemble
from amorph.figures import Row
from amorph.pipeline.summary import side_by_side
from amorph.report import write_ensemble_report
from amorph.run import write_csv

D = "D of Mg at 300 K, extrapolated"
LENGTH = "diffusion length of Mg, 1 h at 300 K"


def ensemble(directory, comparisons):
    """An ensemble of which each member left a summary with these rows."""
    rows = [{"member": f"000_{k:03d}", "seed": str(k)} for k in range(len(comparisons))]
    directory.mkdir(exist_ok=True)
    write_csv(directory / "members.csv", sealed(rows))
    for row, comparison in zip(rows, comparisons, strict=True):
        run = directory / row["member"]
        run.mkdir()
        (run / "run.toml").touch()
        summary = {"title": "", "verdict": "glass", "failed": [], "notes": [], "comparison": comparison}
        (run / "summary.json").write_text(json.dumps(summary))
    return directory


def diffusing(diffusivity):
    """Rows of a line through D at 600 and 1000 K that has this D at 300 K, of activation energy 0."""
    return fit_arrhenius("Mg", [(kelvin, diffusivity, 0.1 * diffusivity) for kelvin in (600.0, 1000.0)]).rows()


def leaving(voltages, volume):
    """A removal in as many equal steps as there are voltages, in a cell that swells by so much at each."""
    steps = tuple(
        VoltageStep(
            removed=k, left=len(voltages) - k, choices=1, energy_eV=0.0, standard_error_eV=None, volume_A3=100.0,
            volume_change=k * volume, voltage_V=voltages[k - 1] if k else None, voltage_standard_error_V=None,
            valences_vu={"Mo": 4.0 + k, "O": 2.0}, moments_muB={"Mo": 2.0 - k}, instability_vu=None, converged=True,
            shortest_A={"O": 2.6},
        )
        for k in range(len(voltages) + 1)
    )  # fmt: skip
    average = float(np.mean(voltages))
    return Voltage(
        ion="Mg2+", pick="mean", steps=steps, metal_energy_eV=-1.5, formula="MgO", average_voltage_V=average,
        standard_error=None, capacity_mAh_per_g=352.0, capacity_mAh_per_cm3=1200.0, energy_Wh_per_kg=352.0 * average,
        volume_change=steps[-1].volume_change, converged=True,
    ).rows()  # fmt: skip


def found_in(directory):
    return {(entry.figure, entry.structure): entry for entry in summarize_ensemble(directory).statistics}


# closed forms


def test_the_mean_over_decades_is_geometric(tmp_path):
    values = [1e-16, 1e-13, 1e-10]
    made = ensemble(tmp_path / "all", [side_by_side([diffusing(value)], None) for value in values])
    found = found_in(made)[D, "glass"]
    assert found.mean == pytest.approx(1e-13)
    assert found.interval == pytest.approx(np.exp(stats.t.interval(0.95, 2, np.log(1e-13), np.log(1e3) / np.sqrt(3))))
    row = found.row()
    assert row["sd factor"] == pytest.approx(1e3)
    assert (row["sd"], row["standard error"], row["interval by"]) == (None, None, "t of ln")
    # l_d = √(D t) of an hour, in nm
    assert found_in(made)[LENGTH, "glass"].mean == pytest.approx(1e7 * np.sqrt(1e-13 * 3600.0))
    # the activation energy is no such figure
    energy = found_in(made)["activation energy of Mg", "glass"].row()
    assert (energy["interval by"], energy["sd factor"]) == ("t", None)


def test_the_voltage_of_a_step_is_averaged_over_the_members(tmp_path):
    glasses = [leaving((1.6, 3.2), 0.01), leaving((1.8, 3.4), 0.03), leaving((1.7, 3.6), 0.02)]
    crystals = [leaving((1.9, 3.2), 0.05)] * 3
    found = found_in(ensemble(tmp_path / "all", [side_by_side([a], b) for a, b in zip(glasses, crystals, strict=True)]))
    first = "voltage from 0 to 50 % removed"
    assert found[first, "glass"].mean == pytest.approx(1.7)
    assert found[first, "glass"].interval == pytest.approx(stats.t.interval(0.95, 2, 1.7, 0.1 / np.sqrt(3)))
    assert found[first, "difference"].mean == pytest.approx(-0.2)
    assert found["voltage from 50 to 100 % removed", "glass"].mean == pytest.approx(3.4)
    assert found["volume change from 0 to 50 % removed", "glass"].mean == pytest.approx(0.02)
    assert found["valence sum of Mo at 50 % removed", "crystal"].mean == pytest.approx(5.0)
    assert found["moment of Mo at 100 % removed", "glass"].mean == pytest.approx(0.0)
    assert found["shortest O-O at 100 % removed", "glass"].mean == pytest.approx(2.6)
    assert (found["volumetric capacity", "glass"].mean, found["volumetric capacity", "glass"].unit) == (1200, "mAh/cm³")


# invariance


def test_the_unit_of_what_spans_decades_does_not_matter():
    """In cm²/s or m²/s mean and interval scale, and the factor stays; those of 1/D are the inverse ones."""
    values = np.array([3e-16, 5e-13, 2e-10, 7e-12])
    one, scaled, inverse = (
        Statistics({}, D, "", "glass", tuple(of), decades=True) for of in (values, 1e-4 * values, 1 / values)
    )
    assert scaled.interval == pytest.approx(tuple(1e-4 * end for end in one.interval))
    assert inverse.mean == pytest.approx(1 / one.mean)
    assert inverse.interval == pytest.approx((1 / one.interval[1], 1 / one.interval[0]))
    assert scaled.row()["sd factor"] == pytest.approx(one.row()["sd factor"])


def test_the_interval_over_decades_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        values = tuple(1e-12 * np.exp(rng.normal(0.0, 3.0, 5)))
        low, high = Statistics({}, D, "cm²/s", "glass", values, decades=True).interval
        held += low < 1e-12 < high
    assert held / 2000 == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 2000))


# glass beside crystal


def test_glass_and_crystal_over_decades_are_compared_by_their_ratio(tmp_path, capsys):
    """Each glass is ten times as fast as its own crystal, or nearly so, however slow both are."""
    crystals, ratios = [1e-16, 1e-13, 1e-10], [8.0, 10.0, 12.5]
    rows = [side_by_side([diffusing(r * c)], diffusing(c)) for c, r in zip(crystals, ratios, strict=True)]
    made = ensemble(tmp_path / "all", rows)
    found = found_in(made)
    assert (D, "difference") not in found
    assert found["activation energy of Mg", "difference"].mean == pytest.approx(0.0, abs=1e-12)
    ratio = found[D, "ratio"]
    assert (ratio.unit, ratio.mean) == ("", pytest.approx(10.0))
    assert ratio.differs
    assert not Statistics({}, D, "", "ratio", (0.1, 1.0, 20.0), decades=True).differs
    assert main(["ensemble", "summary", str(made)]) == 0
    said = capsys.readouterr().out
    assert "glass/crystal" in said
    assert "geometric" in said
    page = write_ensemble_report(made).read_text(encoding="utf-8")
    assert "× 10<" in page[page.index(f'<th scope="row">{D}</th>') :].partition("</tr>")[0]
    write_summary(tmp_path / "summary.png", summarize_ensemble(made))
    assert (tmp_path / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_replicas_of_a_member_have_the_geometric_mean_too():
    rows = side_by_side([[Row("D", 1e-16, "cm²/s", decades=True)], [Row("D", 1e-10, "cm²/s", decades=True)]], None)
    assert rows == [{"figure": "D", "unit": "cm²/s", "decades": True, "glass": pytest.approx(1e-13), "± sd": None}]


# what has no logarithm, and what an earlier version wrote


def test_where_a_value_is_0_the_values_are_averaged():
    entry = Statistics({}, D, "cm²/s", "glass", (0.0, 1e-12, 2e-12), decades=True)
    assert (entry.mean, entry.row()["interval by"]) == (pytest.approx(1e-12), "t")


def test_a_crystal_without_diffusion_has_no_ratio(tmp_path):
    rows = {"figure": D, "unit": "cm²/s", "decades": True, "glass": 1e-12, "crystal": 0.0}
    found = found_in(ensemble(tmp_path / "all", [[rows]] * 2))
    assert set(found) == {(D, "glass"), (D, "crystal")}


def test_a_row_that_one_stage_calls_of_decades_and_an_earlier_version_did_not_is_one():
    rows = side_by_side([[Row("D", 1e-10, "cm²/s")]], [Row("D", 1e-12, "cm²/s", decades=True)])
    assert rows == [{"figure": "D", "unit": "cm²/s", "decades": True, "glass": 1e-10, "crystal": 1e-12}]


def test_members_of_an_earlier_version_are_averaged_as_it_did(tmp_path):
    rows = [[{"figure": D, "unit": "cm²/s", "glass": value, "crystal": 1e-12}] for value in (1e-12, 3e-12)]
    found = found_in(ensemble(tmp_path / "all", rows))
    assert found[D, "glass"].mean == pytest.approx(2e-12)
    assert found[D, "difference"].mean == pytest.approx(1e-12)


def test_members_of_two_versions_have_one_comparison(tmp_path):
    """One of a version before rows said that they span decades."""
    comparisons = [side_by_side([diffusing(value)], diffusing(1e-13)) for value in (1e-12, 1e-11)]
    for row in comparisons[0]:
        row.pop("decades", None)
    found = found_in(ensemble(tmp_path / "mixed", comparisons))
    assert found[D, "ratio"].values == pytest.approx((10.0, 100.0))
    assert (D, "difference") not in found
