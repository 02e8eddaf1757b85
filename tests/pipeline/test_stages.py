"""Single stages: stopped at any step, continued to the same bytes, and what they write."""

import csv
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from toys import Ions, Toy

from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.meltquench import QuenchSchedule, Segment, melt_quench
from amorph.parameters import parse
from amorph.pipeline import stages
from amorph.pipeline.results import References
from amorph.pipeline.stages import WaitingForVasp
from amorph.progress import Progress
from amorph.reading import read_field
from amorph.relaxation import relax
from amorph.rocksalt import build
from amorph.run import RunDirectory, Stopped, Work, read_checkpoint
from amorph.structure import density_g_cm3
from amorph.tables.crystals import BY_NAME

HOT = QuenchSchedule(
    (
        Segment("melt", "NVT", 2000.0, 2000.0, 0.08),
        Segment("squeeze", "NPT", 2000.0, 1000.0, 0.04, 5.0),
        Segment("free", "NVE", 1000.0, 1000.0, 0.02),
    ),
    timestep_fs=2.0,
    damping_time_ps=0.05,
)
DYNAMICS = parse(melt_quench, {"schedule": HOT, "sample_every": 2})
MINIMISATION = parse(relax, {"cell": "free", "fmax": 0.05, "max_steps": 40})


class Killed(BaseException):
    """Stands for the end of the process."""


class Mortal(Ions):
    """Dies at a force call, or asks the run to stop there."""

    def __init__(self, at=math.inf, work=None):
        super().__init__()
        self.at, self.work = at, work

    def evaluate(self, atoms):
        if self.evaluations == self.at:
            if self.work is None:
                raise Killed
            self.work.stop.by = "SIGTERM"
        return super().evaluate(atoms)


class Swelling(Toy):
    """A crystal whose energy depends on its volume alone, with the minimum at a given one."""

    def __init__(self, volume):
        super().__init__()
        self.volume = volume

    def evaluate(self, atoms):
        strain = atoms.get_volume() / self.volume - 1.0
        slope = 2.0 * self.volume * strain / self.volume  # dE/dV of E = V₀ (V/V₀ − 1)²
        return self.volume * strain**2, np.zeros((len(atoms), 3)), -slope * atoms.get_volume() * np.eye(3)


class Stressless(Ions):
    """Has no stress."""

    implemented_properties = ("energy", "free_energy", "forces")


@pytest.fixture
def atoms():
    atoms = build("MgO", supercell=(2, 2, 2), lattice_constant=4.3, rng=np.random.default_rng(0)).atoms
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.fixture
def fast_clock(monkeypatch):
    """A second passes between any two looks, so that a checkpoint comes after a number of steps."""
    monkeypatch.setattr("amorph.run.checkpoints.time", SimpleNamespace(monotonic=itertools.count(0.0, 1.0).__next__))


def work_of(steps_between_checkpoints=5):
    return Work(checkpoint_minutes=steps_between_checkpoints / 60.0)


def setting(calculator, work=None, **known):
    return stages.Setting(calculator, work or Work(), lambda _: np.random.default_rng(1), **known)


def quench(directory, atoms, calculator, work):
    with RunDirectory(directory, {}, {}) as run:
        stage = run.stage("1_melt_quench", DYNAMICS)
        found = stages.quench_stage(stage, atoms, setting(calculator, work))
        return stage, stage.finish(found, started=0.0).figures


def minimise(directory, atoms, calculator, work, parameters=MINIMISATION):
    with RunDirectory(directory, {}, {}) as run:
        stage = run.stage("1_relax", parameters)
        found = stages.relax_stage(stage, atoms, setting(calculator, work))
        return stage, stage.finish(found, started=0.0).figures


def outputs(stage):
    return {path.name: path.read_bytes() for path in stage.directory.iterdir() if path.name != "stage.json"}


# known answers


