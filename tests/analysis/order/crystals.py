"""Crystals with known order, from published parameters and the space group (sources unverified unless said)."""

from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from amorph.tables.crystals import BY_NAME


def quartz() -> Atoms:
    """α-quartz, P3221, 4.916 and 5.4054 Å: Levien, Prewitt & Weidner, Am. Mineral. 65, 920 (1980)."""
    sites = [(0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7858)]
    return crystal(["Si", "O"], basis=sites, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])


def cristobalite() -> Atoms:
    """Ideal β-cristobalite, Fd-3m, 7.16 Å: the diamond net with O half-way."""
    sites = [(0.125, 0.125, 0.125), (0.0, 0.0, 0.0)]
    return crystal(["Si", "O"], basis=sites, spacegroup=227, setting=2, cellpar=[7.16] * 3 + [90] * 3)


def tridymite() -> Atoms:
    """Ideal β-tridymite, P63/mmc: the lonsdaleite net with O half-way."""
    sites = [(1 / 3, 2 / 3, 0.062), (1 / 3, 2 / 3, 0.25), (0.5, 0.0, 0.0)]
    return crystal(["Si", "O", "O"], basis=sites, spacegroup=194, cellpar=[5.052, 5.052, 8.27, 90, 90, 120])


def corundum() -> Atoms:
    """Corundum, R-3c, 4.7589 and 12.9919 Å."""
    sites = [(0.0, 0.0, 0.35216), (0.30624, 0.0, 0.25)]
    return crystal(["Al", "O"], basis=sites, spacegroup=167, cellpar=[4.7589, 4.7589, 12.9919, 90, 90, 120])


def rutile() -> Atoms:
    return BY_NAME["TiO2_rutile"].atoms()


def diamond() -> Atoms:
    return bulk("C", "diamond", a=3.567)


def mgo() -> Atoms:
    return bulk("MgO", "rocksalt", a=4.212)
