import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from hypothesis import given, settings, strategies as st
from toys import images_within, points_of

from amorph.analysis.bvs import bvs_map, bvs_maps, window_field
from amorph.analysis.bvs.maps import bond_valence_sum_at
from amorph.analysis.grids import largest_square_within, smallest_square_reaching
from amorph.analysis.grids._exponential import _exp2_short, _exp2_single
from amorph.structure import to_pymatgen

R0, B = 1.693, 0.37

# Sums of some 50 positive terms whose exponents are rounded once: |(r0 − d)/b| ≤ 20 times 2e-16, and the distances
# themselves to 1e-14 Å over b.
TOLERANCE = 1e-12


def random_cell(rng: np.random.Generator) -> Atoms:
    """A small triclinic cell of either hand, atoms anywhere, at least one O."""
    while True:
        cell = rng.normal(0.0, 2.5, (3, 3)) + np.diag(rng.uniform(0.0, 4.0, 3))
        if abs(np.linalg.det(cell)) < 8.0:
            continue
        n = int(rng.integers(1, 5))
        symbols = ["O", *rng.choice(["Mg", "O", "Ti"], n - 1)]
        atoms = Atoms(symbols, positions=rng.normal(0.0, 10.0, (n, 3)), cell=cell, pbc=True)
        distances = atoms.get_all_distances(mic=True)[np.triu_indices(n, 1)]
        if not (distances < 0.6).any() and min(atoms.cell.lengths()) > 0.6:
            return atoms


def brute_force(atoms, points, cutoff, *, r0=R0, b=B):
    """Sums at points, distances to the nearest O and the nearest other atom, over images to the cutoff or 4 Å."""
    inside, shifts = images_within(atoms, max(cutoff, 4.0))
    sums = np.zeros(len(points))
    nearest = {True: np.full(len(points), np.inf), False: np.full(len(points), np.inf)}
    for shift in shifts:
        for symbol, position in zip(atoms.symbols, inside, strict=True):
            d = np.linalg.norm(points - (position + shift), axis=1)
            is_anion = symbol == "O"
            nearest[is_anion] = np.minimum(nearest[is_anion], d)
            if is_anion:
                sums += np.where(d <= cutoff, np.exp((r0 - d) / b), 0.0)
    return sums, nearest[True], nearest[False]


def relative(found, expected):
    return np.abs(found - expected) / np.maximum(1.0, np.abs(expected))


@pytest.fixture(scope="module")
def glass():
    """Mg9Ti3Mo6O27 on shaken rocksalt sites of a skewed cell."""
    rng = np.random.default_rng(7)
    # float64 holds 4.375, so that lattice vectors added many times stay exact
    atoms = bulk("MgO", "rocksalt", a=4.375).repeat(3)
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Mg"))
    atoms.symbols[cations[9:12]] = "Ti"
    atoms.symbols[cations[12:18]] = "Mo"
    del atoms[cations[18:]]
    atoms.positions += rng.normal(0.0, 0.25, atoms.positions.shape)
    return atoms


# closed form


def test_two_oxygens_at_r0_make_two():
    atoms = Atoms("O2", positions=[[-1.693, 0, 0], [1.693, 0, 0]], cell=[20, 20, 20], pbc=True)
    made = bvs_map(atoms, "Mg2+", grid=(1, 1, 1), exclusion_radius=1.69)
    np.testing.assert_allclose(made.field.values, [[[2.0]]], rtol=1e-14)
    assert made.target_valence == 2.0
    assert made.window_fraction_of_cell == 1.0
    np.testing.assert_allclose(bond_valence_sum_at([0, 0, 0], atoms, "Mg2+"), [2.0], rtol=1e-14)