def test_the_reference_crystals_give_the_ratio_of_volumes_and_the_oxygen_volume(tmp_path, caplog):
    volume = 1.1 * 4.212**3  # Å³, of four formula units: 10 % above experiment
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {"oxides": ("MgO",)})
        found = stages.reference_stage(stage, None, setting(Swelling(volume)))
    # pressure_tolerance 0.1 GPa over the bulk modulus of 2 eV/Å³ = 320 GPa
    assert found.volume_ratio == {"MgO": pytest.approx(1.1, rel=1e-3)}
    assert found.oxygen_volume == pytest.approx(volume / 8, rel=1e-3)
    assert "Swelling makes MgO +10.0 % in volume against experiment" in caplog.text


def test_a_crystal_that_the_potential_cannot_do_is_left_out_with_one_line(tmp_path, caplog):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {"oxides": ("LiCoO2",)})
        found = stages.reference_stage(stage, None, setting(Ions()))  # which looks Co up in a dict
    assert (found.volume_ratio, found.converged) == ({}, True)
    assert found.left_out == {"LiCoO2": "KeyError: 'Co'"}
    assert "Ions cannot do LiCoO2, which is left out: KeyError: 'Co'" in caplog.text


def test_a_crystal_of_a_file_has_the_volume_of_the_file(tmp_path):
    crystal = BY_NAME["MgO"].atoms()
    crystal.set_cell(1.1 * crystal.cell.array, scale_atoms=True)
    crystal.write(tmp_path / "wide.cif")
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {"oxides": (str(tmp_path / "wide.cif"),)})
        found = stages.reference_stage(stage, None, setting(Swelling(crystal.get_volume())))
    assert found.volume_ratio == {"wide": pytest.approx(1.0, rel=1e-3)}


def test_without_reference_crystals_there_is_no_oxygen_volume(tmp_path):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_relax", {"oxides": ()})
        found = stages.reference_stage(stage, None, setting(Ions()))
    assert (found.volume_ratio, found.oxygen_volume) == ({}, None)


def test_the_density_is_mass_over_volume():
    # MgO: 40.304 g/mol, four in 4.212 Å cubed: 4 · 40.304 / (0.602214 · 74.725) g/cm³
    assert density_g_cm3(BY_NAME["MgO"].atoms()) == pytest.approx(3.582, abs=2e-3)


# sums


def test_the_analysis_maps_what_its_figures_say(tmp_path, atoms):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        chosen = parse(bvs_map, {"ion": "Mg2+", "spacing": 0.5, "blocking": "framework"})
        energies = parse(bvse_map, {"ion": "Mg2+", "spacing": 0.5})
        parameters = {"free_volume": {"ion": "Mg2+"}, "bvs": chosen, "bvse": energies, "voids": {"spacing": 0.4}}
        stage = run.stage("1_analysis", parameters)
        references = References("Ions", True, 3, {"MgO": 1.07, "Li2O": 1.0}, 10.0)
        figures = stages.analysis_stage(stage, atoms, setting(None, references=references, model="Ions")).figures()
        with (stage.directory / "voronoi_atoms.csv").open(newline="") as file:
            volumes = [float(row["volume_A3"]) for row in csv.DictReader(file)]
        field, kept = read_field(stage.directory / "bvs.npz")
        site_energy, _ = read_field(stage.directory / "bvse.npz")
    assert sum(volumes) == pytest.approx(atoms.get_volume(), rel=1e-9)
    assert figures["volume_per_anion"] == pytest.approx(atoms.get_volume() / 32, rel=1e-12)
    assert field.parameters["blocking"] == "framework"
    assert np.isnan(field.values).mean() == pytest.approx(figures["bvs"]["framework"]["excluded_fraction"], abs=1e-12)
    assert figures["bvs"]["all"]["excluded_fraction"] > figures["bvs"]["framework"]["excluded_fraction"]
    # one rule for what is free, whoever counts it
    shares = figures["bvs"]["framework"]
    free = shares["under_bonded_fraction_of_cell"] + shares["window_fraction_of_cell"]
    assert figures["spread"]["free_fraction"] == pytest.approx(free, abs=1e-12)
    local = figures["spread"]["local"]
    assert local["mean_A3"] * local["ions"] == pytest.approx(free * atoms.get_volume(), rel=1e-9)
    # what percolates in three directions percolates in one, and at less; the framework leaves more room than all atoms
    for threshold in (*figures["connection"].values(), figures["bvse"]["barriers_eV"]):
        known = [value for value in threshold.values() if value is not None]
        assert known == sorted(known)
    for name, barrier in figures["bvse"]["region_barriers_eV"].items():
        assert barrier is None or 0.0 <= barrier <= figures["bvse"]["barriers_eV"][name]
    voids = figures["voids"]
    assert voids["framework"]["largest_included_radius"] >= voids["all"]["largest_included_radius"]
    assert voids["framework"]["largest_free_radius"] <= voids["framework"]["largest_included_radius"]
    assert figures["bvse"]["minimum_eV"] == site_energy.values.min()
    assert (kept.numbers == atoms.numbers).all()
    mixture = figures["oxide_mixture"]
    assert mixture["volume_per_anion"] == figures["volume_per_anion"]
    assert mixture["model_ratio"] * 1.07 == pytest.approx(mixture["ratio"], rel=1e-12)
    other = figures["free_volume_same_potential"]
    assert other["oxygen_volume"] == pytest.approx(1.07 * 4.212**3 / 8, rel=1e-12)
    assert other["free_volume"] < figures["free_volume"]["free_volume"]  # swollen MgO takes more of it


