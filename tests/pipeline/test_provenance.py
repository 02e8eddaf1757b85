"""What a run says about what made it."""

import subprocess

from toys import Ions

from amorph.calculators import ZBLRepulsion
from amorph.chgnet import CHGNetCalculator
from amorph.pipeline.provenance import provenance


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
