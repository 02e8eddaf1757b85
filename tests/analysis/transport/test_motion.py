"""Paths that are followed, moments of displacements, what an ion that rattles is given, and the activation energy."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from walks import leaping

from amorph.analysis.transport import arrhenius, diffusion, unwrapped_paths
from amorph.analysis.transport.activation import fit_arrhenius
from amorph.analysis.transport.motion import JUMP_A, moments


def wrapped(host, displacements):
    """Frames of a structure whose atoms are displaced, (frames, atoms, 3), and wrapped."""
    frames = []
    for moved in displacements:
        atoms = host.copy()
        atoms.positions = host.positions + moved
        atoms.wrap()
        frames.append(atoms)
    return frames


def diffusing(temperature_K, diffusivity, rng, frames=400):
    """Li of a known D [Å²/ps] in a host of O that rattles; frames 0.1 ps apart."""
    host = bulk("LiF", "rocksalt", a=20.0, cubic=True)
    host.symbols[host.symbols == "F"] = "O"
    host = host.repeat(2)
    moved = 0.1 * rng.normal(size=(frames, len(host), 3))
    steps = np.sqrt(2 * diffusivity * 0.1) * rng.normal(size=(frames, len(host), 3))
    moved += np.cumsum(steps, axis=0) * (host.symbols == "Li")[None, :, None]
    return diffusion(
        wrapped(host, moved), frame_interval_ps=0.1, temperature_K=temperature_K, charges={"Li": 1.0}
    ), host


def test_moments_are_those_of_the_windows():
    """Every window of a lag that is odd or short; every second frame for 16 to 31 frames that are even, and so on."""
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.normal(size=(3, 2, 1300)), axis=2)
    lags = np.array([1, 7, 12, 17, 20, 27, 80, 640])
    second, fourth = moments(paths, lags)
    for k, (lag, stride) in enumerate(zip(lags, (1, 1, 1, 1, 2, 1, 8, 64), strict=True)):
        squares = ((paths[:, :, lag::stride] - paths[:, :, :-lag:stride]) ** 2).sum(axis=1)
        np.testing.assert_allclose(second[:, k], squares.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(fourth[:, k], (squares**2).mean(axis=1), rtol=1e-12)


def test_atoms_are_followed_through_the_faces_of_a_skewed_cell():
    rng = np.random.default_rng(1)
    host = Atoms(
        "LiO", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[[6, 0, 0], [2, 7, 0], [1, -1, 8]], pbc=True
    )
    moved = np.cumsum(0.5 * rng.normal(size=(600, 2, 3)), axis=0)
    moved -= moved[0]
    paths = unwrapped_paths(wrapped(host, moved))
    masses = host.get_masses()
    about = moved - (masses @ moved / masses.sum())[:, None]
    followed = np.concatenate([paths.of("Li"), paths.of("O")])
    np.testing.assert_allclose(followed.transpose(2, 0, 1), about, atol=1e-9)


def test_a_cell_that_breathes_moves_nobody():
    host = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    frames = []
    for strain in 0.05 * np.sin(np.arange(50.0)):
        atoms = host.copy()
        atoms.positions += 3 * atoms.cell[0]  # far from the origin, where a scaled position moves far
        atoms.set_cell(host.cell * (1 + strain), scale_atoms=True)
        frames.append(atoms)
    np.testing.assert_allclose(np.concatenate(unwrapped_paths(frames).blocks, axis=2), 0.0, atol=1e-9)


def test_a_drift_of_the_whole_is_taken_off():
    host = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    moved = np.arange(60.0)[:, None, None] * np.array([0.3, 0.2, -0.1]) * np.ones((1, len(host), 1))
    np.testing.assert_allclose(np.concatenate(unwrapped_paths(wrapped(host, moved)).blocks, axis=2), 0.0, atol=1e-9)


def test_a_step_of_half_a_cell_is_refused():
    host = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    moved = np.zeros((3, len(host), 3))
    moved[2, 3, 1] = 2.0
    with pytest.raises(ValueError, match=r"atom 3 .*0\.48 .*frame 2.*0\.4"):
        unwrapped_paths(wrapped(host, moved))


def leaps(arrays, rng, *, breathing=0.0):
    """Frames of leaping atoms in a skewed cell, wrapped, with their unwrapped positions or not, and their paths."""
    cell = np.array([[8.0, 0, 0], [2, 7.5, 0], [1, -1, 8]])
    fractions = leaping(60, rng)
    cells = cell * (1 + breathing * np.sin(np.arange(60.0)))[:, None, None]
    frames = [Atoms("Li3O", cell=h, scaled_positions=f % 1.0, pbc=True) for h, f in zip(cells, fractions, strict=True)]
    for atoms, place in zip(frames, fractions @ cells, strict=True):
        if arrays:
            atoms.set_array("unwrapped_positions", place)
    steps = np.diff(fractions, axis=0) @ ((cells[1:] + cells[:-1]) / 2)
    masses = frames[0].get_masses()
    steps -= np.einsum("a,fax->fx", masses / masses.sum(), steps)[:, None]
    return frames, np.cumsum(steps, axis=0)


@pytest.mark.parametrize("breathing", [0.0, 0.03])
def test_steps_of_any_length_are_those_of_unwrapped_positions(breathing):
    frames, truth = leaps(True, np.random.default_rng(7), breathing=breathing)
    followed = np.concatenate(unwrapped_paths(frames).blocks, axis=2).transpose(2, 0, 1)
    np.testing.assert_allclose(followed[1:], truth, atol=1e-9)
    for atoms in frames:
        atoms.positions += 5.0  # and whoever wraps the frames changes nothing
        atoms.positions -= 5.0
        atoms.wrap()
    again = np.concatenate(unwrapped_paths(frames).blocks, axis=2).transpose(2, 0, 1)
    np.testing.assert_allclose(again, followed, atol=1e-9)


def test_without_unwrapped_positions_long_steps_are_refused():
    frames, _ = leaps(False, np.random.default_rng(7))
    with pytest.raises(ValueError, match=r"0\.45 .*0\.4"):
        unwrapped_paths(frames)


@pytest.mark.parametrize("told", [True, False])
def test_a_cell_that_goes_on_with_other_lattice_vectors_moves_no_atom(told):
    """Sheared past a half, b becomes b − a, as LAMMPS has it; atoms at rest in the shear stay where they are."""
    rng = np.random.default_rng(4)
    places = rng.random((40, 3)) + (rng.integers(-2, 3, (40, 3)) if told else 0)
    frames = []
    for shear in np.linspace(0.4, 0.6, 41):
        cell = np.array([[10.0, 0, 0], [10.0 * shear, 10.0, 0], [0, 0, 10.0]])
        atoms = Atoms("LiO" * 20, positions=places @ cell, cell=cell, pbc=True)
        if shear > 0.5:
            atoms.set_cell(cell - [[0, 0, 0], cell[0], [0, 0, 0]])
        if told:
            atoms.set_array("unwrapped_positions", atoms.positions.copy())
        atoms.wrap()
        frames.append(atoms)
    np.testing.assert_allclose(np.concatenate(unwrapped_paths(frames).blocks, axis=2), 0.0, atol=1e-9)


def test_unwrapped_positions_that_are_of_other_atoms_are_passed_over():
    """As in dynamics that begin with a frame of a dump: the array stays where it was, the atoms do not."""
    rng = np.random.default_rng(8)
    host = Atoms("LiO", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[6, 7, 8], pbc=True)
    host.set_array("unwrapped_positions", host.positions + 2 * host.cell[0])
    moved = np.cumsum(0.5 * rng.normal(size=(50, 2, 3)), axis=0)
    with_array = unwrapped_paths(wrapped(host, moved)).blocks
    del host.arrays["unwrapped_positions"]
    np.testing.assert_array_equal(with_array, unwrapped_paths(wrapped(host, moved)).blocks)


def test_a_known_diffusion_is_found_and_the_host_is_bounded():
    found, host = diffusing(800.0, 0.02, np.random.default_rng(5))
    lithium, oxygen = found.ions["Li"], found.ions["O"]
    low, high = lithium.interval_95
    mass = host.get_masses()[host.symbols == "Li"].sum() / host.get_masses().sum()
    assert low < 2e-6 * (1 - mass / 32) < high
    assert oxygen.diffusivity_cm2_s is None
    assert oxygen.upper_limit_cm2_s >= 3 * JUMP_A**2 / (6 * 32 * 40.0) * 1e-4 * 0.99
    # Nernst and Einstein in SI units
    volume_m3 = host.cell.volume * 1e-30
    sigma = 32 * units._e**2 * lithium.diffusivity_cm2_s * 1e-4 / (volume_m3 * units._k * 800.0)
    assert lithium.nernst_einstein_S_per_cm == pytest.approx(sigma / 100, rel=1e-6)
    assert lithium.haven_ratio == pytest.approx(lithium.diffusivity_cm2_s / lithium.collective_cm2_s)


def test_the_sum_of_the_ions_is_seen_from_the_other_atoms():
    """In a host at rest it is the sum in the laboratory, although the center of mass of the cell follows the ions."""
    rng = np.random.default_rng(3)
    host = bulk("LiCl", "rocksalt", a=20.0, cubic=True)
    lithium = host.symbols == "Li"
    moved = np.cumsum(rng.normal(size=(40, len(host), 3)), axis=0) * lithium[None, :, None]
    whole = unwrapped_paths(wrapped(host, moved)).whole_of({"Li": 1.0}, ["Cl"])
    np.testing.assert_allclose(whole[0].T, (moved - moved[0]).sum(axis=1), atol=1e-9)
    alone = diffusion(wrapped(host[lithium], moved[:, lithium]), frame_interval_ps=0.1).ions["Li"]
    assert (alone.collective_cm2_s, alone.haven_ratio) == (None, None)


def test_charges_together_are_seen_from_the_atoms_without():
    """In a host at rest Σ z r is that of the laboratory; opposite charges that move as one carry nothing."""
    rng = np.random.default_rng(9)
    host = bulk("NaCl", "rocksalt", a=20.0, cubic=True) + Atoms("LiI", positions=[[5, 5, 5], [7, 5, 5]])
    moved = np.zeros((300, 10, 3))
    moved[:, :8] = np.cumsum(rng.normal(size=(300, 8, 3)), axis=0)
    frames = wrapped(host, moved)
    whole = unwrapped_paths(frames).whole_of({"Na": 1.0, "Cl": -2.0}, ["Li", "I"])
    charges = np.select([host.symbols == "Na", host.symbols == "Cl"], [1.0, -2.0])
    np.testing.assert_allclose(whole[0].T, np.einsum("a,fax->fx", charges, moved - moved[0]), atol=1e-9)
    pairs = moved.copy()
    pairs[:, host.symbols == "Cl"] = pairs[:, host.symbols == "Na"]
    paths = unwrapped_paths(wrapped(host, pairs))
    np.testing.assert_allclose(paths.whole_of({"Na": 1.0, "Cl": -1.0}, []), 0.0, atol=1e-9)


def salt(moved_like, rng, *, frames=4000, step=0.3):
    """Na and Cl that walk in a host too heavy to notice; `moved_like` gives Cl's steps from those of Na."""
    host = bulk("NaCl", "rocksalt", a=20.0, cubic=True).repeat(2) + Atoms("I", positions=[[5, 5, 5]])
    host.set_masses(np.where(host.symbols == "I", 1e9, 1.0))
    steps = np.zeros((frames, len(host), 3))
    steps[:, host.symbols == "Na"] = step * rng.normal(size=(frames, 32, 3))
    steps[:, host.symbols == "Cl"] = moved_like(steps[:, host.symbols == "Na"])
    return wrapped(host, np.cumsum(steps, axis=0))


