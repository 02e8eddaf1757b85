"""What float32 says of structures that it cannot evaluate: a row just beyond and one just within each limit."""

import numpy as np
import pytest
from ase.units import GPa

from amorph.chgnet.precision import beyond_float32


@pytest.mark.parametrize(
    ("closest", "rms", "largest", "stress", "reason"),
    [
        (0.89, 0.0, 0.0, 0.0, "two atoms are 0.89 Å apart"),
        (0.91, 0.0, 0.0, 0.0, None),
        (1.5, 2.0, 26.0, 0.0, "the largest force is 26 eV/Å"),
        (1.5, 2.0, 24.0, 0.0, None),
        (1.5, 4.1, 4.1, 0.0, "their rms 4.1 eV/Å"),
        (1.5, 3.9, 3.9, 0.0, None),
        (1.5, 1.1, 1.1, 61.0, "the stress is 61 GPa"),
        (1.5, 1.1, 1.1, 59.0, None),
        (1.5, 0.9, 0.9, 51.0, "the stress is 51 GPa"),  # where hardly a force acts
        (1.5, 0.9, 0.9, 49.0, None),
        (1.5, np.nan, np.nan, 0.0, "the largest force is nan eV/Å"),
        (1.5, 1.1, 1.1, np.nan, "the stress is nan GPa"),
    ],
)
def test_each_limit_alone_asks_for_float64(closest, rms, largest, stress, reason):
    forces = np.full((100, 3), rms)
    forces[3, 1] = -largest  # one component of 300 changes the rms by little
    pressure = np.array([0.0, 0.0, 0.0, 0.0, -stress, 0.0]) * GPa
    found = beyond_float32(closest, {"forces": forces, "stress": pressure})
    assert found is None if reason is None else reason in found
