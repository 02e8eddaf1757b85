"""The CHGNet force engine: the weights of the chgnet package behind a fast ASE calculator."""

from amorph.chgnet.calculator import CHGNetCalculator

__all__ = ["CHGNetCalculator"]
