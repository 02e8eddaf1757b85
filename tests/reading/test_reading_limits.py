"""What the readers open, start and take of a stranger's file: that file, nothing, and a fitting amount of memory."""

import bz2
import gzip
import io
import lzma
import re
import sys
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.formats import ioformats
from export.test_vasp import write_vasprun
from pymatgen.io.cssr import Cssr
from pymatgen.io.xcrysden import XSF

from amorph.cli import main
from amorph.reading import read_field, read_structure, read_trajectory, read_vasp_relaxed
from amorph.reading.ase_formats import READ
from amorph.structure import to_pymatgen

# what the readers open and start

WATCHED = ("open", "subprocess.", "os.", "shutil.", "socket.", "glob.", "import")
LISTENERS: list[list[tuple[str, str]]] = []


def watch(event, arguments):
    for heard in LISTENERS:
        if event.startswith(WATCHED):
            heard.append((event, str(arguments[0])))


sys.addaudithook(watch)  # it stays for the life of the process, and hears only where asked


@contextmanager
def watched():
    """List what is opened and started."""
    LISTENERS.append([])
    try:
        yield LISTENERS[-1]
    finally:
        LISTENERS.pop()


NAMES = {"crystal": "f34", "dlp4": "CONFIG", "gpumd": "xyz.in", "vasp": "POSCAR", "vasp-xdatcar": "XDATCAR"}
BAIT = ("OUTCAR", "POTCAR", "CONTCAR", "POSCAR", "a.arc", "a.scf", "ICONST", "control.in")


def as_read(path, kind, atoms):
    """Write a file of a format, with files beside it that a reader could look for."""
    atoms = atoms.copy()
    if kind in {"castep-geom", "castep-md"}:
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((len(atoms), 3)), stress=np.zeros(6))
    how = {"masses": True, "specorder": ["Mg", "O"]} if kind == "lammps-data" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FHI-aims IO is moving", FutureWarning)
        write(path, atoms, format=kind, **how)
    for bait in BAIT:
        if not (path.parent / bait).exists():
            (path.parent / bait).write_text("secret\n")


