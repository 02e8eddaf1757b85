from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator, all_changes
from ase.io import read, write
from ase.md.langevin import Langevin
from numpy.typing import NDArray
from scipy.special import erfc, eval_legendre

from amorph.analysis.crystallinity import (
    Crystallinity,
    crystallinity,
    displaced_shares,
    settled_frames,
    verdict as module,
    verdict_of_trajectory,
)
from amorph.analysis.crystallinity.bragg import Peak, bragg_peaks, strongest
from amorph.analysis.crystallinity.repetition import without_repetition
from amorph.analysis.crystallinity.trajectory import unwrap
from amorph.structure import pair_list, to_pymatgen

GOLDEN = Path(__file__).parent / "golden"
A = 4.3
"""Zero-pressure lattice constant of the toy rocksalt [Å]."""


class ToyIons(Calculator):
    """MgO-like ions of charge ±1.2 in an orthogonal cell: Born–Mayer repulsion, damped and shifted Coulomb forces."""

    implemented_properties = ("energy", "forces")
    cutoff, strength, softness, charge, damping = 6.0, 300.0, 0.3242, 1.2, 0.3

    def calculate(self, atoms: Atoms, properties: object = None, system_changes: object = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        lengths = atoms.cell.lengths()
        cutoff = min(self.cutoff, lengths.min() / 2)
        i, j = np.triu_indices(len(atoms), 1)
        vectors = atoms.positions[j] - atoms.positions[i]
        vectors -= lengths * np.rint(vectors / lengths)
        near = np.einsum("ij,ij->i", vectors, vectors) < cutoff**2
        i, j, vectors = i[near], j[near], vectors[near]
        d = np.linalg.norm(vectors, axis=1)
        anion = atoms.symbols == "O"
        sign = np.where(anion, -1.0, 1.0)
        both = 14.399645 * self.charge**2 * sign[i] * sign[j]
        wall = np.where(anion[i] | anion[j], self.strength * np.exp(-d / self.softness), 0.0)
        coulomb, slope = self._coulomb(d)
        at_cutoff, slope_at_cutoff = self._coulomb(np.array(cutoff))
        energy = wall + both * (coulomb - at_cutoff + slope_at_cutoff * (d - cutoff))
        pull = ((wall / self.softness + both * (slope - slope_at_cutoff)) / d)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        for axis in range(3):
            forces[:, axis] = np.bincount(j, pull[:, axis], len(atoms)) - np.bincount(i, pull[:, axis], len(atoms))
        self.results = {"energy": energy.sum(), "forces": forces}

    def _coulomb(self, d: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        decay = erfc(self.damping * d)
        return decay / d, decay / d**2 + 2 * self.damping / np.sqrt(np.pi) * np.exp(-((self.damping * d) ** 2)) / d


def rocksalt(n: int, lattice_constant: float = A) -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=lattice_constant, cubic=True) * (n, n, n)
    atoms.info["supercell"] = np.diag([n, n, n])
    return atoms


def shaken(atoms: Atoms, rms: float, seed: int = 0) -> Atoms:
    """Displace each coordinate evenly within ±√3 rms, so that no two atoms meet."""
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).uniform(-1, 1, (len(atoms), 3)) * np.sqrt(3) * rms
    return atoms


def follow(atoms: Atoms, temperatures_K: NDArray[np.float64], every: int, rng: np.random.Generator) -> list[Atoms]:
    dynamics = Langevin(
        atoms, 2 * units.fs, temperature_K=temperatures_K[0], friction=0.02 / units.fs, fixcm=False, rng=rng
    )
    frames = []
    for step, temperature in enumerate(temperatures_K, start=1):
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.run(1)
        if step % every == 0:
            frames.append(atoms.copy())
    return frames


class MeltQuench:
    """A toy crystal kept at 300 and 1500 K, and the same crystal molten and quenched."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(n)
        self.start = rocksalt(n)
        self.solid = {}
        for temperature in (300.0, 1500.0):
            atoms = self.start.copy()
            atoms.calc = ToyIons()
            self.solid[temperature] = follow(atoms, np.full(150, temperature), 10, rng)[5:]
        atoms = self.start.copy()
        atoms.calc = ToyIons()
        follow(atoms, np.full(400, 8000.0), 400, rng)
        self.melt = follow(atoms, np.full(300, 3000.0), 15, rng)[-10:]
        self.glass = follow(atoms, np.linspace(3000, 300, 300), 300, rng)[-1]


@pytest.fixture(scope="module")
def small() -> MeltQuench:
    return MeltQuench(2)


@pytest.fixture(scope="module")
def large() -> MeltQuench:
    return MeltQuench(3)


@pytest.fixture(scope="module", params=["small", "large"])
def either(request: pytest.FixtureRequest) -> MeltQuench:
    return request.getfixturevalue(request.param)


TURNED = np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]])
"""Three times a rotation about [111]: a cube of 216 atoms whose axes are not the crystal's."""


def turned_rocksalt() -> Atoms:
    atoms = make_supercell(bulk("MgO", "rocksalt", a=A, cubic=True), TURNED)
    atoms.set_cell(3 * A * np.eye(3), scale_atoms=True)
    return atoms


# Closed form


@pytest.mark.parametrize("n", [1, 2, 3])
def test_undisturbed_crystal_has_all_the_order(n: int) -> None:
    result = crystallinity(rocksalt(n))
    assert result.parent_order == pytest.approx(1.0, rel=1e-12)
    assert result.solid_share == 1.0
    assert result.verdict == "crystalline"
    assert not result.is_disordered


def test_vacancies_and_other_cations_leave_the_parent_order() -> None:
    atoms = rocksalt(3)
    cations = np.flatnonzero(atoms.symbols == "Mg")
    atoms.symbols[cations[::4]] = "Mo"
    del atoms[cations[1::3]]
    result = crystallinity(atoms)
    assert (result.parent_order, result.solid_share) == (pytest.approx(1.0, rel=1e-12), 1.0)


