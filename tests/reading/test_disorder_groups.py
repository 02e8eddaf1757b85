"""Groups of disorder in a CIF: alternatives of one assembly exclude each other, and stay together."""

import numpy as np
import pytest

from amorph.reading import read_disordered, read_structure
from amorph.structure import ordered_cells, pair_list

HEAD = """data_x
_cell_length_a {a}
_cell_length_b 9
_cell_length_c 10
_cell_angle_alpha 90
_cell_angle_beta {beta}
_cell_angle_gamma 90
_space_group_name_H-M_alt '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_disorder_assembly
_atom_site_disorder_group
"""
WATER = """Li1 Li+ 0.5 0.5 0.5 1 . .
O1 O2- 0.10 0.10 0.10 0.75 A 1
H1A H+ 0.20 0.10 0.10 0.75 A 1
H1B H+ 0.07 0.20 0.10 0.75 A 1
F2 F- 0.11 0.12 0.10 0.25 A 2
"""


def written(tmp_path, rows, group="P 1", a=8, beta=90):
    path = tmp_path / "a.cif"
    path.write_text(HEAD.format(group=group, a=a, beta=beta) + rows)
    return path


def ordered(path, supercell=(2, 2, 2), number=3, **options):
    return ordered_cells(
        read_disordered(path), supercell=supercell, number=number, rng=np.random.default_rng(1), **options
    )


def neighbors(cell, of, among, within):
    pairs = pair_list(cell, within)
    near = (cell.symbols == of)[pairs.i] & (cell.symbols == among)[pairs.j]
    return np.bincount(pairs.i[near], minlength=len(cell))[cell.symbols == of]


def test_one_group_is_at_each_place_with_all_its_atoms(tmp_path):
    found = ordered(written(tmp_path, WATER))
    assert found.fractions == pytest.approx({"Li": 8, "O": 6, "H": 12, "F": 2})
    for cell in found.cells:
        assert cell.symbols.formula.count() == {"Li": 8, "O": 6, "H": 12, "F": 2}
        assert neighbors(cell, "O", "H", 1.0).tolist() == [2] * 6
        assert pair_list(cell[[s in "OF" for s in cell.symbols]], 3.0).d.size == 0
    assert len({cell.positions.tobytes() for cell in found.cells}) == 3
    # 8 Li+, 6 H2O, 2 F-
    assert (found.charge_of_file, found.charge) == (6.0, 6.0)


def test_the_refusal_names_assembly_and_groups(tmp_path):
    with pytest.raises(
        ValueError, match=r"assembly A: group 1 0.75 with O1 H1A H1B, group 2 0.25 with F2.*amorph order"
    ):
        read_structure(written(tmp_path, WATER))


def test_symmetry_makes_places_of_the_assembly(tmp_path):
    path = written(tmp_path, WATER.replace("0.5 0.5 0.5 1 . .", "0 0.5 0 1 . ."), "P 1 21/c 1", beta=100)
    for cell in ordered(path, (1, 1, 1)).cells:
        assert cell.symbols.formula.count() == {"Li": 2, "O": 3, "H": 6, "F": 1}
        assert neighbors(cell, "O", "H", 1.0).tolist() == [2] * 3


def test_halves_of_a_group_on_a_mirror_are_one(tmp_path):
    # O on the mirror y = 1/2, one H beside it
    rows = "O1 O 0.1 0.5 0.1 0.5 A 1\nH1 H 0.17 0.585 0.1 0.5 A 1\nF2 F 0.1 0.5 0.1 0.5 A 2\n"
    crystal = read_disordered(written(tmp_path, rows, "P 1 m 1"))
    (assembly,) = crystal.assemblies
    assert [each.positions.shape for each in assembly.alternatives] == [(1, 3, 3), (1, 1, 3)]
    for cell in ordered(written(tmp_path, rows, "P 1 m 1")).cells:
        assert cell.symbols.formula.count() == {"O": 4, "H": 8, "F": 4}
        assert neighbors(cell, "O", "H", 1.0).tolist() == [2] * 4


