"""What a run says about what made it."""

import importlib
import re
import subprocess

import pytest
from toys import Ions

from amorph.calculators import CHGNET, ZBLRepulsion
from amorph.chgnet import CHGNetCalculator
from amorph.pipeline.provenance import provenance
from amorph.run import RunDirectory


def test_the_engine_of_a_model_is_told_whatever_stands_before_it():
    model = CHGNetCalculator(device="cpu", threads=1)
    told = {"engine": "numba", "device": "cpu", "threads": 1}
    assert provenance(model)["engines"] == {"CHGNet 0.3.0": told}
    assert provenance(ZBLRepulsion(model))["engines"] == {"CHGNet 0.3.0 + ZBL": told}
    assert provenance(Ions())["engines"] == {}


def test_a_repository_that_hangs_costs_the_commit_alone(monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert provenance()["commit"] is None


def test_the_code_behind_a_factory_and_its_files_bind_a_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.py").write_text("from toys import Ions\n")
    (tmp_path / "weights.bin").write_bytes(b"1")
    arguments = {"file": str(tmp_path / "weights.bin"), "cutoff": 4.0}
    table = {"factory": "mine:Ions", "model": None, "arguments": arguments}
    importlib.import_module("mine")

    def opened(force=False):
        made_by = provenance(made=[table])
        with RunDirectory(tmp_path / "run", {}, made_by, force=force) as run:
            (run.stage("1_build", {}).directory / "structure.extxyz").touch()
            return made_by["code_sha256"]

    assert set(opened()) == {"mine", "mine file"}
    for name in ("mine.py", "weights.bin"):
        (tmp_path / name).write_text("# another\n")
        with pytest.raises(ValueError, match=r"code_sha256\.mine.* there, .* here; .*--force"):
            opened()
        opened(force=True)
        opened()
    stored = (tmp_path / "run/run.toml").read_text().partition("# sha256")[0]
    before = re.sub(r"\[provenance\.code_sha256\]\n(.+\n)+|processor = .*\n", "", stored)
    assert "code_sha256" not in before.split("[[provenance.forced]]")[0]
    (tmp_path / "run/run.toml").write_text(before)
    (tmp_path / "mine.py").write_text("# a third\n")
    opened()  # a run of before does not say what it began with


def test_what_a_factory_imports_from_beside_it_binds_a_run_too(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        "mine_too.py": "import helper_of_mine, json\ndef make():\n    from parts_of_mine.deep import late\n",
        "helper_of_mine.py": "import importlib\nK = importlib.import_module('by_name_of_mine').K\n",
        "by_name_of_mine.py": "K = 1\n",
        "parts_of_mine/__init__.py": "from . import near\n",
        "parts_of_mine/near.py": "",
        "parts_of_mine/deep/__init__.py": "",
        "parts_of_mine/deep/late.py": "from ..near import __doc__\n",
        "stranger_of_mine.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    importlib.import_module("mine_too")
    table = {"factory": "mine_too:make", "model": None, "arguments": {}}
    code = provenance(made=[table])["code_sha256"]
    assert set(code) == {"mine_too", *files} - {"mine_too.py", "stranger_of_mine.py"}
    installed = provenance(made=[{**table, "factory": "json.decoder:JSONDecoder"}])["code_sha256"]
    assert set(installed) == {"json.decoder", "json package"}


def test_of_an_installed_factory_no_other_package_is_read(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "mine_installed").mkdir(parents=True)
    (site / "mine_installed/__init__.py").write_text("import other_installed\n")
    (site / "other_installed.py").write_text("")
    monkeypatch.syspath_prepend(str(site))
    importlib.import_module("mine_installed")
    table = {"factory": "mine_installed:make", "model": None, "arguments": {}}
    before = provenance(made=[table])["code_sha256"]
    assert set(before) == {"mine_installed", "mine_installed package"}
    (site / "mine_installed/late.py").write_text("K = 2\n")
    now = provenance(made=[table])["code_sha256"]
    assert [name for name in before if now[name] != before[name]] == ["mine_installed package"]


def test_files_within_arguments_and_folders_are_digested_but_the_one_that_is_worked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("models/a/weights", "models/b", "scratch/log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    arguments = {
        "model": ["models/b", {"folder": "models"}],
        "directory": "scratch",
        "root": ".",
        "input_data": {"outdir": "scratch"},
        "kind": "x" * 5000,
    }
    table = {"factory": "toys:Ions", "model": None, "arguments": arguments}

    def given():
        return {name: digest for name, digest in provenance(made=[table])["code_sha256"].items() if " " in name}

    before = given()
    assert set(before) == {"toys model.0", "toys model.1.folder"}
    (tmp_path / "models/a/weights").write_text("2")
    assert [name for name in before if given()[name] != before[name]] == ["toys model.1.folder"]


def test_the_packages_own_potential_is_no_foreign_code():
    assert provenance(made=[{"factory": CHGNET, "model": None, "arguments": {}}])["code_sha256"] == {}
