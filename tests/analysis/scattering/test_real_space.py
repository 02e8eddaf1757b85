import numpy as np
import pytest
from ase import Atoms
from vesin import NeighborList

from amorph.analysis.scattering import pair_function, structure_factor


def hard_spheres(rng, n=400, length=20.0, diameter=1.9):
    """Spheres put in at random where there is room."""
    positions = []
    while len(positions) < n:
        trial = rng.random(3) * length
        away = np.array(positions).reshape(-1, 3) - trial
        away -= length * np.round(away / length)
        if (np.linalg.norm(away, axis=1) > diameter).all():
            positions.append(trial)
    return Atoms(["O"] * n, positions=positions, cell=[length] * 3, pbc=True)


def transform_of_a_measured_g(atoms, reach, q_max, r, window):
    """G(r) of limited resolution from all pairs up to a distance: each is a peak of the window's transform."""
    made = NeighborList(cutoff=reach, full_list=True).compute(
        points=atoms.positions, box=atoms.cell.array, periodic=True, quantities="d"
    )
    counts, edges = np.histogram(made[0], bins=4000, range=(0.0, reach))
    middles = 0.5 * (edges[1:] + edges[:-1])
    density = len(atoms) / atoms.cell.volume
    q = np.linspace(1e-6, q_max, 600)
    m = np.sinc(q / q_max) if window == "lorch" else np.ones_like(q)
    # S(q) − 1 of the pairs within the reach, less that of the mean density within it
    pairs = np.array([np.sin(x * middles) @ (counts / middles) for x in q]) / q / len(atoms)
    mean = 4.0 * np.pi * density * (np.sin(q * reach) - q * reach * np.cos(q * reach)) / q**3
    s = pairs - mean
    return 2.0 / np.pi * np.array([np.trapezoid(q * s * m * np.sin(q * x), q) for x in r])


# closed form


def test_a_pair_in_closed_form():
    # S = 1 + h e^{−q²/4} sin(q r0)/(q r0) has G = h/(2 √π r0) · 2 [e^{−(r−r0)²} − e^{−(r+r0)²}]
    r0, q = 2.0, np.linspace(0.02, 18.0, 900)
    made = pair_function(
        q, 1.0 + np.exp(-(q**2) / 4) * np.sin(q * r0) / (q * r0), number_density=0.08, window="none", r_max=6.0
    )
    r = made.r_pdf_A
    expected = (np.exp(-((r - r0) ** 2)) - np.exp(-((r + r0) ** 2))) / (np.sqrt(np.pi) * r0)
    np.testing.assert_allclose(made.g_pdf, expected, atol=2e-6)
    np.testing.assert_allclose(made.t_r, made.g_pdf + 4.0 * np.pi * 0.08 * r)
    np.testing.assert_allclose(made.g_r, made.t_r / (4.0 * np.pi * 0.08 * r))


# independent reference


@pytest.mark.parametrize("window", ["lorch", "none"])
def test_agrees_with_distances_at_the_same_resolution(window):
    atoms = hard_spheres(np.random.default_rng(0))
    made = structure_factor(atoms, q_max=12.0, bin_width=0.03)
    real = pair_function(
        made.q,
        made.total("xray"),
        intervals=made.intervals,
        number_density=made.number_density,
        q_max=12.0,
        window=window,
        r_max=8.0,
        r_step=0.1,
    )
    r = real.r_pdf_A
    expected = transform_of_a_measured_g(atoms, 14.0, real.q_max_per_A, r, window)
    inside = r > 1.0
    # pairs end at 14 Å in the one; shells of 0.03 1/Å fade what is at 8 Å by (8 · 0.03)²/24 in the other
    # and g(r) of N atoms goes to 1 − 1/N, which is the vector 0 that no S(q) has
    known = real.g_pdf - 4.0 * np.pi * r / atoms.cell.volume
    assert np.abs(known - expected)[inside].max() < 0.015 * np.abs(expected).max()


def test_window_takes_the_ripples():
    q = np.linspace(0.02, 15.0, 750)
    s = 1.0 + 3.0 * np.exp(-(0.05**2) * q**2 / 2) * np.sin(2.0 * q) / (2.0 * q)
    plain, smooth = (pair_function(q, s, number_density=0.08, window=w) for w in ("none", "lorch"))
    far = plain.r_pdf_A > 4.0
    assert np.abs(smooth.g_pdf[far]).max() < 0.2 * np.abs(plain.g_pdf[far]).max()
    assert abs(smooth.r_pdf_A[np.argmax(smooth.g_pdf)] - 2.0) < 0.021
    assert {"g_pdf", "t_r", "r_pdf_A", "g_pdf_convention"} <= smooth.figures().keys()
    assert smooth.table()[0].keys() == {"r_A", "g_pdf_per_A2", "t_r_per_A2"}


# errors


def test_what_is_refused():
    q = np.linspace(0.5, 5.0, 20)
    with pytest.raises(ValueError, match="q_max = 9"):
        pair_function(q, np.ones(20), number_density=0.1, q_max=9.0)
    with pytest.raises(ValueError, match=r"\(20,\) and \(19,\)"):
        pair_function(q, np.ones(19), number_density=0.1)
    with pytest.raises(ValueError, match="sort"):
        pair_function(q[::-1], np.ones(20), number_density=0.1)
    with pytest.raises(ValueError, match="finite"):
        pair_function(q, np.full(20, np.nan), number_density=0.1)
    with pytest.raises(ValueError, match="number_density"):
        pair_function(q, np.ones(20), number_density=0.0)
