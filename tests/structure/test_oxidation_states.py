import itertools
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings, strategies as st

from amorph.reading import read_structure
from amorph.rocksalt import build
from amorph.structure import anion_charges, resolve_oxidation_states, to_pymatgen, with_oxidation_states
from amorph.structure.oxidation_states import _cheapest_changes
from amorph.tables import bond_valence

STRUCTURES = Path(__file__).parents[2] / "structures"


def placed(formula):
    """Atoms of a formula, 3 Å from each other: their composition is all that counts."""
    atoms = Atoms(formula)
    atoms.positions[:, 0] = 3.0 * np.arange(len(atoms))
    atoms.set_cell([3.0 * len(atoms), 3.0, 3.0])
    atoms.pbc = True
    return atoms


def by_element(atoms):
    return dict(zip(atoms.get_chemical_symbols(), atoms.arrays["oxidation_states"].tolist(), strict=True))


def bare(path):
    atoms = read_structure(path)
    del atoms.arrays["oxidation_states"]
    return atoms


# formal states: compounds whose states every chemist knows


@pytest.mark.parametrize(
    ("formula", "states"),
    [
        ("MgO", {"Mg": 2, "O": -2}),
        ("LiFePO4", {"Li": 1, "Fe": 2, "P": 5, "O": -2}),
        ("FePO4", {"Fe": 3, "P": 5, "O": -2}),
        ("LiCoO2", {"Li": 1, "Co": 3, "O": -2}),
        ("MgTi2O4", {"Mg": 2, "Ti": 3, "O": -2}),
        ("MoO3", {"Mo": 6, "O": -2}),
        ("Fe3O4", {"Fe": 8 / 3, "O": -2}),
        ("LiMn2O4", {"Li": 1, "Mn": 3.5, "O": -2}),
        ("Li4Ni2Mn6O16", {"Li": 1, "Ni": 2, "Mn": 4, "O": -2}),
        ("Li6PS5Cl", {"Li": 1, "P": 5, "S": -2, "Cl": -1}),
        ("Li72Ti12Mo24O108", {"Li": 1, "Ti": 4, "Mo": 4, "O": -2}),
        ("Mg36Ti12Mo24O108", {"Mg": 2, "Ti": 4, "Mo": 4, "O": -2}),
        ("Li60Ti12Mo24O108", {"Li": 1, "Ti": 4, "Mo": 4.5, "O": -2}),
        ("Mg166Ti56Mo111O500", {"Mg": 2, "Ti": 4, "Mo": 4, "O": -2}),
        ("Li333Ti56Mo111O500", {"Li": 1, "Ti": 4, "Mo": 443 / 111, "O": -2}),
    ],
)
def test_formal_states_are_the_chemists(formula, states):
    assert by_element(with_oxidation_states(placed(formula), "formal")) == pytest.approx(states, abs=1e-12)


def test_formal_states_ignore_those_of_the_structure_and_scale_with_it():
    atoms = read_structure(f"{STRUCTURES}/LiFePO4.cif")
    atoms.arrays["oxidation_states"][:] = -1.0
    made = with_oxidation_states(atoms, "formal")
    assert by_element(made) == {"Li": 1.0, "Fe": 2.0, "P": 5.0, "O": -2.0}
    assert (atoms.arrays["oxidation_states"] == -1.0).all()
    assert by_element(with_oxidation_states(atoms.repeat((3, 3, 3)), "formal")) == by_element(made)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["Li", "Mg", "Ti", "Mo", "Fe", "P"]), st.integers(1, 40), min_size=1))
def test_formal_states_are_neutral_or_refused(counts):
    atoms = placed("".join(f"{element}{n}" for element, n in counts.items()) + f"O{sum(counts.values())}")
    try:
        states = with_oxidation_states(atoms, "formal").arrays["oxidation_states"]
    except ValueError as error:
        assert "no oxidation states balance" in str(error)
        return
    assert abs(states.sum()) < 1e-9
    assert sum(len(set(states[atoms.symbols == element])) for element in counts) == len(counts)
    means = {float(states[atoms.symbols == element][0]) for element in counts}
    assert sum(mean != round(mean) for mean in means) <= 1


# given states, and states by element


def test_given_states_come_from_files_and_from_pymatgen():
    atoms = read_structure(f"{STRUCTURES}/LiFePO4.cif")
    for structure in (atoms, to_pymatgen(atoms)):
        made, origin = resolve_oxidation_states(structure, None)
        assert by_element(made) == {"Li": 1.0, "Fe": 2.0, "P": 5.0, "O": -2.0}
        assert origin == "given in the structure"
    assert resolve_oxidation_states(bare(f"{STRUCTURES}/LiFePO4.cif"), None)[1] == "formal: balanced by composition"


