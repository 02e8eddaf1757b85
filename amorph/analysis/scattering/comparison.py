"""A computed curve beside a measured one: scale, background, and how far they differ."""

import logging
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge
from numpy.typing import ArrayLike, NDArray

from amorph.figures import Plottable, Result
from amorph.parameters import checked

log = logging.getLogger(__name__)

Terms = Annotated[int, Ge(0)]


class LinearFit(NamedTuple):
    """Least squares of columns to a measured curve, in the words of :class:`Comparison`."""

    values: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    """Of the errors given, times reduced χ² where that is above 1; of the residuals where none are given."""
    r_w: float
    chi_squared: float | None
    reduced_chi_squared: float | None


@dataclass(frozen=True, eq=False)
class Comparison(Result, Plottable):
    """A measured curve, and the computed one with scale and background on its points."""

    _derived = ("residual", "r_w_above_background")

    x: NDArray[np.float64]
    """(n,) points of the experiment within the computed curve and the limits."""
    measured: NDArray[np.float64]
    """(n,) measured curve."""
    error: NDArray[np.float64] | None
    """(n,) its standard errors, where the file has them."""
    computed: NDArray[np.float64]
    """(n,) computed curve, scaled, with background."""
    background: NDArray[np.float64]
    """(n,) background alone."""
    scale: float
    """Factor of the computed curve."""
    scale_standard_error: float | None
    """Its standard error; None where it is not fitted."""
    scaled: str
    """Where the scale is from: "fitted" or "one"."""
    background_terms: int
    """Chebyshev terms of the background: 0 is none, 1 a constant, 2 a line."""
    r_w: float
    """R_w = √[Σ w (y − f)²/Σ w y²], w = 1/σ² where there are errors, else 1."""
    chi_squared: float | None
    """Σ (y − f)²/σ²; None without errors."""
    reduced_chi_squared: float | None
    """The same by points less fitted numbers."""

    @property
    def residual(self) -> NDArray[np.float64]:
        """(n,) measured less computed."""
        return self.measured - self.computed

    @property
    def r_w_above_background(self) -> float:
        """√[Σ w (y − f)²/Σ w (y − background)²], R_wp corrected for the background: a high one does not flatter it."""
        weights = 1.0 if self.error is None else 1.0 / self.error
        above = float(np.sum((weights * (self.measured - self.background)) ** 2))
        return float(np.sqrt(np.sum((weights * self.residual) ** 2) / above)) if above > 0.0 else np.inf

    def table(self) -> list[dict[str, Any]]:
        """Give the measures."""
        measures = {
            "compared from, to": f"{self.x[0]:.4g} to {self.x[-1]:.4g}, {self.x.size} points",
            f"scale ({self.scaled})": self.scale,
            "terms of the background": self.background_terms,
            "R_w": self.r_w,
            "R_w less background": self.r_w_above_background,
            "χ²": self.chi_squared,
            "χ² over points less fitted numbers": self.reduced_chi_squared,
        }
        return [{"figure": name, "value": value} for name, value in measures.items()]


@checked
def compare(
    x: ArrayLike,
    computed: ArrayLike,
    measured: ArrayLike,
    *,
    scale: Literal["fitted", "one"] = "fitted",
    background_terms: Terms = 0,
    lowest: float | None = None,
    highest: float | None = None,
) -> Comparison:
    """Set a computed curve beside a measured one.

    Parameters
    ----------
    x, computed
        (n,) computed curve: q and S(q), r and G(r), 2θ and intensity.
    measured
        (m, 2) or (m, 3) the same measured, with standard errors in a third column where it has them, as
        :func:`amorph.reading.read_columns` gives them.
    scale
        "fitted", or "one" where both are absolute.
    background_terms
        Chebyshev terms of a smooth background that is fitted: 0 is none, 1 a constant, 2 a line, …
    lowest, highest
        Limits of the comparison; by default all points of the experiment that the computed curve spans.

    Raises
    ------
    ValueError
        Columns that are no curve, or fewer points in common than fitted numbers.

    Notes
    -----
    The computed curve is interpolated between its points; it is not given the resolution of the experiment.

    Examples
    --------
    >>> x = np.linspace(0.0, 6.0, 50)
    >>> made = compare(x, np.sin(x), np.column_stack([x, 3.0 * np.sin(x) + 2.0]), background_terms=1)
    >>> round(made.scale, 9), round(float(made.background[0]), 9), bool(made.r_w < 1e-12)
    (3.0, 2.0, True)
    """
    known = np.asarray(x, dtype=np.float64)
    at, y, error = measured_points(measured, (known,), lowest, highest)
    curve = np.interp(at, known, np.asarray(computed, dtype=np.float64))
    columns = background_columns(at, background_terms)
    if scale == "fitted":
        columns.insert(0, curve)
    fixed = 0.0 if scale == "fitted" else curve
    fit = linear_fit(columns, y - fixed, error, reference=y)
    factor = float(fit.coefficients[0]) if scale == "fitted" else 1.0
    values = fit.values + fixed
    return Comparison(
        at,
        y,
        error,
        values,
        values - factor * curve,
        factor,
        float(np.sqrt(fit.covariance[0, 0])) if scale == "fitted" else None,
        scale,
        background_terms,
        *fit[3:],
    )


