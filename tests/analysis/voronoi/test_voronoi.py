import logging

import numpy as np
import pytest
from analysis.order.crystals import quartz
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list
from hypothesis import assume, given, settings, strategies as st
from toys import random_cell

from amorph.analysis.voronoi import cells as tessellation, free_volume, tessellate
from amorph.structure import to_pymatgen, with_oxidation_states
from amorph.tables.crystals import BY_NAME

MGO = 4.212**3 / 8


def voronoi_volumes(atoms, **choices):
    return tessellate(atoms, **choices).volumes


def mgo(*repeat: int) -> Atoms:
    return bulk("MgO", "rocksalt", a=4.212, cubic=True) * (repeat or (1, 1, 1))


def exchanged_rocksalt(seed: int) -> Atoms:
    """Mg36 □36 Ti12 Mo24 O108 on undisturbed rocksalt sites."""
    atoms = mgo(3, 3, 3)
    sites = np.random.default_rng(seed).permutation(np.flatnonzero(atoms.symbols == "Mg"))
    symbols = atoms.symbols
    symbols[sites[36:48]] = "Ti"
    symbols[sites[48:72]] = "Mo"
    del atoms[sites[72:]]
    return atoms


def rattled(seed: int = 0) -> Atoms:
    atoms = exchanged_rocksalt(seed)
    atoms.rattle(0.2, seed=seed)
    return atoms


RATTLED = rattled()


# Closed form


@pytest.mark.parametrize(
    ("atoms", "volume"),
    [
        (bulk("MgO", "rocksalt", a=4.212), MGO),
        (mgo(), MGO),
        (mgo(2, 1, 3), MGO),
        (bulk("Cu", "fcc", a=3.6), 3.6**3 / 4),
        (bulk("Fe", "bcc", a=2.87), 2.87**3 / 2),
        (bulk("Po", "sc", a=3.35), 3.35**3),
        (bulk("Mg", "hcp", a=3.21, c=5.21), 3.21**2 * 5.21 * np.sqrt(3) / 4),
    ],
    ids=["primitive rocksalt", "rocksalt", "rocksalt repeated", "fcc", "bcc", "sc", "hcp"],
)
def test_atoms_of_an_ideal_crystal_share_its_volume(atoms: Atoms, volume: float) -> None:
    # float64 rounding of coordinates up to 20 Å over some 20 vertices
    np.testing.assert_allclose(voronoi_volumes(atoms), volume, rtol=1e-12)


@pytest.mark.parametrize(("large", "small"), [(1.0, 1.0), (1.2, 0.6), (1.9, 0.4), (0.0, 2.5)])
def test_power_cells_of_two_spheres_in_cscl(large: float, small: float) -> None:
    # In the cube |x|, |y|, |z| <= h = a/2 around an ion, the 8 neighbors cut |x| + |y| + |z| <= s with
    # s = 3a/4 + (R² − R'²)/a; the octant's volume follows from inclusion and exclusion.
    a = 4.0
    atoms = Atoms("MgO", scaled_positions=[[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]], cell=[a, a, a], pbc=True)

    def volume(squares: float) -> float:
        s, h = 3 * a / 4 + squares / a, a / 2
        return 8 / 6 * sum(sign * max(s - k * h, 0.0) ** 3 for k, sign in enumerate((1, -3, 3, -1)))

    expected = [volume(large**2 - small**2), volume(small**2 - large**2)]
    assert sum(expected) == pytest.approx(a**3, rel=1e-14)
    computed = voronoi_volumes(atoms, tessellation="power", radii={"Mg": large, "O": small})
    np.testing.assert_allclose(computed, expected, rtol=1e-12)


def test_power_cell_that_is_empty_is_kept_and_named(caplog: pytest.LogCaptureFixture) -> None:
    atoms = Atoms("MgO", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4, 4, 4], pbc=True)
    radii = {"Mg": 0.1, "O": 3.6}  # the cell of the smaller is empty from R² − R'² = 3a²/4 = 12 Å² on
    with caplog.at_level(logging.WARNING):
        result = free_volume(atoms, tessellation="power", radii=radii, oxygen_volume=64.0)
    np.testing.assert_array_equal(result.volumes[0], 0.0)
    np.testing.assert_allclose(result.volumes[1], 64.0, rtol=1e-12)
    assert result.empty_cells == (0,)
    assert result.ratio is None
    assert "0 (Mg)" in caplog.text


