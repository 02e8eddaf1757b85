"""What a file of a stranger can make amorph do: nothing but be read."""

import ast
import bz2
import gzip
import io
import json
import lzma
import os
import signal
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
from toy_run import STUDY

from amorph.cli import main
from amorph.cli.dynamics import _schedule
from amorph.ensemble.plan import read_ensemble
from amorph.reading import read_field, read_structure, read_trajectory, read_vasp_relaxed
from amorph.reading.ase_formats import READ
from amorph.study import read_study

PACKAGE = Path(__file__).parent.parent / "amorph"
FILES = sorted(PACKAGE.rglob("*.py"))
WEIGHTS = PACKAGE / "chgnet" / "weights.py"  # its unpickler imports and calls nothing: tests/chgnet/test_weights.py
CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {"yaml", "ruamel", "shelve", "marshal", "dill", "joblib", "urllib", "requests", "http", "ftplib", "smtplib"}


def faults(text, *, may_unpickle=False):
    """Name the calls and imports that would run what a file says, or reach beyond this machine."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            tops = {module.split(".")[0] for module in modules}
            found += sorted(tops & (MODULES if may_unpickle else MODULES | {"pickle"}))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in CODE or name.endswith("os.system") or keywords.get("shell") == "True":
            found.append(name)
        if name in {"np.load", "numpy.load"} and keywords.get("allow_pickle") != "False":
            found.append(f"{name} without allow_pickle=False")
        if name == "torch.load" and keywords.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if keywords.get("allow_pickle") == "True":
            found.append(f"{name} with allow_pickle=True")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_source_runs_what_a_file_says(path):
    assert faults(path.read_text(encoding="utf-8"), may_unpickle=path == WEIGHTS) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import pickle", "pickle"),
        ("from yaml import load", "yaml"),
        ("import numpy as np\nnp.load(path)", "np.load without allow_pickle=False"),
        ("np.save(path, x, allow_pickle=True)", "np.save with allow_pickle=True"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "subprocess.run"),
        ("import urllib.request", "urllib"),
    ],
)
def test_the_search_finds_what_it_looks_for(text, fault):
    assert faults(text) == [fault]


# what the readers open and start

WATCHED = ("open", "subprocess", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "socket.connect")
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
    read_structure(path)  # what is imported counts as before
    with watched() as heard:
        back = read_structure(path)
    assert {(event, Path(name).name) for event, name in heard} == {("open", path.name)}, heard
    assert back.symbols.formula.count() == {"Mg": 4, "O": 4}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inp", "XYZCoordinates = '{secret}'\nBoxShape = parallelepiped\n%LatticeParameters\n 8 | 8 | 8\n%\n"),
        ("a.xtd", "<XSD></XSD>\n"),
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
    with pytest.raises(ValueError, match=name):
        read(tmp_path / name)
    with watched() as heard, pytest.raises(ValueError, match=name):
        read(tmp_path / name)
    assert {(event, Path(path).name) for event, path in heard} == {("open", name)}, heard


# studies, ensembles and schedules


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[build]\n" + b".".join([b"a"] * 3000) + b" = 1\n", "nests more than 32 tables and lists"),
        (b"a = " + b"[" * 20_000, "nests more than 32 tables and lists"),
        (b"a = " + b"[" * 40 + b"]" * 40, "nests more than 32 tables and lists"),
        (b"#" * 3_000_000, "is larger than 2 MB"),
        (b"a = " + b"9" * 5000, "is no TOML file: Exceeds the limit"),
        (None, "is no regular file"),
    ],
)
@pytest.mark.parametrize("read", [read_study, read_ensemble, lambda path: _schedule(str(path))])
def test_no_toml_hangs_or_exhausts(tmp_path, content, said, read):
    path = tmp_path / "a.toml"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)

    def too_long(_signal, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(5)
    try:
        with pytest.raises(ValueError, match=rf"a\.toml {said}"):
            read(path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("table", "factory", "arguments"),
    [
        ("calculator", "os:system", 'command = "touch PWNED"'),
        ("calculator", "mine_of_a_stranger:make", ""),
        ("calculator", "amorph.durable:write_atomically", 'path = "PWNED", content = "x"'),
        ("calculator", "amorph.cli:main", 'arguments = ["run", "other.toml", "--dir", "PWNED"]'),
        ("final_calculator", "os:system", 'command = "touch PWNED"'),
    ],
)
def test_a_dry_run_calls_no_code_that_a_study_names(tmp_path, monkeypatch, capsys, table, factory, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_of_a_stranger.py").write_text("open('PWNED', 'w').close()\n")
    monkeypatch.setattr("amorph.estimate._seconds", lambda *_: 1.0)
    monkeypatch.setattr("amorph.estimate._peak_during", lambda call: call())
    named = f'[{table}]\nfactory = "{factory}"\narguments = {{ {arguments} }}'
    study = STUDY.replace('[calculator]\nfactory = "toys:Ions"', named)
    (tmp_path / "a.toml").write_text(study)
    assert main(["run", "a.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{factory} is code that the study names: --dry-run calls none of it, so time and memory are" in said
    assert "not timed" in said
    assert main(["run", "a.toml", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] is None
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in {".toml", ".py"}] == []


def test_a_run_names_the_code_of_a_study_before_it_calls_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_of_a_stranger.py").write_text("import sys\nsys.stderr.write('it ran\\n')\nmake = None\n")
    study = '[build]\ncomposition = "MgO"\nsupercell = [2, 2, 2]\n[calculator]\nfactory = "mine_of_a_stranger:make"\n'
    (tmp_path / "a.toml").write_text(study)
    monkeypatch.setattr("amorph.pipeline.rehearse", lambda _: {})
    assert main(["run", "a.toml", "--dir", "run"]) == 2
    named, ran, _ = capsys.readouterr().err.splitlines()
    assert (named, ran) == ("calling the code that a.toml names: mine_of_a_stranger:make", "it ran")


def test_no_word_of_a_file_steers_the_terminal(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(
        '[run]\n"\\u001b]0;owned\\u0007\\u001b[2J\\u202e Å" = 1\n[build]\ncomposition = "MgO"\n'
    )
    assert main(["run", str(tmp_path / "a.toml"), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert r"unknown key '\x1b]0;owned\x07\x1b[2J\u202e Å' in [run]" in said
    assert said.count("\n") == 1
    assert said[:-1].isprintable()


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
    with pytest.raises(ValueError, match=r"cannot have the shape \(1000000, 1000000\)"):
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


def test_a_poscar_counts_no_more_atoms_than_it_has_lines(tmp_path):
    for name, counts in (("POSCAR", "2147483648 1"), ("CHGCAR", "1 2147483648")):
        (tmp_path / name).write_text(f"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nMg O\n{counts}\nDirect\n0 0 0\n.5 .5 .5\n")
        with pytest.raises(ValueError, match=r"counts 2147483649 atoms and has 11 lines; give a whole file"):
            read_structure(tmp_path / name)


def test_a_number_in_a_trajectory_takes_no_memory(tmp_path):
    write(tmp_path / "a.traj", bulk("MgO", "rocksalt", a=4.212))
    content = bytearray((tmp_path / "a.traj").read_bytes())
    content[32:40] = (2**44).to_bytes(8, "little")  # frames
    (tmp_path / "a.traj").write_bytes(content)
    with pytest.raises(ValueError, match="is no structure"):
        read_structure(tmp_path / "a.traj")


def test_a_lack_of_memory_is_no_fault_of_a_file(tmp_path, monkeypatch):
    def lacks(*_, **__):
        raise MemoryError

    (tmp_path / "a.xyz").write_text("1\n\nMg 0 0 0\n")
    npz(tmp_path / "a.npz")
    monkeypatch.setattr("amorph.reading.ase_formats.ase_read", lacks)
    monkeypatch.setattr("numpy.lib.format.read_array", lacks)
    for name, read in (("a.xyz", read_structure), ("a.npz", read_structure), ("a.npz", read_field)):
        with pytest.raises(MemoryError, match=rf"{name} takes more memory to read than there is"):
            read(tmp_path / name)