@pytest.mark.parametrize("rms", [0.1, 0.2, 0.3])
def test_parent_order_of_a_shaken_crystal(rms: float) -> None:
    # Each coordinate moves evenly within ±w, so <exp(iGx)> = sin(Gw)/(Gw), and N atoms add (1 − <>²)/N.
    atoms = shaken(rocksalt(6), rms)
    phase = 4 * np.pi / A * np.sqrt(3) * rms
    order = (np.sin(phase) / phase) ** 2
    # standard deviation of |F|²/N²: about 2 order √((1 − order)/(2N)) for each of three G; four of them
    tolerance = 4 * 2 * order * np.sqrt((1 - order) / (2 * len(atoms)) / 3)
    assert crystallinity(atoms).parent_order == pytest.approx(order + (1 - order) / len(atoms), abs=tolerance)


def test_star_is_200_and_not_its_neighbors() -> None:
    # A quarter of a lattice constant along x turns the phase of a cation over at G = 2·2π/a; along y, z G sees nothing.
    atoms = rocksalt(2)
    atoms.positions[0, 0] += A / 4
    expected = (1 + 1 + ((64 - 2) / 64) ** 2) / 3
    assert crystallinity(atoms).parent_order == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "limit"), [(2, 0.098), (3, 0.043), (5, 0.025)])
def test_limit_of_the_parent_order(n: int, limit: float) -> None:
    assert crystallinity(shaken(rocksalt(n), 0.2)).parent_order_limit == pytest.approx(limit, abs=5e-4)


@pytest.mark.parametrize(("atoms", "limit"), [(10, 1.0131), (40, 0.6118), (108, 0.3133), (10_000, 0.0533)])
def test_limit_of_a_bragg_peak_and_its_size(atoms: int, limit: float) -> None:
    assert Peak("anions", 0.0, atoms).limit == pytest.approx(limit, abs=5e-5)
    assert Peak("anions", limit - 1e-3, atoms).holds is (True if limit < 1 else None)
    assert Peak("anions", limit + 1e-3, atoms).holds is (False if limit < 1 else None)


GLASS = Crystallinity(
    verdict="amorphous",
    reason="",
    parent_order=0.04,
    parent_order_limit=0.04,
    bragg_peak=0.2,
    bragg_peak_limit=0.2,
    solid_share=0.0,
    melted=None,
    mean_square_displacement=None,
    required_displacement=None,
    space_group=None,
    anions=("O",),
    n_frames=1,
    solid_cluster=4.0,
    crystal_fraction=0.05,
    crystal_limit=0.1,
)
"""A glass at the limits."""


@pytest.mark.parametrize(
    ("anions", "found", "verdict"),
    [
        (50, {}, "amorphous"),
        (49, {}, "cannot exclude a crystal"),
        (300, {"solid_cluster": 5.0}, "amorphous with embryo"),
        (600, {"solid_cluster": 5.0}, "amorphous"),
        (600, {"solid_cluster": 6.0}, "amorphous with embryo"),
        (50, {"solid_cluster": 9.9, "crystal_fraction": 0.4}, "amorphous with embryo"),
        (50, {"solid_cluster": 10.0, "crystal_fraction": 0.099}, "amorphous with embryo"),
        (50, {"solid_cluster": 10.0, "crystal_fraction": 0.1}, "partly crystalline"),
        (50, {"solid_cluster": 10.0, "crystal_fraction": 0.1, "crystal_limit": 0.11}, "amorphous with embryo"),
        (20, {"solid_cluster": 10.0, "crystal_fraction": 0.1}, "partly crystalline"),
        (50, {"melted": True}, "amorphous"),
        (50, {"melted": False}, "partly crystalline"),
        (50, {"parent_order": 0.0401}, "partly crystalline"),
        (50, {"bragg_peak": 0.2001}, "partly crystalline"),
        (50, {"bragg_peak": 0.5}, "crystalline"),
        (50, {"parent_order": 0.5}, "crystalline"),
        (50, {"solid_share": 0.5}, "crystalline"),
        (50, {"bragg_peak": 0.79, "bragg_peak_limit": 0.8}, "amorphous"),
        (50, {"bragg_peak": 0.81, "bragg_peak_limit": 0.8}, "crystalline"),
        (50, {"bragg_peak": 1.0, "bragg_peak_limit": 1.0}, "amorphous"),
        (5, {"space_group": "R-3m (166)"}, "crystalline"),
    ],
)
def test_verdict_at_the_thresholds(anions: int, found: dict[str, Any], verdict: str) -> None:
    assert module._verdict(replace(GLASS, **found, n_judged=anions)) == verdict


def test_displacements_are_counted_by_species_without_drift_and_strain() -> None:
    start = rocksalt(3)
    frames = []
    for moved in ([A, A, 0.0], [0.0, 2 * A, 0.0]):  # all cations by a vector of their lattice
        frame = start.copy()
        frame.positions[frame.symbols == "Mg"] += moved
        frame.set_cell(frame.cell.array * [[1.0], [1.1], [1.0]], scale_atoms=True)
        frame.positions += [30.0, -4.0, 1.0]
        frames.append(shaken(frame, 0.1))
    result = crystallinity(frames, start=start, anion="O")
    square = A**2 * ((1 + 1.1**2) + 2.2**2 * 1.0) / 2
    heavy = 24.305 / (24.305 + 15.999)  # the center of mass follows the cations by this share
    assert result.mean_square_displacement == {
        # 3·0.1² from the shaking, which blurs the rest by some 0.1 Å/√108 of the 10 Å² per Å
        "O": pytest.approx(heavy**2 * square + 0.03, rel=0.01),
        "Mg": pytest.approx((1 - heavy) ** 2 * square + 0.03, rel=0.02),
    }
    nearest = pytest.approx((A / 2) ** 2)
    assert result.required_displacement == {"O": nearest, "Mg": nearest}
    assert result.melted is True


def test_whole_crystal_that_drifts_and_swells_has_not_moved() -> None:
    start = rocksalt(2)
    frame = start.copy()
    frame.set_cell(frame.cell.array * 1.2, scale_atoms=True)
    frame.positions += 40.0
    result = crystallinity(frame, start=start)
    assert result.mean_square_displacement == {"O": pytest.approx(0, abs=1e-20), "Mg": pytest.approx(0, abs=1e-20)}
    assert result.melted is False
    moved = frame.copy()
    moved.positions[0] += [1.0, 0.0, 0.0]
    result = crystallinity(moved, start=start)
    assert result.mean_square_displacement["Mg"] == pytest.approx(1 / 32, rel=0.1)


