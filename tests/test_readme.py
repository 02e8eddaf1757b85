"""Every command and every line of Python in the README runs."""

import re
import shlex
from pathlib import Path

import pytest

from amorph.cli import main
from amorph.meltquench import QuenchSchedule, Segment, schedule

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with what the README's commands find beside them."""
    for name in ("structures", "workflows"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run(checkout, capsys):
    programs = {words[0] for words in commands()}
    assert programs == {"make", "amorph"}  # make: run by CI itself
    for program, *words in commands():
        if program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
            continue
        if "run" in words[:2] and "--dry-run" not in words:
            words.append("--dry-run")  # days on a cluster
        assert main(words) == 0, (words, capsys.readouterr().err)
    made = {path.name for path in checkout.iterdir() if path.is_file()}
    flags = ("-o", "--path")
    assert {words[words.index(flag) + 1] for _, *words in commands() for flag in flags if flag in words} == made


def test_the_python_runs(checkout, monkeypatch, capsys):
    (code,) = blocks("python")
    # The same lines on a cell and a schedule that take seconds.
    hold = QuenchSchedule((Segment("melt", "NVT", 600, 600, 1.1), Segment("quench", "NVT", 600, 300, 0.1)))
    monkeypatch.setitem(schedule.SHIPPED, "kawaguchi2025", hold)
    for long, short in (("(5, 5, 5)", "(1, 1, 2)"), ("(200, 200, 200)", "(20, 20, 20)")):
        assert long in code
        code = code.replace(long, short)
    scope = {}
    exec(code, scope)
    assert scope["surface"].faces.size > 0
    assert "Mg" in capsys.readouterr().out


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
