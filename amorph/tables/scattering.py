"""Neutron scattering lengths and X-ray form factors, as the library ``periodictable`` tabulates them."""

import functools
import threading
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.tables.ions import parse_ion

LENGTHS_SOURCE: Final = (
    "bound coherent scattering lengths of the natural elements, table of the Atominstitut Vienna (Rauch & Waschkowski) "
    "with later measurements, from periodictable; imaginary parts at 1.798 Å"
)
"""Where the scattering lengths come from."""
FORM_FACTORS_SOURCE: Final = (
    "f0 of Waasmaier & Kirfel, Acta Cryst. A51, 416 (1995), doi:10.1107/S0108767394013292, from periodictable; "
    "no anomalous dispersion"
)
"""Where the form factors come from."""
WAVELENGTHS: Final[Mapping[str, float]] = {"MoKa": 0.7107, "CuKa": 1.5418}
"""Wavelengths by name, the mean of Kα1 and Kα2 [Å]."""
_LARGEST_Q: Final = 6.0 * 4.0 * np.pi
"""The fit of the form factors ends at sin θ/λ = 6/Å [1/Å]."""

_LOADING: Final = threading.Lock()
"""periodictable reads a table when it is first asked for it, and gives a second thread half of one meanwhile."""


@functools.cache
def scattering_length(element: str) -> complex:
    """Give the bound coherent neutron scattering length of an element of natural abundance [fm].

    Negative for Li, Ti, Mn, H and others; the imaginary part, at a wavelength of 1.798 Å, is absorption and counts for
    strong absorbers only (Cd, Gd, Sm, Eu, Dy, B).

    Raises
    ------
    ValueError
        No such element, or none was measured.

    Examples
    --------
    >>> scattering_length("Ti").real, scattering_length("O").real
    (-3.37, 5.8037)
    """
    import periodictable

    try:
        with _LOADING:
            neutron = periodictable.elements.symbol(element).neutron
    except ValueError:
        raise ValueError(f"unknown element '{element}'; give a chemical symbol, as in Mg") from None
    if neutron.b_c is None:
        raise ValueError(f"no neutron scattering length of {element} is known; give one [fm], or ask for X-rays only")
    return complex(neutron.b_c_complex)


def form_factor(species: str, q: Any) -> NDArray[np.float64]:
    r"""Give the X-ray form factor of an atom or ion [electrons].

    Parameters
    ----------
    species
        Element or ion: "O", "O2-", "Ti4+".
    q
        :math:`4\pi\sin\theta/\lambda`, up to 75.4 [1/Å].

    Returns
    -------
    array of the shape of `q`
        :math:`f_0(q) = c + \sum_{i=1}^{5} a_i \exp[-b_i (q/4\pi)^2]`.

    Raises
    ------
    ValueError
        The table has no such element or ion, or does not reach that far.

    Examples
    --------
    At q = 0 every electron scatters:

    >>> form_factor("O2-", [0.0]).round(2)
    array([10.])
    """
    q = np.asarray(q, dtype=np.float64)
    if q.size and not (q.min() >= 0.0 and q.max() <= _LARGEST_Q):
        raise ValueError(f"q from {q.min():g} to {q.max():g} 1/Å; form factors are tabulated from 0 to 75.4 1/Å")
    return np.asarray(_formula(species).atstol(q / (4.0 * np.pi)), dtype=np.float64)


@functools.cache
def _formula(species: str) -> Any:
    from periodictable.cromermann import getCMformula

    name = species
    if not species.isalpha():
        ion = parse_ion(species)
        name = f"{ion.element}{abs(ion.charge)}{'+' if ion.charge > 0 else '-'}"
    try:
        with _LOADING, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves the file of its table open
            return getCMformula(name)
    except KeyError:
        raise ValueError(f"no X-ray form factor of {species} is tabulated; give another ion or the element") from None