def measured_points(
    measured: ArrayLike, spans: tuple[NDArray[np.float64], ...], lowest: float | None, highest: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Give x, y and errors of the measured points that every computed curve spans, within limits.

    Raises
    ------
    ValueError
        No columns, values or errors that make no sense, or no point in common.
    """
    table = np.asarray(measured, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] not in (2, 3) or not len(table):
        raise ValueError(f"the measured curve has the shape {table.shape}; give two columns, or three with errors")
    if not np.isfinite(table).all():
        raise ValueError("the measured curve is not finite everywhere; leave such points out")
    if table.shape[1] == 3 and not (table[:, 2] > 0.0).all():
        raise ValueError(f"the smallest error is {table[:, 2].min():g}; give errors above 0, or two columns")
    x = table[:, 0]
    first, last = max(span[0] for span in spans), min(span[-1] for span in spans)
    slack = 1e-9 * max(abs(first), abs(last))
    wanted = (x >= (-np.inf if lowest is None else lowest) - slack) & (
        x <= (np.inf if highest is None else highest) + slack
    )
    kept = wanted & (x >= first - slack) & (x <= last + slack)
    ranges = f"the experiment goes from {x.min():g} to {x.max():g}, the computed curve from {first:g} to {last:g}"
    if not kept.any():
        raise ValueError(f"no measured point lies within the curve and the limits; {ranges}: match ranges and units")
    if 2 * kept.sum() < wanted.sum():
        log.warning("%d of %d measured points are used; %s: check range and units", kept.sum(), wanted.sum(), ranges)
    table = table[kept]
    return table[:, 0], table[:, 1], table[:, 2] if table.shape[1] == 3 else None


def background_columns(x: NDArray[np.float64], terms: int) -> list[NDArray[np.float64]]:
    """Give the Chebyshev polynomials of a smooth background over the range of x."""
    if terms == 0:
        return []
    middle, half = 0.5 * (x[0] + x[-1]), max(0.5 * (x[-1] - x[0]), 1e-300)
    return list(np.polynomial.chebyshev.chebvander((x - middle) / half, terms - 1).T)


def linear_fit(
    columns: list[NDArray[np.float64]],
    y: NDArray[np.float64],
    error: NDArray[np.float64] | None,
    *,
    reference: NDArray[np.float64] | None = None,
    positive: int = 0,
    slopes: tuple[NDArray[np.float64], ...] = (),
) -> LinearFit:
    """Fit columns to a curve, the first `positive` coefficients at least 0; R_w is against `reference`, by default y.

    `slopes` are derivatives of the curve by numbers that were fitted before: they count as fitted, and the covariance
    has them last.

    Raises
    ------
    ValueError
        Fewer points than columns.
    """
    from scipy.optimize import lsq_linear

    reference = y if reference is None else reference
    weights = np.ones(y.size) if error is None else 1.0 / error
    every = [*columns, *slopes]
    freedom = y.size - len(every)
    if freedom < 0:
        raise ValueError(f"{y.size} measured points do not fix {len(every)} numbers; widen the range or fit fewer")
    design = weights[:, None] * np.array(every).reshape(len(every), y.size).T
    # columns of one size: intensities and background differ by orders of magnitude
    sizes = np.linalg.norm(design, axis=0)
    sizes[sizes == 0.0] = 1.0
    coefficients = np.zeros(0)
    if columns:
        lower = np.where(np.arange(len(columns)) < positive, 0.0, -np.inf)
        scaled = (design / sizes)[:, : len(columns)]
        coefficients = lsq_linear(scaled, weights * y, (lower, np.inf), tol=1e-14).x / sizes[: len(columns)]
    inverse = np.linalg.pinv((design / sizes).T @ (design / sizes)) / np.outer(sizes, sizes)
    values = (design[:, : len(columns)] @ coefficients) / weights
    misfit = float(((weights * (y - values)) ** 2).sum())
    reduced = misfit / max(freedom, 1)
    whole = float(((weights * reference) ** 2).sum())
    r_w = float(np.sqrt(misfit / whole)) if whole > 0.0 else np.inf
    if error is None:
        return LinearFit(values, coefficients, inverse * reduced, r_w, None, None)
    return LinearFit(values, coefficients, inverse * max(reduced, 1.0), r_w, misfit, reduced)
