"""Ion exchange: charges, counts, sites, distances, and what is refused."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings, strategies as st

from amorph.rocksalt import build
from amorph.structure import pair_list
from amorph.substitution import substitute, substitute_replicas


def rng(seed=0):
    return np.random.default_rng(seed)


def oxide(composition="Li2Ti1/3Mo2/3O3", supercell=(3, 3, 3), **parameters):
    return build(composition, supercell=supercell, lattice_constant=4.15, rng=rng(), **parameters).atoms


def without_states(atoms):
    atoms = atoms.copy()
    del atoms.arrays["oxidation_states"]
    return atoms


# closed form


def test_the_thousand_atom_cell_becomes_exactly_neutral():
    result = substitute(oxide(supercell=(5, 5, 5)), rng=rng())
    assert (result.n_available, result.n_kept, result.n_new, result.n_vacancies) == (333, 0, 166, 167)
    assert len(result.atoms) == 833
    assert (result.charge_before, result.charge_change, result.residual_charge) == (1, -1, 0)
    assert not result.charge_assumed
    assert result.formula == "Mg166Mo111Ti56O500"
    assert result.atoms.arrays["oxidation_states"].sum() == 0
    assert [(row["count"], row["charge"]) for row in result.table()] == [
        (0, 0),
        (333, 0),
        (166, 332),
        (167, 0),
        (833, 0),
    ]


@pytest.mark.parametrize(
    ("composition", "ion", "by", "fraction", "expected"),
    [
        # out of 108 cation sites: (new, vacant, kept, residual charge)
        ("Li2Ti1/3Mo2/3O3", "Li+", "Mg2+", 1.0, (36, 36, 0, 0)),
        ("Na2Mn0.5Ti0.5O3", "Na+", "Ca2+", 1.0, (36, 36, 0, 0)),
        ("Li2Ti1/3Mo2/3O3", "Li+", "Zn2+", 0.5, (18, 18, 36, 0)),
        ("K2Ti1/3Mo2/3O3", "K+", "Al3+", 1.0, (24, 48, 0, 0)),
        ("Li2Ti1/3Mo2/3O3", "Li+", "Na+", 1.0, (72, 0, 0, 0)),
        ("Li2Ti1/3Mo2/3O3", "Li+", None, 0.25, (0, 18, 54, -18)),
        ("Li2Ti1/3Mo2/3O3", "Li+", "vacancy", 1.0, (0, 72, 0, -72)),
        ("Li2Ti1/3Mo2/3O3", "Mo4+", "Mo6+", 0.5, (8, 4, 12, 0)),
        ("MgO", "Mg2+", "Al3+", 0.5, (36, 18, 54, 0)),
        ("LiF", "F-", "O2-", 0.5, (27, 27, 54, 0)),
        ("Li2Ti1/3Mo2/3O3", "Li+", "Mg2+", 0.0, (0, 0, 72, 0)),
        # 0.1 · 72 = 7.2 ions: seven would leave a charge, eight do not
        ("Li2Ti1/3Mo2/3O3", "Li+", "Mg2+", 0.1, (4, 4, 64, 0)),
    ],
)
def test_any_pair_keeps_its_charge_book(composition, ion, by, fraction, expected):
    result = substitute(oxide(composition), ion=ion, by=by, fraction=fraction, rng=rng())
    assert (result.n_new, result.n_vacancies, result.n_kept, result.residual_charge) == expected
    assert result.atoms.arrays["oxidation_states"].sum() == expected[-1]


def test_the_count_next_to_the_ideal_that_leaves_the_cell_closest_to_neutral_is_chosen():
    # Seven Li+ are three and a half Mg2+: the charge of the rest of the cell decides between three and four.
    for rest, expected in ((-6, 3), (-8, 4), (-7, 3), (-20, 4), (20, 3)):
        chain = Atoms("Li7O", positions=[[3.0 * k, 0, 0] for k in range(8)], cell=[24, 5, 5], pbc=True)
        chain.set_array("oxidation_states", np.array([1.0] * 7 + [float(rest)]))
        assert substitute(chain, rng=rng()).n_new == expected
    # 0.45 of seven Li+, 3.15, are taken out: three or four, whichever the rest of the cell asks for.
    for rest, expected in ((-4, 3), (-3, 4)):
        chain.arrays["oxidation_states"][-1] = rest
        result = substitute(chain, by=None, fraction=0.45, rng=rng())
        assert (result.n_vacancies, result.residual_charge) == (expected, 0)


def test_a_cell_without_oxidation_states_is_taken_as_neutral():
    result = substitute(without_states(oxide(supercell=(5, 5, 5))), rng=rng())
    assert result.charge_assumed
    assert (result.n_new, result.charge_before, result.residual_charge) == (166, 0, -1)
    assert "oxidation_states" not in result.atoms.arrays


def test_only_ions_of_the_asked_state_are_exchanged():
    atoms = oxide("FeO", (2, 2, 2))
    atoms.arrays["oxidation_states"][:16] = 3.0
    result = substitute(atoms, ion="Fe2+", by="Mg2+", rng=rng())
    assert result.n_new == 16
    assert (result.replaced >= 16).all()


# conservation


@settings(max_examples=40, deadline=None)
@given(
    fraction=st.floats(0.01, 1.0),
    ion=st.sampled_from(["Li+", "Ti4+", "Mo4+"]),
    by=st.sampled_from(["Na+", "Mg2+", "Al3+", "Zr4+", "Nb5+", None]),
    seed=st.integers(0, 2**32),
)
def test_atoms_and_charge_are_conserved(fraction, ion, by, seed):
    atoms = oxide()
    charge = {None: 0, "Na+": 1, "Mg2+": 2, "Al3+": 3, "Zr4+": 4, "Nb5+": 5}[by]
    old = 1 if ion == "Li+" else 4
    taken = np.ceil(fraction * np.sum(atoms.symbols == ion[:2]) - 1e-9)
    if (by and charge < old) or taken * old < charge / 2 or fraction * np.sum(atoms.symbols == ion[:2]) < 0.5:
        return
    result = substitute(atoms, ion=ion, by=by, fraction=fraction, rng=rng(seed))
    assert result.n_new + result.n_vacancies + result.n_kept == result.n_available
    assert abs(result.n_available * fraction - result.n_new - result.n_vacancies) < 1
    assert len(result.atoms) == len(atoms) - result.n_vacancies
    assert result.residual_charge == pytest.approx(result.atoms.arrays["oxidation_states"].sum())
    assert result.charge_change == result.n_new * charge - (result.n_new + result.n_vacancies) * old
    if by:
        assert abs(result.residual_charge) <= charge / 2
    # every other atom stays where and what it was
    stays = np.setdiff1d(np.arange(len(atoms)), np.union1d(result.replaced, result.removed))
    survives = np.setdiff1d(np.arange(len(atoms)), result.removed)
    assert result.atoms.positions.tolist() == atoms.positions[survives].tolist()
    assert (result.atoms.numbers[np.isin(survives, stays)] == atoms.numbers[stays]).all()
    assert result.vacancy_positions.tolist() == atoms.positions[result.removed].tolist()
    assert not set(result.replaced) & set(result.removed)


def test_every_site_is_as_likely_as_any_other():
    # 300 draws of four new and four vacant sites among twelve: each in a third, within five standard errors
    atoms = oxide("LiF", (1, 1, 1)) * (3, 1, 1)
    new, vacant = np.zeros((2, len(atoms)))
    for result in substitute_replicas(atoms, 300, by="Mg2+", fraction=2 / 3, rng=rng()):
        new[result.replaced] += 1
        vacant[result.removed] += 1
    for hits in (new, vacant):
        assert hits[atoms.numbers == 3] / 300 == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / 300))


# invariance


def test_the_seed_decides_and_replicas_are_independent():
    atoms = oxide()
    assert substitute(atoms, rng=rng(3)).atoms == substitute(atoms, rng=rng(3)).atoms
    three = substitute_replicas(atoms, 3, rng=rng(3))
    five = substitute_replicas(atoms, 5, rng=rng(3))
    assert [r.replaced.tolist() for r in three] == [r.replaced.tolist() for r in five[:3]]
    assert len({tuple(r.replaced) for r in five}) == 5
    # independent streams: what one replica draws does not shift the next
    assert substitute(atoms, rng=rng(3).spawn(2)[1]).atoms == three[1].atoms


def test_the_input_is_left_alone_and_only_its_structure_goes_on():
    atoms = oxide()
    atoms.set_velocities(np.ones((len(atoms), 3)))
    atoms.set_initial_magnetic_moments(np.ones(len(atoms)))
    atoms.info["energy_of_the_glass"] = 1.0
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    before = atoms.copy()
    result = substitute(atoms, rng=rng())
    assert atoms == before
    assert result.atoms.calc is None
    assert set(result.atoms.arrays) == {"numbers", "positions", "oxidation_states"}
    assert list(result.atoms.info) == ["supercell"]
    assert result.atoms.info["supercell"].tolist() == np.diag([3, 3, 3]).tolist()
    assert result.atoms.pbc.all()


def test_a_pymatgen_structure_is_accepted():
    from amorph.structure import to_pymatgen

    assert substitute(to_pymatgen(oxide()), rng=rng(1)).atoms.symbols.formula.count()["Mg"] == 36


# distances


@pytest.mark.parametrize("matrix", [np.diag([4, 4, 4]), [[3, 1, 0], [0, 3, 0], [1, 0, 4]]])
def test_new_ions_keep_their_distance_across_the_boundary(matrix):
    atoms = make_supercell(bulk("LiF", "rocksalt", a=4.0, cubic=True), np.array(matrix))
    for seed in range(3):
        result = substitute(atoms, by="Na+", fraction=1 / 8, minimum_distance=3.9, rng=rng(seed))
        assert pair_list(result.atoms[result.atoms.numbers == 11], 8.0).d.min() > 3.9


def test_the_closest_packing_is_found():
    # A quarter of the fcc sites at distance a is a simple cubic sublattice: exactly one arrangement in four
    atoms = bulk("LiF", "rocksalt", a=4.0, cubic=True) * (3, 3, 4)
    result = substitute(atoms, by="Na+", fraction=1 / 4, minimum_distance=4.0, rng=rng())
    assert pair_list(result.atoms[result.atoms.numbers == 11], 4.1).d.min() == pytest.approx(4.0)


def test_an_ion_must_keep_its_distance_from_its_own_image():
    atoms = bulk("LiF", "rocksalt", a=4.0, cubic=True) * (1, 3, 3)
    with pytest.raises(ValueError, match=r"cannot place 1 Na\+ on 36 sites at least 4.1 Å apart: 0 is the most found"):
        substitute(atoms, by="Na+", fraction=1 / 36, minimum_distance=4.1, rng=rng())


# errors


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"by": "Li+"}, r"Li\+ is to be replaced by itself"),
        ({"ion": "Mo4+", "by": "Mg2+"}, r"each Mo4\+ needs 2 Mg2\+, more ions than freed sites"),
        ({"by": "O2-"}, "the charges have different signs"),
        ({"ion": "Na+"}, "no Na in "),
        ({"ion": "Mo6+", "by": None}, r"no Mo6\+ in the structure: its Mo have the oxidation states \+4"),
        ({"ion": "Li"}, "cannot read 'Li' as an ion"),
        ({"by": "Xx2+"}, "unknown element 'Xx'"),
        ({"fraction": 1.5}, "fraction = 1.5"),
        ({"fraction": -0.1}, "fraction = -0.1"),
        ({"fraction": float("nan")}, "fraction = nan"),
        ({"fraction": 0.001}, r"fraction 0.001 of 72 Li\+ is 0.072 ions, which rounds to none; at least 0.00694"),
        (
            {"by": "Nb5+", "fraction": 0.02},
            r"2 of 72 Li\+ carry less than half the charge of one Nb5\+, .* at least 3 must",
        ),
        ({"minimum_distance": -1.0}, "minimum_distance = -1.0 Å"),
        ({"minimum_distance": 3.0}, r"cannot place 36 Mg2\+ on 72 sites at least 3 Å apart: 2\d is the most found"),
        ({"minimum_distance": 1e9}, r"4.23 Å is the most that any arrangement reaches"),
    ],
)
def test_impossible_requests_are_refused_with_the_numbers(parameters, match):
    with pytest.raises(ValueError, match=match) as caught:
        substitute(oxide(), rng=rng(), **parameters)
    assert "\n" not in str(caught.value)


def test_a_cell_of_nothing_but_the_removed_ion_is_refused():
    with pytest.raises(ValueError, match="leaves no atoms"):
        substitute(bulk("Na", cubic=True), ion="Na+", by=None, rng=rng())


def test_replicas_must_be_a_count():
    with pytest.raises(ValueError, match="replicas = 0"):
        substitute_replicas(oxide(), 0, rng=rng())
