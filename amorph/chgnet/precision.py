"""Which structures float32 cannot evaluate within the bounds of docs/chgnet_engine.md.

Hidden layers reach thousands where atoms are pushed together, and every silu there is a kink that a distance of 1e-4 Å
crosses: forces then change by up to 3e4 eV/Å², and the rounding of float32 shows in the fifth digit or before. Such
structures betray themselves by what float32 says of them, which is a function of positions, cell and threads alone.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from ase.units import GPa

logger = logging.getLogger(__name__)

E = TypeVar("E")

FEWEST_ATOMS = 8
"""In smaller cells nothing averages the rounding of the stress, and float64 takes milliseconds."""
CLOSEST = 0.9
"""Shortest bond [Å]: below, the energy turns over and its slope tells nothing."""
LARGEST_FORCE = 25.0
"""Component [eV/Å]; oxide melts at 3000 K stay below 21."""
RMS_FORCE = 4.0
"""Over all components [eV/Å]; oxide melts at 3000 K stay below 3."""
LARGEST_STRESS = 60.0
"""Component [GPa]; oxide melts at 3000 K and 24 GPa stay below 35."""
ALIKE_FORCE = 1.0
"""Root mean square of the forces [eV/Å] below which atoms are on special places, whatever presses them."""
ALIKE_STRESS = 50.0
"""Component of the stress there [GPa]: alike atoms round alike, and nothing averages that."""


def beyond_float32(closest: float, results: dict[str, Any]) -> str | None:
    """Say why a structure has to be evaluated in float64, or return None.

    Parameters
    ----------
    closest, results
        Length of the shortest bond of the structure [Å]; its forces [eV/Å] and stress [eV/Å³] in float32.
    """
    forces = np.abs(results["forces"])
    largest, rms, stress = forces.max(), np.sqrt((forces**2).mean()), np.abs(results["stress"]).max() / GPa
    if closest < CLOSEST:
        return f"two atoms are {closest:.2f} Å apart"
    if not (largest <= LARGEST_FORCE and rms <= RMS_FORCE):  # what is not finite included
        return f"the largest force is {largest:.0f} eV/Å and their rms {rms:.1f} eV/Å"
    if not stress <= (ALIKE_STRESS if rms < ALIKE_FORCE else LARGEST_STRESS):
        return f"the stress is {stress:.0f} GPa"
    return None


class Precise(Generic[E]):
    """The engine of the same weights in float64: made when first needed, shared by an engine and its copies."""

    def __init__(self, make: Callable[[], E]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._engine: E | None = None

    def engine(self, reason: str) -> E:
        """Return the engine; say once why it is needed."""
        with self._lock:
            if self._engine is None:
                logger.info("%s: such structures go in float64, which takes several times as long", reason)
                self._engine = self._make()
            return self._engine
