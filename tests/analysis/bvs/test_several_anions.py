"""Sums over several anions, each with parameters of its own; and the sums of the atoms themselves."""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings, strategies as st
from toys import images_within, points_of

from amorph.analysis.bvs import bond_valence_sum_at, bond_valence_sums, bvs_map, bvs_map_of, bvs_maps, window_field
from amorph.export.fields import write_field
from amorph.reading import read_field
from amorph.tables import bond_valence

TOLERANCE = 1e-12
"""As for one anion: some 50 positive terms, each good to 1e-14."""
ANTIPEROVSKITE = crystal(
    ["Li", "O", "Cl"], [(0.5, 0, 0), (0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=221, cellpar=[3.91] * 3 + [90] * 3
)


def brute_force(atoms, points, cutoff, ion):
    """Sums at points over every image of every anion, with the table's r0 and b."""
    inside, shifts = images_within(atoms, cutoff)
    sums = np.zeros(len(points))
    for symbol, position in zip(atoms.get_chemical_symbols(), inside, strict=True):
        if symbol in {"O", "F", "Cl", "S", "N"}:
            values = bond_valence(ion, symbol)
            for shift in shifts:
                d = np.linalg.norm(points - (position + shift), axis=1)
                sums += np.where(d <= cutoff, np.exp((values.r0 - d) / values.b), 0.0)
    return sums


def mixed_cell(rng):
    while True:
        cell = rng.normal(0.0, 3.0, (3, 3)) + np.diag(rng.uniform(0.0, 4.0, 3))
        if abs(np.linalg.det(cell)) < 40.0:
            continue
        symbols = ["O", "Cl", *rng.choice(["Mg", "F", "O", "Cl"], rng.integers(0, 3))]
        atoms = Atoms(symbols, positions=rng.normal(0.0, 10.0, (len(symbols), 3)), cell=cell, pbc=True)
        # Cl bonded to O would be a chlorate
        if atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)].min() > 2.3:
            return atoms


# closed form


def test_lithium_in_an_antiperovskite_bonds_both_anions():
    # two O at a/2 and four Cl at a/√2, and what lies beyond
    first_shells = 2 * math.exp((1.466 - 3.91 / 2) / 0.37) + 4 * math.exp((1.91 - 3.91 / math.sqrt(2)) / 0.37)
    site = [3.91 / 2, 0, 0]
    assert bond_valence_sum_at(site, ANTIPEROVSKITE, "Li+", cutoff=2.9) == pytest.approx(first_shells, rel=1e-12)
    assert bond_valence_sum_at(site, ANTIPEROVSKITE, "Li+", anion="O", cutoff=2.9).round(2) == 0.53
    assert bond_valence_sum_at(site, ANTIPEROVSKITE, "Li+", cutoff=2.9).round(2) == 0.93
    given = bond_valence_sum_at(site, ANTIPEROVSKITE, "Li+", r0={"O": 1.466, "Cl": 1.91}, b=0.37)
    np.testing.assert_array_equal(given, bond_valence_sum_at(site, ANTIPEROVSKITE, "Li+"))


# sum rules


def test_the_sum_is_that_of_the_anions_alone():
    made = bvs_map(ANTIPEROVSKITE, "Li+", grid=(9, 10, 11), exclusion_radius=0.0)
    alone = [
        bvs_map(ANTIPEROVSKITE, "Li+", grid=(9, 10, 11), exclusion_radius=0.0, anion=anion).field.values
        for anion in ("O", "Cl-")
    ]
    np.testing.assert_allclose(made.field.values, sum(alone), rtol=1e-13)
    assert (made.r0, made.b, made.anion) == (None, None, "O,Cl")
    assert [(each.anion, each.r0, each.set) for each in made.parameters] == [
        ("O2-", 1.466, "brown_altermatt1985"),
        ("Cl-", 1.91, "brese_okeeffe1991"),
    ]
    assert made.window == 0.2  # a fifth of the valence


def test_valences_of_cations_and_anions_add_up_to_the_same():
    made = bond_valence_sums(ANTIPEROVSKITE)
    symbols = np.array(ANTIPEROVSKITE.get_chemical_symbols())
    cations = symbols == "Li"
    assert made.sums_vu[cations].sum() == pytest.approx(made.sums_vu[~cations].sum(), rel=1e-12)
    [at_site] = bond_valence_sum_at([3.91 / 2, 0, 0], ANTIPEROVSKITE, "Li+")
    np.testing.assert_allclose(made.sums_vu[cations], at_site, rtol=1e-12)
    off = made.sums_vu - np.where(cations, 1.0, np.where(symbols == "O", 2.0, 1.0))
    assert made.global_instability_index == pytest.approx(math.sqrt((off**2).mean()), rel=1e-12)
    [lithium, *_] = made.table()
    assert (lithium["species"], lithium["count"]) == ("Li+", 3)
    assert lithium["mean_vu"] == pytest.approx(0.937, abs=5e-4)
    # MgO, to the sum that the map has at its site
    magnesia = bond_valence_sums(bulk("MgO", "rocksalt", a=4.212))
    assert magnesia.sums_vu.round(3).tolist() == [2.013, 2.013]


