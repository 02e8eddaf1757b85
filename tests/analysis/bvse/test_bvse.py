import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings, strategies as st
from scipy.special import erfc
from toys import points_of

from amorph.analysis.bvse import bvse_map
from amorph.analysis.bvse.maps import site_energy_at
from amorph.analysis.distance import distance_map
from amorph.parameters import parse
from amorph.reading import read_structure
from amorph.structure import to_pymatgen

STRUCTURES = Path(__file__).parents[3] / "structures"

# D0 [eV], Rmin [Å] and b [Å] with O2-, Chen & Adams (2019); covalent radii [Å], Cordero et al. (2008); periods
MORSE = {"Li": (0.98816, 1.94001, 0.516), "Mg": (1.57554, 1.95626, 0.512)}
# the same with other anions
OTHERS = {
    "F": {"Li": (0.49611, 1.87265, 0.508), "Mg": (0.79613, 1.8757, 0.504)},
    "Cl": {"Li": (0.49302, 2.39647, 0.634), "Mg": (0.79602, 2.3933, 0.63)},
    "S": {"Li": (1.04027, 2.40971, 0.653), "Mg": (1.64536, 2.45753, 0.649)},
}
RADII = {"Li": 1.28, "Mg": 1.41, "Ti": 1.60, "Mo": 1.54, "P": 1.07}
PERIODS = {"Li": 2, "Mg": 3, "Ti": 4, "Mo": 5, "P": 3}
CHARGES = {"Li": 1, "Mg": 2, "Ti": 4, "Mo": 4, "P": 5, "O": -2, "F": -1, "Cl": -1, "S": -2}

# Relative to the largest term of a sum, a factor 10 above what its terms are good to.
TOLERANCE = 1e-13


def energy_of(mobile, element, distance, factor=0.5):
    """The term of one atom at a distance, as the paper writes it."""
    if CHARGES[element] < 0:
        d0, r_min, b = OTHERS.get(element, MORSE)[mobile]
        return factor * d0 * ((np.exp((r_min - distance) / b) - 1.0) ** 2 - 1.0)
    coulomb = 14.4 * CHARGES[mobile] * CHARGES[element] / math.sqrt(PERIODS[mobile] * PERIODS[element])
    distance = np.maximum(distance, 0.01)
    return coulomb / distance * erfc(distance / (0.74 * (RADII[mobile] + RADII[element])))


