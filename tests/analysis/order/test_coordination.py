import math
from pathlib import Path

import numpy as np
import pytest
from analysis.order.crystals import corundum, cristobalite, diamond, mgo, quartz, rutile, tridymite
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.neighborlist import neighbor_list

from amorph.analysis.order import (
    Mean,
    bond_angles,
    bond_cutoffs,
    bond_order,
    connectivity,
    coordination,
    polyhedra,
    rings,
)
from amorph.figures import restored

ONE = Mean(1.0, None)
TETRAHEDRON = math.degrees(math.acos(-1 / 3))


def shaken(seed: int) -> Atoms:
    atoms = quartz() * (2, 2, 2)
    atoms.rattle(0.1, seed=seed)
    return atoms


# closed form


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (diamond(), {"C-C": 4}),
        (mgo(), {"Mg-O": 6, "O-Mg": 6}),
        (quartz(), {"Si-O": 4, "O-Si": 2}),
        (cristobalite(), {"Si-O": 4, "O-Si": 2}),
        (tridymite(), {"Si-O": 4, "O-Si": 2}),
        (rutile(), {"Ti-O": 6, "O-Ti": 3}),
        (corundum(), {"Al-O": 6, "O-Al": 4}),
    ],
    ids=["diamond", "MgO", "quartz", "cristobalite", "tridymite", "rutile", "corundum"],
)
def test_coordination_of_crystals(atoms, expected):
    for cell in (atoms, atoms * (2, 1, 3)):
        made = coordination(cell)
        assert {pair: shell.histogram for pair, shell in made.coordination.items()} == {
            pair: {n: 1.0} for pair, n in expected.items()
        }


def test_bond_lengths_of_rutile():
    # four of 1.949 Å and two of 1.980 Å by Swope et al.: from x and the cell
    a, c, x = 4.5922, 2.9574, 0.30496
    long = math.sqrt(2) * a * x
    short = math.sqrt(2 * (a * (0.5 - x)) ** 2 + c**2 / 4)
    shell = coordination(rutile()).coordination["Ti-O"]
    assert shell.bond_length_A == pytest.approx((4 * short + 2 * long) / 6, rel=1e-12)
    assert shell.bond_length_sd_A == pytest.approx((long - short) * math.sqrt(2) / 3, rel=1e-9)


def test_cutoff_is_between_the_shells_and_the_same_in_a_supercell():
    cutoffs = bond_cutoffs(quartz())
    assert 1.7 < cutoffs["Si-O"] < 3.4
    assert bond_cutoffs(quartz() * (2, 2, 1)) == pytest.approx(cutoffs, abs=1e-9)


@pytest.mark.parametrize("name", ["chgnet_glass", "chgnet_melt"])
def test_cutoffs_of_a_small_glass_and_one_frame_of_its_melt(name):
    # four Ti in 64 atoms: the peak falls to pieces, but not by more than its noise
    atoms = read(Path(__file__).parents[1] / "crystallinity/golden" / f"{name}.extxyz", index=-1)
    shells = coordination(atoms).coordination
    for cation, least, most in (("Ti", 4.5, 6.5), ("Mo", 5.0, 6.5), ("Li", 3.5, 5.0)):
        assert 2.5 < shells[f"{cation}-O"].cutoff_A < 3.3
        assert least < shells[f"{cation}-O"].mean < most
    if name == "chgnet_glass":
        # the 216 atoms of SCIENCE.md: 1.97 and 2.11 Å, 5.25 and 5.9 O
        assert shells["Ti-O"].bond_length_A == pytest.approx(1.97, abs=0.01)
        assert shells["Mo-O"].bond_length_A == pytest.approx(2.11, abs=0.01)


def test_given_cutoff_is_kept_and_adds_a_pair():
    made = coordination(mgo(), cutoffs={"O-Mg": 2.2, "Mg-Mg": 3.0})
    assert made.coordination["Mg-O"].cutoff_A == 2.2
    assert made.coordination["Mg-Mg"].histogram == {12: 1.0}
    # a pair at its cutoff is bonded
    exact = coordination(bulk("MgO", "rocksalt", a=4.0), cutoffs={"Mg-O": 2.0})
    assert exact.coordination["Mg-O"].mean == 6.0