@pytest.mark.parametrize(("chlorine", "moved_like", "square"), [
    (-2.0, lambda na: np.roll(na, 1000, axis=0), 1.0 + 4.0),  # they know nothing of each other
    (2.0, lambda na: na, 9.0),
    (-2.0, lambda na: na, 1.0),  # a pair is an ion of their sum
])  # fmt: skip
def test_charges_together_conduct_with_what_they_do_to_each_other(chlorine, moved_like, square):
    charges = {"Na": 1.0, "Cl": chlorine}
    frames = salt(moved_like, np.random.default_rng(10))
    found = diffusion(frames, frame_interval_ps=0.1, temperature_K=700.0, charges=charges)
    alone = found.ions["Na"].nernst_einstein_S_per_cm
    low, high = found.joint_conductivity_interval_95
    assert low < square * alone < high
    for other in {1.0, 5.0, 9.0} - {square}:
        assert not low < other * alone < high, other


def test_charges_of_every_atom_are_neutral_or_refused():
    frames = salt(lambda na: na, np.random.default_rng(12), frames=400)
    about = {"frame_interval_ps": 0.1, "temperature_K": 700.0}
    diffusion(frames, charges={"Na": 1.0, "Cl": 1.0, "I": -64.0}, **about)
    with pytest.raises(ValueError, match=r"add up to \+63 e"):
        diffusion(frames, charges={"Na": 1.0, "Cl": 1.0, "I": -1.0}, **about)