@pytest.mark.parametrize(("cutoff", "shells"), [(2.2, {1: 6}), (6.0, {1: 6, 3: 8, 5: 24})])
def test_magnesium_in_mgo_sums_its_shells(cutoff, shells):
    # O around Mg in rocksalt: √n·a/2 away
    expected = sum(count * math.exp((R0 - 2.106 * math.sqrt(n)) / B) for n, count in shells.items())
    assert round(expected, 3) == {2.2: 1.965, 6.0: 2.013}[cutoff]
    for cubic in (False, True):
        crystal = bulk("MgO", "rocksalt", a=4.212, cubic=cubic)
        made = bvs_map(crystal, "Mg2+", grid=(3, 4, 5), cutoff=cutoff, blocking="framework")
        np.testing.assert_allclose(made.field.values[0, 0, 0], expected, rtol=TOLERANCE)
        np.testing.assert_allclose(
            bond_valence_sum_at(crystal.positions[0], crystal, "Mg2+", cutoff=cutoff), [expected], rtol=TOLERANCE
        )


def test_exponential_is_good_to_2e_14_of_itself():
    x = np.concatenate([np.linspace(-990.0, 990.0, 20_001), np.linspace(-1.0, 1.0, 20_001), [-0.5, 0.5, 0.0]])
    expected = np.exp2(x.astype(np.longdouble))
    # what the polynomial leaves out, 2.1e-14, and one rounding of the fraction's sum and product each
    assert float(np.max(np.abs([_exp2_short(each) for each in x] - expected) / expected)) < 2.2e-14


def test_one_sphere_excludes_its_volume():
    made = bvs_map(Atoms("O", cell=[8, 8, 8], pbc=True, positions=[[3.3, 7.9, 0.2]]), "Mg2+", grid=(160, 160, 160))
    # a ball on a grid of spacing h has its volume to a few times (h/r)^(3/2), 0.5 % here
    assert made.excluded_fraction == pytest.approx(4 / 3 * math.pi * 1.7**3 / 512, rel=2e-3)


def test_exponential_of_single_precision_is_good_to_its_last_bits():
    x = np.linspace(-120.0, 120.0, 20_001).astype(np.float32)
    found = np.array([_exp2_single(each) for each in x])
    # two units of 6e-8
    assert float(np.max(np.abs(found / np.exp2(x.astype(np.float64)) - 1.0))) < 1.5e-7


# sum rules


def test_shares_add_up_and_count_the_points(glass):
    made = bvs_map(glass, "Mg2+", spacing=0.2, exclusion_radius=1.5)
    values, n = made.field.values, made.field.values.size
    shares = {
        "excluded": np.isnan(values).sum() / n,
        "under": (values - 2.0 <= -0.4).sum() / n,
        "window": (np.abs(values - 2.0) < 0.4).sum() / n,
        "over": (values - 2.0 >= 0.4).sum() / n,
    }
    assert all(shares.values())
    assert made.excluded_fraction == shares["excluded"]
    assert made.under_bonded_fraction_of_cell == shares["under"]
    assert made.window_fraction_of_cell == shares["window"]
    assert made.over_bonded_fraction_of_cell == shares["over"]
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-15)
    accessible = 1.0 - shares["excluded"]
    assert made.under_bonded_fraction_of_accessible == pytest.approx(shares["under"] / accessible, rel=1e-14)
    assert made.window_fraction_of_accessible == pytest.approx(shares["window"] / accessible, rel=1e-14)
    assert made.over_bonded_fraction_of_accessible == pytest.approx(shares["over"] / accessible, rel=1e-14)
    np.testing.assert_array_equal(made.mismatch.values, np.abs(values - 2.0))
    np.testing.assert_array_equal(made.signed_mismatch.values, values - 2.0)
    assert (made.mismatch.unit, made.field.unit) == ("v.u.", "v.u.")
    assert made.mismatch.quantity == "bond valence mismatch of Mg2+"
    assert made.signed_mismatch.quantity == "signed bond valence mismatch of Mg2+"

    rows = made.table()
    assert [row["region"] for row in rows] == [
        "excluded",
        "under-bonded, v ≤ 1.6",
        "window, 1.6 < v < 2.4",
        "over-bonded, v ≥ 2.4",
    ]
    assert [row["fraction_of_cell"] for row in rows] == list(shares.values())
    assert sum(row["volume_A3"] for row in rows) == pytest.approx(glass.cell.volume, rel=1e-14)
    assert sum(row["fraction_of_accessible"] for row in rows[1:]) == pytest.approx(1.0, rel=1e-14)


