"""The fast engine: sum rules, invariances, finite differences, and what its results depend on."""

import copy
import dataclasses
import itertools
from collections import OrderedDict

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from chgnet.model.basis import RadialBessel
from float64_stock import melt, rocksalt, skewed, two_atoms

from amorph.chgnet.cpu.atom_convolution import Bonds, Elements, first_backward
from amorph.chgnet.cpu.bench import Bench
from amorph.chgnet.cpu.engine import Engine
from amorph.chgnet.cpu.graph import VerletList
from amorph.chgnet.cpu.network import SCRATCH
from amorph.chgnet.cpu.tables import RADIAL_START, _radial_basis
from amorph.chgnet.cpu.workspace import Workspace
from amorph.chgnet.folding import fold
from amorph.chgnet.weights import load_checkpoint
from amorph.machine.wide_vectors import aligned
from amorph.structure import pair_list

EVERYTHING = {"energy", "forces", "stress", "magmoms"}


@pytest.fixture(scope="module")
def engine():
    return Engine(load_checkpoint("0.3.0"), threads=2)


def test_ideal_rocksalt_has_no_forces_and_the_stress_of_a_cube(engine):
    # Hundreds of bonds and angles, each with its force, cancel by symmetry alone, to 1e-7 in float32.
    result = engine.evaluate(bulk("MgO", "rocksalt", a=4.15, cubic=True), EVERYTHING)
    np.testing.assert_allclose(result["forces"], 0, atol=2e-6)
    normal, shear = result["stress"][:3], result["stress"][3:]
    assert abs(normal).min() > 0.05
    np.testing.assert_allclose(normal, normal[0], atol=1e-7)
    np.testing.assert_allclose(shear, 0, atol=1e-7)


def test_rotation_turns_forces_and_permutation_moves_them(engine):
    atoms = rocksalt(1, 0.1, seed=6)
    reference = engine.evaluate(atoms, EVERYTHING)
    rotation = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.positions = atoms.positions @ rotation.T
    order = np.random.default_rng(8).permutation(len(atoms))
    result = engine.evaluate(turned[order], EVERYTHING)
    # Another frame and order change the rounding of float32 sums.
    assert result["energy"] == pytest.approx(reference["energy"], abs=1e-5)
    np.testing.assert_allclose(result["forces"], reference["forces"][order] @ rotation.T, atol=5e-5)
    np.testing.assert_allclose(result["magmoms"], reference["magmoms"][order], atol=1e-5)


def test_repeated_cell_repeats_forces(engine):
    atoms = two_atoms()
    reference = engine.evaluate(atoms, EVERYTHING)
    result = engine.evaluate(atoms * (2, 2, 1), EVERYTHING)
    assert result["energy"] == pytest.approx(4 * reference["energy"], abs=1e-5)
    np.testing.assert_allclose(result["forces"], np.tile(reference["forces"], (4, 1)), atol=2e-5)
    np.testing.assert_allclose(result["stress"], reference["stress"], atol=2e-6)


def test_forces_and_stress_are_slopes_of_the_energy(engine):
    atoms = rocksalt(1, 0.1, seed=4)
    reference = engine.evaluate(atoms, EVERYTHING)
    rng = np.random.default_rng(9)
    # The energy is rounded to about 1e-6 eV: a step of 0.005 Å gives slopes to 4e-4 beside the step's own error.
    direction = rng.normal(size=atoms.positions.shape)
    direction /= np.linalg.norm(direction)
    slopes = []
    for step in (0.01, 0.005):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions += sign * step * direction
            energies.append(engine.evaluate(moved, {"energy"})["energy"])
        slopes.append((energies[0] - energies[1]) / (2 * step))
    slope = (4 * slopes[1] - slopes[0]) / 3
    assert slope == pytest.approx(-(reference["forces"] * direction).sum(), abs=2e-3)
    strain = np.zeros((3, 3))
    strain[0, 0], strain[0, 1], strain[1, 0], strain[2, 2] = 1, 0.5, 0.5, -0.7
    slopes = []
    for step in (0.002, 0.001):
        energies = []
        for sign in (1, -1):
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * step * strain), scale_atoms=True)
            energies.append(engine.evaluate(strained, {"energy"})["energy"])
        slopes.append((energies[0] - energies[1]) / (2 * step))
    slope = (4 * slopes[1] - slopes[0]) / 3 / atoms.cell.volume
    xx, _, zz, _, _, xy = reference["stress"]
    assert slope == pytest.approx(xx + xy - 0.7 * zz, abs=2e-4)


