import chemfiles
import gemmi
import numpy as np
import pytest
from ase import Atoms
from ase.geometry import cellpar_to_cell
from pymatgen.core import Structure
from pymatgen.io.lammps.data import LammpsData
from pymatgen.io.vasp import Poscar

from amorph.export import write_structure
from amorph.reading import read_structure
from amorph.structure import to_pymatgen

TRICLINIC = np.array([[6.0, 0.4, 0.1], [1.0, 7.0, -0.2], [-1.5, 2.0, 8.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]
SYMBOLS = ["Mg", "O", "Ti", "O", "Mg", "O", "Mo", "O"]
STATES = [2.0, -2.0, 4.0, -2.0, 2.0, -2.0, 4.0, -2.0]


def structure(cell):
    atoms = Atoms(SYMBOLS, cell=cell, pbc=True)
    corners = np.stack(np.meshgrid(*[[0.0, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    atoms.set_scaled_positions(corners + np.random.default_rng(0).uniform(-0.08, 0.08, (8, 3)))
    atoms.set_array("oxidation_states", np.array(STATES))
    # which POSCAR and LAMMPS writers could pick up
    atoms.set_momenta(np.ones((8, 3)))
    atoms.set_array("type", np.full(8, 7))
    return atoms


@pytest.fixture(params=[TRICLINIC, LEFT_HANDED], ids=["right-handed", "left-handed"])
def atoms(request):
    return structure(request.param)


def distances(cell, positions):
    """Sorted distances to the 26 nearest images and the cell itself: equal for equal crystals, however turned."""
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    fractions = (positions @ np.linalg.inv(cell)) % 1
    positions = fractions @ cell
    vectors = positions[None, :, None] + images[None, None] - positions[:, None, None]
    lengths = np.linalg.norm(vectors, axis=-1).reshape(len(positions), -1)
    return np.sort(lengths, axis=1)[:, :12]


def same_crystal(atoms, cell, positions, tolerance):
    """Compare the distances that each atom sees, in the order of the atoms."""
    assert distances(cell, positions) == pytest.approx(distances(atoms.cell.array, atoms.positions), abs=tolerance)


# --- independent readers


def test_chemfiles_reads_the_extended_xyz(tmp_path):
    atoms = structure(TRICLINIC)  # the program refuses left-handed cells; the format does not
    path = tmp_path / "structure.extxyz"
    write_structure(path, atoms)
    with chemfiles.Trajectory(str(path), "r", "XYZ") as file:
        frame = file.read()
    assert [atom.name for atom in frame.atoms] == SYMBOLS
    assert [atom["oxidation_states"] for atom in frame.atoms] == STATES
    assert frame.positions == pytest.approx(atoms.positions, abs=1e-8)
    lattice_vectors = frame.cell.matrix.T  # its columns
    assert lattice_vectors == pytest.approx(TRICLINIC, abs=1e-12)


def test_the_extended_xyz_keeps_a_left_handed_cell(tmp_path):
    write_structure(tmp_path / "structure.extxyz", structure(LEFT_HANDED))
    header = (tmp_path / "structure.extxyz").read_text(encoding="utf-8").splitlines()[1]
    numbers = header.split('Lattice="')[1].split('"')[0].split()
    assert np.array(numbers, float).reshape(3, 3) == pytest.approx(LEFT_HANDED, abs=1e-12)


def test_gemmi_reads_the_cif(tmp_path, atoms):
    path = tmp_path / "structure.cif"
    write_structure(path, atoms)
    block = gemmi.cif.read(str(path)).sole_block()
    small = gemmi.make_small_structure_from_block(block)
    assert [site.element.name for site in small.sites] == SYMBOLS
    assert [site.charge for site in small.sites] == STATES
    cell = cellpar_to_cell(small.cell.parameters)
    fractions = np.array([site.fract.tolist() for site in small.sites])
    same_crystal(atoms, cell, fractions @ cell, tolerance=1e-8)  # 12 digits
    oxidation = dict(block.find(["_atom_type_symbol", "_atom_type_oxidation_number"]))
    assert {k: float(v) for k, v in oxidation.items()} == {"Mg2+": 2, "O2-": -2, "Ti4+": 4, "Mo4+": 4}


@pytest.mark.parametrize("suffix", ["cif", "lmp"])
def test_formats_that_choose_their_own_axes_turn_the_crystal_but_never_mirror_it(tmp_path, atoms, suffix):
    path = tmp_path / f"structure.{suffix}"
    write_structure(path, atoms)
    if suffix == "cif":
        small = gemmi.read_small_structure(str(path))
        positions = np.array([small.cell.orthogonalize(site.fract).tolist() for site in small.sites])
        cell = np.array([small.cell.orthogonalize(gemmi.Fractional(*unit)).tolist() for unit in np.eye(3)])
    else:
        found = LammpsData.from_file(str(path), atom_style="charge").structure
        positions, cell = found.cart_coords, found.lattice.matrix
    for n in range(3, 8):
        # nearest images, found by fractions, so that wrapping does not matter
        vectors = [nearest(cell, positions[k] - positions[0]) for k in (1, 2, n)]
        expected = [nearest(atoms.cell.array, atoms.positions[k] - atoms.positions[0]) for k in (1, 2, n)]
        assert np.linalg.det(vectors) == pytest.approx(np.linalg.det(expected), rel=1e-6)


def nearest(cell, vector):
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    fractions = vector @ np.linalg.inv(cell)
    candidates = (fractions - np.rint(fractions) + images) @ cell
    return candidates[np.argmin(np.linalg.norm(candidates, axis=1))]


@pytest.mark.parametrize("name", ["POSCAR.cif", "CONTCAR_a.lmp", "XDATCAR.extxyz", "POSCAR.xyz", "CONTCAR"])
def test_the_suffix_names_the_format_and_where_there_is_none_the_name(tmp_path, atoms, name):
    write_structure(tmp_path / name, atoms)
    elements = ["Mg", "O", "Ti", "Mo"] if name.endswith(".lmp") else None
    assert len(read_structure(tmp_path / name, elements=elements)) == len(atoms)


def test_pymatgen_reads_the_poscar(tmp_path, atoms):
    for name in ("structure.vasp", "POSCAR", "POSCAR_relaxed", "structure.poscar"):
        write_structure(tmp_path / name, atoms)
        poscar = Poscar.from_file(tmp_path / name)
        # grouped by element in order of first appearance, each group in the order of the structure
        assert poscar.site_symbols == ["Mg", "O", "Ti", "Mo"]
        assert poscar.natoms == [2, 4, 1, 1]
        order = [0, 4, 1, 3, 5, 7, 2, 6]
        assert np.linalg.det(poscar.structure.lattice.matrix) > 0  # VASP refuses left-handed cells
        same_crystal(atoms[order], poscar.structure.lattice.matrix, poscar.structure.cart_coords, tolerance=1e-12)
        offset = poscar.structure.cart_coords - atoms.positions[order]
        shifts = offset @ np.linalg.inv(atoms.cell.array)
        assert shifts == pytest.approx(np.rint(shifts), abs=1e-12)  # no atom moves but by lattice vectors
        assert len((tmp_path / name).read_text(encoding="utf-8").splitlines()) == 8 + len(atoms)  # no velocities


def test_pymatgen_reads_the_lammps_data(tmp_path, atoms):
    for name in ("structure.lmp", "structure.data"):
        write_structure(tmp_path / name, atoms)
        data = LammpsData.from_file(str(tmp_path / name), atom_style="charge")
        assert data.atoms["q"].tolist() == STATES
        assert data.masses["mass"].tolist() == pytest.approx([24.305, 95.95, 15.999, 47.867], rel=1e-8)
        assert data.atoms["type"].tolist() == [1, 3, 4, 3, 1, 3, 2, 3]
        structure = data.structure
        same_crystal(atoms, structure.lattice.matrix, structure.cart_coords, tolerance=1e-9)
        assert data.velocities is None


def test_chemfiles_reads_the_lammps_data(tmp_path, atoms):
    path = tmp_path / "structure.lmp"
    write_structure(path, atoms)
    assert "# Mo" in path.read_text(encoding="utf-8")
    with chemfiles.Trajectory(str(path), "r", "LAMMPS Data") as file:
        frame = file.read()
    assert [atom.charge for atom in frame.atoms] == STATES
    same_crystal(atoms, frame.cell.matrix.T, np.array(frame.positions), tolerance=1e-9)


# --- edges


def test_without_oxidation_states_charges_are_zero_and_the_cif_has_none(tmp_path, atoms):
    del atoms.arrays["oxidation_states"]
    write_structure(tmp_path / "structure.lmp", atoms)
    assert LammpsData.from_file(str(tmp_path / "structure.lmp"), atom_style="charge").atoms["q"].eq(0).all()
    write_structure(tmp_path / "structure.cif", atoms)
    assert "oxidation" not in (tmp_path / "structure.cif").read_text(encoding="utf-8")


def test_mixed_valence_keeps_the_charge_of_each_atom(tmp_path, atoms):
    states = [2.0, -2.0, 4.0, -2.0, 2.0, -2.0, 6.0, -2.0]
    atoms.symbols[2] = "Mo"
    atoms.set_array("oxidation_states", np.array(states))
    write_structure(tmp_path / "structure.cif", atoms)
    small = gemmi.read_small_structure(str(tmp_path / "structure.cif"))
    assert [site.charge for site in small.sites] == states
    write_structure(tmp_path / "structure.lmp", atoms)
    assert LammpsData.from_file(str(tmp_path / "structure.lmp"), atom_style="charge").atoms["q"].tolist() == states


@pytest.mark.parametrize("name", ["s.extxyz", "s.xyz", "s.cif", "s.vasp", "s.lmp"])
def test_a_pymatgen_structure_is_accepted_and_the_input_stays_as_it_was(tmp_path, atoms, name):
    before = atoms.copy()
    write_structure(tmp_path / name, atoms)
    assert atoms == before
    (tmp_path / name).unlink()
    structure = to_pymatgen(atoms)
    assert isinstance(structure, Structure)
    write_structure(tmp_path / name, structure)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_structures_leave_no_file(tmp_path, atoms):
    atoms.positions[3] = np.nan
    with pytest.raises(ValueError, match="position of atom 3"):
        write_structure(tmp_path / "structure.cif", atoms)
    assert not list(tmp_path.iterdir())


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, atoms):
    with pytest.raises(ValueError, match=r"suffix '.pdb' names no format; known are .extxyz, .xyz, .cif, .vasp"):
        write_structure(tmp_path / "structure.pdb", atoms)
