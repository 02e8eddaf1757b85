"""The fast engine against stock CHGNet in float64, its own slopes, and energy that has to stay constant."""

import functools
import logging
from typing import ClassVar

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from float64_stock import LARGE, SMALL, float64_stock, molten, rocksalt, thrifty_stock

from amorph.chgnet import CHGNetCalculator
from amorph.chgnet.cpu.engine import Engine
from amorph.chgnet.stock import StockModel
from amorph.chgnet.weights import load_checkpoint

EVERYTHING = {"energy", "forces", "stress", "magmoms"}
MODELS = ("0.3.0", "r2scan")


@functools.cache
def engine(model="0.3.0"):
    return Engine(load_checkpoint(model), threads=2)


@functools.cache
def precise():
    return Engine(load_checkpoint("0.3.0"), threads=1, dtype=np.float64)


def strained():
    """Eight atoms pushed together until float32 cannot hold the bounds."""
    return rocksalt(1, 0.35, seed=1)


def check_against_stock(model, atoms, monkeypatch):
    with monkeypatch.context() as patch:
        reference = float64_stock(load_checkpoint(model), patch).evaluate(atoms, EVERYTHING)
    result = engine(model).evaluate(atoms, EVERYTHING)
    error = {name: np.abs(result[name] - reference[name]) for name in EVERYTHING}
    assert error["energy"] / len(atoms) < 2e-6
    assert error["forces"].max() < 1e-4
    assert np.sqrt((error["forces"] ** 2).mean()) < 1e-5
    assert error["stress"].max() / units.GPa < 1e-4
    assert error["magmoms"].max() < 1e-4


def test_float64_forces_and_stress_are_slopes_of_the_energy():
    atoms = strained()
    reference = precise().evaluate(atoms, EVERYTHING)
    direction = np.random.default_rng(9).normal(size=atoms.positions.shape)
    strain = np.array([[1.0, 0.5, 0.0], [0.5, 0.0, 0.2], [0.0, 0.2, -0.7]])

    def moved(step):
        other = atoms.copy()
        other.positions += step * direction
        return other

    def deformed(step):
        other = atoms.copy()
        other.set_cell(atoms.cell.array @ (np.eye(3) + step * strain), scale_atoms=True)
        return other

    def slope(path, step=1e-4):
        """Central differences of fourth order: the step's own error is 1e-6 of the slope, rounding 1e-9 eV/Å."""
        energies = [precise().evaluate(path(n * step), {"energy"})["energy"] for n in (-2, -1, 1, 2)]
        return np.dot(energies, [1, -8, 8, -1]) / (12 * step)

    xx, yy, zz, yz, xz, xy = reference["stress"]
    sigma = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    assert slope(moved) == pytest.approx(-(reference["forces"] * direction).sum(), rel=3e-6)
    assert slope(deformed) == pytest.approx((sigma * strain).sum() * atoms.cell.volume, rel=3e-6)


def test_float64_takes_over_where_float32_is_not_enough(caplog):
    atoms, fresh = strained(), Engine(load_checkpoint("0.3.0"), threads=1)
    with caplog.at_level(logging.INFO, logger="amorph.chgnet.precision"):
        results = [fresh.evaluate(atoms, asked) for asked in ({"energy"}, EVERYTHING)]
    (told,) = [record.message for record in caplog.records if "float64" in record.message]
    assert told.startswith("the largest force is 17 eV/Å and their rms 4.7 eV/Å")
    reference = precise().evaluate(atoms, EVERYTHING)
    # What is asked does not change what is answered, and the answer is that of float64 to the last bit.
    assert results[0]["energy"] == results[1]["energy"] == reference["energy"]
    assert np.array_equal(results[1]["forces"], reference["forces"])
    calm = rocksalt(1, 0.1, seed=4)
    single, double = (model.evaluate(calm, {"forces"})["forces"] for model in (fresh, precise()))
    assert not np.array_equal(single, double)


@pytest.mark.slow
def test_stock_that_recomputes_its_layers_gives_what_stock_gives(monkeypatch):
    atoms, checkpoint = strained(), load_checkpoint("0.3.0")
    plain = StockModel(checkpoint).evaluate(atoms, EVERYTHING)
    with monkeypatch.context() as patch:
        thrifty = thrifty_stock(checkpoint, patch).evaluate(atoms, EVERYTHING)
    for name in ("energy", "magmoms"):
        assert np.array_equal(thrifty[name], plain[name])
    with monkeypatch.context() as patch:
        exact = float64_stock(checkpoint, patch, thrifty=False).evaluate(atoms, EVERYTHING)
    with monkeypatch.context() as patch:
        thrifty = float64_stock(checkpoint, patch).evaluate(atoms, EVERYTHING)
    for name, value in exact.items():
        np.testing.assert_allclose(thrifty[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    "model",
    [MODELS[0], *(pytest.param(model, marks=pytest.mark.slow) for model in MODELS[1:])],  # other weights alone
)
def test_equals_float64_stock(name, model, monkeypatch):
    check_against_stock(model, SMALL[name](), monkeypatch)


def test_other_weights_equal_float64_stock(monkeypatch):
    check_against_stock("r2scan", SMALL["skewed cell"](), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", LARGE)
def test_equals_float64_stock_in_large_cells(name, model, monkeypatch):
    check_against_stock(model, LARGE[name](), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("amplitude", [0.1, 0.35])
def test_equals_float64_stock_at_1000_atoms(amplitude, model, monkeypatch):
    check_against_stock(model, rocksalt(5, amplitude, seed=1), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_melts_equal_float64_stock_and_move_as_in_float64(model, monkeypatch):
    calculator = CHGNetCalculator(model, device="cpu", threads=2)
    atoms = molten(calculator)
    check_against_stock(model, atoms, monkeypatch)
    single, double = (
        total_energies(atoms, of) for of in (engine(model), Engine(load_checkpoint(model), threads=2, dtype=np.float64))
    )
    # The time step lets the energy wander; rounding adds 1e-6 eV/atom at each step, and no drift of its own.
    assert np.ptp(double) > 0.1
    assert np.abs((single - single[0]) - (double - double[0])).max() < 5e-3


def total_energies(atoms, model):
    """Total energy in each of 100 steps of 1 fs [meV/atom], too few for chaos to tell the two apart."""
    moving = atoms.copy()
    moving.calc = EngineCalculator(model)
    dynamics = VelocityVerlet(moving, 1.0 * units.fs)
    return np.array([1e3 * moving.get_total_energy() / len(moving) for _ in dynamics.irun(100)])


class EngineCalculator(Calculator):
    """An engine of any precision for ASE's integrators."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, model):
        super().__init__()
        self.model = model

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = self.model.evaluate(self.atoms, {"energy", "forces"})
