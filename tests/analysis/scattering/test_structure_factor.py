import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.cell import Cell
from hypothesis import given, settings, strategies as st

from amorph.analysis.order.samples import Samples, samples_of
from amorph.analysis.scattering import first_sharp_peak, structure_factor
from amorph.analysis.scattering.vectors import pairs_of, shells_of
from amorph.tables import form_factor, scattering_length


def skewed(seed, symbols="TiO2LiO"):
    """A triclinic cell, thinner than the reach of nothing, its atoms nowhere near each other."""
    rng = np.random.default_rng(seed)
    cell = np.array([[5.0, 0.3, 0.0], [1.5, 4.6, 0.0], [-1.0, 1.2, -5.2]]) + rng.normal(0.0, 0.3, (3, 3))
    while True:
        atoms = Atoms(symbols, cell=cell, pbc=True)
        atoms.set_scaled_positions(rng.random((len(atoms), 3)))
        if atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)].min() > 0.8:
            return atoms


def vectors_by_force(atoms, q_max):
    """Every reciprocal vector up to q_max but 0, found without any symmetry."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(atoms.cell.array).T
    reach = [math.floor(q_max * length / (2.0 * np.pi)) + 1 for length in atoms.cell.lengths()]
    steps = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    vectors = steps[(steps != 0).any(axis=1)] @ reciprocal
    return vectors[np.linalg.norm(vectors, axis=1) <= q_max]


def density_of(atoms, vectors, weights):
    """Σ w exp(iq·r), atom by atom."""
    return np.exp(1j * vectors @ atoms.positions.T) @ weights


# closed form


def test_a_pair_in_and_out_of_phase():
    made = structure_factor(bulk("CsCl", "cesiumchloride", a=4.0), q_max=2.5, probes=("xray",))
    f = np.array([form_factor(symbol, made.q) for symbol in ("Cs", "Cl")])
    in_phase = np.array([-1.0, 1.0])
    expected = 0.5 * (f[0] + in_phase * f[1]) ** 2 / (0.5 * (f[0] + f[1])) ** 2
    # S = I/⟨f⟩² less the self part's distance from it, (⟨f²⟩ − ⟨f⟩²)/⟨f⟩²
    expected -= (0.5 * (f**2).sum(axis=0) - (0.5 * f.sum(axis=0)) ** 2) / (0.5 * f.sum(axis=0)) ** 2
    np.testing.assert_allclose(made.total("xray"), expected, rtol=1e-12)
    assert made.vectors.tolist() == [6, 12]


def test_an_ideal_gas_gives_one():
    # no structure that the front door takes: its atoms lie upon each other
    rng = np.random.default_rng(1)
    gas = [Atoms("Ti200O300", positions=rng.random((500, 3)) * 15.0, cell=[15.0] * 3, pbc=True) for _ in range(4)]
    made = shells_of(Samples((tuple(gas),), ("Ti", "O"), frozenset("O")), 10.0, 0.5)[0]
    for n, (a, b) in enumerate(pairs_of(2)):
        mean = made.products[:, n].sum() / made.vectors.sum() / math.sqrt(made.numbers[a] * made.numbers[b])
        # |ρ|²/N is exponential with mean and spread 1, Re ρ_a ρ_b* has the spread 1/√2; half the vectors are others'
        assert abs(mean - (a == b)) < 4.0 / math.sqrt(made.vectors.sum() / 2)


# sum rules


def test_partials_rebuild_the_totals():
    atoms = skewed(0)
    made = structure_factor(atoms, q_max=8.0)
    vectors = vectors_by_force(atoms, 8.0)
    b = np.array([scattering_length(symbol) for symbol in atoms.get_chemical_symbols()])
    intensity = np.abs(density_of(atoms, vectors, b)) ** 2 / len(atoms)
    mean, square = abs(b.mean()) ** 2, (np.abs(b) ** 2).mean()
    shell = ((np.linalg.norm(vectors, axis=1)) / 0.05 + 1e-6).astype(int)
    met = np.unique(shell)
    averaged = np.array([intensity[shell == n].mean() for n in met])
    np.testing.assert_allclose(made.total("neutron"), 1.0 + (averaged - square) / mean, atol=1e-12 * square / mean)
    for probe in ("neutron", "xray"):
        np.testing.assert_allclose(made.weights[probe].sum(axis=0), 1.0, rtol=1e-12)
        rebuilt = sum(w * s for w, s in zip(made.weights[probe], made.partials.values(), strict=True))
        np.testing.assert_allclose(rebuilt, made.total(probe), rtol=0, atol=1e-12)


def test_equal_lengths_give_the_unweighted_one():
    atoms = skewed(1)
    made = structure_factor(
        atoms, q_max=8.0, probes=("neutron",), scattering_lengths={"Ti": -3.0, "O": -3.0, "Li": -3.0}
    )
    alike = atoms.copy()
    alike.symbols = ["O"] * len(atoms)
    plain = structure_factor(alike, q_max=8.0)
    np.testing.assert_allclose(made.total("neutron"), plain.partials["O-O"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(plain.total("xray"), plain.partials["O-O"], rtol=1e-14)


def test_conventions():
    made = structure_factor(skewed(2), q_max=6.0)
    c = dict(zip(made.elements, made.concentrations, strict=True))
    for name, langreth in made.ashcroft_langreth.items():
        a, b = name.split("-")
        np.testing.assert_allclose(
            made.partials[name], 1.0 + (langreth - (a == b)) / math.sqrt(c[a] * c[b]), atol=1e-12
        )
    assert (made.ashcroft_langreth["Ti-Ti"] >= 0.0).all()
    assert made.pairs == ("Li-Li", "Li-Ti", "Li-O", "Ti-Ti", "Ti-O", "O-O")
    assert made.figures()["s_q_convention"].startswith("Faber–Ziman")


def test_complex_lengths():
    atoms = Atoms("CdO", positions=[[0.0, 0.0, 0.0], [1.9, 0.2, 0.1]], cell=[3.0, 3.4, 3.9], pbc=True)
    made = structure_factor(atoms, q_max=4.0, bin_width=1e-4, probes=("neutron",))
    vectors = vectors_by_force(atoms, 4.0)
    b = np.array([scattering_length("Cd"), scattering_length("O")])
    assert abs(b[0].imag) > 0.5
    # a vector and its opposite differ where the lengths are complex: the shell holds both
    intensity = np.abs(density_of(atoms, vectors, b)) ** 2 / 2
    expected = 1.0 + (intensity.mean() - (np.abs(b) ** 2).mean()) / abs(b.mean()) ** 2
    assert math.isclose(made.total("neutron") @ made.vectors / made.vectors.sum(), expected, rel_tol=1e-12)
    assert "i" in made.weights_from["neutron"].split("Cd")[1].split(",")[0]


# invariance


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_what_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    atoms = skewed(seed)
    made = structure_factor(atoms, q_max=6.0)
    other = atoms.copy()
    other.rotate(rng.uniform(0.0, 360.0), rng.normal(size=3), rotate_cell=True)
    other.positions += rng.normal(0.0, 3.0, 3)
    other = other[rng.permutation(len(atoms))]
    # other vectors of the same lattice, which the sum must not see
    other.cell = Cell(np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ other.cell.array)
    same = structure_factor(other, q_max=6.0)
    assert same.vectors.tolist() == made.vectors.tolist()
    for name, partial in made.partials.items():
        np.testing.assert_allclose(same.partials[name], partial, atol=1e-9)


def test_a_cell_equals_its_supercell():
    atoms = skewed(3)
    once, often = (shells_of(samples_of(frame), 6.0, 0.05)[0] for frame in (atoms, atoms.repeat((2, 3, 1))))
    # the supercell has more vectors, at which nothing scatters: |ρ|² is 36 times larger at those of the cell
    np.testing.assert_allclose(often.products, 36.0 * once.products, atol=1e-9)
    assert (often.vectors >= once.vectors).all()
    pair = structure_factor([atoms, atoms.repeat((1, 2, 1))], q_max=3.0)
    assert np.isnan(pair.sampled[0]).any()
    assert not np.isnan(pair.total("xray")).any()


# independent reference


@pytest.mark.parametrize("seed", range(3))
def test_partials_against_a_double_sum_over_atoms(seed):
    atoms = skewed(seed, "LiO2TiO3")
    made = structure_factor(atoms, q_max=7.0, bin_width=1e-4)
    vectors = vectors_by_force(atoms, 7.0)
    lengths = np.linalg.norm(vectors, axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    separations = atoms.positions[:, None] - atoms.positions[None]
    for q, partials in zip(made.q[::17], np.array(list(made.ashcroft_langreth.values())).T[::17], strict=True):
        cosines = np.cos(separations @ vectors[abs(lengths - q) < 5e-5].T).mean(axis=2)
        for name, found in zip(made.pairs, partials, strict=True):
            a, b = (symbols == symbol for symbol in name.split("-"))
            assert abs(cosines[np.ix_(a, b)].sum() / math.sqrt(a.sum() * b.sum()) - found) < 1e-11


def test_shells_of_a_crystal_are_pymatgen_structure_factors():
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS, XRDCalculator
    from pymatgen.core import Lattice, Structure

    anatase = Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(3.785, 9.514), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.2081]]
    )
    peaks = XRDCalculator(1.5418).get_pattern(anatase, scaled=False, two_theta_range=(10, 100))
    made = shells_of(
        samples_of(Atoms(anatase.to_ase_atoms())), 4.0 * np.pi / 1.5418 * np.sin(np.radians(50.0)), 0.0005
    )[0]
    q = made.lengths / np.maximum(made.vectors, 1)
    s2 = (q / (4.0 * np.pi)) ** 2
    f = []
    for symbol, z in (("Ti", 22), ("O", 8)):
        a, b = np.array(ATOMIC_SCATTERING_PARAMS[symbol]).T[:, :, None]
        f.append(z - 41.78214 * s2 * (a * np.exp(-b * s2)).sum(axis=0))
    squares = (
        f[0] ** 2 * made.products[:, 0] + 2.0 * f[0] * f[1] * made.products[:, 1] + f[1] ** 2 * made.products[:, 2]
    )
    for two_theta, intensity in zip(peaks.x, peaks.y, strict=True):
        theta = np.radians(0.5 * two_theta)
        lorentz = (1.0 + np.cos(2.0 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
        near = abs(q - 4.0 * np.pi / 1.5418 * np.sin(theta)) < 0.001
        np.testing.assert_allclose(squares[near].sum() * lorentz, intensity, rtol=1e-9)


# samples and frames


def test_files_are_the_unit_of_the_error():
    glasses = [skewed(seed) for seed in range(4)]
    made = structure_factor(glasses, q_max=6.0, bin_width=0.5)
    each = np.array([structure_factor(glass, q_max=6.0, bin_width=0.5).total("xray")[-5:] for glass in glasses])
    # the weights are at the mean q of all, apart by some thousandths of 1/Å
    np.testing.assert_allclose(made.total("xray")[-5:], each.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(made.total_error("xray")[-5:], each.std(axis=0, ddof=1) / 2.0, atol=1e-3)
    one = structure_factor([glasses], q_max=6.0, bin_width=0.5)
    assert (one.samples, one.frames, one.total_error("xray"), made.samples) == (1, 4, None, 4)
    assert one.figures()["s_q_standard_error"] is None
    assert set(made.figures()["s_q"]) == {"neutron", "xray", "partial"}
    assert len(made.table()) == len(made.q)
    assert made.figures()["smallest_q_per_A"] == made.q[0] > 2.0 * np.pi / 6.0


def test_first_sharp_peak():
    q = np.arange(0.3, 12.0, 0.05)
    rng = np.random.default_rng(0)
    shape = 1.0 - np.exp(-q) + 0.9 * np.exp(-0.5 * ((q - 1.52) / 0.17) ** 2) + 0.4 * np.exp(-((q - 2.9) ** 2) / 0.08)
    samples = shape + rng.normal(0.0, 0.05, (6, q.size))
    peak = first_sharp_peak(q, samples)
    assert abs(peak.place_per_A - 1.52) < 4.0 * peak.place_standard_error_per_A < 0.08
    assert peak.error_from == "samples"
    assert abs(peak.width_per_A - 0.17 * 2.3548) < 0.06
    samples[1:, ::7] = np.nan  # shells that one cell alone has
    samples[0, 3::7] = np.nan
    assert abs(first_sharp_peak(q, samples).place_per_A - 1.52) < 0.03
    one = first_sharp_peak(q, shape)
    assert one.error_from == "fit"
    assert abs(one.place_per_A - 1.52) < 0.02
    assert first_sharp_peak(q, 1.0 - np.exp(-q)) is None
    assert [row.unit for row in one.rows()] == ["1/Å", "1/Å"]


def test_the_error_of_the_peak_is_that_of_its_mean_place():
    q, places = np.arange(0.3, 12.0, 0.05), 1.5 + np.array([-0.04, -0.01, 0.0, 0.02, 0.03])
    peak = first_sharp_peak(q, [1.0 + np.exp(-0.5 * ((q - place) / 0.2) ** 2) for place in places])
    assert peak.place_per_A == pytest.approx(places.mean(), abs=1e-3)
    assert peak.place_standard_error_per_A == pytest.approx(places.std(ddof=1) / np.sqrt(len(places)), rel=0.05)


# errors


def test_what_is_refused():
    atoms = skewed(5)
    with pytest.raises(ValueError, match="LiO3Ti"):
        structure_factor([atoms, bulk("TiO", "rocksalt", a=4.2)])
    with pytest.raises(ValueError, match="q_max"):
        structure_factor(atoms, q_max=0.3)
    with pytest.raises(ValueError, match="q_max = -1"):
        structure_factor(atoms, q_max=-1.0)
    with pytest.raises(ValueError, match="Po"):
        structure_factor(bulk("Po", "sc", a=3.3))
    with pytest.raises(ValueError, match="Mg"):
        structure_factor(atoms, scattering_lengths={"Mg": 5.0})
    with pytest.raises(ValueError, match="cancel"):
        structure_factor(bulk("TiO", "rocksalt", a=4.2), scattering_lengths={"Ti": -5.0, "O": 5.0})
    with pytest.raises(ValueError, match="no structure"):
        structure_factor([])
    with pytest.raises(ValueError, match="neutron"):
        structure_factor(atoms, probes=("neutron",), q_max=2.0).total("xray")
    with pytest.raises(ValueError, match="O5-"):
        structure_factor(atoms, form_factors={"O": "O5-"})
