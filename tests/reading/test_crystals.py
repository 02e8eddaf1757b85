"""Crystals as people have them: settings, labels, occupancies and contradictions of CIF, PDB, CSSR, XSD and JSON."""

import json
import logging
import re
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from amorph.export import write_structure
from amorph.reading import read_disordered, read_structure, read_trajectory
from amorph.structure import pair_list, to_pymatgen


def cif(
    rows, *, cell=(4.0, 4.0, 4.0, 90, 90, 90), more="", columns="label type_symbol fract_x fract_y fract_z", name="a"
):
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    head = "".join(f"_cell_{n} {x}\n" for n, x in zip(names, cell, strict=True))
    loop = "loop_\n" + "".join(f"_atom_site_{column}\n" for column in columns.split())
    return f"data_{name}\n{head}{more}\n{loop}" + "".join(f"{row}\n" for row in rows)


def group(name=None, hall=None, number=None, operations=()):
    return (
        (f"_symmetry_space_group_name_H-M '{name}'\n" if name else "")
        + (f"_space_group_name_Hall '{hall}'\n" if hall else "")
        + (f"_space_group_IT_number {number}\n" if number else "")
        + ("loop_\n_space_group_symop_operation_xyz\n" + "".join(f"'{o}'\n" for o in operations) if operations else "")
    )


@pytest.fixture
def read(tmp_path):
    def read(text, name="a.cif", **options):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_structure(tmp_path / name, **options)

    return read


def content(atoms):
    return {str(element): int(number) for element, number in atoms.symbols.formula.count().items()}


RUTILE = ["Ti1 Ti 0 0 0", "O1 O .3053 .3053 0"]
RUTILE_CELL = (4.594, 4.594, 2.959, 90, 90, 90)
QUARTZ = ["Si1 Si .4697 0 1/3", "O1 O .4135 .2669 .2144"]
QUARTZ_CELL = (4.916, 4.916, 5.405, 90, 90, 120)


@pytest.mark.parametrize(
    "symmetry",
    [
        group("P 42/m n m"), group("P42/mnm"), group("p 42/M N M"), group(hall="-P 4n 2n"), group(number=136),
        group("P 42/m n m", number=136, hall="-P 4n 2n"),
    ],
)  # fmt: skip
def test_a_group_by_any_of_its_names_is_the_same(read, symmetry):
    atoms = read(cif(RUTILE, cell=RUTILE_CELL, more=symmetry))
    assert content(atoms) == {"Ti": 2, "O": 4}
    pairs = pair_list(atoms, 2.2)  # an octahedron around each Ti, a triangle around each O
    assert np.bincount(pairs.i).tolist() == [6, 6, 3, 3, 3, 3]


@pytest.mark.parametrize("third", ["1/3", "0.333", "0.333333", ".33333333"])
def test_operations_with_thirds_in_any_spelling(read, third):
    two = {"1/3": "2/3", "0.333": "0.667", "0.333333": "0.666667", ".33333333": ".66666667"}[third]
    listed = ["x,y,z", f"-y,x-y,z+{third}", f"-x+y,-x,{two}+z", f"x-y,-y,{two}-z", "Y, X, -Z", f"-x,-x+y,-z+{third}"]
    reference = read(cif(QUARTZ, cell=QUARTZ_CELL, more=group("P 31 2 1", number=152)))
    assert content(reference) == {"Si": 3, "O": 6}
    atoms = read(cif(QUARTZ, cell=QUARTZ_CELL, more=group(operations=listed)))
    assert sorted(pair_list(atoms, 3.0).d) == pytest.approx(sorted(pair_list(reference, 3.0).d), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "z"), [("I 41/a m d:1", 0.0), ("I 41/a m d S", 0.0), ("I 41/a m d Z", 0.125), ("I 41/a m d:2", 0.125),
                    ("I 41/a m d", 0.0), ("I 41/a m d", 0.125)],
)  # fmt: skip
def test_the_origin_is_the_named_one_or_the_one_that_fits(read, name, z, caplog):
    y = 0.75 if z else 0.0
    rows = [f"Ti1 Ti 0 {y} {z}", f"O1 O 0 {y} {z + 0.2081}"]
    atoms = read(cif(rows, cell=(3.785, 3.785, 9.514, 90, 90, 90), more=group(name)))
    assert content(atoms) == {"Ti": 4, "O": 8}
    assert ("origin" in caplog.text) is (name == "I 41/a m d")


