"""Files in: what is kept of them, and one line for whatever is wrong with them."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io import write

from amorph.export import write_structure
from amorph.export.fields.npz import write_npz
from amorph.fields import ScalarField
from amorph.reading import read_field, read_structure, read_trajectory
from amorph.structure import pair_list, to_pymatgen


@pytest.fixture
def oxide():
    """A triclinic cell without symmetry, with oxidation states."""
    atoms = make_supercell(bulk("MgO", "rocksalt", a=4.212, cubic=True), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))
    atoms.rattle(0.1, seed=1)
    atoms.wrap()
    atoms.set_array("oxidation_states", np.where(atoms.numbers == 12, 2.0, -2.0))
    atoms.info["supercell"] = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    return atoms


def same_crystal(one, other, tolerance=1e-6):
    """Compare element by element in fractional coordinates, whatever the orientation and the order of elements."""
    assert one.cell.cellpar() == pytest.approx(other.cell.cellpar(), abs=tolerance)
    for number in np.unique(one.numbers):
        first, second = (atoms.get_scaled_positions()[atoms.numbers == number] for atoms in (one, other))
        assert first.shape == second.shape
        shift = first - second
        assert shift - np.round(shift) == pytest.approx(0, abs=tolerance)


# closed form: what is written is read


@pytest.mark.parametrize(
    "name", ["a.extxyz", "a.cif", "a.vasp", "a.poscar", "POSCAR_relaxed", "CONTCAR", "a.lmp", "a.data"]
)
def test_every_format_that_amorph_writes(tmp_path, oxide, name):
    write_structure(tmp_path / name, oxide)
    back = read_structure(tmp_path / name)
    same_crystal(back, oxide)
    assert back.pbc.all()


@pytest.mark.parametrize("name", ["a.traj", "a.xyz", "a.xsf", "a.gen", "a.json", "a.xyz.gz", "a@1.xyz", "mysql.xyz"])
def test_formats_of_ase(tmp_path, oxide, name, monkeypatch):
    write(tmp_path / name, oxide)
    monkeypatch.chdir(tmp_path)
    same_crystal(read_structure(name), oxide)


def test_a_pymatgen_structure_as_json(tmp_path, oxide):
    (tmp_path / "a.json").write_text(json.dumps(to_pymatgen(oxide).as_dict()))
    back = read_structure(tmp_path / "a.json")
    same_crystal(back, oxide)
    assert back.arrays["oxidation_states"].tolist() == oxide.arrays["oxidation_states"].tolist()


def test_a_format_that_only_pymatgen_reads(tmp_path, oxide):
    from pymatgen.io.cssr import Cssr

    del oxide.arrays["oxidation_states"]
    (tmp_path / "a.cssr").write_text(str(Cssr(to_pymatgen(oxide))))
    same_crystal(read_structure(tmp_path / "a.cssr"), oxide, tolerance=1e-3)  # four decimals


@pytest.mark.parametrize("name", ["a.extxyz", "a.cif"])
def test_oxidation_states_are_kept(tmp_path, oxide, name):
    oxide.arrays["oxidation_states"][0] += 0.5
    write_structure(tmp_path / name, oxide)
    back = read_structure(tmp_path / name)
    state = {
        tuple(p): q for p, q in zip(back.get_scaled_positions().round(5), back.arrays["oxidation_states"], strict=True)
    }
    assert [state[tuple(p)] for p in oxide.get_scaled_positions().round(5)] == oxide.arrays["oxidation_states"].tolist()


ANATASE = (
    "data_a\n_cell_length_a 3.785\n_cell_length_b 3.785\n_cell_length_c 9.514\n_cell_angle_alpha 90\n"
    "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_name_H-M_alt '{group}'\n"
    "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    "Ti1 Ti4+ 0 {y} {z}\nO1 O2- 0 {y} {z_o}\n"
)


@pytest.mark.parametrize(
    ("group", "y", "z"), [("I 41/a m d:1", 0, 0), ("I 41/a m d:2", 0.75, 0.125), ("I 41/a m d", 0, 0)]
)
def test_symmetry_and_oxidation_states_of_a_cif(tmp_path, group, y, z):
    # without a loop of atom types the type symbols carry the charge; both origins of the group
    (tmp_path / "a.cif").write_text(ANATASE.format(group=group, y=y, z=z, z_o=z + 0.2081))
    atoms = read_structure(tmp_path / "a.cif")
    assert atoms.symbols.formula.count() == {"Ti": 4, "O": 8}
    assert atoms.arrays["oxidation_states"].tolist() == np.where(atoms.numbers == 22, 4.0, -2.0).tolist()
    pairs = pair_list(atoms, 2.2)
    assert np.bincount(pairs.i)[atoms.numbers == 22].tolist() == [6] * 4


def test_a_space_group_that_nobody_knows_is_not_taken_for_none(tmp_path):
    (tmp_path / "a.cif").write_text(ANATASE.format(group="I 41/q q q", y=0, z=0, z_o=0.2081))
    with pytest.raises(ValueError, match="I 41/q q q"):
        read_structure(tmp_path / "a.cif")


def test_only_what_a_stage_may_use_is_kept(tmp_path, oxide):
    oxide.set_velocities(np.random.default_rng(0).normal(size=(len(oxide), 3)))
    oxide.info["energy"] = -1.0
    oxide.set_tags(1)
    write(tmp_path / "a.extxyz", oxide)
    back = read_structure(tmp_path / "a.extxyz")
    assert set(back.arrays) == {"numbers", "positions", "oxidation_states", "momenta"}
    assert back.get_velocities() == pytest.approx(oxide.get_velocities(), abs=1e-7)
    assert back.info["supercell"].tolist() == oxide.info["supercell"].tolist()
    assert list(back.info) == ["supercell"]
    assert back.calc is None


# trajectories


@pytest.mark.parametrize("name", ["a.traj", "a.extxyz", "XDATCAR", "a.lammpstrj"])
def test_frames_of_a_trajectory(tmp_path, oxide, name):
    frames = [oxide.copy() for _ in range(4)]
    for k, frame in enumerate(frames):
        frame.positions += [0.1 * k, 0, 0]
    if name == "a.lammpstrj":
        (tmp_path / name).write_text("".join(map(lammps_dump, frames)))
    elif name == "XDATCAR":
        write(tmp_path / name, frames, format="vasp-xdatcar")
    else:
        write(tmp_path / name, frames)
    back = read_trajectory(tmp_path / name)
    assert len(back) == 4
    for one, other in zip(back, frames, strict=True):
        same_crystal(one, other)
    assert read_structure(tmp_path / name) == back[3]
    assert read_structure(tmp_path / name, index=0) == back[0]
    assert read_structure(tmp_path / name, index=1) == back[1]
    assert read_structure(tmp_path / name, index=-2) == back[2]
    with pytest.raises(ValueError, match="has 4 frames, no frame 4; give one from 0 to 3"):
        read_structure(tmp_path / name, index=4)


def lammps_dump(atoms, names=True):
    lo, hi, tilt = [0, 0, 0], atoms.cell.lengths(), [0, 0, 0]
    atoms = Atoms(atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell.standard_form()[0])
    cell = atoms.cell.array
    tilt = [cell[1, 0], cell[2, 0], cell[2, 1]]
    lo = [min(0, tilt[0], tilt[1], tilt[0] + tilt[1]), min(0, tilt[2]), 0]
    hi = [cell[0, 0] + max(0, tilt[0], tilt[1], tilt[0] + tilt[1]), cell[1, 1] + max(0, tilt[2]), cell[2, 2]]
    rows = [
        f"{k + 1} {1 if s == 'Mg' else 2} {s + ' ' if names else ''}{x:.10f} {y:.10f} {z:.10f}"
        for k, (s, (x, y, z)) in reversed(list(enumerate(zip(atoms.symbols, atoms.positions, strict=True))))
    ]
    return "\n".join(
        ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", str(len(atoms)), "ITEM: BOX BOUNDS xy xz yz pp pp pp"]
        + [f"{a:.10f} {b:.10f} {c:.10f}" for a, b, c in zip(lo, hi, tilt, strict=True)]
        + [f"ITEM: ATOMS id type {'element ' if names else ''}x y z", *rows, ""]
    )


def test_lammps_types_without_elements_must_be_named(tmp_path, oxide):
    dump, data = tmp_path / "a.lammpstrj", tmp_path / "a.lmp"
    dump.write_text(lammps_dump(oxide, names=False))
    write(data, oxide, format="lammps-data", specorder=["Mg", "O"])
    for path in (dump, data):
        same_crystal(read_structure(path, elements=["Mg", "O"]), oxide)
        assert read_structure(path, elements=["Ca", "S"]).symbols.formula.count() == {"Ca": 8, "S": 8}
        with pytest.raises(ValueError, match=r"only LAMMPS types; give .* --elements Li Ti Mo O or elements=\['Li'"):
            read_structure(path)
        with pytest.raises(ValueError, match="LAMMPS types 1 to 2, but 1 elements are given"):
            read_trajectory(path, elements=["Mg"])
        with pytest.raises(ValueError, match="cannot have the element 'Qq'"):
            read_structure(path, elements=["Mg", "Qq"])


# fields


@pytest.fixture
def field(oxide):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    values[0, 1, 2] = np.nan
    parameters = {"cutoff": 6.0, "ion": "Mg2+"}
    return ScalarField(values, oxide.cell.array, "bond valence sum of Mg2+", "v.u.", parameters, "bond_valence", "Mg2+")


def test_a_field_comes_back_whole_with_its_structure(tmp_path, oxide, field):
    write_npz(tmp_path / "a.npz", field, oxide)
    back, atoms = read_field(tmp_path / "a.npz")
    assert np.array_equal(back.values, field.values, equal_nan=True)
    assert np.array_equal(back.cell, field.cell)
    for name in ("quantity", "unit", "parameters", "kind", "ion"):
        assert getattr(back, name) == getattr(field, name)
    assert np.array_equal(atoms.positions, oxide.positions)
    assert atoms.arrays["oxidation_states"].tolist() == oxide.arrays["oxidation_states"].tolist()
    assert read_structure(tmp_path / "a.npz") == atoms


def repacked(tmp_path, oxide, field, **changes):
    write_npz(tmp_path / "a.npz", field, oxide)
    with np.load(tmp_path / "a.npz") as arrays:
        content = dict(arrays) | changes
    np.savez(tmp_path / "b.npz", **{name: array for name, array in content.items() if array is not None})
    return tmp_path / "b.npz"


@pytest.mark.parametrize(
    ("quantity", "kind"),
    [
        ("bond valence sum of Mg2+", "bond_valence"),
        ("signed bond valence mismatch of Mg2+", "signed_bond_valence_mismatch"),
        ("bond valence site energy of Mg2+", "site_energy"),
        ("distance to the nearest atomic sphere", "distance"),
        ("made up", "other"),
    ],
)
def test_a_field_of_before_is_of_the_kind_that_its_quantity_says(tmp_path, oxide, field, quantity, kind):
    back, _ = read_field(repacked(tmp_path, oxide, field, kind=None, ion=None, quantity=np.array(quantity)))
    assert (back.kind, back.ion) == (kind, "Mg2+")


def test_an_array_with_a_line_break_in_its_name_is_told_in_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("val\nues.npy", b"content")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole.replace(b"content", b"cOntent"))
    with pytest.raises(ValueError, match=r"has no values, .*; give a field") as caught:
        read_field(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_a_field_is_found_by_its_checksum(tmp_path, oxide, field):
    write_npz(tmp_path / "a.npz", field, oxide)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[whole.index(field.values[2, 3].tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(ValueError, match=r"is no field: BadZipFile: Bad CRC-32 for file 'values\.npy'; give a field"):
        read_field(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"cell": None}, "has no cell; give a field that amorph wrote"),
        ({"parameters": np.array("no json")}, "is no field: JSONDecodeError"),
        ({"parameters": np.array("[1]")}, "is no field"),
        ({"kind": np.array("new")}, "is of the kind 'new', which amorph does not know"),
        ({"values": np.zeros((3, 4))}, "three non-empty axes"),
        ({"values": np.array([[["a"]]])}, "an array of numbers is needed"),
        ({"values": np.full((1, 1, 1), np.inf)}, "a value of the field is infinite"),
        ({"values": np.array([None])}, "allow_pickle"),
        ({"cell": np.zeros((3, 3))}, "three independent lattice vectors"),
        ({"positions": np.zeros((3, 3))}, "is no field"),
        ({"oxidation_states": np.zeros(3)}, "is no field"),
        ({"pbc": np.array([True, True, False])}, "periodic along"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, oxide, field, changes, match):
    path = repacked(tmp_path, oxide, field, **changes)
    with pytest.raises(ValueError, match=match) as caught:
        read_field(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# errors


CIF = """data_a
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
XYZ = '2\nLattice="{cell}" Properties=species:S:1:pos:R:3{more} pbc="{pbc}"\n{first} 0 0 0\nO {x} 0 0\n'


