"""The figures side by side, and the checks that failed."""

import copy

import pytest

from amorph.pipeline import resolve, summarize

STUDY = resolve({"run": {"title": "a title"}, "build": {"composition": "MgO", "lattice_constant": 4.2}})
GLASS = {"verdict": "amorphous", "reason": "I/N² 0.01", "parent_order": 0.01, "solid_share": 0.0}
HOST = {"melt_quench": {"steps": 10}, "relax": {"crystallinity": GLASS, "converged": True, "steps": 7}}


def exchanged(volume=500.0, verdict="amorphous", **relaxed):
    return {
        "substitute": {"new": 3},
        "final_relax": {"converged": True, "steps": 5, "cell_volume": volume, **relaxed},
        "analysis": {
            "crystallinity": {**GLASS, "verdict": verdict},
            "bvs": {"all": {"window_fraction_of_cell": volume / 1e4}, "framework": {}},
        },
    }


def reference(converged=True, **ratios):
    return {
        "final_relax": {
            "model": "Toy 1",
            "volume_ratio": ratios,
            "oxygen_volume": None,
            "converged": converged,
            "steps": 300,
        }
    }


def summary(*, host=HOST, chains=None, crystal=None, oxides=None):
    return summarize(
        STUDY,
        host=host,
        exchanged=chains or [exchanged()],
        crystal=crystal,
        reference=oxides or reference(),
        models=("Toy 0", "Toy 1"),
    )


def row(summary, figure):
    return next(row for row in summary.table() if row["figure"] == figure)


# known answers


def test_replicas_give_mean_and_sample_deviation():
    found = summary(chains=[exchanged(v) for v in (400.0, 500.0, 900.0)])
    # mean 600; deviations −200, −100, 300: sd = √((4 + 1 + 9)·10⁴ / 2)
    assert row(found, "cell volume") == {
        "figure": "cell volume",
        "unit": "Å³",
        "glass": 600.0,
        "± sd": pytest.approx(7e4**0.5),
    }
    assert row(found, "window share of the cell, all atoms block")["glass"] == pytest.approx(0.06)


def test_one_glass_has_no_deviation_and_stands_beside_the_crystal():
    found = summary(crystal=exchanged(450.0))
    assert row(found, "cell volume") == {"figure": "cell volume", "unit": "Å³", "glass": 500.0, "crystal": 450.0}


def test_words_are_said_once_where_all_agree():
    assert row(summary(chains=[exchanged(), exchanged()]), "verdict, exchanged and relaxed")["glass"] == "amorphous"
    mixed = [exchanged(), exchanged(verdict="crystalline")]
    assert row(summary(chains=mixed), "verdict, exchanged and relaxed")["glass"] == "amorphous, crystalline"
    assert row(summary(chains=mixed), "relaxation converged")["glass"] is True


def test_a_figure_that_no_stage_gave_is_left_out_and_one_that_some_gave_is_none_elsewhere():
    crystal = exchanged()
    crystal["analysis"]["bvse"] = {"barriers_eV": {"1D": 0.5, "3D": None}}
    found = summary(chains=[exchanged(), exchanged()], crystal=crystal)
    assert "f_V, V_O of the same potential's MgO" not in [row["figure"] for row in found.table()]
    one, three = (row(found, f"migration barrier (BVSE), {n}D") for n in (1, 3))
    assert (one["glass"], one["± sd"], one["crystal"]) == (None, None, 0.5)
    assert (three["glass"], three["crystal"]) == (None, None)


def test_every_row_has_the_same_columns():
    found = summary(chains=[exchanged(), exchanged()], crystal=exchanged())
    assert {tuple(sorted(row)) for row in found.table()} == {("crystal", "figure", "glass", "unit", "± sd")}


def test_the_figures_hold_everything():
    found = summary(crystal=exchanged()).figures
    assert (found["title"], found["model"], found["final_model"]) == ("a title", "Toy 0", "Toy 1")
    assert found["host"] == HOST
    assert found["exchanged"] == [exchanged()]
    assert found["crystal"] == exchanged()


# checks


def test_a_run_without_fault_has_none():
    found = summary(crystal=exchanged(), oxides=reference(MgO=1.01))
    assert found.failed == []
    assert found.verdict == "amorphous"


def test_a_glass_that_is_none_fails():
    host = copy.deepcopy(HOST)
    host["relax"]["crystallinity"] |= {"verdict": "partly crystalline", "reason": "it never melted"}
    found = summary(host=host)
    assert found.failed == ["not a glass: it never melted"]
    assert (found.verdict, found.reason) == ("partly crystalline", "it never melted")


def test_what_did_not_converge_is_named_with_its_chain():
    host = copy.deepcopy(HOST)
    host["starting_relax"] = {"converged": False, "steps": 9}
    short = exchanged(converged=False)
    found = summary(host=host, chains=[exchanged(), short], crystal=short, oxides=reference(converged=False, MgO=1.0))
    assert found.failed == [
        "starting_relax of the glass did not converge in 9 steps",
        "final_relax of replica 1 did not converge in 5 steps",
        "final_relax of the crystal did not converge in 5 steps",
        "final_relax of the reference crystals did not converge in 300 steps",
    ]
    assert summary(chains=[short]).failed == ["final_relax of the exchanged glass did not converge in 5 steps"]


def test_a_convergence_that_is_unknown_is_no_pass():
    assert summary(chains=[exchanged(converged=None)]).failed == [
        "whether final_relax of the exchanged glass converged is unknown: give vasprun.xml beside the CONTCAR"
    ]


@pytest.mark.parametrize(
    ("ratios", "off"), [({"MgO": 1.029}, False), ({"MgO": 1.031}, True), ({"MgO": 1.0, "MoO2": 0.969}, True)]
)
def test_the_volumes_of_the_model_are_always_told(ratios, off):
    (note,) = summary(oxides=reference(**ratios)).notes
    assert note.startswith("Toy 1 relaxes to V/V_exp = " + ", ".join(f"{v:.3f} ({k})" for k, v in ratios.items()))
    assert ("off by more than 3 %, and f_V inherits it" in note) == off


def test_without_reference_crystals_there_is_no_note():
    assert summary().notes == []
