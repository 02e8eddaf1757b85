"""What a study or a file of a stranger can make amorph do: nothing but be read; what runs code says so."""

import ast
import json
import os
import signal
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from toy_run import STUDY

from amorph.cli import main
from amorph.cli.melt_quench import _schedule
from amorph.ensemble.plan import read_ensemble
from amorph.pipeline import read_study

PACKAGE = Path(__file__).parent.parent / "amorph"
FILES = sorted(PACKAGE.rglob("*.py"))
WEIGHTS = PACKAGE / "chgnet" / "weights.py"  # its unpickler imports and calls nothing: tests/chgnet/test_weights.py
CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {"yaml", "ruamel", "shelve", "marshal", "dill", "joblib", "urllib", "requests", "http", "ftplib", "smtplib"}


def faults(text, *, may_unpickle=False):
    """Name the calls and imports that would run what a file says, or reach beyond this machine."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            # urllib.parse only writes addresses
            tops = {module.split(".")[0] for module in modules if module != "urllib.parse"}
            found += sorted(tops & (MODULES if may_unpickle else MODULES | {"pickle"}))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in CODE or name.endswith("os.system") or keywords.get("shell") == "True":
            found.append(name)
        if name in {"np.load", "numpy.load"} and keywords.get("allow_pickle") != "False":
            found.append(f"{name} without allow_pickle=False")
        if name == "torch.load" and keywords.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if keywords.get("allow_pickle") == "True":
            found.append(f"{name} with allow_pickle=True")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_source_runs_what_a_file_says(path):
    assert faults(path.read_text(encoding="utf-8"), may_unpickle=path == WEIGHTS) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import pickle", "pickle"),
        ("from yaml import load", "yaml"),
        ("import numpy as np\nnp.load(path)", "np.load without allow_pickle=False"),
        ("np.save(path, x, allow_pickle=True)", "np.save with allow_pickle=True"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "subprocess.run"),
        ("import urllib.request", "urllib"),
    ],
)
def test_the_search_finds_what_it_looks_for(text, fault):
    assert faults(text) == [fault]


# studies, ensembles and schedules


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[build]\n" + b".".join([b"a"] * 3000) + b" = 1\n", "nests more than 32 tables and lists"),
        (b"a = " + b"[" * 20_000, "nests more than 32 tables and lists"),
        (b"a = " + b"[" * 40 + b"]" * 40, "nests more than 32 tables and lists"),
        (b"#" * 3_000_000, "is larger than 2 MB"),
        (b"a = " + b"9" * 5000, "is no TOML file: Exceeds the limit"),
        (None, "is no regular file"),
    ],
)
@pytest.mark.parametrize("read", [read_study, read_ensemble, lambda path: _schedule(str(path))])
def test_no_toml_hangs_or_exhausts(tmp_path, content, said, read):
    path = tmp_path / "a.toml"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)

    def too_long(_signal, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    try:
        with pytest.raises(ValueError, match=rf"a\.toml {said}"):
            read(path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("table", "factory", "arguments"),
    [
        ("calculator", "os:system", 'command = "touch PWNED"'),
        ("calculator", "mine_of_a_stranger:make", ""),
        ("calculator", "amorph.run.durable:write_atomically", 'path = "PWNED", content = "x"'),
        ("calculator", "amorph.cli:main", 'arguments = ["run", "other.toml", "--dir", "PWNED"]'),
        ("final_calculator", "os:system", 'command = "touch PWNED"'),
    ],
)
def test_a_dry_run_calls_no_code_that_a_study_names(tmp_path, monkeypatch, capsys, table, factory, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_of_a_stranger.py").write_text("open('PWNED', 'w').close()\n")
    monkeypatch.setattr("amorph.pipeline.estimate._seconds", lambda *_: 1.0)
    monkeypatch.setattr("amorph.pipeline.estimate._peak_during", lambda call: call())
    named = f'[{table}]\nfactory = "{factory}"\narguments = {{ {arguments} }}'
    study = STUDY.replace('[calculator]\nfactory = "toys:Ions"', named)
    (tmp_path / "a.toml").write_text(study)
    assert main(["run", "a.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{factory} is code that the study names: --dry-run calls none of it, so time and memory are" in said
    assert "not timed" in said
    assert main(["run", "a.toml", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] is None
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in {".toml", ".py"}] == []


def test_a_run_names_the_code_of_a_study_before_it_calls_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_of_a_stranger.py").write_text("import sys\nsys.stderr.write('it ran\\n')\nmake = None\n")
    study = '[build]\ncomposition = "MgO"\nsupercell = [2, 2, 2]\n[calculator]\nfactory = "mine_of_a_stranger:make"\n'
    (tmp_path / "a.toml").write_text(study)
    monkeypatch.setattr("amorph.pipeline.whole.rehearse", lambda _: {})
    assert main(["run", "a.toml", "--dir", "run"]) == 2
    named, ran, _ = capsys.readouterr().err.splitlines()
    assert (named, ran) == ("calling the code that a.toml names: mine_of_a_stranger:make", "it ran")


def test_no_word_of_a_file_steers_the_terminal(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(
        '[run]\n"\\u001b]0;owned\\u0007\\u001b[2J\\u202e Å" = 1\n[build]\ncomposition = "MgO"\n'
    )
    assert main(["run", str(tmp_path / "a.toml"), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert r"unknown key '\x1b]0;owned\x07\x1b[2J\u202e Å' in [run]" in said
    assert said.count("\n") == 1
    assert said[:-1].isprintable()


def test_no_name_of_a_file_steers_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "a\x1b]0;owned\x07\x9b2J\u202e.extxyz"
    write(tmp_path / "a.cif", bulk("MgO", "rocksalt", a=4.2))
    for flags in ([], ["--json"]):
        assert main(["convert", "a.cif", name, *flags]) == 0
        said = "".join(capsys.readouterr())
        assert said.replace("\n", "").isprintable()
        assert flags or r"a\x1b]0;owned\x07\x9b2J\u202e.extxyz" in said
