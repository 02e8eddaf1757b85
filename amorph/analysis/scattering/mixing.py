"""The amorphous share of a mixture of glass and crystal, from its measured powder pattern."""

import logging
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph.analysis.scattering.comparison import Comparison, Terms, background_columns, linear_fit, measured_points
from amorph.analysis.scattering.powder import LARGEST_STRETCH, PowderPattern
from amorph.figures import Result, Row
from amorph.parameters import checked

log = logging.getLogger(__name__)

_FACTORS: Final = (2.0 - LARGEST_STRETCH, LARGEST_STRETCH)
"""Lattice factors among which that of the crystal is sought."""
_NOTHING: Final = 1e-9
"""A part by the other which is 0 but for rounding."""
_BAD_CHI_SQUARED: Final = 4.0
"""Reduced χ² of a bad fit: points are two standard errors away."""
_BAD_R_W: Final = 0.3
"""R_w less background of a bad fit, where no errors are given."""


@dataclass(frozen=True, eq=False)
class AmorphousShare(Result):
    """How much of a mixture is glass, and the patterns that add up to the measured one."""

    share_of_atoms: float
    """Atoms in the glass by atoms in both."""
    standard_error: float
    """Its standard error, of this fit alone: the patterns themselves are taken as exact."""
    share_of_mass: float
    """Mass of the glass by mass of both."""
    lattice_factor: float
    """Lengths of the measured crystal by those of the crystal given; 1 where no crystal is found."""
    lattice_factor_standard_error: float | None
    """Its standard error; None where no crystal is found."""
    amorphous: NDArray[np.float64]
    """(n,) part of the glass in the fit, at the angles of `fit`."""
    crystalline: NDArray[np.float64]
    """(n,) part of the crystal."""
    fit: Comparison
    """Both with the background beside the experiment; its scale is measured by computed intensity per atom."""

    def table(self) -> list[dict[str, Any]]:
        """Give the share and how well it fits."""
        shares = (
            "share_of_atoms",
            "standard_error",
            "share_of_mass",
            "lattice_factor",
            "lattice_factor_standard_error",
        )
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
    r"""Fit the share of glass, and the lattice of the crystal, to a measured pattern of glass and crystal.

    A fit that is bad, a lattice factor at an end of what is tried, and a crystal that is not found are logged.

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
    Least squares of :math:`y = a I_{glass} + b I_{crystal}(s) + \sum_k c_k T_k(x)`, a and b at least 0, T Chebyshev
    polynomials, and s from 0.96 to 1.04 the factor of every length of the crystal, whose lines are drawn where Bragg's
    law has them: a model's lattice is seldom the measured one, and lines beside the measured ones count as no crystal.
    The glass keeps its lattice, and the zero of the angles is taken as right. Intensities are per atom, so the share of
    the atoms is :math:`x = a/(a + b)`, and its variance :math:`[b^2 C_{aa} + a^2 C_{bb} - 2ab\,C_{ab}]/(a + b)^4`,
    with the covariance of a, b, c and s of the errors given, times χ² by degrees of freedom where that is above 1, or
    of the residuals where none are given. Of a glass alone the factor is that of its noise which looks most like the
    crystal. Absorption is taken as equal.
    """
    _refuse_two_instruments(amorphous, crystalline)
    at, y, error = measured_points(measured, (amorphous.two_theta_deg, crystalline.two_theta_deg), lowest, highest)
    smooth = background_columns(at, background_terms)
    halo = np.interp(at, amorphous.two_theta_deg, amorphous.intensity)
    factor, slope = _lattice_factor(crystalline, halo, smooth, at, y, error)
    parts = [halo, _at(crystalline, factor, at)]
    fit = linear_fit([*parts, *smooth], y, error, positive=2)
    a, b = fit.coefficients[:2]
    if not a + b > 0.0:
        raise ValueError("neither pattern is found in the measured one; check wavelength and range, or lower the terms")
    if b <= _NOTHING * a:
        factor, b = 1.0, 0.0
    else:
        fit = linear_fit([*parts, *smooth], y, error, positive=2, slopes=(b * slope,))
    c = fit.covariance
    variance = (b * b * c[0, 0] + a * a * c[1, 1] - 2.0 * a * b * c[0, 1]) / (a + b) ** 4
    masses = a * amorphous.mass_u, b * crystalline.mass_u
    together, error_of_scale = a * parts[0] + b * parts[1], float(np.sqrt(max(c[:2, :2].sum(), 0.0)))
    scaled = (float(a + b), error_of_scale, "fitted", background_terms)
    beside = Comparison(at, y, error, fit.values, fit.values - together, *scaled, *fit[3:])
    found = AmorphousShare(
        float(a / (a + b)),
        float(np.sqrt(max(variance, 0.0))),
        float(masses[0] / sum(masses)),
        factor,
        float(np.sqrt(c[-1, -1])) if b > 0.0 else None,
        a * parts[0],
        b * parts[1],
        beside,
    )
    if faults := _faults(found):
        log.warning("the amorphous share %.3g is in doubt: %s", found.share_of_atoms, "; ".join(faults))
    return found


