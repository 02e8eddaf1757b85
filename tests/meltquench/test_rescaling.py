"""Stochastic velocity rescaling against the canonical ensemble, its conserved energy, and free motion."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.constraints import FixCom
from ase.md.velocitydistribution import thermalize_momenta
from scipy.stats import gamma, kstest
from toys import LennardJones, Springs

from amorph.meltquench import QuenchSchedule, Segment
from amorph.meltquench.dynamics import dynamics
from amorph.meltquench.rescaling import Bussi


def argon(repeat=1):
    return bulk("Ar", "fcc", a=5.4, cubic=True) * (repeat, repeat, repeat)


def frames_of(atoms, calculator, ensemble="Bussi", kelvin=400.0, ps=4.0, **constants):
    schedule = QuenchSchedule((Segment("one", ensemble, kelvin, kelvin, ps),), **constants)
    return dynamics(atoms, calculator, schedule, rng=np.random.default_rng(1))


# closed form


def test_the_kinetic_energy_follows_the_gamma_distribution():
    # K/kT is gamma distributed with half of 3N − 3 degrees of freedom; half of 3N is told from it.
    crystal, kelvin = argon(), 400.0
    kinetic = [
        frame.atoms.get_kinetic_energy()
        for frame in frames_of(
            crystal, Springs(crystal.positions, 0.5), kelvin=kelvin, ps=20.0, timestep_fs=4.0, damping_time_ps=0.01
        )
        if frame.step > 200
    ]
    # every 10th: 4 relaxation times of the kinetic energy apart
    found = np.array(kinetic[::10]) / (units.kB * kelvin)
    assert kstest(found, gamma(4.5).cdf).pvalue > 0.01
    assert kstest(found, gamma(6.0).cdf).pvalue < 1e-6


def test_the_mean_kinetic_energy_relaxes_in_the_damping_time():
    # Without forces d⟨K⟩/dt = (K̄ − ⟨K⟩)/τ, whatever the noise: from 900 to 300 K over many seeds.
    crystal, ends = argon(), []
    for seed in range(300):
        atoms = crystal.copy()
        atoms.set_constraint(FixCom())
        rng = np.random.default_rng(seed)
        thermalize_momenta(atoms, 900.0, rng=rng)
        atoms.set_momenta(atoms.get_momenta() * np.sqrt(900.0 / (2 * atoms.get_kinetic_energy() / (9 * units.kB))))
        atoms.calc = Springs(atoms.positions, 0.0)
        thermostat = Bussi(atoms, 2.0 * units.fs, temperature_K=300.0, taut=20.0 * units.fs, rng=rng)
        for _ in range(10):
            thermostat.step()
        ends.append(2 * atoms.get_kinetic_energy() / (9 * units.kB))
    # one τ later; the spread of one is below 300 K
    assert np.mean(ends) == pytest.approx(300.0 + 600.0 / np.e, abs=3 * 300.0 / 300**0.5)


# conservation


def drift(timestep_fs):
    atoms = argon(2)
    atoms.set_constraint(FixCom())
    rng = np.random.default_rng(0)
    thermalize_momenta(atoms, 60.0, rng=rng)
    atoms.calc = LennardJones(cutoff=6.0)
    thermostat = Bussi(atoms, timestep_fs * units.fs, temperature_K=60.0, taut=100.0 * units.fs, rng=rng)
    energies, bare = [], []
    for _ in range(round(2000.0 / timestep_fs)):
        thermostat.step()
        energies.append(atoms.get_total_energy() - thermostat.transferred_energy)
        bare.append(atoms.get_total_energy())
    return np.std(energies), np.std(bare)


def test_the_energy_less_what_the_thermostat_brought_is_conserved_to_second_order():
    (coarse, _), (fine, bare) = drift(16.0), drift(8.0)
    assert fine < bare / 100.0
    assert coarse / fine == pytest.approx(4.0, rel=0.35)


def test_it_scales_all_velocities_alike():
    # With a thermostat of vanishing strength the motion is Newton's.
    *_, scaled = frames_of(argon(2), LennardJones(cutoff=6.0), kelvin=60.0, ps=0.3, damping_time_ps=1e12)
    *_, free = frames_of(argon(2), LennardJones(cutoff=6.0), "NVE", kelvin=60.0, ps=0.3)
    assert scaled.atoms.positions == pytest.approx(free.atoms.positions, abs=1e-6)


def test_an_ion_diffuses_as_without_a_thermostat():
    # Free particles: no thermostat that scales them all may turn one; Langevin's friction does.
    crystal = argon(2)
    first = None
    for frame in frames_of(crystal, Springs(crystal.positions, 0.0), ps=1.0, damping_time_ps=0.02, timestep_fs=5.0):
        velocities = frame.atoms.get_velocities()
        first = velocities if first is None else first
    cosines = (first * velocities).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(velocities, axis=1)
    assert cosines == pytest.approx(1.0, abs=1e-9)