def test_required_displacement_is_the_species_own_nearest_distance_squared() -> None:
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    perovskite = Atoms("SrTiO3", scaled_positions=sites, cell=[3.9, 3.9, 4.1], pbc=True)
    result = crystallinity(perovskite, start=perovskite)
    planar = (3.9 / 2) ** 2
    assert result.required_displacement == {
        "O": pytest.approx(((4.1 / 2 + 2 * 3.9 / 2) / 3) ** 2),  # the mean of the distances, squared
        "Ti": pytest.approx(planar),
        "Sr": pytest.approx(2 * planar),
    }
    assert list(result.mean_square_displacement) == ["O", "Ti", "Sr"]


# Conservation: what the averages and the tables say


def test_frames_are_averaged(small: MeltQuench) -> None:
    both = crystallinity([small.start, small.glass])
    apart = [crystallinity(frame) for frame in (small.start, small.glass)]
    assert both.parent_order == pytest.approx(np.mean([result.parent_order for result in apart]))
    assert both.solid_share == pytest.approx(np.mean([result.solid_share for result in apart]))
    assert both.n_frames == 2


def test_table_says_which_criteria_hold(large: MeltQuench) -> None:
    result = crystallinity(large.melt, start=large.start)
    rows = {row["criterion"]: row for row in result.table()}
    assert {row["holds"] for row in rows.values()} == {True, None}
    assert rows["(a) parent order I/N², at most"]["value"] == result.parent_order
    assert rows[f"(a) strongest Bragg peak I/N², {result.bragg_peak_of}, at most"]["limit"] == result.bragg_peak_limit
    for name in ("O", "Mg"):
        row = rows[f"(c) mean-square displacement of {name} [Å²], at least"]
        assert (row["value"], row["limit"]) == (
            result.mean_square_displacement[name],
            result.required_displacement[name],
        )
    unknown = crystallinity(large.glass)
    assert unknown.table()[-1] == {"criterion": "(c) it melted", "value": None, "limit": None, "holds": None}
    crystal = crystallinity(shaken(large.start, 0.1)).table()
    assert [row["holds"] for row in crystal] == [False, False, False, False, None, None, False, None]


# Invariance


def everything(result: Crystallinity) -> list[float]:
    return [result.parent_order, result.solid_share]


def test_order_does_not_see_rotation_translation_and_numbering() -> None:
    atoms = shaken(rocksalt(3), 0.33)
    expected = everything(crystallinity(atoms))
    assert 0.3 < expected[1] < 0.95  # otherwise nothing is tested
    rng = np.random.default_rng(5)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ np.linalg.qr(rng.normal(size=(3, 3)))[0], scale_atoms=True)
    moved = atoms.copy()
    moved.positions += [31.0, -2.2, 0.7]
    wrapped = moved.copy()
    wrapped.wrap()
    for other in (turned, moved, wrapped, atoms[rng.permutation(len(atoms))]):
        assert everything(crystallinity(other)) == pytest.approx(expected, rel=1e-9)


def test_order_does_not_see_a_supercell_or_another_cell_of_the_lattice() -> None:
    atoms = shaken(rocksalt(2), 0.33)
    expected = everything(crystallinity(atoms))
    repeated = crystallinity(atoms * (2, 1, 1), supercell=(4, 2, 2))
    assert everything(repeated) == pytest.approx(expected, rel=1e-9)
    matrix = np.array([[1, 1, 0], [0, 1, 0], [-1, 0, 1]])
    skewed = atoms.copy()
    skewed.set_cell(matrix @ atoms.cell.array)
    result = crystallinity(skewed, supercell=matrix @ np.diag([2, 2, 2]))
    assert everything(result) == pytest.approx(expected, rel=1e-9)
    # rows, not columns
    assert crystallinity(skewed, supercell=(matrix @ np.diag([2, 2, 2])).T).parent_order < 0.9 * expected[0]


@pytest.mark.parametrize("matrix", [np.eye(3), np.diag([2, 1, 1]), [[1, 0, 0], [2, 1, 0], [0, -1, 1]]])
def test_small_cells_see_their_own_images(matrix: object) -> None:
    atoms = make_supercell(bulk("MgO", "rocksalt", a=A), matrix)
    assert crystallinity(atoms, anion="O2-").solid_share == 1.0


def test_strained_crystal_keeps_its_parent_order() -> None:
    atoms = rocksalt(2)
    atoms.set_cell(atoms.cell.array @ [[1.05, 0.02, 0], [0, 0.97, 0.04], [0, 0, 1.08]], scale_atoms=True)
    assert crystallinity(atoms).parent_order == pytest.approx(1.0, rel=1e-12)


def test_input_is_left_alone_and_pymatgen_gives_the_same() -> None:
    atoms = shaken(rocksalt(2), 0.3)
    before = atoms.copy()
    result = crystallinity(atoms, supercell=(2, 2, 2))
    assert before == atoms
    again = crystallinity(to_pymatgen(atoms), supercell=(2, 2, 2))
    assert everything(again) == pytest.approx(everything(result), rel=1e-9)


# Independent reference


