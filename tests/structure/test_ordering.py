"""Ordered cells: whole numbers that keep the charge, drawn at random or by their Coulomb energy."""

import numpy as np
import pytest
from ase import Atoms

from amorph.structure import DisorderedCrystal, Share, SharedSite, density_g_cm3, ordered_cells, pair_list, recell

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def rocksalt(*shares, a=4.2):
    oxygen = SharedSite(FCC + 0.5, (Share("O", 1.0, -2.0),))
    return DisorderedCrystal(a * np.eye(3), (SharedSite(FCC, shares), oxygen))


def made(crystal, seed=0, **options):
    return ordered_cells(crystal, rng=np.random.default_rng(seed), **options)


def test_occupancies_that_are_whole_are_kept_exactly():
    found = made(rocksalt(Share("Li", 0.5, 1.0), Share("Fe", 0.5, 3.0)), supercell=(2, 2, 2), number=3)
    for cell in found.cells:
        assert cell.symbols.formula.count() == {"Li": 16, "Fe": 16, "O": 32}
        assert cell.arrays["oxidation_states"].sum() == 0
        assert pair_list(cell, 2.2).d.min() == pytest.approx(2.1)
    assert (found.charge_of_file, found.charge) == (0.0, 0.0)
    assert len({tuple(cell.get_chemical_symbols()) for cell in found.cells}) == 3


@pytest.mark.parametrize("matrix", [(3, 1, 1), ((1, 1, 0), (-1, 1, 0), (0, 0, 1)), (2, 2, 2)])
def test_largest_remainders_in_any_supercell(matrix):
    # of one charge: whatever is chosen, the charge is the same
    found = made(rocksalt(Share("Li", 0.37, 0.0), Share("Ni", 0.41, 0.0), Share("Mn", 0.13, 0.0)), supercell=matrix)
    sites = 4 * round(np.linalg.det(np.diag(matrix) if np.ndim(matrix) == 1 else matrix))
    counts = found.cells[0].symbols.formula.count()
    exact = {"Li": 0.37 * sites, "Ni": 0.41 * sites, "Mn": 0.13 * sites}
    assert sum(counts[e] for e in exact) == round(0.91 * sites)
    remainders = sorted(exact, key=lambda e: exact[e] % 1, reverse=True)
    missing = round(0.91 * sites) - sum(int(x) for x in exact.values())
    assert counts == {e: int(x) + (e in remainders[:missing]) for e, x in exact.items()} | {"O": sites}
    assert found.fractions == pytest.approx(exact | {"O": float(sites)})


def test_rounding_keeps_the_charge_before_it_keeps_the_remainders():
    # 4 sites: 2.6 Li+ and 1.4 Fe3+; largest remainders would have 3 and 1, and a charge of -2
    crystal = rocksalt(Share("Li", 0.65, 1.0), Share("Fe", 0.35, 3.0))
    assert made(crystal).charge_of_file == pytest.approx(-1.2)
    shares = (Share("Li", 0.65, 1.0), Share("Fe", 0.35, 3.0))
    spread = DisorderedCrystal(
        np.diag([4.2, 4.2, 8.4]),
        (
            SharedSite(FCC * [1, 1, 0.5], shares),
            SharedSite((FCC + np.array([0, 0, 1])) * [1, 1, 0.5], (Share("Li", 0.35, 1.0), Share("Fe", 0.65, 3.0))),
            SharedSite(
                np.concatenate([(FCC + 0.5) * [1, 1, 0.5], (FCC + np.array([0.5, 0.5, 1.5])) * [1, 1, 0.5]]),
                (Share("O", 1, -2.0),),
            ),
        ),
    )
    found = made(spread)
    assert found.charge == pytest.approx(found.charge_of_file) == pytest.approx(0.0)


def test_the_same_seed_gives_the_same_cells():
    crystal = rocksalt(Share("Li", 0.5, 1.0), Share("Fe", 0.5, 3.0))
    one, two, other = (made(crystal, seed, supercell=(2, 1, 1), number=2) for seed in (5, 5, 6))
    assert one.cells == two.cells
    assert one.cells != other.cells


