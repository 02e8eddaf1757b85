"""The amorphous share of a mixture of glass and crystal, from its measured powder pattern."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph.analysis.scattering.comparison import Comparison, Terms, background_columns, linear_fit, measured_points
from amorph.analysis.scattering.powder import PowderPattern
from amorph.figures import Result, Row
from amorph.parameters import checked


@dataclass(frozen=True, eq=False)
class AmorphousShare(Result):
    """How much of a mixture is glass, and the patterns that add up to the measured one."""

    share_of_atoms: float
    """Atoms in the glass by atoms in both."""
    standard_error: float
    """Its standard error, of this fit alone: the patterns themselves are taken as exact."""
    share_of_mass: float
    """Mass of the glass by mass of both."""
    amorphous: NDArray[np.float64]
    """(n,) part of the glass in the fit, at the angles of `fit`."""
    crystalline: NDArray[np.float64]
    """(n,) part of the crystal."""
    fit: Comparison
    """Both with the background beside the experiment; its scale is measured by computed intensity per atom."""

    def table(self) -> list[dict[str, Any]]:
        """Give the share and how well it fits."""
        shares = ("share_of_atoms", "standard_error", "share_of_mass")
        return [*({"figure": name, "value": getattr(self, name)} for name in shares), *self.fit.table()]

    def rows(self) -> list[Row]:
        """Give the share."""
        return [Row("amorphous share of the atoms", self.share_of_atoms, share=True)]


@checked
def amorphous_share(
    measured: ArrayLike,
    amorphous: PowderPattern,
    crystalline: PowderPattern,
    *,
    background_terms: Terms = 4,
    lowest: float | None = None,
    highest: float | None = None,
) -> AmorphousShare:
    r"""Fit the share of glass to a measured pattern of glass and crystal.

    Parameters
    ----------
    measured
        (n, 2) or (n, 3) 2θ [°], intensity, and its standard error where it is known.
    amorphous, crystalline
        Patterns of both, with the wavelength, polarization and profile of the instrument.
    background_terms
        Chebyshev terms of the smooth background. Many of them take the halo for background: their number is part of
        the figure.
    lowest, highest
        Limits of the fit [°].

    Raises
    ------
    ValueError
        Patterns of different wavelength or polarization, columns that are no curve, or neither pattern in the data.

    Notes
    -----
    Least squares of :math:`y = a I_{glass} + b I_{crystal} + \sum_k c_k T_k(x)`, a and b at least 0, T Chebyshev
    polynomials. Intensities are per atom, so the share of the atoms is :math:`x = a/(a + b)`, and its variance
    :math:`[b^2 C_{aa} + a^2 C_{bb} - 2ab\,C_{ab}]/(a + b)^4`, with the covariance of the errors given, times χ² by
    degrees of freedom where that is above 1, or of the residuals where none are given. Absorption is taken as equal.
    """
    for what, one, other in (
        ("wavelength", amorphous.wavelength_A, crystalline.wavelength_A),
        ("polarization", amorphous.polarization, crystalline.polarization),
    ):
        if one != other:
            raise ValueError(f"the patterns have the {what} {one} and {other}; compute both with the same")
    at, y, error = measured_points(measured, (amorphous.two_theta_deg, crystalline.two_theta_deg), lowest, highest)
    parts = [np.interp(at, pattern.two_theta_deg, pattern.intensity) for pattern in (amorphous, crystalline)]
    fit = linear_fit([*parts, *background_columns(at, background_terms)], y, error, positive=2)
    a, b = fit.coefficients[:2]
    if not a + b > 0.0:
        raise ValueError("neither pattern is found in the measured one; check wavelength and range, or lower the terms")
    c = fit.covariance
    variance = (b * b * c[0, 0] + a * a * c[1, 1] - 2.0 * a * b * c[0, 1]) / (a + b) ** 4
    masses = a * amorphous.mass_u, b * crystalline.mass_u
    together, error_of_scale = a * parts[0] + b * parts[1], float(np.sqrt(max(c[:2, :2].sum(), 0.0)))
    beside = Comparison(
        at,
        y,
        error,
        fit.values,
        fit.values - together,
        float(a + b),
        error_of_scale,
        "fitted",
        background_terms,
        *fit[3:],
    )
    share, standard_error = float(a / (a + b)), float(np.sqrt(max(variance, 0.0)))
    return AmorphousShare(share, standard_error, float(masses[0] / sum(masses)), a * parts[0], b * parts[1], beside)
