import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from amorph.analysis.scattering import amorphous_share, powder_pattern
from amorph.structure import to_pymatgen
from amorph.tables import form_factor
from amorph.tables.crystals import BY_NAME


def disordered_rocksalt(rng, repeat=5):
    """Li333 Ti56 Mo111 O500 for five cells along each axis, cations at random."""
    atoms = bulk("LiO", "rocksalt", a=4.15, cubic=True).repeat(repeat)
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Li"))
    n_ti, n_mo = round(len(cations) / 9), round(2 * len(cations) / 9)
    atoms.symbols[cations[:n_ti]] = "Ti"
    atoms.symbols[cations[n_ti : n_ti + n_mo]] = "Mo"
    return atoms


def glassy(rng, crystal):
    """The same atoms thrown out of their places by 1.2 Å, none nearer than 0.6 Å to another."""
    atoms = crystal.copy()
    moved = np.arange(len(atoms))
    while moved.size:
        atoms.positions[moved] = crystal.positions[moved] + rng.normal(0.0, 0.7, (moved.size, 3))
        close = atoms.get_all_distances(mic=True)
        np.fill_diagonal(close, 9.0)
        moved = np.flatnonzero(close.min(axis=1) < 0.6)
    return atoms


def areas_at(pattern, places, half=0.5):
    step = pattern.two_theta_deg[1] - pattern.two_theta_deg[0]
    return np.array([pattern.intensity[abs(pattern.two_theta_deg - place) < half].sum() * step for place in places])


# independent reference


@pytest.mark.parametrize("name", ["TiO2_rutile", "MoO3", "Li2TiO3"])
def test_lines_of_a_crystal_are_those_of_pymatgen(name):
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    atoms = BY_NAME[name].atoms()
    theirs = XRDCalculator(1.5418).get_pattern(to_pymatgen(atoms), scaled=False, two_theta_range=(10, 80))
    made = powder_pattern(atoms, two_theta=(8.0, 82.0), step=0.002, width=0.02, polarization=True)
    strong = theirs.y > 0.02 * theirs.y.max()
    apart = np.array([min(abs(np.delete(theirs.x, n) - x)) > 0.2 for n, x in enumerate(theirs.x)])
    places = theirs.x[strong & apart]
    assert places.size >= 4
    maxima = np.array([row["two_theta_deg"] for row in made.table()])
    # the grid of angles, and shells of 0.0005 1/Å, which are 0.007° wide here
    assert max(min(abs(maxima - place)) for place in places) < 0.005
    ratios = areas_at(made, places, 0.1) / theirs.y[strong & apart]
    # form factors of another table: within 3 % of each other, of weak lines of opposite atoms more
    np.testing.assert_allclose(ratios / np.median(ratios), 1.0, atol=0.06)


# closed form


def test_intensity_per_atom_is_absolute():
    # one atom in a cell: I(q) is a comb of f² whose mean is that of Σ c f², the self scattering
    atoms = Atoms("O", cell=[11.0, 12.0, 13.0], pbc=True)
    made = powder_pattern(atoms, wavelength="MoKa", two_theta=(20.0, 60.0), broadening=1.0)
    q = 4.0 * np.pi / 0.7107 * np.sin(np.radians(0.5 * made.two_theta_deg))
    np.testing.assert_allclose(made.intensity[300:-300], form_factor("O", q)[300:-300] ** 2, rtol=0.03)
    assert made.smallest_two_theta_deg == pytest.approx(2.0 * math.degrees(math.asin(0.7107 / 26.0)), abs=1e-3)


def test_tails_do_not_depend_on_where_the_range_ends():
    about = {"wavelength": 1.5406, "width": 1.0, "lorentzian_share": 1.0}
    near, far = (powder_pattern(bulk("Cu", a=3.615), two_theta=(60.0, end), **about) for end in (84.9, 95.0))
    np.testing.assert_allclose(near.intensity, far.intensity[: near.intensity.size], rtol=0.01)


