import io
import json
from dataclasses import replace
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings, strategies as st

from amorph.export.fields import check_field_file, write_field
from amorph.export.fields.chgcar import write_chgcar
from amorph.export.fields.cube import write_cube
from amorph.export.fields.npz import write_npz
from amorph.export.fields.text import write_lines
from amorph.export.fields.xsf import write_xsf
from amorph.fields import ScalarField

BOHR = 0.529177210903  # Å; CODATA 2018. ASE's (2014) differs in the ninth digit.
TRICLINIC = np.array([[5.0, 0.3, 0.0], [1.0, 6.0, -0.2], [-1.5, 2.0, 7.0]])


@pytest.fixture
def atoms():
    atoms = Atoms("MgOLiO", cell=TRICLINIC, pbc=True)
    atoms.set_scaled_positions([(0.1, 0.2, 0.3), (0.6, 0.1, 0.8), (0.9, 0.5, 0.2), (0.4, 0.7, 0.6)])
    atoms.set_array("oxidation_states", np.array([2.0, -2.0, 1.0, -2.0]))
    return atoms


@pytest.fixture
def field():
    """Three different axes and no symmetry, so that no transposed or mirrored reading passes."""
    x, y, z = np.meshgrid(np.arange(4), np.arange(5), np.arange(7), indexing="ij")
    values = (1.0 + 100 * x + 10 * y + z) * np.where((x + y + z) % 3 == 0, -1e-3, 1.0)
    values[1, 2, 3] = np.nan
    return ScalarField(values, TRICLINIC, "bond valence sum of Mg2+", "v.u.", {"cutoff": 6.0, "note": "λ ≤ 2.4"})


# --- text: closed form


def scientific_lines(rows, per_line=6, fill=np.nan):
    written = io.BytesIO()
    write_lines(written, [rows], per_line, fill=fill)
    return written.getvalue()


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.floats(-1e99, 1e99), min_size=1, max_size=20), st.integers(1, 7))
def test_lines_of_numbers_read_as_python_writes_them(numbers, per_line):
    numbers = [0.0 if abs(x) < 1e-98 else x for x in numbers]
    text = scientific_lines(np.array([numbers, numbers]), per_line).decode()
    expected = [f"{x:13.5E}" for x in numbers]
    rows = ["".join(expected[k : k + per_line]) for k in range(0, len(expected), per_line)]
    read = [float(x) for x in text.split()]
    # a number halfway between two decimals may round either way: half a unit of the sixth digit, and float error
    assert read == pytest.approx(numbers * 2, rel=5.000001e-6)
    assert [len(line) for line in text.splitlines()] == [len(line) for line in rows * 2]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(100_000, 999_999), st.integers(-103, 92), st.booleans()), min_size=1, max_size=50),
    st.integers(1, 7),
)
def test_numbers_of_six_digits_are_written_exactly(numbers, per_line):
    values = [float(f"{'-' if negative else ''}{digits}e{exponent}") for digits, exponent, negative in numbers]
    text = scientific_lines(np.array([values]), per_line).decode()
    assert text.replace("\n", "") == "".join(f"{0.0 if abs(x) < 1e-99 else x:13.5E}" for x in values)
    assert [len(line) // 13 for line in text.splitlines()[:-1]] == [per_line] * ((len(values) - 1) // per_line)


def test_single_precision_is_written_as_its_double(field):
    values = field.values[0].astype(np.float32)
    assert scientific_lines(values) == scientific_lines(values.astype(np.float64))


def test_a_point_without_a_value_gets_the_fill():
    assert scientific_lines(np.array([[np.nan, 1.0]]), fill=-7.5) == b" -7.50000E+00  1.00000E+00\n"


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e100])
def test_a_number_that_does_not_fit_is_refused(number):
    with pytest.raises(ValueError, match="not finite or above 1e100"):
        scientific_lines(np.array([[number]]))


# --- independent readers


def test_numpy_alone_reads_the_native_file(tmp_path, field, atoms):
    path = tmp_path / "field.npz"
    write_field(path, field, atoms)
    with np.load(path, allow_pickle=False) as archive:
        read = dict(archive)
    assert read["values"].dtype == np.float64
    assert np.array_equal(read["values"], field.values, equal_nan=True)
    assert np.array_equal(read["cell"], TRICLINIC)
    assert (str(read["quantity"]), str(read["unit"])) == ("bond valence sum of Mg2+", "v.u.")
    assert json.loads(str(read["parameters"])) == {"cutoff": 6.0, "note": "λ ≤ 2.4"}
    assert np.array_equal(read["numbers"], [12, 8, 3, 8])
    assert np.array_equal(read["positions"], atoms.positions)
    assert read["pbc"].all()
    assert np.array_equal(read["oxidation_states"], [2, -2, 1, -2])


def test_the_native_file_has_oxidation_states_only_where_the_structure_has_them(tmp_path, field, atoms):
    del atoms.arrays["oxidation_states"]
    write_npz(tmp_path / "field.npz", field, atoms)
    with np.load(tmp_path / "field.npz", allow_pickle=False) as archive:
        assert "oxidation_states" not in archive


