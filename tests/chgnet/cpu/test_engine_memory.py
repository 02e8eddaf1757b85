"""Memory is estimated before it is allocated."""

import subprocess
import sys

import pytest
from ase.build import bulk
from float64_stock import melt

from amorph.chgnet import CHGNetBatch, CHGNetCalculator
from amorph.chgnet.cpu import memory
from amorph.chgnet.cpu.memory import TABLES, MemoryGuard, estimate_bytes


def test_grows_with_atoms_at_the_same_density():
    one, eight = (estimate_bytes(n, n * 9.0) - TABLES for n in (1000, 8000))
    assert eight == pytest.approx(8 * one, rel=1e-6)


def test_grows_with_density():
    assert estimate_bytes(1000, 8000.0) > estimate_bytes(1000, 9000.0)


def test_refuses_what_does_not_fit(monkeypatch):
    monkeypatch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: 1_000_000)
    atoms = bulk("MgO", "rocksalt", a=4.212)
    atoms.calc = CHGNetCalculator(device="cpu")
    with pytest.raises(ValueError, match=r"2 atoms in 19 Å³ need about 0\.3 GB .* 0\.0 GB are free"):
        atoms.get_potential_energy()


def test_the_chgnet_package_has_an_estimate_of_its_own(monkeypatch):
    """It takes 15 GB for energy and forces of 1000 atoms of rocksalt at 4.15 Å (docs/chgnet_engine.md)."""
    assert estimate_bytes(1000, 1000 * 4.15**3 / 8, package=True) == pytest.approx(15e9, rel=0.1)
    monkeypatch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: 8_000_000_000)
    atoms = bulk("MgO", "rocksalt", a=4.15, cubic=True).repeat(5)
    calculator = CHGNetCalculator(device="cpu", engine="chgnet")
    with pytest.raises(ValueError, match=r"^1000 atoms in 8934 Å³ need about 1\d\.\d GB .* 8\.0 GB are free"):
        calculator.get_potential_energy(atoms)
    with pytest.raises(ValueError, match=r"^structure 1: 1000 atoms"):
        CHGNetBatch(calculator).evaluate([bulk("MgO", "rocksalt", a=4.2), atoms], ("energy",))


def test_what_an_engine_holds_does_not_count_against_it(monkeypatch):
    free = estimate_bytes(64, 580.0) + 1_000_000
    monkeypatch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: free)
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


def test_what_the_density_does_not_tell_is_refused_when_it_is_counted(monkeypatch):
    slab = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2)
    slab.cell[2, 2] *= 20
    enough = estimate_bytes(len(slab), slab.cell.volume, threads=1)
    monkeypatch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: enough)
    slab.calc = CHGNetCalculator(device="cpu", threads=1)
    with pytest.raises(ValueError, match=r"64 atoms with 1\d{4} angles between bonds need about 0\.3 GB .* are free"):
        slab.get_potential_energy()
    monkeypatch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: enough + 20_000_000)
    assert slab.get_potential_energy() < 0


MEASURED = """if True:
    import sys
    from ase.build import bulk
    from amorph.chgnet import CHGNetCalculator
    import amorph.chgnet.cpu.engine

    def resident(name):
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    repeat, stretch, share = map(int, sys.argv[1:])
    amorph.chgnet.cpu.memory.KEPT_SHARE = share
    atoms = bulk("MgO", "rocksalt", a=4.15, cubic=True) * (repeat, repeat, repeat)
    atoms.symbols[:4] = "LiTiMoF"
    atoms.cell[2, 2] *= stretch
    before = resident("VmRSS")
    calculator = CHGNetCalculator(device="cpu", threads=2)
    calculator.get_property("forces", atoms)
    guard = calculator.model._memory
    print(resident("VmHWM") - before, guard._granted + guard._kept)
    """


@pytest.mark.parametrize("keep", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("repeat", "stretch"),
    [(4, 1), pytest.param(4, 5, marks=pytest.mark.slow), pytest.param(7, 2, marks=pytest.mark.slow)],
)
def test_a_first_evaluation_takes_no_more_than_was_counted(repeat, stretch, keep):
    # Kernels that are not cached yet are compiled here, not in the process that is measured.
    CHGNetCalculator(device="cpu", threads=2).get_property("forces", bulk("MgO", "rocksalt", a=4.15, cubic=True))
    command = [sys.executable, "-c", MEASURED, str(repeat), str(stretch), str(int(keep))]
    peak, counted = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert peak <= counted <= 1.5 * peak
    if stretch == 1 and not keep:
        estimate = estimate_bytes(8 * repeat**3, (4.15 * repeat) ** 3, threads=2)
        assert peak <= estimate <= 1.5 * peak


def test_what_one_evaluation_holds_is_not_asked_of_the_next(monkeypatch):
    # Tables and kernels, 290 MB, are there once; a batch, and what goes in float64, need no more than their own part.
    calculator = CHGNetCalculator(device="cpu", threads=1)
    batch, cells = CHGNetBatch(calculator), [melt(24), melt(24)]
    calculator._memory = batch._memory = MemoryGuard(10**12)
    calculator.get_property("energy", cells[0])
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000_000)
    assert len(batch.evaluate(cells)) == 2
    assert calculator.get_property("energy", bulk("MgO", "rocksalt", a=4.2)) < 0
