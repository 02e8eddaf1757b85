"""Starts of a melt that were tried and did not melt."""

from typing import Final, NamedTuple


class Unmolten(NamedTuple):
    """A rocksalt that a melt left a crystal; a denser, cooler or shorter one is no better."""

    model: str
    """Model of CHGNet."""
    shares: tuple[tuple[str, float], ...]
    """Share of each element among the atoms."""
    lattice_constant: float
    """Edge of the conventional cell [Å]."""
    temperature_K: float
    """Temperature of the melt [K]."""
    duration_ps: float
    """Length of the melt [ps]."""
    source: str
    """Where it is written down."""


UNMOLTEN: Final = (
    Unmolten(
        "0.3.0",
        (("Li", 1 / 3), ("Mo", 1 / 9), ("O", 1 / 2), ("Ti", 1 / 18)),
        4.15,
        3000.0,
        10.0,
        "docs/validation.md, finding 1",
    ),
)
"""Every such start."""