def test_the_cube_is_in_bohr_and_says_what_it_holds(tmp_path, field, atoms):
    path = tmp_path / "field.cube"
    write_cube(path, field, atoms)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert "bond valence sum of Mg2+ [v.u.]" in lines[0]
    assert "9999 stands for no value" in lines[1]
    n, *voxel = lines[3].split()
    assert int(n) == 4
    assert np.array(voxel, float) == pytest.approx(TRICLINIC[0] / 4 / BOHR, abs=1e-7)


# --- whole or not there


@pytest.mark.parametrize("suffix", ["npz", "cube", "xsf", "vasp", "vts"])
def test_the_same_field_gives_the_same_bytes(tmp_path, field, atoms, suffix):
    paths = [tmp_path / f"{name}.{suffix}" for name in ("a", "b")]
    for path in paths:
        write_field(path, field, atoms)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("writer", [write_cube, write_xsf, write_chgcar])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path, field, atoms, writer):
    path = tmp_path / "field.txt"
    path.write_text("old")
    field.values[3, 4, 6] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        writer(path, field, atoms)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_replaced(tmp_path, field, atoms):
    path = tmp_path / "field.xsf"
    path.write_text("old")
    write_field(path, field, atoms)
    assert ase.io.read(path).numbers.tolist() == [12, 8, 3, 8]


@pytest.mark.parametrize("name", ["a.cube", "a.xsf", "CHGCAR"])
def test_a_name_of_several_lines_takes_one_line(tmp_path, field, atoms, name):
    texts = []
    for quantity, unit in (("bond valence", "v.u. of Mg"), ("bond\r\n\x0bvalence\n", "\u2028v.u.\nof\nMg")):
        write_field(tmp_path / name, replace(field, quantity=quantity, unit=unit), atoms)
        texts.append((tmp_path / name).read_text(encoding="utf-8").split("\n"))
    plain, folded = texts
    assert len(folded) == len(plain)
    assert folded[1:] == plain[1:]
    assert "".join(folded[0].split()) == "".join(plain[0].split())


# --- errors


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, field, atoms):
    with pytest.raises(
        ValueError, match=r"suffix '.foo' names no format; known are .npz, .cube, .xsf, .vasp, CHGCAR, "
    ):
        write_field(tmp_path / "field.foo", field, atoms)


def test_a_structure_in_another_cell_is_refused(tmp_path, field, atoms):
    atoms.set_cell(TRICLINIC * 1.01)
    with pytest.raises(ValueError, match="lies in the cell"):
        write_field(tmp_path / "field.cube", field, atoms)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_refused(tmp_path, field, atoms):
    (tmp_path / "field.cube").mkdir()
    with pytest.raises(ValueError, match="it is a folder; give the name of a file"):
        write_field(tmp_path / "field.cube", field, atoms)


def test_a_missing_folder_is_refused(tmp_path, field, atoms):
    with pytest.raises(ValueError, match="does not exist; make it first"):
        write_field(tmp_path / "nowhere" / "field.cube", field, atoms)


def test_an_image_refuses_a_skewed_cell_and_names_the_format_that_holds_it(tmp_path, field, atoms):
    with pytest.raises(ValueError, match=r"is skewed, and field.vti holds right angles only; write .vts"):
        write_field(tmp_path / "field.vti", field, atoms)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["f.cube", "CHGCAR", "f.vts"])
def test_a_grid_larger_than_the_disk_is_refused_before_any_work(tmp_path, name):
    with pytest.raises(
        ValueError, match=r"1000000 × 1000000 × 1000 points take \d+.0 GB in this format, and .* GB are free"
    ):
        check_field_file(tmp_path / name, (1_000_000, 1_000_000, 1_000))
    check_field_file(tmp_path / name, (10, 10, 10))


@pytest.fixture
def free(monkeypatch):
    """Say how much is free on the disk."""

    def set_free(number):
        monkeypatch.setattr("amorph.export.whole_files.shutil.disk_usage", lambda _: SimpleNamespace(free=number))

    return set_free


@pytest.mark.parametrize("name", ["f.cube", "f.xsf", "CHGCAR", "f.vti", "f.vts", "f.npz"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_what_is_asked_of_the_disk_is_what_the_file_takes(tmp_path, free, name, precision):
    values = np.random.default_rng(0).normal(size=(30, 30, 60)).astype(precision)  # nothing for deflate to save
    field, atoms = ScalarField(values, np.eye(3) * 9, "noise", "eV"), Atoms("O", cell=np.eye(3) * 9, pbc=True)
    write_field(tmp_path / name, field, atoms)
    size = (tmp_path / name).stat().st_size
    (tmp_path / name).unlink()
    free(int(1.03 * size))
    write_field(tmp_path / name, field, atoms)
    (tmp_path / name).unlink()
    free(int(0.97 * size))
    with pytest.raises(ValueError, match=r"30 × 30 × 60 points take \d.\d GB in this format, and .* GB are free"):
        write_field(tmp_path / name, field, atoms)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["CHGCAR", "CHGCAR_bvs", "chgcar.1", "bvs.vasp"])
def test_a_chgcar_is_known_by_its_name(tmp_path, field, atoms, name):
    write_field(tmp_path / name, field, atoms)
    assert (tmp_path / name).read_text(encoding="utf-8").splitlines()[1] == "1.0"
