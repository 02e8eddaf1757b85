"""The verb `diffusion`: trajectories in any format, with their times and temperatures."""

import csv
import json
import re

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from walks import leaping

from amorph.analysis.transport import diffusion
from amorph.export.charts import displacements


def frames_of(diffusivity, temperature_K, seed, *, count=80):
    """Li that walk far apart from each other in a host that rattles, wrapped, 0.1 ps apart."""
    rng = np.random.default_rng(seed)
    host = bulk("LiF", "rocksalt", a=20.0, cubic=True).repeat((2, 2, 1))
    host.symbols[host.symbols == "F"] = "O"
    walked = np.cumsum(np.sqrt(0.2 * diffusivity) * rng.normal(size=(count, len(host), 3)), axis=0)
    frames = []
    for k in range(count):
        atoms = host.copy()
        atoms.positions += walked[k] * (host.symbols == "Li")[:, None] + 0.05 * rng.normal(size=(len(host), 3))
        atoms.wrap()
        atoms.info = {"time_ps": 0.1 * k, "target_K": float(temperature_K), "segment": "hold"}
        frames.append(atoms)
    return frames


def dump_of(frames, steps, times=None, images=None):
    """A dump of LAMMPS, each frame at its step and, where they are given, its time and the images of its atoms."""
    text = ""
    for k, (atoms, step) in enumerate(zip(frames, steps, strict=True)):
        text += "" if times is None else f"ITEM: TIME\n{times[k]:.16g}\n"
        text += f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp pp pp\n"
        text += "".join(f"0.0 {length}\n" for length in atoms.cell.lengths())
        text += f"ITEM: ATOMS id element x y z{'' if images is None else ' ix iy iz'}\n"
        for n, (symbol, place) in enumerate(zip(atoms.symbols, atoms.positions, strict=True)):
            flags = "" if images is None else " " + " ".join(map(str, images[k][n]))
            text += f"{n + 1} {symbol} {' '.join(f'{x:.6f}' for x in place)}{flags}\n"
    return text


@pytest.fixture
def files(tmp_path):
    made = []
    for temperature_K, diffusivity in ((700, 0.02), (900, 0.1)):
        made.append(tmp_path / f"{temperature_K}.extxyz")
        ase.io.write(made[-1], frames_of(diffusivity, temperature_K, temperature_K))
    return made