def test_states_by_element_leave_the_others():
    atoms = read_structure(f"{STRUCTURES}/LiFePO4.cif")
    made, origin = resolve_oxidation_states(atoms, {"Fe": 3})
    assert by_element(made) == {"Li": 1.0, "Fe": 3.0, "P": 5.0, "O": -2.0}
    assert origin == "by element: Fe=3, the rest given in the structure"
    made, origin = resolve_oxidation_states(placed("LiMoTiO4"), {"Ti": 3})
    assert by_element(made) == {"Li": 1.0, "Mo": 4.0, "Ti": 3.0, "O": -2.0}
    assert origin == "by element: Ti=3, the rest balanced by composition"
    # peroxide: all states are the user's, and nothing has to balance
    assert by_element(with_oxidation_states(placed("Li2O2"), {"Li": 1, "O": -1})) == {"Li": 1.0, "O": -1.0}
    assert by_element(with_oxidation_states(placed("Li2O2"), {"O": -1})) == {"Li": 1.0, "O": -1.0}


# fitted states


@pytest.mark.parametrize("name", ["MgO", "Li2TiO3", "MoO3", "MoO2", "TiO2_anatase", "MgAl2O4", "MgTi2O4", "LiFePO4"])
def test_fitted_states_are_those_of_the_crystals(name):
    atoms = read_structure(f"{STRUCTURES}/{name}.cif")
    fitted = with_oxidation_states(bare(f"{STRUCTURES}/{name}.cif"), "fitted")
    np.testing.assert_array_equal(fitted.arrays["oxidation_states"], atoms.arrays["oxidation_states"])


def misfits(atoms, k):
    """|V − q| of atom k, a Mo, for each charge q: brute force over images, with b = 0.37."""
    oxygen = atoms.positions[atoms.symbols == "O"]
    shifts = np.array(list(itertools.product(range(-5, 6), repeat=3))) @ atoms.cell.array
    distances = np.linalg.norm(oxygen[:, None] + shifts - atoms.positions[k], axis=-1)
    distances = distances[distances <= 6.0]
    found = {}
    for state, r0 in {4: 1.856, 5: 1.878, 6: 1.907}.items():
        assert (bond_valence(f"Mo{state}+").r0, bond_valence(f"Mo{state}+").b) == (r0, 0.37)
        found[state] = abs(np.exp((r0 - distances) / 0.37).sum() - state)
    return found


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_fitted_states_raise_the_misfit_least(seed, excess):
    # four Mo in a shaken rocksalt cell, their charge between 16 and 24 e: against all 81 assignments
    rng = np.random.default_rng(seed)
    atoms = bulk("MoO", "rocksalt", a=rng.uniform(3.75, 4.4), cubic=True)
    atoms.rattle(0.2, rng=rng)
    mo = np.flatnonzero(atoms.symbols == "Mo")
    misfit = [misfits(atoms, k) for k in mo]
    nearest = np.zeros(len(atoms))
    nearest[mo] = [min(m, key=m.get) for m in misfit]
    wanted = 16 + excess - round(nearest.sum())
    changes = _cheapest_changes(dict(zip(mo.tolist(), misfit, strict=True)), nearest, wanted)
    states = nearest.copy()
    for k, state in changes.items():
        states[k] = state
    assert states.sum() == 16 + excess
    cost = sum(m[int(states[k])] for k, m in zip(mo, misfit, strict=True))
    best = min(
        sum(m[q] for m, q in zip(misfit, chosen, strict=True))
        for chosen in itertools.product((4, 5, 6), repeat=4)
        if sum(chosen) == 16 + excess and all((q - n) * wanted >= 0 for q, n in zip(chosen, nearest[mo], strict=True))
    )
    assert cost == pytest.approx(best, abs=1e-9)


def test_fitted_states_have_the_b_of_their_table():
    # two octahedra, an even one and one of three short and three long bonds: with b = 0.37 Å the even one has the
    # larger sum and is Mo5+, with 0.31 Å the other
    axes = np.vstack([np.eye(3), -np.eye(3)])
    even = 1.965 * axes
    uneven = np.array([1.80, 1.80, 1.80, 2.30, 2.30, 2.30])[:, None] * axes
    lithium = [[2.0 * n, 0.0, 0.0] for n in range(15)]
    positions = [[10.0] * 3, [30.0] * 3, *(even + 10.0), *(uneven + 30.0), *lithium]
    atoms = Atoms("Mo2O12Li15", positions=positions, cell=[40.0] * 3, pbc=True)
    assert with_oxidation_states(atoms, "fitted").arrays["oxidation_states"][:2].tolist() == [5.0, 4.0]


