"""The reference crystals: up to date, of the stated space group, and with the bonds that they should have."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms

from amorph.reading import read_structure
from amorph.structure import pair_list

FOLDER = Path(__file__).parent.parent / "structures"
_spec = importlib.util.spec_from_file_location("make_structures", FOLDER / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

# Formula of the cell, volume [Å³] from the cell lengths and angles by hand, and for each cation: number of anion (or
# metal) neighbours, shortest and longest bond [Å]. Bond lengths are those of the literature on each compound where it
# is known to us, else what six or four neighbours of that ion show within 0.1 Å of the sum of Shannon's radii.
EXPECTED = {
    "MgO": ("Mg4O4", 74.72, {"Mg": (6, 2.106, 2.106)}),
    "Li2O": ("Li8O4", 98.55, {"Li": (4, 2.000, 2.000)}),
    "Li2TiO3": ("Li16Ti8O24", 427.0, {"Ti": (6, 1.91, 2.00), "Li": (6, 2.04, 2.25)}),
    "Li2MoO3": ("Li8Mo4O12", 213.7, {"Mo": (6, 2.05, 2.07), "Li": (6, 2.05, 2.10)}),
    "LiMoO2": ("Li3Mo3O6", 110.1, {"Mo": (6, 2.08, 2.10), "Li": (6, 2.10, 2.12)}),
    "MoO2": ("Mo4O8", 131.5, {"Mo": (6, 1.97, 2.08)}),
    "MoO3": ("Mo4O12", 202.9, {"Mo": (6, 1.67, 2.34)}),
    "TiO2_rutile": ("Ti2O4", 62.37, {"Ti": (6, 1.947, 1.981)}),
    "TiO2_anatase": ("Ti4O8", 136.3, {"Ti": (6, 1.934, 1.980)}),
    "LiCoO2": ("Li3Co3O6", 96.49, {"Co": (6, 1.92, 1.93), "Li": (6, 2.09, 2.10)}),
    "LiFePO4": ("Li4Fe4P4O16", 291.4, {"P": (4, 1.52, 1.56), "Fe": (6, 2.06, 2.26), "Li": (6, 2.08, 2.20)}),
    "MgTi2O4": ("Mg8Ti16O32", 616.1, {"Mg": (4, 1.98, 1.99), "Ti": (6, 2.04, 2.06)}),
    "MgAl2O4": ("Mg8Al16O32", 527.6, {"Mg": (4, 1.92, 1.93), "Al": (6, 1.92, 1.93)}),
    "Mg": ("Mg2", 46.48, {"Mg": (12, 3.19, 3.21)}),
    "NaCl": ("Na4Cl4", 179.34, {"Na": (6, 2.819, 2.820)}),
    "CaF2": ("Ca4F8", 163.05, {"Ca": (8, 2.365, 2.366)}),
    "FeS2": ("Fe4S8", 158.96, {"Fe": (6, 2.26, 2.27)}),
    "CaCO3": ("Ca6C6O18", 367.6, {"Ca": (6, 2.35, 2.36), "C": (3, 1.28, 1.29)}),
    "Li3OCl": ("Li3OCl", 59.78, {"Li": (6, 1.955, 2.765)}),
}


@pytest.fixture(params=make.CRYSTALS, ids=lambda entry: entry.name)
def entry(request):
    return request.param


def read(entry):
    return read_structure(FOLDER / f"{entry.name}.cif")


def test_the_folder_holds_what_the_script_writes(entry):
    assert (FOLDER / f"{entry.name}.cif").read_text(encoding="utf-8") == make.cif(entry)
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == make.readme()
    assert {path.stem for path in FOLDER.glob("*.cif")} == {e.name for e in make.CRYSTALS} == set(EXPECTED)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # spglib 2.8, of its own default
def test_spglib_finds_the_stated_space_group(entry):
    atoms = read(entry)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    # 1e-3 Å: six decimals in the file; a wrong origin or setting moves atoms by far more
    assert spglib.get_symmetry_dataset(cell, symprec=1e-3).number == entry.group


def test_composition_volume_and_charge(entry):
    atoms = read(entry)
    formula, volume, _ = EXPECTED[entry.name]
    assert atoms.symbols.formula.count() == Atoms(formula).symbols.formula.count()
    assert atoms.cell.volume == pytest.approx(volume, rel=5e-4)
    if entry.name != "Mg":
        assert atoms.arrays["oxidation_states"].sum() == 0


def test_nearest_distances(entry):
    atoms = read(entry)
    pairs = pair_list(atoms, 3.3)
    for cation, (coordination, shortest, longest) in EXPECTED[entry.name][2].items():
        partner = atoms.arrays["oxidation_states"] < 0 if entry.name != "Mg" else atoms.numbers == 12
        for atom in np.flatnonzero(atoms.symbols == cation):
            bonds = np.sort(pairs.d[(pairs.i == atom) & partner[pairs.j]])
            assert shortest - 1e-3 < bonds[0]
            assert bonds[coordination - 1] < longest + 1e-3
            # and a gap: the next neighbour is no bond
            assert len(bonds) == coordination or bonds[coordination] > longest + 0.2
    assert pairs.d.min() > 1.25  # C–O of a carbonate


def test_molybdenum_pairs_of_the_dioxide():
    pairs = pair_list(read(next(e for e in make.CRYSTALS if e.name == "MoO2"))[:4], 3.3)
    assert np.unique(pairs.d.round(2)).tolist() == [2.51, 3.11]


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF:UserWarning")  # pymatgen rounds thirds
def test_other_readers_agree(entry):
    # pymatgen and gemmi read the symmetry by themselves
    import gemmi
    from pymatgen.io.cif import CifParser

    atoms = read(entry)
    structure = CifParser(FOLDER / f"{entry.name}.cif").parse_structures(primitive=False)[0]
    assert len(structure) == len(atoms)
    assert structure.volume == pytest.approx(atoms.cell.volume)
    small = gemmi.read_small_structure(str(FOLDER / f"{entry.name}.cif"))
    assert len(small.get_all_unit_cell_sites()) == len(atoms)
    assert small.spacegroup.number == entry.group
