"""Fields of other programs: CUBE, CHGCAR and LOCPOT."""

import json

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Chgcar, Locpot, Poscar

from amorph.cli import main
from amorph.export.fields import write_field
from amorph.fields import ScalarField
from amorph.reading import read_field

CELL = np.array([[4, 0, 0], [1, 5, 0], [0.5, 0.3, 6]])
VALUES = np.random.default_rng(0).normal(size=(5, 4, 6))
FRACTIONS = [[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]]


@pytest.mark.parametrize(("kind", "unit"), [(Chgcar, "e/Å³"), (Locpot, "eV")])
@pytest.mark.parametrize("spins", [False, True])
def test_densities_are_divided_by_the_volume_and_potentials_are_not(tmp_path, kind, unit, spins, caplog):
    structure = Structure(Lattice(CELL), ["Mg", "O"], FRACTIONS)
    data = {"total": VALUES} | ({"diff": -VALUES} if spins else {})
    path = tmp_path / kind.__name__.upper()
    kind(Poscar(structure), data).write_file(path)
    field, atoms = read_field(path)
    volume = abs(np.linalg.det(CELL)) if kind is Chgcar else 1.0
    assert field.values == pytest.approx(VALUES / volume, rel=1e-6, abs=1e-9)
    assert field.unit == unit
    assert field.cell == pytest.approx(CELL, abs=1e-5)
    assert str(atoms.symbols) == "MgO"
    assert atoms.get_scaled_positions() == pytest.approx(np.array(FRACTIONS), abs=1e-5)
    assert ("spins" in caplog.text) is spins


def cube(length="bohr", head="2", end="\n"):
    bohr = 0.529177210903 if length == "bohr" else 1.0
    sign = 1 if length == "bohr" else -1
    lines = ["a density", "of somebody", f"{head} 0.5 0 0"]
    lines += [
        f"{sign * n} " + " ".join(f"{x:.8f}" for x in v / n / bohr) for n, v in zip(VALUES.shape, CELL, strict=True)
    ]
    for number, position in zip((12, 8), np.array(FRACTIONS) @ CELL / bohr + [0.5, 0, 0], strict=True):
        lines.append(f"{number} 0.0 " + " ".join(f"{x:.8f}" for x in position))
    return "\n".join([*lines, " ".join(f"{v:.6E}" for v in VALUES.ravel())]) + end


@pytest.mark.parametrize("length", ["bohr", "A"])
def test_a_cube_in_bohr_or_angstrom_with_its_origin_moved(tmp_path, length, caplog):
    (tmp_path / "a.cube").write_text(cube(length))
    field, atoms = read_field(tmp_path / "a.cube")
    assert field.values == pytest.approx(VALUES, rel=1e-5)
    assert field.cell == pytest.approx(CELL, abs=1e-6)
    assert atoms.get_scaled_positions() == pytest.approx(np.array(FRACTIONS), abs=1e-6)
    assert "origin" in caplog.text


@pytest.mark.parametrize("name", ["a.cube", "CHGCAR_map", "a.vasp"])
def test_what_amorph_wrote_has_its_quantity_and_no_value_where_there_was_none(tmp_path, name):
    values = VALUES.copy()
    values[0, 1, 2] = np.nan
    written = ScalarField(values, CELL, "distance to the nearest atom", "Å", {}, "distance")
    write_field(tmp_path / name, written, Atoms("MgO", scaled_positions=FRACTIONS, cell=CELL, pbc=True))
    field, _ = read_field(tmp_path / name)
    assert (field.quantity, field.unit, field.kind) == (written.quantity, "Å", "distance")
    np.testing.assert_allclose(field.values, values, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (cube()[:-200], "120 values"),
        (cube(head="-2"), "orbitals"),
        (cube().replace("\n5 ", "\n1000000000000 "), "promises"),
        (cube(head="1000000000000"), "counts 1000000000000 atoms"),
        (cube(end=" ").rsplit(" ", 2)[0] + " ******\n", "120 values"),
        (cube().rsplit(" ", 1)[0] + " nan\n", "none"),
        ("text\n" * 9, "no CUBE"),
    ],
)
def test_a_grid_that_is_not_there_is_not_made_up(tmp_path, text, match):
    (tmp_path / "a.cube").write_text(text)
    with pytest.raises(ValueError, match=match):
        read_field(tmp_path / "a.cube")


def test_percolation_and_surface_of_somebody_elses_field(tmp_path, capsys):
    # the saddles of cos x + 2 cos y + 4 cos z, with the lowest value of the two other terms each
    angles = 2 * np.pi * np.arange(8) / 8
    x, y, z = np.meshgrid(np.cos(angles), 2 * np.cos(angles), 4 * np.cos(angles), indexing="ij")
    Locpot(Poscar(Structure(Lattice.cubic(8.0), ["Mg"], [[0, 0, 0]])), {"total": x + y + z}).write_file(
        tmp_path / "LOCPOT"
    )
    assert main(["percolation", str(tmp_path / "LOCPOT"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["thresholds"] == pytest.approx([-5, -3, 1])
    assert main(["isosurface", str(tmp_path / "LOCPOT"), "--level", "0", "-o", str(tmp_path / "a.ply"), "-q"]) == 0
    assert main(["isosurface", str(tmp_path / "LOCPOT")]) == 2
    assert "--level" in capsys.readouterr().err
