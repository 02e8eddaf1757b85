"""The minimiser on functions with known minima, and its memory written out and read back."""

import io

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from amorph.relaxation.lbfgs import Lbfgs


def lbfgs(longest=0.5, memory=20):
    return Lbfgs(stiffness=10.0, memory=memory, length=lambda step: float(np.linalg.norm(step)) / longest)


def minimize(function, x, *, steps, stop=1e-10, minimizer=None):
    minimizer = minimizer or lbfgs()
    for count in range(steps):
        energy, gradient = function(x)
        if np.linalg.norm(gradient) < stop:
            return x, count
        x = x + minimizer.step(x, gradient, energy)
    return x, steps


def quadratic(curvatures, minimum):
    def function(x):
        u = x - minimum
        return 0.5 * float(curvatures @ u**2), curvatures * u

    return function


def rosenbrock(x):
    a, b = x
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2, np.array([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)])


# known answers


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_quadratics_of_any_stiffness(seed, n):
    rng = np.random.default_rng(seed)
    curvatures, minimum = 10.0 ** rng.uniform(0, 2, n), rng.normal(size=n)
    x, steps = minimize(quadratic(curvatures, minimum), rng.normal(size=n), steps=300)
    assert steps < 300
    assert x == pytest.approx(minimum, abs=1e-8)


def test_a_bad_first_guess_of_the_stiffness_costs_little():
    rng = np.random.default_rng(0)
    function, start = quadratic(rng.uniform(0.02, 0.06, 40), np.zeros(40)), 0.05 * rng.normal(size=40)
    _, steps = minimize(function, start, steps=200, stop=1e-6)
    assert steps < 20


def test_a_curved_valley():
    x, steps = minimize(rosenbrock, np.array([-1.2, 1.0]), steps=300, minimizer=lbfgs(0.2))
    assert x == pytest.approx([1.0, 1.0], abs=1e-8)
    assert steps < 150


def test_a_saddle_is_left_and_a_minimum_found():
    # (x² − 1)² + y²: the minima are (±1, 0); the start is next to the saddle at the origin, where x curves down.
    def double_well(x):
        return (x[0] ** 2 - 1) ** 2 + x[1] ** 2, np.array([4 * x[0] * (x[0] ** 2 - 1), 2 * x[1]])

    x, _ = minimize(double_well, np.array([1e-3, 0.5]), steps=200)
    assert x == pytest.approx([1.0, 0.0], abs=1e-8)


def test_noise_of_single_precision_does_not_stop_it():
    rng = np.random.default_rng(0)
    exact = quadratic(np.linspace(1.0, 80.0, 30), np.zeros(30))

    def noisy(x):
        energy, gradient = exact(x)
        return np.float32(energy - 400.0), gradient + 1e-4 * rng.normal(size=30)

    x, steps = minimize(noisy, rng.normal(size=30), steps=300, stop=2e-3)
    assert steps < 150
    assert abs(exact(x)[1]).max() < 2e-3


# every direction leads downhill


@given(st.integers(0, 2**32 - 1))
def test_no_direction_leads_uphill(seed):
    rng = np.random.default_rng(seed)
    minimizer = lbfgs(memory=5)
    for _ in range(10):
        x, gradient = rng.normal(size=4), rng.normal(size=4)
        step = minimizer.step(x, gradient, float(rng.normal()))
        assert step @ gradient < 0.0
        assert np.linalg.norm(step) <= 0.5 * (1 + 1e-12)  # rounding


def test_after_a_step_uphill_the_next_is_half_as_long_and_the_limit_grows_again():
    minimizer = lbfgs(longest=0.5)
    x, gradient = np.zeros(1), np.array([-100.0])  # steep: every step is as long as it may be
    lengths = []
    for energy in (5.0, 6.0, 7.0, 6.0, 5.0, 4.0, 5.0):
        step = minimizer.step(x, gradient, energy)
        lengths.append(float(abs(step[0])))
        x = x + step
    assert lengths == pytest.approx([0.5, 0.25, 0.125, 0.1875, 0.28125, 0.421875, 0.2109375])


def test_a_rise_within_single_precision_is_none():
    minimizer = lbfgs(longest=0.5)
    for energy in (-400.0, -400.0 + 1e-4, -400.0 + 2e-4):
        assert abs(minimizer.step(np.zeros(1), np.array([-100.0]), energy)) == pytest.approx(0.5)


# continuation


@given(st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_with_its_memory_read_back_it_goes_on_bit_by_bit(stop):
    start = np.array([-1.2, 1.0])
    whole, _ = minimize(rosenbrock, start, steps=80, minimizer=lbfgs(0.2))
    first = lbfgs(0.2)
    x, _ = minimize(rosenbrock, start, steps=stop, minimizer=first)
    file = io.BytesIO()
    np.savez(file, **first.to_arrays())
    file.seek(0)
    second = lbfgs(0.2)
    with np.load(file, allow_pickle=False) as arrays:
        second.restore(arrays)
    x, _ = minimize(rosenbrock, x, steps=80 - stop, minimizer=second)
    assert x.tobytes() == whole.tobytes()