@pytest.mark.parametrize("trials", [1, 4])
def test_states_that_are_looked_for_take_nothing_from_the_seed(trials):
    """Formal states equal to the given ones: the cells of a seed are the same, whoever knew the states."""
    given, formal = (
        made(
            rocksalt(Share("Li", 0.5, lithium), Share("Fe", 0.5, iron)), 5, supercell=(2, 1, 1), number=3, trials=trials
        )
        for lithium, iron in ((1.0, 3.0), (None, None))
    )
    assert given.charges != formal.charges
    for one, other in zip(given.cells, formal.cells, strict=True):
        assert one.get_chemical_symbols() == other.get_chemical_symbols()


def test_the_lowest_coulomb_energy_is_that_of_the_ewald_sum_and_falls_with_trials():
    from pymatgen.analysis.ewald import EwaldSummation

    from amorph.structure import to_pymatgen

    crystal = rocksalt(Share("Li", 0.5, 1.0), Share("Fe", 0.5, 3.0))
    energies = []
    for trials in (2, 20, 200):
        found = made(crystal, supercell=(2, 1, 1), trials=trials)
        assert found.coulomb_energies_eV == pytest.approx([EwaldSummation(to_pymatgen(found.cells[0])).total_energy])
        energies.append(found.coulomb_energies_eV[0])
    assert energies[0] >= energies[1] >= energies[2]
    # like charges apart: every Li has more Fe than Li among its nearest cations
    lowest = made(crystal, supercell=(1, 1, 1), trials=50).cells[0]
    near = pair_list(lowest, 3.2)
    metal = np.isin(lowest.symbols, ["Li", "Fe"])
    both = metal[near.i] & metal[near.j]
    unlike = lowest.numbers[near.i[both]] != lowest.numbers[near.j[both]]
    assert unlike.mean() == pytest.approx(2 / 3)


def test_halves_of_a_split_atom_are_never_both_there():
    split = np.array([[0, 0, 0.45], [0, 0, 0.55]])
    crystal = DisorderedCrystal(6.0 * np.eye(3), (SharedSite(split, (Share("Li", 0.5, 1.0),)),))
    for cell in made(crystal, supercell=(2, 2, 1), number=20).cells:
        assert len(cell) == 4
        assert pair_list(cell, 3.0).d.size == 0
    full = DisorderedCrystal(6.0 * np.eye(3), (SharedSite(split, (Share("Li", 0.9, 1.0),)),))
    with pytest.raises(ValueError, match="closest"):
        made(full, supercell=(2, 2, 1))


def test_states_that_are_given_count_and_those_of_strangers_do_not():
    crystal = rocksalt(Share("Li", 0.5), Share("Fe", 0.5))
    found = made(crystal, oxidation_states={"Li": 1, "Fe": 3})
    assert found.charge == 0.0
    assert made(crystal, trials=3).coulomb_energies_eV is not None  # formal ones
    with pytest.raises(ValueError, match="Zr"):
        made(crystal, oxidation_states={"Zr": 4})
    with pytest.raises(ValueError, match="determinant"):
        made(crystal, supercell=((1, 0, 0), (1, 0, 0), (0, 0, 1)))


def test_a_file_that_writes_every_copy_out_is_rounded_as_one_site():
    """Four places of half a Li hold two, however the file lists them."""
    sites = [SharedSite(place[None], (Share("Li", 0.5, 1.0),)) for place in FCC]
    crystal = DisorderedCrystal(4.2 * np.eye(3), (*sites, SharedSite(FCC[:1] + 0.5, (Share("O", 1.0, -2.0),))))
    found = made(crystal)
    assert (found.charge, found.cells[0].symbols.formula.count()) == (0.0, {"Li": 2, "O": 1})


def test_energies_are_of_the_states_that_are_given():
    """Ni is given and Mn balances it: the energies are those of a neutral cell."""
    crystal = rocksalt(Share("Li", 0.25), Share("Ni", 0.5), Share("Mn", 0.25))
    given, formal = (
        made(crystal, trials=2, oxidation_states=states) for states in ({"Ni": 2}, {"Ni": 2, "Mn": 3, "Li": 1})
    )
    assert given.coulomb_energies_eV == pytest.approx(formal.coulomb_energies_eV)


