"""Barriers of known crystals: bond-valence site energy and percolation together.

The values are those of BVlain 0.25.1 (cutoff 10 Å, k = 100, 0.1 Å, halved Morse terms), to ±0.03 eV. Its search joins
diagonal neighbors too, ours only those along the axes, whose thresholds come down to the same value from above as the
grid is refined: at 0.1 Å they are up to 0.05 eV higher (docs/site_energy.md).
"""

from pathlib import Path

import numpy as np
import pytest

from amorph.analysis.bvse import bvse_map
from amorph.analysis.percolation import percolation_thresholds
from amorph.reading import read_structure

STRUCTURES = Path(__file__).parents[2] / "structures"
TOLERANCE = 0.03


def barriers(atoms, ion, spacing):
    return percolation_thresholds(bvse_map(atoms, ion, spacing=spacing, convention="half").field).barriers


def primitive(atoms):
    """A quarter of a face-centred cell: the same crystal at a quarter of the work."""
    cell = 0.5 * (np.ones((3, 3)) - np.eye(3)) @ atoms.cell.array
    fractional = (atoms.positions @ np.linalg.inv(cell) % 1.0).round(6) % 1.0
    _, which = np.unique(fractional, axis=0, return_index=True)
    assert 4 * len(which) == len(atoms)
    made = atoms[np.sort(which)]
    made.set_cell(cell)
    return made


def test_lithium_iron_phosphate_conducts_along_b():
    atoms = read_structure(STRUCTURES / "LiFePO4.cif")
    assert barriers(atoms, "Li+", 0.05) == pytest.approx((0.44, 3.59, 3.59), abs=TOLERANCE)
    channel = percolation_thresholds(bvse_map(atoms, "Li+", spacing=0.2, convention="half").field).crossings[0]
    assert channel.windings.tolist() == [[0, 1, 0]]


def test_lithium_cobalt_oxide_conducts_in_its_layers():
    one, two, three = barriers(read_structure(STRUCTURES / "LiCoO2.cif"), "Li+", 0.1)
    assert (one, two) == pytest.approx((1.23, 1.23), abs=TOLERANCE)
    assert three > 8.0


@pytest.mark.parametrize(("name", "barrier"), [("MgTi2O4", 0.67), ("MgAl2O4", 0.70)])
def test_spinels_conduct_alike_in_three_dimensions(name, barrier):
    atoms = primitive(read_structure(STRUCTURES / f"{name}.cif"))
    # 80 points: a multiple of 8, on which all tetrahedral sites and the crystal's symmetry lie
    made = bvse_map(atoms, "Mg2+", grid=(80, 80, 80), convention="half")
    found = percolation_thresholds(made.field).barriers
    assert found == pytest.approx((barrier,) * 3, abs=TOLERANCE)
    # by symmetry; the energies are sums of some hundred terms
    assert found == pytest.approx((found[0],) * 3, abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "barrier"), [("MgTi2O4", 0.67), ("MgAl2O4", 0.70)])
def test_spinels_in_their_conventional_cells(name, barrier):
    found = barriers(read_structure(STRUCTURES / f"{name}.cif"), "Mg2+", 0.05)
    assert found == pytest.approx((barrier,) * 3, abs=TOLERANCE)