def test_where_all_is_excluded_no_share_is_accessible(glass):
    for radius in (10.0, 1e6):
        made = bvs_map(glass, "Mg2+", grid=(9, 10, 70), exclusion_radius=radius)
        assert made.excluded_fraction == 1.0
        assert np.isnan(made.field.values).all()
        assert made.window_fraction_of_accessible == made.over_bonded_fraction_of_accessible == 0.0
    nothing = bvs_map(glass, "Mg2+", grid=(9, 10, 70), exclusion_radius=0.0)
    assert nothing.excluded_fraction == 0.0
    assert np.isfinite(nothing.field.values).all()


# invariance


@pytest.mark.parametrize("matrix", [[[1, 0, 0], [2, 1, 0], [-1, 3, 1]], [[1, 0, 0], [50, 1, 0], [-1, 40, -1]]])
def test_another_choice_of_lattice_vectors_changes_nothing(glass, matrix):
    # the same lattice, skewed far: its points (i, j, k)/n are the same set
    skewed = make_supercell(glass, matrix, wrap=False)
    made = bvs_map(glass, "Mg2+", grid=(12, 12, 12)).field.values
    again = bvs_map(skewed, "Mg2+", grid=(12, 12, 12)).field.values
    i, j, k = np.moveaxis(np.stack(np.indices((12, 12, 12)), axis=-1) @ np.array(matrix) % 12, -1, 0)
    np.testing.assert_allclose(again, made[i, j, k], rtol=TOLERANCE)


def test_threads_do_not_change_a_bit(glass):
    one = bvs_map(glass, "Mg2+", grid=(60, 50, 70), threads=1)
    for threads in (2, 3, None):
        several = bvs_map(glass, "Mg2+", grid=(60, 50, 70), threads=threads)
        np.testing.assert_array_equal(several.field.values, one.field.values)
        assert several.table() == one.table()
    surface = window_field(one, threads=1).values
    np.testing.assert_array_equal(window_field(one, threads=3).values, surface)


@pytest.mark.parametrize("blocking", ["all", "framework"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_several_ions_at_once_are_each_alone_to_the_last_bit(glass, blocking, precision):
    ions = ("Mg2+", "Ca2+", "Li+", "Mo4+")
    arguments = {"grid": (20, 33, 70), "exclusion_radius": 1.5, "blocking": blocking, "precision": precision}
    together = bvs_maps(glass, ions, **arguments, threads=2)
    assert [made.ion for made in together] == list(ions)
    for made in together:
        alone = bvs_map(glass, made.ion, **arguments)
        np.testing.assert_array_equal(made.field.values, alone.field.values)
        assert made.table() == alone.table()
        assert made.field.parameters == alone.field.parameters


def test_the_parameters_of_a_field_make_it_again(glass):
    made = bvs_map(glass, "Mg+2", spacing=0.3, cutoff=5.0, blocking="framework", anion="O2-", window=0.3)
    parameters = json.loads(json.dumps(made.field.parameters))
    assert parameters["ion"] == "Mg2+"
    assert (parameters["r0"], parameters["b"], parameters["anion"]) == (1.693, 0.37, "O")
    again = bvs_map(glass, **parameters)
    np.testing.assert_array_equal(again.field.values, made.field.values)
    assert again.table() == made.table()
    assert again.field.parameters == made.field.parameters


def test_a_tenth_of_an_angstrom_is_the_spacing_where_nothing_else_is_asked_for():
    assert bvs_map(bulk("MgO", "rocksalt", a=4.212, cubic=True), "Mg2+").grid == (43, 43, 43)


def test_the_source_says_where_a_value_was_read():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    made = {ion: bvs_map(crystal, ion, grid=(2, 2, 2)).source for ion in ("Mg2+", "Mo4+", "Mo3+")}
    assert made["Mg2+"] == "Brown & Altermatt (1985) doi:10.1107/S0108768185002063"
    assert made["Mo4+"].endswith("as bvparm2020 lists it")
    assert made["Mo3+"].endswith("for any oxidation state")


def test_inputs_are_not_changed_and_may_be_pymatgen(glass):
    before = glass.copy()
    made = bvs_map(glass, "Mg2+", grid=(8, 8, 8))
    assert glass == before
    again = bvs_map(to_pymatgen(glass), "Mg2+", grid=(8, 8, 8))
    np.testing.assert_allclose(again.field.values, made.field.values, rtol=TOLERANCE)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.5]))
