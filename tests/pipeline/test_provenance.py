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


def test_the_packages_own_potential_is_no_foreign_code():
    assert provenance(made=[{"factory": CHGNET, "model": None, "arguments": {}}])["code_sha256"] == {}