def test_what_an_ion_conducts_is_seen_from_the_atoms_without_a_charge():
    """Beside a heavier ion that moves too, its own sum is that of the laboratory, where the host rests."""
    rng = np.random.default_rng(14)
    host = bulk("NaCl", "rocksalt", a=20.0, cubic=True) + Atoms("I", positions=[[5, 5, 5]])
    moved = np.cumsum(rng.normal(size=(400, 9, 3)), axis=0) * ~(host.symbols == "I")[None, :, None]
    frames = wrapped(host, moved)
    whole = (moved - moved[0])[:, host.symbols == "Na"].sum(axis=1)
    found = diffusion(frames, frame_interval_ps=0.1, charges={"Na": 1.0, "Cl": -2.0}).ions["Na"]
    np.testing.assert_allclose(found.curves["collective_A2"][0], (np.diff(whole, axis=0) ** 2).sum(axis=1).mean() / 4)


def test_pairs_of_opposite_charges_and_ions_at_rest_conduct_nothing():
    rng = np.random.default_rng(11)
    about = {"frame_interval_ps": 0.1, "temperature_K": 700.0}
    pairs = diffusion(salt(lambda na: na, rng), charges={"Na": 1.0, "Cl": -1.0}, **about)
    assert pairs.ions["Na"].diffusivity_cm2_s is not None
    assert pairs.joint_conductivity_S_per_cm is None
    host = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    for seed in range(20):  # the sum of ions that rattle looks like diffusion in one of five
        rattling = 0.2 * np.random.default_rng(seed).normal(size=(300, len(host), 3))
        found = diffusion(wrapped(host, rattling), charges={"Na": 1.0, "Cl": -1.0}, **about)
        assert found.joint_conductivity_S_per_cm is None


