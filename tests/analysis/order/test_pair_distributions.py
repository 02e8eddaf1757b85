import itertools

import numpy as np
import pytest
from analysis.order.crystals import corundum, mgo, quartz, rutile
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings, strategies as st

from amorph.analysis.order import pair_distributions
from amorph.structure import to_pymatgen


def counts_by_force(atoms: Atoms, species: list[str], width: float, bins: int) -> np.ndarray:
    """Ordered pairs by distance, every image tried: (species, species, bins)."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    fractional = atoms.get_scaled_positions(wrap=True)
    kinds = np.array([species.index(symbol) for symbol in atoms.symbols])
    counts = np.zeros((len(species), len(species), bins), int)
    for shift in itertools.product(*(range(-n, n + 1) for n in np.ceil(width * bins / heights).astype(int) + 1)):
        offsets = (fractional - fractional[:, None] + np.array(shift)) @ atoms.cell.array
        places = np.floor(np.linalg.norm(offsets, axis=2) / width + 1e-9).astype(int)
        inside = places < bins
        if not any(shift):
            np.fill_diagonal(inside, False)
        i, j = np.nonzero(inside)
        np.add.at(counts, (kinds[i], kinds[j], places[i, j]), 1)
    return counts


def random_cell(seed: int, n: int, size: float = 6.0) -> Atoms:
    """A skewed cell of points of two elements, some outside of it, none closer than 0.6 Å."""
    rng = np.random.default_rng(seed)
    cell = np.diag([size, 0.8 * size, 1.1 * size]) + rng.normal(0.0, 0.3 * size, (3, 3))
    while abs(np.linalg.det(cell)) < 0.4 * size**3:
        cell += rng.normal(0.0, 0.3 * size, (3, 3))
    symbols = ["Si", "O", *rng.choice(["Si", "O"], max(n - 2, 0)).tolist()]
    points: list[np.ndarray] = []
    while len(points) < len(symbols):
        trial = Atoms(f"H{len(points) + 1}", scaled_positions=[*points, 4 * rng.random(3) - 2], cell=cell, pbc=True)
        shifts = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ cell
        offsets = trial.get_scaled_positions(wrap=True) @ cell
        near = np.linalg.norm(offsets[:-1, None] - offsets[-1] + shifts, axis=2)
        if near.min(initial=np.inf) > 0.6:
            points.append(trial.get_scaled_positions(wrap=False)[-1])
    return Atoms(symbols, scaled_positions=points, cell=cell, pbc=True)


def counts_of(atoms: Atoms, made) -> dict[str, np.ndarray]:
    numbers = {symbol: np.sum(atoms.symbols == symbol) for symbol in set(atoms.symbols)}
    return {
        pair: np.diff(running, prepend=0.0) * numbers[pair.split("-")[0]]
        for pair, running in made.running_numbers.items()
    }


# closed form


def test_shells_of_rocksalt_in_a_cell_of_two_atoms():
    made = pair_distributions(mgo(), r_max=12.0)
    upper = made.r + 0.5 * made.bin_width_A
    # shells of the simple cubic lattice of a/2: 6, 12, 8, 6, 24, 24, ... at √1, √2, ... times a/2
    lattice = np.array(list(itertools.product(range(-6, 7), repeat=3)))[:, :]
    distances = np.linalg.norm(lattice, axis=1) * 2.106
    odd = lattice.sum(axis=1) % 2 == 1
    for pair, chosen in (
        ("Mg-O", odd),
        ("O-Mg", odd),
        ("Mg-Mg", ~odd & (distances > 0)),
        ("O-O", ~odd & (distances > 0)),
    ):
        # an edge that a distance lies on belongs to the bin above
        expected = [np.sum(distances[chosen] < r - 1e-9) for r in upper]
        np.testing.assert_array_equal(made.running_numbers[pair], expected)


def test_ideal_gas_is_one_within_its_error():
    # to the edge of the cell, twice its half; within 0.5 Å of each other two atoms would be no structure
    rng = np.random.default_rng(0)
    gases = []
    while len(gases) < 24:
        atoms = Atoms("Ar60Kr40", scaled_positions=rng.random((100, 3)), cell=np.diag([26.0, 24.0, 28.0]), pbc=True)
        if atoms.get_all_distances(mic=True)[np.triu_indices(100, 1)].min() > 0.5:
            gases.append(atoms)
    made = pair_distributions(gases, r_max=24.0, bin_width=0.5)
    assert (made.samples, made.frames) == (24, 24)
    far = made.r > 2.0
    away = []
    for pair, g in made.g_r.items():
        # an atom is no neighbor of itself
        expected = 1.0 - {"Ar-Ar": 1 / 60, "Kr-Kr": 1 / 40}.get(pair, 0.0)
        away.extend((g[far] - expected) / made.g_r_standard_error[pair][far])
    # Student's t of 23 degrees of freedom has the standard deviation 1.05; of 132 values 6 % makes one error of it
    assert 0.8 < np.std(away) < 1.3
    assert abs(np.mean(away)) < 4.0 / np.sqrt(len(away))


# sum rules


def test_partials_rebuild_the_total():
    atoms = random_cell(3, 12)
    made = pair_distributions(atoms, r_max=9.0)
    n = {symbol: np.sum(atoms.symbols == symbol) / len(atoms) for symbol in ("Si", "O")}
    weights = {"Si-Si": n["Si"] ** 2, "O-O": n["O"] ** 2, "Si-O": 2 * n["Si"] * n["O"]}
    np.testing.assert_allclose(sum(weights[pair] * g for pair, g in made.g_r.items()), made.total_g_r, rtol=1e-12)
    np.testing.assert_allclose(
        made.running_numbers["Si-O"] * n["Si"], made.running_numbers["O-Si"] * n["O"], rtol=1e-12
    )


# invariance


@pytest.mark.parametrize(
    "cell", [quartz(), rutile(), corundum(), random_cell(5, 9)], ids=["SiO2", "TiO2", "Al2O3", "random"]
)
def test_cell_gives_what_its_supercell_gives(cell):
    small, large = pair_distributions(cell), pair_distributions(cell * (2, 1, 3))
    for pair in small.g_r:
        np.testing.assert_allclose(large.g_r[pair], small.g_r[pair], rtol=1e-11)
    assert large.density_g_cm3 == pytest.approx(small.density_g_cm3, rel=1e-12)


def test_other_lattice_vectors_rotation_and_order_change_nothing():
    atoms = random_cell(7, 10)
    before = counts_of(atoms, pair_distributions(atoms, r_max=8.0, bin_width=0.1))
    turned = atoms[np.random.default_rng(1).permutation(len(atoms))]
    turned.set_cell([[1, 0, 0], [3, 1, 0], [-2, 1, 1]] @ atoms.cell.array)
    turned.rotate(37.0, (1, 2, -1), rotate_cell=True)
    after = counts_of(turned, pair_distributions(turned, r_max=8.0, bin_width=0.1))
    for pair in before:
        np.testing.assert_allclose(after[pair], before[pair], atol=1e-9)


def test_pymatgen_structure_is_taken():
    np.testing.assert_array_equal(
        pair_distributions(to_pymatgen(quartz())).g_r["Si-O"], pair_distributions(quartz()).g_r["Si-O"]
    )


# frames and files


def test_frames_are_averaged_with_their_own_density_and_files_make_the_error():
    frames = [bulk("MgO", "rocksalt", a=a) for a in (4.0, 4.4)]
    each = [pair_distributions(frame, r_max=6.0) for frame in frames]
    one = pair_distributions([frames], r_max=6.0)
    two = pair_distributions(frames, r_max=6.0)
    mean = 0.5 * (each[0].g_r["Mg-O"] + each[1].g_r["Mg-O"])
    np.testing.assert_allclose(one.g_r["Mg-O"], mean, rtol=1e-12)
    np.testing.assert_allclose(two.g_r["Mg-O"], mean, rtol=1e-12)
    assert (one.samples, one.frames, one.g_r_standard_error, one.density_standard_error_g_cm3) == (1, 2, None, None)
    assert (two.samples, two.frames) == (2, 2)
    # of two values the standard error is half their difference
    half = 0.5 * np.abs(each[0].g_r["Mg-O"] - each[1].g_r["Mg-O"])
    np.testing.assert_allclose(two.g_r_standard_error["Mg-O"], half, atol=1e-9)
    assert two.density_standard_error_g_cm3 == pytest.approx(0.5 * (each[0].density_g_cm3 - each[1].density_g_cm3))


def test_figures_are_plain():
    figures = pair_distributions([quartz(), quartz()], r_max=3.0).figures()
    assert {"r", "g_r", "frames", "density_g_cm3", "running_numbers"} <= figures.keys()
    assert isinstance(figures["g_r"]["Si-O"], list)
    assert figures["density_g_cm3"] == pytest.approx(2.65, abs=0.01)  # quartz


# independent reference


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 14), r_max=st.floats(0.5, 14.0), size=st.floats(3.0, 7.0))
def test_counts_are_those_of_a_brute_force_over_images(seed, n, r_max, size):
    atoms = random_cell(seed, n, max(size, 2.0 * n ** (1 / 3)))
    made = pair_distributions(atoms, r_max=r_max, bin_width=0.07)
    counts = counts_of(atoms, made)
    expected = counts_by_force(atoms, ["Si", "O"], 0.07, len(made.r))
    for a, x in enumerate(("Si", "O")):
        for b, y in enumerate(("Si", "O")):
            np.testing.assert_array_equal(np.rint(counts[f"{x}-{y}"]), expected[a, b])


def test_counts_of_a_large_cell_with_many_bins():
    atoms = random_cell(11, 60, 14.0)
    made = pair_distributions(atoms, r_max=5.0, bin_width=0.05)
    expected = counts_by_force(atoms, ["Si", "O"], 0.05, 100)
    np.testing.assert_array_equal(np.rint(counts_of(atoms, made)["Si-O"]), expected[0, 1])


# errors


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        ([], "no structure"),
        ([[]], "no structure"),
        ([quartz(), mgo()], "different elements"),
        ([Atoms("O2", positions=[[0, 0, 0], [0, 0, 0.1]], cell=[5, 5, 5], pbc=True)], "0.100 Å apart"),
    ],
)
def test_structures_that_make_no_sense_are_refused(structures, message):
    with pytest.raises(ValueError, match=message):
        pair_distributions(structures)


def test_bounds_are_checked():
    with pytest.raises(ValueError, match="r_max"):
        pair_distributions(mgo(), r_max=0.0)