def test_profile():
    copper = bulk("Cu", a=3.615)
    about = {"wavelength": 4.0, "two_theta": (141.8, 151.8), "step": 0.005, "width": 0.3}  # (111) alone, at 146.8°
    gauss, voigt = powder_pattern(copper, **about), powder_pattern(copper, **about, lorentzian_share=0.5)
    for made, inside in ((gauss, 1.0), (voigt, 0.99)):
        above = made.two_theta_deg[made.intensity >= 0.5 * made.intensity.max()]
        assert abs(above[-1] - above[0] - 0.3) < 0.012
        # the Lorentzian half of the area has 2 arctan(2 · 5/0.3)/π of it within the range
        np.testing.assert_allclose(made.intensity.sum() / gauss.intensity.sum(), inside, atol=0.002)
    polarized = powder_pattern(copper, **about, polarization=True)
    place = np.radians(gauss.two_theta_deg[np.argmax(gauss.intensity)])
    np.testing.assert_allclose(
        polarized.intensity.max() / gauss.intensity.max(), 0.5 * (1.0 + math.cos(place) ** 2), rtol=1e-4
    )


# the paper's crystal


@pytest.mark.parametrize(
    ("wavelength", "places", "shares"),
    [
        ("MoKa", (17.06, 19.72, 28.03, 33.00, 34.51), (19, 100, 63, 13, 20)),
        ("CuKa", (37.54, 43.62, 63.39), (19, 100, 57)),
    ],
)
def test_lines_of_the_disordered_rocksalt(wavelength, places, shares):
    rng = np.random.default_rng(0)
    crystals = [disordered_rocksalt(rng) for _ in range(3)]
    made = powder_pattern(crystals, wavelength=wavelength, two_theta=(10.0, 70.0), width=0.1, polarization=True)
    # diffuse scattering of the random cations lies between the lines
    between = areas_at(made, [place + 0.75 for place in places], 0.25)
    areas = areas_at(made, places, 0.25) - between
    np.testing.assert_allclose(100.0 * areas / areas[1], shares, atol=2.5)
    heights = [
        made.two_theta_deg[np.argmax(np.where(abs(made.two_theta_deg - p) < 0.3, made.intensity, 0))] for p in places
    ]
    np.testing.assert_allclose(heights, places, atol=0.021)


# mixtures


def test_share_of_a_mixture():
    rng = np.random.default_rng(1)
    crystal = disordered_rocksalt(rng, 3)
    glasses = [glassy(rng, crystal) for _ in range(2)]
    given = {"wavelength": "MoKa", "two_theta": (8.0, 40.0), "polarization": True, "step": 0.05}
    halo = powder_pattern(glasses, **given, width=0.2, broadening=0.25)
    lines = powder_pattern(crystal, **given, width=0.2)
    assert halo.intensity.max() < 0.3 * lines.intensity.max()
    assert (halo.samples, halo.intensity_standard_error.shape) == (2, halo.intensity.shape)
    x = halo.two_theta_deg
    background = 400.0 + 300.0 * np.exp(-x / 20.0)
    pulls = []
    for share in (0.2, 0.5, 0.9):
        for _ in range(6):
            clean = 3.0 * (share * halo.intensity + (1.0 - share) * lines.intensity) + background
            counts = rng.poisson(clean)
            found = amorphous_share(np.column_stack([x, counts, np.sqrt(counts)]), halo, lines)
            pulls.append((found.share_of_atoms - share) / found.standard_error)
            assert abs(found.fit.reduced_chi_squared - 1.0) < 0.25
            assert 0.0 < found.standard_error < 0.05
            np.testing.assert_allclose(found.amorphous + found.crystalline + found.fit.background, clean, rtol=0.1)
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 1.6  # 18 pulls of a unit normal, 1 ± 0.17
    assert found.share_of_mass == pytest.approx(found.share_of_atoms)
    assert found.figures()["fit"].keys() >= {"background", "residual", "r_w"}
    bare = amorphous_share(np.column_stack([x, clean]), halo, lines)
    assert abs(bare.share_of_atoms - 0.9) < 0.01
    assert bare.fit.reduced_chi_squared is None


