"""Constants and conversions that :mod:`ase.units` lacks."""

from typing import Final

from ase import units as ase_units

GPA_PER_EV_A3: Final = 1.0 / ase_units.GPa
"""Pressure of one eV/Å³ in GPa."""

BOHR_PER_A: Final = 1.0 / ase_units.Bohr
"""Length of one Å in bohr."""

G_CM3_PER_U_A3: Final = 1e24 / ase_units.mol
"""Density of one atomic mass unit per Å³ in g/cm³."""

SUFFIXES: Final = {
    "per_A": "1/Å", "g_cm3": "g/cm³", "A3": "Å³", "A2": "Å²", "A": "Å", "eV": "eV", "GPa": "GPa", "K": "K", "ps": "ps",
    "vu": "v.u.", "deg": "°",
}  # fmt: skip
"""How the key of a table's column or of a figure ends, and the unit that this says; longer ends first."""


def keyed(name: str, unit: str) -> str:
    """Give a name the ending of its unit.

    >>> keyed("barrier", "eV"), keyed("threshold", "v.u."), keyed("share", "")
    ('barrier_eV', 'threshold_vu', 'share')
    """
    return next((f"{name}_{suffix}" for suffix, known in SUFFIXES.items() if known == unit), name)


def heading(key: str) -> str:
    """Write a key as a heading: the unit in brackets; the dotted key of a study stays as its file has it.

    >>> heading("barrier_eV"), heading("center_x_y_z_A"), heading("bvs.cutoff")
    ('barrier [eV]', 'center x y z [Å]', 'bvs.cutoff')
    """
    for suffix, unit in SUFFIXES.items():
        if key.endswith(f"_{suffix}"):
            return f"{key.removesuffix(f'_{suffix}').replace('_', ' ')} [{unit}]"
    return key if "." in key else key.replace("_", " ")
