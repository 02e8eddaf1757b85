"""The page of a run: escaped, alone, whole, and of a bearable size."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from amorph.pipeline import read_study
from amorph.report import write_report
from amorph.report.found import Branch, found_run
from amorph.report.whole import HEADLINES
from amorph.run import read_json, write_json


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and the words between them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.words, self.inside = [], {}, ["page"]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        self.words[self.inside[-1]] = self.words.get(self.inside[-1], "") + data


@pytest.fixture(scope="module")
def text(finished, tmp_path_factory):
    return write_report(finished, tmp_path_factory.mktemp("page") / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Reader(text)


@pytest.fixture(scope="module")
def scenes(text):
    return json.loads(re.search(r'<script type="application/json" id="scenes">(.*?)</script>', text, re.DOTALL)[1])


def test_a_title_stays_a_title(page, hostile):
    assert page.words["h1"] == hostile
    assert page.words["title"] == hostile
    assert not [attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "scenes"}, {}, {}]


def test_it_names_no_other_file(page):
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base"}
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            place = attributes.get(name, "")
            assert place == "" or place.startswith(("#", "data:")), (tag, attributes)
    (policy,) = [found["content"] for tag, found in page.elements if found.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    assert "@import" not in page.words["style"]
    assert "url(" not in page.words["style"]


def test_names_within_the_page_are_there_once(page):
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for tag, attributes in page.elements:
        for name in ("href", "xlink:href"):
            if (place := attributes.get(name, "")).startswith("#"):
                assert place[1:] in names
        for place in re.findall(r"url\(#(.*?)\)", " ".join(map(str, attributes.values()))):
            assert place in names
        if tag == "figure":
            assert set(attributes["aria-labelledby"].split()) <= set(names)


def test_every_figure_has_its_words(page):
    assert page.words["figcaption"]
    figures = [tag for tag, _ in page.elements].count("figure")
    assert figures == [tag for tag, _ in page.elements].count("figcaption") == 9


def test_every_figure_of_the_summary_stands_there(page, finished):
    summary = json.loads((finished / "summary.json").read_text())
    names = [row["figure"] for row in summary["comparison"]]
    for beginning in HEADLINES:
        assert any(name.startswith(beginning) for name in names), beginning
    headings = page.words["th"]
    assert all(name in headings for name in names)
    assert all(line in page.words["li"] for line in summary["failed"])
    assert summary["failed"], "the toy does not melt, which must stand at the top"


def test_the_study_stands_there_and_makes_the_same_run(page, finished, tmp_path):
    text = page.words["pre"]
    (tmp_path / "study.toml").write_text(text[text.index("[run]") : text.index("@software")], encoding="utf-8")
    assert read_study(tmp_path / "study.toml") == read_study(finished.parent / "study.toml")


def test_a_run_of_an_installed_package_has_a_page_without_a_commit(finished, tmp_path, monkeypatch):
    found = found_run(finished)
    made_by = {name: value for name, value in found.provenance.items() if name != "commit"}
    monkeypatch.setattr("amorph.report.whole.found_run", lambda _: replace(found, provenance=made_by))
    page = Reader(write_report(finished, tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "numpy" in page.words["dt"]
    assert "commit" not in page.words["dt"]


def test_the_view_holds_both_structures(scenes, finished):
    glass, crystal = scenes
    assert (glass["name"], crystal["name"]) == ("exchanged glass", "exchanged crystal")
    assert sum(element["count"] for element in glass["elements"]) == 53
    assert [element["symbol"] for element in glass["elements"] if element["mobile"]] == ["Mg"]
    windows, energies = glass["surfaces"]
    assert [level["label"] for level in windows["levels"]] == [f"{w} v.u." for w in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert windows["start"] == 3
    assert len(energies["levels"]) == 5
    rows = (finished / "2_melt_quench/thermo.csv").read_text().count("\n") - 1
    assert glass["movie"]["of"] == rows
    assert crystal["movie"] is None


def test_the_same_run_gives_the_same_page(finished, text, tmp_path):
    assert write_report(finished, tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_a_run_without_energies_and_control(finished, tmp_path):
    """What a study leaves out is left out of the page, and nothing else."""
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "crystal")
    for mark in run.glob("*_analysis"):
        for name in ("bvse.npz", "g_r.csv", "s_q.csv", "pattern.csv"):
            (mark / name).unlink()
    summary = json.loads((run / "summary.json").read_text())
    del summary["sha256"]  # as a summary of before
    rows = [{key: value for key, value in row.items() if key != "crystal"} for row in summary["comparison"]]
    (run / "summary.json").write_text(json.dumps({**summary, "crystal": None, "comparison": rows}))
    made = write_report(run).read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="scenes">(.*?)</script>', made, re.DOTALL)[1])
    assert [scene["name"] for scene in found] == ["exchanged glass"]
    assert len(found[0]["surfaces"]) == 1
    assert [tag for tag, _ in Reader(made).elements].count("figure") == 6


def test_what_the_analysis_did_not_write_is_not_shown(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    [folder] = run.glob("*_analysis")
    mark = read_json(folder / "stage.json")
    (folder / "left_over.csv").write_text("x\n1\n")  # of an analysis that was killed, say
    del mark["outputs"]["bvse.npz"]
    branch = Branch(folder, {})
    assert branch.energies is not None
    write_json(folder / "stage.json", mark)
    left = Branch(folder, {})
    assert (left.energies, left.table("left_over")) == (None, None)
    assert left.table("g_r") is not None


@pytest.mark.parametrize("name", ["structure.extxyz", "bvs.npz", "stage.json"])
def test_a_flipped_bit_of_a_file_behind_the_page_is_told(finished, tmp_path, name):
    run = shutil.copytree(finished, tmp_path / "run")
    [path] = run.glob(f"*_analysis/{name}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is .*(changed|damaged)"):
        write_report(run)


def test_an_unfinished_run_is_told(finished, tmp_path):
    with pytest.raises(ValueError, match=r"no summary\.json"):
        write_report(tmp_path)
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "summary.json").unlink()
    with pytest.raises(ValueError, match="continue it"):
        write_report(run)
    (run / "summary.json").write_text("[]")
    with pytest.raises(ValueError, match="no run that can be read"):
        write_report(run)