@pytest.mark.parametrize("seed", [0, 1])
def test_exchanged_rocksalt_is_free_by_a_sixth_and_by_the_volume_of_its_mg(seed: int) -> None:
    result = free_volume(exchanged_rocksalt(seed))
    assert result.free_volume_fraction == pytest.approx(1 / 6, rel=1e-11)
    assert result.ratio == pytest.approx(1.0, rel=1e-11)
    assert result.free_volume == pytest.approx(36 * MGO, rel=1e-11)
    assert result.cell_volume == pytest.approx(27 * 4.212**3, rel=1e-14)
    assert result.oxygen_volume == pytest.approx(9.341, abs=5e-4)  # SCIENCE: 9.34 Å³
    assert result.formula == "Mg0.33□0.33Ti0.11Mo0.22O"
    assert [(row.species, row.count) for row in result.species] == [("Mg", 36), ("Ti", 12), ("Mo", 24), ("O", 108)]


def test_nothing_is_free_in_mgo() -> None:
    result = free_volume(mgo(2, 2, 2))
    assert abs(result.free_volume_fraction) < 1e-13
    assert result.ratio == pytest.approx(0.0, abs=1e-12)
    assert result.formula == "Mg□0.00O"


def test_another_ion_in_another_host() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.symbols[np.flatnonzero(atoms.symbols == "Na")[0]] = "K"
    result = free_volume(atoms, ion="K+", anion="Cl-", oxygen_volume=20.0, oxygen_volume_source="a guess")
    filled = 5.64**3 / 8 * 4 + 4 * 20.0
    assert result.free_volume_fraction == pytest.approx(1 - filled / 5.64**3, rel=1e-12)
    assert result.ratio == pytest.approx((5.64**3 - filled) / (5.64**3 / 8), rel=1e-12)
    assert result.formula == "K0.25□0.11Na0.75Cl"
    assert (result.ion, result.anion, result.oxygen_volume_source) == ("K+", "Cl", "a guess")


# Sum rules


@pytest.mark.parametrize("tessellation", ["plain", "power"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
    rows=st.lists(st.lists(st.floats(-8, 8), min_size=3, max_size=3), min_size=3, max_size=3),
)
def test_cells_fill_any_cell(tessellation: str, n: int, seed: int, rows: list[list[float]]) -> None:
    cell = np.array(rows) + 9 * np.eye(3)
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(np.roll(cell, -1, 0), np.roll(cell, -2, 0)), axis=1)
    assume(heights.min() > 1.0)
    rng = np.random.default_rng(seed)
    atoms = Atoms(f"Cu{n}", scaled_positions=rng.random((n, 3)) * 5 - 2, cell=cell, pbc=True)
    assume(not neighbor_list("d", atoms, 0.51).size)
    radii = {"Cu": 1.3} if tessellation == "power" else None
    volumes = voronoi_volumes(atoms, tessellation=tessellation, radii=radii)
    assert (volumes >= 0).all()
    assert volumes.sum() == pytest.approx(atoms.cell.volume, rel=1e-12)


@pytest.mark.parametrize(
    "arguments", [{}, {"tessellation": "power", "radii": "cordero_covalent"}], ids=["plain", "power"]
)
@pytest.mark.parametrize("reference", ["experiment", 9.65])
def test_free_volume_is_the_excess_of_the_anions(arguments: dict, reference: float | str) -> None:
    result = free_volume(RATTLED, oxygen_volume=reference, **arguments)
    assert result.free_volume_fraction == pytest.approx(result.oxygen_excess_fraction, abs=1e-12)
    assert abs(result.free_volume_fraction) > 0.01


def test_cells_that_do_not_fill_the_cell_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = tessellation._cells
    for factor, refused in ((1 + 5e-13, False), (1 + 2e-12, True), (1 - 2e-12, True), (np.nan, True)):

        def wrong(*arguments: object, factor: float = factor) -> object:
            right = cut(*arguments)
            return right._replace(volumes=right.volumes * factor)

        monkeypatch.setattr(tessellation, "_cells", wrong)
        if refused:
            with pytest.raises(RuntimeError, match=r"add up to .* Å³ in a cell of .* Å³ .relative difference"):
                voronoi_volumes(RATTLED)
        else:
            voronoi_volumes(RATTLED)


def test_table_rows_add_up() -> None:
    result = free_volume(RATTLED)
    rows = result.table()
    assert sum(row["count"] * row["mean_A3"] for row in rows) == pytest.approx(result.cell_volume, rel=1e-12)
    own = result.volumes[RATTLED.numbers == 42]
    row = next(row for row in rows if row["species"] == "Mo")
    expected = (own.min(), own.max(), np.sqrt(np.mean((own - own.mean()) ** 2)))
    computed = (row["minimum_A3"], row["maximum_A3"], row["standard_deviation_A3"])
    assert computed == pytest.approx(expected, rel=1e-12)
    per_atom = result.per_atom_table()
    assert [entry["species"] for entry in per_atom] == RATTLED.get_chemical_symbols()
    assert [entry["atom"] for entry in per_atom] == list(range(180))
    assert [entry["volume_A3"] for entry in per_atom] == voronoi_volumes(RATTLED).tolist()