def test_an_origin_at_which_atoms_would_share_a_site_is_the_other(read):
    rows = ["Mg1 Mg 0 0 0", "Al1 Al 0.625 0.625 0.625", "O1 O 0.3875 0.3875 0.3875"]
    spinel = cif(rows, cell=(8.08, 8.08, 8.08, 90, 90, 90), more=group("F d -3 m"))
    assert content(read(spinel)) == {"Mg": 8, "Al": 16, "O": 32}


def test_magnetic_operations_act_on_atoms_with_all_centrings(read):
    # a cell doubled along a by an anti-centring, and one by a fifth that no crystal class has
    magnetic = "_space_group_magn.number_BNS 1.3\nloop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,-1\n"
    for fraction, copies in (("1/2", 2), ("1/5", 5)):
        listed = "".join(f"x+{k}/{fraction[2:]},y,z,{(-1) ** k:+d}\n" for k in range(copies))
        more = magnetic + "loop_\n_space_group_symop_magn_centering.xyz\n" + listed
        atoms = read(cif(["Fe1 Fe .01 .1 .2"], cell=(20, 4, 4, 90, 90, 90), more=more))
        assert content(atoms) == {"Fe": 2 * copies}
    with pytest.raises(ValueError, match=r"magnetic"):
        read(cif(["Fe1 Fe 0 0 0"], more="_space_group_magn.number_BNS 62.445\n"))


@pytest.mark.parametrize(
    ("symmetry", "match"),
    [
        (group("F m -3 m", operations=["x,y,z"]), "F m -3 m"),
        (group(number=2, operations=["x,y,z"]), "2"),
        (group("P m m q"), "P m m q"),
        (group(hall="-Q 2"), "-Q 2"),
        (group("P n m a", number=225), "62.*225"),
        (group("P -1", operations=["x,y,z", "-x,-y"]), "-x,-y"),
        (group("P -1", operations=["x,y,z", "2x,y,z"]), "2x,y,z"),
        (group("F m -3 m", operations=["x,y,z", "-x,-y,-z"]), "2 .*192"),
        (group("P 4", operations=["x,y,z", "-y,x,z"]), "2 .*4"),
        (group(number=75, operations=["x,y,z", "-y,x,z"]), "2 .*4"),
        (group(hall="P 4", operations=["x,y,z", "-y,x,z"]), "2 .*4"),
        (group(operations=["x,y,z", "-y,x,z"]), "no group"),
        (group("C 2", operations=["x,y,z", "-x,y,-z"]), "2 .*4"),  # its centring is missing
        (group("C 1", operations=["x,y,z"]), "C 1"),
        (group("P 1 21/c 1 (No. 14)", number=14, operations=["x,y,z", "-x,y+1/2,-z+1/2"]), "2 .*4"),
        (group("P q q q", hall="-P 2ybc", operations=["x,y,z", "-x,y+1/2,-z+1/2"]), "2 .*4"),
        (group("P q q q", operations=["x,y,z"]), "P q q q"),
        (group(number=5, operations=["x,y,z", "-x,y,-z"]), "2 .*4"),
        (group(number=2, operations=["x,y,z", "-x,-y,-z", "x+1/2,y+1/2,z"]), "2"),  # a translation of one alone
        (group(number=75, operations=["x,y,z", "-x,-y,z", "x+1/2,y+1/2,z", "1/2-x,1/2-y,z"]), "2 .*4"),
        (group("P 4", operations=["x,y,z", "-x,-y,z", "x+1/2,y+1/2,z", "1/2-x,1/2-y,z"]), "2 .*4"),
        (group("P 6/m m m"), "change its own cell"),
        ("_space_group_magn.number_BNS 62.445\nloop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n", "62"),
        ("_cell_modulation_dimension 1\n", "modulated"),
    ],
)
def test_symmetry_that_cannot_be_meant_is_refused(read, symmetry, match):
    with pytest.raises(ValueError, match=match):
        read(cif(["Mg1 Mg 0.1 0.2 0.3"], more=symmetry))