def test_moved_turned_permuted_and_repeated_cells_have_the_same_map(seed, radius):
    rng = np.random.default_rng(seed)
    atoms = random_cell(rng)
    n = rng.integers(1, 10, 3)
    arguments = {"cutoff": 4.0, "exclusion_radius": radius}
    made = bvs_map(atoms, "Mg2+", grid=tuple(n.tolist()), **arguments).field.values

    def same(other, expected, grid):
        found = bvs_map(other, "Mg2+", grid=tuple(np.asarray(grid).tolist()), **arguments).field.values
        # a random tie is as good as impossible, an excluded point changes sides only there
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        assert np.nanmax(relative(found, expected), initial=0.0) < 20 * TOLERANCE

    step = rng.integers(0, 10, 3)
    moved = atoms[rng.permutation(len(atoms))]
    moved.positions += (step / n) @ atoms.cell.array
    same(moved, np.roll(made, step, axis=(0, 1, 2)), n)
    turned = atoms.copy()
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned.set_cell(atoms.cell.array @ turn)
    turned.positions = atoms.positions @ turn
    same(turned, made, n)
    same(atoms.repeat(2), np.tile(made, (2, 2, 2)), 2 * n)


# what counts as an anion


def test_only_negative_oxidation_states_are_anions():
    """A thiosulfate: its outer S is an anion, its inner S is not."""
    atoms = Atoms("S2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]], cell=[9.0, 9.0, 9.0], pbc=True)
    at = {"points": [0.0, 0.0, 2.5], "ion": "Mg2+", "anion": "S", "cutoff": 3.0, "r0": 2.2}
    both = bond_valence_sum_at(atoms=atoms, **at)
    np.testing.assert_allclose(both, 2.0 * math.exp((2.2 - 2.5) / 0.37), rtol=1e-14)
    atoms.arrays["oxidation_states"] = np.array([-2, 6])
    np.testing.assert_allclose(bond_valence_sum_at(atoms=atoms, **at), both / 2.0, rtol=1e-14)
    # the anion's own exclusion radius holds for anions only
    made = bvs_map(atoms, "Mg2+", anion="S", r0=2.2, grid=(9, 9, 9), exclusion_radius=0.5, anion_exclusion_radius=1.5)
    assert np.isnan(made.field.values[0, 0, 1])
    assert np.isfinite(made.field.values[0, 0, 6])
    atoms.arrays["oxidation_states"] = np.array([4, 6])
    with pytest.raises(ValueError, match="no S in S2 has a negative oxidation state"):
        bvs_map(atoms, "Mg2+", anion="S", r0=2.2, grid=(2, 2, 2))


# what blocks


def test_the_framework_blocks_without_the_mobile_ions(glass):
    every = bvs_map(glass, "Mg2+", grid=(30, 30, 30))
    framework = bvs_map(glass, "Mg2+", grid=(30, 30, 30), blocking="framework")
    without = bvs_map(glass[~(glass.symbols == "Mg")], "Mg2+", grid=(30, 30, 30))
    np.testing.assert_array_equal(framework.field.values, without.field.values)
    assert framework.excluded_fraction < every.excluded_fraction
    assert len(framework.atoms) == len(glass)
    kept = ~np.isnan(every.field.values)
    np.testing.assert_array_equal(framework.field.values[kept], every.field.values[kept])


def test_anions_may_exclude_at_a_radius_of_their_own(glass):
    made = bvs_map(glass, "Mg2+", grid=(20, 20, 20), exclusion_radius=1.2, anion_exclusion_radius=1.8)
    sums, anion, cation = brute_force(glass, points_of(made.field), 6.0)
    excluded = (anion < 1.8) | (cation < 1.2)
    np.testing.assert_array_equal(np.isnan(made.field.values.ravel()), excluded)
    surface = window_field(made)
    expected = np.maximum(np.maximum(np.abs(sums - 2.0) - 0.4, 1.8 - anion), 1.2 - cation)
    assert relative(surface.values.ravel(), expected).max() < TOLERANCE


def test_without_an_exclusion_radius_the_surface_passes_over_atoms():
    atoms = Atoms("OMgO", positions=[[-1.693, 0, 0], [0, 0, 0], [1.693, 0, 0]], cell=[20, 20, 20], pbc=True)
    open_map = bvs_map(atoms, "Mg2+", grid=(1, 1, 1), exclusion_radius=0.0)
    np.testing.assert_allclose(window_field(open_map).values, [[[-0.4]]], rtol=1e-13)
    np.testing.assert_allclose(window_field(open_map, window=0.1).values, [[[-0.1]]], rtol=1e-13)
    closed_map = bvs_map(atoms, "Mg2+", grid=(1, 1, 1))
    np.testing.assert_allclose(window_field(closed_map).values, [[[1.7]]], rtol=1e-15)
    free_map = bvs_map(atoms, "Mg2+", grid=(1, 1, 1), exclusion_radius=1.5, blocking="framework")
    np.testing.assert_allclose(window_field(free_map).values, [[[1.5 - 1.693]]], rtol=1e-13)


# independent reference


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_maps_agree_with_brute_force_over_images(seed):
    rng = np.random.default_rng(seed)
    atoms = random_cell(rng)
    grid = tuple(rng.integers(1, 14, 3).tolist())
    cutoff, radius = rng.uniform(0.5, 7.0), rng.choice([0.0, 1.0, 1.7, 3.0])
    made = bvs_map(atoms, "Mg2+", grid=grid, cutoff=cutoff, exclusion_radius=radius)
    points = points_of(made.field)
    sums, anion, cation = brute_force(atoms, points, cutoff)
    nearest = np.minimum(anion, cation)
    excluded = nearest < radius
    values = made.field.values.ravel()
    np.testing.assert_array_equal(np.isnan(values), excluded)
    assert relative(values, sums)[~excluded].max(initial=0.0) < TOLERANCE
    assert relative(bond_valence_sum_at(points, atoms, "Mg2+", cutoff=cutoff), sums).max() < TOLERANCE

    # float32: the same points excluded, the same anions counted; coordinates within a block good to 1e-7 of its size
    single = bvs_map(atoms, "Mg2+", grid=grid, cutoff=cutoff, exclusion_radius=radius, precision="float32")
    assert single.field.values.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(single.field.values.ravel()), excluded)
    assert relative(single.field.values.ravel(), sums)[~excluded].max(initial=0.0) < 4e-6

    surface = window_field(made).values.ravel()
    expected = np.abs(sums - 2.0) - 0.4
    if radius > 0.0:
        expected = np.maximum(expected, radius - nearest)
    assert relative(surface, expected).max() < TOLERANCE
    assert np.mean(surface < 0.0) == pytest.approx(made.window_fraction_of_cell, abs=1e-12)