@pytest.mark.parametrize("kind", sorted(kind for kind in READ if ioformats[kind].can_write and kind != "xyz"))
def test_no_format_opens_another_file_or_starts_a_program(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    path = tmp_path / NAMES.get(kind, f"a.{(ioformats[kind].extensions or [kind])[0]}")
    as_read(path, kind, atoms)
    read_structure(path)  # what its reader imports
    with watched() as heard:
        back = read_structure(path)
    assert {(event, Path(name).name) for event, name in heard} == {("open", path.name)}, heard
    assert back.symbols.formula.count() == {"Mg": 4, "O": 4}


OUTCAR = """\
 POTCAR:    PAW_PBE Mg 13Apr2007
 POTCAR:    PAW_PBE O 08Apr2002
 POTCAR:    PAW_PBE Mg 13Apr2007
 POTCAR:    PAW_PBE O 08Apr2002
   ISPIN  =      1
   ions per type =               1   1
 Iteration      1(   1)
      direct lattice vectors                 reciprocal lattice vectors
     4.0  0.0  0.0     0.25  0.0  0.0
     0.0  4.0  0.0     0.0  0.25  0.0
     0.0  0.0  4.0     0.0  0.0  0.25
 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
      0.0  0.0  0.0    0.0  0.0  0.0
      2.0  2.0  2.0    0.0  0.0  0.0
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =       -12.0 eV

  energy  without entropy=      -12.0  energy(sigma->0) =      -12.0
"""
XV = 3 * " {} {} {} 0 0 0\n" + " 2\n 1 12 0 0 0 0 0 0\n 2 8 4 4 4 0 0 0\n"
DUMP = (
    "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    "ITEM: ATOMS id element x y z\n1 Mg 0 0 0\n2 O 2 2 2\n"
)


@pytest.mark.parametrize("name", ["OUTCAR", "a.XV", "a.lammpstrj", "vasprun.xml", "a.cssr", "a.xsf", "CHGCAR", "a.npz"])
def test_no_other_reader_opens_another_file_or_starts_a_program(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    atoms = bulk("MgO", "rocksalt", a=4.212)
    (tmp_path / "a.cssr").write_text(str(Cssr(to_pymatgen(atoms))))
    (tmp_path / "a.xsf").write_text(XSF(to_pymatgen(atoms)).to_str())
    write(tmp_path / "CHGCAR", atoms, format="vasp")
    write_vasprun(tmp_path / "vasprun.xml", atoms)
    (tmp_path / "OUTCAR").write_text(OUTCAR)
    monkeypatch.setattr("amorph.reading.fields.available_memory", lambda: 10**9)  # it opens files of the system
    (tmp_path / "a.XV").write_text(XV.format(8, 0, 0, 0, 8, 0, 0, 0, 8))
    (tmp_path / "a.lammpstrj").write_text(DUMP)
    npz(tmp_path / "a.npz")
    for bait in BAIT:
        if not (tmp_path / bait).exists():
            (tmp_path / bait).write_text("secret\n")
    for read in (read_structure, read_trajectory):
        read(tmp_path / name)
        with watched() as heard:
            read(tmp_path / name)
        assert {(event, Path(path).name) for event, path in heard} == {("open", name)}, heard
    if name == "vasprun.xml":
        read_vasp_relaxed(tmp_path / name, atoms)
        with watched() as heard:
            read_vasp_relaxed(tmp_path / name, atoms)
        assert {(event, Path(path).name) for event, path in heard} == {("open", name)}, heard


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inp", "XYZCoordinates = '{secret}'\nBoxShape = parallelepiped\n%LatticeParameters\n 8 | 8 | 8\n%\n"),
        ("a.xtd", "<XSD></XSD>\n"),
        ("[s]ecret.res", "REM\n"),  # a pattern for its reader
        ("a.cell", "%BLOCK LATTICE_CART\n4 0 0\n0 4 0\n0 0 4\n%ENDBLOCK LATTICE_CART\n"),
        ("a.POSCAR", "no elements\n1.0\n4 0 0\n0 4 0\n0 0 4\n+1 1\nDirect\n0 0 0\n.5 .5 .5\n"),
        ("b.POSCAR", "no\x0celements\n1.0\n4.0 0 0\n0.0 4 0\n0.0 0 4\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"),
    ],
)
@pytest.mark.parametrize("read", [read_structure, lambda path: read_vasp_relaxed(path, bulk("MgO", "rocksalt", a=4.2))])
def test_formats_that_look_elsewhere_are_refused(tmp_path, monkeypatch, name, text, read):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "started").write_text("#!/bin/sh\ntouch PWNED\n")
    (tmp_path / "started").chmod(0o755)
    monkeypatch.setenv("CASTEP_COMMAND", str(tmp_path / "started"))
    (tmp_path / "secret.xyz").write_text("1\n\nMg 0 0 0\n")
    (tmp_path / "a.arc").write_text("secret\n")
    (tmp_path / "OUTCAR").write_text(2 * " POTCAR: PAW_PBE Mg 13Apr2007\n POTCAR: PAW_PBE O 08Apr2002\n")
    (tmp_path / name).write_text(text.format(secret=tmp_path / "secret.xyz"))
    with pytest.raises(ValueError, match=re.escape(name)):
        read(tmp_path / name)
    with watched() as heard, pytest.raises(ValueError, match=re.escape(name)):
        read(tmp_path / name)
    assert {(event, Path(path).name) for event, path in heard} == {("open", name)}, heard