def test_many_elements_go_without_pair_tables(engine, monkeypatch):
    atoms = rocksalt(1, 0.1)
    tabled = engine.evaluate(atoms, EVERYTHING)
    monkeypatch.setattr("amorph.chgnet.cpu.engine.MAX_TABLED_ELEMENTS", 0)
    direct = engine.evaluate(atoms, EVERYTHING)
    assert not np.array_equal(direct["forces"], tabled["forces"])
    np.testing.assert_allclose(direct["forces"], tabled["forces"], atol=2e-5)
    np.testing.assert_allclose(direct["stress"], tabled["stress"], atol=1e-6)


def test_forces_do_not_depend_on_the_age_of_the_list(engine):
    old, new = copy.copy(engine), copy.copy(engine)
    old._list = VerletList(6.0, 3.0, engine.tables.step, 1.0)
    rng = np.random.default_rng(11)
    atoms = rocksalt(2, 0.05)
    start, cell = atoms.positions.copy(), atoms.cell.array.copy()
    old.evaluate(atoms, {"forces"})
    for _ in range(3):
        atoms.set_cell(cell @ (np.eye(3) + rng.uniform(-0.003, 0.003, (3, 3))))
        atoms.positions = start + rng.uniform(-0.25, 0.25, start.shape)
        aged = old.evaluate(atoms, EVERYTHING)
        new._list = VerletList(6.0, 3.0, engine.tables.step, 1.0)
        fresh = new.evaluate(atoms, EVERYTHING)
        for name, value in fresh.items():
            assert np.array_equal(value, aged[name]), name
    assert old._list.rebuilds == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_that_are_kept_and_those_computed_again_give_the_same_bits(engine, dtype, monkeypatch):
    kept = engine if dtype == np.float32 else engine._precise.engine("asked for by a test")
    again = kept.serial_copy()
    monkeypatch.setattr("amorph.chgnet.cpu.memory.KEPT_SHARE", -1.0)
    for atoms in (melt(24), skewed(), rocksalt(2, 0.1)):
        if dtype == np.float64 and len(atoms) > 24:
            continue
        found = again.evaluate(atoms, EVERYTHING)
        assert not again.bench.kept._buffers
        with monkeypatch.context() as patch:
            patch.setattr("amorph.chgnet.cpu.memory.KEPT_SHARE", 1.0)
            reference = kept.evaluate(atoms, EVERYTHING)
        assert kept.bench.kept._buffers
        for name, value in reference.items():
            assert np.array_equal(found[name], value), name


def test_activations_are_given_back_where_memory_runs_short(engine, monkeypatch):
    twin = engine.serial_copy()
    twin.evaluate(melt(24), {"forces"})
    assert twin.bench.kept._buffers
    larger = rocksalt(2, 0.1)
    with monkeypatch.context() as patch:
        # Enough for the evaluation (8 MB), not for what it could keep (80 MB).
        patch.setattr("amorph.chgnet.cpu.memory.available_memory", lambda: 30_000_000)
        twin.evaluate(larger, {"forces"})
        assert not twin.bench.kept._buffers
    twin.evaluate(larger, {"forces"})
    assert twin.bench.kept._buffers


def test_one_thread_agrees_with_two(engine):
    atoms = rocksalt(2, 0.1)
    one = copy.copy(engine)
    one.bench = Bench(1, SCRATCH, one.dtype)
    np.testing.assert_allclose(
        one.evaluate(atoms, EVERYTHING)["forces"], engine.evaluate(atoms, EVERYTHING)["forces"], atol=2e-5
    )


@pytest.mark.parametrize("make", [skewed, two_atoms, lambda: rocksalt(1, 0.2)])
def test_graph_counts_bonds_and_angles_of_the_pair_list(make):
    atoms = make()
    graph = VerletList(6.0, 3.0, 0.0020833333333333333, 1.0).graph(atoms)
    pairs = pair_list(atoms, 6.0)
    edges = np.bincount(pairs.i[pairs.d < 3.0], minlength=len(atoms))
    assert 2 * graph.i.size == pairs.i.size
    assert graph.edge_bond.size == edges.sum()
    assert graph.angle_knot.size == (edges * (edges - 1)).sum()
    np.testing.assert_allclose(np.sort(np.repeat(graph.d, 2)), np.sort(pairs.d), rtol=1e-12)