@pytest.mark.parametrize("grid", [(34, 9, 70), (1, 33, 64), (9, 200, 1)])
def test_long_grids_agree_with_brute_force(glass, grid):
    made = bvs_map(glass, "Li+", grid=grid, exclusion_radius=1.4)
    sums, anion, cation = brute_force(glass, points_of(made.field), 6.0, r0=1.466)
    excluded = np.minimum(anion, cation) < 1.4
    values = made.field.values.ravel()
    np.testing.assert_array_equal(np.isnan(values), excluded)
    assert relative(values, sums)[~excluded].max() < TOLERANCE
    assert made.target_valence == 1.0


def test_given_parameters_replace_the_table(glass, tmp_path):
    made = bvs_map(glass, "Ti3+", grid=(6, 6, 6), r0=1.791, b=0.4, exclusion_radius=0.0)
    sums, _, _ = brute_force(glass, points_of(made.field), 6.0, r0=1.791, b=0.4)
    assert relative(made.field.values.ravel(), sums).max() < TOLERANCE
    assert (made.r0, made.b, made.source, made.target_valence) == (1.791, 0.4, "given", 3.0)
    assert bvs_map(glass, "Ti3+", grid=(1, 1, 1), r0=1.791).b == 0.37

    path = tmp_path / "mine.cif"
    path.write_text(
        "data_mine\nloop_\n_valence_param_atom_1\n_valence_param_atom_1_valence\n_valence_param_atom_2\n"
        "_valence_param_atom_2_valence\n_valence_param_Ro\n_valence_param_B\n_valence_param_ref_id\n"
        "Ti 3 O -2 1.791 0.4 x\n"
    )
    read = bvs_map(glass, "Ti3+", grid=(6, 6, 6), exclusion_radius=0.0, parameters=path)
    np.testing.assert_array_equal(read.field.values, made.field.values)
    assert (read.source, read.parameters[0].set) == ("mine.cif ref. x", "mine.cif")