def test_a_group_about_a_center_is_there_once(tmp_path):
    # C–N across the center of inversion at the origin, its two ends exchanged in half of the cells
    rows = "C1 C 0.07 0 0 0.5 . -1\nN1 N -0.075 0 0 0.5 . -1\nLi1 Li 0.5 0.5 0.5 1 . .\n"
    for cell in ordered(written(tmp_path, rows, "P -1")).cells:
        assert cell.symbols.formula.count() == {"C": 8, "N": 8, "Li": 8}
        assert neighbors(cell, "C", "N", 1.3).tolist() == [1] * 8


def test_groups_across_a_face_stay_together(tmp_path):
    rows = WATER.replace("0.10 0.10 0.10", "0.97 0.10 0.10").replace("0.20 0.10 0.10", "1.07 0.10 0.10")
    rows = rows.replace("0.07 0.20", "0.94 0.20").replace("0.11 0.12", "0.98 0.12")
    for cell in ordered(written(tmp_path, rows)).cells:
        assert neighbors(cell, "O", "H", 1.0).tolist() == [2] * 6


def test_groups_without_occupancies_are_equal_shares(tmp_path, caplog):
    rows = WATER.replace("0.75 A", "? A").replace("0.25 A", ". A")
    found = ordered(written(tmp_path, rows))
    assert found.fractions == pytest.approx({"Li": 8, "O": 4, "H": 8, "F": 4})
    assert "no occupancies" in caplog.text


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (
            WATER.replace("H1A H+ 0.20 0.10 0.10 0.75", "H1A H+ 0.20 0.10 0.10 0.5"),
            r"group 1 of assembly A.*0.5 to 0.75",
        ),
        (WATER.replace("0.25 A", "0.5 A"), r"assembly A fill their place 1.25 times"),
    ],
)
def test_groups_that_contradict_themselves_are_refused(tmp_path, rows, what):
    with pytest.raises(ValueError, match=what):
        read_disordered(written(tmp_path, rows))


def test_a_group_that_is_always_there_is_no_disorder(tmp_path):
    rows = WATER.replace("0.75 A", "1 A").replace("F2 F- 0.11 0.12 0.10 0.25 A 2\n", "")
    assert read_structure(written(tmp_path, rows)).symbols.formula.count() == {"Li": 1, "O": 1, "H": 2}


def perchlorate(center="0.01 0.008 0.005 0.5 . -1", group="-1"):
    """A perchlorate near the center of inversion at the origin, in a cell of 8 x 9 x 10 Å."""
    ends = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) * 0.83 / [8, 9, 10]
    ends += [float(x) for x in center.split()[:3]]
    rows = [f"O{k} O {x:.5f} {y:.5f} {z:.5f} 0.5 . {group}" for k, (x, y, z) in enumerate(ends)]
    return "\n".join([f"Cl1 Cl {center}", *rows, "Li1 Li 0.5 0.5 0.5 1 . .", ""])


@pytest.mark.parametrize(
    "center", ["0.01 0.008 0.005 0.5 . -1", "0.04 0.03 0.02 0.5 . -1", "0 0 0 0.5 . -1", "0 0 0 1 . ."]
)
@pytest.mark.parametrize("supercell", [(1, 1, 1), (2, 2, 1)])
def test_one_orientation_about_a_center_is_there(tmp_path, center, supercell):
    found = ordered(written(tmp_path, perchlorate(center), "P -1"), supercell)
    cells = int(np.prod(supercell))
    for cell in found.cells:
        assert cell.symbols.formula.count() == {"Cl": cells, "O": 4 * cells, "Li": cells}
        assert neighbors(cell, "Cl", "O", 1.7).tolist() == [4] * cells
        # a tetrahedron, not half of one and half of its inverse, whose O lie 1.7 Å apart
        assert pair_list(cell[cell.symbols == "O"], 2.2).d.size == 0


