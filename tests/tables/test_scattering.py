import subprocess
import sys

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


AT_ONCE = """
import sys, threading
import numpy as np
from amorph.tables import form_factor, scattering_length
sys.setswitchinterval(1e-6)
together, failed = threading.Barrier(8), []

def ask():
    together.wait()
    try:
        for element in ("Li", "O", "Mg", "Ti", "Mo"):
            scattering_length(element), form_factor(element, np.ones(3))
    except Exception as error:
        failed.append(repr(error))

threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(", ".join(failed) or 0)
"""


def test_threads_may_be_the_first_to_ask():
    """Members of an ensemble run in threads of one process; periodictable's tables are half there for a while."""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", AT_ONCE], check=True)