# ties


def test_a_point_at_the_very_radius_is_kept_and_one_at_the_very_cutoff_counts():
    # every length here is a multiple of 1/8, which float64 holds
    for cell in (np.diag([8.0, 8.0, 8.0]), np.array([[8.0, 0, 0], [4.0, 8.0, 0], [-4.0, 4.0, 8.0]])):
        atoms = Atoms("O", positions=[[0.5, 0.25, 7.75]], cell=cell, pbc=True)
        made = bvs_map(atoms, "Mg2+", grid=(64, 64, 64), exclusion_radius=1.75, cutoff=3.25)
        points = points_of(made.field)
        sums, nearest, _ = brute_force(atoms, points, 3.25)
        values = made.field.values.ravel()
        assert (nearest == 1.75).sum() >= 6
        np.testing.assert_array_equal(np.isnan(values), nearest < 1.75)
        assert (nearest == 3.25).sum() >= 6
        assert (values[nearest == 3.25] >= math.exp((R0 - 3.25) / B) * (1 - 1e-14)).all()
        kept = ~np.isnan(values)
        assert relative(values, sums)[kept].max() < TOLERANCE
        single = bvs_map(atoms, "Mg2+", grid=(64, 64, 64), exclusion_radius=1.75, cutoff=3.25, precision="float32")
        np.testing.assert_array_equal(np.isnan(single.field.values.ravel()), nearest < 1.75)
        np.testing.assert_array_equal(single.field.values.ravel()[kept] > 0.0, nearest[kept] <= 3.25)

        everywhere = bvs_map(atoms, "Mg2+", grid=(64, 64, 64), exclusion_radius=0.0, cutoff=3.25)
        np.testing.assert_array_equal(everywhere.field.values.ravel() > 0.0, nearest <= 3.25)

        closer = bvs_map(atoms, "Mg2+", grid=(64, 64, 64), exclusion_radius=math.nextafter(1.75, 2.0))
        np.testing.assert_array_equal(np.isnan(closer.field.values.ravel()), nearest <= 1.75)
        shorter = bvs_map(atoms, "Mg2+", grid=(64, 64, 64), cutoff=math.nextafter(3.25, 3.0)).field.values.ravel()
        assert (shorter[nearest == 3.25] == 0.0).all()


@given(st.floats(1e-6, 1e6))
def test_squares_decide_as_their_roots_do(distance):
    reaching = smallest_square_reaching(distance)
    assert math.sqrt(reaching) >= distance > math.sqrt(math.nextafter(reaching, 0.0))
    within = largest_square_within(distance)
    assert math.sqrt(within) <= distance < math.sqrt(math.nextafter(within, math.inf))