# Invariance

# 1e-10: rounding of positions of 13 Å, times the 20 faces of a cell, leaves some 1e-13
TURN = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]


@pytest.mark.parametrize(
    "arguments", [{}, {"tessellation": "power", "radii": "cordero_covalent"}], ids=["plain", "power"]
)
def test_volumes_do_not_see_rotation_and_translation(arguments: dict) -> None:
    atoms = random_cell(14, seed=2)
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ TURN, scale_atoms=True)
    moved.positions += [17.3, -5.1, 0.77]
    volumes = voronoi_volumes(atoms, **arguments)
    np.testing.assert_allclose(voronoi_volumes(moved, **arguments), volumes, rtol=1e-10)


def test_free_volume_does_not_see_a_supercell() -> None:
    one, two = free_volume(RATTLED), free_volume(RATTLED * (1, 2, 1))
    assert two.free_volume_fraction == pytest.approx(one.free_volume_fraction, rel=1e-10)
    assert two.ratio == pytest.approx(one.ratio, rel=1e-10)
    assert two.formula == one.formula


@pytest.mark.parametrize("matrix", [[[1, 0, 0], [3, 1, 0], [5, -4, 1]], [[0, 2, 1], [1, 0, 0], [0, 1, 1]]])
def test_skewed_cells_of_an_ideal_crystal(matrix: list[list[int]]) -> None:
    atoms = make_supercell(bulk("MgO", "rocksalt", a=4.212), matrix, wrap=False)
    np.testing.assert_allclose(voronoi_volumes(atoms), MGO, rtol=1e-11)


def test_cell_so_skewed_that_a_walk_over_its_own_images_would_be_long() -> None:
    atoms = Atoms("Cu2", scaled_positions=[[0, 0, 0], [0.3, 0.4, 0.55]], cell=[4.0, 4.5, 5.0], pbc=True)
    volumes = voronoi_volumes(atoms)
    atoms.set_cell(np.array([[-1, 0, 2], [-2, 0, 3], [-3, -1, 15]]) @ atoms.cell.array)
    np.testing.assert_allclose(voronoi_volumes(atoms), volumes, rtol=1e-10)


def test_equal_radii_make_plain_cells() -> None:
    atoms = random_cell(14, seed=3)
    power = voronoi_volumes(atoms, tessellation="power", radii={"Mg": 1.1, "O": 1.1})
    np.testing.assert_allclose(power, voronoi_volumes(atoms), rtol=1e-10)


def test_input_is_left_alone_and_pymatgen_gives_the_same() -> None:
    before = RATTLED.copy()
    volumes = voronoi_volumes(RATTLED)
    assert before == RATTLED
    np.testing.assert_allclose(voronoi_volumes(to_pymatgen(RATTLED)), volumes, rtol=1e-10)


def test_nothing_is_written_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    voronoi_volumes(mgo(2, 2, 2))
    assert capfd.readouterr() == ("", "")


# References and radii


def test_reference_of_the_anion_is_a_named_choice() -> None:
    experiment = free_volume(RATTLED)
    assert "4.212" in experiment.oxygen_volume_source
    given = free_volume(RATTLED, oxygen_volume=9.65, oxygen_volume_source="MgO, same potential")
    assert (given.oxygen_volume, given.oxygen_volume_source) == (9.65, "MgO, same potential")
    moved = 108 * (9.65 - MGO) / given.cell_volume
    assert experiment.free_volume_fraction - given.free_volume_fraction == pytest.approx(moved, rel=1e-10)
    assert free_volume(RATTLED, oxygen_volume=9.65).oxygen_volume_source == "given"

    other = experiment.with_oxygen_volume(9.65, source="MgO, same potential")
    assert other.table() == given.table()
    assert other.free_volume_fraction == given.free_volume_fraction
    assert (other.ratio, other.formula, other.oxygen_volume_source) == (
        given.ratio,
        given.formula,
        "MgO, same potential",
    )
    assert experiment.oxygen_volume == pytest.approx(MGO)