def test_fitted_states_of_a_mixed_valence():
    # 12 of 72 Li taken out of an oxide of Mo4+: its 24 Mo must carry 12 e more
    rng = np.random.default_rng(1)
    atoms = build("Li2Ti1/3Mo2/3O3", supercell=(3, 3, 3), lattice_constant=4.15, rng=rng).atoms
    atoms.rattle(0.1, rng=rng)
    del atoms[np.flatnonzero(atoms.symbols == "Li")[:12]]
    states = with_oxidation_states(atoms, "fitted").arrays["oxidation_states"]
    mo = np.flatnonzero(atoms.symbols == "Mo")
    assert states.sum() == 0.0
    # no exchange of charge between two Mo fits better
    misfit = [misfits(atoms, k) for k in mo]
    raised = [m.get(states[k] + 1, np.inf) - m[states[k]] for k, m in zip(mo, misfit, strict=True)]
    lowered = [m.get(states[k] - 1, np.inf) - m[states[k]] for k, m in zip(mo, misfit, strict=True)]
    assert min(a + b for (i, a), (j, b) in itertools.product(enumerate(raised), enumerate(lowered)) if i != j) >= 0.0


def test_fitted_states_of_a_cell_that_cannot_be_neutral():
    # an O missing among 108: no state of Mg takes the charge
    atoms = bulk("MgO", "rocksalt", a=4.212).repeat((6, 6, 3))
    del atoms[1]
    made, origin = resolve_oxidation_states(atoms, "fitted")
    assert made.arrays["oxidation_states"].sum() == 2.0
    assert origin == "fitted to bond valence sums, +2 e is left"


# what counts as an anion: compounds whose bonds every chemist knows


def crystal_of(symbols, basis, group, cell):
    return crystal(symbols, basis=basis, spacegroup=group, cellpar=cell)


@pytest.mark.parametrize(
    ("atoms", "states", "assumed"),
    [
        # nitratine, pyrite, peroxide, hydride, hydroxide, antiperovskite: published cells, rounded; F-H-F, 1.14 Å apart
        (
            Atoms("KFHF", [[3, 3, 3], [-1.14, 0, 0], [0, 0, 0], [1.14, 0, 0]], cell=[6] * 3, pbc=True),
            {"K": 1, "H": 1, "F": -1},
            "",
        ),
        (
            crystal_of("NaNO", [(0, 0, 0), (0, 0, 0.25), (0.245, 0, 0.25)], 167, [5.07, 5.07, 16.82, 90, 90, 120]),
            {"Na": 1, "N": 5, "O": -2},
            "",
        ),
        (
            crystal_of(["Fe", "S"], [(0, 0, 0), (0.385, 0.385, 0.385)], 205, [5.418] * 3 + [90] * 3),
            {"Fe": 2, "S": -1},
            "; 8 S bonded to each other taken as S-",
        ),
        (
            crystal_of(
                ["Li", "Li", "O"],
                [(0, 0, 0), (1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.649)],
                194,
                [3.14, 3.14, 7.65, 90, 90, 120],
            ),
            {"Li": 1, "O": -1},
            "; 4 O bonded to each other taken as O-",
        ),
        (
            crystal_of(["Mg", "H"], [(0, 0, 0), (0.304, 0.304, 0)], 136, [4.517, 4.517, 3.02, 90, 90, 90]),
            {"Mg": 2, "H": -1},
            "",
        ),
        (
            crystal_of(
                ["Mg", "O", "H"],
                [(0, 0, 0), (1 / 3, 2 / 3, 0.22), (1 / 3, 2 / 3, 0.43)],
                164,
                [3.142, 3.142, 4.766, 90, 90, 120],
            ),
            {"Mg": 2, "O": -2, "H": 1},
            "",
        ),
        (
            crystal_of(["Li", "O", "Cl"], [(0.5, 0, 0), (0, 0, 0), (0.5, 0.5, 0.5)], 221, [3.91] * 3 + [90] * 3),
            {"Li": 1, "O": -2, "Cl": -1},
            "",
        ),
    ],
)
def test_anions_follow_the_bonds(atoms, states, assumed):
    made, origin = resolve_oxidation_states(atoms, None)
    assert by_element(made) == states
    assert origin == f"formal: balanced by composition{assumed}"
    repeated, _ = anion_charges(atoms.repeat((2, 1, 2)))
    np.testing.assert_array_equal(repeated[: len(atoms)], np.minimum(made.arrays["oxidation_states"], 0.0))


