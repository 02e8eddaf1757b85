"""Structures, trajectories and fields from files; whatever is wrong with a file is one line that names it."""

from amorph.reading.fields import read_field
from amorph.reading.structures import read_structure, read_trajectory
from amorph.reading.vasp import VaspRelaxed, read_vasp_relaxed

__all__ = ["VaspRelaxed", "read_field", "read_structure", "read_trajectory", "read_vasp_relaxed"]
