"""How much charge a mass of a material holds."""

from typing import Final

from ase import Atoms, units

MAH_PER_MOL: Final = units._e * units._Nav / 3.6
"""Charge of one mole of electrons: 26 801 mAh."""


def capacity_mAh_per_g(charge: float, atoms: Atoms) -> float:
    """Give the capacity of a structure that gives up some electrons [mAh/g].

    >>> from ase.build import bulk
    >>> round(capacity_mAh_per_g(4.0, bulk("Mg")))  # two atoms, two electrons each
    2205
    """
    return float(charge * MAH_PER_MOL / atoms.get_masses().sum())
