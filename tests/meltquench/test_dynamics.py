"""Dynamics against closed forms, conservation laws and itself stopped and continued."""

import io
from dataclasses import asdict

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.constraints import FixAtoms
from hypothesis import given, settings, strategies as st
from toys import LennardJones, Springs, Toy

from amorph.chgnet import CHGNetCalculator
from amorph.meltquench import DynamicsState, QuenchSchedule, Segment
from amorph.meltquench.dynamics import dynamics

PS = 1000.0 * units.fs


def rng(seed=0):
    return np.random.default_rng(seed)


def argon(repeat=2, a=5.4):
    return bulk("Ar", "fcc", a=a, cubic=True) * (repeat, repeat, repeat)


def sheared(atoms):
    atoms = atoms.copy()
    shear = np.array([[1.0, 0.08, 0.03], [0.0, 1.0, -0.05], [0.0, 0.0, 1.0]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return atoms


def one(ensemble, kelvin=60.0, ps=0.1, *, end=None, pressure=0.0, **constants):
    return QuenchSchedule((Segment("one", ensemble, kelvin, end or kelvin, ps, pressure),), **constants)


def arrays_of(frame):
    return frame.atoms.get_positions(), frame.atoms.get_momenta(), frame.atoms.cell.array.copy()


# closed form


def test_langevin_springs_sample_the_canonical_ensemble():
    # Eight atoms: counting 3N instead of 3N − 3 degrees of freedom would be wrong by 14 %.
    crystal, stiffness, kelvin = argon(1).repeat((2, 1, 1)), 0.5, 400.0
    n, kT = len(crystal), 400.0 * units.kB
    kinetic, potential = [], []
    for frame in dynamics(
        crystal, Springs(crystal.positions, stiffness), one("NVT", kelvin, 16.0, timestep_fs=2.0), rng=rng()
    ):
        if frame.step > 500:
            kinetic.append(frame.atoms.get_kinetic_energy())
            potential.append(frame.atoms.calc.results["energy"])
    freedom = 3 * n - 3
    # Kinetic energy decorrelates in about 10 steps: 750 samples of relative spread sqrt(2/21) make 1.1 %.
    assert np.mean(kinetic) == pytest.approx(freedom * kT / 2, rel=0.03)
    assert np.mean(potential) == pytest.approx(freedom * kT / 2, rel=0.05)
    assert np.var(kinetic) == pytest.approx(freedom * kT**2 / 2, rel=0.15)


def test_the_velocity_of_an_atom_is_maxwell_distributed_at_the_start():
    crystal = argon(5)
    frame = next(dynamics(crystal, Springs(crystal.positions, 1.0), one("NVT", 300.0), rng=rng()))
    velocities = frame.atoms.get_velocities() / np.sqrt(300.0 * units.kB / frame.atoms.get_masses()[0])
    # 1500 samples: standard errors 0.037 of the variance, 0.13 of the fourth moment.
    assert velocities.var() == pytest.approx(1.0, abs=0.1)
    assert (velocities**4).mean() == pytest.approx(3.0, abs=0.4)


def test_damping_of_a_free_drift_is_exponential():
    # At 0 K without forces each velocity decays as exp(−t/τ).
    crystal = argon(1)
    schedule = QuenchSchedule(
        (Segment("start", "NVT", 300.0, 300.0, 0.001), Segment("cool", "NVT", 0.0, 0.0, 0.02)), damping_time_ps=0.02
    )
    frames = [
        (frame.step, frame.atoms.get_momenta())
        for frame in dynamics(crystal, Springs(crystal.positions, 0.0), schedule, rng=rng())
    ]
    first, last = frames[1][1], frames[21][1]
    # The propagator is of second order in the friction: (1 fs/20 fs)² over 20 steps.
    assert last == pytest.approx(first * np.exp(-1.0), rel=3e-3)


def test_pressure_has_the_ideal_gas_part_and_the_virial_stands_beside_it():
    crystal = argon(2)
    thermo = next(dynamics(crystal, Springs(crystal.positions, 1.0), one("NVT", 3000.0), rng=rng())).thermo()
    volume = crystal.get_volume()
    assert thermo.virial_pressure_GPa == 0.0
    assert thermo.pressure_GPa == pytest.approx((32 - 1) * units.kB * thermo.temperature_K / volume / units.GPa)
    assert thermo.kinetic_energy_eV == pytest.approx(1.5 * 31 * units.kB * thermo.temperature_K)
    assert thermo.total_energy_eV == thermo.potential_energy_eV + thermo.kinetic_energy_eV
    assert thermo.volume_A3 == pytest.approx(volume)


def test_the_target_follows_the_ramp_at_every_step():
    schedule = QuenchSchedule(
        (Segment("melt", "NVT", 1000.0, 1000.0, 0.002), Segment("quench", "NVT", 1000.0, 200.0, 0.004))
    )
    crystal = argon(1)
    frames = list(dynamics(crystal, Springs(crystal.positions, 1.0), schedule, rng=rng()))
    assert [frame.step for frame in frames] == list(range(7))
    assert [frame.segment for frame in frames] == ["melt"] * 3 + ["quench"] * 4
    assert [frame.target_K for frame in frames] == [1000.0, 1000.0, 1000.0, 800.0, 600.0, 400.0, 200.0]
    assert [frame.time_ps for frame in frames] == pytest.approx([0.001 * step for step in range(7)])


@pytest.mark.parametrize("ensemble", ["NVT", pytest.param("NPT", marks=pytest.mark.slow)])
def test_temperature_follows_a_slow_ramp(ensemble):
    pressure = 0.1 if ensemble == "NPT" else 0.0
    schedule = one(ensemble, 60.0, 10.0, end=20.0, pressure=pressure, timestep_fs=5.0, barostat_time_ps=0.5)
    kelvin = [
        2 * frame.atoms.get_kinetic_energy() / (93 * units.kB)
        for frame in dynamics(argon(2), LennardJones(cutoff=6.0), schedule, rng=rng())
    ]
    half = len(kelvin) // 2
    # The mean over a stretch of a linear ramp is the mean of its ends. The first quarter goes into potential energy.
    # 2.5 ps hold some 50 independent samples of relative spread sqrt(2/93): 2 %.
    assert np.mean(kelvin[half // 2 : half]) == pytest.approx(45.0, rel=0.07)
    assert np.mean(kelvin[half:]) == pytest.approx(30.0, rel=0.05)


# conservation


def energy_spread(timestep_fs):
    schedule = one("NVE", 60.0, 2.0, timestep_fs=timestep_fs)
    frames = dynamics(sheared(argon(2)), LennardJones(cutoff=6.0), schedule, rng=rng())
    return np.std([frame.thermo().total_energy_eV for frame in frames])


def test_nve_conserves_energy_to_second_order():
    coarse, fine = energy_spread(16.0), energy_spread(8.0)
    assert fine < 1e-4
    assert coarse / fine == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize("ensemble", ["NVT", "NPT", "NVE", "Bussi"])
def test_the_centre_of_mass_rests(ensemble):
    # Springs pull on the whole; all kinds of dynamics hold it against that.
    crystal = Atoms("Ar4Kr4", positions=argon(1).repeat((2, 1, 1)).positions, cell=[10.8, 5.4, 5.4], pbc=True)
    calculator = Springs(crystal.positions + np.array([0.3, 0.0, 0.0]), 0.5)
    for frame in dynamics(crystal, calculator, one(ensemble, 300.0, 0.1), rng=rng()):
        # Rounding of eight momenta of order 10 in ASE units.
        assert abs(frame.atoms.get_momenta().sum(axis=0)).max() < 1e-12
        if ensemble != "NPT":
            assert frame.atoms.get_center_of_mass() == pytest.approx(crystal.get_center_of_mass(), abs=1e-12)


def test_a_ramp_draws_no_velocities():
    # A thermostat too weak to matter leaves plain Newtonian motion through every boundary.
    weak = {"damping_time_ps": 1e12, "timestep_fs": 5.0}
    ramp = QuenchSchedule(
        (
            Segment("a", "NVT", 60.0, 60.0, 0.1),
            Segment("b", "NVT", 60.0, 10.0, 0.1),
            Segment("c", "NVT", 90.0, 9.0, 0.1),
        ),
        **weak,
    )
    newton = one("NVE", 60.0, 0.3, timestep_fs=5.0)
    *_, thermostatted = dynamics(argon(2), LennardJones(cutoff=6.0), ramp, rng=rng())
    *_, free = dynamics(argon(2), LennardJones(cutoff=6.0), newton, rng=rng())
    # Noise of relative size sqrt(2 dt/τ) = 1e-7 per step over 60 steps.
    assert thermostatted.atoms.positions == pytest.approx(free.atoms.positions, abs=1e-6)


def test_one_evaluation_a_step():
    for ensemble in ("NVT", "NVE", "NPT", "Bussi"):
        calculator = LennardJones(cutoff=6.0)
        list(dynamics(argon(1), calculator, one(ensemble, ps=0.02), rng=rng()))
        assert calculator.evaluations == 21


def test_a_row_of_thermodynamics_costs_one_evaluation():
    calculator = LennardJones(cutoff=6.0)
    for frame in dynamics(argon(1), calculator, one("NVT", ps=0.02), rng=rng()):
        if frame.step % 10 == 0:
            frame.thermo()
    assert calculator.evaluations == 21 + 3


# invariance


@pytest.mark.parametrize("ensemble", ["NVT", "NPT", "NVE", "Bussi"])
def test_the_same_seed_gives_the_same_bytes(ensemble):
    def last(seed):
        *_, frame = dynamics(sheared(argon(2)), LennardJones(cutoff=6.0), one(ensemble), rng=rng(seed))
        return arrays_of(frame)

    for first, second in zip(last(1), last(1), strict=True):
        assert first.tobytes() == second.tobytes()
    assert not np.array_equal(last(1)[0], last(2)[0])


def test_the_input_is_not_touched():
    crystal = argon(1)
    crystal.set_momenta(np.ones((4, 3)))
    before = crystal.copy()
    list(dynamics(crystal, LennardJones(cutoff=6.0), one("NPT", ps=0.01), rng=rng()))
    assert crystal == before
    assert crystal.calc is None
    assert np.array_equal(crystal.get_momenta(), before.get_momenta())


def test_a_snapshot_is_free_of_the_run():
    frames = dynamics(argon(1), LennardJones(cutoff=6.0), one("NVT", ps=0.01), rng=rng())
    first = next(frames)
    snapshot, positions = first.snapshot(), first.atoms.get_positions()
    list(frames)
    assert np.array_equal(snapshot.positions, positions)
    assert snapshot.calc is None
    assert not snapshot.constraints


MIXED = QuenchSchedule(
    (
        Segment("heat", "NVT", 20.0, 80.0, 0.035),
        Segment("press", "NPT", 80.0, 80.0, 0.035, 0.1),
        Segment("cool", "NPT", 80.0, 40.0, 0.035, 0.0),
        Segment("watch", "NVE", 40.0, 40.0, 0.035),
        Segment("hold", "NVT", 40.0, 40.0, 0.035),
        Segment("rescale", "Bussi", 40.0, 60.0, 0.035),
    ),
    timestep_fs=5.0,
)


def through_a_file(state):
    file = io.BytesIO()
    np.savez(file, **state.to_arrays(), something_else=np.zeros(3))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return DynamicsState.from_arrays(arrays)


@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_continued_from_any_step_it_ends_with_the_same_bytes(generator):
    crystal = sheared(argon(1))
    whole, states, rows = [], [], []
    for frame in dynamics(crystal, LennardJones(cutoff=6.0), MIXED, rng=np.random.Generator(generator(3))):
        states.append(through_a_file(frame.state()))
        whole.append(arrays_of(frame))
        rows.append(frame.thermo())
    assert len(whole) == 43
    for start in range(43) if generator is np.random.PCG64 else (0, 3, 30, 40):
        rest = dynamics(
            crystal, LennardJones(cutoff=6.0), MIXED, rng=np.random.Generator(generator(99)), state=states[start]
        )
        steps = []
        for frame in rest:
            steps.append(frame.step)
            for ours, theirs in zip(arrays_of(frame), whole[frame.step], strict=True):
                assert ours.tobytes() == theirs.tobytes(), f"continued from {start}, differs at {frame.step}"
            if frame.step in (start, start + 1, 42):
                assert asdict(frame.thermo()) == asdict(rows[frame.step])
        assert steps == list(range(start, 43))


def test_continued_with_chgnet_it_ends_with_the_same_bytes():
    oxide = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    schedule = QuenchSchedule(
        (Segment("melt", "NVT", 2000.0, 2000.0, 0.004), Segment("press", "NPT", 2000.0, 1500.0, 0.004, 5.0))
    )
    # One calculator for all: what it keeps from step to step must not show.
    calculator = CHGNetCalculator("0.3.0", device="cpu")
    whole, states = [], []
    for frame in dynamics(oxide, calculator, schedule, rng=rng()):
        whole.append(arrays_of(frame))
        states.append(through_a_file(frame.state()))
        if frame.step % 3 == 0:
            frame.thermo()
    for start in (1, 4, 6):
        for frame in dynamics(oxide, calculator, schedule, rng=rng(9), state=states[start]):
            for ours, theirs in zip(arrays_of(frame), whole[frame.step], strict=True):
                assert ours.tobytes() == theirs.tobytes(), f"continued from {start}, differs at {frame.step}"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 35), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_stopped_many_times_it_ends_with_the_same_bytes(stops, seed):
    crystal = argon(1)
    *_, whole = dynamics(crystal, LennardJones(cutoff=6.0), MIXED, rng=rng(seed))
    state = None
    for stop in sorted(stops):
        for frame in dynamics(crystal, LennardJones(cutoff=6.0), MIXED, rng=rng(seed), state=state):
            if frame.step >= stop:
                state = through_a_file(frame.state())
                break
    *_, rest = dynamics(crystal, LennardJones(cutoff=6.0), MIXED, rng=rng(seed), state=state)
    for ours, theirs in zip(arrays_of(rest), arrays_of(whole), strict=True):
        assert ours.tobytes() == theirs.tobytes()


class Moody(LennardJones):
    """Gives other last digits of the forces when the stress is asked for, as single-precision models do."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, [*properties, "forces"], system_changes)
        if "stress" in properties:
            self.results["forces"] = self.results["forces"] * (1.0 + 1e-9)


@pytest.mark.parametrize("ensemble", ["NVT", "NVE", "NPT", "Bussi"])
def test_looking_does_not_change_the_run(ensemble):
    def final(look_every):
        for frame in dynamics(argon(1), Moody(cutoff=6.0), one(ensemble, ps=0.02), rng=rng()):
            if frame.step % look_every == 0:
                frame.thermo()
                frame.state()
        return frame.atoms.positions.tobytes()

    assert final(1) == final(100)


# errors


def test_impossible_input():
    crystal = argon(1)
    calculator = LennardJones(cutoff=6.0)
    with pytest.raises(ValueError, match="dynamics of one atom"):
        dynamics(bulk("Ar", a=5.4), calculator, one("NVT"), rng=rng())
    fixed = crystal.copy()
    fixed.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match="the atoms carry a constraint \\(FixAtoms\\)"):
        dynamics(fixed, calculator, one("NVT"), rng=rng())
    with pytest.raises(ValueError, match="amorph needs all three directions"):
        dynamics(Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3]]), calculator, one("NVT"), rng=rng())
    with pytest.raises(ValueError, match="no schedule is named 'hot'"):
        dynamics(crystal, calculator, "hot", rng=rng())


def test_a_state_of_another_run_is_refused():
    crystal = argon(1)
    *_, frame = dynamics(crystal, LennardJones(cutoff=6.0), one("NVT", ps=0.01), rng=rng())
    state = frame.state()
    with pytest.raises(ValueError, match="the state to continue from has 4 atoms, the structure 32"):
        dynamics(argon(2), LennardJones(), one("NVT"), rng=rng(), state=state)
    with pytest.raises(ValueError, match="is at step 10, the schedule ends at 5"):
        dynamics(crystal, LennardJones(), one("NVT", ps=0.005), rng=rng(), state=state)
    with pytest.raises(ValueError, match="was made in another ensemble"):
        dynamics(crystal, LennardJones(), one("NPT"), rng=rng(), state=state)
    arrays = state.to_arrays()
    del arrays["momenta"]
    with pytest.raises(ValueError, match="lacks momenta"):
        DynamicsState.from_arrays(arrays)


class Broken(Toy):
    """Breaks at the tenth evaluation."""

    def __init__(self, energy=0.0, force=0.0, error=None):
        super().__init__()
        self.energy, self.force, self.error = energy, force, error

    def evaluate(self, atoms):
        forces = np.zeros((len(atoms), 3))
        if self.evaluations < 10:
            return 0.0, forces, np.zeros((3, 3))
        if self.error:
            raise self.error
        forces[2, 1] = self.force
        return self.energy, forces, np.zeros((3, 3))


@pytest.mark.parametrize(
    ("calculator", "message"),
    [
        (
            Broken(energy=np.nan),
            r"the energy \(nan eV\) is not finite at step 9: .* reduce timestep_fs \(now 1\)",
        ),
        (Broken(force=np.inf), "the force on atom 2 \\(Ar\\) is not finite at step 9"),
        (
            Broken(force=1e4),
            "temperature [0-9]+ K at step 9 is above the limit of [0-9]+ K for the 60 K target, atom 2",
        ),
        (Broken(error=ValueError("atoms 0 and 1 are 0.1 Å apart")), "the calculator gives up at step 9: atoms 0 and 1"),
    ],
)
def test_an_unstable_run_stops_within_the_step(calculator, message):
    done = []
    with pytest.raises(RuntimeError, match=message):
        for frame in dynamics(argon(1), calculator, one("NVE"), rng=rng()):
            done.append(frame.step)  # noqa: PERF401 (an extension is lost with the error)
    assert done == list(range(9))


class Pull(Toy):
    """Draws the first two atoms together with a steady force [eV/Å]."""

    def evaluate(self, atoms):
        apart = atoms.positions[1] - atoms.positions[0]
        pull = 0.5 * apart / np.linalg.norm(apart)
        forces = np.zeros((len(atoms), 3))
        forces[0], forces[1] = pull, -pull
        return 0.0, forces, np.zeros((3, 3))


@pytest.mark.parametrize("ensemble", ["NVT", "NPT"])
def test_atoms_that_meet_stop_the_run_at_the_step_that_brings_them_within_half_an_angstrom(ensemble):
    distances = []
    schedule = QuenchSchedule((Segment("a", ensemble, 300.0, 300.0, 5.0),), damping_time_ps=1.0, timestep_fs=2.0)
    with pytest.raises(
        RuntimeError, match=r"atoms 0 \(Ar\) and 1 \(Ar\) are 0\.\d+ Å apart at step \d+, closer than"
    ) as e:
        for frame in dynamics(argon(2), Pull(), schedule, rng=rng()):
            distances.append(frame.atoms.get_distance(0, 1))  # noqa: PERF401 (as above)
    assert min(distances) >= 0.5
    assert f"at step {len(distances)}," in str(e.value)


def test_a_cell_that_runs_away_stops_the_run():
    schedule = one("NPT", 300.0, 50.0, pressure=-5.0, timestep_fs=5.0)
    with pytest.raises(RuntimeError, match=r"the volume is [0-9.]+ Å³ at step \d+, 2\.0\d times the start"):
        list(dynamics(argon(1), LennardJones(cutoff=6.0), schedule, rng=rng()))