def test_two_temperatures_give_an_activation_energy(amorph, files, tmp_path):
    called = amorph("diffusion", *files, "--charges", "Li=1", "--curves", "curves", "-o", "figure.svg", "--json", "-q")
    found = json.loads(called.out)
    expected = np.log(5.0) / (1 / 700 - 1 / 900) * 8.617333e-5
    low, high = found["activation_energy_interval_95"]
    assert low < expected < high
    assert found["element"] == "Li"
    assert (tmp_path / "figure.svg").stat().st_size > 10_000
    with (tmp_path / "curves" / "displacements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["element"] for row in rows} == {"Li", "O"}


def test_two_trajectories_of_one_temperature_are_two_curves():
    measured = {
        name: diffusion(frames_of(0.1, kelvin, seed), frame_interval_ps=0.1, temperature_K=kelvin)
        for name, kelvin, seed in (("a/700.traj", 700, 0), ("a/900.traj", 900, 1), ("b/900.traj", 900, 2))
    }
    assert displacements(measured).tables.keys() == {
        f"{element}, {name}" for element in ("Li", "O") for name in ("700 K", "a/900.traj", "b/900.traj")
    }


def test_figures_of_one_file_and_a_table(amorph, files):
    found = json.loads(amorph("diffusion", files[1], "--json").out)
    low, high = found["ions"]["Li"]["interval_95"]
    assert low < 0.1e-4 < high
    assert found["temperature_K"] == 900
    assert "at most" in amorph("diffusion", files[1]).out


@pytest.mark.parametrize("name", ["walk.traj", "walk.lammpstrj", "XDATCAR"])
def test_formats_without_times_need_the_interval(amorph, tmp_path, name):
    frames = frames_of(0.1, 900, 3)
    if name == "walk.lammpstrj":  # flags that are 0 in every frame are none: the atoms are wrapped
        (tmp_path / name).write_text(dump_of(frames, EVEN, images=np.zeros((80, len(frames[0]), 3), dtype=int)))
    else:
        for atoms in frames:
            atoms.info = {}
        ase.io.write(tmp_path / name, frames, format="vasp-xdatcar" if name == "XDATCAR" else None)
    called = amorph("diffusion", name)
    assert called.status == 2
    assert "--frame-interval-ps" in called.err
    found = json.loads(amorph("diffusion", name, "--frame-interval-ps", 0.1, "--json").out)
    low, high = found["ions"]["Li"]["interval_95"]
    assert low < 0.1e-4 < high


def test_a_run_with_a_langevin_thermostat_is_refused(amorph, files, tmp_path):
    stage = tmp_path / "run" / "1_melt_quench"
    stage.mkdir(parents=True)
    files[0].rename(stage / "trajectory.extxyz")
    (tmp_path / "run" / "run.toml").write_text(
        '[[melt_quench.schedule.segments]]\nname = "hold"\nensemble = "NVT"\n'
        "start_K = 700\nend_K = 700\nduration_ps = 9\n"
    )
    called = amorph("diffusion", "run")
    assert called.status == 2
    assert "Langevin" in called.err
    assert amorph("diffusion", "run", "--langevin").status == 0
    (tmp_path / "run" / "run.toml").write_text((tmp_path / "run" / "run.toml").read_text().replace("NVT", "NVE"))
    assert "not its target; give --temperature-k" in amorph("diffusion", "run").err
    # the mark of a finished stage knows best, whatever the folder is called
    schedule = {"schedule": {"segments": [{"name": "hold", "ensemble": "NVT"}]}}
    (stage / "stage.json").write_text(json.dumps({"parameters": schedule}))
    assert "Langevin" in amorph("diffusion", "run", "--temperature-k", "640").err
    (stage / "stage.json").unlink()
    assert amorph("diffusion", "run", "--temperature-k", "640").status == 0


def test_a_ramp_is_refused_and_can_be_left_out(amorph, tmp_path):
    frames = frames_of(0.1, 900, 4)
    for atoms in frames[:40]:
        atoms.info["target_K"] = 1200.0
    ase.io.write("ramp.extxyz", frames)
    called = amorph("diffusion", "ramp.extxyz")
    assert called.status == 2
    assert "1200 to 900 K" in called.err
    assert json.loads(amorph("diffusion", "ramp.extxyz", "--skip-ps", 4, "--json").out)["temperature_K"] == 900


def test_an_interval_that_the_file_contradicts_is_refused(amorph, files):
    refused = amorph("diffusion", files[0], "--frame-interval-ps", 1.0)
    assert refused.status == 2
    assert "the file says 0.1 ps" in refused.err


EVEN = [100 * k for k in range(80)]
SPARSER = [*EVEN[:40], *(4900 + 1000 * k for k in range(40))]


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (SPARSER, r"100 to 1000 steps apart .*frame 39 is of 3900, frame 40 of 4900"),
        ([*EVEN[:41], *EVEN[40:79]], r"0 to 100 steps apart .*frame 40 is of 4000, frame 41 of 4000"),
        ([*EVEN[:50], *EVEN[20:50]], r"-2900 to 100 steps apart .*frame 49 is of 4900, frame 50 of 2000"),
        ([1_000_000_000 + step for step in SPARSER], r"of 1000003900, frame 40 of 1000004900"),
    ],
    ids=["sparser", "repeated", "gone-back", "many"],
)
def test_steps_that_lie_unequally_are_refused_whatever_interval_is_given(amorph, tmp_path, steps, named):
    (tmp_path / "walk.lammpstrj").write_text(dump_of(frames_of(0.1, 900, 3), steps))
    called = amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.1)
    assert called.status == 2
    assert "walk.lammpstrj: " in called.err
    assert re.search(named, called.err)
    assert called.err.count("\n") == 1


def test_the_times_of_a_dump_count_before_its_steps(amorph, tmp_path):
    """`fix dt/reset` changes what a step is: equal steps are no equal times, and equal times no equal steps."""
    frames = frames_of(0.1, 900, 3)
    (tmp_path / "even.lammpstrj").write_text(dump_of(frames, SPARSER, [0.1 * k for k in range(80)]))
    (tmp_path / "uneven.lammpstrj").write_text(dump_of(frames, EVEN, [0.001 * step for step in SPARSER]))
    assert amorph("diffusion", "even.lammpstrj", "--frame-interval-ps", 0.1).status == 0
    called = amorph("diffusion", "uneven.lammpstrj", "--frame-interval-ps", 0.1)
    assert called.status == 2
    assert "0.1 to 1 units of time" in called.err