def test_a_group_in_other_axes_than_those_of_its_symbol_is_read(read):
    """Rocksalt in its primitive cell, with the operations of that, under the name of the face-centered group."""
    import gemmi

    inward = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2  # rows: primitive vectors in cubic ones
    turns = {
        np.round(np.linalg.inv(inward.T) @ (np.array(op.rot) / op.DEN) @ inward.T).astype(int).tobytes()
        for op in gemmi.SpaceGroup("F m -3 m").operations()
    }
    listed = [
        ",".join("".join(f"{f:+d}{x}" for f, x in zip(row, "xyz", strict=True) if f).replace("1", "") for row in turn)
        for turn in (np.frombuffer(each, dtype=int).reshape(3, 3) for each in sorted(turns))
    ]
    assert len(listed) == 48
    side = 4.2 / np.sqrt(2)
    named = group("F m -3 m", operations=["x,y,z", *listed])
    rows, cell = ["Mg1 Mg 0 0 0", "O1 O .5 .5 .5"], (side, side, side, 60, 60, 60)
    assert content(read(cif(rows, cell=cell, more=named))) == {"Mg": 1, "O": 1}
    half = group("F m -3 m", operations=["x,y,z", *listed[:5]])
    with pytest.raises(ValueError, match="48"):
        read(cif(rows, cell=cell, more=half))


@pytest.mark.parametrize("symmetry", [group("C 1"), group("C 1", operations=["x,y,z", "x+1/2,y+1/2,z"]), group("C1")])
def test_a_centring_is_no_p1(read, symmetry):
    """Rocksalt by rows for a half of its cell, which C 1 centers."""
    rows = ["Mg1 Mg 0 0 0", "Mg2 Mg .5 0 .5", "O1 O .5 .5 .5", "O2 O 0 .5 0"]
    assert content(read(cif(rows, more=symmetry))) == {"Mg": 4, "O": 4}
    with pytest.raises(ValueError, match="C 1"):
        read("4.0 4.0 4.0\n90 90 90 SPGR = 1 C 1 OPT = 1\n1 0\n0 Mg\n1 Mg 0 0 0\n", "a.cssr")


@pytest.mark.parametrize(
    ("name", "number"),
    [("C -1", 2), ("A -1", 2), ("I -1", 2), ("F 1 2/m 1", 12), ("C 4 2 2", 89), ("F 4/m m m", 139), ("P -1", 2),
     ("C 1 1 2", 3), ("R -3 m:R", 166), ("R -3 m:H", 166)],
)  # fmt: skip
def test_a_number_alone_leaves_the_centring_open(read, name, number):
    import gemmi

    listed = [operation.triplet() for operation in gemmi.SpaceGroup(name).operations()]
    cell = (20, 20, 30, 90, 90, 120) if name[-1] == "H" else (20, 20, 20, 90, 90, 90)
    atoms = read(cif(["Mg1 Mg .11 .29 .37"], cell=cell, more=group(number=number, operations=listed)))
    assert len(atoms) == len(listed)


def test_the_old_symbol_of_hexagonal_axes(read):
    cell = (2.85, 2.85, 14.1, 90, 90, 120)
    for name in ("R -3 m HR", "R-3mHR", "R -3 m :H"):
        assert content(read(cif(["Li1 Li 0 0 0"], cell=cell, more=group(name)))) == {"Li": 3}


