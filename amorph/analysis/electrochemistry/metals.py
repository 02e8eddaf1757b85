"""The metals that a voltage is counted against."""

from typing import Final

from ase import Atoms
from ase.build import bulk

METALS: Final = {"Li": 1, "Na": 1, "K": 1, "Mg": 2, "Ca": 2, "Zn": 2, "Al": 3}
"""Metals of batteries, and the charge of their ions [e]."""


def metal_crystal(element: str) -> Atoms:
    """Build the crystal of a metal, to be relaxed by the potential that computes the voltage.

    Lattice and starting constants are those of ``ase.data.reference_states`` (room temperature; their first sources
    unverified): Li 3.49, Na 4.23, K 5.23 (bcc), Mg 3.21, Zn 2.66 (hcp), Ca 5.58, Al 4.05 Å (fcc).

    Raises
    ------
    ValueError
        Another element.
    """
    if element not in METALS:
        raise ValueError(f"no metal reference for {element}; there are {', '.join(METALS)}")
    return bulk(element)