def _refuse_two_instruments(amorphous: PowderPattern, crystalline: PowderPattern) -> None:
    for what, one, other in (
        ("wavelength", amorphous.wavelength_A, crystalline.wavelength_A),
        ("polarization", amorphous.polarization, crystalline.polarization),
    ):
        if one != other:
            raise ValueError(f"the patterns have the {what} {one} and {other}; compute both with the same")


def _at(pattern: PowderPattern, factor: float, at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.interp(at, pattern.two_theta_deg, pattern.stretched(factor))


def _lattice_factor(
    crystal: PowderPattern,
    halo: NDArray[np.float64],
    smooth: list[NDArray[np.float64]],
    at: NDArray[np.float64],
    y: NDArray[np.float64],
    error: NDArray[np.float64] | None,
) -> tuple[float, NDArray[np.float64]]:
    """Find the lattice factor of least squares, and the slope of the crystal's pattern by it."""
    from scipy.optimize import minimize_scalar, nnls

    weights = np.ones(y.size) if error is None else 1.0 / error
    basis = np.linalg.qr((weights * np.array(smooth).reshape(-1, y.size)).T)[0]

    def rest(curve: NDArray[np.float64]) -> NDArray[np.float64]:
        """Leave out what the background takes."""
        return weights * curve - basis @ (basis.T @ (weights * curve))

    glass, measured = rest(halo), rest(y)

    def misfit(factor: float) -> float:
        return float(nnls(np.column_stack((glass, rest(_at(crystal, factor, at)))), measured)[1])

    # a line moves by 2 tan θ of the change of the factor: half of its width at a step, where it moves most
    step = 0.5 * math.radians(crystal.width_deg) / (2.0 * math.tan(math.radians(0.5 * min(at[-1], 170.0))))
    lowest, highest = _FACTORS
    half = math.ceil((highest - 1.0) / min(max(step, 2e-4), 2e-3))
    tried = np.linspace(lowest, highest, 2 * half + 1)  # 1 among them
    found = np.array([misfit(factor) for factor in tried])
    best = half if found[half] <= found.min() * (1.0 + 1e-12) else int(np.argmin(found))
    around = (tried[max(best - 1, 0)], tried[min(best + 1, 2 * half)])
    refined = minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-10})
    factor = float(refined.x if refined.fun < found[best] else tried[best])
    small = 0.01 * (tried[1] - tried[0])
    slope = (_at(crystal, factor + small, at) - _at(crystal, factor - small, at)) / (2.0 * small)
    return factor, slope


def _faults(found: AmorphousShare) -> list[str]:
    """Say what is wrong with a fit, each with its number."""
    fit, said = found.fit, []
    if fit.reduced_chi_squared is not None and fit.reduced_chi_squared > _BAD_CHI_SQUARED:
        said.append(f"reduced χ² = {fit.reduced_chi_squared:.3g}, where a good fit has 1")
    if fit.reduced_chi_squared is None and fit.r_w_above_background > _BAD_R_W:
        said.append(f"R_w less background = {fit.r_w_above_background:.3g}, where a good fit is below {_BAD_R_W:g}")
    if found.lattice_factor_standard_error is None:
        said.append("the crystal is not found, its part is 0: check its lattice, the wavelength and the range")
    elif min(abs(found.lattice_factor - end) for end in _FACTORS) < 1e-4:
        lowest, highest = _FACTORS
        said.append(
            f"the lattice factor {found.lattice_factor:.4g} is at an end of {lowest:g} to {highest:g}: "
            "check the crystal and the wavelength"
        )
    return said