def test_every_atom_listed_below_a_group_is_taken_once(read, caplog):
    every = [
        f"Mg{k} Mg {x} {y} {z}" for k, (x, y, z) in enumerate([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    ]
    atoms = read(cif([*every, "O1 O .5 .5 .5"], more=group("F m -3 m")))
    assert content(atoms) == {"Mg": 4, "O": 4}
    assert "Mg1" in caplog.text


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_copies_of_a_rounded_special_position_are_one_atom_at_their_mean(read, digits, caplog):
    # hcp: the atom on three mirror planes has 12 copies at each of 2 places
    x, y = round(1 / 3, digits), round(2 / 3, digits)
    atoms = read(cif([f"Mg1 Mg {x} {y} 0.25"], cell=(3.2093, 3.2093, 5.2106, 90, 90, 120), more=group("P 63/m m c")))
    assert content(atoms) == {"Mg": 2}
    places = sorted(map(tuple, (atoms.get_scaled_positions() % 1).round(9)))
    assert places == [pytest.approx((1 / 3, 2 / 3, 0.25)), pytest.approx((2 / 3, 1 / 3, 0.75))]
    assert ("copies" in caplog.text) is (digits < 4)


@pytest.mark.parametrize(
    "row",
    ["Li/Ni1 Li 0 0 0", "M1 '0.5Li + 0.5Ni' 0 0 0", "O1 OH 0 0 0", "O1 H2O 0 0 0", "Va1 Va 0 0 0", "VAC1 ? 0 0 0",
     "Wat1 . 0 0 0", "OW1 ? 0 0 0", "X1 X 0 0 0", "Li1,Na1 ? 0 0 0", "Ni0.5Mn0.5 ? 0 0 0", "Ni0.5Mn0.5 Ni 0 0 0",
     "Ni0.5 ? 0 0 0", "Li1Ni ? 0 0 0", "NiMn ? 0 0 0", "Ni/Mn Ni 0 0 0", "SiT1 ? 0 0 0",
     "TM1 ? 0 0 0", "NH4 ? 0 0 0", "HO1 ? 0 0 0", "CO1 ? 0 0 0"],
)  # fmt: skip
def test_what_is_no_single_element_is_refused_by_its_label(read, row):
    with pytest.raises(ValueError, match=row.split()[0]):
        read(cif(["Mg1 Mg .5 .5 .5", row]))


@pytest.mark.parametrize(
    ("row", "element", "state"),
    [("CA1 C 0 0 0", "C", None), ("OW1 O 0 0 0", "O", None), ("HO1 H 0 0 0", "H", None), ("OSi1 O 0 0 0", "O", None),
     ("Mg1A ? 0 0 0", "Mg", None), ("O1W ? 0 0 0", "O", None), ("Fe1a ? 0 0 0", "Fe", None), ("H1O ? 0 0 0", "H", None),
     ("Co1 ? 0 0 0", "Co", None), ("CO1 C 0 0 0", "C", None), ("CaB1 Ca 0 0 0", "Ca", None),
     ("Ho1 ? 0 0 0", "Ho", None), ("CA ? 0 0 0", "Ca", None), ("O1.1 O 0 0 0", "O", None),
     ("FeTet1 Fe 0 0 0", "Fe", None), ("FE1 FE 0 0 0", "Fe", None),
     ("CO1 CO 0 0 0", "Co", None), ("D1 D 0 0 0", "H", None), ("Fe Fe+3 0 0 0", "Fe", 3),
     ("Na1 ? 0 0 0", "Na", None), ("SN2 ? 0 0 0", "Sn", None), ("M Mn3.5+ 0 0 0", "Mn", 3.5), ("O O2- 0 0 0", "O", -2),
     ("NiMn Ni 0 0 0", "Ni", None), ("Li1Ni Li 0 0 0", "Li", None), ("NiMn1 Ni2+ 0 0 0", "Ni", 2),
     ("NiLi Ni2+ 0 0 0", "Ni", 2), ("LiNi Li1+ 0 0 0", "Li", 1), ("Ni_Li Ni 0 0 0", "Ni", None),
     ("SrBa Sr 0 0 0", "Sr", None), ("NaCa1 Na 0 0 0", "Na", None), ("Co_Hs Co 0 0 0", "Co", None),
     ("FeHs Fe 0 0 0", "Fe", None), ("O1.1A O 0 0 0", "O", None), ("Co_Hs ? 0 0 0", "Co", None)],
)  # fmt: skip
def test_elements_and_charges_in_any_case(read, row, element, state):
    atoms = read(cif([row]))
    assert content(atoms) == {element: 1}
    assert (atoms.arrays["oxidation_states"].tolist() if state else "oxidation_states" not in atoms.arrays) in (
        [state],
        True,
    )


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [("TM1", "Tm", "Tm"), ("HO1", "Ho", "Ho"), ("HO1", "H", "H"), ("OW1", "O", "O"), ("CO1", "Co", "Co"),
     ("CO1", "C", "C"), ("CA1", "C", "C"), ("SN1", "Sn", "Sn"), ("SN1", "S", "S"), ("NH1", "N", "N"),
     ("TM1", "Ni", None), ("CO1", "O", None), ("Vac1", "V", None), ("WAT1", "W", None), ("Ow1", "O", "O")],
)  # fmt: skip
def test_the_formula_decides_how_two_capitals_are_read(read, label, formula, element):
    text = cif([f"{label} 0 0 0"], columns="label fract_x fract_y fract_z", more=f"_chemical_formula_sum '{formula}'\n")
    if element is None:
        with pytest.raises(ValueError, match=f"{label}.*type_symbol"):
            read(text)
        return
    assert content(read(text)) == {element: 1}


@pytest.mark.parametrize(
    ("label", "element"),
    [("MgM1", "Mg"), ("MGM1", "Mg"), ("SiT", "Si"), ("SiT1", "Si"), ("AlM1", "Al"), ("AlT", "Al"), ("SiA", "Si"),
     ("OSi", "O"), ("OSI1", "O"), ("FeOct1", "Fe"), ("FeHs", "Fe"), ("Fe1Hs", "Fe"), ("AlSi", None), ("ALSI1", None),
     ("MgFe1", None), ("Mg1Fe", None), ("SiO1", None), ("TiT", None), ("Al/Si", None), ("Mg0.5Fe0.5", None)],
)  # fmt: skip
def test_letters_behind_an_element_of_the_formula_name_its_site(read, label, element):
    """Labels of minerals: an element, and M1, T or A of its site; two elements of the formula are none."""
    rest = [each for each in ("Mg", "Al", "Fe", "Si", "O") if each != element]
    rows = [f"{label} 0 0 0", *(f"{each}1 {k / 5} .5 .5" for k, each in enumerate(rest))]
    text = cif(rows, columns="label fract_x fract_y fract_z", more="_chemical_formula_sum 'Mg Al Fe Si O'\n")
    if element is None:
        with pytest.raises(ValueError, match=f"{label}.*type_symbol"):
            read(text)
        return
    assert content(read(text)) == dict.fromkeys(("Mg", "Al", "Fe", "Si", "O"), 1)


@pytest.mark.parametrize("labels", [("NiLi", "LiNi"), ("Ni_Li", "Li_Ni")])
def test_antisites_are_the_species_of_their_type_symbols(tmp_path, labels):
    rows = ["Li1 Li1+ 0 0 0 .95", f"{labels[0]} Ni2+ 0 0 0 .05", "Ni1 Ni2+ 0 0 .5 .95", f"{labels[1]} Li1+ 0 0 .5 .05"]
    (tmp_path / "a.cif").write_text(cif([*rows, "O1 O2- .5 .5 .25 1"], columns=OCCUPIED))
    shares = [
        {share.element: share.occupancy for share in site.shares} for site in read_disordered(tmp_path / "a.cif").sites
    ]
    assert shares == [{"Li": 0.95, "Ni": 0.05}, {"Ni": 0.95, "Li": 0.05}, {"O": 1.0}]


def test_zero_and_unknown_oxidation_numbers_are_none(read):
    types = "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nMg {}\nO {}\n"
    rows = ["Mg1 Mg 0 0 0", "O1 O .5 .5 .5"]
    for first, second, states in (("0", "0", None), ("?", "?", None), ("2", "-2", [2.0, -2.0])):
        atoms = read(cif(rows, more=types.format(first, second)))
        found = atoms.arrays.get("oxidation_states")
        assert (None if found is None else found.tolist()) == states


OCCUPIED = "label type_symbol fract_x fract_y fract_z occupancy"


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (["Li1 Li 0 0 0 0.5", "O1 O .5 .5 .5 1"], r"Li1 0\.5.*amorph order"),
        (["Li1 Li 0 0 0 0.5", "Na1 Na 0 0 0.01 0.5"], r"Li1 0\.5, Na1 0\.5"),
        (["Li1 Li 0 0 0 0.8", "Na1 Na 0 0 0 0.5"], r"Li1 and Na1 .* 1\.3 times"),
        (["Li1 Li 0 0 0 1", "Na1 Na 0 0 0 1"], "Li1 and Na1"),
        (["Li1 Li 0 0 0 -0.5"], "Li1"),
        (["Li1 Li 0 0 0 1.03(2)"], "Li1"),
        (["Li1 Li 0 ? 0 1"], "Li1"),
    ],
)
def test_shared_and_partly_empty_sites_are_refused_by_their_labels(read, rows, match):
    with pytest.raises(ValueError, match=match):
        read(cif(rows, columns=OCCUPIED))