def test_one_element_may_be_anion_and_cation():
    # thiosulfate: a sulfur bonded to three oxygens, and one bonded to it alone
    apart = 2.0 * np.array([[0, 0, 1], [0.69, 0, -0.26], [-0.34, 0.6, -0.26], [-0.34, -0.6, -0.26]])
    positions = np.vstack([[5.0, 5.0, 5.0], 5.0 + apart[0], 5.0 + 0.75 * apart[1:], [[1, 1, 1], [1, 8, 1]]])
    atoms = Atoms("S2O3Na2", positions=positions, cell=[10.0] * 3, pbc=True)
    charges, assumed = anion_charges(atoms)
    assert charges.tolist() == [0, -2, -2, -2, -2, 0, 0]
    assert assumed == []
    assert with_oxidation_states(atoms, "formal").arrays["oxidation_states"].tolist() == [6, -2, -2, -2, -2, 1, 1]


# errors


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"^MgO has no oxidation states; choose formal or fitted ones, or give them"):
        with_oxidation_states(placed("MgO"))
    with pytest.raises(ValueError, match=r"^oxidation_states = 'guess' must be given, formal or fitted"):
        with_oxidation_states(placed("MgO"), "guess")
    with pytest.raises(ValueError, match=r"^oxidation_states names Ti, which MgO does not hold; remove the entry"):
        with_oxidation_states(placed("MgO"), {"Ti": 4})
    with pytest.raises(ValueError, match=r"^no oxidation states balance Li2O2, not even with one element of mixed"):
        with_oxidation_states(placed("Li2O2"), "formal")
    with pytest.raises(ValueError, match=r"^no anion in Mg2, so that no state balances; give them by element"):
        with_oxidation_states(placed("Mg2"), "formal")
    with pytest.raises(ValueError, match=r"^no bond-valence parameters for Po and O2-, so that its states cannot be"):
        with_oxidation_states(placed("PoO2"), "fitted")
    with pytest.raises(ValueError, match=r"^fitted states leave \+2 e, which no states with bond-valence"):
        with_oxidation_states(placed("Mg2O"), "fitted")
    atoms = placed("MgO")
    atoms.set_array("oxidation_states", np.array([2.0, np.nan]))
    with pytest.raises(ValueError, match=r"^atom 1 \(O\) has the oxidation state nan; give them by element"):
        with_oxidation_states(atoms)


# anions that elements and bonds do not tell


def antifluorite(anion):
    atoms = bulk("Li2O", "fluorite", a=6.35, cubic=True)
    atoms.symbols[atoms.symbols == "Li"] = "Mg"
    atoms.symbols[atoms.symbols == "O"] = anion
    return atoms


@pytest.mark.parametrize(("anion", "state"), [("Si", -4.0), ("Sn", -4.0)])
def test_one_negative_state_suffices_where_the_rest_balances(anion, state):
    atoms = antifluorite(anion)
    with pytest.raises(ValueError, match="Si=-4"):
        with_oxidation_states(atoms, "formal")
    states = with_oxidation_states(atoms, {anion: state}).arrays["oxidation_states"]
    assert set(states[atoms.symbols == "Mg"]) == {2.0}
    with pytest.raises(ValueError, match="balance"):
        with_oxidation_states(atoms, {anion: -1.0})


@pytest.mark.parametrize(
    ("metal", "bound", "length", "named"),
    [("K", "OO", 1.28, "superoxide"), ("Li", "OO", 1.34, "superoxide"), ("Na", "NNN", 1.17, "azide")],
)
def test_chains_of_broken_charge_are_named(metal, bound, length, named):
    chain = [(0.0, 0.0, length * k) for k in range(len(bound))]
    atoms = Atoms(metal + bound, [(3.0, 3.0, 3.0), *chain], cell=[6.0, 6.0, 6.0], pbc=True)
    with pytest.raises(ValueError, match=named):
        with_oxidation_states(atoms, "formal")
    state = -1.0 / len(bound)
    states = with_oxidation_states(atoms, {metal: 1.0, bound[0]: state}).arrays["oxidation_states"]
    assert states.sum() == pytest.approx(0.0)


def test_the_carbon_of_a_cyanide_is_told():
    atoms = Atoms("NaCN", [(3.0, 3.0, 3.0), (0, 0, 0), (0, 0, 1.15)], cell=[6.0, 6.0, 6.0], pbc=True)
    made, origin = resolve_oxidation_states(atoms, "formal")
    assert made.arrays["oxidation_states"].tolist() == [1.0, 2.0, -3.0]
    assert "cyanide" in origin
