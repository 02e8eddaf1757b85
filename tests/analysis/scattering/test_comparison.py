import numpy as np
import pytest

from amorph.analysis.scattering import compare


def measured(rng, error=True):
    x = np.linspace(0.5, 9.5, 300)
    y = 2.5 * (1.0 + np.sin(x) / x) + 4.0 - 0.3 * x
    noise = np.full(x.size, 0.02)
    return np.column_stack([x, y + rng.normal(0.0, noise), noise] if error else [x, y])


MODEL = np.linspace(0.0, 12.0, 6000)
CURVE = 1.0 + np.sinc(MODEL / np.pi)


def test_scale_and_background_come_back():
    made = compare(MODEL, CURVE, measured(np.random.default_rng(0)), background_terms=2)
    assert abs(made.scale - 2.5) < 4.0 * made.scale_standard_error < 0.1
    assert abs(made.reduced_chi_squared - 1.0) < 0.3
    assert made.chi_squared == pytest.approx(np.sum((made.residual / 0.02) ** 2))
    weighted = np.sqrt(np.sum(made.residual**2) / np.sum(made.measured**2))
    assert made.r_w == pytest.approx(weighted)
    np.testing.assert_allclose(made.background, 4.0 - 0.3 * made.x, atol=0.15)
    above = np.sqrt(np.sum(made.residual**2) / np.sum((made.measured - made.background) ** 2))
    assert made.r_w_above_background == pytest.approx(above)
    exact = compare(MODEL, CURVE, measured(np.random.default_rng(0), error=False), background_terms=2)
    assert exact.chi_squared is None
    assert exact.r_w < 1e-6  # of the interpolation
    assert {"residual", "computed", "measured", "r_w", "r_w_above_background"} <= exact.figures().keys()


def test_absolute_curves():
    x = np.linspace(1.0, 5.0, 50)
    made = compare(x, 2.0 * x, np.column_stack([x, 2.0 * x + 0.1, np.full(50, 0.1)]), scale="one")
    assert (made.scale, made.scale_standard_error) == (1.0, None)
    assert made.chi_squared == pytest.approx(50.0)
    assert made.reduced_chi_squared == pytest.approx(1.0)
    assert not made.background.any()
    shifted = compare(x, 2.0 * x, np.column_stack([x, 2.0 * x + 0.1]), scale="one", background_terms=1)
    np.testing.assert_allclose(shifted.background, 0.1, rtol=1e-9)


def test_a_background_does_not_flatter_the_fit():
    """A flat line fits noise on a high background to a small R_w, and explains nothing above the background."""
    x = np.linspace(1.0, 9.0, 400)
    y = 1000.0 + np.random.default_rng(2).normal(0.0, 1.0, x.size)
    made = compare(x, np.sin(9.0 * x), np.column_stack([x, y]), background_terms=1)
    assert made.r_w < 0.002
    assert made.r_w_above_background > 0.9
    bare = compare(x, np.sin(x), np.column_stack([x, np.sin(x) + 0.1]))
    assert bare.r_w_above_background == pytest.approx(bare.r_w)
    assert compare(x, 0.0 * x + 1.0, np.column_stack([x, 0.0 * x]), background_terms=1).r_w_above_background == np.inf


def test_few_points_in_common_are_told(caplog):
    """q in 1/nm is ten times q in 1/Å, and most of its points lie beyond the computed curve."""
    x = np.linspace(0.5, 15.0, 290)
    wrong = np.column_stack([10.0 * x, np.sin(x)])
    assert compare(x, np.sin(x), wrong).x.size < 40
    assert all(number in caplog.text for number in ("290", "5 to 150", "0.5 to 15"))
    caplog.clear()
    compare(x, np.sin(x), np.column_stack([x, np.sin(x)]), lowest=13.0)  # limits are wanted
    assert not caplog.records


def test_limits():
    table = np.column_stack([np.linspace(0.0, 20.0, 41), np.ones(41)])
    made = compare([2.0, 12.0], [1.0, 1.0], table, highest=10.0)
    assert (made.x[0], made.x[-1]) == (2.0, 10.0)
    assert made.x.size == 17


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 4\)"):
        compare([0.0, 1.0], [1.0, 1.0], np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"2 to 3, .* 0 to 1"):
        compare([0.0, 1.0], [1.0, 1.0], [[2.0, 1.0], [3.0, 1.0]])
    with pytest.raises(ValueError, match="errors above 0"):
        compare([0.0, 1.0], [1.0, 1.0], [[0.0, 1.0, 0.1], [1.0, 1.0, 0.0]])
    with pytest.raises(ValueError, match="finite"):
        compare([0.0, 1.0], [1.0, 1.0], [[0.0, np.inf], [1.0, 1.0]])
    with pytest.raises(ValueError, match="2 measured points"):
        compare([0.0, 1.0], [1.0, 1.0], [[0.0, 1.0], [1.0, 1.0]], background_terms=4)
