"""A batch returns what the calculator returns, to the last bit."""

import numpy as np
import pytest
from float64_stock import melt, rocksalt, two_atoms

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.gpu.engine import TorchEngine


def test_equals_one_by_one_bitwise_over_steps():
    structures = [rocksalt(1, 0.1, seed=1), two_atoms(), melt(24), rocksalt(1, 0.2, seed=2)]
    calculator = CHGNetCalculator(device="cpu", threads=2)
    batch = CHGNetBatch(calculator)
    rng = np.random.default_rng(0)
    for _ in range(2):
        results = batch.evaluate(structures, ("forces", "stress", "magmoms"))
        for atoms, result in zip(structures, results, strict=True):
            alone = calculator.model.evaluate(atoms, {"forces", "stress", "magmoms"})
            for name, value in alone.items():
                assert np.array_equal(value, result[name]), name
        for atoms in structures:
            atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)


def test_names_the_structure_that_makes_no_sense():
    good, bad = two_atoms(), two_atoms()
    bad.positions[1] = bad.positions[0]
    with pytest.raises(ValueError, match=r"structure 1: atom 0 .* apart"):
        CHGNetBatch(CHGNetCalculator(device="cpu")).evaluate([good, bad])


def test_names_the_structure_whose_results_are_not_finite(monkeypatch):
    calculator = CHGNetCalculator(device="cpu", engine="torch")
    evaluate = TorchEngine.evaluate_many

    def broken(engine, structures, properties):
        results = evaluate(engine, structures, properties)
        results[1]["forces"] = np.full_like(results[1]["forces"], np.nan)
        return results

    monkeypatch.setattr(TorchEngine, "evaluate_many", broken)
    with pytest.raises(ValueError, match=r"^structure 1: CHGNet returned a forces that is not finite for MgO"):
        CHGNetBatch(calculator).evaluate([two_atoms(), two_atoms()])