def test_formula_carries_the_vacancies_of_the_paper() -> None:
    # 52 % of the volume of all Mg reads Mg0.33□0.17Ti0.11Mo0.22O
    model = free_volume(exchanged_rocksalt(0))
    reference = model.species[-1].mean - 0.52 * 36 * model.species[0].mean / 108
    result = model.with_oxygen_volume(reference, source="chosen")
    assert result.ratio == pytest.approx(0.52, rel=1e-10)
    assert result.formula == "Mg0.33□0.17Ti0.11Mo0.22O"


def test_without_the_mobile_ion_there_is_no_ratio() -> None:
    without = RATTLED[RATTLED.numbers != 12]
    result = free_volume(without)
    assert result.ratio is None
    assert result.formula == "Ti0.11Mo0.22O"
    assert (result.ion, result.species[0].species) == (None, "Ti")
    assert result.free_volume_fraction == pytest.approx(result.oxygen_excess_fraction, rel=1e-9)
    assert free_volume(RATTLED).ion == "Mg2+"
    assert free_volume(RATTLED).ratio == free_volume(RATTLED, ion="Mg").ratio


def test_the_reference_is_an_oxide_by_name() -> None:
    for name in ("MgO", "TiO2_rutile", "MoO2"):
        crystal = BY_NAME[name].atoms()
        own = free_volume(crystal, oxygen_volume=name)
        assert own.free_volume_fraction == pytest.approx(0.0, abs=1e-12)
        assert name in own.oxygen_volume_source
    assert free_volume(RATTLED, oxygen_volume="MgO").oxygen_volume == free_volume(RATTLED).oxygen_volume


def test_a_reference_out_of_its_domain_is_told(caplog: pytest.LogCaptureFixture) -> None:
    silica = free_volume(quartz())
    assert silica.free_volume_fraction == pytest.approx(0.316, abs=0.001)
    assert "a network of Si" in silica.reference_note
    assert silica.reference_note in caplog.messages
    assert silica.with_oxygen_volume(19.0, source="given").reference_note == silica.reference_note
    fluoride = mgo(2, 2, 2)
    fluoride.symbols[np.flatnonzero(fluoride.symbols == "O")[:4]] = "F"
    assert "F beside O" in free_volume(fluoride).reference_note
    assert free_volume(quartz(), oxygen_volume=15.0).reference_note is None
    assert free_volume(RATTLED).reference_note is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("MgO2H2", "with H"),
        ("Li2O", "more closely"),
        ("CaO", "Ca"),
        ("MoO3", "Mo"),
        ("TiO2_anatase", "Ti"),
        ("SiO2_cristobalite", "network of Si"),
        ("MgO", None),
        ("MgAl2O4", None),
        ("MoO2", None),
    ],
)
def test_the_reference_says_nothing_without_a_cation_like_mg(name: str, why: str | None) -> None:
    """With hydrogen, of a size that is not Mg's within 15 %, or of a negative free volume, states given or not."""
    crystal = BY_NAME[name].atoms()
    for atoms in (crystal, with_oxidation_states(crystal, "formal")):
        note = free_volume(atoms).reference_note
        assert (note is None) if why is None else (why in note)


def test_the_note_names_the_crystal_that_is_a_reference() -> None:
    assert "SiO2_quartz" in free_volume(BY_NAME["SiO2_cristobalite"].atoms()).reference_note
    for other in ("Li3PO4", "Li2O", "CaCO3"):  # no crystal of the table has the network of phosphate, say
        assert "such as" not in free_volume(BY_NAME[other].atoms()).reference_note
    expanded = free_volume(BY_NAME["SiO2_cristobalite"].atoms(), oxygen_volume="SiO2_quartz")
    assert expanded.reference_note is None
    # the cells of quartz and cristobalite hold 37.71 and 42.33 Å³ for each Si; the difference is nearly all of O
    assert expanded.free_volume_fraction == pytest.approx((42.327 - 37.710) / 42.327, abs=0.01)
    assert "more closely" in free_volume(BY_NAME["SiO2_quartz"].atoms(), oxygen_volume=25.0).reference_note


def test_an_ion_is_one_of_the_cell() -> None:
    crystal = BY_NAME["MgO"].atoms()
    with pytest.raises(ValueError, match=r"ion = Mg3\+ .* there is Mg2\+"):
        free_volume(crystal, ion="Mg3+")
    with pytest.raises(ValueError, match=r"ion = Mg3\+ .* of \+2"):
        free_volume(with_oxidation_states(crystal, "formal"), ion="Mg3+")
    with pytest.raises(ValueError, match=r"ion = O- "):
        free_volume(crystal, ion="O-")
    assert free_volume(crystal, ion="O2-").ratio is None
    mixed = RATTLED.copy()
    mixed.set_array("oxidation_states", np.select([mixed.symbols == s for s in ("Mg", "Ti", "O")], [2.0, 4, -2], 4.5))
    assert (
        free_volume(mixed, ion="Mo4+").ratio
        == free_volume(mixed, ion="Mo5+").ratio
        == free_volume(mixed, ion="Mo").ratio
    )
    with pytest.raises(ValueError, match=r"Mo6\+"):
        free_volume(mixed, ion="Mo6+")


