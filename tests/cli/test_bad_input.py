"""Bad input: one plain line that names the thing, exit status 2, and nothing written."""

import os
import re
import zipfile

import numpy as np
import pytest

CUBE = "4.2 0 0 0 4.2 0 0 0 4.2"
MELT = """
timestep_fs = 1.0
[[segments]]
name = "melt"
ensemble = "NVT"
start_K = 3000.0
end_K = 3000.0
duration_ps = 0.1
"""


def xyz(*positions, lattice=CUBE, pbc="T T T", species=("Mg", "O")):
    lines = [f"{species[k % 2]} {position}" for k, position in enumerate(positions)]
    header = f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="{pbc}"'
    return "\n".join([str(len(positions)), header, *lines]) + "\n"


FILES = {
    "ok.extxyz": xyz("0 0 0", "2.1 2.1 2.1"),
    "nan.extxyz": xyz("0 0 0", "nan 2 2"),
    "nancell.extxyz": xyz("0 0 0", "2 2 2", lattice="nan 0 0 0 4.2 0 0 0 4.2"),
    "flat.extxyz": xyz("0 0 0", "2 2 2", lattice="4.2 0 0 4.2 0 0 0 0 4.2"),
    "open.extxyz": xyz("0 0 0", "2 2 2", pbc="F F F"),
    "close.extxyz": xyz("0 0 0", "0.2 0 0"),
    "image.extxyz": xyz("0.1 0 0", "4.1 0 0"),
    "unknown.extxyz": xyz("0 0 0", "2 2 2", species=("Qq", "O")),
    "metals.extxyz": xyz("0 0 0", "2.1 2.1 2.1", species=("Mg", "Cu")),
    "negative.vasp": "x\n-1e-9\n1 0 0\n0 1 0\n0 0 1\nMg O\n1 1\nDirect\n0 0 0\n.5 .5 .5\n",
    "empty.cif": "",
    "text.cif": "this is no structure\n" * 3,
    "binary.xyz": bytes(range(256)) * 8,
    "no.npz": "no archive",
    "melt.toml": MELT,
    "syntax.toml": "timestep_fs = = 1",
    "binary.toml": bytes(range(128, 256)),
    "key.toml": MELT.replace("start_K", "start"),
    "type.toml": MELT.replace("3000.0", '"hot"'),
    "study.toml": '[build]\ncomposition = "MgO"\nlattice_constnt = 4.2\n',
    "table.toml": '[build]\ncomposition = "MgO"\n[bvs]\ncutoff = -1.0\n',
}