@pytest.mark.parametrize(
    ("atoms", "triplet", "mean", "sd"),
    [
        (diamond(), "C-C-C", TETRAHEDRON, 0.0),
        (mgo(), "O-Mg-O", (12 * 90 + 3 * 180) / 15, 36.0),
        (cristobalite(), "Si-O-Si", 180.0, 0.0),
        (cristobalite(), "O-Si-O", TETRAHEDRON, 0.0),
    ],
)
def test_angles_of_crystals(atoms, triplet, mean, sd):
    made = bond_angles(atoms).angles[triplet]
    # a mean of squares less the square of the mean loses half the digits
    assert (made.mean_deg, made.sd_deg) == (pytest.approx(mean, abs=1e-9), pytest.approx(sd, abs=1e-4))
    assert made.density.sum() == pytest.approx(1.0, rel=1e-12)


def test_angle_of_quartz_is_that_of_the_refinement():
    # Levien et al. give 143.7°
    assert bond_angles(quartz()).angles["Si-O-Si"].mean_deg == pytest.approx(143.7, abs=0.2)


def test_dividing_by_the_sine_makes_random_directions_flat():
    rng = np.random.default_rng(0)
    gas = Atoms("Ar500", scaled_positions=rng.random((500, 3)), cell=[40.0] * 3, pbc=True)
    close = np.unique(np.argwhere(np.triu(gas.get_all_distances(mic=True) < 0.5, 1))[:, 0])
    del gas[close]
    made = bond_angles(gas, cutoffs={"Ar-Ar": 9.0}, bin_width=30.0, divide_by_sine=True)
    assert made.divided_by_sine
    # some 5e4 angles: a few per cent, and the angles at an atom are not independent
    np.testing.assert_allclose(made.angles["Ar-Ar-Ar"].density, 1 / 180, rtol=0.1)


def test_regular_polyhedra_have_no_distortion():
    d = 2.106
    mg = polyhedra(mgo()).polyhedra["Mg"]
    assert mg.volume_A3.mean == pytest.approx(4 / 3 * d**3, rel=1e-12)
    assert (mg.length_distortion.mean, mg.angle_variance_deg2.mean) == (
        pytest.approx(0, abs=1e-20),
        pytest.approx(0, abs=1e-12),
    )
    si = polyhedra(cristobalite()).polyhedra["Si"]
    assert si.volume_A3.mean == pytest.approx(8 / (9 * math.sqrt(3)) * (7.16 * math.sqrt(3) / 8) ** 3, rel=1e-12)
    assert si.angle_variance_deg2.mean == pytest.approx(0, abs=1e-12)
    assert si.tetrahedral_share.mean == 1.0


def test_distortion_of_rutile():
    a, c, x = 4.5922, 2.9574, 0.30496
    long, short = math.sqrt(2) * a * x, math.hypot(math.sqrt(2) * a * (0.5 - x), c / 2)
    ti = polyhedra(rutile()).polyhedra["Ti"]
    mean = (4 * short + 2 * long) / 6
    assert ti.length_distortion.mean == pytest.approx((4 * (short - mean) ** 2 + 2 * (long - mean) ** 2) / 6 / mean**2)
    # eight right angles between the long bonds and the short ones, and two pairs that make 180° together
    angle = 2 * math.degrees(math.asin(c / 2 / short))
    assert ti.angle_variance_deg2.mean == pytest.approx(4 * (angle - 90) ** 2 / 11, rel=1e-9)


@pytest.mark.parametrize(
    ("atoms", "sharing", "neighbors"),
    [
        # corners and edges: 6 and 12 in rocksalt, 8 and 2 in rutile; corundum: 9 corners, 3 edges, 1 face
        (mgo(), (6 / 18, 12 / 18, 0.0), 18),
        (rutile(), (0.8, 0.2, 0.0), 10),
        (corundum(), (9 / 13, 3 / 13, 1 / 13), 13),
        (quartz(), (1.0, 0.0, 0.0), 4),
    ],
    ids=["MgO", "rutile", "corundum", "quartz"],
)
def test_sharing_in_crystals(atoms, sharing, neighbors):
    for cell in (atoms, atoms * (2, 3, 1)):
        made = connectivity(cell).sharing["all"]
        assert (made.corner_share.mean, made.edge_share.mean, made.face_share.mean) == pytest.approx(sharing, abs=1e-12)
        assert made.neighbors.mean == neighbors


