"""The figures side by side, and the checks that failed."""

from dataclasses import replace

import pytest
from toys import Told

from amorph.analysis.crystallinity import Crystallinity
from amorph.figures import Row, restored
from amorph.pipeline import Chain, resolve, summarize
from amorph.pipeline.analyses import SiteEnergy
from amorph.pipeline.results import Analysed, Quench, References, Relaxation
from amorph.pipeline.summary import Branches
from amorph.run import Finished

STUDY = resolve({"run": {"title": "a title"}, "build": {"composition": "MgO", "lattice_constant": 4.2}})
HOW = {"n_frames": 1, "anions": ("O",), "melted": None, "space_group": None}
HOW |= dict.fromkeys(("bragg_peak", "bragg_peak_limit", "mean_square_displacement", "required_displacement"))


def judged(verdict="amorphous", reason="I/N² 0.01"):
    return Crystallinity(verdict, reason, 0.01, 0.05, solid_share=0.0, **HOW)


def relaxation(volume=500.0, converged=True, steps=5, verdict=None):
    return Relaxation("Toy 1", converged, steps, volume, 0.0, 4.0, (), verdict or judged())


def chain(**results):
    """A chain whose stages found these results."""
    made = Chain(run=None)
    for name, result in results.items():
        made.found[name] = Finished(result.figures(), tuple(result.rows()))
        made.results[name] = result
    return made


def host(reason="I/N² 0.01", verdict="amorphous", **more):
    quench = Quench("Toy 0", 10, 0.01, judged())
    return chain(melt_quench=quench, relax=relaxation(verdict=judged(verdict, reason)), **more)


def share(value, name="window share"):
    return Told({name: value}, (Row(name, value),))


def exchanged(volume=500.0, verdict="amorphous", converged=True, **found):
    return chain(
        substitute=Told(),
        final_relax=relaxation(volume, converged),
        analysis=Analysed(10.0, 4.0, judged(verdict), {"bvs": share(volume / 1e4), **found}),
        export=Told(),
    )


def control(volume=500.0, **found):
    """A crystal, of 480 Å³ before its exchange."""
    made = exchanged(volume, **found)
    made.results["relax"] = relaxation(480.0)
    return made


def reference(converged=True, **ratios):
    return chain(relax=References("Toy 1", converged, 300, ratios, None))


def summary(*, glass=None, chains=None, crystal=None, oxides=None):
    branches = Branches(glass or host(), chains or [exchanged()], crystal, oxides or reference())
    return summarize(STUDY, branches, "Toy 1")


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
    assert row(found, "window share")["glass"] == pytest.approx(0.06)


def test_one_glass_has_no_deviation_and_stands_beside_the_crystal():
    found = summary(crystal=control(450.0))
    assert row(found, "cell volume") == {"figure": "cell volume", "unit": "Å³", "glass": 500.0, "crystal": 450.0}


def test_glass_and_crystal_before_the_exchange_stand_beside_each_other():
    volume = row(summary(crystal=control()), "cell volume, before the exchange")
    assert (volume["glass"], volume["crystal"]) == (500.0, 480.0)


def test_words_are_said_once_where_all_agree():
    assert row(summary(chains=[exchanged(), exchanged()]), "verdict, exchanged and relaxed")["glass"] == "amorphous"
    mixed = [exchanged(), exchanged(verdict="crystalline")]
    assert row(summary(chains=mixed), "verdict, exchanged and relaxed")["glass"] == "amorphous, crystalline"
    assert row(summary(chains=mixed), "relaxation converged")["glass"] is True


def test_a_figure_that_one_replica_lacks_has_no_mean():
    found = summary(chains=[exchanged(peak=share(1.5, "peak")), exchanged(peak=share(None, "peak"))])
    assert (row(found, "peak")["glass"], row(found, "peak")["± sd"]) == (None, None)


def test_a_figure_that_one_structure_alone_has_is_none_elsewhere():
    crystal = control(bvse=share(0.5, "barrier"))
    barrier = row(summary(chains=[exchanged(), exchanged()], crystal=crystal), "barrier")
    assert (barrier["glass"], barrier["± sd"], barrier["crystal"]) == (None, None, 0.5)


def test_every_row_has_the_same_columns():
    found = summary(chains=[exchanged(), exchanged()], crystal=control())
    assert {tuple(sorted(row)) for row in found.table()} == {("crystal", "figure", "glass", "unit", "± sd")}


