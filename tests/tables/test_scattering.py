import numpy as np
import pytest

from amorph.tables import WAVELENGTHS, form_factor, scattering_length


def test_lengths():
    # NIST (Sears 1992), the table that periodictable updates: Mo 6.715, Mg 5.375; Li and Ti are negative
    assert scattering_length("Mo").real == 6.715
    assert scattering_length("Mg").real == 5.375
    assert scattering_length("Li").real < 0.0
    assert scattering_length("Ti").real < 0.0
    assert abs(scattering_length("Gd").imag) > 10.0
    with pytest.raises(ValueError, match="Xx"):
        scattering_length("Xx")
    with pytest.raises(ValueError, match="Po"):
        scattering_length("Po")


def test_form_factors():
    for species, electrons in (("O", 8), ("O2-", 10), ("Ti4+", 18), ("Li+", 2), ("Mo6+", 36), ("Mo", 42)):
        np.testing.assert_allclose(form_factor(species, 0.0), electrons, atol=0.04)
    q = np.linspace(0.0, 75.0, 200)
    assert (np.diff(form_factor("O", q)) < 1e-3).all()
    with pytest.raises(ValueError, match="Mo4"):
        form_factor("Mo4+", 1.0)
    with pytest.raises(ValueError, match="Q"):
        form_factor("Q", 1.0)
    with pytest.raises(ValueError, match="80"):
        form_factor("O", [1.0, 80.0])


def test_wavelengths():
    assert WAVELENGTHS == {"MoKa": 0.7107, "CuKa": 1.5418}