def test_bridges_and_q_n_of_a_chain_and_of_pairs():
    # an orthosilicate, a pair of tetrahedra, and a chain: built of tetrahedra far from each other
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 1.62 / math.sqrt(3)
    alone = Atoms("SiO4", positions=[[0, 0, 0], *corners], cell=[9] * 3, pbc=True)
    made = connectivity(alone, cutoffs={"Si-O": 2.0})
    assert (made.bridging, made.q_n) == ({"O": {1: ONE}}, {"Si": {0: ONE}})
    # the second is the image of the first in the corner that they share
    pair = Atoms(
        "Si2O7",
        positions=[[0, 0, 0], 2 * corners[0], *corners, *(2 * corners[0] - corners[1:])],
        cell=[12] * 3,
        pbc=True,
    )
    made = connectivity(pair, cutoffs={"Si-O": 2.0})
    assert {n: share.mean for n, share in made.bridging["O"].items()} == pytest.approx({1: 6 / 7, 2: 1 / 7})
    assert made.q_n["Si"] == {1: ONE}
    assert made.sharing["Si-Si"].neighbors.mean == 1.0
    assert connectivity(quartz()).q_n["Si"] == {4: ONE}
    assert connectivity(corundum()).bridging["O"] == {4: ONE}


def test_modifiers_are_no_network():
    atoms = mgo() * (2, 2, 2)
    atoms.symbols[[0, 2, 4]] = "Ti"
    assert connectivity(atoms, cutoffs={"Mg-O": 2.6, "Ti-O": 2.6}).formers == ("Ti",)
    made = connectivity(atoms, cutoffs={"Mg-O": 2.6, "Ti-O": 2.6}, formers=("Mg", "Ti"))
    assert made.formers == ("Mg", "Ti")
    assert made.bridging["O"] == {6: ONE}


# invariance


def skewed(seed: int) -> Atoms:
    """A few atoms in a triclinic cell that is smaller than the cutoffs below."""
    rng = np.random.default_rng(seed)
    cell = np.array([[4.0, 0.3, 0.0], [1.5, 3.8, 0.2], [-1.2, 0.8, 4.4]])
    while True:
        atoms = Atoms("SiTiO4", scaled_positions=rng.random((6, 3)), cell=cell, pbc=True)
        if neighbor_list("d", atoms, 1.4).size == 0:
            return atoms


def same(value: float | None, expected: float | None) -> bool:
    return value is expected is None or value == pytest.approx(expected, rel=1e-9, abs=1e-9)


CUTOFFS = {"Si-O": 3.1, "Ti-O": 5.0, "O-O": 2.9}


@pytest.mark.parametrize("seed", [0, 1])
def test_cell_gives_what_its_supercell_gives_turned_and_shuffled(seed):
    small = skewed(seed)
    large = small * (2, 1, 3)
    large = large[np.random.default_rng(seed).permutation(len(large))]
    large.rotate(70.0, (3, -1, 2), rotate_cell=True)
    one, other = (coordination(atoms, cutoffs=CUTOFFS).coordination for atoms in (small, large))
    for pair, shell in one.items():
        assert other[pair].histogram == pytest.approx(shell.histogram)
        assert other[pair].bond_length_A == pytest.approx(shell.bond_length_A, rel=1e-12)
    one, other = (bond_angles(atoms, cutoffs=CUTOFFS).angles for atoms in (small, large))
    for triplet, angles in one.items():
        assert other[triplet].mean_deg == pytest.approx(angles.mean_deg, rel=1e-9)
    one, other = (polyhedra(atoms, cutoffs=CUTOFFS).polyhedra for atoms in (small, large))
    for element, shape in one.items():
        for name, figure in vars(shape).items():
            assert same(getattr(other[element], name).mean, figure.mean), name
    one, other = (connectivity(atoms, cutoffs=CUTOFFS) for atoms in (small, large))
    assert other.formers == one.formers == ("Si", "Ti")
    for pair, shared in one.sharing.items():
        assert other.sharing[pair].neighbors.mean == pytest.approx(shared.neighbors.mean)
        assert same(other.sharing[pair].edge_share.mean, shared.edge_share.mean)
    for element in ("Si", "Ti"):
        assert {n: s.mean for n, s in other.q_n[element].items()} == pytest.approx(
            {n: s.mean for n, s in one.q_n[element].items()}
        )


