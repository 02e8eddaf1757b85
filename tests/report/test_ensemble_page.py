"""The page of an ensemble: its means and intervals, what does not count, and where the members are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_run_page import Reader

from amorph.cli import main
from amorph.ensemble.plan import prepare, read_ensemble
from amorph.ensemble.summary import summarize_ensemble
from amorph.pipeline import read_study
from amorph.report import is_ensemble, write_ensemble_report
from amorph.run import read_json, write_json

ENSEMBLE = "[ensemble]\nstudy = 'study.toml'\nmembers = 5\nseed = 3\n[vary]\nbvs.spacing = [0.5]\n"


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """Five members: three that hold, with glass and crystal about 1 apart, one that failed, one not done."""
    home = tmp_path_factory.mktemp("ensemble")
    shutil.copy(finished.parent / "study.toml", home)
    (home / "ensemble.toml").write_text(ENSEMBLE)
    prepare(read_ensemble(home / "ensemble.toml"), home / "all")
    for number, density in enumerate([3.0, 3.1, 3.2, 9.0]):
        run = home / f"all/000_{number:03d}"
        run.mkdir()
        shutil.copy(finished / "run.toml", run)
        summary = read_json(finished / "summary.json")
        row = next(row for row in summary["comparison"] if row["figure"] == "density")
        row |= {"glass": density, "crystal": density + 1.0 + 0.01 * number}
        summary["failed"] = ["not a glass: <b>it is not</b>"] if number == 3 else []
        summary["notes"] = ["told of all", *(["told of the first"] if number == 0 else [])]
        write_json(run / "summary.json", {key: value for key, value in summary.items() if key != "sha256"})
    (home / "all/000_001/report.html").write_text("its page")
    return home / "all"


@pytest.fixture(scope="module")
def text(folder):
    return write_ensemble_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Reader(text)


def test_means_and_intervals_are_those_of_the_summary(text, folder):
    assert is_ensemble(folder)
    row = text[text.index('<th scope="row">density</th>') :].partition("</tr>")[0]
    found = {entry.structure: entry for entry in summarize_ensemble(folder).statistics if entry.figure == "density"}
    half = 4.302653 * 0.1 / np.sqrt(3)  # Student's t with two degrees of freedom
    assert np.allclose(found["glass"].interval, [3.1 - half, 3.1 + half])
    assert ">3.1<" in row
    for value in found["glass"].interval:
        assert f"{value:.4g}" in row
    assert found["difference"].differs
    assert "<strong>−1.01<" in row
    assert not found["glass"].differs


def test_what_does_not_count_stands_first(page):
    listed = page.words["li"]
    assert "000_003 counts nowhere: not a glass: <b>it is not</b>" in listed
    assert "000_004 is not done (waiting)" in listed
    assert "told of all" in listed
    assert "told of the first" not in listed
    assert "told of the first" in page.words["td"]
    assert page.words["strong"].count("3 of 5 members") == 1


def test_every_figure_of_the_members_stands_there(page, folder):
    names = {row["figure"] for row in summarize_ensemble(folder).table()}
    assert all(name in page.words["th"] for name in names)
    assert [tag for tag, _ in page.elements].count("figure") == 2


def test_a_member_with_a_page_is_linked_from_wherever_the_page_lies(folder, page, tmp_path):
    assert [found["href"] for tag, found in page.elements if tag == "a" and found["href"][0] != "#"] == [
        "000_001/report.html"
    ]
    made = write_ensemble_report(folder, tmp_path / "page.html")
    [link] = [
        found["href"] for tag, found in Reader(made.read_text()).elements if tag == "a" and found["href"][0] != "#"
    ]
    assert (tmp_path / Path(link)).read_text() == "its page"


def test_a_title_stays_a_title_and_no_script_runs(page, hostile):
    assert page.words["h1"] == hostile
    assert [tag for tag, _ in page.elements if tag == "script"] == []


def test_its_files_make_the_same_ensemble(folder, page):
    again, first = (read_ensemble(path / "ensemble.toml") for path in (folder, folder.parent))
    assert again.members == first.members
    assert read_study(folder / "study.toml") == read_study(folder.parent / "study.toml")
    for name in ("ensemble.toml", "study.toml"):
        assert (folder / name).read_text() in page.words["pre"]


def test_the_same_ensemble_gives_the_same_page(folder, text, tmp_path):
    home = shutil.copytree(folder, tmp_path / "all")
    assert write_ensemble_report(home).read_text(encoding="utf-8") == text


def test_an_ensemble_without_a_mean_has_a_page(folder, tmp_path):
    home = shutil.copytree(folder, tmp_path / "all")
    for number in range(4):
        shutil.rmtree(home / f"000_{number:03d}")
    for name in ("ensemble.toml", "study.toml"):  # as an earlier version left it
        (home / name).unlink()
    made = Reader(write_ensemble_report(home).read_text())
    assert made.words["h1"] == "all"
    assert "figure" not in [tag for tag, _ in made.elements]
    assert "studies/000_000.toml" in made.words["pre"]


def test_a_figure_that_a_member_lacks_has_no_mean(folder, tmp_path):
    home = shutil.copytree(folder, tmp_path / "all")
    summary = read_json(home / "000_001/summary.json")
    next(row for row in summary["comparison"] if row["figure"] == "density")["crystal"] = None
    write_json(home / "000_001/summary.json", summary)
    found = summarize_ensemble(home)
    assert {entry.structure for entry in found.statistics if entry.figure == "density"} == {"glass"}
    [lacking] = found.incomplete
    assert (lacking.structure, lacking.values, lacking.of) == ("crystal", (4.0, 4.22), 3)
    assert lacking in found.of(["density"]).incomplete
    assert "2 of 3 have it" in Reader(write_ensemble_report(home).read_text("utf-8")).words["li"]


def test_a_damaged_member_is_told(folder, tmp_path):
    home = shutil.copytree(folder, tmp_path / "all")
    text = (home / "000_000/run.toml").read_text()
    (home / "000_000/run.toml").write_text(text.replace("[run]", "[rum]"))
    with pytest.raises(ValueError, match=r"000_000/run\.toml is damaged"):
        write_ensemble_report(home)


def test_json_of_the_verb_names_the_page(folder, capsys, tmp_path):
    assert main(["report", str(folder), "-o", str(tmp_path / "x.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(tmp_path / "x.html")}
