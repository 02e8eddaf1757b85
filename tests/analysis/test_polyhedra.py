import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from amorph.analysis.polyhedra import coordination_polyhedra


def volume(polyhedron):
    a, b, c = np.moveaxis(polyhedron.corners[polyhedron.faces] - polyhedron.position, 1, 0)
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


# --- closed form


@pytest.mark.parametrize(
    ("atoms", "species", "counts", "bond", "expected_volume"),
    [
        (bulk("MgO", "rocksalt", a=4.212), "Mg", (6, 8, 12), 2.106, 4 / 3 * 2.106**3),
        (bulk("ZnO", "zincblende", a=4.6), "Zn", (4, 4, 6), 4.6 * 3**0.5 / 4, 4.6**3 / 24),
        # a cube: its faces are two triangles each, their diagonals no edges
        (bulk("ZrO2", "fluorite", a=5.1), "Zr", (8, 12, 12), 5.1 * 3**0.5 / 4, (5.1 / 2) ** 3),
    ],
    ids=["octahedron", "tetrahedron", "cube"],
)
def test_regular_polyhedra(atoms, species, counts, bond, expected_volume):
    [polyhedron] = coordination_polyhedra(atoms, [species])
    assert (len(polyhedron.corners), len(polyhedron.faces), len(polyhedron.edges)) == counts
    assert np.linalg.norm(polyhedron.corners - polyhedron.position, axis=1) == pytest.approx(bond, rel=1e-12)
    # positive: the faces run counter-clockwise from outside
    assert volume(polyhedron) == pytest.approx(expected_volume, rel=1e-9)


def test_the_octahedra_of_rutile_have_each_anion_three_times():
    rutile = crystal("TiO", [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90])
    polyhedra = coordination_polyhedra(rutile, ["Ti"])
    assert [len(p.ligands) for p in polyhedra] == [6, 6]
    counts = np.bincount(np.concatenate([p.ligands for p in polyhedra]), minlength=len(rutile))
    assert counts[rutile.symbols == "O"].tolist() == [3, 3, 3, 3]


# --- invariance


def test_polyhedra_across_cell_faces_are_whole_wherever_the_cell_begins():
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2)
    atoms.rattle(0.2, seed=1)
    before = coordination_polyhedra(atoms, ["Mg"])
    atoms.positions += [1.3, -2.1, 3.7]
    atoms.wrap()
    after = coordination_polyhedra(atoms, ["Mg"])
    assert [volume(p) for p in after] == pytest.approx([volume(p) for p in before], rel=1e-9)
    assert [sorted(p.ligands) for p in after] == [sorted(p.ligands) for p in before]


def test_a_ligand_counts_once_for_each_of_its_images():
    [polyhedron] = coordination_polyhedra(bulk("MgO", "rocksalt", a=4.212), ["Mg"])
    assert polyhedron.ligands.tolist() == [1] * 6
    assert len(np.unique(polyhedron.corners.round(9), axis=0)) == 6


# --- edges


def test_too_few_or_flat_corners_have_no_faces():
    flat = Atoms("MgO4", positions=[(5, 5, 5), (7, 5, 5), (3, 5, 5), (5, 7, 5), (5, 3, 5)], cell=[10] * 3, pbc=True)
    [square] = coordination_polyhedra(flat, ["Mg"])
    assert (len(square.corners), len(square.faces), len(square.edges)) == (4, 0, 0)
    del flat[[2, 4]]
    [bent] = coordination_polyhedra(flat, ["Mg"])
    assert (len(bent.corners), len(bent.faces), len(bent.edges)) == (2, 0, 0)
    del flat[[1, 2]]
    assert coordination_polyhedra(flat, ["Mg"]) == []


def test_anions_are_known_by_oxidation_state_or_else_by_element():
    atoms = bulk("MgO", "rocksalt", a=4.212)
    atoms.set_array("oxidation_states", np.array([-1.0, 1.0]))
    assert len(coordination_polyhedra(atoms, ["O"])) == 1
    assert coordination_polyhedra(atoms, ["Mg"]) == []


def test_phosphorus_in_a_phosphate_is_no_ligand_but_a_center():
    positions = np.array([(0, 0, 0), (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (2.5, 2.5, 2.5)]) * 0.88 + 4
    atoms = Atoms("PO4Li", positions=positions, cell=[9] * 3, pbc=True)
    [tetrahedron] = coordination_polyhedra(atoms, ["P"])
    assert tetrahedron.ligands.tolist() == [1, 2, 3, 4]
    # Li is 1.3 Å further from P than from O
    [lithium] = coordination_polyhedra(atoms, ["Li"], bond_tolerance=2.0)
    assert 0 not in lithium.ligands


def test_the_bond_tolerance_decides_what_is_bonded():
    atoms = bulk("MgO", "rocksalt", a=4.212)
    # the covalent radii sum to 2.07 Å, the bond is 2.106 Å
    assert [len(p.corners) for p in coordination_polyhedra(atoms, ["Mg"], bond_tolerance=1.02)] == [6]
    assert [len(p.corners) for p in coordination_polyhedra(atoms, ["Mg"], bond_tolerance=1.01)] == [0]
    with pytest.raises(ValueError, match=r"bond_tolerance = 0.0 must be greater than 0"):
        coordination_polyhedra(atoms, ["Mg"], bond_tolerance=0.0)
