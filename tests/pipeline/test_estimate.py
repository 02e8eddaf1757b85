"""What the measurement behind ``amorph run --dry-run`` evaluates."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from amorph.calculators import CHGNET
from amorph.pipeline import estimate
from amorph.pipeline.study import resolve
from amorph.rocksalt import build


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


LONGER = {
    "segments": [
        {"name": "melt", "ensemble": "NVT", "start_K": 3000.0, "end_K": 3000.0, "duration_ps": 20.0},
        {"name": "quench", "ensemble": "NVT", "start_K": 3000.0, "end_K": 300.0, "duration_ps": 20.0},
    ]
}


@pytest.mark.parametrize(
    ("lattice_constant", "composition", "schedule", "model", "told"),
    [
        (4.15, "Li2Ti1/3Mo2/3O3", "kawaguchi2025", "0.3.0", True),
        (4.10, "Li0.67Ti0.11Mo0.22O", "short", "0.3.0", True),
        (4.28, "Li2Ti1/3Mo2/3O3", "kawaguchi2025", "0.3.0", False),
        (4.15, "Li2Ti1/3Mo2/3O3", "kawaguchi2025", "r2scan", False),
        (4.15, "Li2Ti1/3Mo2/3O3", LONGER, "0.3.0", False),
        (4.15, "MgO", "kawaguchi2025", "0.3.0", False),
    ],
)
def test_a_start_that_did_not_melt_is_known(lattice_constant, composition, schedule, model, told):
    study = resolve(
        {
            "calculator": {"model": model},
            "build": {"composition": composition, "lattice_constant": lattice_constant},
            "melt_quench": {"schedule": schedule},
            "substitute": {"ion": "Li+", "by": "Mg2+"},
        }
    )
    built = build(composition, lattice_constant=lattice_constant, rng=np.random.default_rng(0))
    assert bool(estimate.known_not_to_melt(study, built)) == told