@pytest.fixture(scope="module")
def mixture():
    """Crystal of the paper, angles, halo, background, and a measured pattern with 30 % of its atoms in the glass."""
    rng = np.random.default_rng(1)
    crystal = disordered_rocksalt(rng, 3)
    given = {"wavelength": "MoKa", "two_theta": (8.0, 40.0), "polarization": True}
    halo = powder_pattern(glassy(rng, crystal), **given, width=0.2, broadening=0.25)
    lines = powder_pattern(crystal, **given)
    background = 400.0 + 300.0 * np.exp(-halo.two_theta_deg / 20.0)
    counts = rng.poisson(3.0 * (0.3 * halo.intensity + 0.7 * lines.intensity) + background)
    measured = np.column_stack([halo.two_theta_deg, counts, np.sqrt(counts)])
    return crystal, given, halo, background, measured


def resized(crystal, factor):
    other = crystal.copy()
    other.set_cell(crystal.cell * factor, scale_atoms=True)
    return other


def test_stretched_lines_are_those_of_the_stretched_crystal(mixture):
    crystal, given, *_ = mixture
    for more in ({}, {"lorentzian_share": 0.3, "form_factors": {"O": "O1-"}, "wavelength": "CuKa"}):
        pattern = powder_pattern(crystal, **given | more)
        for factor in (0.97, 1.0, 1.03):
            expected = powder_pattern(resized(crystal, factor), **given | more).intensity
            # shells of 0.0005 1/Å gather lines anew, and tails of lines beyond the range differ
            np.testing.assert_allclose(pattern.stretched(factor), expected, atol=2e-3 * expected.max())


@pytest.mark.parametrize("factor", [0.97, 0.995, 1.0, 1.005, 1.03])
def test_the_lattice_of_the_model_does_not_move_the_share(mixture, caplog, factor):
    """Of a crystal 0.5 % too large the share read 0.59, and 1.0 at 3 %."""
    crystal, given, halo, _, measured = mixture
    found = amorphous_share(measured, halo, powder_pattern(resized(crystal, factor), **given))
    assert abs(found.share_of_atoms - 0.3) < 4.0 * found.standard_error < 0.08
    assert abs(found.lattice_factor * factor - 1.0) < 3e-5
    assert 0.0 < found.lattice_factor_standard_error < 3e-5
    assert found.fit.reduced_chi_squared < 1.2
    assert found.figures()["lattice_factor"] == found.lattice_factor
    assert not caplog.records


@pytest.mark.parametrize(("columns", "number"), [(3, "χ²"), (2, "R_w")])
def test_a_bad_fit_is_logged_with_its_number(mixture, caplog, columns, number):
    crystal, given, halo, _, measured = mixture
    amorphous_share(measured[:, :columns], halo, powder_pattern(resized(crystal, 1.08), **given))
    (record,) = caplog.records
    assert number in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.fixture(scope="module")
def magnesia():
    """Settings, halo and lines of MgO, and counts of 30 % glass with a crystal of another width, strained along z."""
    crystal = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    given = {"two_theta": (20.0, 90.0), "polarization": True}
    halo = powder_pattern(glassy(np.random.default_rng(1), crystal.repeat(3)), **given, width=0.2, broadening=0.25)
    lines = powder_pattern(crystal, **given, width=0.2)

    def counted(width, strain=0.0):
        other = crystal.copy()
        other.set_cell(crystal.cell.array * [1.0, 1.0, 1.0 + strain], scale_atoms=True)
        mixed = 0.3 * halo.intensity + 0.7 * powder_pattern(other, **given, width=width).intensity
        return np.column_stack([halo.two_theta_deg, 100.0 * mixed + 20.0])

    return halo, lines, counted


