"""The first sharp diffraction peak: its place and width."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph.analysis.scattering.partials import InverseLength
from amorph.figures import Result, Row
from amorph.parameters import checked

_PROMINENT: Final = 0.1
"""A peak rises above what surrounds it by this share of the curve's whole range; less is noise."""
_FEWEST: Final = 7
"""Points that fix the five numbers of the fit, and an error."""
_SIGNIFICANT: Final = 3.0
"""The fitted height is this many times its error, or it is noise."""
_FULL_WIDTH: Final = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True)
class SharpPeak(Result):
    """The first peak of S(q), by a fit of a Gaussian on a line within one full width of its top."""

    place_per_A: float
    """Where it stands [1/Å]."""
    width_per_A: float
    """Full width at half maximum [1/Å]."""
    height: float
    """S at its top."""
    place_standard_error_per_A: float | None
    """Standard error of the place [1/Å]; None where the peak hangs on one of the samples."""
    width_standard_error_per_A: float | None
    """Standard error of the width [1/Å]."""
    error_from: str
    """"samples": a jackknife over independent structures; "fit": the residuals of one curve."""

    def rows(self) -> list[Row]:
        """Give the place and the width."""
        return peak_rows(self)


def peak_rows(peak: SharpPeak | None) -> list[Row]:
    """Give place and width of a peak, or None for both where there is none, which is a finding too."""
    place, width = (None, None) if peak is None else (peak.place_per_A, peak.width_per_A)
    return [
        Row("first sharp diffraction peak", place, "1/Å"),
        Row("its full width at half maximum", width, "1/Å"),
    ]


@checked
def first_sharp_peak(
    q: ArrayLike, s: ArrayLike, *, smoothing: InverseLength = 0.1, highest: InverseLength = 3.0
) -> SharpPeak | None:
    r"""Find the first sharp diffraction peak of S(q).

    Parameters
    ----------
    q
        (n,) rising [1/Å].
    s
        (n,) S(q), or (n_samples, n) that of independent structures (``made.sampled_total("neutron")``), whose mean is
        fitted.
    smoothing
        Standard deviation of the Gaussian that smooths the curve while the peak is looked for, not in the fit [1/Å].
    highest
        Where the search ends: what is beyond is no first peak [1/Å].

    Returns
    -------
    SharpPeak or None
        None where no maximum rises above both its sides by a tenth of the curve's range and is three times as high
        as the error of its fit: a small cell has too few vectors at small q to show one.

    Notes
    -----
    Fitted by least squares: :math:`S = s_0 + s_1 (q - q_1) + h \exp[-(q - q_1)^2/2\sigma^2]` at the points between
    :math:`q_1 \pm` the width at half prominence; the full width is :math:`2\sqrt{2\ln 2}\,\sigma`.

    Examples
    --------
    >>> q = np.linspace(0.3, 8.0, 200)
    >>> peak = first_sharp_peak(q, 1.0 + 0.8 * np.exp(-(((q - 1.5) / 0.2) ** 2)) - np.exp(-q))
    >>> round(peak.place_per_A, 1)
    1.5
    """
    x = np.asarray(q, dtype=np.float64)
    samples = np.atleast_2d(np.asarray(s, dtype=np.float64))
    if x.ndim != 1 or samples.shape[1:] != x.shape:
        raise ValueError(f"q has the shape {x.shape}, S {np.shape(s)}; give a value of S for every q")
    shared = np.isfinite(samples).sum(axis=0) >= min(2, len(samples))  # so that one sample may be left out
    x, samples = x[shared], samples[:, shared]
    mean = np.nanmean(samples, axis=0)
    peaks = (_fit(x, mean, *start) for start in _starts(x, mean, smoothing, highest))
    found = next((fit for fit in peaks if fit is not None and fit[0][2] > _SIGNIFICANT * fit[1][2]), None)
    if found is None:
        return None
    best, errors = found
    n = len(samples)
    if n > 1:  # the same peak without each of the samples
        full = float(_FULL_WIDTH * best[4])
        left = [_fit(x, np.nanmean(np.delete(samples, k, axis=0), axis=0), best, full) for k in range(n)]
        spread = np.array([np.full(5, np.nan) if one is None else one[0] for one in left])
        errors = np.sqrt((n - 1) * spread.var(axis=0))
    known = bool(np.isfinite(errors).all())
    place, width = (float(errors[3]), float(_FULL_WIDTH * errors[4])) if known else (None, None)
    at, full, height = float(best[3]), float(_FULL_WIDTH * best[4]), float(best[0] + best[2])
    return SharpPeak(at, full, height, place, width, "samples" if n > 1 else "fit")


def _starts(
    x: NDArray[np.float64], y: NDArray[np.float64], smoothing: float, highest: float
) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Give where a fit begins, and the full width, for each maximum of the smoothed curve from the left."""
    from scipy.signal import find_peaks, peak_widths

    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    even = np.arange(x[0], x[-1], 0.2 * smoothing)
    kernel = np.exp(-0.5 * ((even[:, None] - x) / smoothing) ** 2) * np.gradient(x)
    smooth = kernel @ y / kernel.sum(axis=1)
    places, found = find_peaks(smooth, prominence=_PROMINENT * np.ptp(smooth))
    widths = 0.2 * smoothing * peak_widths(smooth, places, rel_height=0.5)[0]
    for top, full, prominence in zip(places, widths, found["prominences"], strict=True):
        if even[top] <= highest:
            start = np.array([smooth[top] - prominence, 0.0, prominence, even[top], full / _FULL_WIDTH])
            yield start, float(full)


def _fit(
    x: NDArray[np.float64], y: NDArray[np.float64], start: NDArray[np.float64], full: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Fit a Gaussian on a line within one full width of where it begins: its five numbers and their errors."""
    from scipy.optimize import OptimizeWarning, curve_fit

    near = np.isfinite(y) & (np.abs(x - start[3]) <= full)
    if near.sum() < _FEWEST:
        return None
    lower = (-np.inf, -np.inf, 0.0, start[3] - full, 0.1 * start[4])
    upper = (np.inf, np.inf, np.inf, start[3] + full, 3.0 * start[4])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            best, covariance = curve_fit(_gaussian, x[near], y[near], p0=start, bounds=(lower, upper))
    except (RuntimeError, OptimizeWarning):  # points that no Gaussian fits are no peak
        return None
    return best, np.sqrt(np.diag(covariance))


def _gaussian(
    x: NDArray[np.float64], floor: float, slope: float, height: float, place: float, sigma: float
) -> NDArray[np.float64]:
    return np.asarray(floor + slope * (x - place) + height * np.exp(-0.5 * ((x - place) / sigma) ** 2))
