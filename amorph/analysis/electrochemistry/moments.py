"""The magnetic moments by which a potential tells valences, where it has any."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import NDArray

from amorph.analysis.electrochemistry.removal import Moments


def moments_by(calculator: BaseCalculator, example: Atoms) -> Moments | None:
    """Give what asks a calculator for moments [μB], or None where it has none; only an answer to an example tells."""

    def moments(atoms: Atoms) -> NDArray[np.float64]:
        asked = atoms.copy()
        asked.calc = calculator
        return np.asarray(asked.get_magnetic_moments())

    try:
        moments(example)
    except PropertyNotImplementedError:
        return None
    return moments
