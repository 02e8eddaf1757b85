"""The periodic pair list, against closed forms and a brute-force sum over images."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from hypothesis import given, settings, strategies as st

from amorph.structure import half_list, pair_list


def rows(pairs):
    return list(zip(pairs.i.tolist(), pairs.j.tolist(), map(tuple, pairs.S.tolist()), strict=True))


def cell_of(seed, shortest=2.0):
    """A random triclinic cell of five atoms, some of them outside the cell."""
    rng = np.random.default_rng(seed)
    while True:
        cell = rng.normal(scale=4, size=(3, 3))
        if abs(np.linalg.det(cell)) > shortest**3:
            return Atoms("LiTiMoO2", scaled_positions=rng.uniform(-1, 2, (5, 3)), cell=cell, pbc=True)


# closed form


def test_shells_of_rocksalt():
    # neighbors of an ion at a/2·√1, √2, √3, √4: 6, 12, 8, 6
    atoms = bulk("MgO", "rocksalt", a=4.0)
    for shells, count in ((1, 6), (2, 18), (3, 26), (4, 32)):
        pairs = pair_list(atoms, 2.0 * np.sqrt(shells) + 1e-9)
        assert np.bincount(pairs.i).tolist() == [count, count]
        assert pairs.d.max() == pytest.approx(2.0 * np.sqrt(shells))


def test_the_cutoff_itself_belongs():
    atoms = Atoms("HO", positions=[[0, 0, 0], [2, 0, 0]], cell=[10, 10, 10], pbc=True)
    assert len(pair_list(atoms, 2.0).d) == 2
    assert len(pair_list(atoms, np.nextafter(2.0, 0)).d) == 0


def test_an_atom_in_a_small_cell_sees_several_images_of_itself():
    pairs = pair_list(Atoms("H", cell=[1, 10, 10], pbc=True), 2.5)
    assert rows(pairs) == [(0, 0, (s, 0, 0)) for s in (-2, -1, 1, 2)]
    assert pairs.d.tolist() == [2, 1, 1, 2]


def test_without_periodicity_only_the_atoms_themselves():
    atoms = Atoms("HOH", positions=[[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    assert rows(pair_list(atoms, 1.5)) == [(i, j, (0, 0, 0)) for i, j in ((0, 1), (1, 0), (1, 2), (2, 1))]


# conservation


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), cutoff=st.floats(0.5, 7.0), apart=st.sampled_from([0, 1000]))
def test_half_of_the_list_has_each_pair_once_in_the_same_order(seed, cutoff, apart):
    atoms = cell_of(seed)
    atoms.positions[:2] += np.array([apart, 0, -apart]) @ atoms.cell.array
    i, j, S = half_list(atoms, cutoff)
    own = [(a, b, shift) for a, b, shift in rows(pair_list(atoms, cutoff)) if (a, (0, 0, 0)) < (b, shift)]
    assert list(zip(i.tolist(), j.tolist(), map(tuple, S.astype(int).tolist()), strict=True)) == own


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), cutoff=st.floats(0.5, 7.0))
def test_vectors_distances_and_directions_belong_together(seed, cutoff):
    atoms = cell_of(seed)
    pairs = pair_list(atoms, cutoff)
    expected = atoms.positions[pairs.j] - atoms.positions[pairs.i] + pairs.S @ atoms.cell.array
    assert pairs.D == pytest.approx(expected, abs=1e-10)  # noqa: SIM300
    assert pairs.d == pytest.approx(np.linalg.norm(pairs.D, axis=1), abs=1e-12)
    listed = rows(pairs)
    assert listed == sorted(listed)
    assert len(set(listed)) == len(listed)
    assert {(j, i, tuple(-s for s in S)) for i, j, S in listed} == set(listed)
    assert pairs.i.dtype == pairs.j.dtype == pairs.S.dtype == np.int64


# invariance


def test_turning_shifting_and_repeating_change_nothing():
    atoms = cell_of(1)
    pairs = pair_list(atoms, 5.0)
    turned = atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    turned.positions += [0.3, -7.0, 11.0]
    other = pair_list(turned, 5.0)
    assert rows(other) == rows(pairs)
    assert other.d == pytest.approx(pairs.d, abs=1e-12)
    repeated = pair_list(atoms * (2, 1, 3), 5.0)
    assert len(repeated.d) == 6 * len(pairs.d)
    assert np.sort(repeated.d) == pytest.approx(np.repeat(np.sort(pairs.d), 6), abs=1e-12)


# independent reference


@pytest.mark.parametrize("seed", range(4))
def test_against_brute_force_over_images_and_ase(seed):
    atoms = cell_of(seed)
    cutoff = 6.0
    # images within reach: distances between lattice planes bound the shifts, positions stray by up to three cells
    reach = (np.ceil(cutoff / (1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0))) + 3).astype(int)
    expected = set()
    for S in product(*(range(-n, n + 1) for n in reach)):
        D = atoms.positions[None] - atoms.positions[:, None] + np.array(S) @ atoms.cell.array
        for i, j in np.argwhere(np.linalg.norm(D, axis=2) <= cutoff):
            if (i, j, S) != (i, i, (0, 0, 0)):
                expected.add((int(i), int(j), S))
    assert set(rows(pair_list(atoms, cutoff))) == expected
    assert len(neighbor_list("i", atoms, cutoff)) == len(expected)


# errors


def test_one_or_two_periodic_directions_are_refused():
    with pytest.raises(ValueError, match=r"periodic along \[True, True, False\]: a pair list needs all three"):
        pair_list(Atoms("H", cell=[3, 3, 3], pbc=[True, True, False]), 2.0)


@pytest.mark.parametrize("cell", [[8, 8, 8e5], [4, 1000, 1000], [20, 20, 1.9e6]])
def test_a_cell_that_would_end_the_process_is_refused(cell):
    atoms = Atoms("Mg", cell=cell, pbc=True)
    with pytest.raises(ValueError, match=r"faces of the cell are \d+ to \S+ Å apart: too elongated to search it"):
        pair_list(atoms, 1.0)


@pytest.mark.parametrize("cell", [[10, 10, 2e3], [0.5, 0.5, 90], [4, 500, 500]])
def test_a_long_cell_is_searched(cell):
    atoms = Atoms("Mg2", positions=[[0, 0, 0], [0, 0, 0.9]], cell=cell, pbc=True)
    assert (pair_list(atoms, 1.0).d < 0.91).sum() >= 2


# threads


def test_threads_may_call_first_together_and_import_torch_meanwhile(tmp_path):
    (tmp_path / "torch.py").touch()
    (tmp_path / "vesin.py").write_text(
        """if True:
        import threading
        try:
            import torch
        except ImportError:
            torch = None
        found = []
        def look():
            import torch
            found.append(torch.__name__)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        """
    )
    script = """if True:
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        from amorph.structure.pairs import _vesin
        sys.path.insert(0, sys.argv[1])
        start, before = Barrier(8), list(sys.meta_path)
        def call(_):
            start.wait()
            return _vesin()
        with ThreadPoolExecutor(8) as pool:
            first, *others = pool.map(call, range(8))
        assert all(other is first for other in others)
        assert first.torch is None, "vesin loaded torch"
        assert first.found == ["torch"], "another thread could not import torch"
        assert sys.meta_path == before
        """
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
