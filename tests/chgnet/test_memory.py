"""Memory is estimated before it is allocated."""

import pytest
from ase.build import bulk

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.memory import TABLES, MemoryGuard, estimate_bytes, estimate_stock_bytes


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


def test_the_chgnet_package_has_an_estimate_of_its_own(monkeypatch):
    """It takes 15 GB for energy and forces of 1000 atoms of rocksalt at 4.15 Å (docs/chgnet_engine.md)."""
    assert estimate_stock_bytes(1000, 1000 * 4.15**3 / 8) == pytest.approx(15e9, rel=0.1)
    monkeypatch.setattr("amorph.chgnet.memory.available_bytes", lambda: 8_000_000_000)
    atoms = bulk("MgO", "rocksalt", a=4.15, cubic=True).repeat(5)
    calculator = CHGNetCalculator(device="cpu", engine="chgnet")
    with pytest.raises(ValueError, match=r"^1000 atoms in 8934 Å³ need about 1\d\.\d GB .* 8\.0 GB are free"):
        calculator.get_potential_energy(atoms)
    with pytest.raises(ValueError, match=r"^structure 1: 1000 atoms"):
        CHGNetBatch(calculator).evaluate([bulk("MgO", "rocksalt", a=4.2), atoms], ("energy",))


def test_what_an_engine_holds_does_not_count_against_it(monkeypatch):
    free = estimate_bytes(64, 580.0) + 1_000_000
    monkeypatch.setattr("amorph.chgnet.memory.available_bytes", lambda: free)
    guard = MemoryGuard()
    guard.check(64, 580.0)
    free = 1_000_000  # the first evaluation has taken the rest
    guard.check(64, 580.0)
    with pytest.raises(ValueError, match=r"1000 atoms in 9000 Å³ need about"):
        guard.check(1000, 9000.0)


def test_each_thread_adds_its_own_sums():
    few, more, many = (estimate_bytes(1000, 9000.0, threads=n) for n in (1, 2, 16))
    assert many - few == pytest.approx(15 * (more - few), abs=20)
    assert more > few