@pytest.mark.parametrize("rms", [0.0, 0.36, 0.39])
def test_solid_share_by_legendre_polynomials(rms: float) -> None:
    # Addition theorem: Σ_m q6m(i) q6m*(j) = 13/4π · mean over bond pairs of P6(cos angle). All images, brute force.
    atoms = shaken(rocksalt(2), rms, seed=1)
    anions = atoms[atoms.symbols == "O"]
    shifts = np.array(np.meshgrid(*3 * [[-1, 0, 1]])).reshape(3, -1).T
    images = (anions.positions[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    owner = np.tile(np.arange(len(anions)), len(shifts))
    bonds, neighbors = [], []
    for position in anions.positions:
        order = np.argsort(np.linalg.norm(images - position, axis=1))[1:13]
        vectors = images[order] - position
        bonds.append(vectors / np.linalg.norm(vectors, axis=1)[:, None])
        neighbors.append(owner[order])

    def product(i: int, j: int) -> float:
        return float(eval_legendre(6, np.clip(bonds[i] @ bonds[j].T, -1, 1)).sum())

    like = [
        sum(product(i, j) / np.sqrt(product(i, i) * product(j, j)) > 0.5 for j in neighbors[i])
        for i in range(len(anions))
    ]
    expected = np.mean(np.array(like) >= 9)
    assert crystallinity(atoms).solid_share == expected
    assert expected == 1.0 if rms == 0.0 else 0.1 < expected < 0.95


def test_parent_order_by_the_squared_sum_itself() -> None:
    atoms = shaken(turned_rocksalt(), 0.15)
    total = 0.0
    for g in np.vstack([2 * np.eye(3), -2 * np.eye(3)]):
        # conventional reciprocal vectors from the conventional cell, which the supercell's rows are sums of
        conventional = np.linalg.inv(TURNED) @ atoms.cell.array
        vector = 2 * np.pi * g @ np.linalg.inv(conventional).T
        total += abs(sum(np.exp(1j * vector @ position) for position in atoms.positions)) ** 2
    expected = total / 6 / len(atoms) ** 2
    assert crystallinity(atoms, supercell=TURNED).parent_order == pytest.approx(expected, rel=1e-10)


# True and false cases


@pytest.mark.parametrize("rms", [0.1, 0.15, 0.2, 0.25, 0.3, 0.35])
def test_rattled_crystal_is_crystalline(rms: float) -> None:
    result = crystallinity(shaken(rocksalt(3), rms))
    assert result.verdict == "crystalline"
    assert not result.is_disordered


@pytest.mark.parametrize("temperature", [300.0, 1500.0])
def test_crystal_in_motion_is_crystalline(either: MeltQuench, temperature: float) -> None:
    result = crystallinity(either.solid[temperature], start=either.start)
    assert result.verdict == "crystalline"
    assert 0.6 < result.parent_order < 0.97
    assert result.solid_share > 0.98
    assert result.melted is False


def test_liquid_is_disordered_and_has_melted(either: MeltQuench) -> None:
    result = crystallinity(either.melt, start=either.start)
    assert result.is_disordered
    assert result.melted is True
    assert result.verdict == ("amorphous" if result.n_judged > 50 else "cannot exclude a crystal")
    assert result.is_glass is (True if result.n_judged > 50 else None)
    assert result.parent_order < 0.04
    assert result.solid_share < 0.02
    assert "it melted" in result.reason


def test_quenched_liquid_is_amorphous(either: MeltQuench) -> None:
    result = crystallinity(either.glass)
    assert result.verdict == ("amorphous" if result.n_judged > 50 else "cannot exclude a crystal")
    assert result.parent_order < 0.03
    assert result.crystal_fraction < 0.1
    assert result.melted is None
    assert "unknown without its history" in result.reason
    assert crystallinity(either.glass, melted=True).verdict == result.verdict
    assert crystallinity(either.glass, melted=False).verdict == "partly crystalline"


@pytest.mark.parametrize("frame", [0, 5, 9])
def test_half_crystal_half_liquid_is_partly_crystalline(large: MeltQuench, frame: int) -> None:
    liquid = large.melt[frame].copy()
    liquid.wrap()
    solid = large.solid[300.0][frame].copy()
    lower = solid[solid.get_scaled_positions()[:, 2] < 0.49]
    half = lower + liquid[liquid.get_scaled_positions()[:, 2] > 0.5]
    close = pair_list(half, 1.5)
    del half[np.unique(close.j[close.j >= len(lower)]).tolist()]
    result = crystallinity(half, supercell=(3, 3, 3))
    assert result.verdict == "partly crystalline"
    assert 0.15 < result.parent_order < 0.35
    assert 0.25 < result.solid_share < 0.45
    assert not result.is_disordered


@pytest.mark.parametrize("rms", [0.0, 0.1, 0.25])
def test_crystal_turned_against_the_axes_is_crystalline(rms: float) -> None:
    atoms = shaken(turned_rocksalt(), rms)
    result = crystallinity(atoms, supercell=(3, 3, 3))
    assert result.parent_order < result.parent_order_limit
    assert result.solid_share > 0.95
    assert result.verdict == "crystalline"
    assert crystallinity(atoms, supercell=TURNED).parent_order > 0.5


def test_chgnet_melt_glass_and_solid_of_64_atoms() -> None:
    start, *melt = read(GOLDEN / "chgnet_melt.extxyz", ":")
    result = crystallinity(melt, start=start)
    assert result.n_frames == 10
    assert result.is_disordered
    assert result.parent_order == pytest.approx(0.0127, abs=5e-4)
    assert result.solid_share == pytest.approx(1 / 320)  # one anion in one of ten frames
    # Li and O flow; in 1.3 ps under strong friction Ti and Mo have not gone their own way yet, and that is said
    moved = result.mean_square_displacement
    assert {species: round(value, 1) for species, value in moved.items()} == {
        "Li": 14.9,
        "O": 8.0,
        "Ti": 4.0,
        "Mo": 1.9,
    }
    assert result.melted is False
    assert "Mo moved by 1.9 of 4.8 Å²" in result.reason
    for frame in melt:
        assert crystallinity(frame).verdict == "cannot exclude a crystal"  # 32 anions
    glass = crystallinity(read(GOLDEN / "chgnet_glass.extxyz"))
    assert glass.verdict == "cannot exclude a crystal"
    assert glass.parent_order == pytest.approx(0.0106, abs=5e-4)
    solid = crystallinity(read(GOLDEN / "chgnet_solid.extxyz"))
    assert solid.verdict == "crystalline"
    assert solid.parent_order == pytest.approx(0.828, abs=5e-3)
    assert solid.solid_share == 1.0


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("CsCl", "cesiumchloride", a=4.12) * (2, 2, 2),  # simple cubic anions tie for the twelfth place
        bulk("ZnO", "wurtzite", a=3.25, c=5.207) * (3, 3, 2),
        bulk("CaF2", "fluorite", a=5.463, cubic=True) * (2, 2, 2),
        bulk("ZnS", "zincblende", a=5.41),
    ],
    ids=["CsCl", "ZnO", "CaF2", "ZnS"],
)
def test_other_ideal_crystals_are_crystalline(atoms: Atoms) -> None:
    for rounding in (0.0, 1e-5):  # as in a file of five decimals
        result = crystallinity(shaken(atoms, rounding))
        assert result.verdict == "crystalline"
        assert result.solid_share == 1.0
        assert result.parent_order is None


