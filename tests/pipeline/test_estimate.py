"""What the measurement behind ``amorph run --dry-run`` evaluates."""

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from amorph.calculators import CHGNET
from amorph.pipeline import estimate


class Counted(EMT):
    """Remembers how many atoms it was given."""

    def __init__(self, device):
        super().__init__()
        self.device, self.seen = device, []

    def calculate(self, atoms=None, *arguments):
        self.seen.append(len(atoms))
        super().calculate(atoms, *arguments)


@pytest.mark.parametrize(("device", "sizes"), [("cpu", {4, 8}), ("cuda", {32})])
def test_a_gpu_is_timed_on_the_cell_of_the_study(monkeypatch, device, sizes):
    calculator = Counted(device)
    monkeypatch.setattr(estimate, "make_calculator", lambda **_: calculator)
    trial = bulk("Cu", cubic=True)
    cost = estimate._measure(trial, trial.repeat(2), {"factory": CHGNET})
    assert set(calculator.seen) == sizes
    assert cost.forces > 0