def test_the_edge_of_the_window_is_outside():
    # one bond of exactly 1 v.u.: r0 = d
    atoms = Atoms("O", positions=[[1.75, 0, 0]], cell=[8, 8, 8], pbc=True)
    arguments = {"grid": (1, 1, 1), "r0": 1.75, "cutoff": 2.0, "exclusion_radius": 0.0}
    assert bvs_map(atoms, "Mg2+", window=1.0, **arguments).under_bonded_fraction_of_cell == 1.0
    assert bvs_map(atoms, "Mg2+", window=1.0 + 1e-15, **arguments).window_fraction_of_cell == 1.0
    # two of them against a valence of 1
    atoms = Atoms("O2", positions=[[1.75, 0, 0], [-1.75, 0, 0]], cell=[8, 8, 8], pbc=True)
    assert bvs_map(atoms, "Li+", window=1.0, **arguments).over_bonded_fraction_of_cell == 1.0


# errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ion": "Mg"}, "cannot read 'Mg' as an ion"),
        ({"ion": "Fe4+", "estimates": False}, r"^no bond-valence parameters for Fe4\+–O2- .*, pass r0 and b, or point"),
        ({"ion": "Mg2+", "anion": "S"}, r"no S in .* for Mg2\+ to bond"),
        ({"ion": "Mg2+", "set": "chen2002"}, r"^no bond-valence parameters for Mg2\+–O2- in chen2002; brown_alter"),
        (
            {"ion": "Mg2+", "r0": {"O": 1.7, "S": 2.0}},
            "r0 = O=1.7 S=2 Å names S, which is no anion here",
        ),
        ({"ion": "Mg2+", "anion": "Mg"}, "are of one element"),
        ({"ion": "Mg2+", "r0": math.nan}, "r0 = nan Å must be a finite number"),
        ({"ion": "Mg2+", "b": 0.3}, "b = 0.3 Å without r0"),
        ({"ion": "Mg2+", "r0": 1.7, "b": 0.001}, "b = 0.001 Å is too small .* must be at least 0.0062 Å"),
        (
            {"ion": "Mg2+", "r0": 1.7, "b": 0.02, "precision": "float32"},
            "b = 0.02 Å is too small .* leaves float32; b must be at least 0.054 Å",
        ),
        ({"ion": "Mg2+", "r0": 1.7, "parameters": "x.cif"}, "r0 = 1.7 Å and the file x.cif are given"),
        ({"ion": "Mg2+", "cutoff": -6.0}, "cutoff = -6.0 Å must be greater than 0"),
        ({"ion": "Mg2+", "cutoff": 1e5}, r"cutoff = 100000 Å reaches .* O from every point, more than 1e\+06"),
        ({"ion": "Mg2+", "blocking": "none"}, "blocking = 'none' must be 'all' or 'framework'"),
        ({"ion": "Mg2+", "grid": (0, 4, 4)}, r"grid\[0\] = 0 must be greater than 0"),
        (
            {"ion": "Mg2+", "grid": (90_000, 90_000, 90_000)},
            r"90000 × 90000 × 90000 points needs 5.8 PB of memory, and",
        ),
        ({"ion": "Mg2+", "grid": (10, 10, 10), "spacing": 5.0}, "^grid = 10 10 10 and spacing = 5 Å are given; give"),
        ({"ion": "Mg2+", "spacing": 1e-4}, "a spacing of 0.0001 Å, which makes .* points, needs .* give a larger"),
        ({"ion": "Mg2+", "spacing": 1e-300}, "a spacing of 1e-300 Å makes more than 1e9 points along an edge"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match=message) as caught:
        bvs_map(crystal, **{"grid": (2, 2, 2), **arguments} if "spacing" not in arguments else arguments)
    assert "\n" not in str(caught.value)


