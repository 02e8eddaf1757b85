"""The volume of an oxide over that of the oxides of its cations."""

import numpy as np
import pytest
from ase import Atoms

from amorph.analysis.oxide_mixture import oxide_mixture
from amorph.tables.crystals import BINARY_OXIDES, BY_NAME


def gas(formula, edge=20.0):
    """Atoms of a formula at random in a cube."""
    atoms = Atoms(formula, cell=[edge] * 3, pbc=True)
    atoms.positions = np.random.default_rng(0).random((len(atoms), 3)) * edge
    return atoms


@pytest.mark.parametrize(("cation", "entry"), BINARY_OXIDES.items())
def test_an_oxide_has_no_excess_over_itself(cation, entry):
    crystal = entry.atoms()
    crystal.set_array("oxidation_states", np.where(crystal.symbols == cation[0], float(cation[1]), -2.0))
    found = oxide_mixture(crystal, volume_ratios={entry.name: 1.05})
    assert found.ratio == pytest.approx(1.0, rel=1e-12)
    assert found.model_ratio == pytest.approx(1 / 1.05, rel=1e-12)


def test_the_oxides_of_the_exchanged_cathode_have_17_cubic_angstroms_per_oxygen():
    found = oxide_mixture(gas("Mg3TiMo2O9"), volume_ratios={"MgO": 1.03, "MoO2": 1.11})
    per_cation = {"MgO": 4.212**3 / 4, "TiO2_rutile": 4.5922**2 * 2.9574 / 2}
    per_cation["MoO2"] = BY_NAME["MoO2"].atoms().get_volume() / 4
    volume = 3 * per_cation["MgO"] + per_cation["TiO2_rutile"] + 2 * per_cation["MoO2"]
    assert found.mixture_per_anion == pytest.approx(volume / 9, rel=1e-12)
    assert found.mixture_per_anion == pytest.approx(17.00, abs=0.005)  # SCIENCE: of the crystals, by experiment
    assert found.ratio == pytest.approx(8000 / volume, rel=1e-12)
    assert found.model_ratio is None  # TiO2 was not relaxed


def test_a_cell_and_its_repetition_say_the_same():
    one = gas("Mg3TiMo2O9")
    assert oxide_mixture(one.repeat((2, 1, 3))).ratio == pytest.approx(oxide_mixture(one).ratio, rel=1e-12)


@pytest.mark.parametrize(("formula", "named"), [("MgF2", "F"), ("MgO2", "O"), ("NdO", "Nd"), ("Mg", "Mg")])
def test_what_has_no_such_mixture_is_refused(formula, named):
    with pytest.raises(ValueError, match=named):
        oxide_mixture(gas(formula))