def test_a_mean_state_has_the_mean_of_two_sums():
    spinel = bulk("MgO", "rocksalt", a=4.2)
    spinel.symbols[0] = "Mn"
    sums = {q: bond_valence_sums(spinel, oxidation_states={"Mn": q, "O": -2}).sums_vu[0] for q in (3, 3.25, 4)}
    assert sums[3.25] == pytest.approx(0.75 * sums[3] + 0.25 * sums[4], rel=1e-12)


def test_a_mean_state_is_made_of_states_that_there_are():
    """Minium's Pb 8/3+ is two Pb2+ and one Pb4+; there is no Pb3+."""
    lead = bulk("PbO", "rocksalt", a=4.8)
    sums = {q: bond_valence_sums(lead, oxidation_states={"Pb": q, "O": -2}) for q in (2, 8 / 3, 4)}
    mean = (2 * sums[2].sums_vu[0] + sums[4].sums_vu[0]) / 3
    assert sums[8 / 3].sums_vu[0] == pytest.approx(mean, rel=1e-12)
    assert not any(each.estimated for each in sums[8 / 3].parameters)


# invariance


def test_a_map_of_several_anions_is_made_again_from_its_file(tmp_path):
    made = bvs_map(ANTIPEROVSKITE, "Li+", grid=(8, 8, 8), exclusion_radius=1.0)
    write_field(tmp_path / "map.npz", made.field, made.atoms)
    field, atoms = read_field(tmp_path / "map.npz")
    again = bvs_map_of(field, atoms)
    assert again.table() == made.table()
    assert again.field.parameters == made.field.parameters
    np.testing.assert_array_equal(window_field(again).values, window_field(made).values)
    np.testing.assert_array_equal(bvs_map(atoms, **field.parameters).field.values, made.field.values)


def test_several_ions_share_a_pass_with_several_anions():
    together = bvs_maps(ANTIPEROVSKITE, ["Li+", "Mg2+"], grid=(8, 9, 10), exclusion_radius=1.0)
    for made in together:
        alone = bvs_map(ANTIPEROVSKITE, made.ion, grid=(8, 9, 10), exclusion_radius=1.0)
        np.testing.assert_array_equal(made.field.values, alone.field.values)
        assert made.figures() == alone.figures()
    assert [made.window for made in together] == [0.2, 0.4]


# independent reference


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_sums_over_several_anions_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    atoms, cutoff = mixed_cell(rng), rng.uniform(1.0, 7.0)
    made = bvs_map(atoms, "Mg2+", grid=tuple(rng.integers(1, 10, 3).tolist()), cutoff=cutoff, exclusion_radius=0.0)
    points = points_of(made.field)
    expected = brute_force(atoms, points, cutoff, "Mg2+")
    scale = np.maximum(1.0, expected)
    assert (np.abs(made.field.values.ravel() - expected) / scale).max() < TOLERANCE
    assert (np.abs(bond_valence_sum_at(points, atoms, "Mg2+", cutoff=cutoff) - expected) / scale).max() < TOLERANCE


# what was assumed


def test_an_anion_is_no_cation():
    with pytest.raises(ValueError, match="is an anion"):
        bvs_map(bulk("MgO", "rocksalt", a=4.2), "F-", grid=(4, 4, 4))


def test_what_counts_as_an_anion_is_said():
    pyrite = crystal(["Fe", "S"], [(0, 0, 0), (0.385, 0.385, 0.385)], spacegroup=205, cellpar=[5.418] * 3 + [90] * 3)
    made = bvs_map(pyrite, "Li+", grid=(4, 4, 4))
    assert made.anions == "S, as of elements and bonds; 8 S bonded to each other taken as S-"
    pyrite.set_array("oxidation_states", np.array([2.0] * 4 + [-1.0] * 8))
    again = bvs_map(pyrite, "Li+", grid=(4, 4, 4))
    assert again.anions == "S, as of the oxidation states; S- with the parameters of S2-"
    np.testing.assert_array_equal(again.field.values, made.field.values)
    assert bond_valence_sums(pyrite).table()[1]["species"] == "S-"


def test_estimates_are_labelled_and_refused():
    hydride = crystal(["Li", "H"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[4.08] * 3 + [90] * 3)
    [found] = bvs_map(hydride, "Li+", grid=(4, 4, 4)).parameters
    assert (found.anion, found.estimated, found.set) == ("H-", True, "okeeffe_brese1991")
    with pytest.raises(ValueError, match=r"^no bond-valence parameters for Li\+–H- in the default sets"):
        bvs_map(hydride, "Li+", grid=(4, 4, 4), estimates=False)


def test_one_length_is_not_for_two_anions():
    with pytest.raises(ValueError, match=r"^r0 = 1.466 Å belongs to one anion, and O, Cl are summed; give"):
        bvs_map(ANTIPEROVSKITE, "Li+", grid=(2, 2, 2), r0=1.466)
    with pytest.raises(ValueError, match=r"^r0 = O=1.466 Å has none for Cl; the anions are O, Cl"):
        bvs_map(ANTIPEROVSKITE, "Li+", grid=(2, 2, 2), r0={"O": 1.466})