def test_copies_that_fill_their_place_twice_are_refused(tmp_path):
    rows = perchlorate().replace("0.5 . -1", "1 . -1")
    with pytest.raises(ValueError, match=r"group -1 of assembly \..*Cl1"):
        read_disordered(written(tmp_path, rows, "P -1"))


def test_orientations_written_out_under_one_group_are_refused(tmp_path):
    rows = "C1 C 0.07 0 0 0.5 . -1\nN1 N -0.075 0 0 0.5 . -1\nC2 C -0.07 0 0 0.5 . -1\nN2 N 0.075 0 0 0.5 . -1\n"
    with pytest.raises(ValueError, match=r"C1 and N2 of group -1"):
        read_disordered(written(tmp_path, rows))


@pytest.mark.parametrize(("formula", "fits"), [("Li Cl O4", True), ("Li Cl O8", False)])
def test_the_content_by_occupancy_is_held_against_the_formula(tmp_path, formula, fits):
    path = written(tmp_path, perchlorate(), "P -1")
    path.write_text(path.read_text() + f"_chemical_formula_sum '{formula}'\n_cell_formula_units_Z 1\n")
    if fits:
        read_disordered(path)
    else:
        with pytest.raises(ValueError, match=r"Cl1 O4.*formula"):
            read_disordered(path)


def test_places_written_out_in_one_cell_take_their_alternatives_each(tmp_path):
    places = [(0.2, 0.1), (0.7, 0.1), (0.2, 0.6), (0.7, 0.6)]
    rows = "".join(
        f"F{k} F {x} {y} 0 0.5 . 1\nCl{k} Cl {x} {y + 0.05:.2f} 0 0.5 . 2\n" for k, (x, y) in enumerate(places)
    )
    found = ordered(written(tmp_path, rows), (1, 1, 1), 6)
    assert all(cell.symbols.formula.count() == {"F": 2, "Cl": 2} for cell in found.cells)
    assert len({tuple(np.round(cell.positions[cell.symbols == "F"], 3).ravel()) for cell in found.cells}) > 1


def test_parts_of_a_refinement_have_occupancies_by_place(tmp_path):
    # PART 1 and 2 of two moieties, one of them across a face
    rows = (
        "O1 O 0.97 0.1 0.1 0.75 . 1\nH1 H 0.07 0.1 0.1 0.75 . 1\nF1 F 0.98 0.12 0.1 0.25 . 2\n"
        "S2 S 0.5 0.5 0.5 0.5 . 1\nSe2 Se 0.5 0.55 0.5 0.5 . 2\n"
    )
    crystal = read_disordered(written(tmp_path, rows))
    assert [[each.occupancy for each in found.alternatives] for found in crystal.assemblies] == [
        [0.75, 0.25],
        [0.5, 0.5],
    ]
    for cell in ordered(written(tmp_path, rows)).cells:
        assert cell.symbols.formula.count() == {"O": 6, "H": 6, "F": 2, "S": 4, "Se": 4}
        assert neighbors(cell, "O", "H", 1.0).tolist() == [1] * 6


def test_halves_of_a_moiety_at_one_ordered_atom_are_there_together(tmp_path):
    # S on a twofold axis, half of the O of each group listed
    rows = (
        "S1 S 0 0 0 1 . .\nO1 O 0.1 0.09 0.08 0.75 . 1\nO2 O 0.1 -0.09 -0.08 0.75 . 1\n"
        "O3 O 0.14 0.01 0.08 0.25 . 2\nO4 O 0.01 0.12 -0.08 0.25 . 2\n"
    )
    for cell in ordered(written(tmp_path, rows, "P 1 1 2"), (2, 2, 1)).cells:
        assert cell.symbols.formula.count() == {"S": 4, "O": 16}
        assert neighbors(cell, "S", "O", 1.7).tolist() == [4] * 4
        assert pair_list(cell[cell.symbols == "O"], 1.5).d.size == 0