# independent reference


@pytest.mark.parametrize("seed", [2, 3])
def test_coordination_and_angles_are_those_of_ase_and_of_a_double_loop(seed):
    atoms = skewed(seed)
    symbols = np.array(atoms.get_chemical_symbols())
    i, j, D, d = neighbor_list("ijDd", atoms, {tuple(pair.split("-")): cutoff for pair, cutoff in CUTOFFS.items()})
    shells = coordination(atoms, cutoffs=CUTOFFS).coordination
    for pair, shell in shells.items():
        a, b = pair.split("-")
        mine = (symbols[i] == a) & (symbols[j] == b)
        assert shell.mean == pytest.approx(mine.sum() / np.sum(symbols == a), rel=1e-12)
        assert shell.bond_length_A == pytest.approx(d[mine].mean(), rel=1e-12)
    expected = {}
    for m in range(len(i)):
        for n in range(m):
            if i[m] == i[n]:
                a, c = sorted((symbols[j[m]], symbols[j[n]]), key=["Si", "Ti", "O"].index)
                cosine = D[m] @ D[n] / d[m] / d[n]
                angle = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
                expected.setdefault(f"{a}-{symbols[i[m]]}-{c}", []).append(angle)
    found = bond_angles(atoms, cutoffs=CUTOFFS).angles
    assert found.keys() == expected.keys()
    for triplet, angles in expected.items():
        assert found[triplet].mean_deg == pytest.approx(np.mean(angles), rel=1e-9)
        assert found[triplet].sd_deg == pytest.approx(np.std(angles), rel=1e-6)


# frames and files


def test_error_is_over_the_files():
    glasses = [shaken(1), shaken(2), shaken(3)]
    each = [coordination(glass, cutoffs={"Si-O": 1.7}).coordination["Si-O"] for glass in glasses]
    made = coordination(glasses, cutoffs={"Si-O": 1.7}).coordination["Si-O"]
    means = [shell.mean for shell in each]
    assert made.mean == pytest.approx(np.mean(means), rel=1e-12)
    assert made.standard_error == pytest.approx(np.std(means, ddof=1) / math.sqrt(3), rel=1e-9)
    assert each[0].standard_error is None
    assert coordination([glasses], cutoffs={"Si-O": 1.7}).coordination["Si-O"].standard_error is None
    assert polyhedra(glasses).polyhedra["Si"].volume_A3.standard_error > 0
    assert bond_angles(glasses).angles["Si-O-Si"].standard_error_deg > 0
    assert connectivity(glasses).q_n["Si"][4] == Mean(1.0, 0.0)


def test_figures_read_back():
    made = coordination([shaken(1), shaken(2)])
    for result in (made, polyhedra(shaken(1)), connectivity(shaken(1)), rings(shaken(1)), bond_order(shaken(1))):
        assert restored(type(result), result.figures()) == result
        assert result.table()
    figures = made.figures()["coordination"]["Si-O"]
    assert {"mean", "standard_error", "cutoff_A", "histogram"} <= figures.keys()
    assert bond_angles(shaken(1)).figures()["angles"]["Si-O-Si"]["mean_deg"] > 90.0
    assert bond_angles(shaken(1)).table()


# errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coordination(mgo(), cutoffs={"Ti-O": 2.0}), "no Ti"),
        (lambda: coordination(mgo(), cutoffs={"MgO": 2.0}), "'MgO' is no pair"),
        (lambda: coordination(mgo(), cutoffs={"Mg-O": -2.0}), "cutoffs"),
        (lambda: connectivity(mgo(), formers=("O",)), "O is an anion"),
        (lambda: connectivity(mgo(), formers=("Si",)), "no Si"),
        (lambda: polyhedra(diamond()), "no cations and anions"),
        (lambda: connectivity(diamond()), "no cations and anions"),
        (lambda: coordination(Atoms("MgO", positions=[[0, 0, 0], [9, 9, 9]], cell=[18] * 3, pbc=True)), "no minimum"),
    ],
)
def test_questions_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
