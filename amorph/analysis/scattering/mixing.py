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
_WIDENINGS: Final = (0.5, 5.0)
"""Widths of the crystal's lines among which theirs is sought, by the one given."""
_STEPS_OF_WIDTH: Final = 8
"""Widths tried before the search is refined, 1.4 times each other."""
_NOTHING: Final = 1e-9
"""A part by the other which is 0 but for rounding."""
_SEEN: Final = 4.0
"""Standard errors of a crystal's part where it is found; the best of many lattices in mere noise has 2 to 3.5."""
_BAD_CHI_SQUARED: Final = 4.0
"""Reduced χ² of a bad fit: points are two standard errors away."""
_BAD_R_W: Final = 0.05
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
    lattice_factor: float | None
    """Lengths of the measured crystal by those of the crystal given; None where no crystal is found."""
    lattice_factor_standard_error: float | None
    """Its standard error; None where no crystal is found."""
    line_width_deg: float | None
    """Full width of the measured crystal's lines at half maximum; None where no crystal is found [°]."""
    line_width_standard_error_deg: float | None
    """Its standard error; None where no crystal is found [°]."""
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
            "line_width_deg",
            "line_width_standard_error_deg",
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
    r"""Fit the share of glass, and lattice and line width of the crystal, to a measured pattern of glass and crystal.

    A fit that is bad, a lattice factor or width at an end of what is tried, and a crystal that is not found are logged.

    Parameters
    ----------
    measured
        (n, 2) or (n, 3) 2θ [°], intensity, and its standard error where it is known.
    amorphous, crystalline
        Patterns of both, with the wavelength, polarization and profile of the instrument: tails of lines that are
        drawn as Gaussians count as glass, and where they are small the fit is still good.
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
    Least squares of :math:`y = a I_{glass} + b I_{crystal}(s, w) + \sum_k c_k T_k(x)`, a and b at least 0, T Chebyshev
    polynomials, s from 0.96 to 1.04 the factor of every length of the crystal, whose lines are drawn where Bragg's law
    has them, and w the full width of the instrument by which they are drawn, 0.5 to 5 times the one given: a model's
    lattice and width are seldom the measured ones, and what lies beside the computed lines counts as no crystal.
    The glass keeps its lattice and width; a strain that is not alike along all axes, the shape of the lines, widths
    that change with the angle, and the zero of the angles are not fitted.

    Intensities are per atom, so the share of the atoms is :math:`x = a/(a + b)`, and its variance
    :math:`[b^2 C_{aa} + a^2 C_{bb} - 2ab\,C_{ab}]/(a + b)^4`, with the covariance of a, b, c, s and w of the errors
    given, times χ² by degrees of freedom where that is above 1, or of the residuals, as though alike at all angles,
    where none are given. Absorption is taken as equal. A crystal whose part is within 4 standard errors of 0 is not
    found: a glass alone has noise that looks like some lattice.
    """
    _refuse_two_instruments(amorphous, crystalline)
    at, y, error = measured_points(measured, (amorphous.two_theta_deg, crystalline.two_theta_deg), lowest, highest)
    smooth = background_columns(at, background_terms)
    halo = np.interp(at, amorphous.two_theta_deg, amorphous.intensity)
    lines = _Lines(crystalline, at)
    found = _lattice_and_width(lines, halo, smooth, y, error)
    parts = [halo, lines.drawn(*found)]
    fit = linear_fit([*parts, *smooth], y, error, positive=2)
    a, b = fit.coefficients[:2]
    if not a + b > 0.0:
        raise ValueError("neither pattern is found in the measured one; check wavelength and range, or lower the terms")
    if b > _NOTHING * a:
        fit = linear_fit([*parts, *smooth], y, error, positive=2, slopes=tuple(b * lines.slopes(*found)))
    else:
        b = 0.0
    c = fit.covariance
    variance = (b * b * c[0, 0] + a * a * c[1, 1] - 2.0 * a * b * c[0, 1]) / (a + b) ** 4
    masses = a * amorphous.mass_u, b * crystalline.mass_u
    together, error_of_scale = a * parts[0] + b * parts[1], float(np.sqrt(max(c[:2, :2].sum(), 0.0)))
    scaled = (float(a + b), error_of_scale, "fitted", background_terms)
    beside = Comparison(at, y, error, fit.values, fit.values - together, *scaled, *fit[3:])
    share = AmorphousShare(
        float(a / (a + b)),
        float(np.sqrt(max(variance, 0.0))),
        float(masses[0] / sum(masses)),
        *_where_seen(b, found, c),
        a * parts[0],
        b * parts[1],
        beside,
    )
    if faults := _faults(share, crystalline.width_deg):
        log.warning("the amorphous share %.3g is in doubt: %s", share.share_of_atoms, "; ".join(faults))
    return share


def _where_seen(
    b: float, found: tuple[float, float], covariance: NDArray[np.float64]
) -> tuple[float | None, float | None, float | None, float | None]:
    """Give the lattice factor, the width, and the standard error of each behind it, where the crystal is found."""
    if not b > _SEEN * np.sqrt(covariance[1, 1]):
        return None, None, None, None
    errors = np.sqrt(np.diag(covariance)[-2:])
    return found[0], float(errors[0]), found[1], float(errors[1])


