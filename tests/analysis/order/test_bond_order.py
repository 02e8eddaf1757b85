import numpy as np
import pytest
from analysis.order.crystals import mgo
from ase import Atoms
from ase.build import bulk

from amorph.analysis.order import bond_order

# q4 and q6 of the crystals as tabulated in many places (unverified), to the digits given


@pytest.mark.parametrize(
    ("atoms", "neighbors", "q4", "q6"),
    [
        (bulk("Cu", "fcc", a=3.6), 12, 0.19094, 0.57452),
        (bulk("Mg", "hcp", a=3.2, c=3.2 * np.sqrt(8 / 3)), 12, 0.09722, 0.48476),
        (bulk("Fe", "bcc", a=2.87), 14, 0.03637, 0.51069),
        (bulk("Po", "sc", a=3.3), 6, 0.76376, 0.35355),
        (mgo(), 12, 0.19094, 0.57452),
    ],
    ids=["fcc", "hcp", "bcc", "sc", "O of MgO"],
)
def test_crystals(atoms, neighbors, q4, q6):
    for cell in (atoms, atoms * (2, 1, 3)):
        made = bond_order(cell, neighbors=neighbors)
        assert (made.q4.mean, made.q6.mean) == (pytest.approx(q4, abs=5e-6), pytest.approx(q6, abs=5e-6))
    if len(atoms) == 1 or "O" in atoms.symbols:
        # in a lattice every atom has the same surroundings
        assert (made.averaged_q4.mean, made.averaged_q6.mean) == (
            pytest.approx(made.q4.mean),
            pytest.approx(made.q6.mean),
        )


def gas(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    while True:
        atoms = Atoms("Ar60", scaled_positions=rng.random((60, 3)), cell=np.eye(3) * 16.0, pbc=True)
        if atoms.get_all_distances(mic=True)[np.triu_indices(60, 1)].min() > 0.5:
            return atoms


def test_rotation_changes_nothing_and_disorder_lowers_the_average():
    atoms = gas(1)
    turned = atoms.copy()
    turned.rotate(50.0, (1, 2, 3), rotate_cell=True)
    made, again = bond_order(atoms), bond_order(turned)
    assert (again.averaged_q4.mean, again.averaged_q6.mean) == pytest.approx(
        (made.averaged_q4.mean, made.averaged_q6.mean), rel=1e-9
    )
    assert made.averaged_q6.mean < made.q6.mean < 0.5
    both = bond_order([gas(1), gas(2)])
    assert both.averaged_q6.standard_error == pytest.approx(
        0.5 * abs(made.averaged_q6.mean - bond_order(gas(2)).averaged_q6.mean)
    )


def test_element_that_is_not_there():
    with pytest.raises(ValueError, match="no Ti"):
        bond_order(mgo(), species=("Ti",))