def test_the_figures_hold_everything():
    found = summary(crystal=control()).figures()
    assert (found["title"], found["model"], found["final_model"]) == ("a title", "Toy 0", "Toy 1")
    whole = {name: stage.figures for name, stage in exchanged().found.items()}
    assert found["host"]["relax"]["crystallinity"]["verdict"] == "amorphous"
    assert found["exchanged"] == [whole]
    assert found["crystal"] == whole


def test_a_relaxation_of_before_rows_were_kept_is_read_back():
    before = exchanged()
    before.found["final_relax"] = Finished(before.found["final_relax"].figures, None)
    assert row(summary(chains=[before]), "cell volume")["glass"] == 500.0


# checks


def test_a_run_without_fault_has_none():
    found = summary(crystal=control(), oxides=reference(MgO=1.01))
    assert found.failed == []
    assert found.verdict == "amorphous"


def test_a_glass_that_is_none_fails():
    found = summary(glass=host("it never melted", "partly crystalline"))
    assert found.failed == ["not a glass: it never melted"]
    assert (found.verdict, found.reason) == ("partly crystalline", "it never melted")


def test_every_replica_that_is_no_glass_any_more_is_told():
    chains = [exchanged(verdict=verdict) for verdict in ("crystalline", "amorphous", "partly crystalline")]
    assert [said.split(" is ")[0] for said in summary(chains=chains).failed] == ["replica 0", "replica 2"]


OLD = {
    **judged().figures(),
    "solid_share_limit": 0.05,
    "verdict": "partly crystalline",
}
for _new in ("solid_cluster", "crystal_fraction", "crystal_fraction_sd", "bragg_peak_of", "n_judged"):
    del OLD[_new]


def test_a_verdict_of_before_crystal_fractions_is_read_back():
    again = restored(Crystallinity, OLD)
    assert (again.verdict, again.is_glass, again.crystal_fraction) == ("partly crystalline", False, None)
    assert [row["holds"] for row in again.table()] == [True, None, None, None, None, None, True, None]
    glass = host()
    glass.results["relax"] = relaxation(verdict=again)
    assert summary(glass=glass).failed == ["not a glass: I/N² 0.01"]


@pytest.mark.parametrize(
    ("verdict", "fails", "notes"),
    [
        ("amorphous with embryo", False, 0),
        ("cannot exclude a crystal", False, 2),
        ("partly crystalline", True, 0),
    ],
)
def test_an_embryo_is_no_fault_and_a_small_cell_is_noted(verdict, fails, notes):
    found = summary(glass=host(verdict=verdict), chains=[exchanged(verdict=verdict)])
    assert bool(found.failed) is fails
    assert len(found.notes) == notes


@pytest.mark.parametrize(("fraction", "limit", "fails"), [(0.04, 0.05, False), (0.06, 0.05, True), (0.2, 0.3, False)])
def test_a_study_may_set_its_own_limit_of_the_crystal_fraction(fraction, limit, fails):
    study = resolve({"build": {"composition": "MgO", "lattice_constant": 4.2}, "control": {"crystal_limit": limit}})
    verdict = replace(judged("partly crystalline"), crystal_fraction=fraction)
    glass = chain(melt_quench=Quench("Toy 0", 10, 0.01, judged()), relax=relaxation(verdict=verdict))
    assert bool(summarize(study, Branches(glass, [exchanged()], None, reference()), "Toy 1").failed) is fails


def test_what_did_not_converge_is_named_with_its_chain():
    glass = host(starting_relax=relaxation(converged=False, steps=9))
    short, oxides = exchanged(converged=False), reference(converged=False, MgO=1.0)
    found = summary(glass=glass, chains=[exchanged(), short], crystal=control(converged=False), oxides=oxides)
    assert found.failed == [
        "starting_relax of the glass did not converge in 9 steps",
        "final_relax of replica 1 did not converge in 5 steps",
        "final_relax of the crystal did not converge in 5 steps",
        "relax of the reference crystals did not converge in 300 steps",
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


@pytest.mark.parametrize("convention", ["half", "full"])
def test_barriers_say_what_they_are_of(convention):
    found = SiteEnergy("Mg2+", convention, "formal", -3.0, {"1D": 1.0, "3D": 2.0}, {"1D": 0.9})
    assert Row("BVSE barriers are of", f"rigid framework, {convention} Morse") in found.rows()
