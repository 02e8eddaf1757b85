"""Disordered rocksalt cells: counts, charges, sublattices, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
from ase.io import read, write
from hypothesis import given, settings, strategies as st

from amorph.rocksalt import build, parse_composition
from amorph.structure import pair_list


def rng(seed=0):
    return np.random.default_rng(seed)


def a(composition, **parameters):
    return build(composition, **({"lattice_constant": 4.2, "rng": rng()} | parameters))


# closed form


def test_the_thousand_atom_cell_of_the_paper():
    built = a("Li2Ti1/3Mo2/3O3", supercell=(5, 5, 5), lattice_constant=4.15)
    assert built.counts == {"Li": 333, "Ti": 56, "Mo": 111, "O": 500}
    assert built.formula == "Li333Ti56Mo111O500"
    assert built.oxidation_states == {"Li": 1, "Ti": 4, "Mo": 4, "O": -2}
    assert built.residual_charge == 1
    assert built.atoms.arrays["oxidation_states"].sum() == 1
    # exact shares: 1000/3, 500/9, 1000/9
    assert built.deviation == pytest.approx({"Li": -1 / 3, "Ti": 4 / 9, "Mo": -1 / 9, "O": 0})
    assert built.atoms.cell.cellpar() == pytest.approx([20.75, 20.75, 20.75, 90, 90, 90])
    assert built.table()[1] == {
        "species": "Ti4+",
        "count": 56,
        "asked": pytest.approx(500 / 9),
        "deviation": pytest.approx(4 / 9),
        "oxidation_state": 4,
    }


def test_the_smallest_exactly_neutral_cell():
    built = a("Li2Ti1/3Mo2/3O3")
    assert built.formula == "Li72Ti12Mo24O108"
    assert built.residual_charge == 0
    assert not any(built.deviation.values())


def test_density_and_lattice_constant_are_one_number():
    # MgO: 4 × (24.305 + 15.999) u × 1.660539 Å³ g/cm³ per u in 4.212³ Å³ is 3.58255 g/cm³
    built = a("MgO", lattice_constant=4.212, supercell=(1, 1, 1))
    assert built.density_g_cm3 == pytest.approx(3.58255, abs=1e-5)
    back = a("MgO", lattice_constant=None, density_g_cm3=built.density_g_cm3, supercell=(2, 1, 1))
    assert back.lattice_constant == pytest.approx(4.212, abs=1e-12)
    assert (built.lattice_constant_source, back.lattice_constant_source) == ("given", "density")


def test_a_lattice_constant_to_be_relaxed_starts_from_shannon_radii():
    # Shannon (1976), six neighbors: Mg2+ 0.72, O2- 1.40, Na+ 1.02, Cl- 1.81, Li+ 0.76, Fe3+ 0.645 Å (high spin)
    for composition, expected in (("MgO", 4.24), ("NaCl", 5.66), ("LiFeO2", 4.205)):
        built = a(composition, lattice_constant="relaxed")
        assert built.lattice_constant == pytest.approx(expected, abs=1e-12)
        assert built.lattice_constant_source == "estimated"


@pytest.mark.parametrize(
    ("composition", "states"),
    [
        ("Na2Mn0.5Ti0.5O3", {"Na": 1, "Mn": 4, "Ti": 4, "O": -2}),
        ("Li1.2Mn0.4Ti0.4O2", {"Li": 1, "Mn": 3, "Ti": 4, "O": -2}),
        ("Li1.3Nb0.3Mn0.4O2", {"Li": 1, "Nb": 5, "Mn": 3, "O": -2}),
        ("LiNi1/3Co1/3Mn1/3O2", {"Li": 1, "Ni": 2, "Co": 3, "Mn": 4, "O": -2}),
        ("Li2MnO2F", {"Li": 1, "Mn": 3, "O": -2, "F": -1}),
        ("Li2TiS3", {"Li": 1, "Ti": 4, "S": -2}),
        ("Li4MgTeO6", {"Li": 1, "Mg": 2, "Te": 6, "O": -2}),
        ("LiF", {"Li": 1, "F": -1}),
        ("NaCl", {"Na": 1, "Cl": -1}),
        ("Li333Ti56Mo111O500", {"Li": 1, "Ti": 4, "Mo": 4, "O": -2}),
    ],
)
def test_oxidation_states_are_worked_out(composition, states):
    assert a(composition).oxidation_states == states


def test_given_oxidation_states_stand_and_the_rest_follows():
    built = a("Li333Ti56Mo111O500", supercell=(5, 5, 5), oxidation_states={"Mo": 5})
    assert built.oxidation_states == {"Li": 1, "Ti": 2, "Mo": 5, "O": -2}
    assert built.residual_charge == 333 + 2 * 56 + 5 * 111 - 1000
    mixed = a("Li1.5Mo0.5O2", oxidation_states={"Mo": 5})
    assert mixed.residual_charge == pytest.approx(0)
    assert a("LiMoO2", oxidation_states={"Li": 1, "Mo": 3.5}).residual_charge == pytest.approx(0.5 * 54)


def test_a_composition_is_read_exactly():
    amounts, rounding = parse_composition(" Li2 (Ti1/3 Mo2/3)O3 ")
    assert amounts == {"Li": 2, "Ti": Fraction(1, 3), "Mo": Fraction(2, 3), "O": 3}
    assert rounding == 0
    assert parse_composition("[Li0.5Na.5]2O")[0] == {"Li": 1, "Na": 1, "O": 1}
    assert parse_composition("[Li0.5Na.5]2O")[1] == Fraction(2, 10)
    assert parse_composition("LiO2Li2")[0] == {"Li": 3, "O": 2}


# conservation


@settings(max_examples=60, deadline=None)
@given(
    shares=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    supercell=st.tuples(*[st.integers(2, 4)] * 3),
)
def test_counts_fill_the_sublattice_and_stray_by_less_than_one_atom(shares, supercell):
    elements = ["Li", "Na", "Mg", "Ti", "Mo"][: len(shares)]
    composition = "".join(f"{e}{n}/{sum(shares)}" for e, n in zip(elements, shares, strict=True)) + "O"
    states = {"Li": 1, "Na": 1, "Mg": 2, "Ti": 4, "Mo": 4}
    sites = 4 * int(np.prod(supercell))
    if min(shares) * sites < sum(shares):
        return  # a species that comes to less than one atom may be refused
    built = a(composition, supercell=supercell, oxidation_states={e: states[e] for e in elements})
    assert sum(built.counts[e] for e in elements) == sites == built.counts["O"]
    assert sum(built.deviation.values()) == pytest.approx(0, abs=1e-9)
    assert max(map(abs, built.deviation.values())) < 1
    assert built.residual_charge == pytest.approx(sum(states[e] * built.counts[e] for e in elements) - 2 * sites)


def test_each_sublattice_holds_its_own_ions():
    built = a("Li2Ti1/3Mo2/3O3", lattice_constant=4.0)
    pairs = pair_list(built.atoms, 2.001)
    anion = built.atoms.numbers == 8
    assert len(pairs.d) == 6 * len(built.atoms)
    assert (anion[pairs.i] != anion[pairs.j]).all()
    assert pairs.d == pytest.approx(2.0)


def test_cations_are_at_random():
    # Unlike pairs among second neighbors of a random 2:1 mixture: 2·(2/3)(1/3) = 4/9, within four standard errors
    built = a("Li2/3Ti1/3O", supercell=(6, 6, 6), lattice_constant=4.0, oxidation_states={"Ti": 4})
    cations = built.atoms[built.atoms.numbers != 8]
    pairs = pair_list(cations, 2.9)
    unlike = np.mean(cations.numbers[pairs.i] != cations.numbers[pairs.j])
    assert unlike == pytest.approx(4 / 9, abs=4 * np.sqrt(20 / 81 / (len(pairs.d) / 2)))


def test_several_anions_share_the_anion_sublattice():
    built = a("Li2TiO2S", lattice_constant=4.0)
    assert built.counts == {"Li": 72, "Ti": 36, "O": 72, "S": 36}
    pairs = pair_list(built.atoms, 2.001)
    anion = np.isin(built.atoms.numbers, [8, 16])
    assert (anion[pairs.i] != anion[pairs.j]).all()


# invariance


def test_the_seed_decides_and_only_the_seed():
    one, same, other = (a("Li2Ti1/3Mo2/3O3", rng=rng(seed)).atoms for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one.get_chemical_symbols() == other.get_chemical_symbols()


def test_a_matrix_of_any_shape_has_the_volume_of_its_determinant():
    matrix = np.array([[2, 1, 0], [0, 2, 0], [1, 0, 3]])
    built = a("MgO", supercell=matrix, lattice_constant=4.212)
    assert len(built.atoms) == 8 * 12
    assert built.atoms.cell.array == pytest.approx(4.212 * matrix)
    assert len(pair_list(built.atoms, 2.107).d) == 6 * len(built.atoms)
    diagonal = a("MgO", supercell=((2, 0, 0), (0, 3, 0), (0, 0, 1)))
    assert diagonal.atoms == a("MgO", supercell=(2, 3, 1)).atoms


def test_supercell_and_states_survive_a_file(tmp_path):
    matrix = [[2, 1, 0], [0, 2, 0], [1, 0, 3]]
    built = a("MgO", supercell=matrix)
    write(tmp_path / "cell.extxyz", built.atoms)
    back = read(tmp_path / "cell.extxyz")
    assert back.info["supercell"].tolist() == matrix == built.supercell.tolist()
    assert back.info["supercell"].dtype.kind == "i"
    assert back.arrays["oxidation_states"].tolist() == built.atoms.arrays["oxidation_states"].tolist()
    assert back.pbc.all()


def test_rounded_decimals_are_spread_over_the_cations():
    built = a("Li0.66Ti0.33O")
    assert built.counts == {"Li": 72, "Ti": 36, "O": 108}
    assert built.deviation == pytest.approx({"Li": 0.72, "Ti": 0.36, "O": 0})


# errors


@pytest.mark.parametrize(
    ("composition", "match"),
    [
        ("Li2O", r"'Li2O' has 2 cations \(Li\) for 1 anions \(O\)"),
        ("Li0.6Ti0.3O", r"has 0.9 cations \(Li, Ti\) for 1 anions \(O\); a rocksalt needs as many"),
        ("O2", "0 cations"),
        ("LiMg", "no anion in the composition 'LiMg'"),
        ("Xx2O", "unknown element 'Xx'"),
        ("XO", "unknown element 'X'"),
        ("", "names no element"),
        ("li2o", "cannot read 'li2o'"),
        ("Mg-O", "cannot read '-O'"),
        ("Li1/0O", "amount '1/0'"),
        ("Li0O", "amount '0'"),
        ("Li1.2.3O", "amount '1.2.3'"),
        ("(LiO", "opens a bracket that it never closes"),
        ("Li)O", "closes a bracket that it never opened"),
        ("Mg0.999Zn0.001O", "Zn in 'Mg0.999Zn0.001O' comes to 0.108 of 108 sites"),
        ("ArO", "no oxidation state of Ar"),
        ("LiO", r"no oxidation states balance 'LiO': the closest, Li\+, leaves -1.000 e per anion"),
    ],
)
def test_a_composition_that_makes_no_rocksalt_is_refused(composition, match):
    with pytest.raises(ValueError, match=match) as caught:
        a(composition)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"lattice_constant": None}, "give exactly one of the two"),
        ({"density_g_cm3": 3.5}, "give exactly one of the two"),
        ({"lattice_constant": -4.2}, "lattice_constant = -4.2 Å"),
        ({"lattice_constant": float("nan")}, "lattice_constant = nan"),
        ({"lattice_constant": None, "density_g_cm3": 0.0}, "density_g_cm3 = 0.0"),
        ({"lattice_constant": 0.5}, "0.250 Å apart"),
        ({"supercell": (3, 3, 0)}, "supercell"),
        ({"supercell": (3, 3)}, "supercell"),
        ({"supercell": [[1, 0, 0], [0, 1, 0], [1, 1, 0]]}, "volume 0 conventional cells"),
        ({"supercell": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]}, "volume -1 conventional cells; give three"),
        ({"supercell": (90000, 90000, 90000)}, "at most 10000000"),
        ({"supercell": (10**20, 1, 1)}, "holds 800000000000000000000 atoms; at most 10000000"),
        ({"supercell": ((10**20, 10**20 + 1, 0), (1, 1, 0), (0, 0, 1))}, "volume -1 conventional cells; give three"),
        ({"supercell": ((1, 10**20, 0), (0, 1, 0), (0, 0, 1))}, "far longer than its 1 conventional cells need"),
        ({"supercell": ((1, 4000, 4000), (0, 1, 0), (0, 0, 1))}, "far longer than its 1 conventional cells need"),
        ({"oxidation_states": {"Ti": 4}}, "oxidation_states names Ti, which 'MgO' does not hold"),
    ],
)
def test_impossible_numbers_are_refused(parameters, match):
    with pytest.raises(ValueError, match=match) as caught:
        a("MgO", **parameters)
    assert "\n" not in str(caught.value)
