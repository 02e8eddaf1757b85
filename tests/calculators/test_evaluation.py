"""Several properties of a calculator in one evaluation."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import all_changes
from toys import LennardJones, Toy

from amorph.calculators import evaluate


def argon():
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = LennardJones(cutoff=6.0)
    return atoms


def test_one_evaluation_serves_every_later_question():
    atoms, reference = argon(), argon()
    evaluate(atoms, ["energy", "forces", "stress"])
    assert atoms.get_potential_energy() == reference.get_potential_energy()
    assert np.array_equal(atoms.get_forces(), reference.get_forces())
    assert np.array_equal(atoms.get_stress(), reference.get_stress())
    assert atoms.calc.evaluations == 1
    assert reference.calc.evaluations == 3
    evaluate(atoms, ["forces"])
    assert atoms.calc.evaluations == 1


def test_atoms_that_moved_are_evaluated_anew():
    atoms = argon()
    evaluate(atoms, ["energy", "forces"])
    before = atoms.get_forces()
    atoms.positions[0, 0] += 0.1
    evaluate(atoms, ["energy", "forces"])
    assert atoms.calc.evaluations == 2
    assert not np.array_equal(atoms.get_forces(), before)


def test_no_stale_property_is_left():
    atoms, reference = argon(), argon()
    evaluate(atoms, ["energy", "forces"])
    for moved in (atoms, reference):
        moved.positions[0, 0] += 0.1
    evaluate(atoms, ["energy"])
    assert np.array_equal(atoms.get_forces(), reference.get_forces())


def test_what_a_calculator_cannot_do_is_passed_over():
    atoms = argon()
    atoms.calc.implemented_properties = ["energy"]
    evaluate(atoms, ["energy", "stress"])
    assert atoms.calc.evaluations == 1
    with pytest.raises(NotImplementedError):
        atoms.get_stress()


@pytest.mark.parametrize(
    ("name", "value"), [("energy", np.zeros(3)), ("forces", np.zeros((2, 2))), ("forces", 0.0), ("stress", np.zeros(5))]
)
def test_a_result_of_another_shape_is_refused(name, value):
    class Odd(Toy):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            self.results = {"energy": 0.0, "forces": np.zeros((2, 3)), "stress": np.zeros(6), name: value}

    atoms = bulk("MgO", "rocksalt", a=4.2)
    atoms.calc = Odd()
    with pytest.raises(RuntimeError, match=rf"Odd gave {name} of shape .* for 2 atoms"):
        evaluate(atoms, ["energy", "forces", "stress"])
