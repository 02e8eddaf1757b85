"""What a minimisation must not do."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.structure import MINIMUM_DISTANCE
from amorph.structure.closeness import _Closeness, _not_finite

MINIMIZATION_VOLUME_LIMIT = 4.0
"""The same in a minimisation, which may start from a guessed density."""


class MinimizationGuard:
    """What stops a minimisation within the step in which it leaves what is a structure."""

    def __init__(self, start_volume: float) -> None:
        self._start_volume = start_volume
        self._closeness = _Closeness()

    def check_structure(self, atoms: Atoms, step: int) -> None:
        """Stop before the calculator is asked about positions or a cell that no structure has.

        Raises
        ------
        RuntimeError
            What is wrong, at which step and atoms, the limit, and what to do.
        """
        if (k := _not_finite(atoms.positions)) is not None:
            raise RuntimeError(
                f"the position of atom {k} ({atoms.symbols[k]}) is not finite at step {step} of the minimisation; "
                "check the starting structure"
            )
        ratio = float(atoms.get_volume()) / self._start_volume
        if not 1.0 / MINIMIZATION_VOLUME_LIMIT < ratio < MINIMIZATION_VOLUME_LIMIT:
            raise RuntimeError(
                f"the volume is {ratio:.2f} times the start at step {step} of the minimisation, beyond a factor of "
                f"{MINIMIZATION_VOLUME_LIMIT:g}: the cell runs away; check the starting density, or relax with "
                "cell = 'fixed' first"
            )
        if (close := self._closeness.find(atoms)) is not None:
            i, j, d = close
            raise RuntimeError(
                f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are {d:.3f} Å apart at step {step} of "
                f"the minimisation, closer than {MINIMUM_DISTANCE} Å: check the starting structure, or choose a "
                'calculator with repulsion = "zbl"'
            )

    def check_results(self, atoms: Atoms, energy: float, forces: NDArray[np.float64], stress: float, step: int) -> None:
        """Stop where the energy [eV], a force [eV/Å] or the stress [GPa] is not finite.

        Raises
        ------
        RuntimeError
            What is not finite, at which step and atom, and what to do.
        """
        k = _not_finite(forces)
        for what, sound in (
            (f"the energy ({energy} eV)", np.isfinite(energy)),
            (f"the force on atom {k} ({atoms.symbols[k or 0]})", k is None),
            ("the stress", np.isfinite(stress)),
        ):
            if not sound:
                raise RuntimeError(
                    f"{what} is not finite at step {step} of the minimisation; check the starting structure"
                )