def test_list_is_rebuilt_when_the_cell_shrinks():
    atoms = rocksalt(2, 0.05)
    verlet = VerletList(6.0, 3.0, 0.0020833333333333333, 1.0)
    verlet.graph(atoms)
    for scale, rebuilds in ((0.99, 1), (1.03, 1), (0.80, 2)):
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell.array * scale, scale_atoms=True)
        graph = verlet.graph(scaled)
        assert 2 * graph.i.size == pair_list(scaled, 6.0).i.size
        assert verlet.rebuilds == rebuilds


@pytest.mark.parametrize(("squeeze", "step"), [(1.0, 0.52), (0.95, 0.35)])
def test_list_is_rebuilt_before_two_atoms_meet_unseen(squeeze, step):
    # Not listed at 7.01 Å; then the cell shrinks, and each moves towards the other by less than the skin of 1 Å.
    atoms = Atoms("O4", positions=[[0, 0, 0], [7.01, 0, 0], [0, 4, 0], [7.01, 4, 0]], cell=[20, 20, 20], pbc=True)
    verlet = VerletList(6.0, 3.0, 0.0020833333333333333, 1.0)
    assert verlet.graph(atoms).i.tolist() == [0, 1]
    atoms.set_cell([20 * squeeze, 20, 20], scale_atoms=True)
    atoms.positions[:2, 0] += [step, -step]
    assert verlet.graph(atoms).i.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("strained", "amplitude"), [(np.diag([0.8, 1.0, 1.0]), 0.1), (0.85 * np.eye(3) + 0.15 * np.ones((3, 3)), 0.2)]
)
def test_list_holds_while_the_cell_changes_and_atoms_move(strained, amplitude):
    # The shear brings images together along one diagonal, and no lattice vector gets shorter.
    rng = np.random.default_rng(12)
    atoms = rocksalt(2, 0.05)
    verlet = VerletList(6.0, 3.0, 0.0020833333333333333, 1.0)
    verlet.graph(atoms)
    for part in np.linspace(0.0, 1.0, 11):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ ((1 - part) * np.eye(3) + part * strained), scale_atoms=True)
        moved.positions += rng.uniform(-amplitude, amplitude, moved.positions.shape)
        assert 2 * verlet.graph(moved).i.size == pair_list(moved, 6.0).i.size
    assert 1 < verlet.rebuilds < 11


def test_messages_of_close_atoms_have_the_slope_of_the_formula(engine):
    tables = engine.tables
    table = tables.messages(np.array([8, 42]))
    d = np.arange(0.8, 3.0, 0.0007)
    place = (d - RADIAL_START) / tables.step
    knot = place.astype(np.int32)
    upstream = np.random.default_rng(0).normal(size=128).astype(np.float32)
    slope, zeros, ones = np.zeros(d.size), np.zeros(d.size, np.int32), np.ones(d.size, np.int32)
    bonds = Bonds(zeros, ones, zeros, knot, (place - knot).astype(np.float32))
    elements = Elements(np.array([0, 1], np.int32), 2, table)
    first_backward(0, d.size, bonds, elements, tables.step, upstream, slope, upstream)
    hidden = tables._map_first_layer(d)
    expected = sum(
        tables._message(z, y, hidden, tables._weight(d))[1] @ upstream[side].astype(np.float64)
        for z, y, side in ((8, 42, slice(0, 64)), (42, 8, slice(64, 128)))
    )
    np.testing.assert_allclose(slope, expected, atol=3e-4)


def test_the_envelope_has_the_power_of_the_file_whole_or_not():
    checkpoint = load_checkpoint("0.3.0")
    model = fold(dataclasses.replace(checkpoint, arguments=checkpoint.arguments | {"cutoff_coeff": 8.5}))
    d = np.linspace(0.6, 5.99, 50)
    stock = RadialBessel(num_radial=31, cutoff=6.0, smooth_cutoff=8.5).double()
    stock.load_state_dict(
        {"frequencies": torch.as_tensor(model.arrays["bond_basis_expansion.rbf_expansion_ag.frequencies"])}
    )
    ours, slope = _radial_basis(model.arrays, "ag", d, 6.0, model.exponent)
    np.testing.assert_allclose(ours, stock(torch.as_tensor(d)).detach().numpy(), atol=1e-12)
    step = 1e-5  # differences of float64 values of order 1: 1e-11 / 1e-5, beside the step's own h²
    ahead, behind = (_radial_basis(model.arrays, "ag", d + s, 6.0, model.exponent)[0] for s in (step, -step))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), atol=1e-4)