def quartz(n: int) -> Atoms:
    """Give alpha-quartz, whose anions are far from close-packed. Parameters unverified."""
    from ase.spacegroup import crystal

    sites = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.1191 + 2 / 3)]
    return crystal(("Si", "O"), sites, spacegroup=154, cellpar=[4.913, 4.913, 5.405, 90, 90, 120]) * (n, n, n)


def test_quartz_is_crystalline_by_its_symmetry() -> None:
    result = crystallinity(quartz(2))
    assert (result.verdict, result.space_group, result.n_judged) == ("crystalline", "P3_221 (154)", 6)
    assert not result.is_disordered
    assert "P3_221" in result.reason


@pytest.mark.parametrize("rms", [0.05, 0.1, 0.15, 0.2])
@pytest.mark.parametrize("n", [3, 4])
def test_rattled_quartz_is_crystalline_by_its_bragg_peaks(n: int, rms: float) -> None:
    result = crystallinity(shaken(quartz(n), rms))
    assert result.parent_order is None
    assert result.solid_share < 0.05
    # all Si scatters nearly in phase at a reflection of 3.2/Å
    assert result.bragg_peak == pytest.approx(0.98 * np.exp(-((3.2 * rms) ** 2)), abs=0.07)
    assert (result.bragg_peak_of, result.verdict) == ("cations", "crystalline")
    assert result.bragg_peak_limit == pytest.approx(1.05 - np.exp(-33 / (3 * n**3)))
    assert not result.is_disordered


def test_a_parent_and_a_melt_that_are_named_hide_no_crystal() -> None:
    cell = shaken(make_supercell(quartz(1), np.diag([4, 3, 2])), 0.15)
    result = crystallinity(cell, supercell=(3, 3, 3), melted=True)
    assert result.parent_order <= result.parent_order_limit
    assert result.verdict == "crystalline"


def test_liquids_and_glasses_have_no_bragg_peaks(small: MeltQuench, large: MeltQuench) -> None:
    chgnet = read(GOLDEN / "chgnet_melt.extxyz", "1:")
    glass = read(GOLDEN / "chgnet_glass.extxyz")
    cases = [chgnet, *chgnet, glass, small.melt, *small.melt, small.glass, large.melt, *large.melt[::3], large.glass]
    for frames in cases:
        result = crystallinity(frames)
        assert result.bragg_peak < 0.85 * result.bragg_peak_limit
        assert result.is_disordered


def test_the_peak_that_decides() -> None:
    low, high = Peak("anions", 0.45, 500), Peak("cations", 0.6, 60)  # 0.45 is farther above its limit
    few, near, far = Peak("all atoms", 0.99, 8), Peak("anions", 0.15, 300), Peak("cations", 0.2, 40)
    assert strongest([low, high, few]) == high
    assert strongest([few, near, far]) == near
    assert strongest([few]) == few


def test_bragg_peaks_by_brute_force() -> None:
    rng = np.random.default_rng(2)
    cell = np.array([[7.0, 0, 0], [3.0, 6.0, 0], [-2.0, 1.5, 5.0]])
    frames = [Atoms("Mg4Ca3O5", cell=cell, scaled_positions=np.zeros((12, 3)), pbc=True) for _ in range(2)]
    for atoms in frames:
        grid = np.array(np.meshgrid(*3 * [np.arange(3)])).reshape(3, -1).T[rng.permutation(27)[:12]] / 3
        atoms.set_scaled_positions(grid + rng.uniform(-0.05, 0.05, (12, 3)) + 3.7)
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    indices = np.array(np.meshgrid(*3 * [np.arange(-9, 10)])).reshape(3, -1).T
    vectors = indices @ reciprocal
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[(lengths > 0) & (lengths <= 5.0)]
    symbols = np.array(frames[0].symbols)
    expected = {}
    for name, members in {
        "all atoms": "Mg Ca O",
        "anions": "O",
        "cations": "Mg Ca",
        "all atoms without Ca": "Mg O",
        "all atoms without Mg": "Ca O",
        "cations without Ca": "Mg",
        "cations without Mg": "Ca",
    }.items():
        chosen = np.isin(symbols, members.split())
        mean = np.mean([np.abs(np.exp(1j * f.positions[chosen] @ vectors.T).mean(axis=0)) ** 2 for f in frames], axis=0)
        expected[name] = (pytest.approx(mean.max(), rel=1e-9), chosen.sum())
    found = bragg_peaks(frames, symbols == "O")
    assert {peak.name: (peak.intensity, peak.atoms) for peak in found} == expected
    result = crystallinity(frames)
    chosen_peak = strongest(found)
    assert (result.bragg_peak, result.bragg_peak_of) == (pytest.approx(chosen_peak.intensity), chosen_peak.name)


def test_bragg_peak_does_not_see_rotation_translation_numbering_and_the_choice_of_the_cell() -> None:
    atoms = shaken(quartz(3), 0.15)
    expected = crystallinity(atoms).bragg_peak
    rng = np.random.default_rng(5)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ np.linalg.qr(rng.normal(size=(3, 3)))[0], scale_atoms=True)
    moved = atoms.copy()
    moved.positions += [31.0, -2.2, 0.7]
    skewed = atoms.copy()
    skewed.set_cell(np.array([[1, 1, 0], [0, 1, 0], [-1, 0, 1]]) @ atoms.cell.array)
    for other in (turned, moved, skewed, atoms[rng.permutation(len(atoms))]):
        assert crystallinity(other).bragg_peak == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("anion", [None, "Cu"])
def test_elements_without_anions_are_one_sublattice(anion: str | None) -> None:
    copper = shaken(bulk("Cu", cubic=True) * (3, 3, 3), 0.1)
    result = crystallinity(copper, anion=anion)
    assert (result.verdict, result.n_judged, result.bragg_peak_of) == ("crystalline", 108, "all atoms")
    assert result.bragg_peak > 0.8
    assert result.anions == (() if anion is None else ("Cu",))
    assert ("no anions" in result.reason) is (anion is None)
    silicon = shaken(bulk("Si", cubic=True) * (3, 3, 3), 0.1)
    assert crystallinity(silicon).verdict == "crystalline"