def xyz(cell="4 0 0 0 4 0 0 0 4", pbc="T T T", first="Mg", x="2.0", more=""):
    return XYZ.format(cell=cell, pbc=pbc, first=first, x=x, more=more)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.cif", "", "is empty; give a file with a structure"),
        ("a.cif", "just some text\n" * 30, "is no CIF"),
        ("a.cif", "data_nothing\n_cell_length_a 4\n", "no block with atoms"),
        ("noextension", "just some text\n" * 30, "is no structure"),
        ("a.xyz", bytes(range(256)) * 10, "in line 1"),
        ("a.npz", bytes(range(256)) * 10, "is no field: BadZipFile"),
        ("a.py", "raise SystemExit(1)\n", "is no structure"),
        (
            "a.cif",
            CIF + "M Mg 0 0 0 0.67\nO O .5 .5 .5 1\n",
            r"partly occupied site \(M \(Mg\) 0.67\); .* amorph order",
        ),
        ("a.cif", CIF + "M Mg 0 0 0 0.5\nN Li 0 0 0 0.5\nO O .5 .5 .5 1\n", "partly occupied site"),
        ("a.cif", CIF + "M Mg 0 0 ? 1\nO O .5 .5 .5 1\n", "no position for M"),
        ("a.cif", CIF + "M Qq 0 0 0 1\nO O .5 .5 .5 1\n", r"M \(Qq\)"),
        ("a.xyz", xyz(x="nan"), "the position of atom 1 .O. is not finite"),
        ("a.xyz", xyz(x="inf"), "the position of atom 1 .O. is not finite"),
        ("a.xyz", xyz(x="0.1"), "atoms 0 .Mg. and 1 .O. are 0.100 Å apart; at least 0.5 Å"),
        ("a.xyz", xyz(x="4.0"), "0.000 Å apart"),
        ("a.xyz", xyz(cell="4 0 0 0 4 0 4 4 0"), "the cell has the volume 0 Å³"),
        ("a.xyz", xyz(cell="4 0 0 0 nan 0 0 0 4"), "the cell is not finite"),
        ("a.xyz", xyz(pbc="T T F"), r"periodic along \[True, True, False\]"),
        ("a.xyz", "2\n\nMg 0 0 0\nO 2 0 0\n", "periodic along"),
        ("a.xyz", xyz(first="Qq"), "'Qq', which is no element"),
        (
            "a.xyz",
            xyz(more=":oxidation_states:R:1").replace(" 0 0\n", " 0 0 nan\n"),
            "an oxidation state is not finite",
        ),
        ("a.xyz", xyz(more=":oxidation_states:S:1").replace(" 0 0\n", " 0 0 two\n"), "array of numbers is needed"),
        ("a.xyz", xyz(more=":momenta:R:3").replace(" 0 0\n", " 0 0 0 0 nan\n"), "a velocity is not finite"),
        ("a.xyz", xyz(first="X"), "no known element"),
        ("a.xyz", "0\n\n", "holds no structure|has no atoms"),
        ("POSCAR", "MgO\n1.0\n4 0 0\n0 4 0\n0 0 4\nMg O\n1 1\nDirect\n0 0 0\n", "counts 2 atoms and has 1"),
        ("a.json", "{}", "is no structure"),
        ("a.yaml", "!!python/object/apply:os.system ['true']\n", "is no structure"),
    ],
)
@pytest.mark.parametrize("read", [read_structure, read_trajectory])
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name, content, match, read):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize("read", [read_structure, read_trajectory, read_field])
def test_missing_files_and_directories(tmp_path, read):
    with pytest.raises(ValueError, match=r"nothing.cif does not exist; check the name"):
        read(tmp_path / "nothing.cif")
    with pytest.raises(ValueError, match="is a directory; give a file"):
        read(tmp_path)


