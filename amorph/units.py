"""Constants and conversions that :mod:`ase.units` lacks."""

from typing import Final

from ase import units as ase_units

GPA_PER_EV_A3: Final = 1.0 / ase_units.GPa
"""Pressure of one eV/Å³ in GPa."""

G_CM3_PER_U_A3: Final = 1e24 / ase_units.mol
"""Density of one atomic mass unit per Å³ in g/cm³."""