def test_a_cell_too_small_for_any_bragg_peak() -> None:
    tiny = crystallinity(Atoms("O", cell=[1.2, 1.2, 1.2], pbc=True))
    assert (tiny.bragg_peak, tiny.bragg_peak_limit) == (0.0, pytest.approx(1.05))


def test_a_frame_shows_where_one_element_flows() -> None:
    # anions at random hide nothing of the cations, nor does a cation that flows of the others
    rng = np.random.default_rng(4)
    sites = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = shaken(Atoms("BaTiO3", scaled_positions=sites, cell=3 * [4.0], pbc=True) * (3, 3, 3), 0.05)
    frame = np.flatnonzero(np.array(atoms.symbols) != "O")
    atoms.positions[np.array(atoms.symbols) == "O"] = rng.uniform(0, 12, (81, 3))
    peaks = {peak.name: peak for peak in bragg_peaks([atoms], np.array(atoms.symbols) == "O")}
    assert peaks["anions"].holds is True
    assert peaks["cations"].intensity > 0.9
    atoms.symbols[frame[:8]] = "Li"
    atoms.positions[frame[:8]] = rng.uniform(0, 12, (8, 3))
    peaks = {peak.name: peak for peak in bragg_peaks([atoms], np.array(atoms.symbols) == "O")}
    assert peaks["cations without Li"].intensity > 0.9


# A cell and its repetition


@pytest.mark.parametrize(
    "matrix",
    [np.diag([2, 1, 1]), np.diag([3, 2, 2]), [[1, 2, 0], [0, 3, 1], [-1, 0, 2]], [[0, 1, 0], [1, 0, 0], [0, 0, 5]]],
)
def test_a_cell_and_its_repetition_have_one_verdict(large: MeltQuench, matrix: object) -> None:
    glass = large.glass.copy()
    del glass.info["supercell"]
    repeated = shaken(make_supercell(glass, matrix), 1e-4)
    repeated = repeated[np.random.default_rng(3).permutation(len(repeated))]
    once, again = crystallinity(glass), crystallinity(repeated)
    assert again.verdict == once.verdict
    assert again.n_judged == once.n_judged == 108
    assert again.solid_cluster == once.solid_cluster
    assert again.bragg_peak_of == once.bragg_peak_of
    assert again.bragg_peak == pytest.approx(once.bragg_peak, rel=1e-3)