@pytest.fixture
def folder(amorph, tmp_path):
    """Working directory with every bad file, and a directory."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "folder").mkdir()
    return tmp_path


def contents(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


BVS = "bvs ok.extxyz --ion Mg2+ -o out.npz"
BUILD = "build LiF -o out.extxyz"
RELAX = "relax ok.extxyz -o out.extxyz --factory ase.calculators.lj:LennardJones"
MELT_QUENCH = "melt-quench ok.extxyz --dir out --factory ase.calculators.lj:LennardJones"

CASES = {
    # files
    "bvs nan.extxyz --ion Mg2+ -o out.npz": "nan.extxyz: the position of atom 1 (O) is not finite",
    "verdict nancell.extxyz": "nancell.extxyz: frame 0: the cell is not finite: [[nan, ",
    "free-volume flat.extxyz": "flat.extxyz: the cell has the volume 0 Å³; give three independent lattice vectors",
    "bvs negative.vasp --ion Mg2+ -o out.npz": "negative.vasp: the cell has the volume 1e-09 Å³; ",
    "vasp-input open.extxyz --dir out": "open.extxyz: the structure is periodic along [False, False, False]; ",
    RELAX.replace("ok", "close"): "close.extxyz: atoms 0 (Mg) and 1 (O) are 0.200 Å apart; at least 0.5 Å is needed: ",
    MELT_QUENCH.replace("ok", "image"): "image.extxyz: atoms 0 (Mg) and 1 (O) are 0.200 Å apart; at least 0.5 Å",
    "verdict unknown.extxyz": "unknown.extxyz has an atom of 'Qq'",
    "bvs metals.extxyz --ion Mg2+ -o out.npz": "no anion in CuMg",
    "free-volume metals.extxyz": "--anion = O is not in the cell, which has Cu, Mg",
    "verdict ok.extxyz metals.extxyz --anion O": "metals.extxyz: no O in the cell, which has Cu, Mg; name its anion",
    "free-volume empty.cif": "empty.cif is empty; give a file with a structure",
    "free-volume text.cif": "text.cif is no CIF",
    "free-volume folder": "folder is a directory; give a file",
    "free-volume missing.cif": "missing.cif does not exist; check the name",
    "isosurface ok.extxyz": "ok.extxyz is no field: BadZipFile",
    "isosurface no.npz -o out.ply": "no.npz is no field: BadZipFile",
    # numbers
    f"{BVS} --grid 0 4 4": "grid[0] = 0 must be greater than 0",
    f"{BVS} --grid 90000 90000 90000": "a grid of 90000 × 90000 × 90000 points needs 5.8 PB of memory, and ",
    f"{BVS} --grid 4 4 4.5": "--grid 4 4 4.5: whole numbers are needed",
    f"{BVS} --grid 4 4": "--grid is missing or has too few values; see amorph bvs --help",
    f"{BVS} --spacing 1e-12": "a spacing of 1e-12 Å makes more than 1e9 points along an edge of 4.20 Å; ",
    f"{BVS} --r0 nan": "--r0 = nan Å must be a finite number",
    f"{BVS} --b 0.37": "--b = 0.37 Å without r0: the two belong together; give --r0 as well, or neither",
    f"{BVS} --blocking none": 'invalid value "none" for --blocking. Choose from: "all", "framework"',
    f"{BVS} --spacing wide": 'invalid value for --spacing: unable to convert "wide" into float',
    "bvs ok.extxyz --ion Mg -o out.npz": "cannot read 'Mg' as an ion; give an element and its charge, as in Mg2+",
    "bvs ok.extxyz --ion Og2+ -o out.npz": "no bond-valence parameters for Og2+–O",
    "bvs ok.extxyz -o out.npz": "cannot write a table as 'out.npz': ",
    f"{BUILD} --lattice-constant nan": "--lattice-constant = nan Å must be a finite number or must be 'relaxed'",
    f"{BUILD}": "--lattice-constant = None and --density-g-cm3 = None: give exactly one of the two",
    f"{BUILD} --lattice-constant 4 --seed -1": "--seed = -1 must be a whole number of at least 0",
    f"{BUILD} --lattice-constant 4 --seed 1.5": "invalid value for --seed: --seed 1.5: whole numbers are needed",
    f"{BUILD} --lattice-constant 4 --supercell 2 2": "--supercell = 2 2 has 2 integers; give 3, or 9 row by row",
    f"{BUILD} --lattice-constant 4 --oxidation-states Li": "'Li' is no NAME=VALUE; write it as in Ti=4",
    f"{BUILD} --lattice-constant 4 --oxidation-states Li=x": "--oxidation-states.Li = 'x' must be a valid number",
    f"{BUILD} --lattice-constant 4 --oxidation-states Li=1 Li=2": "Li is given twice; give it one value",
    f"{BUILD} --lattice-constant 4 --model r2scan": "--model = r2scan is for a relaxation; leave it out or give ",
    "build Li2O --lattice-constant 4 -o out.extxyz": "'Li2O' has 2 cations (Li) for 1 anions (O); ",
    "substitute ok.extxyz --ion Li+ -o out.extxyz": "no Li in MgO; name an ion that is there",
    "substitute ok.extxyz --ion Mg2+ --by Li+ -o out.extxyz": "cannot replace Mg2+ by Li+: each Mg2+ needs 2 Li+",
    "substitute ok.extxyz --replicas 0 -o out.extxyz": "--replicas = 0 must be at least 1",
    "free-volume ok.extxyz --oxygen-volume -3": "--oxygen-volume = -3.0 Å³ must be greater than 0",
    "free-volume ok.extxyz --tessellation power": "a power tessellation needs radii; ",
    "verdict ok.extxyz --supercell 2 2 2": "ok.extxyz: supercell [2, 2, 2] does not fit 2 atoms: ",
    f"{RELAX} --max-hours 3": "--max-hours is for a run directory; give --dir DIR with it",
    f"{MELT_QUENCH} --schedule melt.toml --max-hours 0": "--max-hours = 0 h must be above 0; leave it out for a run",
    f"{RELAX} --checkpoint-minutes 3": "--checkpoint-minutes = 3 is for a run directory; give --dir DIR with it",
    "relax ok.extxyz": "the relaxed structure has nowhere to go; give -o FILE, or --dir DIR",
    "relax ok.extxyz -o out.extxyz --factory nosuch": "calculator factory 'nosuch' has no function; ",
    "relax ok.extxyz -o out.extxyz --factory nosuch:module": "calculator factory 'nosuch:module' cannot be imported",
    "relax ok.extxyz -o out.extxyz --factory math:sqrt": "calculator factory 'math:sqrt' refused {}",
    "relax ok.extxyz -o out.extxyz --model 9.9": "no CHGNet model '9.9'",
    # schedules and studies in TOML
    f"{MELT_QUENCH} --schedule kawagushi2025": "no schedule is named 'kawagushi2025'; did you mean 'kawaguchi2025'?",
    f"{MELT_QUENCH} --schedule missing.toml": "missing.toml does not exist; give a schedule's TOML file",
    f"{MELT_QUENCH} --schedule syntax.toml": "syntax.toml is no TOML file: Invalid value",
    f"{MELT_QUENCH} --schedule binary.toml": "binary.toml is no TOML file: 'utf-8' codec can't decode",
    f"{MELT_QUENCH} --schedule key.toml": "key.toml: unknown key 'start' in segments[0]; did you mean 'start_K'?",
    f"{MELT_QUENCH} --schedule type.toml": "type.toml: segments[0].start_K = 'hot' must be a valid number",
    f"{MELT_QUENCH} --schedule melt.toml --sample-every 0": "--sample-every = 0 must be greater than 0 (default 50)",
    "melt-quench ok.extxyz --dir ok.extxyz": "ok.extxyz is a file; give the run a directory",
    "melt-quench ok.extxyz --dir .": ". is not empty and holds no run.toml; give the run a directory of its own",
    "melt-quench ok.extxyz": "--dir is missing or has too few values; see amorph melt-quench --help",
    "run study.toml --dir out": "study.toml: unknown key 'lattice_constnt' in [build]; did you mean",
    "run table.toml --dir out": "table.toml: cutoff = -1.0 Å in [bvs] must be greater than 0 (default 6.0)",
    "run missing.toml --dir out": "missing.toml does not exist; give a study's TOML file",
    # where nothing can be written
    "build LiF --lattice-constant 4 -o out.doc": "cannot write a structure as 'out.doc': the suffix '.doc' names no",
    "build LiF --lattice-constant 4 -o no/out.cif": "cannot write no/out.cif: the folder no does not exist; make it",
    "bvs missing.cif --ion Mg2+ -o out.ply": "cannot write a field as 'out.ply': the suffix '.ply' names no format",
    "isosurface missing.npz -o out.npz": "cannot write a surface or picture as 'out.npz': the suffix '.npz' names no",
    "substitute missing.cif -o folder/no/x.cif": "cannot write folder/no/x.cif: the folder folder/no does not exist",
    "relax missing.cif -o out.txt": "cannot write a structure as 'out.txt'",
    "vasp-input ok.extxyz --dir ok.extxyz": "cannot write to ok.extxyz: it is a file; give the name of a folder",
    # words
    "bulid MgO": "there is no verb 'bulid'; did you mean build?",
    "make MgO": "there is no verb 'make'; give build, melt-quench, ",
    f"{BVS} --cutof 3": "unknown option: --cutof. Did you mean --cutoff?; see amorph bvs --help",
    f"{BVS} more": "too many arguments: more; see amorph bvs --help",
    "--nonsense": 'unknown command "--nonsense". Available commands: build, ',
}


@pytest.mark.parametrize("command", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(amorph, folder, command):
    before = contents(folder)
    called = amorph(*command.split())
    assert called.err.startswith(f"amorph: {CASES[command]}"), called.err
    assert called.err.count("\n") == 1
    assert called.err.endswith("\n")
    assert (called.status, called.out) == (2, "")
    assert contents(folder) == before


def test_a_folder_that_is_read_only_is_refused_before_the_work(amorph, folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root every folder can be written to
    called = amorph("relax", "missing.cif", "-o", "folder/out.cif")
    assert called.err == "amorph: cannot write folder/out.cif: the folder folder is read-only; choose another\n"


def test_what_the_calculator_cannot_do_fails_before_anything_is_written(amorph, folder):
    before = contents(folder)
    called = amorph(*MELT_QUENCH.replace("lj:LennardJones", "emt:EMT").split(), "--schedule", "short")
    assert re.fullmatch(r"amorph: NotImplementedError: No EMT-potential for Mg \(emt\.py, line \d+; .*\)\n", called.err)
    assert (called.status, called.out) == (1, "")
    assert contents(folder) == before


def test_an_error_in_the_middle_of_writing_leaves_the_old_file(amorph, folder, monkeypatch):
    amorph(*f"{BVS} --grid 8 8 8".split())
    before = contents(folder)
    monkeypatch.setattr(np.lib.format, "write_array", lambda file, *_, **__: file.write(b"half") and 1 / 0)
    called = amorph(*f"{BVS} --grid 9 9 9".split())
    assert called.status == 1
    assert called.err.startswith("amorph: ZeroDivisionError: division by zero (test_bad_input.py, line ")
    assert contents(folder) == before
    assert zipfile.is_zipfile(folder / "out.npz")


def test_debug_shows_the_traceback_above_the_line(amorph, folder):
    called = amorph("free-volume", "empty.cif", "--debug")
    assert called.status == 2
    assert called.err.startswith("Traceback (most recent call last):\n")
    assert called.err.endswith("\namorph: empty.cif is empty; give a file with a structure\n")
