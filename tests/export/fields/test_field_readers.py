"""Every format of fields, read back by another program: each value at its place in space, and the structure with it.

The field is an asymmetric function of position in a triclinic cell, on three different numbers of points, so that
swapped axes, transposed cells, wrong end points and wrong units all show.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube
from ase.io.xsf import read_xsf
from pymatgen.io.common import VolumetricData
from pymatgen.io.vasp import Chgcar
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXML import vtkXMLImageDataReader, vtkXMLStructuredGridReader

from amorph.export.fields import write_field
from amorph.fields import ScalarField

GRID = (5, 4, 6)
TRICLINIC = np.array([[5.0, 0.3, 0.0], [1.0, 6.0, -0.2], [-1.5, 2.0, 7.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]
TURN = np.linalg.qr(np.array([[1.0, 2.0, 0.5], [-1.0, 0.3, 2.0], [0.7, -1.0, 1.0]]))[0]
RIGHT_ANGLES = np.diag([5.0, 6.0, 7.0]) @ (TURN * np.linalg.det(TURN))
CELLS = {"triclinic": TRICLINIC, "left-handed": LEFT_HANDED}


def value_at(positions, cell):
    """An asymmetric periodic function of position [1]: no exchange, reversal or shift of axes leaves it the same."""
    x, y, z = 2 * np.pi * (np.asarray(positions) @ np.linalg.inv(cell)).T
    return 3.0 + np.sin(x) + 0.7 * np.cos(y + 0.4) + 0.5 * np.sin(z + 2 * x) + 0.3 * np.sin(2 * y - z)


def points_of(shape, vectors):
    """Positions of a grid whose steps are given as rows, in the order of a C array."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3) @ vectors


def made(cell, grid=GRID):
    atoms = Atoms("OMgLiO", cell=cell, pbc=True)
    atoms.set_scaled_positions([(0.1, 0.2, 0.3), (0.6, 0.1, 0.8), (0.9, 0.5, 0.2), (0.4, 0.7, 0.6)])
    values = value_at(points_of(grid, cell / np.array(grid)[:, None]), cell).reshape(grid)
    return ScalarField(values, cell, "some <quantity>", "v.u."), atoms


# --- readers: positions, values, atoms (or none), how often the end point is stored


def cube_by_ase(path):
    with path.open() as file:
        read = read_cube(file)
    return points_of(read["data"].shape, read["spacing"]), read["data"], read["atoms"], False


def cube_by_pymatgen(path):
    read = VolumetricData.from_cube(path)
    data = read.data["total"]
    steps = read.structure.lattice.matrix / np.array(data.shape)[:, None]
    return points_of(data.shape, steps), data, read.structure.to_ase_atoms(), False


def xsf_by_ase(path):
    with path.open() as file:
        data, _, vectors, atoms = read_xsf(file, read_data=True)
    return points_of(data.shape, vectors / (np.array(data.shape)[:, None] - 1)), data, atoms, True


def chgcar_by_ase(path):
    read = VaspChargeDensity(str(path))  # divides by the volume
    atoms, data = read.atoms[0], read.chg[0]
    return points_of(data.shape, atoms.cell.array / np.array(data.shape)[:, None]), data, atoms, False


def chgcar_by_pymatgen(path):
    read = Chgcar.from_file(path)
    data = read.data["total"] / read.structure.volume
    steps = read.structure.lattice.matrix / np.array(data.shape)[:, None]
    return points_of(data.shape, steps), data, read.structure.to_ase_atoms(), False


def by_vtk(reader, path):
    reader.SetFileName(str(path))
    reader.Update()
    grid = reader.GetOutput()
    points = np.array([grid.GetPoint(n) for n in range(grid.GetNumberOfPoints())])
    facts = {grid.GetFieldData().GetArray(n).GetName(): vtk_to_numpy(grid.GetFieldData().GetArray(n)) for n in range(3)}
    atoms = Atoms(facts["atomic_numbers"], facts["atomic_positions"], cell=facts["lattice_vectors"], pbc=True)
    array = grid.GetPointData().GetScalars()
    assert array.GetName() == "some <quantity> [v.u.]"
    assert grid.GetExtent() == (0, GRID[0], 0, GRID[1], 0, GRID[2])
    return points, vtk_to_numpy(array), atoms, True


def vts_by_vtk(path):
    return by_vtk(vtkXMLStructuredGridReader(), path)


def vti_by_vtk(path):
    return by_vtk(vtkXMLImageDataReader(), path)


READERS = {
    "cube by ase": ("f.cube", cube_by_ase),
    "cube by pymatgen": ("f.cube", cube_by_pymatgen),
    "xsf by ase": ("f.xsf", xsf_by_ase),
    "CHGCAR by ase": ("CHGCAR_f", chgcar_by_ase),
    "CHGCAR by pymatgen": ("f.vasp", chgcar_by_pymatgen),
    "vts by vtk": ("f.vts", vts_by_vtk),
}