def test_frames_of_a_repetition_have_the_verdict_of_their_cell() -> None:
    # 32 anions are too few to be called amorphous; repeated, they had the Bragg peaks of a crystal
    glass = read(GOLDEN / "chgnet_glass.extxyz")
    repeated = make_supercell(glass, [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    drifted = shaken(repeated, 0.01, seed=1)
    drifted.positions += [3.0, -40.0, 0.2]
    swollen = shaken(repeated, 0.01, seed=2)
    swollen.set_cell(1.1 * swollen.cell.array, scale_atoms=True)
    swollen.wrap()
    once, again = crystallinity([glass, glass]), crystallinity([repeated, drifted, swollen])
    assert again.verdict == once.verdict == "cannot exclude a crystal"
    assert (again.n_judged, again.n_frames) == (32, 3)
    for number, frame in enumerate(without_repetition([repeated, drifted, swollen])):
        assert frame.get_volume() == pytest.approx(glass.get_volume() * (1.1**3 if number == 2 else 1.0))
    hot = [shaken(repeated, 0.1, seed) for seed in range(3)]
    assert [len(frame) for frame in without_repetition([repeated, *hot])] == 4 * [len(repeated)]


def test_without_repetition_keeps_the_structure() -> None:
    cell = make_supercell(quartz(1), [[2, 1, 0], [0, 3, 0], [1, 0, 5]])
    (single,) = without_repetition([cell])
    assert len(single) == 9
    assert single.get_volume() == pytest.approx(quartz(1).get_volume())
    distances = [np.sort(pair_list(one, 4.0).d)[:: len(one)] for one in (single, cell)]
    assert distances[0] == pytest.approx(distances[1])
    for glass in (cell[1:], shaken(cell, 0.3)):
        assert len(without_repetition([glass])[0]) == len(glass)
    # one translation of the crystal is left to the frames where the other two are lost
    layered = cell.copy()
    layered.positions[:, 2] += 0.5 * np.sin(2 * np.pi * layered.get_scaled_positions()[:, 2])
    assert len(without_repetition([cell, layered])[0]) == len(without_repetition([layered])[0]) > 9


# A crystal in a glass


@pytest.mark.parametrize("n", [33, 123])
def test_a_crystal_in_a_gas_is_counted(n: int) -> None:
    # fcc: a central atom and shells around it, the rest of the cell at random; the outermost atoms lack neighbors
    lattice = bulk("Ar", a=5.0, cubic=True) * (5, 5, 5)
    crystal = lattice[np.argsort(lattice.get_distances(250, range(500), mic=True), kind="stable")[:n]]
    points = crystal.positions
    for point in np.random.default_rng(0).uniform(0, 25, (20_000, 3)):
        away = (points - point + 12.5) % 25 - 12.5
        if len(points) < 500 and np.einsum("ij,ij->i", away, away).min() > 2.4**2:
            points = np.vstack([points, point])
    atoms = Atoms(f"Ar{len(points)}", positions=points, cell=lattice.cell, pbc=True)
    assert len(atoms) == 500
    result = crystallinity(atoms)
    assert result.crystal_fraction == pytest.approx(n / 500, abs=2 * result.crystal_fraction_sd)
    assert result.verdict == ("partly crystalline" if n > 100 else "amorphous with embryo")


# The parent, the anion


def test_without_its_parent_the_bragg_peaks_remain(large: MeltQuench) -> None:
    glass = large.glass.copy()
    del glass.info["supercell"]
    result, known = crystallinity(glass), crystallinity(large.glass)
    assert result.parent_order is None
    assert result.table()[0]["holds"] is None
    assert result.verdict == known.verdict == "amorphous"
    assert result.bragg_peak == known.bragg_peak
    assert crystallinity(glass, supercell=(3, 3, 3)).parent_order == known.parent_order


@pytest.mark.parametrize("recorded", [[2, 2, 2], [2, 0, 0, 0, 2, 0, 0, 0, 2], np.diag([2.0, 2.0, 2.0])])
def test_recorded_supercell_may_have_any_usual_shape(recorded: object) -> None:
    atoms = rocksalt(2)
    atoms.info["supercell"] = recorded
    assert crystallinity(atoms).parent_order == pytest.approx(1.0)


def test_recorded_supercell_survives_a_file(tmp_path: Path) -> None:
    atoms = shaken(turned_rocksalt(), 0.1)
    atoms.info["supercell"] = TURNED
    write(tmp_path / "turned.extxyz", atoms)
    assert crystallinity(read(tmp_path / "turned.extxyz")).parent_order == pytest.approx(
        crystallinity(atoms, supercell=TURNED).parent_order, rel=1e-5
    )


@pytest.mark.parametrize("recorded", [[2, 2, 2], "2x2x2", [2.5, 3, 3], [[1, 2], [3, 4]], [0, 0, 0]])
def test_recorded_supercell_that_does_not_fit_is_left_out(recorded: object, caplog: pytest.LogCaptureFixture) -> None:
    atoms = rocksalt(2) * (2, 1, 1)  # repeated: what is recorded no longer holds
    atoms.info["supercell"] = recorded
    assert crystallinity(atoms).parent_order is None
    assert "does not fit 128 atoms" in caplog.text


def test_anion_is_found_by_charge_or_element() -> None:
    oxyfluoride = rocksalt(2)
    oxyfluoride.symbols[np.flatnonzero(oxyfluoride.symbols == "O")[:9]] = "F"
    assert crystallinity(oxyfluoride).anions == ("F", "O")
    assert crystallinity(oxyfluoride, anion="F-").anions == ("F",)
    sulfate = rocksalt(2)
    sulfate.symbols[np.flatnonzero(sulfate.symbols == "Mg")] = "S"
    assert crystallinity(sulfate).anions == ("O",)
    sulfate.set_array("oxidation_states", np.where(sulfate.symbols == "S", -2.0, 2.0))
    assert crystallinity(sulfate).anions == ("S",)
    assert crystallinity(bulk("LiCl", "rocksalt", a=5.1)).anions == ("Cl",)
    assert crystallinity(bulk("MgS", "rocksalt", a=5.2)).anions == ("S",)


# Trajectories


def test_unwrap_gives_back_what_was_wrapped(small: MeltQuench) -> None:
    # every 15 steps of 2 fs at 3000 K: no atom moves by half a cell of 8.6 Å
    frames = small.melt
    wrapped = [frame.copy() for frame in frames]
    for frame in wrapped[1:]:
        frame.wrap()
    assert max(np.abs(a.positions - b.positions).max() for a, b in zip(frames, wrapped, strict=True)) > 4.0
    for frame, again in zip(frames, unwrap(wrapped), strict=True):
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-9)


def test_unwrap_follows_atoms_in_a_skewed_cell_that_changes() -> None:
    rng = np.random.default_rng(1)
    cell = np.array([[9.0, 0, 0], [7.5, 8.0, 0], [-3.0, 5.0, 9.0]])
    fractional = np.array([[0.1, 0.1, 0.1], [0.6, 0.2, 0.7]])
    frames = []
    for step in range(12):
        shape = cell * (1 + 0.01 * step)
        frames.append(Atoms("MgO", scaled_positions=fractional, cell=shape, pbc=True))
        fractional = fractional + np.array([[0.11, 0.02, -0.04], [0.05, 0.12, 0.03]]) + rng.normal(size=(2, 3)) * 0.01
    wrapped = [frame.copy() for frame in frames]
    for frame in wrapped[1:]:
        frame.wrap()
    for frame, again in zip(frames, unwrap(wrapped), strict=True):
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-9)


@pytest.mark.parametrize("wrap", [False, True])
def test_verdict_of_a_trajectory_is_that_of_its_last_ten_frames(small: MeltQuench, wrap: bool) -> None:
    frames = [frame.copy() for frame in [small.start, *small.solid[300.0], *small.solid[1500.0], *small.melt]]
    expected = crystallinity(small.melt, start=small.start)
    if wrap:
        for frame in frames[1:]:
            frame.wrap()
    result = verdict_of_trajectory(frames)
    assert result.n_frames == 10
    assert everything(result) == pytest.approx(everything(expected), rel=1e-9)
    assert result.melted is True
    if not wrap:
        assert result.mean_square_displacement == pytest.approx(dict(expected.mean_square_displacement))


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        ([300.0], 1),
        ([300.0] * 40, 10),
        ([3000.0] * 5 + [300.0] * 4, 4),
        ([3000.0, 570.1, 570.0, 300.0], 2),  # a tenth of 2700 K
        ([3000.0, 300.0, 3000.0, 300.0], 1),
        ([300.0, 3000.0, 2740.0, 3000.0], 3),
        ([3000.0, 2000.0, 1000.0], 1),
    ],
)
def test_settled_frames_are_those_at_the_last_target(targets: list[float], count: int) -> None:
    assert settled_frames(targets) == count


def test_trajectory_with_targets_is_judged_at_the_last_one(small: MeltQuench) -> None:
    frames = [frame.copy() for frame in [small.start, *small.melt, *small.solid[300.0][:3]]]
    diluted = verdict_of_trajectory(frames)
    assert (diluted.verdict, diluted.n_frames) == ("partly crystalline", 10)
    for frame, target in zip(frames, [3000.0] * 11 + [320, 310.0, np.float64(300.0)], strict=True):
        frame.info["target_K"] = target
    result = verdict_of_trajectory(frames)
    assert (result.verdict, result.n_frames) == ("crystalline", 3)
    assert result.solid_share == crystallinity(small.solid[300.0][:3]).solid_share
    del frames[4].info["target_K"]
    assert verdict_of_trajectory(frames).n_frames == 10


