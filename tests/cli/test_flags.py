"""Flags come from the stages' signatures: every parameter, its default and its help, and nothing else."""

import inspect
import logging
import re

import pytest

from amorph import build, bvs_map, bvs_maps, cli, free_volume, substitute
from amorph.calculators import make_calculator
from amorph.cli.app import make_app
from amorph.cli.flags import takes
from amorph.cli.output import show
from amorph.export import write_vasp_input
from amorph.export.charts import number
from amorph.figures import heading, text_of
from amorph.parameters import arguments_of, model_of
from amorph.relaxation import relax

STAGES = {
    "build": [build, make_calculator],
    "relax": [relax, make_calculator],
    "substitute": [substitute],
    "free-volume": [free_volume],
    "bvs": [bvs_map, bvs_maps],
    "vasp-input": [write_vasp_input],
}


def flags_in(text):
    return set(re.findall(r"^  (--[a-z0-9-]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("verb", STAGES)
def test_every_keyword_of_a_stage_is_a_flag(amorph, verb):
    text = amorph(verb, "--help").out
    for stage in STAGES[verb]:
        signature = inspect.signature(stage).parameters
        names = {
            name for name in model_of(stage).model_fields if signature[name].kind is inspect.Parameter.KEYWORD_ONLY
        }
        assert {f"--{name.replace('_', '-').lower()}" for name in names} <= flags_in(text)


@pytest.mark.parametrize("verb", [verb for verb in cli.VERBS if verb != "completion"])  # which prints a script
def test_help_is_plain_text_without_markup_and_names_the_common_flags(amorph, verb):
    called = amorph(*verb.split(), "--help")
    assert (called.status, called.err) == (0, "")
    assert called.out.startswith(f"Usage: amorph {verb} ")
    assert {"--json", "--quiet"} <= flags_in(called.out.replace("--quiet, -q", "--quiet"))
    assert not set("╭│╰`") & set(called.out)
    assert ":func:" not in called.out
    assert max(map(len, called.out.splitlines())) <= 100
    assert "None" not in called.out


def test_help_shows_choices_defaults_units_and_shapes(amorph):
    text = " ".join(amorph("bvs", "--help").out.split())
    assert "--blocking all|framework" in text
    assert "--cutoff FLOAT Anions at this distance or nearer count [Å]. [above 0] [default: 6.0]" in text
    assert "--grid INT INT INT" in text
    assert '--ion STR... The mobile ion: "Mg2+"; once for each of several.' in text
    text = " ".join(amorph("build", "--help").out.split())
    assert "--supercell INT..." in text
    assert "[default: 3 3 3]" in text
    assert "--lattice-constant FLOAT|relaxed" in text
    assert "--oxidation-states NAME=VALUE..." in text
    assert "--radii SET|NAME=VALUE..." in amorph("free-volume", "--help").out


def test_the_list_of_verbs_has_the_first_line_of_each_docstring(amorph):
    texts = {group: " ".join(amorph(group, "--help").out.split()) for group in cli.GROUPS}
    text = texts[""] = " ".join(amorph().out.split())
    for verb in cli.VERBS:
        name = verb.replace("-", "_").replace(" ", "_")
        module = verb.split()[0].replace("-", "_")
        function = getattr(__import__(f"amorph.cli.{module}", fromlist=["_"]), name)
        group, _, last = verb.rpartition(" ")
        assert f"{last} {inspect.getdoc(function).splitlines()[0]}" in texts[group]
    for group, about in cli.GROUPS.items():
        assert f"{group} {about}" in text
        assert amorph(group).out == amorph(group, "--help").out
    assert "did you mean ensemble status?" in amorph("ensemble", "stats").err
    assert "Exit status: 0 done; 1 failed; 2 bad input;" in text
    assert amorph("--help").out == amorph().out
    assert amorph("--version").out.strip() == __import__("amorph").__version__


def stage(*, number: int = 1, name: str | None = None) -> None:
    """Do nothing.

    Parameters
    ----------
    number
        A number.
    name
        A name, see :func:`other`.
    """


def test_a_verb_receives_only_what_was_given():
    received = []

    @takes(stage, skip=("name",))
    def verb(file: str, /, *, own: bool = False, **parameters):
        received.append((file, own, parameters))

    assert list(inspect.signature(verb).parameters) == ["file", "own", "number"]
    verb("x")
    verb("x", number=3)
    assert received == [("x", False, {}), ("x", False, {"number": 3})]
    assert arguments_of(stage, {"number": 3, "other": 4}) == {"number": 3}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("structure x --wavelength 0.71", 0.71),
        ("structure x --wavelength MoKa", "MoKa"),
        ("free-volume x --oxygen-volume 9.5", 9.5),
        ("free-volume x --oxygen-volume TiO2_rutile", "TiO2_rutile"),
    ],
)
def test_a_number_stays_one_where_a_name_may_stand(words, value):
    _, bound, _ = make_app().parse_args(words.split(), exit_on_error=False, print_error=False)
    assert list(bound.kwargs.values()) == [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (12345.678, "12345.7"),
        ({"Mg": 2.0}, "Mg 2"),
        ((1, 2), "1 2"),
        (-3e-17, "0"),
        (2e-9, "2e-09"),
        ((250.0, -1e-8, 1e-6), "250 0 1e-06"),
    ],
)
def test_values_are_written_for_people(value, text):
    assert text_of(value) == text