def test_without_a_second_charge_or_a_temperature_nothing_is_together():
    frames = salt(lambda na: na, np.random.default_rng(12), frames=400)
    for charges, kelvin in (({"Na": 1.0}, 700.0), ({"Na": 1.0, "Cl": 0.0}, 700.0), ({"Na": 1.0, "Cl": 2.0}, None)):
        found = diffusion(frames, frame_interval_ps=0.1, temperature_K=kelvin, charges=charges)
        assert found.joint_conductivity_S_per_cm is None


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_interval_of_havens_ratio_tells_ions_that_walk_alone_from_a_swarm(shared):
    """32 ions whose steps are their own and `shared` times a common one: (1 + s²)/(1 + 32 s²)."""
    rng = np.random.default_rng(13)
    host = bulk("NaCl", "rocksalt", a=20.0, cubic=True).repeat(2)
    host.set_masses(np.where(host.symbols == "Cl", 1e9, 1.0))
    steps = rng.normal(size=(4000, 64, 3)) + shared * rng.normal(size=(4000, 1, 3))
    moved = 0.1 * np.cumsum(steps, axis=0) * (host.symbols == "Na")[None, :, None]
    low, high = diffusion(wrapped(host, moved), frame_interval_ps=0.1).ions["Na"].haven_interval_95
    alone, swarm = 1.0, 1.25 / 9.0
    assert (low < alone < high) is not bool(shared)
    assert (low < swarm < high) is bool(shared)


def test_a_gaussian_walk_is_gaussian():
    found, _ = diffusing(800.0, 0.02, np.random.default_rng(6))
    curves = found.ions["Li"].curves
    np.testing.assert_allclose(curves["non_gaussian"][:10], 0.0, atol=0.1)
    r, *hove = found.ions["Li"].van_hove.values()
    np.testing.assert_allclose([np.trapezoid(curve, r) for curve in hove], 1.0, atol=0.02)