@pytest.mark.parametrize(("key", "status"), [("Timestep", 2), ("Time", 2), ("timestep", 2), ("energy", 0)])
def test_extended_xyz_says_its_steps_as_lammps_writes_them(amorph, tmp_path, key, status):
    frames = frames_of(0.1, 900, 3)
    for atoms, step in zip(frames, SPARSER, strict=True):
        atoms.info = {key: step}
    ase.io.write("walk.extxyz", frames)
    assert amorph("diffusion", "walk.extxyz", "--frame-interval-ps", 0.1).status == status


def test_image_flags_keep_steps_of_any_length(amorph, tmp_path):
    """Leaps of 0.45, 0.7 and 1.3 of the cell: without flags the first is refused, the others would be short ones."""
    fractions = leaping(80, np.random.default_rng(9))
    frames = [Atoms("Li3O", cell=[8.0, 9.0, 10.0], scaled_positions=f % 1.0, pbc=True) for f in fractions]
    (tmp_path / "flags.lammpstrj").write_text(dump_of(frames, EVEN, images=np.floor(fractions).astype(int)))
    (tmp_path / "none.lammpstrj").write_text(dump_of(frames, EVEN))
    assert amorph("diffusion", "flags.lammpstrj", "--frame-interval-ps", 0.1, "--curves", ".").status == 0
    with (tmp_path / "displacements.csv").open() as file:
        shortest = next(row for row in csv.DictReader(file) if row["element"] == "Li")
    steps = np.diff(fractions * [8.0, 9.0, 10.0], axis=0)
    masses = frames[0].get_masses()
    steps -= np.einsum("a,fax->fx", masses / masses.sum(), steps)[:, None]
    assert float(shortest["lag_ps"]) == pytest.approx(0.1)
    assert float(shortest["msd_A2"]) == pytest.approx((steps[:, :3] ** 2).sum(axis=2).mean(), rel=1e-5)
    called = amorph("diffusion", "none.lammpstrj", "--frame-interval-ps", 0.1)
    assert called.status == 2
    assert "0.45 of a lattice vector" in called.err


def test_a_last_frame_off_the_beat_is_left_out_and_a_clock_that_stands_still_is_none(amorph, tmp_path):
    frames = frames_of(0.1, 900, 3)
    whole = []
    for steps in ([*EVEN[:79], 7801], EVEN, [0] * 80):
        (tmp_path / "walk.lammpstrj").write_text(dump_of(frames, steps))
        whole.append(json.loads(amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.1, "--json").out))
    assert [found["duration_ps"] for found in whole] == pytest.approx([7.8, 7.9, 7.9])


def test_a_frame_that_comes_twice_counts_once(amorph, tmp_path):
    """As where a run was continued: the last frame before and the first after it are the same."""
    frames = frames_of(0.1, 900, 3)
    (tmp_path / "once.lammpstrj").write_text(dump_of(frames, EVEN))
    (tmp_path / "twice.lammpstrj").write_text(dump_of([*frames[:41], *frames[40:]], [*EVEN[:41], *EVEN[40:]]))
    once, twice = (
        json.loads(amorph("diffusion", f"{name}.lammpstrj", "--frame-interval-ps", 0.1, "--json").out)
        for name in ("once", "twice")
    )
    assert once["ions"] == twice["ions"]


def test_frames_off_the_beat_at_the_start_can_be_skipped(amorph, tmp_path):
    """`dump_modify first yes` after a minimisation of 57 steps."""
    (tmp_path / "walk.lammpstrj").write_text(dump_of(frames_of(0.1, 900, 3), [57, *EVEN[1:]]))
    assert amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.1).status == 2
    skipped = amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.1, "--skip-ps", 0.1, "--json")
    assert json.loads(skipped.out)["duration_ps"] == pytest.approx(7.8)


def test_image_flags_that_are_set_back_move_no_atom(amorph, tmp_path):
    """None of these atoms comes near a face."""
    frames = frames_of(0.1, 900, 3)
    for atoms in frames:
        atoms.positions += 5.0
        atoms.wrap()
    images = np.ones((80, len(frames[0]), 3), dtype=int)
    images[40:] = 0
    (tmp_path / "none.lammpstrj").write_text(dump_of(frames, EVEN))
    (tmp_path / "back.lammpstrj").write_text(dump_of(frames, EVEN, images=images))
    none, back = (
        json.loads(amorph("diffusion", f"{name}.lammpstrj", "--frame-interval-ps", 0.1, "--json").out)
        for name in ("none", "back")
    )
    crossed = back["ions"]["O"]["msd_A2"] / none["ions"]["O"]["msd_A2"]
    assert crossed == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("again", [0, 1], ids=["goes on", "begins with the last frame"])