def test_pairs_of_elements_that_were_tabulated_before_are_taken_over(engine, monkeypatch):
    tables, made, message = engine.tables, [], engine.tables._message
    monkeypatch.setattr(tables, "_messages", OrderedDict())
    monkeypatch.setattr(tables, "_message", lambda *asked: made.append(asked[:2]) or message(*asked))
    tables.messages(np.array([3, 8]))
    known = len(made)
    table = tables.messages(np.array([3, 8, 12])).reshape(3, 3, -1)
    assert set(made[known:]) == {(12, 12), (3, 12), (12, 3), (8, 12), (12, 8)}
    monkeypatch.setattr(tables, "_messages", OrderedDict())
    assert np.array_equal(table, tables.messages(np.array([3, 8, 12])).reshape(3, 3, -1))


def test_tables_are_kept_up_to_a_size_whatever_their_number(engine, monkeypatch):
    tables, made = engine.tables, []
    size = tables.messages(np.array([8])).size

    def pairs(elements):
        made.append(elements)
        return np.empty(len(elements) ** 2 * size, np.float32)  # never touched, so it takes no memory

    monkeypatch.setattr(tables, "_messages", OrderedDict())
    monkeypatch.setattr(tables, "_pairs", pairs)
    ternaries = [np.array([8, 12, dopant]) for dopant in range(21, 31)]
    for elements in ternaries * 2:
        assert tables.messages(elements).size == 9 * size
    assert len(made) == len(ternaries)  # the second pass found all
    for dopant in range(21, 31):
        tables.messages(np.array([3, 8, 9, 12, 13, dopant]))
    assert [key[-1] for key in tables._messages] == [29, 30]
    monkeypatch.setattr("amorph.chgnet.cpu.tables.KEPT_BYTES", 1)
    assert tables.messages(ternaries[0]) is tables.messages(ternaries[0])


class GuardedWorkspace(Workspace):
    """Buffers full of NaN between walls of sevens: who reads what nobody wrote, or writes outside, is found out."""

    WALL = 4096

    def empty(self, name, count):
        held = self._buffers.get(name)
        if held is None or held.size != count + 2 * self.WALL:
            self._buffers[name] = walled(count, self._dtype)
        return self._buffers[name][self.WALL : self.WALL + count]


def walled(count, dtype, wall=GuardedWorkspace.WALL):
    buffer = aligned(count + 2 * wall, dtype)
    buffer[:wall] = buffer[wall + count :] = 7
    buffer[wall : wall + count] = np.nan
    return buffer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_come_from_what_was_written_and_nothing_is_written_outside(dtype, monkeypatch):
    monkeypatch.setattr("amorph.chgnet.cpu.engine.FEWEST_ATOMS", 0)
    wall, threads = GuardedWorkspace.WALL, 2
    engine = Engine(load_checkpoint("0.3.0"), threads=threads, dtype=dtype)
    for keep, atoms in itertools.product((False, True), (two_atoms(), rocksalt(1, 0.1, seed=4), melt(24))):
        monkeypatch.setattr("amorph.chgnet.cpu.memory.KEPT_SHARE", 1.0 if keep else -1.0)
        engine.bench.space = Workspace(dtype)
        reference = engine.evaluate(atoms, {"forces", "magmoms"})
        engine.bench.space, engine.bench.kept = GuardedWorkspace(dtype), GuardedWorkspace(dtype)
        scratch = [walled(SCRATCH, dtype) for _ in range(threads)]
        with monkeypatch.context() as patch:
            patch.setattr(engine.bench, "_scratch", [buffer[wall : wall + SCRATCH] for buffer in scratch])
            result = engine.evaluate(atoms, {"forces", "magmoms"})
        for name, value in reference.items():
            assert np.array_equal(result[name], value), name
        kept = engine.bench.kept._buffers
        assert bool(kept) == keep
        for buffer in (*engine.bench.space._buffers.values(), *kept.values(), *scratch):
            assert (buffer[:wall] == 7).all()
            assert (buffer[-wall:] == 7).all()
