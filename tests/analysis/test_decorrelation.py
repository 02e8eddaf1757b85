"""How soon things are forgotten, against processes whose correlation is known."""

import numpy as np
import pytest
from ase.build import bulk

from amorph.analysis.decorrelation import (
    autocorrelation,
    decorrelation,
    effective_number,
    nearest_distances,
    self_scattering,
    statistical_inefficiency,
)


def ar1(a, n, rng):
    """x(t) = a x(t − 1) + noise of variance 1 − a²: C(t) = a^t, of unit variance."""
    x = np.empty(n)
    x[0] = rng.normal()
    noise = rng.normal(size=n) * np.sqrt(1 - a**2)
    for t in range(1, n):
        x[t] = a * x[t - 1] + noise[t]
    return x


# closed forms


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_an_autoregressive_series_has_its_known_inefficiency(a):
    rng = np.random.default_rng(0)
    known = (1 + a) / (1 - a)  # 1 + 2 Σ a^t
    found = [statistical_inefficiency(autocorrelation(ar1(a, 20_000, rng))) for _ in range(8)]
    # √(2 (2 M + 1)/n) of each of eight series that are summed up to M of about 80 frames: 4.5 % of their mean, thrice
    assert np.mean(found) == pytest.approx(known, rel=0.14)
    exact = statistical_inefficiency(a ** np.arange(20_000))
    assert exact == pytest.approx(known, rel=2e-3)


def test_the_mean_of_a_correlated_series_scatters_as_its_effective_number_says():
    rng = np.random.default_rng(1)
    a, n = 0.8, 200
    means = [ar1(a, n, rng).mean() for _ in range(3000)]
    g = statistical_inefficiency(a ** np.arange(n))
    # variance of a variance over 3000 values: √(2/3000) = 2.6 %
    assert np.var(means) == pytest.approx(g / n, rel=0.09)
    assert effective_number(range(n), a ** np.arange(n)) == pytest.approx(n / g, rel=1e-12)


def test_an_ornstein_uhlenbeck_process_forgets_in_its_relaxation_time():
    rng = np.random.default_rng(2)
    tau, dt = 0.5, 0.05  # [ps]
    a = np.exp(-dt / tau)
    series = ar1(a, 40_000, rng)
    found = statistical_inefficiency(autocorrelation(series)) * dt
    assert found == pytest.approx(2 * tau, rel=0.12)  # 2 ∫ exp(−t/τ) dt


def brownian(n, atoms, step, rng):
    """Unwrapped positions of free diffusion: ⟨Δx²⟩ = step² t along each axis."""
    return np.cumsum(rng.normal(scale=step, size=(n, atoms, 3)), axis=0)


def test_the_scattering_function_of_diffusion_is_an_exponential():
    rng = np.random.default_rng(3)
    q, step = 1.2, 0.3
    found = self_scattering(brownian(400, 300, step, rng), q)
    lags = np.arange(40)
    # F_s = exp(−q² D t) with 2 D = step²; sampled over 300 atoms and 400 starts
    np.testing.assert_allclose(found[:40], np.exp(-(q**2) * step**2 * lags / 2), atol=0.02)


# what a liquid and a solid give


def trajectory(positions, energies):
    argon = bulk("Ar", cubic=True, a=5.3) * (2, 2, 2)
    frames = []
    for moved in positions:
        atoms = argon.copy()
        atoms.positions += moved[: len(atoms)]
        frames.append(atoms)
    return decorrelation(frames, energies, start=argon, interval_ps=0.1)


def test_a_diffusing_liquid_forgets_when_its_atoms_have_moved_on_by_a_neighbor():
    rng = np.random.default_rng(4)
    step = 0.8
    found = trajectory(brownian(600, 32, step, rng), ar1(0.5, 600, rng))
    d = 5.3 / np.sqrt(2)
    # C = exp(−t/τ) with 3 step² τ = d² in frames
    tau = d**2 / (3 * step**2)
    known = 1 / np.tanh(1 / (2 * tau))
    assert found.slowest == "places of Ar"
    assert found.inefficiencies["places of Ar"] == pytest.approx(known, rel=0.3)
    assert found.time_ps == pytest.approx(0.1 * known, rel=0.3)
    assert found.effective_frames == pytest.approx(600 / known, rel=0.3)
    apart = np.diff(found.snapshots)
    assert set(apart) == {int(np.ceil(found.inefficiencies["places of Ar"]))}
    assert len(found.snapshots) == -(-600 // apart[0])
    # what two neighboring snapshots share is what g allows: exp(−2), about
    assert found.snapshot_correlation[1] == pytest.approx(np.exp(-2), abs=0.1)


def test_a_harmonic_solid_never_forgets():
    rng = np.random.default_rng(5)
    found = {n: trajectory(rng.normal(scale=0.2, size=(n, 32, 3)), rng.normal(size=n)) for n in (100, 300)}
    for n, each in found.items():
        assert each.inefficiencies["potential energy"] < 3
        assert each.inefficiencies["places of Ar"] > 0.9 * n
        assert each.effective_frames < 1.2
        assert each.snapshots[0] == 0
        assert len(each.snapshots) <= 2


def test_the_slowest_species_decides():
    rng = np.random.default_rng(6)
    salt = bulk("MgO", "rocksalt", a=4.2, cubic=True) * (2, 2, 2)
    walk = brownian(300, len(salt), 0.6, rng)
    walk[:, salt.symbols == "Mg"] *= 0.4
    frames = []
    for moved in walk:
        frames.append(salt.copy())
        frames[-1].positions += moved
    found = decorrelation(frames, rng.normal(size=300), start=salt, interval_ps=0.05)
    assert found.slowest == "places of Mg"
    assert found.inefficiencies["places of Mg"] > 2 * found.inefficiencies["places of O"]
    assert [row["of"] for row in found.table()] == ["potential energy", "places of Mg", "places of O"]


# invariance


def test_a_drift_of_the_whole_and_a_turn_of_the_frame_change_nothing():
    rng = np.random.default_rng(7)
    walk, energies = brownian(100, 32, 0.7, rng), rng.normal(size=100)
    drift = 0.5 * np.arange(100)[:, None, None] * np.ones((1, 32, 3))
    plain, drifting = trajectory(walk, energies), trajectory(walk + drift, energies)
    assert drifting.inefficiencies == pytest.approx(plain.inefficiencies)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(self_scattering(walk @ turned, 1.0), self_scattering(walk, 1.0), atol=1e-12)


def test_the_nearest_neighbor_is_found_in_any_cell():
    assert nearest_distances(bulk("MgO", "rocksalt", a=4.212)) == pytest.approx([2.106, 2.106])
    assert nearest_distances(bulk("Ar", cubic=True, a=9.0)) == pytest.approx([9 / np.sqrt(2)] * 4)


# what cannot be told


def test_too_few_frames_are_told():
    with pytest.raises(ValueError, match="9 frames with 9 energies: at least 10 frames"):
        trajectory(np.zeros((9, 32, 3)), np.zeros(9))


def test_what_never_changes_counts_as_one():
    assert statistical_inefficiency(autocorrelation(np.full(50, 3.0))) == pytest.approx(50)