def test_what_has_no_scale_is_never_taken_for_0():
    assert text_of(3e-13, heading("D_cm2_s")) == text_of(3e-13, "D at 300 K [cm²/s]") == "3e-13"
    assert text_of((1e-13, 2e-5), heading("interval_S_per_cm")).startswith("1e-13")
    assert text_of((1e-13, 2e-5), heading("conductivity_interval_95")).startswith("1e-13")
    assert text_of(3e-13, heading("standard_error")) == "3e-13"
    assert text_of(-1.7e-14, "barrier [eV]") == "0"


def test_the_log_is_left_as_it_was(amorph, mgo):
    root, logger = logging.getLogger(), logging.getLogger("amorph")
    before = (list(logger.handlers), logger.level, logger.propagate, list(root.handlers))
    assert amorph("free-volume", "mgo.extxyz").status == 0
    assert amorph("free-volume", "missing.cif").status == 2
    assert (list(logger.handlers), logger.level, logger.propagate, list(root.handlers)) == before


def test_json_has_null_where_there_is_no_number(amorph, tmp_path):
    from ase.build import bulk

    bulk("Cu", a=3.6).write(tmp_path / "cu.extxyz")
    called = amorph("relax", "cu.extxyz", "--factory", "ase.calculators.emt:EMT", "-o", "r.cif", "--json")
    assert '"stress_residual_GPa": null' in called.out
    assert "NaN" not in called.out


def test_an_interrupt_without_a_checkpoint_is_a_failure_that_leaves_no_half_file(amorph, mgo, tmp_path, monkeypatch):
    from amorph.cli import free_volume as volumes

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(volumes.voronoi, "free_volume", interrupted)
    called = amorph("free-volume", "mgo.extxyz")
    assert (called.status, called.err) == (1, "amorph: interrupted; the files written before are whole\n")


@pytest.mark.parametrize(
    "row",
    [
        {"figure": "D at 300 K [cm²/s]", "value": 3e-13},
        {"figure": "D of Mg at 600 K", "unit": "cm²/s", "value": 3e-13},
        {"D_cm2_s": 3e-13},
    ],
)
def test_a_small_diffusion_coefficient_is_not_0_in_any_table(row, capsys):
    show([row, row | {list(row)[-1]: 1e-6}])
    assert "3e-13" in capsys.readouterr().out
    assert number(3e-13, "cm²/s") == "3e-13"