def test_a_grid_beyond_memory_is_refused_with_the_numbers(monkeypatch):
    crystal = bulk("MgO", "rocksalt", a=4.212)
    made = bvs_map(crystal, "Mg2+", grid=(60, 60, 60))
    monkeypatch.setattr("amorph.machine.memory.available_memory", lambda: 1_500_000)
    with pytest.raises(ValueError, match=r"^a grid of 60 × 60 × 60 points needs 1.7 MB of memory, and 1.5 MB are ava"):
        bvs_map(crystal, "Mg2+", grid=(60, 60, 60))
    bvs_map(crystal, "Mg2+", grid=(50, 50, 50))
    bvs_map(crystal, "Mg2+", grid=(60, 60, 60), precision="float32")
    with pytest.raises(ValueError, match=r"^a grid of 40 × 40 × 40 points needs 1.5 MB of memory"):
        bvs_maps(crystal, ["Mg2+", "Li+", "Ca2+"], grid=(40, 40, 40))
    with pytest.raises(ValueError, match=r"needs 1.7 MB of memory"):
        window_field(made)
    with pytest.raises(ValueError, match=r"^a mismatch of 60 × 60 × 60 points beside its map needs 1.7 MB of memory"):
        _ = made.mismatch


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_a_map_takes_little_memory_beyond_its_own_array(glass):
    def status(name):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name + ":")))

    bvs_map(glass, "Mg2+", grid=(50, 50, 50))  # loads the kernels
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = status("VmRSS")
    made = bvs_map(glass, "Mg2+", grid=(160, 160, 160))
    assert made.field.values.nbytes == 8 * 160**3
    # a copy would take 33 MB, a second float32 array half of it
    assert status("VmHWM") - before < made.field.values.nbytes + 12_000_000


LARGE = """
from pathlib import Path

import numpy as np
from ase.build import bulk
from amorph.analysis.bvs import bvs_map

atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (24, 24, 22)
atoms.positions += np.random.default_rng(0).uniform(-0.4, 0.4, atoms.positions.shape)
made = bvs_map(atoms, "Mg2+", grid=(500, 500, 500))
status = Path("/proc/self/status").read_text(encoding="ascii")  # ru_maxrss begins with what its parent held
print(len(atoms), made.window_fraction_of_cell, 1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""


@pytest.mark.slow
def test_half_a_thousand_points_cubed_over_a_hundred_thousand_atoms_take_less_than_2_gb():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    atoms, window, peak = done.stdout.split()
    assert int(atoms) == 101_376
    assert 0.0 < float(window) < 1.0
    assert int(peak) < 2e9  # of which the map itself takes 1e9


def test_ions_are_named_once_each():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match=r"^ions = Mg2\+, Mg2\+; give at least one, and each once"):
        bvs_maps(crystal, ["Mg2+", "Mg+2"], grid=(2, 2, 2))
    with pytest.raises(ValueError, match=r"^ions = none; give at least one"):
        bvs_maps(crystal, [], grid=(2, 2, 2))
    with pytest.raises(ValueError, match=r"no bond-valence parameters for Fe4\+–O"):
        bvs_maps(crystal, ["Mg2+", "Fe4+"], grid=(2, 2, 2), estimates=False)


def test_bad_structures_and_points_are_refused():
    crystal = bulk("MgO", "rocksalt", a=4.212)
    with pytest.raises(ValueError, match=r"no anion in Al, .* for Mg2\+ to bond"):
        bvs_map(bulk("Al"), "Mg2+")
    broken = crystal.copy()
    broken.positions[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"the position of atom 1 \(O\) is not finite"):
        bvs_map(broken, "Mg2+")
    with pytest.raises(ValueError, match="point 1 is not finite"):
        bond_valence_sum_at([[0, 0, 0], [0, np.inf, 0]], crystal, "Mg2+")
    with pytest.raises(ValueError, match=r"points of the shape \(4,\); give \(n, 3\)"):
        bond_valence_sum_at([0, 0, 0, 0], crystal, "Mg2+")
    with pytest.raises(ValueError, match=r"window = -1.0 v\.u\. must be greater than 0"):
        window_field(bvs_map(crystal, "Mg2+", grid=(2, 2, 2)), window=-1.0)