def test_occupancies_that_say_nothing_are_full_and_zero_is_absence(read, caplog):
    rows = ["Li1 Li 0 0 0 ?", "O1 O .5 .5 .5 .", "H1 H .2 .2 .2 0", "Fe1 Fe2+ .5 0 0 .25", "Fe2 Fe3+ .5 0 0 .75(1)"]
    atoms = read(cif(rows, columns=OCCUPIED))
    assert content(atoms) == {"Li": 1, "O": 1, "Fe": 1}
    assert "H1" in caplog.text


@pytest.mark.parametrize(
    ("formula", "z", "outcome"),
    [
        ("O2 Ti", 2, ""), ("Ti1.00 O2.00", 2, ""), ("O4 Ti2", 2, ""), ("Ti O2", "?", ""), ("H2 O2 Ti", 2, "hydrogen"),
        ("some thing", 2, "cannot be read"), ("O2 Ti", 4, "error"), ("O3 Ti", 2, "error"), ("O2 Ti N", 2, "error"),
        ("O1.98 Ti", 2, "error"), ("O3 Ti2", "?", "error"),
    ],
)  # fmt: skip
def test_the_cell_is_held_against_the_formula(read, formula, z, outcome, caplog):
    more = group("P 42/m n m") + f"_chemical_formula_sum '{formula}'\n_cell_formula_units_Z {z}\n"
    text = cif(RUTILE, cell=RUTILE_CELL, more=more)
    if outcome == "error":
        with pytest.raises(ValueError, match=rf"Ti2 O4.*{formula.split()[0]}"):
            read(text)
        return
    assert content(read(text)) == {"Ti": 2, "O": 4}
    assert outcome in caplog.text
    assert bool(outcome) == bool(caplog.records)


