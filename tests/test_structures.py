"""The reference crystals: up to date, of the stated space group, and with the bonds that they should have."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import spglib
from ase import Atoms

from amorph import bond_valence_sums
from amorph.reading import read_structure
from amorph.structure import density_g_cm3, pair_list

FOLDER = Path(__file__).parent.parent / "structures"
_spec = importlib.util.spec_from_file_location("make_structures", FOLDER / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

# Formula of the cell, volume [Å³] from the cell lengths and angles by hand, and for each cation: number of anion (or
# metal) neighbors, shortest and longest bond [Å]. Bond lengths are those of the literature on each compound where it
# is known to us, else what six or four neighbors of that ion show within 0.1 Å of the sum of Shannon's radii.
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
    "SiO2_quartz": ("Si3O6", 113.13, {"Si": (4, 1.604, 1.615)}),
    "SiO2_cristobalite": ("Si4O8", 169.31, {"Si": (4, 1.601, 1.618)}),
    "LiCoO2": ("Li3Co3O6", 96.49, {"Co": (6, 1.92, 1.93), "Li": (6, 2.09, 2.10)}),
    "LiFePO4": ("Li4Fe4P4O16", 291.4, {"P": (4, 1.52, 1.56), "Fe": (6, 2.06, 2.26), "Li": (6, 2.08, 2.20)}),
    "MgTi2O4": ("Mg8Ti16O32", 616.1, {"Mg": (4, 1.98, 1.99), "Ti": (6, 2.04, 2.06)}),
    "MgTi2S4": ("Mg8Ti16S32", 1109.4, {"Mg": (4, 2.40, 2.41), "Ti": (6, 2.49, 2.51)}),
    "MgAl2O4": ("Mg8Al16O32", 527.6, {"Mg": (4, 1.92, 1.93), "Al": (6, 1.92, 1.93)}),
    "Mg": ("Mg2", 46.48, {"Mg": (12, 3.19, 3.21)}),
    "NaCl": ("Na4Cl4", 179.34, {"Na": (6, 2.819, 2.820)}),
    "CaF2": ("Ca4F8", 163.05, {"Ca": (8, 2.365, 2.366)}),
    "FeS2": ("Fe4S8", 158.96, {"Fe": (6, 2.26, 2.27)}),
    "CaCO3": ("Ca6C6O18", 367.6, {"Ca": (6, 2.35, 2.36), "C": (3, 1.28, 1.29)}),
    "Li3OCl": ("Li3OCl", 59.78, {"Li": (6, 1.955, 2.765)}),
    "MgF2": ("Mg2F4", 65.18, {"Mg": (6, 1.979, 1.998)}),
    "MgH2": ("Mg2H4", 61.62, {"Mg": (6, 1.954, 1.956)}),
    "MgCl2": ("Mg3Cl6", 202.3, {"Mg": (6, 2.487, 2.489)}),
    "MgO2H2": ("MgO2H2", 40.99, {"Mg": (6, 2.099, 2.101), "H": (1, 0.919, 0.920)}),
    "MgCO3": ("Mg6C6O18", 278.75, {"Mg": (6, 2.100, 2.102), "C": (3, 1.285, 1.286)}),
    "MgS": ("Mg4S4", 140.88, {"Mg": (6, 2.601, 2.602)}),
    "LiF": ("Li4F4", 64.83, {"Li": (6, 2.008, 2.009)}),
    "Li2CO3": ("Li8C4O12", 233.8, {"Li": (4, 1.887, 2.026), "C": (3, 1.271, 1.287)}),
    "Li3N": ("Li3N", 44.88, {}),  # one Li between two N, the others among three: see the sums
    "Li3PO4": ("Li6P2O8", 155.56, {"Li": (4, 1.906, 2.018), "P": (4, 1.540, 1.550)}),
    "Li3PS4": ("Li6P2S8", 309.13, {"Li": (4, 2.393, 2.474), "P": (4, 2.038, 2.050)}),
    "Li7La3Zr2O12": ("Li56La24Zr16O96", 2184.4, {"La": (8, 2.480, 2.646), "Zr": (6, 2.109, 2.113)}),
    "NaZr2P3O12": (
        "Na6Zr12P18O72", 1527.8, {"Na": (6, 2.529, 2.531), "Zr": (6, 2.042, 2.081), "P": (4, 1.519, 1.554)}
    ),
    "NaCrS2": ("Na3Cr3S6", 212.08, {"Na": (6, 2.822, 2.824), "Cr": (6, 2.424, 2.426)}),
    "Na3PS4": ("Na6P2S8", 353.37, {"Na": (4, 2.885, 2.887), "P": (4, 2.049, 2.051)}),
    "Na2O": ("Na8O4", 170.95, {"Na": (4, 2.403, 2.404)}),
    "NaF": ("Na4F4", 98.61, {"Na": (6, 2.310, 2.311)}),
    "K2O": ("K8O4", 266.59, {"K": (4, 2.786, 2.788)}),
    "KF": ("K4F4", 152.87, {"K": (6, 2.673, 2.674)}),
    "KCl": ("K4Cl4", 249.23, {"K": (6, 3.146, 3.147)}),
    "CaO": ("Ca4O4", 111.33, {"Ca": (6, 2.405, 2.406)}),
    "CaO2H2": ("CaO2H2", 54.78, {"Ca": (6, 2.368, 2.370), "H": (1, 0.942, 0.943)}),
    "Al2O3": ("Al12O18", 254.52, {"Al": (6, 1.854, 1.972)}),
    "AlCl3": ("Al4Cl12", 353.4, {"Al": (6, 2.309, 2.316)}),
}  # fmt: skip
# Global instability indices above the 0.2 v.u. that stable crystals keep to [v.u.]: alkali in oxides and nitrides sums
# low with parameters fitted to salts of oxoacids, alkali in wide layers of S high; LiCoO2 by r0 of Co3+; a disulfide's
# S–S bond is no part of the sum.
UNSTABLE = {
    "SiO2_quartz": 0.29, "SiO2_cristobalite": 0.28,  # Si sums high
    "Li2MoO3": 0.21, "LiCoO2": 0.28, "Li3OCl": 0.21, "Li3N": 0.35, "NaCrS2": 0.33, "Na2O": 0.29, "K2O": 0.45,
    "FeS2": 1.96,
}  # fmt: skip


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
            # and a gap: the next neighbor is no bond
            assert len(bonds) == coordination or bonds[coordination] > longest + 0.2
    assert pairs.d.min() > (0.9 if "H" in atoms.symbols else 1.25)  # O–H of a hydroxide, C–O of a carbonate


def test_bond_valence_sums_are_the_formal_valences(entry):
    atoms = read(entry)
    if entry.name == "Mg":
        return  # a metal
    assert bond_valence_sums(atoms).global_instability_index < UNSTABLE.get(entry.name, 0.2) + 0.005


def test_the_densities_are_those_that_were_measured():
    # [g/cm³], of the Handbook of Mineralogy, and of the powder patterns of Li3PS4 (ICSD 180318) and Li3PO4 (AMCSD)
    measured = {
        "MgF2": 3.15,
        "MgO2H2": 2.39,
        "MgCO3": 3.01,
        "KCl": 1.99,
        "SiO2_quartz": 2.65,
        "SiO2_cristobalite": 2.33,
        "Al2O3": 3.99,
        "Li3PS4": 1.93,
        "Li3PO4": 2.472,
    }
    for entry in make.CRYSTALS:
        if entry.name in measured:
            assert density_g_cm3(read(entry)) == pytest.approx(measured[entry.name], rel=0.015)


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
