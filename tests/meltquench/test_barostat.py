"""Dynamics at constant pressure: conserved quantity, temperature, pressure, equation of state."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import thermalize_momenta
from toys import LennardJones

from amorph.meltquench import QuenchSchedule, Segment
from amorph.meltquench.barostat import IsotropicNPT
from amorph.meltquench.dynamics import dynamics

PS = 1000.0 * units.fs


def argon(a=5.3, seed=0):
    atoms = bulk("Ar", "fcc", a=a, cubic=True) * (2, 1, 1)
    atoms.calc = LennardJones(cutoff=6.0)
    thermalize_momenta(atoms, 60.0, rng=np.random.default_rng(seed))
    atoms.set_momenta(atoms.get_momenta() - atoms.get_momenta().mean(axis=0))
    return atoms


def integrator(atoms, timestep_fs=4.0, pressure_GPa=0.2, **settings):
    times = {"thermostat_time": 0.2 * PS, "barostat_time": 0.5 * PS}
    return IsotropicNPT(
        atoms,
        timestep=timestep_fs * units.fs,
        temperature_K=60.0,
        pressure=pressure_GPa * units.GPa,
        **times,
        **settings,
    )


# sum rule


def test_the_mean_temperature_counts_3n_minus_3_degrees_of_freedom():
    # Eight atoms: ASE's own class would hold 8/7 of the temperature.
    atoms = argon()
    run = integrator(atoms)
    kelvin = []
    for _ in range(4000):
        run.step()
        kelvin.append(2 * atoms.get_kinetic_energy() / (21 * units.kB))
    # 16 ps with a correlation time of about 0.2 ps: standard error 60 K · sqrt(2/21)/sqrt(80) = 2.1 K.
    assert np.mean(kelvin) == pytest.approx(60.0, abs=5.0)


def drift(timestep_fs):
    run = integrator(argon(), timestep_fs)
    conserved = []
    for _ in range(int(1000 / timestep_fs)):
        run.step()
        conserved.append(run.conserved_energy())
    return np.std(conserved)


def test_the_extended_energy_is_conserved_to_second_order():
    coarse, fine = drift(4.0), drift(2.0)
    assert fine < 1e-5
    assert coarse / fine == pytest.approx(4.0, rel=0.15)


def test_the_pressure_is_reached_and_agrees_with_that_of_the_fixed_cell():
    pressure_GPa = 0.3
    schedule = QuenchSchedule((Segment("a", "NPT", 40.0, 40.0, 6.0, pressure_GPa),), timestep_fs=5.0)
    start = bulk("Ar", "fcc", a=5.4, cubic=True) * (2, 2, 2)
    rows = [
        frame.thermo()
        for frame in dynamics(start, LennardJones(cutoff=6.0), schedule, rng=np.random.default_rng(1))
        if frame.step > 400
    ]
    # Averages over 4 ps scatter by about 0.006 GPa.
    assert np.mean([row.pressure_GPa for row in rows]) == pytest.approx(pressure_GPa, abs=0.015)
    edge = np.mean([row.volume_A3 for row in rows]) ** (1 / 3)
    hold = QuenchSchedule((Segment("a", "NVT", 40.0, 40.0, 4.0),), timestep_fs=5.0, damping_time_ps=0.1)
    fixed = start.copy()
    fixed.set_cell([edge] * 3, scale_atoms=True)
    pressures = [
        frame.thermo().pressure_GPa
        for frame in dynamics(fixed, LennardJones(cutoff=6.0), hold, rng=np.random.default_rng(2))
        if frame.step > 200
    ]
    assert np.mean(pressures) == pytest.approx(pressure_GPa, abs=0.015)


# invariance


def test_the_shape_of_the_cell_stays():
    atoms = argon()
    atoms.set_cell(atoms.cell.array @ [[1.0, 0.1, 0.0], [0.0, 1.0, -0.05], [0.0, 0.0, 1.0]], scale_atoms=True)
    shape = atoms.cell.array / atoms.get_volume() ** (1 / 3)
    run = integrator(atoms)
    for _ in range(200):
        run.step()
    assert atoms.get_volume() != pytest.approx(argon().get_volume(), rel=1e-3)
    assert atoms.cell.array / atoms.get_volume() ** (1 / 3) == pytest.approx(shape, abs=1e-12)


def test_setting_the_temperature_it_has_changes_nothing():
    first, second = argon(), argon()
    runs = integrator(first), integrator(second)
    for _ in range(50):
        runs[0].step()
        runs[1].set_temperature(60.0)
        runs[1].step()
    assert first.positions.tobytes() == second.positions.tobytes()
    assert first.cell.array.tobytes() == second.cell.array.tobytes()


def test_a_new_temperature_keeps_periods_and_velocities_of_chains_and_barostat():
    run = integrator(argon())
    for _ in range(50):
        run.step()

    def velocities():
        thermostat, barostat = run._thermostat, run._barostat
        return [*thermostat.p_eta / thermostat.masses, *barostat.p_eta / barostat.masses, run._p_eps / run._cell_mass]

    before, masses = velocities(), (run._thermostat.masses, run._barostat.masses, run._cell_mass)
    assert np.abs(before).min() > 1e-5
    run.set_temperature(90.0)
    assert velocities() == pytest.approx(before, rel=1e-12)
    # A period is sqrt(mass/kT).
    for new, old in zip((run._thermostat.masses, run._barostat.masses, run._cell_mass), masses, strict=True):
        assert new == pytest.approx(1.5 * old, rel=1e-12)


# independent reference


def test_the_propagator_is_that_of_ase_but_for_the_degrees_of_freedom():
    ours, theirs = argon(), argon()
    a = integrator(ours)
    b = IsotropicMTKNPT(
        theirs, 4.0 * units.fs, temperature_K=60.0, pressure_au=0.2 * units.GPa, tdamp=0.2 * PS, pdamp=0.5 * PS
    )
    b._num_atoms_global -= 1
    for part in (b._thermostat, b._barostat):
        part._num_atoms_global -= 1
    b._thermostat._Q[0] *= 7 / 8
    b._barostat._W *= (3 * 7 + 3) / (3 * 8 + 3)
    for _ in range(50):
        a.step()
        b.step()
    assert ours.positions == pytest.approx(theirs.positions, abs=1e-10)
    assert ours.cell.array == pytest.approx(theirs.cell.array, abs=1e-10)
