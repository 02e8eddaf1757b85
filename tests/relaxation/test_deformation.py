"""Positions and cell as one vector of variables: gradients against finite differences."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from toys import LennardJones

from amorph.relaxation.deformation import Deformation


def triclinic():
    atoms = bulk("Ar", "fcc", a=5.1, cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.1, -0.05], [0.0, 0.97, 0.08], [0.03, 0.0, 1.0]], scale_atoms=True)
    atoms.rattle(0.15, seed=3)
    return atoms


def evaluate(deformation, x):
    positions, cell = deformation.structure(x)
    atoms = Atoms(f"Ar{len(positions)}", positions=positions, cell=cell, pbc=True, calculator=LennardJones())
    return atoms.get_potential_energy(), deformation.gradient(x, atoms.get_forces(), atoms.get_stress())


# closed form


@pytest.mark.parametrize("cell", ["fixed", "isotropic", "free"])
def test_without_strain_the_structure_is_the_start(cell):
    atoms = triclinic()
    deformation = Deformation(atoms.cell.array, cell, 2.5)
    positions, box = deformation.structure(deformation.variables(atoms.positions))
    assert positions.tobytes() == atoms.positions.tobytes()
    assert box.tobytes() == atoms.cell.array.tobytes()


def test_an_isotropic_strain_is_a_scale():
    atoms = triclinic()
    deformation = Deformation(atoms.cell.array, "isotropic", 2.5)
    x = deformation.variables(atoms.positions)
    x[-9:] = 2.5 * 0.1 * np.eye(3).ravel()
    positions, box = deformation.structure(x)
    assert positions == pytest.approx(atoms.positions * np.exp(0.1), rel=1e-14)
    assert box == pytest.approx(atoms.cell.array * np.exp(0.1), rel=1e-14)
    assert deformation.moves(x - deformation.variables(atoms.positions)) == pytest.approx((0.0, 0.1 * 3**0.5))


def test_a_strain_never_turns_the_cell():
    deformation = Deformation(np.eye(3) * 5.0, "free", 2.5)
    rng = np.random.default_rng(0)
    _, box = deformation.structure(np.concatenate([np.zeros(3), rng.normal(size=9)]))
    assert box == pytest.approx(box.T, abs=1e-13)
    assert (np.linalg.eigvalsh(box) > 0).all()


# finite difference


@pytest.mark.parametrize("cell", ["fixed", "isotropic", "free"])
@pytest.mark.parametrize("strain", [0.0, 0.05])
def test_the_gradient_is_that_of_the_energy(cell, strain):
    atoms = triclinic()
    deformation = Deformation(atoms.cell.array, cell, 2.5)
    x = deformation.variables(atoms.positions)
    directions = np.eye(x.size)
    if cell == "isotropic":
        u = strain * np.eye(3)
        directions = [*directions[:-9], np.concatenate([np.zeros(x.size - 9), np.eye(3).ravel()])]
    else:
        u = strain * np.array([[1.0, 0.4, -0.3], [0.4, -0.5, 0.2], [-0.3, 0.2, 0.3]])
    if cell != "fixed":
        x[-9:] += 2.5 * u.ravel()
    gradient = evaluate(deformation, x)[1]
    h = 1e-4
    for direction in np.asarray(directions):
        slope = (evaluate(deformation, x + h * direction)[0] - evaluate(deformation, x - h * direction)[0]) / (2 * h)
        # Central differences: third derivatives of up to 100 eV/Å³ times h²/6.
        assert gradient @ direction == pytest.approx(slope, abs=2e-7)