def test_radii_sets_are_named_and_follow_the_oxidation_states() -> None:
    atoms = RATTLED.copy()
    states = {"Mg": 2, "Ti": 4, "Mo": 4, "O": -2}
    atoms.set_array("oxidation_states", np.array([states[symbol] for symbol in atoms.symbols], dtype=float))
    shannon = {"Mg2+": 0.72, "Ti4+": 0.605, "Mo4+": 0.65, "O": 1.40}
    named = free_volume(atoms, tessellation="power", radii="shannon_ionic")
    given = free_volume(atoms, tessellation="power", radii=shannon)
    np.testing.assert_array_equal(named.volumes, given.volumes)
    assert (named.tessellation, named.radii_set, given.radii_set) == ("power", "shannon_ionic", "given")
    covalent = free_volume(atoms, tessellation="power", radii="cordero_covalent")
    assert not np.allclose(covalent.volumes, named.volumes, rtol=1e-2)
    assert free_volume(atoms).radii_set is None


# Errors


def test_radii_and_tessellation_must_fit() -> None:
    with pytest.raises(ValueError, match=r"a power tessellation needs radii; name a set, shannon_ionic or"):
        voronoi_volumes(RATTLED, tessellation="power")
    with pytest.raises(ValueError, match=r"radii = 'shannon_ionic' have no place in a plain tessellation"):
        voronoi_volumes(RATTLED, radii="shannon_ionic")
    with pytest.raises(ValueError, match=r"unknown radii set 'bondi'"):
        voronoi_volumes(RATTLED, tessellation="power", radii="bondi")
    with pytest.raises(ValueError, match=r"no radius for Mo among Mg, Ti, O; give one for every species"):
        voronoi_volumes(RATTLED, tessellation="power", radii={"Mg": 1, "Ti": 1, "O": 1})
    with pytest.raises(ValueError, match=r"radii = {'Mg': -1.0} Å must be .* greater than or equal to 0"):
        voronoi_volumes(RATTLED, tessellation="power", radii={"Mg": -1.0})
    with pytest.raises(ValueError, match=r"tessellation = 'radical' must be 'plain' or 'power'"):
        voronoi_volumes(RATTLED, tessellation="radical")


def test_ion_anion_and_reference_must_make_sense() -> None:
    with pytest.raises(ValueError, match=r"anion = O is not in the cell, which has Cl, Na"):
        free_volume(bulk("NaCl", "rocksalt", a=5.64))
    with pytest.raises(ValueError, match=r"for oxygen, not for Cl; give oxygen_volume in Å³"):
        free_volume(bulk("NaCl", "rocksalt", a=5.64), anion="Cl")
    with pytest.raises(ValueError, match=r"oxygen_volume_source = 'mine' describes a number"):
        free_volume(RATTLED, oxygen_volume_source="mine")
    with pytest.raises(ValueError, match=r"unknown element 'Xx'"):
        free_volume(RATTLED, ion="Xx2+")
    with pytest.raises(ValueError, match=r"ion = Ca2\+ is not in the cell, which has Mg, Mo, O, Ti"):
        free_volume(RATTLED, ion="Ca2+")
    with pytest.raises(ValueError, match=r"oxygen_volume = 'Mg' is no oxide of the table, MgO, Li2O"):
        free_volume(RATTLED, oxygen_volume="Mg")
    with pytest.raises(ValueError, match=r"oxygen_volume = -9.3 .*must be"):
        free_volume(RATTLED, oxygen_volume=-9.3)
    with pytest.raises(ValueError, match=r"are 0.000 Å apart"):
        free_volume(RATTLED + RATTLED[:1])


@pytest.mark.parametrize("radii", ["shannon_ionic", "cordero_covalent", {"Mg": 0.72, "O": 1.4}])
def test_the_reference_is_cut_by_the_radii_of_the_structure(radii) -> None:
    crystal = bulk("MgO", "rocksalt", a=4.212)
    assert free_volume(crystal, tessellation="power", radii=radii).free_volume_fraction == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match=r"reference MgO is cut by the same radii: no radius for Mg"):
        free_volume(bulk("CaO", "rocksalt", a=4.8), tessellation="power", radii={"Ca": 1.0, "O": 1.4})
