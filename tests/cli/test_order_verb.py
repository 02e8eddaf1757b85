"""amorph order and amorph convert, as a user calls them."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from amorph.cli import main
from amorph.reading import read_structure, read_trajectory

SPINEL = """data_spinel
_cell_length_a 8.2
_cell_length_b 8.2
_cell_length_c 8.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F d -3 m:2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li+ .125 .125 .125 1
M1 Ni2+ .5 .5 .5 .25
M2 Mn4+ .5 .5 .5 .75
O1 O2- .263 .263 .263 1
"""


def test_a_disordered_cif_is_refused_with_the_verb_that_orders_it(tmp_path, capsys):
    file, ordered = tmp_path / "spinel.cif", tmp_path / "ordered.extxyz"
    file.write_text(SPINEL)
    assert main(["verdict", str(file)]) == 2
    assert "M1 (Ni) 0.25, M2 (Mn) 0.75" in (said := capsys.readouterr().err) and "amorph order" in said
    command = ["order", str(file), "--supercell", "1", "1", "2", "--seed", "3", "-n", "2", "-o", str(ordered), "--json"]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["charge_of_file"], figures["charge"]) == (0.0, 0.0)
    frames = read_trajectory(ordered)
    assert [f.symbols.formula.count() for f in frames] == [{"Li": 16, "Ni": 8, "Mn": 24, "O": 64}] * 2
    assert all(f.arrays["oxidation_states"].sum() == 0 for f in frames)
    before = ordered.read_bytes()
    assert main(command[:-1]) == 0
    assert "charge of each cell" in capsys.readouterr().out
    assert ordered.read_bytes() == before
    assert main([*command[:-2], str(tmp_path / "a.cif")]) == 2  # two cells, and one structure
    assert "a.cif" in capsys.readouterr().err


def test_convert_writes_what_was_read(tmp_path, capsys):
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    write(tmp_path / "a.extxyz", [atoms, atoms.repeat(2)])
    source, target = str(tmp_path / "a.extxyz"), tmp_path / "b.cif"
    assert main(["convert", source, str(target)]) == 2
    assert "2" in capsys.readouterr().err
    assert not target.exists()
    assert main(["convert", source, str(target), "--index", "0", "--supercell", "1", "2", "1", "--wrap"]) == 0
    assert read_structure(target).cell.lengths() == pytest.approx([4.212, 8.424, 4.212])
    assert main(["convert", source, str(tmp_path / "d.extxyz"), "--supercell", "1", "2", "1"]) == 2
    assert "repeats one structure" in capsys.readouterr().err
    assert main(["convert", str(target), str(tmp_path / "POSCAR"), "--primitive"]) == 0
    assert len(read_structure(tmp_path / "POSCAR")) == 2
    assert main(["convert", source, str(tmp_path / "c.extxyz"), "--json", "--quiet"]) == 0
    assert [len(frame) for frame in read_trajectory(tmp_path / "c.extxyz")] == [8, 64]


def test_a_block_of_a_cif_by_name(tmp_path, capsys):
    two = SPINEL.replace(".25\n", "0\n").replace(".75\n", "1\n")
    (tmp_path / "a.cif").write_text(two + two.replace("data_spinel", "data_other").replace("8.2", "8.4"))
    assert main(["free-volume", str(tmp_path / "a.cif")]) == 2
    assert "spinel, other" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "a.cif"), str(tmp_path / "b.vasp"), "--block", "other"]) == 0
    assert np.diag(read_structure(tmp_path / "b.vasp").cell.array) == pytest.approx(8.4)
