"""The motion of the ion in a study: what it finds, what it says of the host, and that it continues."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from dying import Runs
from toy_run import BRIEF, assert_same, content, written
from toys import Ions, Springs

from amorph.figures import restored
from amorph.pipeline import Setting, resolve
from amorph.pipeline.mobility import MOBILITY, activation_stage, at_temperature, mobility_stage
from amorph.pipeline.order import stages_of
from amorph.pipeline.results import Mobility
from amorph.rocksalt import build
from amorph.run import RunDirectory, Work, write_json

TABLE = {
    "temperatures_K": [300, 600.0],
    "duration_ps": 0.08,
    "equilibration_ps": 0.02,
    "sample_every": 1,
}
LEAST = {"build": {"composition": "Li2Ti1/3Mo2/3O3", "lattice_constant": 4.2}}


def table(**changes):
    return resolve({**LEAST, "diffusion": TABLE | changes})["diffusion"]


class Killed(BaseException):
    """Stands for the end of the process."""


class Mortal(Ions):
    """Dies at a force call."""

    def __init__(self, at=math.inf):
        super().__init__()
        self.at = at

    def evaluate(self, atoms):
        if self.evaluations == self.at:
            raise Killed
        return super().evaluate(atoms)


class Sinking(Springs):
    """Springs whose energy sinks by 10 meV at each step."""

    last, steps = None, 0

    def evaluate(self, atoms):
        energy, forces, stress = super().evaluate(atoms)
        self.steps += not np.array_equal(atoms.positions, self.last)
        self.last = atoms.positions.copy()
        return energy - 0.01 * self.steps, forces, stress


class Loose(Springs):
    """Every atom on a spring, but for those of one element, which fly."""

    def __init__(self, atoms, free):
        super().__init__(atoms.positions, 5.0)
        self.free = atoms.symbols == free

    def evaluate(self, atoms):
        u = np.where(self.free[:, None], 0.0, atoms.positions - self.sites)
        return 0.5 * self.stiffness * float((u**2).sum()), -self.stiffness * u, np.zeros((3, 3))


@pytest.fixture
def atoms():
    return build("MgO", supercell=(2, 2, 2), lattice_constant=4.3, rng=np.random.default_rng(0)).atoms


def move(directory, atoms, calculator, *, kelvin=300.0, work=None, mobile=frozenset(), **changes):
    with RunDirectory(directory, {}, {}) as run:
        stage = run.stage("1_diffusion_300K", at_temperature(table(**changes), kelvin, "Mg2+"))
        setting = Setting(calculator, work or Work(), lambda _: np.random.default_rng(1), melted=False)
        return stage, stage.finish(mobility_stage(stage, atoms, setting, mobile=mobile), started=0.0).figures


# known answers


def test_ions_on_springs_do_not_diffuse_and_their_host_stands(tmp_path, atoms):
    _, figures = move(
        tmp_path, atoms, Springs(atoms.positions, 5.0), duration_ps=3.0, equilibration_ps=1.0, sample_every=4
    )
    assert figures["diffusivity_cm2_s"] is None
    assert figures["upper_limit_cm2_s"] > 0.0
    assert figures["survives"]
    assert figures["temperature_K"] == 300.0
    # 3/2 kT of each atom, whose sum over 3N springs is known to √(2/3N), a hundred correlated frames of it to less
    assert abs(figures["energy_change_meV"]) < 0.2 * 1.5 * 25.85
    # u² = 3 kT/k of O, and the same again where a frame is seen from the sites: kT = 0.02585 eV
    assert figures["host_moved_A2"] == {"O": pytest.approx(3 * 0.02585 / 5.0, rel=0.35)}
    # √(2/189) of one frame, of which some fifteen are independent: three standard errors
    assert figures["measured_K"] == pytest.approx(300.0, rel=0.08)


def test_a_structure_that_settles_shows_it_in_its_energy(tmp_path, atoms):
    """The last quarter lies three quarters of the time after the first: of 80 steps, 60 of 10 meV."""
    stiff = Sinking(atoms.positions, 5.0)
    _, figures = move(tmp_path, atoms, stiff, kelvin=1.0, duration_ps=0.16, timestep_fs=2.0, sample_every=2)
    assert figures["energy_change_meV"] == pytest.approx(-10.0 * 60 / len(atoms), rel=0.1)


def test_a_host_whose_atoms_fly_does_not_survive(tmp_path, atoms):
    _, figures = move(tmp_path, atoms, Loose(atoms, "O"), duration_ps=0.17)
    # √(3 kT/m) is 6.8 Å/ps, and 0.13 ps lie between the quarters: 0.2 of Maxwell's atoms come beyond half of 2.15 Å
    assert not figures["survives"]
    assert figures["host_displaced"]["O"] == pytest.approx(0.2, abs=0.14)
    assert figures["reason"].startswith(f"{figures['host_displaced']['O']:.0%} of O ")
    _, figures = move(tmp_path / "ion", atoms, Loose(atoms, "Mg"), duration_ps=0.17)
    assert figures["survives"]
    assert figures["host_displaced"] == {"O": 0.0}


@pytest.mark.parametrize(("flying", "stands"), [(1, True), (2, False)])
def test_a_single_hop_is_no_broken_host(tmp_path, atoms, flying, stands):
    """One of eight Ti is more than 5 % of them, and says nothing of a network."""
    places = np.flatnonzero(atoms.symbols == "O")
    atoms.symbols[places[:8]] = "Ti"
    springs = Loose(atoms, "Ti")
    springs.free[places[flying:8]] = False
    _, figures = move(tmp_path, atoms, springs, kelvin=3000.0, duration_ps=0.34)
    assert figures["host_displaced"]["Ti"] == flying / 8
    assert figures["survives"] is stands


def test_ions_that_the_exchange_left_behind_are_no_host(tmp_path, atoms):
    atoms.symbols[np.flatnonzero(atoms.symbols == "Mg")[:4]] = "Li"
    _, figures = move(tmp_path / "host", atoms, Loose(atoms, "Li"), duration_ps=0.17)
    assert not figures["survives"]
    _, figures = move(tmp_path / "left", atoms, Loose(atoms, "Li"), duration_ps=0.17, mobile={"Li"})
    assert figures["survives"]
    assert figures["host_displaced"].keys() == figures["host_moved_A2"].keys() == {"O"}


def mobility(kelvin, diffusivity, *, measured=None, survives=True):
    judged = {"verdict": "amorphous", "reason": "", "parent_order": None, "parent_order_limit": 0.1, "solid_share": 0.0}
    judged |= {"n_frames": 1, "anions": ["O"], "melted": None, "space_group": None, "bragg_peak": None}
    judged |= dict.fromkeys(("bragg_peak_limit", "mean_square_displacement", "required_displacement"))
    found = {
        "model": "Toy",
        "element": "Mg",
        "temperature_K": kelvin,
        "measured_K": measured or kelvin,
        "duration_ps": 1.0,
    }
    found |= {"diffusivity_cm2_s": diffusivity, "standard_error": None if diffusivity is None else 0.1 * diffusivity}
    found |= {
        "interval_95": None,
        "upper_limit_cm2_s": 1e-8,
        "conductivity_S_per_cm": None,
        "host_moved_A2": {},
        "host_displaced": {},
    }
    return found | {"survives": survives, "reason": "", "crystallinity": judged}


def activation(directory, *measured):
    with RunDirectory(directory, {}, {}) as run:
        inputs = {}
        for number, one in enumerate(measured):
            inputs[f"diffusion_{number}"] = directory / f"{number}.json"
            write_json(inputs[f"diffusion_{number}"], restored(Mobility, one).figures())
        stage = run.stage("2_activation", {"ion": "Mg2+"}, inputs)
        return activation_stage(stage, None, Setting(None, Work(), None))


def test_the_line_goes_through_the_temperatures_that_the_host_survives(tmp_path):
    kT = {kelvin: 8.617333e-5 * kelvin for kelvin in (800.0, 1000.0, 1200.0)}
    points = [mobility(kelvin, 1e-3 * np.exp(-0.5 / value)) for kelvin, value in kT.items()]
    found = activation(tmp_path, *points, mobility(600.0, None), mobility(2000.0, 1.0, survives=False))
    assert found.line.activation_energy_eV == pytest.approx(0.5, rel=1e-6)
    assert found.line.diffusivity_300K_cm2_s == pytest.approx(1e-3 * np.exp(-0.5 / (8.617333e-5 * 300)), rel=1e-5)
    assert (
        found.line.left_out_K == found.line.passed_K == (600.0,)
    )  # the line is at 6e-8 cm²/s there, the limit at 1e-8
    assert found.fallen_K == [2000.0]
    assert next(row.figure for row in found.rows()) == "activation energy of Mg"


def test_several_runs_at_a_temperature_are_one_point_of_the_line(tmp_path):
    """Their mean, at their mean temperature; one without diffusion or host takes the temperature out."""
    found = activation(
        tmp_path,
        *(mobility(1000.0, 1e-6, measured=995.0), mobility(1000.0, 3e-6, measured=1005.0)),
        *(mobility(2000.0, 3e-5), mobility(2000.0, 5e-5)),
        *(mobility(600.0, 1e-7), mobility(600.0, None)),
        *(mobility(3000.0, 1e-4), mobility(3000.0, 1e-4, survives=False)),
    )
    assert found.line.temperatures_K == (1000.0, 2000.0)
    assert found.line.activation_energy_eV == pytest.approx(np.log(20.0) * 8.617333e-5 * 2000.0, rel=1e-6)
    assert (found.line.left_out_K, found.fallen_K) == ((600.0,), [3000.0])
    # the spread of two runs is 0.5 and 0.25 of their means, more than their own errors
    low, high = found.line.activation_energy_interval_95
    assert high - low == pytest.approx(2 * 1.96 * np.hypot(0.5, 0.25) * 8.617333e-5 * 2000.0, rel=1e-3)


def test_runs_at_one_temperature_make_no_line_however_hot_each_was(tmp_path):
    found = activation(tmp_path, mobility(1000.0, 1e-6, measured=990.0), mobility(1000.0, 2e-6, measured=1010.0))
    assert "1 temperature" in found.reason


def test_one_temperature_makes_no_line_and_says_why(tmp_path):
    found = activation(tmp_path, mobility(600.0, 1e-6), mobility(2000.0, 1.0, survives=False))
    assert found.line is None
    assert "1 temperature" in found.reason
    assert found.rows() == []


def test_temperatures_too_near_each_other_make_no_line_at_room_temperature(tmp_path):
    found = activation(tmp_path, mobility(1000.0, 1.0e-6), mobility(1000.5, 1.001e-6))
    assert found.line is None or np.isfinite(found.line.diffusivity_300K_interval_95).all()


# the stages of a study


def names(study, part):
    return [record.name for record in stages_of(study, part)]


def test_a_study_moves_its_ion_where_it_has_the_table():
    moving = ["diffusion_300K", "diffusion_600K", "activation"]
    study = resolve({**LEAST, "diffusion": TABLE})
    assert names(study, "exchanged")[-3:] == moving
    assert names(study, "host") == moving
    assert [stage.parameters(study)["ion"] for stage in stages_of(study, "exchanged", "host")[-6:]] == ["Mg2+"] * 3 + [
        "Li+"
    ] * 3
    still = resolve(LEAST)
    assert (names(still, "exchanged")[-1], names(still, "host")) == ("export", [])
    twice = resolve({**LEAST, "diffusion": TABLE | {"seeds": 2}})
    assert names(twice, "host") == [
        *("diffusion_300K", "diffusion_600K", "diffusion_300K_2", "diffusion_600K_2"),
        "activation",
    ]
    assert len(stages_of(twice, "host")[-1].reads) == 4
    half = resolve({**LEAST, "substitute": {"fraction": 0.5}, "diffusion": TABLE})
    mobile = [stage.work.keywords["mobile"] for stage in stages_of(half, "exchanged", "host") if "K" in stage.name]
    assert mobile == [{"Mg", "Li"}] * 2 + [{"Li"}] * 2
    emptied = resolve({**LEAST, "substitute": {"by": "vacancy"}, "diffusion": TABLE})
    assert (names(emptied, "exchanged")[-1], names(emptied, "host")) == ("export", moving)
    alone = resolve({**LEAST, "diffusion": TABLE | {"host": False}})
    assert (names(alone, "exchanged")[-1], names(alone, "host")) == ("activation", [])


# continuation


@pytest.mark.parametrize("call", [1, 9, 10, 11, 30, 49])
def test_motion_killed_at_any_force_call_ends_with_the_same_bytes(tmp_path, atoms, monkeypatch, call):
    clock = SimpleNamespace(monotonic=itertools.count(0.0, 1.0).__next__)
    monkeypatch.setattr("amorph.run.checkpoints.time", clock)
    atoms.rattle(0.05, seed=3)
    whole, expected = move(tmp_path / "whole", atoms, Mortal())
    work = Work(checkpoint_minutes=5 / 60.0)
    with pytest.raises(Killed):
        move(tmp_path / "killed", atoms, Mortal(call), work=work)
    stage, figures = move(tmp_path / "killed", atoms, Mortal(), work=work)
    assert figures == expected
    files = ("trajectory.extxyz", "thermo.csv", MOBILITY)
    assert [(stage.directory / name).read_bytes() for name in files] == [
        (whole.directory / name).read_bytes() for name in files
    ]


@pytest.mark.slow
def test_a_whole_run_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    table = TABLE | {"temperatures_K": [600.0], "seeds": 2}
    text = BRIEF + "\n[diffusion]\n" + "\n".join(f"{key} = {value}" for key, value in table.items())
    study = written(tmp_path / "study.toml", text)
    random, statuses = np.random.default_rng(0), []
    with Runs() as runs:
        assert runs(study, tmp_path / "whole").status == 4  # the brief toy is no glass
        while not statuses or (statuses[-1] < 0 and len(statuses) < 60):
            die = ("call", int(random.integers(30, 250)))
            statuses.append(runs(study, tmp_path / "killed", die=die).status)
    assert statuses[-1] == 4, statuses
    assert len(statuses) > 5
    files = content(tmp_path / "whole")
    assert {"8_export", "9_diffusion_600K", "10_diffusion_600K_2", "11_activation", "host", "crystal"} < {
        name.split("/")[0] for name in files
    }
    assert_same(content(tmp_path / "killed"), files)


# errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration_ps": 0.05}, r"duration_ps = 0\.05 in \[diffusion\] leaves 25 frames to measure, and 32 are"),
        ({"temperatures_K": [0]}, r"temperatures_K\[0\] = 0"),
        ({"temperatures_K": []}, r"temperatures_K = \[\] .*at least 1 item"),
        ({"temperatures_K": [1000, 1000.0001]}, "has one twice"),
        ({"thermostat": "Langevin"}, "thermostat = 'Langevin'"),
        ({"timestep": 1.0}, "unknown key 'timestep'"),
    ],
)
def test_impossible_tables(changes, message):
    with pytest.raises(ValueError, match=message):
        table(**changes)