@pytest.mark.parametrize(
    "width", [0.2, 0.25, 0.8, *(pytest.param(w, marks=pytest.mark.slow) for w in (0.16, 0.22, 0.3))]
)
def test_the_width_of_the_lines_does_not_move_the_share(magnesia, caplog, width):
    """Computed with 0.20°, lines of 0.25° made 0.46 of a share of 0.30, those of 0.30° 0.57."""
    halo, lines, counted = magnesia
    clean = counted(width)
    exact = amorphous_share(clean, halo, lines)
    assert (exact.share_of_atoms, exact.line_width_deg) == pytest.approx((0.3, width), abs=1e-5)
    pulls = []
    for seed in range(5):
        counts = np.random.default_rng(seed).poisson(clean[:, 1])
        found = amorphous_share(np.column_stack([clean[:, 0], counts, np.sqrt(counts)]), halo, lines)
        assert 0.0 < found.line_width_standard_error_deg < 1e-3 * width
        pulls.append((found.line_width_deg - width) / found.line_width_standard_error_deg)
        assert abs(found.share_of_atoms - 0.3) < 4.0 * found.standard_error < 0.02
        assert found.figures()["line_width_deg"] == found.line_width_deg
        assert abs(amorphous_share(np.column_stack([clean[:, 0], counts]), halo, lines).share_of_atoms - 0.3) < 0.02
    assert np.sqrt(np.mean(np.square(pulls))) < 2.5  # σ = √counts has a bias of its own
    assert not caplog.records


@pytest.mark.parametrize("strain", [0.003, 0.005])
def test_a_strain_that_is_not_fitted_is_logged(magnesia, caplog, strain):
    """Without a warning a tetragonal strain of 0.3 % made 0.46 of 0.30."""
    halo, lines, counted = magnesia
    amorphous_share(counted(0.2, strain), halo, lines)
    (record,) = caplog.records
    for word in ("R_w", "lattice", "strain", "width", "zero"):
        assert word in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_width_at_the_end_of_what_is_tried_is_logged(magnesia, caplog):
    halo, lines, counted = magnesia
    found = amorphous_share(counted(1.05), halo, lines)
    assert found.line_width_deg == pytest.approx(1.0, abs=1e-4)
    assert "width" in caplog.text


def test_a_lattice_at_the_end_of_what_is_tried_is_logged(mixture, caplog):
    crystal, given, halo, _, measured = mixture
    # a third of a line's width beyond the end
    found = amorphous_share(measured, halo, powder_pattern(resized(crystal, 1.0 / 1.0403), **given))
    assert found.lattice_factor == pytest.approx(1.04, abs=1e-4)
    assert "1.04" in caplog.text


def test_a_crystal_that_is_not_there(mixture, caplog):
    crystal, given, halo, background, _ = mixture
    lines = powder_pattern(crystal, **given)
    glass = np.column_stack([halo.two_theta_deg, 3.0 * halo.intensity + background])
    assert amorphous_share(glass, halo, lines).share_of_atoms == pytest.approx(1.0, abs=1e-3)
    # lines that point down
    glass[:, 1] -= 0.01 * sum(lines.stretched(factor) for factor in np.linspace(0.95, 1.05, 200)) / 200.0
    found = amorphous_share(glass, halo, lines)
    assert (found.share_of_atoms, found.lattice_factor, found.lattice_factor_standard_error) == (1.0, None, None)
    assert "not found" in caplog.text


@pytest.mark.parametrize("columns", [2, 3])
def test_a_glass_alone_has_no_lattice(mixture, columns):
    """Its noise looks most like the crystal at some lattice: 0.972 ± 0.0013."""
    crystal, given, halo, background, _ = mixture
    lines = powder_pattern(crystal, **given)
    for seed in range(6):
        counts = np.random.default_rng(seed).poisson(3.0 * halo.intensity + background)
        measured = np.column_stack([halo.two_theta_deg, counts, np.sqrt(counts)])
        found = amorphous_share(measured[:, :columns], halo, lines)
        assert abs(found.share_of_atoms - 1.0) < 0.02
        about = found.lattice_factor, found.lattice_factor_standard_error
        assert (*about, found.line_width_deg, found.line_width_standard_error_deg) == (None,) * 4


# errors


def test_what_is_refused():
    copper = bulk("Cu", a=3.615)
    with pytest.raises(ValueError, match="'AgKa'"):
        powder_pattern(copper, wavelength="AgKa")
    with pytest.raises(ValueError, match="50"):
        powder_pattern(copper, two_theta=(50.0, 20.0))
    with pytest.raises(ValueError, match="180"):
        powder_pattern(copper, two_theta=(50.0, 200.0))
    one, other = (powder_pattern(copper, wavelength=name) for name in ("CuKa", "MoKa"))
    with pytest.raises(ValueError, match=r"1\.5418"):
        amorphous_share(np.ones((50, 2)), one, other)
