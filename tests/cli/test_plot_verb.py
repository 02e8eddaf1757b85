"""The verb that draws curves: a sheet or a folder, each with its tables, and every bad input one line."""

import json
import os

import ase.io
import numpy as np
import pytest


@pytest.fixture
def course(tmp_path):
    """A table as a stage of dynamics writes it."""
    head = "step,time_ps,segment,temperature_K,target_K,potential_energy_eV,pressure_GPa\n"
    rows = "".join(f"{k},{0.1 * k},{'melt' if k < 5 else 'quench'},{300 + k},300,{-1.0 - k},0.1\n" for k in range(10))
    (tmp_path / "thermo.csv").write_text(head + rows)
    return tmp_path


def test_a_sheet_and_its_table(amorph, course):
    amorph("plot", course / "thermo.csv", "-o", course / "out.svg", "-q")
    assert "T [K]" in (course / "out.svg").read_text(encoding="utf-8")
    assert (course / "out.csv").read_text().count("\n") == 11


def test_a_folder_of_a_stage(amorph, course):
    made = json.loads(amorph("plot", course, "-o", course / "figures", "--format", "png", "--json").out)
    assert made["curves"].keys() == {"course"}
    assert (course / "figures/course.png").read_bytes().startswith(b"\x89PNG")
    assert (course / "figures/course.csv").exists()


@pytest.mark.parametrize(
    ("content", "said"), [(b"a,b\n1\n", "table"), (b"\xff\xfe", "table"), (b"", "table"), (b"a,b\n1,2\n", "no curve")]
)
def test_what_is_no_table_is_told(amorph, tmp_path, content, said):
    (tmp_path / "bad.csv").write_bytes(content)
    status, _, error = amorph("plot", tmp_path / "bad.csv")
    assert status == 2
    assert said in error


def test_links_and_pipes_in_a_folder_are_not_followed(amorph, course):
    os.mkfifo(course / "pipe.csv")
    for path in (course, course / "pipe.csv"):
        status, _, error = amorph("plot", path)
        assert (status, error.count("\n")) == (2, 1)
        assert "pipe.csv" in error
    (course / "pipe.csv").unlink()
    (course / "link.csv").symlink_to(course / "thermo.csv")
    assert "link.csv is a link" in amorph("plot", course).err


def test_unknown_curves_and_files_are_told(amorph, course):
    assert "it has course" in amorph("plot", course / "thermo.csv", "--only", "msd").err
    assert "does not exist" in amorph("plot", course / "no.csv").err
    assert ".jpg" in amorph("plot", course / "thermo.csv", "-o", course / "a.jpg").err


@pytest.mark.parametrize("output", ["thermo.png", ".", "linked/thermo.svg"])
def test_what_is_drawn_is_not_written_over(amorph, course, output):
    (course / "linked").symlink_to(course)
    (course / "thermo.png").write_bytes(b"of before")
    before = (course / "thermo.csv").read_bytes()
    (course / "course.csv").write_bytes(before)
    called = amorph("plot", course / "thermo.csv", "-o", course / output)
    assert (called.status, called.err.count("\n")) == (2, 1)
    assert (course / "thermo.csv").read_bytes() == (course / "course.csv").read_bytes() == before
    assert (course / "thermo.png").read_bytes() == b"of before"


def test_files_of_a_stage_and_tables_of_others_are_not_written_over(amorph, course):
    for name in ("stage.json", "g_r.csv", "g_r.svg"):
        (course / name).write_text("{}")
    assert "finished stage" in amorph("plot", course / "thermo.csv", "-o", course / "g_r.svg").err
    (course / "stage.json").unlink()
    (course / "g_r.svg").unlink()
    assert "g_r.csv" in amorph("plot", course / "thermo.csv", "-o", course / "g_r.svg").err
    assert (course / "g_r.csv").read_text() == "{}"
    for _ in range(2):  # its own it writes again
        assert amorph("plot", course / "thermo.csv", "-o", course / "mine.svg").status == 0


def test_two_tables_of_a_kind_are_two_curves(amorph, course):
    (course / "again.csv").write_bytes((course / "thermo.csv").read_bytes())
    made = json.loads(amorph("plot", course, "-o", course / "figures", "--format", "svg", "--json").out)
    assert made["curves"].keys() == {"course_again", "course_thermo"}
    assert len(set(made["files"])) == 4
    before = (course / "again.csv").read_bytes()
    (course / "again.svg").write_bytes(b"of before")
    assert amorph("plot", course, "--only", "course_thermo", "-o", course / "again.svg").status == 2
    assert (course / "again.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("times", "targets", "ensemble", "drawn"),
    [
        (0.1 * np.arange(40), np.full(40, 300.0), "NVE", True),
        (0.1 * np.arange(40) ** 1.2, np.full(40, 300.0), "NVE", False),
        (0.1 * np.arange(40), np.full(40, 300.0), "NVT", False),
        (0.1 * np.arange(40), 300.0 + np.arange(40), "NVE", False),
    ],
)
def test_displacements_are_drawn_only_where_diffusion_measures_them(
    amorph, mgo, course, times, targets, ensemble, drawn
):
    schedule = {"segments": [{"name": "hold", "ensemble": ensemble}]}
    (course / "stage.json").write_text(json.dumps({"parameters": {"schedule": schedule}}))
    rng = np.random.default_rng(0)
    frames = []
    for time_ps, target_K in zip(times, targets, strict=True):
        frames.append(mgo.copy())
        frames[-1].rattle(0.05, rng=rng)
        frames[-1].info = {"time_ps": float(time_ps), "target_K": float(target_K), "segment": "hold"}
    ase.io.write(course / "walk.extxyz", frames)
    called = amorph("plot", course / "walk.extxyz", "--json")
    assert ("displacements" in json.loads(called.out)["curves"]) == drawn
    assert ("displacements are not drawn" in called.err) != drawn