def test_each_block_by_its_name(read, tmp_path):
    one, two = cif(["Mg1 Mg 0 0 0"], name="one"), cif(["Ca1 Ca 0 0 0"], name="two")
    with pytest.raises(ValueError, match=r"2 structures \(one, two\).*--block"):
        read(one + two)
    assert content(read(one + two, block="two")) == {"Ca": 1}
    assert content(read(one + two, index=0)) == {"Mg": 1}
    assert [content(frame) for frame in read_trajectory(tmp_path / "a.cif")] == [{"Mg": 1}, {"Ca": 1}]
    with pytest.raises(ValueError, match=r"three.*one, two"):
        read(one + two, block="three")
    assert content(read("data_global\n_journal_year 2026\n" + one)) == {"Mg": 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_encoding_and_line_end(read, encoding, end):
    text = (
        "data_é\n".replace("é", "e") + cif(["Mg1\tMg 0 0 0"], more="_publ_section_title 'Größe Å'\n").split("\n", 1)[1]
    )
    assert content(read(text.replace("\n", end).encode(encoding))) == {"Mg": 1}


def test_numbers_with_uncertainties_fractions_and_exponents(read):
    atoms = read(cif(["Mg1 Mg 1/3 0.25(1) 2.5D-1"], cell=("4.00(1)", 4, 4, 90, 90, "90.0(2)")))
    assert atoms.get_scaled_positions()[0] == pytest.approx([1 / 3, 0.25, 0.25])
    assert atoms.cell.lengths() == pytest.approx([4, 4, 4])


# other crystals


def test_a_pdb_has_its_group_applied_and_its_models_are_frames(tmp_path, read):
    line = "{}{:5d} {:<4s} MOL     1    {:8.3f}{:8.3f}{:8.3f}{:6.2f}  0.00          {:>2s}\n"
    head = "CRYST1    4.212    4.212    4.212  90.00  90.00  90.00 {:<11s}   4\n"
    atoms = line.format("ATOM  ", 1, "Mg", 0, 0, 0, 1, "Mg") + line.format(
        "ATOM  ", 2, "O", 2.106, 2.106, 2.106, 1, "O"
    )
    assert content(read(head.format("F m -3 m") + atoms + "END\n", "a.pdb")) == {"Mg": 4, "O": 4}
    with pytest.raises(ValueError, match="P q q q"):
        read(head.format("P q q q") + atoms, "a.pdb")
    with pytest.raises(ValueError, match="CRYST1"):
        read(atoms, "a.pdb")
    models = "".join(f"MODEL     {k:4d}\n{atoms}ENDMDL\n" for k in (1, 2))
    read(head.format("P 1") + models + "MODEL        3\n" + atoms[:60], "a.pdb")
    assert len(read_trajectory(tmp_path / "a.pdb")) == 2


def test_formats_whose_readers_apply_no_operation_are_read_in_p1_alone(tmp_path, read):
    cssr = "4.0 4.0 4.0\n90 90 90 SPGR = {} OPT = 1\n1 0\n0 Mg\n1 Mg 0 0 0\n"
    assert content(read(cssr.format("1 P 1"), "a.cssr")) == {"Mg": 1}
    with pytest.raises(ValueError, match="F m -3 m"):
        read(cssr.format("225 F m -3 m"), "a.cssr")
    write(tmp_path / "b.xsd", bulk("MgO", "rocksalt", a=4.2))
    text = (tmp_path / "b.xsd").read_text()
    assert content(read(text, "a.xsd")) == {"Mg": 1, "O": 1}
    assert 'GroupName="' in text
    with pytest.raises(ValueError, match="FM-3M"):
        read(text.replace('GroupName="GroupName"', 'GroupName="FM-3M"'), "a.xsd")
    with pytest.raises(ValueError, match="P -1"):
        read(text.replace('LongName="P 1"', 'LongName="P -1"'), "a.xsd")


def test_pymatgen_structures_one_level_down(read):
    structure = to_pymatgen(bulk("MgO", "rocksalt", a=4.2)).as_dict()
    assert content(read(json.dumps({"energy": -1.0, "structure": structure}), "a.json")) == {"Mg": 1, "O": 1}
    assert content(read(json.dumps([structure, structure]), "a.json")) == {"Mg": 1, "O": 1}
    with pytest.raises(ValueError, match="initial, final"):
        read(json.dumps({"initial": structure, "final": structure}), "a.json")


def test_what_other_readers_warn_of_is_shown(read, monkeypatch, caplog, tmp_path):
    import warnings

    def warn(*_, **__):
        warnings.warn("the cell is\nodd", UserWarning, stacklevel=1)
        warnings.warn("use another name", DeprecationWarning, stacklevel=1)
        print("printed")  # noqa: T201
        return [bulk("MgO", "rocksalt", a=4.2)]

    monkeypatch.setattr("amorph.reading.ase_formats.ase_read", warn)
    with caplog.at_level(logging.WARNING):
        read("x", "a.gen")
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == ["the cell is odd", "printed"]


def test_what_amorph_writes_agrees_with_itself(tmp_path, caplog):
    # its CIF has the content of the cell as formula and the Z of the reduced one
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    write_structure(tmp_path / "a.cif", atoms)
    assert content(read_structure(tmp_path / "a.cif")) == {"Mg": 4, "O": 4}
    assert not caplog.records


def test_ten_thousand_atoms_take_no_more_time_each_than_a_thousand(tmp_path):
    """Time of this process per atom, against that of an eleventh of the atoms: what looks at all pairs takes 11."""
    each = []
    for repeats in ((11, 11, 1), (11, 11, 11)):
        cell = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(repeats)
        write_structure(tmp_path / "large.cif", cell)
        read_structure(tmp_path / "large.cif")  # what is imported and compiled is none of it
        spent = []
        for _ in range(3):
            start = time.process_time()
            assert len(read_structure(tmp_path / "large.cif")) == len(cell)
            spent.append(time.process_time() - start)
        each.append(min(spent) / len(cell))
    assert len(cell) == 10_648
    assert each[1] < 3.0 * each[0]


# the metric of a cell, and rows that are near each other


@pytest.mark.parametrize(
    ("name", "cell", "outcome"),
    [
        ("F m -3 m", (4.20, 4.25, 4.30, 90, 90, 90), "error"),
        ("F m -3 m", (4.21, 4.22, 4.21, 90, 90, 90), "note"),
        ("F m -3 m", (4.2100, 4.2103, 4.21, 90, 90, 90), ""),
        ("R -3 m", (2.85, 2.88, 14.1, 90, 90, 120), "error"),  # beside a long axis too
        ("R -3 m", (2.85, 2.85, 14.1, 90, 90, 118), "error"),
        ("R -3 m", (2.85, 2.86, 14.1, 90, 90, 120), "note"),
        ("P 1", (2.85, 2.95, 14.1, 90, 97, 120), ""),
    ],
)
def test_a_cell_that_its_own_operations_change_is_told_or_refused(read, caplog, name, cell, outcome):
    text = cif(["Mg1 Mg 0 0 0"], cell=cell, more=group(name))
    if outcome == "error":
        with pytest.raises(ValueError, match="change its own cell"):
            read(text)
        return
    read(text)
    assert ("change its own cell" in caplog.text) is (outcome == "note")


@pytest.mark.parametrize("misfit", [0.01004, 0.01006, 0.0102])
def test_what_is_refused_is_more_than_the_limit_as_it_is_printed(read, caplog, misfit):
    # a cubic operation turns c² into a², which differ by twice the misfit
    text = cif(["Mg1 Mg 0 0 0"], cell=(4, 4, 4 * np.sqrt(1 + 2 * misfit), 90, 90, 90), more=group("P m -3 m"))
    try:
        read(text)
        said = caplog.text
    except ValueError as error:
        said = str(error)
    percent = re.search(r"own cell by ([\d.]+) %", said)
    assert percent is not None and (float(percent[1]) > 1.0) is ("more than" in said)


def test_rows_of_p1_that_are_too_near_are_not_taken_for_copies(read, caplog):
    for apart in (0.3, 0.39):
        with pytest.raises(ValueError, match=f"{apart:.3f} Å apart"):
            read(cif(["Mg1 Mg 0 0 0", f"Mg2 Mg {apart / 4} 0 0", "O1 O .5 .5 .5"]))
    assert "symmetry" not in caplog.text
    # an atom on a face that is written on both faces is one
    assert content(read(cif(["Mg1 Mg 0 0 0", "Mg2 Mg 1 0 0", "O1 O .5 .5 .5"]))) == {"Mg": 1, "O": 1}
    assert "Mg2" in caplog.text and "symmetry" not in caplog.text
