"""Structures at the public edges."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from amorph.structure import anion_mask, periodic_atoms, to_pymatgen


@pytest.fixture
def oxide():
    """A left-handed triclinic cell without symmetry, with oxidation states."""
    cell = [[0.3, 4.1, 0.2], [4.3, 0.1, 0.5], [0.4, 0.9, 4.6]]
    atoms = Atoms(
        "LiTiO2", scaled_positions=[[0, 0, 0], [0.5, 0.4, 0], [0.5, 0, 0.55], [0, 0.5, 0.5]], cell=cell, pbc=True
    )
    atoms.set_array("oxidation_states", np.array([1.0, 3.0, -2.0, -2.0]))
    return atoms


# closed form


def test_a_sound_structure_comes_back_as_a_copy(oxide):
    before = oxide.copy()
    copy = periodic_atoms(oxide)
    assert copy == oxide
    copy.positions += 1.0
    copy.arrays["oxidation_states"][:] = 0.0
    copy.info["note"] = 1
    assert oxide == before
    assert not oxide.info


def test_pymatgen_and_back_loses_nothing(oxide):
    structure = to_pymatgen(oxide)
    assert [site.specie.oxi_state for site in structure] == [1, 3, -2, -2]
    back = periodic_atoms(structure)
    assert back.numbers.tolist() == oxide.numbers.tolist()
    assert back.positions == pytest.approx(oxide.positions, abs=1e-12)
    assert np.array_equal(back.cell.array, oxide.cell.array)
    assert back.arrays["oxidation_states"].tolist() == [1, 3, -2, -2]
    assert back.pbc.all()


def test_oxidation_states_are_all_or_none(oxide):
    del oxide.arrays["oxidation_states"]
    assert "oxidation_states" not in periodic_atoms(to_pymatgen(oxide)).arrays
    structure = to_pymatgen(oxide)
    structure.replace(0, "Li+")
    assert "oxidation_states" not in periodic_atoms(structure).arrays


def test_a_cell_smaller_than_the_closest_approach_is_checked_against_its_images():
    assert len(periodic_atoms(Atoms("H", cell=[0.5, 5, 5], pbc=True))) == 1
    with pytest.raises(ValueError, match=r"atoms 0 \(H\) and 0 \(H\) are 0.400 Å apart"):
        periodic_atoms(Atoms("H", cell=[0.4, 5, 5], pbc=True))


def test_the_calculator_stays_behind():
    atoms = bulk("Cu")
    atoms.calc = EMT()
    assert periodic_atoms(atoms).calc is None


def test_anions_are_known_by_oxidation_state():
    atoms = bulk("MgO", "rocksalt", a=4.212)
    assert anion_mask(atoms).tolist() == [False, True]
    atoms.set_array("oxidation_states", np.array([-1.0, 1.0]))
    assert anion_mask(atoms).tolist() == [True, False]


@pytest.mark.parametrize(
    ("formula", "anions"),
    [
        ("Li3PO4", {"O"}),
        ("MgSO4", {"O"}),
        ("Li3PS4", {"S"}),
        ("Li6PS5Cl", {"S", "Cl"}),
        ("LiClI", {"Cl", "I"}),
        ("LiIO3", {"O"}),
        ("Li2PO2N", {"O", "N"}),
        ("LiOF", {"O", "F"}),
        ("GaAs", {"As"}),
        ("LiTi", set()),
    ],
)
def test_without_oxidation_states_the_more_electronegative_elements_are_the_anions(formula, anions):
    atoms = Atoms(formula)
    assert set(atoms.symbols[anion_mask(atoms)]) == anions


# errors


def broken(**changes):
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def moved(position):
    atoms = broken()
    atoms.positions[3] = position
    return atoms


@pytest.mark.parametrize(
    ("structure", "match"),
    [
        (Atoms(cell=[4, 4, 4], pbc=True), "has no atoms"),
        (molecule("H2O"), r"periodic along \[False, False, False\]; amorph needs all three"),
        (broken(pbc=[True, True, False]), r"periodic along \[True, True, False\]; amorph needs"),
        (broken(cell=[[4, 0, 0], [0, 4, 0], [4, 4, 0]]), "the cell has the volume 0 Å³; give three independent"),
        (broken(cell=np.diag([4, np.nan, 4])), "the cell is not finite"),
        (broken(cell=np.diag([4, np.inf, 4])), "the cell is not finite"),
        # what would crash or hang the search for neighbors
        (
            broken(cell=np.diag([4, 2.4e10, 4])),
            r"lattice vector 1 is 2\.4e\+10 Å long; at most 1e\+06 Å make a structure",
        ),
        (
            moved([0, -3e7, 0]),
            r"position of atom 3 is 3e\+07 Å long; at most 1e\+06 Å make a structure: check the units",
        ),
        (
            broken(cell=[[4.2, 0, 0], [9e5, 4.2e-3, 0], [0, 0, 4.2]]),
            r"opposite faces of the cell are 2e-08 Å apart; at least 0\.001 Å is needed: give the reduced cell",
        ),
        (moved([np.nan, 0, 0]), r"the position of atom 3 \(O\) is not finite"),
        (moved([0, 0, np.inf]), r"the position of atom 3 \(O\) is not finite"),
        (moved([0.3, 0, 0]), r"atoms 0 \(Mg\) and 3 \(O\) are 0.300 Å apart; at least 0.5 Å is needed"),
        (moved([4.212, 8.424, 0]), r"atoms 0 \(Mg\) and 3 \(O\) are 0.000 Å apart"),
        (
            Atoms("MgX", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 4, 4], pbc=True),
            r"atom 1 has no known element \(X\)",
        ),
        (broken(numbers=[12] * 7 + [200]), "atom 7 has the atomic number 200, which no element has; name the element"),
        (broken(numbers=[12] * 7 + [-3]), "atom 7 has the atomic number -3, which no element has"),
        ("POSCAR", "a str is no structure; give ase.Atoms or pymatgen"),
        (None, "a NoneType is no structure"),
    ],
)
def test_what_makes_no_sense_is_refused(structure, match):
    with pytest.raises(ValueError, match=match) as caught:
        periodic_atoms(structure)
    assert "\n" not in str(caught.value)


def test_partial_occupancies_are_refused():
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice.cubic(4), [{"Li": 0.5, "Mg": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(ValueError, match="partial occupancies; order it first"):
        periodic_atoms(structure)


def test_a_pymatgen_molecule_is_refused():
    from pymatgen.core import Molecule

    with pytest.raises(ValueError, match="a Molecule is no structure"):
        periodic_atoms(Molecule(["H"], [[0, 0, 0]]))