def _refuse_two_instruments(amorphous: PowderPattern, crystalline: PowderPattern) -> None:
    for what, one, other in (
        ("wavelength", amorphous.wavelength_A, crystalline.wavelength_A),
        ("polarization", amorphous.polarization, crystalline.polarization),
        ("Lorentzian share", amorphous.lorentzian_share, crystalline.lorentzian_share),
    ):
        if one != other:
            raise ValueError(f"the patterns have the {what} {one} and {other}; compute both with the same")


@dataclass(frozen=True)
class _Lines:
    """The crystal's pattern at the measured angles."""

    crystal: PowderPattern
    at: NDArray[np.float64]

    def drawn(self, factor: float, width: float) -> NDArray[np.float64]:
        return np.interp(self.at, self.crystal.two_theta_deg, self.crystal.stretched(factor, width))

    def step(self, width: float) -> float:
        """Change of the factor that moves a line by half of its width, where it moves most: 2 tan θ of the change."""
        most = 2.0 * math.tan(math.radians(0.5 * min(self.at[-1], 170.0)))
        return min(max(0.5 * math.radians(width) / most, 2e-4), 2e-3)

    def slopes(self, factor: float, width: float) -> NDArray[np.float64]:
        """(2, n) derivatives by the factor and the width."""
        small = 0.01 * self.step(width), 0.01 * width
        rises = (
            self.drawn(factor + small[0], width) - self.drawn(factor - small[0], width),
            self.drawn(factor, width + small[1]) - self.drawn(factor, width - small[1]),
        )
        return np.array([rise / (2.0 * change) for rise, change in zip(rises, small, strict=True)])


def _lattice_and_width(
    lines: _Lines,
    halo: NDArray[np.float64],
    smooth: list[NDArray[np.float64]],
    y: NDArray[np.float64],
    error: NDArray[np.float64] | None,
) -> tuple[float, float]:
    """Find the lattice factor and the width [°] of least squares."""
    from scipy.optimize import minimize, nnls

    weights = np.ones(y.size) if error is None else 1.0 / error
    basis = np.linalg.qr((weights * np.array(smooth).reshape(-1, y.size)).T)[0]

    def rest(curve: NDArray[np.float64]) -> NDArray[np.float64]:
        """Leave out what the background takes."""
        return weights * curve - basis @ (basis.T @ (weights * curve))

    glass, measured = rest(halo), rest(y)

    def misfit(factor: float, width: float) -> float:
        return float(nnls(np.column_stack((glass, rest(lines.drawn(factor, width)))), measured)[1])

    given, (lowest, highest), (least, most) = lines.crystal.width_deg, _FACTORS, _WIDENINGS
    tried = []
    for width in given * np.geomspace(least, most, _STEPS_OF_WIDTH):
        half = math.ceil((highest - 1.0) / lines.step(width))
        tried += [(float(factor), float(width)) for factor in np.linspace(lowest, highest, 2 * half + 1)]
    tried.append((1.0, given))
    found = [misfit(*one) for one in tried]
    start = tried[int(np.argmin(found))]
    # a simplex within the bounds, of like steps of a line in both directions
    scales = np.array([lines.step(start[1]), start[1]])
    bounds = np.array([_FACTORS, (least * given, most * given)]) / scales[:, None]
    corner = np.array(start) / scales
    turned = np.where(corner + 0.5 > bounds[:, 1], -0.3, 0.3)
    simplex = corner + np.vstack((np.zeros(2), np.diag(turned)))
    refined = minimize(
        lambda one: misfit(*(one * scales)),
        corner,
        method="Nelder-Mead",
        bounds=bounds,
        options={"initial_simplex": simplex, "xatol": 1e-8, "fatol": 1e-12 * min(found), "maxfev": 1000},
    )
    best = refined.x * scales if refined.fun < min(found) else start
    return float(best[0]), float(best[1])


def _faults(found: AmorphousShare, given: float) -> list[str]:
    """Say what is wrong with a fit, each with its number."""
    fit, said = found.fit, []
    causes = "check the lattice (a strain of it), the width and shape of the lines, and the zero of the angles"
    if fit.reduced_chi_squared is not None and fit.reduced_chi_squared > _BAD_CHI_SQUARED:
        said.append(f"reduced χ² = {fit.reduced_chi_squared:.3g}, where a good fit has 1: {causes}")
    if fit.reduced_chi_squared is None and fit.r_w_above_background > _BAD_R_W:
        said.append(
            f"R_w less background = {fit.r_w_above_background:.3g}, where a good fit is below {_BAD_R_W:g}: {causes}; "
            "noise counts too: give the errors"
        )
    if found.lattice_factor is None or found.line_width_deg is None:
        said.append(
            f"the crystal is not found, its part is within {_SEEN:g} standard errors of 0: "
            "check its lattice, the wavelength and the range"
        )
        return said
    for what, value, ends, remedy in (
        ("lattice factor", found.lattice_factor, _FACTORS, "the crystal and the wavelength"),
        ("width of its lines by the one given", found.line_width_deg / given, _WIDENINGS, "the width given"),
    ):
        if min(abs(value - end) for end in ends) < 1e-4:
            said.append(f"the {what} {value:.4g} is at an end of {ends[0]:g} to {ends[1]:g}: check {remedy}")
    return said