def garnet(*, known):
    """Cubic LLZO as published: Li 24d 0.56 and 96h 0.44, here the places of a cell without its geometry."""
    rng = np.random.default_rng(0)
    places = rng.permutation(np.stack(np.meshgrid(*[np.arange(7)] * 3), -1).reshape(-1, 3)) / 7
    content = [("Li", 24, 0.56, 1.0), ("Li", 96, 0.44, 1.0), ("La", 24, 1.0, 3.0), ("Zr", 16, 1.0, 4.0)]
    sites, first = [], 0
    for element, number, occupancy, state in [*content, ("O", 96, 1.0, -2.0)]:
        share = Share(element, occupancy, state if known else None)
        sites.append(SharedSite(places[first : first + number], (share,)))
        first += number
    return DisorderedCrystal(16.0 * np.eye(3), tuple(sites))


@pytest.mark.parametrize("known", [True, False])
def test_a_partly_empty_site_gives_or_takes_an_atom_for_the_charge(known):
    found = made(garnet(known=known), number=2)
    assert found.charge_of_file == pytest.approx(55.68 - 56)
    assert found.charge == 0.0
    assert ("formal" in found.charges) is not known
    for cell in found.cells:
        assert cell.symbols.formula.count() == {"Li": 56, "La": 24, "Zr": 16, "O": 96}
        assert ("oxidation_states" in cell.arrays) is known


def test_a_full_site_is_never_emptied_for_the_charge():
    # the thirds of three digits miss 1, and are no vacancies
    crystal = rocksalt(*(Share(e, 0.333, q) for e, q in (("Li", 1.0), ("Fe", 3.0), ("Ni", 2.0))))
    assert len(made(crystal).cells[0]) == 8


def test_formal_states_of_an_occupancy_balance_by_mixed_valence():
    found = made(rocksalt(Share("Li", 0.25), Share("Mn", 0.5)), supercell=(2, 2, 2))
    assert (found.charge_of_file, found.charge) == (0.0, 0.0)  # Mn3.5+
    assert made(rocksalt(Share("Li", 0.25))).charge is None  # nothing balances O2-
    with pytest.raises(ValueError, match="balance"):
        made(rocksalt(Share("Li", 0.25)), trials=2)


# another cell


def test_a_supercell_and_back_to_the_primitive_cell():
    atoms = Atoms("MgO", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=2.1 * (1 - np.eye(3)), pbc=True)
    atoms.set_array("oxidation_states", np.array([2.0, -2.0]))
    large = recell(atoms, supercell=((-1, 1, 1), (1, -1, 1), (1, 1, -1)))
    assert large.cell.array == pytest.approx(4.2 * np.eye(3))
    assert large.symbols.formula.count() == {"Mg": 4, "O": 4}
    small = recell(recell(large, supercell=(2, 1, 3)), primitive=True)
    assert small.symbols.formula.count() == {"Mg": 1, "O": 1}
    assert density_g_cm3(small) == pytest.approx(density_g_cm3(atoms))
    assert small.arrays["oxidation_states"][small.numbers == 12].tolist() == [2.0]
    moved = large.copy()
    moved.positions += 50.0
    wrapped = recell(moved, wrap=True)
    assert ((wrapped.get_scaled_positions(wrap=False) >= 0) & (wrapped.get_scaled_positions(wrap=False) < 1)).all()
    assert sorted(pair_list(wrapped, 3.0).d) == pytest.approx(sorted(pair_list(large, 3.0).d))


def test_atoms_of_one_element_and_two_charges_make_no_smaller_cell():
    atoms = Atoms("Fe2", scaled_positions=[[0, 0, 0], [0, 0, 0.5]], cell=[3, 3, 6], pbc=True)
    assert len(recell(atoms, primitive=True)) == 1
    atoms.set_array("oxidation_states", np.array([2.0, 3.0]))
    assert len(recell(atoms, primitive=True)) == 2