def test_the_volume_per_anion_counts_every_anion(tmp_path, atoms):
    mixed = atoms.copy()
    oxygen = np.flatnonzero(mixed.symbols == "O")[::2]
    mixed.symbols[oxygen] = "F"
    mixed.arrays["oxidation_states"][oxygen] = -1.0
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        parameters = {
            "free_volume": {"ion": "Mg2+"},
            "bvs": parse(bvs_map, {"ion": "Mg2+", "spacing": 0.8}),
            "bvse": {},
        }
        stage = run.stage("1_analysis", parameters | {"voids": {"spacing": 0.8}})
        found = stages.analysis_stage(stage, mixed, setting(None, model="Ions"))
    assert found.volume_per_anion == pytest.approx(atoms.get_volume() / 32, rel=1e-12)


# continuation


@pytest.mark.parametrize("call", [1, 3, 17, 40, 61, 73, 88, 96])
def test_dynamics_killed_at_any_force_call_end_with_the_same_bytes(tmp_path, atoms, fast_clock, call):
    whole, expected = quench(tmp_path / "whole", atoms, Mortal(), work_of())
    with pytest.raises(Killed):
        quench(tmp_path / "killed", atoms, Mortal(call), work_of())
    stage, figures = quench(tmp_path / "killed", atoms, Mortal(), work_of())
    assert outputs(stage) == outputs(whole)
    assert figures == expected


def test_rows_behind_the_checkpoint_are_cut_before_they_are_written_again(tmp_path, atoms, fast_clock):
    with pytest.raises(Killed):
        quench(tmp_path, atoms, Mortal(40), work_of(10))
    folder = tmp_path / "1_melt_quench"
    rows = (folder / "thermo.csv").read_text().splitlines()
    known = int(read_checkpoint(folder)["sizes"][1])
    assert len((folder / "thermo.csv").read_bytes()) > known  # so there is something to cut
    stage, _ = quench(tmp_path, atoms, Mortal(), work_of(10))
    again = (stage.directory / "thermo.csv").read_text().splitlines()
    assert again[: len(rows)] == rows
    assert [int(row.split(",")[0]) for row in again[1:]] == list(range(0, 71, 2))


@pytest.mark.parametrize("call", [1, 2, 9, 16, 25])
def test_a_relaxation_killed_at_any_force_call_ends_with_the_same_bytes(tmp_path, atoms, fast_clock, call):
    whole, expected = minimise(tmp_path / "whole", atoms, Mortal(), work_of())
    with pytest.raises(Killed):
        minimise(tmp_path / "killed", atoms, Mortal(call), work_of())
    stage, figures = minimise(tmp_path / "killed", atoms, Mortal(), work_of())
    assert outputs(stage) == outputs(whole)
    assert figures == expected


