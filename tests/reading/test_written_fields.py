"""Every format of fields that amorph writes is read again, and what is damaged is told in one line."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

import amorph
from amorph.cli import main
from amorph.export.fields import write_field
from amorph.export.fields.write import FIELD_WRITERS
from amorph.fields import ScalarField
from amorph.reading import is_field, read_field

TRICLINIC = np.array([[5.0, 0.3, 0.0], [1.0, 6.0, -0.2], [-1.5, 2.0, 7.0]])
TURN = np.linalg.qr(np.array([[1.0, 2.0, 0.5], [-1.0, 0.3, 2.0], [0.7, -1.0, 1.0]]))[0]
RIGHT_ANGLES = np.diag([5.0, 6.0, 7.0]) @ (TURN * np.linalg.det(TURN))
CELLS = {"triclinic": TRICLINIC, "left-handed": TRICLINIC[[1, 0, 2]], "turned": RIGHT_ANGLES}
NAMES = [suffix if suffix == "CHGCAR" else f"a{suffix}" for suffix in FIELD_WRITERS]
GRID = (5, 4, 6)


def made(cell):
    atoms = Atoms("MgLiO", scaled_positions=[(0.1, 0.2, 0.3), (0.6, 0.1, 0.8), (0.9, 0.5, 0.2)], cell=cell, pbc=True)
    values = np.random.default_rng(0).normal(size=GRID)
    values[1, 2, 3] = np.nan
    return ScalarField(values, cell, "bond valence site energy of Mg2+", "eV", kind="site_energy", ion="Mg2+"), atoms


def in_space(field, atoms):
    """Values by where they are, and atoms by where they are, whichever lattice vectors describe the lattice."""
    steps = np.stack(np.meshgrid(*map(np.arange, field.grid), indexing="ij"), axis=-1).reshape(-1, 3)
    places = (steps / field.grid) @ field.cell
    return places, field.values.ravel(), atoms.numbers, atoms.positions


def modulo(places, cell):
    inside = (places @ np.linalg.inv(cell)) % 1.0
    inside[inside > 1.0 - 1e-5] = 0.0
    return inside @ cell


@pytest.mark.parametrize(
    ("name", "cell"),
    [(name, cell) for name in NAMES for cell in CELLS if name != "a.vti" or cell == "turned"],  # right angles alone
)
def test_what_is_written_is_read_at_its_place(tmp_path, name, cell):
    cell = CELLS[cell]
    field, atoms = made(cell)
    write_field(tmp_path / name, field, atoms)
    assert is_field(tmp_path / name)
    found, its_atoms = read_field(tmp_path / name)
    assert (found.quantity, found.unit, found.kind, found.ion) == (field.quantity, field.unit, field.kind, field.ion)
    before, after = in_space(field, atoms), in_space(found, its_atoms)
    # six digits of at most 3.2; lengths in nine decimals of bohr at least
    distances = np.linalg.norm(modulo(before[0], cell)[:, None] - modulo(after[0], cell), axis=-1)
    assert distances.min(axis=1).max() < 1e-4
    assert after[1][distances.argmin(axis=1)] == pytest.approx(before[1], abs=2e-5, nan_ok=True)
    for number in set(atoms.numbers):
        places, other = (modulo(where[numbers == number], cell) for *_, numbers, where in (before, after))
        assert other == pytest.approx(places, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_breaks_off_anywhere_is_told_in_one_line(tmp_path, name):
    write_field(tmp_path / name, *made(RIGHT_ANGLES))
    content = (tmp_path / name).read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") if name in {"a.cube", "CHGCAR", "a.vasp", "a.xsf"} else len(content) - 40
    for length in np.linspace(1, last - 40, 25).astype(int):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=name) as told:
            read_field(tmp_path / name)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["a.xsf", "a.vti", "a.vts"])
def test_flipped_bytes_give_a_field_or_one_line(tmp_path, name):
    write_field(tmp_path / name, *made(RIGHT_ANGLES))
    content = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged)
        try:
            read_field(tmp_path / name)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 10


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("a.xsf", "PRIMVEC", "CONVVEC", "no PRIMVEC"),
        ("a.xsf", "6 5 7", "6 5 8", "has not the 240 values"),
        ("a.xsf", "0.0 0.0 0.0", "0.0 0.0", "three numbers"),
        ("a.vts", "lattice_vectors", "lattice_victors", "no lattice_vectors"),
        ("a.vts", 'format="appended"', 'format="ascii"', "no field as amorph writes it"),
        ("a.vts", "<FieldData>", "<!DOCTYPE a><FieldData>", "document type"),
        ("a.vti", '"0 5 0 4 0 6"', '"0 5 0 4 0 9"', "shorter than its 300 values"),
        ("a.vti", '"0 5 0 4 0 6"', '"0 5 0 4 0 5"', "another length"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, old, new, match):
    write_field(tmp_path / name, *made(RIGHT_ANGLES))
    content = (tmp_path / name).read_bytes()
    assert old.encode() in content
    (tmp_path / name).write_bytes(content.replace(old.encode(), new.encode()))
    with pytest.raises(ValueError, match=match):
        read_field(tmp_path / name)


@pytest.mark.parametrize("name", ["POSCAR", "a.vasp", "a.xsf"])
def test_a_structure_without_a_grid_is_no_field(tmp_path, name):
    write(tmp_path / name, bulk("MgO", "rocksalt", a=4.2), format="xsf" if name == "a.xsf" else "vasp")
    assert not is_field(tmp_path / name)
    assert main(["view", str(tmp_path / name), "-o", str(tmp_path / "view.html")]) == 0
    assert b"MgO" in (tmp_path / "view.html").read_bytes()


@pytest.mark.parametrize("name", ["a.xsf", "a.vti", "a.vts", "CHGCAR"])
def test_surface_and_view_of_a_map_are_those_of_the_native_file(tmp_path, capsys, name):
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    energies = amorph.bvse_map(atoms, "Mg2+", grid=(16, 16, 16))
    areas = []
    for file in (tmp_path / "a.npz", tmp_path / name):
        write_field(file, energies.field, energies.atoms)
        level = str(energies.minimum + 1.0)
        assert main(["isosurface", str(file), "--level", level, "--json"]) == 0
        areas.append(capsys.readouterr().out.partition('"area')[2].partition(",")[0].split()[-1])
    assert float(areas[0]) == pytest.approx(float(areas[1]), rel=1e-4)
    assert main(["view", str(tmp_path / name), "-o", str(tmp_path / "view.html"), "-q"]) == 0
    assert b"site energy" in (tmp_path / "view.html").read_bytes()