def test_the_activation_energy_of_an_exact_law_is_found():
    """Errors of a thousandth, so that the answer is the law's."""
    from dataclasses import replace

    found, _ = diffusing(800.0, 0.02, np.random.default_rng(5))
    measured = []
    for temperature in (600.0, 800.0, 1100.0):
        value = 1e-3 * np.exp(-0.4 / (units.kB * temperature))
        ion = replace(found.ions["Li"], diffusivity_cm2_s=value, standard_error=1e-3 * value)
        measured.append(replace(found, temperature_K=temperature, ions={"Li": ion}))
    line = arrhenius(measured, "Li")
    assert line.activation_energy_eV == pytest.approx(0.4, abs=1e-9)
    expected = 1e-3 * np.exp(-0.4 / (units.kB * 300.0))
    assert line.diffusivity_300K_cm2_s == pytest.approx(expected, rel=1e-6)
    assert line.diffusion_length_1h_nm == pytest.approx(1e7 * np.sqrt(3600 * expected), rel=1e-6)
    low, high = line.activation_energy_interval_95
    assert low < 0.4 < high


def thermal(prefactor, energy, temperatures):
    return {kelvin: prefactor * np.exp(-energy / (units.kB * kelvin)) for kelvin in temperatures}


@pytest.mark.parametrize(("error", "told"), [(0.1, False), (0.9, True)])
def test_an_activation_energy_that_may_be_0_is_told(error, told):
    """ln D of the outer two temperatures apart by 1.4, its error √2 times the relative one of D."""
    values = thermal(1e-3, 0.3, (800.0, 960.0, 1200.0))
    line = fit_arrhenius("Li", [(kelvin, value, error * value) for kelvin, value in values.items()])
    assert (line.activation_energy_interval_95[0] <= 0.0) is told
    assert bool(line.caveat) is told


def test_a_line_above_a_limit_and_a_line_of_two_points_are_told():
    points = [(kelvin, value, 0.1 * value) for kelvin, value in thermal(1e-3, 0.5, (800.0, 1000.0, 1200.0)).items()]
    there = thermal(1e-3, 0.5, (500.0, 600.0))
    below, above = (
        fit_arrhenius("Li", points, [(kelvin, factor * value) for kelvin, value in there.items()])
        for factor in (0.4, 1.1)
    )
    assert (below.passed_K, above.passed_K) == ((500.0, 600.0), ())
    assert below.left_out_K == above.left_out_K == (500.0, 600.0)
    assert below.caveat
    assert not above.caveat
    assert fit_arrhenius("Li", points[:2]).caveat


def test_the_interval_of_a_line_covers():
    """Errors of D of 10 to 40 %, gamma distributed as those of few jumps are: 90 to 99 % of 500 lines."""
    rng = np.random.default_rng(8)
    true = thermal(1e-3, 0.4, (600.0, 750.0, 900.0, 1100.0))
    energies, rooms = [], []
    for _ in range(500):
        relative = rng.uniform(0.1, 0.4, len(true))
        seen = [rng.gamma(1 / r**2, r**2) * value for r, value in zip(relative, true.values(), strict=True)]
        line = fit_arrhenius("Li", [(k, d, r * d) for k, d, r in zip(true, seen, relative, strict=True)])
        energies.append(line.activation_energy_interval_95)
        rooms.append(line.diffusivity_300K_interval_95)
    for intervals, value in ((energies, 0.4), (rooms, thermal(1e-3, 0.4, [300.0])[300.0])):
        low, high = np.array(intervals).T
        assert 0.90 <= np.mean((low <= value) & (value <= high)) <= 0.99


def test_a_temperature_without_diffusion_is_left_out_and_two_are_needed():
    found, _ = diffusing(800.0, 0.02, np.random.default_rng(5))
    with pytest.raises(ValueError, match="1 temperature"):
        arrhenius([found], "Li")
    with pytest.raises(ValueError, match="0 temperature"):
        arrhenius([found], "O")


def test_what_never_moves_is_bounded_too():
    frozen = diffusion([bulk("MgO", "rocksalt", a=4.2)] * 40, frame_interval_ps=0.1).ions["Mg"]
    assert frozen.diffusivity_cm2_s is None
    unseen = -np.log(0.025)  # mean number of events of which none is seen with a chance of 2.5 %
    assert frozen.upper_limit_cm2_s == pytest.approx(unseen * JUMP_A**2 / (6 * 40 * 0.1) * 1e-4)


def test_few_frames_are_refused():
    with pytest.raises(ValueError, match=r"10 frames.*32"):
        diffusion([bulk("MgO", "rocksalt", a=4.2)] * 10, frame_interval_ps=0.1)