def test_no_entity_of_a_vasprun_opens_a_file(tmp_path):
    # libxml2 opens files unheard by the audit hook: here the structure itself lies in another one
    atoms, path = bulk("MgO", "rocksalt", a=4.212), tmp_path / "vasprun.xml"
    write_vasprun(path, atoms)
    head, tag, body = path.read_text().partition("<modeling>")
    assert str(read_vasp_relaxed(path, atoms).atoms.symbols) == "MgO"
    (tmp_path / "body.xml").write_text(body.removesuffix("\n").removesuffix("</modeling>"))
    entity = f'<!DOCTYPE modeling [<!ENTITY e SYSTEM "{(tmp_path / "body.xml").as_uri()}">]>'
    path.write_text(f"{head.strip()}{entity}{tag}&e;</modeling>\n")
    for read in (read_structure, lambda path: read_vasp_relaxed(path, atoms)):
        with pytest.raises(ValueError, match=r"vasprun\.xml is no .*entity|vasprun\.xml is no .*Entity"):
            read(path)


# what they take


@pytest.mark.parametrize(("suffix", "packer"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_a_packed_file_is_unpacked_by_its_own_name_and_only_as_far_as_is_honest(tmp_path, monkeypatch, suffix, packer):
    dump = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    packed = tmp_path / f"a.lammpstrj{suffix}"
    packed.write_bytes(packer.compress(f"{dump}ITEM: ATOMS id type x y z\n1 1 0 0 0\n".encode()))
    with pytest.raises(ValueError, match="names no elements, only LAMMPS types"):  # not hydrogen
        read_structure(packed)
    assert str(read_structure(packed, elements=["Mg"]).symbols) == "Mg"
    monkeypatch.setattr("amorph.reading.packed._ALWAYS", 300_000)
    bomb = tmp_path / f"a.xyz{suffix}"
    bomb.write_bytes(packer.compress(b"1\n" + bytes(1_000_000)))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    for read in (read_structure, read_trajectory, lambda path: read_vasp_relaxed(path, bulk("MgO", "rocksalt", a=4.2))):
        with pytest.raises(ValueError, match=r"a\.xyz\S+ unpacks to more than 0 MB, more than 100 times its size"):
            read(bomb)
    bomb.write_bytes(packer.compress(b"1\n" + bytes(200_000))[:-10])
    with pytest.raises(ValueError, match=r"a\.xyz\S+ cannot be unpacked: .*; give a whole file"):
        read_structure(bomb)
    twice = tmp_path / f"a.xyz.gz{suffix}"
    twice.write_bytes(packer.compress(gzip.compress(b"1\n")))
    with pytest.raises(ValueError, match="is packed twice"):
        read_structure(twice)
    assert list((tmp_path / "temporary").iterdir()) == []


def npz(path, **arrays):
    """Write an archive of arrays as they come, those of a field beside them."""
    one = {"values": np.ones((2, 2, 2)), "cell": 4 * np.eye(3), "quantity": "x", "unit": "y", "parameters": "{}"}
    atom = {"numbers": np.array([12]), "positions": np.zeros((1, 3)), "pbc": np.ones(3, bool)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (one | atom | arrays).items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else content.getvalue())


def test_a_field_takes_no_memory_before_its_sizes_are_known(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    npz(path)
    assert read_field(path)[0].values.sum() == 8
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    npz(path, values=header.getvalue() + bytes(80))
    with pytest.raises((ValueError, MemoryError), match=r"a\.npz (is no field|takes more memory)"):
        read_field(path)
    taken = []
    monkeypatch.setattr("numpy.lib.format.read_array", lambda file, **_: taken.append(file))
    npz(path, other=np.zeros(10**6))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", bytes(10**6))
    monkeypatch.setattr("amorph.reading.fields.available_memory", lambda: 10**5)
    with pytest.raises(ValueError, match="is no field"):  # what the replaced reader gave; others were left alone
        read_field(path)
    assert len(taken) == 8
    npz(path, values=np.zeros(10**6))
    with pytest.raises(ValueError, match=r"takes 0\.0 GB of memory, and 0\.0 GB are free"):
        read_field(path)
    assert len(taken) == 8


def test_a_frame_counts_no_more_atoms_than_the_file_has_lines(tmp_path):
    path = tmp_path / "run.extxyz"
    write(path, [bulk("MgO", "rocksalt", a=4.2)] * 2)
    assert len(read_trajectory(path)) == 2
    path.write_text(path.read_text() + "2222222222\n\nMg 0 0 0\n")
    with pytest.raises(ValueError, match="counts 2222222222 atoms"):
        read_trajectory(path)


COUNTED = {"cube": "\n    8 ", "cfg": "Number of particles = 8", "xsf": "8 1\n"}


@pytest.mark.parametrize("number", ["1000000000000", "-1000000000000", "900"])
@pytest.mark.parametrize("name", COUNTED)
def test_no_format_of_ase_counts_more_atoms_than_it_has_lines(tmp_path, capsys, name, number):
    path = tmp_path / f"a.{name}"
    write(path, bulk("MgO", "rocksalt", a=4.212, cubic=True), format=name)
    text = path.read_text()
    assert COUNTED[name] in text
    path.write_text(text.replace(COUNTED[name], COUNTED[name].replace("8", number), 1)[:1200])
    assert main(["verdict", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert name in said
    assert "-" in number or f"counts {number} atoms" in said


def test_a_configuration_counts_no_more_columns_than_it_has_words(tmp_path):
    write(tmp_path / "a.cfg", bulk("MgO", "rocksalt", a=4.212))
    text = re.sub(r"entry_count = \d+", "entry_count = 1000000000000", (tmp_path / "a.cfg").read_text())
    (tmp_path / "a.cfg").write_text(text)
    with pytest.raises(ValueError, match="counts 1000000000000 columns"):
        read_structure(tmp_path / "a.cfg")


@pytest.mark.parametrize("comment", ["", " ! 16 atoms", " # 16"])
def test_numbers_in_a_comment_of_a_poscar_count_no_atoms(tmp_path, comment):
    (tmp_path / "POSCAR").write_text(f"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nMg O\n1 1{comment}\nDirect\n0 0 0\n.5 .5 .5\n")
    assert str(read_structure(tmp_path / "POSCAR").symbols) == "MgO"


def test_a_link_has_the_format_of_its_own_name(tmp_path):
    write(tmp_path / "a.gen", bulk("MgO", "rocksalt", a=4.2))
    (tmp_path / "a.gen").rename(tmp_path / "0123abcd")
    (tmp_path / "a.gen").symlink_to("0123abcd")
    assert str(read_structure(tmp_path / "a.gen").symbols) == "MgO"


def test_a_poscar_counts_no_more_atoms_than_it_has_lines(tmp_path):
    for name, counts in (("POSCAR", "2147483648 1"), ("CHGCAR", "1 2147483648")):
        (tmp_path / name).write_text(f"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nMg O\n{counts}\nDirect\n0 0 0\n.5 .5 .5\n")
        with pytest.raises(ValueError, match="counts 2147483649 atoms"):
            read_structure(tmp_path / name)


def test_a_number_in_a_trajectory_takes_no_memory(tmp_path):
    write(tmp_path / "a.traj", bulk("MgO", "rocksalt", a=4.212))
    content = bytearray((tmp_path / "a.traj").read_bytes())
    content[32:40] = (2**44).to_bytes(8, "little")  # frames
    (tmp_path / "a.traj").write_bytes(content)
    with pytest.raises(ValueError, match="is no structure"):
        read_structure(tmp_path / "a.traj")


def test_a_lack_of_memory_is_no_fault_of_a_file(tmp_path, monkeypatch, capsys):
    def lacks(*_, **__):
        raise MemoryError

    (tmp_path / "a.xyz").write_text("1\n\nMg 0 0 0\n")
    npz(tmp_path / "a.npz")
    monkeypatch.setattr("amorph.reading.xyz.read_xyz", lacks)
    monkeypatch.setattr("numpy.lib.format.read_array", lacks)
    for name, read in (("a.xyz", read_structure), ("a.npz", read_structure), ("a.npz", read_field)):
        with pytest.raises(MemoryError, match=rf"{name} takes more memory to read than there is"):
            read(tmp_path / name)
        assert main(["verdict", str(tmp_path / name)]) == 1
        assert f"amorph: {tmp_path / name} takes more memory" in capsys.readouterr().err
