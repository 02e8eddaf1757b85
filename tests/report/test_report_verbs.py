"""The verbs report and view, and the page at the end of amorph run."""

import json
import re

import pytest

import amorph.report
from amorph.cli import main

CHECK_FAILED = 4  # the toy of these tests does not melt


def test_report_writes_where_it_is_told(finished, tmp_path, capsys):
    assert main(["report", str(finished), "-o", str(tmp_path / "page.html")]) == 0
    assert "page.html" in capsys.readouterr().out
    assert (tmp_path / "page.html").stat().st_size > 500_000


def test_a_run_is_cited_by_what_it_used(finished, capsys):
    assert main(["cite", str(finished)]) == 0
    said = capsys.readouterr().out
    used = {"amorph", "kawaguchi2025", "vandeneijnden2006", "brown1985", "waasmaier1995", "rego2015"}
    used |= {"chen2019", "cordero2008"}
    assert set(re.findall(r"@\w+\{(\w+),", said)) == used  # a toy: no CHGNet, no NPT


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report", "nowhere"], "summary.json"),
        (["view", "nowhere.cif", "-o", "view.html"], "nowhere.cif"),
        (["view", "nowhere.cif"], "-o"),
        (["view", "nowhere.cif", "-o", "missing/view.html"], "missing"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_run_ends_with_its_page(finished, capsys):
    words = ["run", str(finished.parent / "study.toml"), "--dir", str(finished)]
    assert main(words) == CHECK_FAILED
    assert f"page: {finished / 'report.html'}" in capsys.readouterr().out
    (finished / "report.html").unlink()


def test_a_page_that_cannot_be_made_fails_no_run(finished, monkeypatch, capsys):
    def broken(directory, path):
        raise RuntimeError(f"no pencil for {directory}")

    monkeypatch.setattr(amorph.report, "write_report", broken)
    words = ["run", str(finished.parent / "study.toml"), "--dir", str(finished), "--json"]
    assert main(words) == CHECK_FAILED
    captured = capsys.readouterr()
    assert json.loads(captured.out)["verdict"]
    assert sum("no pencil" in line for line in captured.err.splitlines()) == 1
