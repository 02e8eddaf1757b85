"""The barrier of a potential along a path of a map: a closed form, a published crystal, and what is told."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from toys import Toy

from amorph.analysis.bvse import bvse_map
from amorph.analysis.percolation import migration_path, refine_path
from amorph.analysis.percolation.refinement import RefinedHop, _highest
from amorph.calculators import make_calculator
from amorph.fields import ScalarField
from amorph.reading import read_structure
from amorph.relaxation import relax

EDGE = 5.0


class EggBox(Toy):
    """Li in −A(cos x + 4 cos y + 4 cos z), a host of O on springs, and a step down from end to end of the cells.

    Along x the barrier is 2A; the lattice of wells has the period of the cell.
    """

    def __init__(self, sites, height=0.3, stiffness=2.0):
        super().__init__()
        self.sites, self.height, self.stiffness = sites, height, stiffness

    def evaluate(self, atoms):
        ion, k = atoms.symbols == "Li", 2 * np.pi / EDGE
        weights = self.height * np.array([1.0, 4.0, 4.0])
        x = atoms.positions[ion]
        forces = np.zeros((len(atoms), 3))
        forces[ion] = -weights * k * np.sin(k * x)
        # no site is known by its number: an O is pulled to the nearest point of its lattice
        u = atoms.positions[~ion] - self.sites[0]
        u -= EDGE * np.rint(u / EDGE)
        forces[~ion] = -self.stiffness * u
        energy = float((-weights * np.cos(k * x)).sum() + 0.5 * self.stiffness * (u**2).sum())
        return energy, forces, np.zeros((3, 3))


@pytest.fixture
def crystal():
    return Atoms("LiO", positions=[[0.2, 0.0, 0.1], [2.5, 2.5, 2.3]], cell=np.eye(3) * EDGE, pbc=True)


def refined(path, atoms, calculator, *, fmax=0.05, max_steps=300, images=5):
    ends = partial(relax, calculator=calculator, fmax=fmax, max_steps=max_steps)
    return refine_path(path, atoms, calculator, ends, fmax=fmax, max_steps=max_steps, images=images)


def path_of(amplitude=1.0):
    x, y, z = np.meshgrid(*[2 * np.pi * np.arange(20) / 20] * 3, indexing="ij")
    values = -amplitude * (np.cos(x) + 4 * np.cos(y) + 4 * np.cos(z))
    return migration_path(ScalarField(values, np.eye(3) * EDGE, "site energy", "eV", ion="Li+"))


# closed form


def test_the_barrier_is_that_of_the_potential_and_not_of_the_map(crystal):
    found = refined(path_of(), crystal, EggBox(crystal.positions[1:]), fmax=0.01)
    assert found.map_barrier_eV == pytest.approx(2.0)
    # the climbing image stands at the saddle within fmax/k of its curvature: 0.01²/(2·0.47) eV
    assert found.barrier_eV == pytest.approx(0.6, abs=1e-3)
    [hop] = found.hops
    assert hop.converged
    assert hop.max_force <= 0.01
    assert (hop.atoms, hop.removed, hop.inserted) == (15, 1, False)  # 2 × 2 × 2 cells, and the image of the ion is gone
    assert hop.length_A == pytest.approx(EDGE, rel=0.02)
    assert hop.reverse_barrier_eV == pytest.approx(hop.barrier_eV, abs=1e-3)
    assert max(hop.profile_eV) == hop.barrier_eV
    assert found.table()[0]["barrier_eV"] == hop.barrier_eV


def test_where_no_ion_sits_one_is_put(crystal):
    host = crystal[crystal.symbols == "O"]
    found = refined(path_of(), host, EggBox(crystal.positions[1:]), images=3)
    assert (found.hops[0].inserted, found.hops[0].removed) == (True, 0)
    assert found.barrier_eV == pytest.approx(0.6, abs=5e-3)


# what is told


def test_a_band_that_stops_early_is_not_converged(crystal):
    found = refined(path_of(), crystal, EggBox(crystal.positions[1:], height=3.0), fmax=1e-4, max_steps=3)
    assert not found.converged


def test_ends_that_are_one_site_are_refused(crystal):
    with pytest.raises(ValueError, match="has one site by this potential"):
        refined(path_of(), crystal[crystal.symbols == "O"], Well(crystal))


class Pair(EggBox):
    """The same, where two Li keep 2.4 Å apart along x: a well has room for two, and one alone takes its middle."""

    def evaluate(self, atoms):
        energy, forces, stress = super().evaluate(atoms)
        ions = np.flatnonzero(atoms.symbols == "Li")
        for i, j in itertools.combinations(ions, 2):
            d = atoms.positions[j, 0] - atoms.positions[i, 0]
            d -= 4 * EDGE * np.rint(d / (4 * EDGE))
            if abs(d) < 2.4:
                energy += 20.0 * (2.4 - abs(d)) ** 2
                pull = 40.0 * (2.4 - abs(d)) * np.sign(d)
                forces[i, 0] -= pull
                forces[j, 0] += pull
        return energy, forces, stress


def test_two_sites_of_the_map_that_are_one_have_no_barrier(crystal):
    """Li at 0, 4, 6 and 10 Å in wells at 0, 5 and 10: with a vacancy at 4 or at 6 its neighbor takes the middle."""
    x, y, z = np.meshgrid(np.arange(80) / 4, *[2 * np.pi * np.arange(40) / 40] * 2, indexing="ij")
    wells = sum(np.exp(-(((x - site) / 0.6) ** 2)) for site in (0.0, 4.0, 6.0, 10.0, 20.0))
    cell = np.diag([4 * EDGE, 2 * EDGE, 2 * EDGE])
    field = ScalarField(-wells - 4 * np.cos(y) - 4 * np.cos(z), cell, "site energy", "eV", ion="Li+")
    path = migration_path(field, start=(0.0, 0.0, 0.0), end=(10.0, 0.0, 0.0))
    host = crystal.repeat((4, 2, 2))
    atoms = Atoms("Li4", positions=[[x, 0.0, 0.0] for x in (0.0, 3.8, 6.2, 10.0)], cell=cell, pbc=True)
    atoms += host[host.symbols == "O"]
    found = refined(path, atoms, Pair(crystal.positions[1:]))
    assert [hop.removed for hop in found.hops] == [1, 1]  # one vacancy all along, so that the hops have a common level
    np.testing.assert_allclose(found.one_site, [[[4.0, 0.0, 0.0], [6.0, 0.0, 0.0]]])
    assert found.converged


class Well(Toy):
    """Pulls Li to one point of the doubled cell."""

    def __init__(self, crystal):
        super().__init__()
        self.point = crystal.positions[0]

    def evaluate(self, atoms):
        ion = atoms.symbols == "Li"
        forces = np.zeros((len(atoms), 3))
        u = atoms.positions[ion] - self.point
        u -= 2 * EDGE * np.rint(u / (2 * EDGE))
        forces[ion] = -u
        return 0.5 * float((u**2).sum()), forces, np.zeros((3, 3))


def test_a_path_of_no_energy_is_refused(crystal):
    x = np.cos(2 * np.pi * np.arange(20) / 20)
    field = ScalarField(np.broadcast_to(x[:, None, None], (20, 20, 20)) + 2.0, np.eye(3) * EDGE, "bond valence", "v.u.")
    with pytest.raises(ValueError, match="the path is of the bond valence"):
        refined(migration_path(field), crystal, EggBox(crystal.positions[1:]))


# published value


@pytest.mark.slow
def test_li_hops_along_010_in_lifepo4_as_published():
    # CHGNet 0.151 eV (tutorial "LiFePO4-NEB" of matcalc, the same 111 atoms in a cell that it relaxed); by GGA 0.27 eV
    # (path b in Table 1 of doi:10.1039/C5TA05062F, as cited there). Ours is in the cell of experiment.
    crystal = read_structure(Path(__file__).parents[3] / "structures/LiFePO4.cif")
    made = bvse_map(crystal, "Li+", spacing=0.2)
    path = migration_path(made.field, start=(0.0, 0.0, 0.0), end=(0.0, 3.005, 0.0))
    found = refined(path, crystal, make_calculator(), images=3)
    assert found.converged
    assert found.barrier_eV == pytest.approx(0.151, abs=0.04)
    assert found.barrier_eV < 0.7 * found.map_barrier_eV
    assert (found.hops[0].atoms, found.hops[0].removed) == (111, 1)


def chain(*hops, removed=1):
    """Hops by their barriers forward and backward, each into one vacancy."""
    return [
        RefinedHop(np.zeros(3), np.zeros(3), 0.0, forward, back, 1.0, (), 0.0, True, taken, False, 1, ())
        for (forward, back), taken in zip(hops, np.broadcast_to(removed, len(hops)), strict=True)
    ]


def test_a_vacancy_meets_the_hops_in_reverse_and_an_interstitial_in_order():
    hops = (0.5, 0.2), (0.6, 0.4)
    assert _highest(chain(*hops)) == pytest.approx(0.7)  # 0.6, down to 0.2, and 0.5 up from there
    assert _highest(chain(*hops, removed=0)) == pytest.approx(0.9)
    assert _highest(chain(*hops, removed=[0, 1])) == pytest.approx(0.6)
