"""What a minimisation must not do."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure.closeness import _Closeness, _not_finite

MINIMIZATION_VOLUME_LIMIT = 4.0
"""Largest ratio of the volume to the starting volume, either way; the density may have been guessed."""

_CHECK = "check the starting structure"


class MinimizationGuard:
    """What stops a minimisation within the step in which it leaves what is a structure."""

    def __init__(self, start_volume: float) -> None:
        self._start_volume = start_volume
        self._closeness = _Closeness()

    def check_structure(self, atoms: Atoms, step: int) -> None:
        """Stop before the calculator is asked about positions or a cell that no structure has."""
        if broken := _not_finite(atoms, {"position of": atoms.positions}):
            raise RuntimeError(f"{broken} is not finite at step {step} of the minimisation; {_CHECK}")
        ratio = float(atoms.get_volume()) / self._start_volume
        if not 1.0 / MINIMIZATION_VOLUME_LIMIT < ratio < MINIMIZATION_VOLUME_LIMIT:
            raise RuntimeError(
                f"the volume is {ratio:.2f} times the start at step {step} of the minimisation, beyond a factor of "
                f"{MINIMIZATION_VOLUME_LIMIT:g}: the cell runs away; check the starting density, or relax with "
                "cell = 'fixed' first"
            )
        if close := self._closeness.said(atoms, f"at step {step} of the minimisation"):
            raise RuntimeError(f'{close}: {_CHECK}, or choose a calculator with repulsion = "zbl"')

    def check_results(self, atoms: Atoms, energy: float, forces: NDArray[np.float64], stress: float, step: int) -> None:
        """Stop where the energy [eV], a force [eV/Å] or the stress [GPa] is not finite."""
        stressed = "" if np.isfinite(stress) else "the stress"
        if broken := _not_finite(atoms, {"force on": forces}, energy) or stressed:
            raise RuntimeError(f"{broken} is not finite at step {step} of the minimisation; {_CHECK}")