def check(positions, values, cell):
    # six digits of at most 5.5, and float32; positions in nine decimals of bohr or in float32
    assert np.ravel(values) == pytest.approx(value_at(positions, cell), abs=3e-5)


def check_atoms(found, atoms):
    assert sorted(found.numbers) == sorted(atoms.numbers)
    for number in set(atoms.numbers):
        for position in atoms.positions[atoms.numbers == number]:
            offset = (found.positions[found.numbers == number] - position) @ np.linalg.inv(atoms.cell.array)
            assert np.abs(offset - np.rint(offset)).max(axis=1).min() < 1e-6
    # another basis of the same lattice is the same crystal
    basis = found.cell.array @ np.linalg.inv(atoms.cell.array)
    assert basis == pytest.approx(np.rint(basis), abs=1e-6)
    assert abs(np.linalg.det(basis)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_every_value_is_at_its_place_and_the_structure_goes_along(tmp_path, name, read, cell):
    field, atoms = made(cell)
    write_field(tmp_path / name, field, atoms)
    positions, values, found, with_ends = read(tmp_path / name)
    assert np.size(values) == np.prod(np.array(GRID) + with_ends)
    check(positions, values, cell)
    check_atoms(found, atoms)


@pytest.mark.parametrize("left_handed", [False, True])
def test_an_image_holds_a_turned_cell_with_right_angles(tmp_path, left_handed):
    cell = RIGHT_ANGLES[[1, 0, 2]] if left_handed else RIGHT_ANGLES
    field, atoms = made(cell)
    write_field(tmp_path / "f.vti", field, atoms)
    positions, values, found, _ = vti_by_vtk(tmp_path / "f.vti")
    check(positions, values, cell)
    check_atoms(found, atoms)


def test_vtk_files_lose_nothing(tmp_path):
    field, atoms = made(RIGHT_ANGLES)
    field.values[2, 1, 3] = np.nan
    for name, read in (("f.vti", vti_by_vtk), ("f.vts", vts_by_vtk)):
        write_field(tmp_path / name, field, atoms)
        _, values, *_ = read(tmp_path / name)
        values = values.reshape([n + 1 for n in GRID], order="F")
        assert np.array_equal(values[:-1, :-1, :-1], field.values, equal_nan=True)
        assert np.array_equal(values[-1], values[0], equal_nan=True)
    narrow = ScalarField(field.values.astype(np.float32), field.cell, field.quantity, field.unit)
    write_field(tmp_path / "f.vts", narrow, atoms)
    assert vts_by_vtk(tmp_path / "f.vts")[1].dtype == np.float32


@pytest.mark.parametrize(("name", "read"), READERS.values())
def test_excluded_points_are_9999_or_stay_nan(tmp_path, name, read):
    field, atoms = made(TRICLINIC)
    field.values[2, 1, 3] = np.nan
    write_field(tmp_path / name, field, atoms)
    _, values, *_ = read(tmp_path / name)
    if read is vts_by_vtk:
        values = values.reshape([n + 1 for n in GRID], order="F")
        assert np.isnan(values[2, 1, 3])
    else:
        assert values[2, 1, 3] == pytest.approx(9999.0, rel=1e-5)
        assert np.sum(values > 9000) == 1


def test_chgcar_lines_hold_five_values_as_vasp_s_do(tmp_path):
    field, atoms = made(TRICLINIC, (3, 3, 7))  # 63 values, 9 in a plane
    write_field(tmp_path / "CHGCAR", field, atoms)
    lines = (tmp_path / "CHGCAR").read_text(encoding="utf-8").splitlines()
    start = lines.index("3 3 7") + 1
    assert [len(line.split()) for line in lines[start:]] == [5] * 12 + [3]
    first = float(lines[start].split()[0])
    assert first == pytest.approx(field.values[0, 0, 0] * abs(np.linalg.det(TRICLINIC)), rel=1e-5)


def test_a_large_map_is_compressed_only_where_that_helps(tmp_path):
    field, atoms = made(TRICLINIC, (20, 20, 20))
    field.values[:] = np.random.default_rng(0).normal(size=field.grid)
    write_field(tmp_path / "full.npz", field, atoms)
    assert (tmp_path / "full.npz").stat().st_size > field.values.nbytes
    field.values[field.values < 1.5] = np.nan
    write_field(tmp_path / "map.npz", field, atoms)
    assert (tmp_path / "map.npz").stat().st_size < field.values.nbytes / 2
    with np.load(tmp_path / "map.npz") as read:
        assert np.array_equal(read["values"], field.values, equal_nan=True)
