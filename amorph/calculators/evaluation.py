"""Asking a calculator for several properties in one go."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, all_changes

GPA_PER_EV_A3: Final = 1.0 / units.GPa
"""Pressure of one eV/Å³ in GPa."""


def evaluate(atoms: Atoms, properties: Sequence[str]) -> None:
    """Have the atoms' calculator work out several properties at once, so that asking for each costs nothing.

    ASE asks for one property at a time, and a calculator that computes only what is asked would start anew for each.
    What the calculator cannot do is left to the call that asks for it.
    """
    calculator = atoms.calc
    if not isinstance(calculator, BaseCalculator):
        return
    able = [name for name in properties if name in calculator.implemented_properties]
    if able and calculator.calculation_required(atoms, able):
        calculator.atoms, calculator.results = atoms.copy(), {}
        calculator.calculate(atoms, able, all_changes)
        _check_shapes(calculator, able, len(atoms))


def _check_shapes(calculator: BaseCalculator, names: Sequence[str], number: int) -> None:
    """Refuse what cannot be the energy, the forces or the stress of so many atoms."""
    shapes: dict[str, list[tuple[int, ...]]] = {"energy": [()], "forces": [(number, 3)], "stress": [(6,), (3, 3)]}
    for name in set(names) & shapes.keys() & calculator.results.keys():
        if (shape := np.shape(calculator.results[name])) not in shapes[name]:
            raise RuntimeError(
                f"{type(calculator).__name__} gave {name} of shape {shape} for {number} atoms; {shapes[name][0]} is "
                "needed, mend the calculator"
            )
