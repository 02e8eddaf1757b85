"""The verb that draws curves: a sheet or a folder, each with its tables, and every bad input one line."""

import json

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


def test_unknown_curves_and_files_are_told(amorph, course):
    assert "it has course" in amorph("plot", course / "thermo.csv", "--only", "msd").err
    assert "does not exist" in amorph("plot", course / "no.csv").err
    assert ".jpg" in amorph("plot", course / "thermo.csv", "-o", course / "a.jpg").err