def test_displacements_in_a_wrapped_trajectory_are_those_of_the_unwrapped() -> None:
    # the cations stream along a channel between the anions, 1 Å a frame: twice through the cell of 8.6 Å
    start = rocksalt(2)
    frames = [start]
    cations = start.symbols == "Mg"
    for step in range(1, 21):
        frame = shaken(start, 0.02, seed=step)
        frame.positions[cations] += [step, A / 4, A / 4]
        frames.append(frame)
    expected = crystallinity(frames[-10:], start=start).mean_square_displacement
    assert expected["O"] > 50.0
    assert verdict_of_trajectory(frames).mean_square_displacement == pytest.approx(dict(expected), rel=1e-9)
    for frame in frames[1:]:
        frame.wrap()
    assert verdict_of_trajectory(frames).mean_square_displacement == pytest.approx(dict(expected), rel=1e-9)


@pytest.mark.parametrize("low", [-0.5, 0.0, 0.3, 7.0])
def test_a_wrapped_crystal_has_not_moved_wherever_its_box_begins(low: float) -> None:
    # as in a LAMMPS dump of a box from xlo to xlo + L: the coordinates are not those of a cell at the origin
    start = rocksalt(2)
    frames = []
    for seed in range(12):
        frame = shaken(start, 0.15, seed)
        fractional = frame.cell.scaled_positions(frame.positions)
        frame.set_scaled_positions((fractional - low) % 1.0 + low)
        frames.append(frame)
    for origin in (start, None):
        result = verdict_of_trajectory(frames, start=origin)
        assert result.melted is False
        assert max(result.mean_square_displacement.values()) < 0.2  # 3·0.15², twice that between two shaken frames
        assert result.verdict == "crystalline"


def test_an_unwrapped_trajectory_of_long_steps_keeps_them() -> None:
    # 0.6 cells from frame to frame: the shortest step would be 0.4 cells back
    start = rocksalt(2)
    frames = [start]
    for step in range(1, 4):
        frame = start.copy()
        frame.positions[frame.symbols == "Mg"] += [0.6 * 2 * A * step, A / 4, A / 4]
        frames.append(frame)
    expected = crystallinity(frames, start=start).mean_square_displacement
    assert verdict_of_trajectory(frames).mean_square_displacement == pytest.approx(dict(expected))


def test_trajectory_that_starts_disordered_leaves_melting_open(large: MeltQuench) -> None:
    frames = [*large.melt, large.glass]
    result = verdict_of_trajectory(frames)
    assert result.melted is None
    assert result.verdict == "amorphous"
    assert verdict_of_trajectory(frames, start=large.start).melted is True


def test_trajectory_takes_the_parent_from_its_first_frame_or_start(small: MeltQuench) -> None:
    bare = [frame.copy() for frame in small.melt]
    for frame in bare:
        frame.info.clear()
    assert verdict_of_trajectory(bare).parent_order is None
    assert verdict_of_trajectory(bare, start=small.start).parent_order is not None
    assert verdict_of_trajectory(bare, start=to_pymatgen(small.start)).parent_order is None
    assert verdict_of_trajectory([small.start, *bare]).parent_order is not None
    assert verdict_of_trajectory(bare, supercell=(2, 2, 2)).parent_order is not None


def test_one_structure_is_a_trajectory_of_one_frame(large: MeltQuench) -> None:
    for frames in (large.glass, [large.glass]):
        result = verdict_of_trajectory(frames)
        assert (result.verdict, result.n_frames, result.melted) == ("amorphous", 1, None)


# Errors


def test_frames_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames to judge"):
        crystallinity([])
    with pytest.raises(ValueError, match=r"different atoms.* the same atoms in the same order"):
        crystallinity([rocksalt(1), rocksalt(2)])
    with pytest.raises(ValueError, match=r"different atoms"):
        crystallinity(rocksalt(1), start=rocksalt(1)[::-1])
    with pytest.raises(ValueError, match="melted = True beside a start structure"):
        crystallinity(rocksalt(1), start=rocksalt(1), melted=True)


def test_parent_and_anion_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"supercell \[3, 3, 3\] does not fit 64 atoms: a rocksalt cell has 4 to 8"):
        crystallinity(rocksalt(2), supercell=(3, 3, 3))
    with pytest.raises(ValueError, match=r"supercell \[2, 2, 1\] does not fit 64 atoms"):
        verdict_of_trajectory(rocksalt(2), supercell=(2, 2, 1))
    with pytest.raises(ValueError, match=r"supercell.* = .*must be"):
        crystallinity(rocksalt(2), supercell=(2.5, 2, 2))
    with pytest.raises(ValueError, match=r"crystal_limit = 1\.5"):
        crystallinity(rocksalt(1), crystal_limit=1.5)
    with pytest.raises(ValueError, match=r"no S in the cell, which has Mg, O"):
        crystallinity(rocksalt(1), anion="S2-")
    with pytest.raises(ValueError, match=r"cannot read 'oxide' as an ion"):
        crystallinity(rocksalt(1), anion="oxide")


def test_shares_of_an_element_that_stand_elsewhere():
    start = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(2)  # 32 of each, 2.106 Å apart
    before = start.positions
    oxygen = np.flatnonzero(start.symbols == "O")
    after = before + np.array([5.0, -3.0, 1.0])  # the cell drifts
    after[oxygen[:2]] += [1.2, 0.0, 0.0]  # above half of the distance
    after[oxygen[2]] += [0.9, 0.0, 0.0]  # below it

    def shares(mobile):
        return displaced_shares(start, before, after, mobile={mobile}, beyond=0.5)

    assert shares("Li") == {"O": 2 / 32, "Mg": 0.0}
    after[start.symbols == "Mg"] += [7.0, 0.0, 0.0]  # what is mobile neither counts nor drags the center of mass along
    assert shares("Mg") == {"O": 2 / 32}


def test_a_slab_and_molecules_in_vacuum_are_not_judged():
    rng = np.random.default_rng(0)
    atoms = bulk("MgO", "rocksalt", a=A, cubic=True).repeat(2)
    assert verdict_of_trajectory(atoms).verdict == "crystalline"
    for axis in range(3):
        slab = atoms.copy()
        slab.cell[axis] *= 3.0
        slab.positions += 4.0 * rng.normal(size=3)  # across a face of the cell
        with pytest.raises(ValueError, match=rf"thick across the {'abc'[axis]} axis"):
            verdict_of_trajectory(slab)
