"""Memory is estimated before it is allocated."""

import pytest
from ase.build import bulk

from amorph.chgnet import CHGNetCalculator
from amorph.chgnet.memory import TABLES, estimate_bytes


def test_grows_with_atoms_at_the_same_density():
    one, eight = (estimate_bytes(n, n * 9.0) - TABLES for n in (1000, 8000))
    assert eight == pytest.approx(8 * one, rel=1e-6)


def test_grows_with_density():
    assert estimate_bytes(1000, 8000.0) > estimate_bytes(1000, 9000.0)


def test_refuses_what_does_not_fit(monkeypatch):
    monkeypatch.setattr("amorph.chgnet.memory.available_bytes", lambda: 1_000_000)
    atoms = bulk("MgO", "rocksalt", a=4.212)
    atoms.calc = CHGNetCalculator(device="cpu")
    with pytest.raises(ValueError, match=r"2 atoms in 19 Å³ need about 0\.3 GB .* 0\.0 GB are free"):
        atoms.get_potential_energy()
