"""Each verb on real input: what it writes, what it prints, and how it ends."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh
from ase.build import bulk
from ase.calculators import emt
from ase.io import read
from PIL import Image

from amorph import build, bvs_map, cli, free_volume, relax, substitute
from amorph.reading import read_field, read_structure
from amorph.structure import atoms as structure_atoms

EMT = ("--factory", "ase.calculators.emt:EMT")
PURE = ("--factory", "pure_emt:PureEMT")
LENNARD_JONES = ("--factory", "ase.calculators.lj:LennardJones")

PURE_EMT = """
from ase.calculators.emt import EMT
from ase.calculators.calculator import all_changes

class PureEMT(EMT):
    # ASE keeps its neighbor list while atoms move little, and the order of its sums with it
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, all_changes)
"""

MELT = """
timestep_fs = 2.5
[[segments]]
name = "melt"
ensemble = "NVT"
start_K = 9000.0
end_K = 9000.0
duration_ps = 0.7
[[segments]]
name = "quench"
ensemble = "NVT"
start_K = 9000.0
end_K = 300.0
duration_ps = 0.1
"""


def rng():
    return np.random.default_rng(0)


# build


def test_build_writes_what_the_function_builds(amorph, tmp_path):
    composition = "Li2Ti1/3Mo2/3O3"
    called = amorph("build", composition, "--supercell", 5, 5, 5, "--lattice-constant", 4.15, "-o", "r.extxyz")
    assert (called.status, called.err) == (0, "")
    built = build(composition, supercell=(5, 5, 5), lattice_constant=4.15, rng=rng())
    written = read_structure(tmp_path / "r.extxyz")
    assert written.get_chemical_symbols() == built.atoms.get_chemical_symbols()
    assert np.allclose(written.positions, built.atoms.positions, atol=1e-7)  # 8 decimals in the file
    assert np.array_equal(written.arrays["oxidation_states"], built.atoms.arrays["oxidation_states"])
    assert np.array_equal(written.info["supercell"], 5 * np.eye(3))
    assert "Li333Ti56Mo111O500: 1000 atoms" in called.out
    assert "residual charge [e]        1\n" in called.out
    assert "Li+        333  333.3    -0.3333                1\n" in called.out


def test_build_takes_a_matrix_states_and_a_density(amorph, tmp_path):
    cell = ("--supercell", *(0, 1, 1, 1, 0, 1, 1, 1, 0))
    called = amorph("build", "MgO", *cell, "--density-g-cm3", 3.58, "--oxidation-states", "Mg=2", "O=-2", "--json")
    figures = json.loads(called.out)
    assert figures["atoms"] == 16
    assert figures["supercell"] == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert figures["oxidation_states"] == {"Mg": 2.0, "O": -2.0}
    assert figures["lattice_constant"] == pytest.approx(4.213, abs=5e-4)  # 4 MgO of 40.304 u at 3.58 g/cm³
    assert list(tmp_path.iterdir()) == []


def test_build_relaxes_the_cell_with_the_calculator_named(amorph, tmp_path):
    how = ("--supercell", *(1, 1, 1), "--lattice-constant", "relaxed", *EMT)
    called = amorph("build", "AlN", *how, "-o", "aln.extxyz", "--json")
    figures = json.loads(called.out)
    assert figures["relaxation"]["converged"]
    assert figures["relaxation"]["model"] == "EMT"
    assert figures["lattice_constant_source"] == "relaxed by EMT"
    relaxed = read_structure(tmp_path / "aln.extxyz")
    assert figures["lattice_constant"] == pytest.approx(relaxed.get_volume() ** (1 / 3), abs=1e-6)
    mass = 4 * (26.982 + 14.007)  # u
    assert figures["density_g_cm3"] == pytest.approx(mass * 1.66054 / relaxed.get_volume(), rel=1e-4)
    table = amorph("build", "AlN", *how, "-q", "--max-steps", 1)
    assert (table.status, table.out) == (4, "")
    assert table.err == "amorph: the relaxation did not converge in 1 steps; allow more with --max-steps\n"


# melt-quench


@pytest.fixture(scope="module")
def melted(tmp_path_factory):
    """Folder of an uninterrupted melt-quench, its exit status and what it printed."""
    folder = tmp_path_factory.mktemp("melted")
    (folder / "melt.toml").write_text(MELT)
    (folder / "pure_emt.py").write_text(PURE_EMT)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        cli.main(ALN)
        status = cli.main([*MELT_QUENCH, "-o", "glass.extxyz"])
    return folder, (status, out.getvalue(), err.getvalue())


ALN = ("build", "AlN", "--supercell", "2", "2", "2", "--lattice-constant", "4.6", "-o", "aln.extxyz")
MELT_QUENCH = ("melt-quench", "aln.extxyz", "--schedule", "melt.toml", "--sample-every", "10", "--dir", "run", *PURE)


def test_melt_quench_makes_a_glass_and_says_so(melted):
    folder, (status, out, err) = melted
    assert status == 0, err
    assert "verdict                     cannot exclude a crystal\n" in out  # 32 anions
    assert "model                       PureEMT\n" in out
    assert "melt_quench: 320 of 320" in err  # progress as plain lines, for it is no terminal
    assert (folder / "run/1_melt_quench/stage.json").exists()
    assert len((folder / "run/1_melt_quench/thermo.csv").read_text().splitlines()) == 1 + 1 + 320 // 10
    kept, copied = read(folder / "run/1_melt_quench/structure.extxyz"), read(folder / "glass.extxyz")
    assert np.allclose(kept.positions, copied.positions, atol=1e-7)


def test_melt_quench_stopped_by_ctrl_c_continues_to_the_same_bytes(melted, amorph, tmp_path):
    folder, _ = melted
    for name in ("aln.extxyz", "melt.toml", "pure_emt.py"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-m", "amorph", *MELT_QUENCH, "--quiet"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    thermo = tmp_path / "run/1_melt_quench/thermo.csv"
    while process.poll() is None and not (thermo.exists() and len(thermo.read_text().splitlines()) > 5):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.startswith("amorph: stopped by SIGINT after step ")
    assert err.endswith(" of melt_quench; run the same command again to continue\n")
    assert not (tmp_path / "run/1_melt_quench/stage.json").exists()
    called = amorph(*MELT_QUENCH, "--json")
    assert called.status == 0, called.err
    assert json.loads(called.out)["verdict"] == "cannot exclude a crystal"
    for name in ("structure.extxyz", "trajectory.extxyz", "thermo.csv"):
        assert (tmp_path / "run/1_melt_quench" / name).read_bytes() == (
            folder / "run/1_melt_quench" / name
        ).read_bytes()


def test_melt_quench_that_leaves_a_crystal_ends_with_4_also_when_it_is_done_already(amorph, tmp_path):
    cold = MELT.replace("9000.0", "30.0").replace("end_K = 300.0", "end_K = 10.0").replace("0.7", "0.1")
    (tmp_path / "cold.toml").write_text(cold)
    amorph("build", "AlN", "--supercell", 1, 1, 1, "--lattice-constant", 4.6, "-o", "aln.extxyz")
    command = ("melt-quench", "aln.extxyz", "--schedule", "cold.toml", "--dir", "cold", *EMT, "--sample-every", 2)
    first, second = amorph(*command, "--json", "-q"), amorph(*command, "--json", "-q")
    assert first == second
    assert first.status == 4
    assert json.loads(first.out)["verdict"] == "crystalline"
    assert first.err.startswith("amorph: done and kept, but not a glass: ")
    other = amorph(*command[:-1], 1)
    assert other.status == 2
    assert "cold holds a run with melt_quench.sample_every 2 there, 1 here; use a new --dir" in other.err


# relax


def test_relax_is_the_function_and_names_the_model(amorph, tmp_path):
    atoms = bulk("Cu", a=3.7, cubic=True)
    atoms.write(tmp_path / "cu.extxyz")
    called = amorph("relax", "cu.extxyz", "--cell", "free", "--fmax", 0.01, *EMT, "-o", "relaxed.extxyz")
    assert called.status == 0
    assert "model           EMT\n" in called.out
    assert "cell free" in called.out
    relaxed = read_structure(tmp_path / "relaxed.extxyz")
    assert relaxed.get_volume() == pytest.approx(relax(atoms, emt.EMT(), cell="free", fmax=0.01).volume, rel=1e-7)


def test_another_block_is_another_run(amorph, tmp_path):
    one, other = (bulk("Cu", a=a, cubic=True) for a in (3.6, 3.7))
    for name, atoms in (("one", one), ("other", other)):
        atoms.write(tmp_path / f"{name}.cif")
    text = "".join(
        (tmp_path / f"{name}.cif").read_text().replace("data_image0", f"data_{name}") for name in ("one", "other")
    )
    (tmp_path / "both.cif").write_text(text)
    assert amorph("relax", "both.cif", "--block", "one", "--cell", "fixed", *EMT, "--dir", "run").status == 0
    called = amorph("relax", "both.cif", "--block", "other", "--cell", "fixed", *EMT, "--dir", "run")
    assert called.status == 2
    assert "input.block" in called.err


def test_relax_that_does_not_converge_ends_with_4_and_keeps_its_structure(amorph, tmp_path):
    atoms = bulk("Cu", a=3.7, cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.write(tmp_path / "cu.extxyz")
    called = amorph("relax", "cu.extxyz", *EMT, "--max-steps", 1, "-o", "relaxed.extxyz", "--json", "-q")
    assert called.status == 4
    assert called.err == "amorph: written, but not converged in 1 steps; allow more with --max-steps\n"
    figures = json.loads(called.out)
    assert (figures["converged"], figures["steps"], figures["model"]) == (False, 1, "EMT")
    assert (tmp_path / "relaxed.extxyz").exists()


def test_relax_in_a_run_directory_ends_as_without_one(amorph, oxide, tmp_path):
    smooth = (*LENNARD_JONES, "--arguments", "sigma=1.7", "rc=4.0", "smooth=true", "--fmax", 0.2)
    alone = amorph("relax", "oxide.extxyz", *smooth, "-o", "alone.extxyz", "--json")
    within = amorph("relax", "oxide.extxyz", *smooth, "--dir", "run", "-o", "within.extxyz", "--json")
    assert alone.status == within.status == 0, (alone.err, within.err)
    for name in ("steps", "energy_eV", "pressure_GPa"):
        assert json.loads(alone.out)[name] == json.loads(within.out)[name]
    first, second = read_structure(tmp_path / "alone.extxyz"), read_structure(tmp_path / "within.extxyz")
    assert np.array_equal(first.positions, second.positions)
    assert np.array_equal(second.arrays["oxidation_states"], oxide.arrays["oxidation_states"])


def test_relax_with_chgnet_by_default(amorph, mgo):
    called = amorph("relax", "mgo.extxyz", "--cell", "isotropic", "-o", "relaxed.extxyz", "--json")
    figures = json.loads(called.out)
    assert (called.status, figures["model"]) == (0, "CHGNet 0.3.0")
    # CHGNet 0.3.0 relaxes MgO to 4.259 Å
    assert figures["volume"] ** (1 / 3) == pytest.approx(4.259, abs=0.003)


# substitute


def test_substitute_writes_what_the_function_exchanges(amorph, oxide, tmp_path):
    called = amorph("substitute", "oxide.extxyz", "--seed", 0, "-o", "exchanged.extxyz")
    made = substitute(read_structure(tmp_path / "oxide.extxyz"), rng=rng())
    written = read_structure(tmp_path / "exchanged.extxyz")
    assert (called.status, called.err) == (0, "")
    assert np.array_equal(written.numbers, made.atoms.numbers)
    assert np.allclose(written.positions, made.atoms.positions, atol=1e-7)
    assert f"Mg2+ put in      {made.n_new:3d}" in called.out


def test_substitute_makes_numbered_replicas_by_seed(amorph, oxide, tmp_path):
    command = ("substitute", "oxide.extxyz", "--fraction", 0.5, "--seed", 3)
    called = amorph(*command, "--replicas", 3, "-o", "x.extxyz", "--json")
    assert sorted(path.name for path in tmp_path.glob("x*")) == ["x_0.extxyz", "x_1.extxyz", "x_2.extxyz"]
    replicas = json.loads(called.out)["replicas"]
    assert [replica["file"] for replica in replicas] == ["x_0.extxyz", "x_1.extxyz", "x_2.extxyz"]
    assert len({tuple(replica["replaced"]) for replica in replicas}) == 3
    amorph(*command, "--replicas", 1, "-o", "y.extxyz")
    assert (tmp_path / "y_0.extxyz").read_bytes() == (tmp_path / "x_0.extxyz").read_bytes()


# verdict and free-volume


def test_verdict_of_a_crystal_is_an_answer_and_no_error(amorph, oxide):
    called = amorph("verdict", "oxide.extxyz", "--json")
    figures = json.loads(called.out)
    assert (called.status, figures["verdict"]) == (0, "crystalline")
    assert figures["parent_order"] == pytest.approx(1.0)
    assert re.search(r"^verdict +crystalline$", amorph("verdict", "oxide.extxyz").out, re.MULTILINE)


def test_verdict_takes_several_files_trajectories_and_dumps_without_elements(amorph, melted, tmp_path):
    folder, _ = melted
    run = folder / "run/1_melt_quench"
    called = amorph("verdict", folder / "aln.extxyz", folder / "glass.extxyz", run / "trajectory.extxyz", "--json")
    crystal, glass, trajectory = json.loads(called.out)
    small = "cannot exclude a crystal"
    assert [one["verdict"] for one in (crystal, glass, trajectory)] == ["crystalline", small, small]
    assert (glass["n_frames"], glass["melted"]) == (1, None)
    assert (trajectory["n_frames"], trajectory["melted"]) == (1, True)  # its frames say what they are cooled to
    table = amorph("verdict", folder / "aln.extxyz", folder / "glass.extxyz").out
    assert "P6_3mc" in table or "Fm-3m (225)" in table
    assert "Bragg" in table
    atoms = read(folder / "glass.extxyz")
    cell, numbers = atoms.cell.lengths(), {"Al": 1, "N": 2}
    rows = [f"{n + 1} {numbers[one.symbol]} {one.x:.6f} {one.y:.6f} {one.z:.6f}" for n, one in enumerate(atoms)]
    header = ["ITEM: TIMESTEP", "0", "ITEM: NUMBER OF ATOMS", str(len(atoms)), "ITEM: BOX BOUNDS pp pp pp"]
    bounds = [f"0.0 {length:.8f}" for length in cell]
    (tmp_path / "glass.dump").write_text("\n".join([*header, *bounds, "ITEM: ATOMS id type x y z", *rows]) + "\n")
    dump = json.loads(amorph("verdict", "glass.dump", "--elements", "Al", "N", "--json").out)
    assert (dump["verdict"], dump["anions"]) == (small, ["N"])
    assert dump["solid_share"] == glass["solid_share"]


def test_verdict_learns_from_the_start_whether_it_melted(amorph, melted):
    folder, _ = melted
    crystal = folder / "aln.extxyz"
    figures = json.loads(amorph("verdict", crystal, "--start", crystal, "--json").out)
    assert figures["melted"] is False
    assert figures["mean_square_displacement"] == {"N": 0.0, "Al": 0.0}


def test_free_volume_has_the_agreed_keys_and_the_function_s_figures(amorph, oxide):
    figures = json.loads(amorph("free-volume", "oxide.extxyz", "--ion", "Li+", "--per-atom", "--json").out)
    measured = free_volume(oxide, ion="Li+")
    for key in ("free_volume_fraction", "free_volume", "cell_volume", "oxygen_volume"):
        assert figures[key] == pytest.approx(getattr(measured, key), rel=1e-6)
    assert [row["species"] for row in figures["species"]] == ["Li", "Ti", "O"]
    assert sum(row["volume"] for row in figures["atoms"]) == pytest.approx(figures["cell_volume"], rel=1e-9)
    table = amorph("free-volume", "oxide.extxyz", "--ion", "Li+", "--per-atom").out
    assert "experiment: MgO, a = 4.212 Å" in table
    assert len(table.splitlines()) > len(oxide)


def test_free_volume_takes_radii_by_name_or_number(amorph, oxide):
    power = ("free-volume", "oxide.extxyz", "--tessellation", "power", "--json", "--radii")
    named = json.loads(amorph(*power, "shannon_ionic").out)
    given = json.loads(amorph(*power, "Li=0.76", "Ti=0.605", "O=1.4", "Mg=0.72").out)
    assert (named["radii_set"], given["radii_set"]) == ("shannon_ionic", "given")
    # the same radii, by Shannon: Li+ 0.76, Ti4+ 0.605, O2- 1.40 Å in sixfold coordination
    assert given["free_volume_fraction"] == pytest.approx(named["free_volume_fraction"], abs=1e-6)


# bvs and isosurface


def test_bvs_has_the_agreed_keys_and_the_function_s_map(amorph, oxide, tmp_path):
    command = ("bvs", "oxide.extxyz", "--ion", "Mg2+", "--grid", *(20, 24, 28))
    figures = json.loads(amorph(*command, "--blocking", "framework", "-o", "bvs.npz", "--json").out)
    made = bvs_map(read_structure(tmp_path / "oxide.extxyz"), "Mg2+", grid=(20, 24, 28), blocking="framework")
    assert figures["grid"] == [20, 24, 28]
    assert figures["window_fraction_of_cell"] == made.window_fraction_of_cell
    assert figures["excluded_fraction"] == made.excluded_fraction
    assert figures["source"].startswith("Brown & Altermatt")
    field, atoms = read_field(tmp_path / "bvs.npz")
    assert np.array_equal(field.values, made.field.values, equal_nan=True)
    assert len(atoms) == len(oxide)


@pytest.mark.parametrize("suffix", ["cube", "xsf"])
def test_bvs_chooses_the_format_by_suffix(amorph, mgo, tmp_path, suffix):
    called = amorph("bvs", "mgo.extxyz", "--ion", "Mg2+", "--spacing", 0.5, "-o", f"bvs.{suffix}")
    assert called.status == 0
    assert re.search(r"^grid +9 × 9 × 9$", called.out, re.MULTILINE)
    atoms = read(tmp_path / f"bvs.{suffix}")
    assert len(atoms) == 8


def test_bvs_counts_with_r0_and_b_given(amorph, mgo):
    command = ("bvs", "mgo.extxyz", "--ion", "Mg2+", "--grid", *(8, 8, 8), "--blocking", "framework", "--json")
    table, given = (json.loads(amorph(*command, *more).out) for more in ((), ("--r0", 1.693, "--b", 0.37)))
    (used,), (known,) = given.pop("parameters"), table.pop("parameters")
    assert (used.pop("source"), used.pop("set")) == (given.pop("source"), "given")
    assert (known.pop("source"), known.pop("set")) == (table.pop("source"), "brown_altermatt1985")
    assert (used, given) == (known, table)


def test_isosurface_reads_the_map_and_writes_a_surface_that_others_read(amorph, mgo, tmp_path):
    amorph("bvs", "mgo.extxyz", "--ion", "Mg2+", "--blocking", "framework", "--spacing", 0.25, "-o", "bvs.npz")
    figures = json.loads(amorph("isosurface", "bvs.npz", "--window", 0.6, "-o", "surface.ply", "--json").out)
    assert (figures["ion"], figures["window"], figures["open_edges"]) == ("Mg2+", 0.6, 0)
    mesh = trimesh.load(tmp_path / "surface.ply", process=False)
    assert mesh.area == pytest.approx(figures["area"], rel=1e-5)  # float32 in the file
    assert len(mesh.faces) == figures["triangles"] > 0
    called = amorph("isosurface", "bvs.npz", "--window", 0.6, "-o", "picture.png")
    assert called.status == 0, called.err
    assert "|bond valence sum of Mg2+ − 2| = 0.6 v.u." in called.out
    assert np.asarray(Image.open(tmp_path / "picture.png")).std() > 10  # something is drawn


def test_isosurface_refuses_a_map_that_is_not_of_its_structure(amorph, mgo, tmp_path):
    amorph("bvs", "mgo.extxyz", "--ion", "Mg2+", "--blocking", "framework", "--grid", *(8, 8, 8), "-o", "bvs.npz")
    arrays = dict(np.load(tmp_path / "bvs.npz"))
    np.savez(tmp_path / "changed.npz", **arrays | {"values": arrays["values"] + 0.01})
    called = amorph("isosurface", "changed.npz")
    assert (called.status, called.out) == (2, "")
    assert "changed.npz: its values are not those that its structure and parameters give" in called.err


@pytest.mark.parametrize(
    "command",
    [
        ("voids", "--ion", "Mg2+", "--spacing", 0.5),
        ("bvs", "--ion", "Mg2+", "--spacing", 0.5),
        ("free-volume",),
        ("percolation", "--ion", "Mg2+", "--spacing", 0.5),
    ],
    ids=lambda command: command[0],
)
def test_a_structure_is_checked_once(amorph, mgo, monkeypatch, command):
    calls = []
    check = structure_atoms._check
    monkeypatch.setattr(structure_atoms, "_SOUND", set())
    monkeypatch.setattr(structure_atoms, "_check", lambda atoms: calls.append(atoms) or check(atoms))
    called = amorph(command[0], "mgo.extxyz", *command[1:])
    assert (called.status, len(calls)) == (0, 1), called.err


# vasp-input


def test_vasp_input_writes_the_four_files(amorph, oxide, tmp_path):
    called = amorph("vasp-input", "oxide.extxyz", "--dir", "vasp", "--no-spin-polarized", "--potcar", "Ti=Ti")
    assert called.status == 0
    assert sorted(path.name for path in (tmp_path / "vasp").iterdir()) == ["INCAR", "KPOINTS", "POSCAR", "POTCAR.spec"]
    assert called.out.endswith("in this order: Li_sv Ti O\n")
    assert "ISPIN = 1" in (tmp_path / "vasp/INCAR").read_text()
    assert read(tmp_path / "vasp/POSCAR").get_chemical_formula() == oxide.get_chemical_formula()


# every verb


@pytest.mark.parametrize(
    "command",
    [
        ("build", "MgO", "--lattice-constant", 4.2),
        ("substitute", "oxide.extxyz"),
        ("verdict", "oxide.extxyz"),
        ("free-volume", "oxide.extxyz", "--oxygen-volume", 8.5),
        ("bvs", "oxide.extxyz", "--ion", "Mg2+", "--grid", 8, 8, 8),
        ("vasp-input", "oxide.extxyz"),
    ],
    ids=lambda command: command[0],
)
def test_json_stands_alone_on_stdout_and_quiet_prints_nothing(amorph, oxide, command):
    as_json, quiet = amorph(*command, "--json"), amorph(*command, "--quiet")
    assert as_json.status == quiet.status == 0
    assert isinstance(json.loads(as_json.out), dict)
    assert (as_json.err, quiet.out, quiet.err) == ("", "", "")
