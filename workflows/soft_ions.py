"""A potential of one's own in sixty lines, for trying the chain out in seconds: no model of any material.

Cations and oxygen bind by Morse potentials at the sum of their ionic radii, like ions push each other away. It melts at
once and quenches to a glass; its strengths are made up. As a study names it:

    [calculator]
    factory = "workflows.soft_ions:SoftIons"
"""

from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from amorph.structure import pair_list

RADII = {"Li": 0.76, "Mg": 0.72, "Ti": 0.61, "Mo": 0.65, "O": 1.40}
"""Ionic radii [Å]."""
DEPTHS = {"Li": 0.25, "Mg": 0.45, "Ti": 0.7, "Mo": 0.7}
"""Depth of the bond with oxygen [eV]."""
STEEPNESS = 1.6
"""Of the Morse potential [1/Å]."""
PUSH = 0.15
"""Energy of two oxygens that touch, or of two cations at the same distance [eV]."""
FALL = 0.35
"""Distance over which the push falls to 1/e [Å]."""
CUTOFF = 6.0
"""Distance at which both end, their value and slope with them [Å]."""


class SoftIons(Calculator):
    """Energy, forces and stress of soft ions; an ASE calculator like any other."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Sum over all pairs within the cutoff, images included."""
        super().calculate(atoms, properties, system_changes)
        pairs = pair_list(self.atoms, CUTOFF)
        radius = np.array([RADII[symbol] for symbol in self.atoms.symbols])
        depth = np.array([DEPTHS.get(symbol, 0.0) for symbol in self.atoms.symbols])
        bound = (depth[pairs.i] > 0) != (depth[pairs.j] > 0)
        bond = np.where(bound, depth[pairs.i] + depth[pairs.j], 0.0), radius[pairs.i] + radius[pairs.j]
        energy, slope = _pair(pairs.d, bound, *bond)
        at_end, slope_at_end = _pair(np.full_like(pairs.d, CUTOFF), bound, *bond)
        energy = energy - at_end - slope_at_end * (pairs.d - CUTOFF)
        pull = ((slope - slope_at_end) / pairs.d)[:, None] * pairs.D
        forces = np.stack([np.bincount(pairs.i, pull[:, axis], len(self.atoms)) for axis in range(3)], axis=1)
        stress = 0.5 * pull.T @ pairs.D / self.atoms.get_volume()
        self.results = {
            "energy": 0.5 * float(energy.sum()),
            "free_energy": 0.5 * float(energy.sum()),
            "forces": forces,
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def _pair(d, bound, depth, length):
    """Energy of a pair at a distance, and its slope."""
    near = np.exp(-STEEPNESS * (d - length))
    push = PUSH * np.exp((2 * RADII["O"] - d) / FALL)
    energy = np.where(bound, depth * near * (near - 2), push)
    return energy, np.where(bound, -2 * STEEPNESS * depth * near * (near - 1), -push / FALL)