def brute_force(atoms, mobile, points, cutoff, factor=0.5):
    """Energies and the sum of the sizes of their terms at points, over every image that can be within the cutoff."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    fractional = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
    inside = (fractional - np.floor(fractional)) @ atoms.cell.array
    spread = np.ptp(points @ np.linalg.inv(atoms.cell.array), axis=0) if len(points) > 1 else np.zeros(3)
    spans = [range(-k, k + 1) for k in np.ceil(cutoff / heights + spread).astype(int) + 1]
    shifts = np.array(list(itertools.product(*spans))) @ atoms.cell.array
    energies, sizes = np.zeros(len(points)), np.zeros(len(points))
    for element, position in zip(atoms.get_chemical_symbols(), inside, strict=True):
        if element == mobile:
            continue
        distance = np.linalg.norm(points[:, None] - (position + shifts), axis=-1)
        terms = np.where(distance <= cutoff, energy_of(mobile, element, distance, factor), 0.0)
        energies += terms.sum(axis=1)
        sizes += np.abs(terms).sum(axis=1)
    return energies, sizes


def oxide(cell, elements, rng):
    """Atoms at random, none on another, with the oxidation states above."""
    atoms = Atoms(elements, scaled_positions=rng.random((len(elements), 3)), cell=cell, pbc=True)
    atoms.set_array("oxidation_states", np.array([CHARGES[e] for e in elements], dtype=float))
    return atoms


# closed form


def test_one_anion_is_a_morse_potential():
    oxygen = Atoms("O", cell=[24.0, 24.0, 24.0], pbc=True)
    distances = np.array([0.0, 0.9, 1.94001, 2.5, 5.0, 10.0, np.nextafter(10.0, 11.0)])
    points = distances[:, None] * np.array([0.0, 0.0, 1.0])
    for convention, factor in (("full", 1.0), ("half", 0.5)):
        made = site_energy_at(points, oxygen, "Li+", convention=convention, oxidation_states={"O": -2})
        expected = energy_of("Li", "O", distances, factor) * (distances <= 10.0)
        np.testing.assert_allclose(made, expected, rtol=TOLERANCE, atol=1e-15)
        assert made[2] == pytest.approx(-0.98816 * factor, rel=1e-15)
    field = bvse_map(oxygen, "Li+", grid=(24, 2, 2), oxidation_states={"O": -2}).field
    # 10 Å belongs to the cutoff, 11 Å does not
    # (e − 1)² − 1 leaves 1e-16 of its 1
    np.testing.assert_allclose(field.values[10, 0, 0], energy_of("Li", "O", 10.0), atol=1e-15)
    assert field.values[10, 0, 0] < 0.0
    assert field.values[11, 0, 0] == 0.0
    assert (field.quantity, field.unit) == ("bond valence site energy of Li+", "eV")


def test_one_cation_repels_and_its_nucleus_is_finite():
    # an anion out of the cutoff, since a structure without one is refused
    atoms = oxide([40.0, 40.0, 40.0], ["Ti", "O"], np.random.default_rng(0))
    atoms.positions = [[0.0, 0.0, 0.0], [20.0, 20.0, 20.0]]
    distances = np.array([0.0, 0.005, 0.01, 0.5, 2.0, 8.0])
    made = site_energy_at(distances[:, None] * np.array([1.0, 0.0, 0.0]), atoms, "Mg2+")
    np.testing.assert_allclose(made, energy_of("Mg", "Ti", distances), rtol=TOLERANCE)
    assert made[0] == made[2] == pytest.approx(14.4 * 8 / math.sqrt(12) / 0.01, rel=0.01)
    made = bvse_map(atoms, "Mg2+", grid=(80, 80, 80))
    np.testing.assert_allclose(made.field.values[0, 0, 0], energy_of("Mg", "Ti", 0.0), rtol=TOLERANCE)
    assert np.isfinite(made.field.values).all()
    assert made.maximum == made.field.values.max()


def test_the_complementary_error_function():
    from amorph.analysis.bvse._kernels import _erfc_over

    x = np.geomspace(1e-3, 26.0, 20_000)
    found = np.array([_erfc_over(each) for each in x])
    # the bound that the kernel states, and scipy's own error of a unit in the last place
    np.testing.assert_array_less(np.abs(found / (erfc(x) / x) - 1.0), 3e-16 * (7.0 + x * x))
    assert all(0.0 <= _erfc_over(each) < 1e-300 for each in (30.0, 1e3, 1e6))


# sum rules


def test_terms_add_up_over_the_sublattices():
    atoms = read_structure(STRUCTURES / "Li2TiO3.cif")
    points = np.random.default_rng(1).random((50, 3)) @ atoms.cell.array
    whole = site_energy_at(points, atoms, "Li+", convention="full")
    anions = site_energy_at(points, atoms[atoms.symbols == "O"], "Li+", convention="full")
    # half the Morse energy less is half of what the anions alone give; the repulsion stays as it is
    half = site_energy_at(points, atoms, "Li+", convention="half")
    np.testing.assert_allclose(whole - half, 0.5 * anions, atol=1e-11)
    doubled = site_energy_at(points, atoms, "Li+", oxidation_states={"Ti": 8}, convention="full")
    np.testing.assert_allclose(doubled - whole, whole - anions, atol=1e-11)
    # Li is no part of its own framework, whatever its charge
    assert (site_energy_at(points, atoms, "Li+", oxidation_states={"Li": 3}) == half).all()
    np.testing.assert_array_equal(site_energy_at(points, atoms[~(atoms.symbols == "Li")], "Li+"), half)


# invariance


def test_threads_translation_repetition_and_handedness():
    rng = np.random.default_rng(3)
    cell = np.array([[6.0, 0.0, 0.0], [2.5, 5.0, 0.0], [-1.0, 3.0, 4.0]])
    atoms = oxide(cell, ["O", "O", "Ti", "Li"], rng)
    made = bvse_map(atoms, "Li+", grid=(60, 50, 40), threads=1).field.values
    np.testing.assert_array_equal(bvse_map(atoms, "Li+", grid=(60, 50, 40), threads=3).field.values, made)
    # sums of some hundred terms of up to 1000 eV near a nucleus
    close = {"rtol": 1e-9, "atol": 1e-9}
    moved = atoms.copy()
    moved.positions += np.array([7 / 60, 49 / 50, 3 / 40]) @ cell - 3 * cell[1]
    rolled = bvse_map(moved[[3, 1, 0, 2]], "Li+", grid=(60, 50, 40)).field.values
    np.testing.assert_allclose(rolled, np.roll(made, (7, 49, 3), axis=(0, 1, 2)), **close)
    repeated = bvse_map(atoms.repeat((1, 2, 1)), "Li+", grid=(60, 100, 40)).field.values
    np.testing.assert_allclose(repeated, np.tile(made, (1, 2, 1)), **close)
    mirrored = atoms.copy()
    mirrored.set_cell(cell[[1, 0, 2]])
    swapped = bvse_map(mirrored, "Li+", grid=(50, 60, 40)).field.values
    np.testing.assert_allclose(swapped.transpose(1, 0, 2), made, **close)


def test_equal_sites_of_a_spinel_have_equal_energies():
    made = bvse_map(read_structure(STRUCTURES / "MgAl2O4.cif"), "Mg2+", grid=(16, 16, 16))
    sites = [[2, 2, 2], [2, 10, 10], [10, 2, 10], [10, 10, 2], [14, 14, 14], [14, 6, 6], [6, 14, 6], [6, 6, 14]]
    tetrahedral = made.field.values[tuple(np.transpose(sites))]
    np.testing.assert_allclose(tetrahedral, tetrahedral[0], rtol=1e-12)
    octahedral = made.field.values[tuple(np.transpose(list(itertools.product((0, 8), repeat=3))))]
    # (0, 0, 0) and the centers of the faces are empty octahedra, the body's center and the edges' hold Al
    np.testing.assert_allclose(octahedral[[0, 3, 5, 6]], octahedral[0], rtol=1e-12)
    assert (octahedral[[1, 2, 4, 7]] > 1000.0).all()
    index = np.rint(np.array(made.minimum_position) / 8.0806 * 16).astype(int)
    assert made.field.values[tuple(index)] == made.minimum == made.field.values.min()
    assert made.removed == 8


# exclusion


def test_excluded_points_are_those_near_the_framework():
    atoms = read_structure(STRUCTURES / "LiCoO2.cif")
    whole = bvse_map(atoms, "Li+", spacing=0.25)
    masked = bvse_map(atoms, "Li+", spacing=0.25, exclusion_radius=1.5)
    near = distance_map(atoms[~(atoms.symbols == "Li")], spacing=0.25).values < 1.5
    np.testing.assert_array_equal(np.isnan(masked.field.values), near)
    np.testing.assert_array_equal(masked.field.values[~near], whole.field.values[~near])
    assert masked.minimum == whole.minimum
    assert masked.maximum == whole.field.values[~near].max() < whole.maximum
    everything = bvse_map(atoms, "Li+", spacing=1.0, exclusion_radius=1e6)
    assert np.isnan(everything.field.values).all()
    assert math.isnan(everything.minimum)


# independent reference


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(), ("Cl",), ("F",), ("S",), ("F", "Cl", "S")]))
def test_energies_agree_with_brute_force_over_images(seed, others):
    rng = np.random.default_rng(seed)
    while True:
        cell = rng.normal(0.0, 3.0, (3, 3))
        if abs(np.linalg.det(cell)) > 25.0:
            break
    atoms = oxide(cell, ["O", *others, *rng.choice(["O", "Ti", "Mo", "P", "Li", "Mg"], rng.integers(0, 4))], rng)
    if len(atoms) > 1 and (atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)] < 0.6).any():
        return
    mobile, ion = [("Li", "Li+"), ("Mg", "Mg2+")][seed % 2]
    cutoff = float(rng.uniform(1.0, 8.0))
    made = bvse_map(atoms, ion, grid=tuple(rng.integers(1, 10, 3).tolist()), cutoff=cutoff).field
    points = points_of(made)
    expected, sizes = brute_force(atoms, mobile, points, cutoff)
    assert (np.abs(made.values.ravel() - expected) <= 1e-12 * (1.0 + sizes)).all()
    assert (np.abs(site_energy_at(points, atoms, ion, cutoff=cutoff) - expected) <= 1e-12 * (1.0 + sizes)).all()


@pytest.mark.parametrize(
    ("name", "ion", "peer_ion"), [("LiFePO4", "Li+", "Li1+"), ("LiCoO2", "Li+", "Li1+"), ("MgTi2O4", "Mg2+", "Mg2+")]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_maps_agree_with_bvlain(name, ion, peer_ion):
    from bvlain import Lain

    atoms = read_structure(STRUCTURES / f"{name}.cif")
    peer = Lain(verbose=False)
    peer.read_structure(to_pymatgen(atoms), oxi_check=False)
    # k = 1000 neighbors: all within 10 Å; its default of 100 leaves out the outer shells of every point
    theirs = peer.bvse_distribution(mobile_ion=peer_ion, r_cut=10.0, resolution=0.6, k=1000)
    # its last planes repeat the first
    grid = tuple(n - 1 for n in theirs.shape)
    theirs = theirs[:-1, :-1, :-1]
    # two more digits in its table: our parameters are the same, rounded
    of_oxygen = peer.atoms.symbols == "O"
    d0, r_min, alpha = (float(peer.atoms.arrays[key][of_oxygen][0]) for key in ("d0", "r_min", "alpha"))
    ours = bvse_map(atoms, ion, grid=grid, convention="half")
    low = ours.field.values < 10.0
    assert low.mean() > 0.2
    np.testing.assert_allclose(ours.field.values[low], theirs[low], atol=1e-3)
    ours = bvse_map(atoms, ion, grid=grid, convention="half", d0=d0, r_min=r_min, b=1.0 / alpha)
    np.testing.assert_allclose(ours.field.values[low], theirs[low], atol=1e-10)


# what a result says


def test_a_result_names_its_parameters_and_repeats():
    atoms = read_structure(STRUCTURES / "LiFePO4.cif")
    made = bvse_map(atoms, "Li1+", grid=(6, 5, 4), oxidation_states={"Fe": 3}, convention="half", cutoff=7.0)
    assert made.ion == "Li+"
    assert made.charges == "by element: Fe=3, the rest given in the structure"
    assert atoms.arrays["oxidation_states"][atoms.symbols == "Fe"][0] == 2
    again = bvse_map(made.atoms, **parse(bvse_map, made.field.parameters))
    np.testing.assert_array_equal(again.field.values, made.field.values)
    rows = {row["species"]: row for row in made.table()}
    assert list(rows) == ["Fe3+", "P5+", "O2-"]
    assert rows["O2-"]["interaction"] == "Morse"
    assert (rows["O2-"]["factor_eV"], rows["O2-"]["r_min_A"]) == (0.49408, 1.94001)
    assert rows["P5+"]["length_A"] == pytest.approx(0.74 * (1.28 + 1.07))
    assert made.removed == 4


def test_states_are_those_of_the_structure_else_formal():
    atoms = read_structure(STRUCTURES / "LiFePO4.cif")
    made = bvse_map(atoms, "Li+", grid=(2, 2, 2))
    assert (made.charges, made.field.parameters["oxidation_states"]) == ("given in the structure", "given")
    del atoms.arrays["oxidation_states"]
    formal = bvse_map(atoms, "Li+", grid=(2, 2, 2))
    assert (formal.charges, formal.field.parameters["oxidation_states"]) == (
        "formal: balanced by composition",
        "formal",
    )
    np.testing.assert_array_equal(formal.field.values, made.field.values)
    # mixed valence: every Mo has the mean, and the rows say so
    mixed = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((1, 1, 2))
    mixed.symbols[np.flatnonzero(mixed.symbols == "Mg")] = ["Li"] * 5 + ["Ti", "Mo", "Mo"]
    states = [row["species"] for row in bvse_map(mixed, "Li+", grid=(2, 2, 2)).table()]
    assert states == ["O2-", "Ti4+", "Mo3.5+"]


# errors


def test_bad_input_is_refused():
    crystal = read_structure(STRUCTURES / "MgO.cif")
    with pytest.raises(ValueError, match=r"^no soft-BV parameters for Fe6\+–O2-; chen_adams2019 has Fe of charge"):
        bvse_map(crystal, "Fe6+", grid=(2, 2, 2))
    with pytest.raises(ValueError, match=r"^d0, r_min, b belong together, and b is missing; give all three"):
        bvse_map(crystal, "Li+", grid=(2, 2, 2), d0=1.0, r_min=2.0)
    with pytest.raises(ValueError, match=r"^d0, r_min and b, and a set or a file of parameters are given; give one"):
        bvse_map(crystal, "Li+", grid=(2, 2, 2), d0=1.0, r_min=2.0, b=0.5, set="chen_adams2019")
    with pytest.raises(ValueError, match=r"^Mg has the oxidation state 0, for which the site energy has no term"):
        bvse_map(crystal, "Li+", grid=(2, 2, 2), oxidation_states={"Mg": 0})
    with pytest.raises(ValueError, match=r"^no anion in Mg4, .* for Li\+ to bond"):
        bvse_map(crystal[crystal.symbols == "Mg"], "Li+", grid=(2, 2, 2))
    with pytest.raises(ValueError, match=r"^cutoff = 200 Å is longer than 100 Å, where every term has died out"):
        bvse_map(crystal, "Li+", grid=(2, 2, 2), cutoff=200.0)
    with pytest.raises(ValueError, match=r"^convention = 'quarter' must be 'full' or 'half'"):
        bvse_map(crystal, "Li+", convention="quarter")
    with pytest.raises(ValueError, match=r"needs 5.8 PB of memory, and .* are available; give fewer points"):
        bvse_map(crystal, "Li+", grid=(90_000, 90_000, 90_000))
    with pytest.raises(ValueError, match=r"^point 1 is not finite; give positions in Å"):
        site_energy_at([[0, 0, 0], [0, np.nan, 0]], crystal, "Li+")
    with pytest.raises(ValueError, match=r"^points of the shape \(2,\); give \(n, 3\) positions in Å"):
        site_energy_at([0.0, 1.0], crystal, "Li+")
    atoms = crystal.copy()
    del atoms.arrays["oxidation_states"]
    with pytest.raises(ValueError, match=r"^Mg4O4 has no oxidation states; choose formal"):
        bvse_map(atoms, "Li+", oxidation_states="given")