@pytest.mark.parametrize("at", [40, 41])
def test_image_flags_of_a_restart_go_on_from_those_before(amorph, tmp_path, again, at):
    """Atoms at a face cross it in every frame, in the first of the restart too."""
    frames = frames_of(0.1, 900, 3)
    places = np.array([atoms.cell.scaled_positions(atoms.positions) for atoms in frames])
    images = np.cumsum(-np.round(np.diff(places, axis=0, prepend=places[:1])), axis=0).astype(int)
    last = at - again
    restarted = [*images[:at], *(images[last:] - images[at - 1])]
    (tmp_path / "whole.lammpstrj").write_text(dump_of(frames, EVEN, images=images))
    (tmp_path / "restarted.lammpstrj").write_text(
        dump_of([*frames[:at], *frames[last:]], [*EVEN[:at], *EVEN[last:]], images=restarted)
    )
    whole, restarted = (
        json.loads(amorph("diffusion", f"{name}.lammpstrj", "--frame-interval-ps", 0.1, "--json").out)["ions"]
        for name in ("whole", "restarted")
    )
    for element in ("Li", "O"):
        assert restarted[element]["msd_A2"] == pytest.approx(whole[element]["msd_A2"], rel=1e-6)


def test_a_trajectory_given_twice_is_refused(amorph, files):
    refused = amorph("diffusion", files[0], files[1], files[0])
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert f"{files[0]} is given twice" in refused.err


def test_frames_with_and_without_times_are_no_trajectory(amorph, tmp_path):
    frames = frames_of(0.1, 900, 3)
    for atoms in frames[50:]:
        del atoms.info["time_ps"]
    ase.io.write("walk.extxyz", frames)
    called = amorph("diffusion", "walk.extxyz", "--frame-interval-ps", 0.1)
    assert called.status == 2
    assert "50 of 80 frames" in called.err


def test_a_temperature_without_diffusion_loses_the_line_and_nothing_else(amorph, files, tmp_path):
    still = frames_of(0.0, 700, 5)
    ase.io.write("still.extxyz", still)
    told = amorph("diffusion", files[1], "still.extxyz", "--curves", "curves")
    assert told.status == 0
    assert "no activation energy: Li is seen to diffuse at 1 temperature" in told.err
    assert (tmp_path / "curves" / "displacements.csv").exists()
    assert amorph("diffusion", files[1], "still.extxyz", "--element", "Na").status == 2


@pytest.mark.parametrize(("units", "unit_ps"), [("metal", 1.0), ("real", 1e-3), ("lj", None)])
def test_the_times_of_a_dump_that_says_its_units_are_taken(amorph, tmp_path, units, unit_ps):
    times = [0.1 * k / (unit_ps or 1.0) for k in range(80)]
    text = f"ITEM: UNITS\n{units}\n" + dump_of(frames_of(0.1, 900, 3), EVEN, times)
    (tmp_path / "walk.lammpstrj").write_text(text)
    called = amorph("diffusion", "walk.lammpstrj", "--json")
    if unit_ps is None:
        assert called.status == 2
        assert "is in LAMMPS's units lj, whose lengths are no Å" in called.err
    else:
        assert json.loads(called.out)["frame_interval_ps"] == pytest.approx(0.1)
        refused = amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.5)
        assert refused.status == 2
        assert "the file says 0.1 ps" in refused.err


def test_an_element_that_is_not_there_is_refused_of_one_file_too(amorph, files):
    refused = amorph("diffusion", files[0], "--element", "Na")
    assert refused.status == 2
    assert "element = 'Na' is not there; the elements are Li, O" in refused.err


def test_a_temperature_that_contradicts_the_file_and_charges_without_one_are_told(amorph, files, tmp_path):
    called = amorph("diffusion", files[0], "--temperature-k", 1000, "--json")
    assert json.loads(called.out)["temperature_K"] == 1000.0
    assert "1000 K is given and counts, where the file says 700 K" in called.err
    (tmp_path / "walk.lammpstrj").write_text(dump_of(frames_of(0.1, 900, 3), EVEN))
    bare = amorph("diffusion", "walk.lammpstrj", "--frame-interval-ps", 0.1, "--charges", "Li=1")
    assert bare.status == 0
    assert "give --temperature-k" in bare.err


def test_charges_together_are_printed_below_those_of_each_element(amorph, files):
    assert "all charges together" not in amorph("diffusion", files[1], "--charges", "Li=1").out
    neutral = amorph("diffusion", files[1], "--charges", "Li=1", "O=-1").out
    assert "conductivity of all charges together" in neutral
