"""Energy conservation of the CHGNet engine and of the chgnet package, from the same melt.

    python benchmarks/chgnet_nve.py                  # 64 atoms, 2 ps at 1 fs; stock takes most of the time
    python benchmarks/chgnet_nve.py --codes ours

64 atoms after a picosecond at 3000 K move on with velocity Verlet. The drift is the slope of a line through the total
energy, the fluctuation the rms distance from that line. Stock is the chgnet package's ASE calculator (float32), asked
for energy and forces.
"""

import argparse
import contextlib
import functools
import io
import sys
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet

from amorph.chgnet import CHGNetCalculator

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "chgnet"))
from float64_stock import molten

TIMESTEP_FS = 1.0


def total_energies(atoms: Atoms, steps: int) -> np.ndarray:
    """Return the total energy after each step [meV/atom]."""
    dynamics = VelocityVerlet(atoms, TIMESTEP_FS * units.fs)
    return np.array([1e3 * atoms.get_total_energy() / len(atoms) for _ in dynamics.irun(steps)])


def drift(energies: np.ndarray) -> tuple[float, float]:
    """Fit a line: slope [meV/atom/ps], and rms distance from it [meV/atom]."""
    picoseconds = 1e-3 * TIMESTEP_FS * np.arange(len(energies))
    line = np.polynomial.Polynomial.fit(picoseconds, energies, 1)
    slope = line.convert().coef[1]
    return float(slope), float(np.sqrt(((energies - line(picoseconds)) ** 2).mean()))


def stock_calculator(model: str) -> Calculator:
    """Return the chgnet package's calculator, asked for energy and forces alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        from chgnet.model import CHGNet
        from chgnet.model.dynamics import CHGNetCalculator as Stock

        calculator = Stock(CHGNet.load(model_name=model, verbose=False, use_device="cpu"), use_device="cpu")
    calculator.calculate = functools.partial(calculator.calculate, task="ef")
    return calculator


def main() -> None:
    """Print one line for each model and code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["0.3.0", "r2scan"])
    parser.add_argument("--codes", nargs="+", default=["ours", "stock"], choices=["ours", "stock"])
    parser.add_argument("--picoseconds", type=float, default=2.0)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("model    code    atoms    ps   drift [meV/atom/ps]   fluctuation [meV/atom]   T [K]")
    for model in options.models:
        ours = CHGNetCalculator(model, device="cpu", threads=1)
        start = molten(ours)
        for code in options.codes:
            atoms = start.copy()
            atoms.calc = ours if code == "ours" else stock_calculator(model)
            steps = round(1e3 * options.picoseconds / TIMESTEP_FS)
            slope, fluctuation = drift(total_energies(atoms, steps))
            print(
                f"{model:8} {code:7} {len(atoms):5d} {options.picoseconds:5.1f} {slope:21.4f} {fluctuation:24.4f} "
                f"{atoms.get_temperature():7.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