def test_databases_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(200))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"has the format db of ASE, which is not read: .* export its structure"):
        read_structure(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_partial_occupancy_in_json(tmp_path):
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice.cubic(4), [{"Li": 0.5, "Mg": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    (tmp_path / "a.json").write_text(json.dumps(structure.as_dict()))
    with pytest.raises(ValueError, match=r"partly occupied site \(Li 0.5, Mg 0.5\)"):
        read_structure(tmp_path / "a.json")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["a.traj", "a.pkl", "a.pickle", "a", "a.npz", "a.json", "a.extxyz"])
def test_nothing_is_unpickled(tmp_path, name):
    trace = tmp_path / "trace"
    payload = pickle.dumps(Bomb(trace), protocol=0 if name == "a.json" else 2)
    path = tmp_path / name
    if name == "a.npz":
        array = io.BytesIO()
        np.lib.format.write_array(array, np.array([Bomb(trace)], dtype=object), allow_pickle=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("values.npy", array.getvalue())
    else:
        path.write_bytes(payload)
    for read in (read_structure, read_trajectory, read_field):
        with pytest.raises(ValueError, match=str(path)):
            read(path)
    assert not trace.exists()


def test_json_imports_no_module_that_it_names(tmp_path, oxide, monkeypatch):
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    content = to_pymatgen(oxide).as_dict()
    content["sites"][0]["properties"] = {"x": {"@module": "planted", "@class": "Anything"}}
    (tmp_path / "a.json").write_text(json.dumps(content))
    same_crystal(read_structure(tmp_path / "a.json"), oxide)
    (tmp_path / "a.yaml").write_text(json.dumps(content))  # JSON is YAML too
    with pytest.raises(ValueError, match="is no structure"):
        read_structure(tmp_path / "a.yaml")


NAMELESS = "{}\n1.0\n4.2 0 0\n0 4.2 0\n0 0 4.2\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR_7", "a.vasp", "a.poscar", "CHGCAR"])
def test_a_poscar_that_names_no_elements_gets_none_from_elsewhere(tmp_path, name):
    # ASE would open the OUTCAR; pymatgen would call them H and He
    (tmp_path / "OUTCAR").write_text(2 * " POTCAR: PAW_PBE Mg 13Apr2007\n POTCAR: PAW_PBE O 08Apr2002\n")
    (tmp_path / name).write_text(NAMELESS.format("a crystal"))
    with pytest.raises(ValueError, match=r"names no elements|is no structure"):
        read_structure(tmp_path / name)


def test_a_poscar_of_vasp_4_names_its_elements_in_the_first_line(tmp_path):
    (tmp_path / "POSCAR").write_text(NAMELESS.format("Mg O of old"))
    assert str(read_structure(tmp_path / "POSCAR").symbols) == "MgO"