@pytest.mark.parametrize("do", [quench, minimise])
def test_a_stage_stopped_at_every_step_ends_with_the_same_bytes(tmp_path, atoms, do):
    whole, expected = do(tmp_path / "whole", atoms, Mortal(), work_of())
    stops = 0
    while True:
        work = work_of()
        try:
            stage, figures = do(tmp_path / "stopped", atoms, Mortal(2, work), work)
            break
        except Stopped as stopped:
            assert "run the same command again to continue" in str(stopped)
            stops += 1
    assert stops > 10
    assert outputs(stage) == outputs(whole)
    assert figures == expected


def test_a_reference_crystal_stops_within_a_step(tmp_path):
    work = Work()
    work.stop.by = "SIGUSR1"
    with (
        RunDirectory(tmp_path / "run", {}, {}) as run,
        pytest.raises(Stopped, match="stopped by SIGUSR1 at step 0 of MgO, which starts anew; run the same command"),
    ):
        stages.reference_stage(run.stage("1_relax", {"oxides": ("MgO",)}), None, setting(Swelling(80.0), work))


# what is told


def test_a_relaxation_that_ends_too_early_says_so(tmp_path, atoms, caplog):
    _, figures = minimise(tmp_path, atoms, Ions(), Work(), {**MINIMISATION, "max_steps": 2})
    assert (figures["converged"], figures["steps"]) == (False, 2)
    assert "not converged after 2 steps" in caplog.text


def test_without_stress_the_figures_have_none(tmp_path, atoms):
    _, figures = minimise(tmp_path, atoms, Stressless(), Work(), {**MINIMISATION, "cell": "fixed"})
    assert figures["pressure_GPa"] is None
    assert figures["stress_GPa"] == [None] * 6
    assert figures["converged"]


def test_dynamics_without_stress_have_no_pressure(tmp_path, atoms):
    schedule = QuenchSchedule((Segment("melt", "NVT", 2000.0, 2000.0, 0.08), Segment("q", "NVT", 2000.0, 900.0, 0.02)))
    with RunDirectory(tmp_path, {}, {}) as run:
        stage = run.stage("1_melt_quench", {**DYNAMICS, "schedule": schedule})
        found = stages.quench_stage(stage, atoms, setting(Stressless()))
        assert stage.finish(found, started=0.0).figures["melt_pressure_GPa"] is None


def test_progress_counts_the_steps_of_the_earlier_process(tmp_path, atoms, monkeypatch):
    tasks = []

    def task(self, label, total, *, done=0):
        tasks.append((label, total, done))
        return original(self, label, total, done=done)

    original = Progress.task
    monkeypatch.setattr(Progress, "task", task)
    work = Work()
    with pytest.raises(Stopped):
        quench(tmp_path, atoms, Mortal(20, work), work)
    quench(tmp_path, atoms, Ions(), Work())
    assert tasks[0] == ("melt_quench", 70, 0)
    assert tasks[1][2] > 5


# the hand-off to VASP


def test_a_run_waits_for_vasp_and_takes_its_result(tmp_path, atoms):
    with RunDirectory(tmp_path / "run", {}, {}) as run:
        stage = run.stage("1_final_relax", {})
        with pytest.raises(WaitingForVasp, match=r"run VASP in .*1_final_relax/vasp .* run the same command again"):
            stages.vasp_stage(stage, atoms, setting(None, melted=True))
        folder = stage.directory / "vasp"
        assert {"INCAR", "KPOINTS", "POSCAR"} <= {path.name for path in folder.iterdir()}
        (folder / "CONTCAR").write_text("")  # VASP makes it empty at its start
        with pytest.raises(WaitingForVasp):
            stages.vasp_stage(stage, atoms, setting(None, melted=True))
        lines = (folder / "POSCAR").read_text().splitlines()
        lines[1] = str(1.1 * float(lines[1]))
        (folder / "CONTCAR").write_text("\n".join(lines) + "\n")
        figures = stage.finish(stages.vasp_stage(stage, atoms, setting(None, melted=True)), started=0.0).figures
        relaxed = stage.read_structure()
    assert figures["volume_change"] == pytest.approx(1.1**3 - 1, rel=1e-6)
    assert (relaxed.numbers == atoms.numbers).all()
    assert (relaxed.arrays["oxidation_states"] == atoms.arrays["oxidation_states"]).all()
    assert (relaxed.info["supercell"] == atoms.info["supercell"]).all()
