"""The straight line through a mean-square displacement: where it begins, its slope, and an interval that covers.

The displacements of overlapping windows share their steps, and so do those of neighboring lags: the points of the curve
are correlated, and a plain fit takes its own noise for certainty. Here the line is fitted by generalised least squares
with the covariance that a random walk has, as McCluskey et al. propose (2024, doi:10.1021/acs.jctc.4c01249, seen in
the documentation of kinisi only); ours is exact for overlapping windows, where theirs counts those that do not overlap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEWEST_FRAMES: Final = 32
"""Frames below which no curve can be told from its noise."""
PER_OCTAVE: Final = 8
"""Lags between a lag and its double."""
MARGIN: Final = 3
"""Times the lag at which a curve is found straight, from which it is fitted: the find itself is a matter of chance."""
CONFIDENCE: Final = 0.95
"""Of every interval."""
STRAIGHT: Final = 2.0
"""Standard errors within which a curve counts as straight."""
RESOLVED: Final = 0.5
"""Relative standard error of a slope beyond which it is only bounded: four independent jumps have it."""


def lags_of(frames: int) -> Integers:
    """Choose lags up to half the trajectory, eight an octave; the double of each is among them while it fits.

    >>> lags_of(64).tolist()
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26, 28, 30, 32]
    """
    first = np.arange(1, 2 * PER_OCTAVE)
    octaves = [first, *(first[PER_OCTAVE - 1 :] * 2**k for k in range(1, max(frames, 2).bit_length()))]
    lags = np.concatenate(octaves)
    return lags[lags <= frames // 2].astype(np.int64)


def random_walk_covariance(lags: Integers, frames: int) -> Floats:
    r"""Give the covariance of the mean squared displacements of one random walk in one dimension.

    The step has unit variance. Two windows that share s steps have squared displacements of covariance :math:`2 s^2`
    (Isserlis); for lags :math:`m \le n` with :math:`K_n = N - n` windows the sum over all pairs of windows is

    .. math:: \frac{2}{K_n K_m} \left[ K_n m^2 (n - m + 1) + K_n \frac{m (m-1)(2m-1)}{3} - \frac{m^2 (m^2-1)}{6} \right]

    as long as :math:`m + n \le N`.

    Examples
    --------
    Steps alone do not overlap: the mean of n squares has the variance 2/n.

    >>> float(random_walk_covariance(np.array([1]), 101)[0, 0])
    0.02
    """
    n, m = np.maximum.outer(lags, lags).astype(float), np.minimum.outer(lags, lags).astype(float)
    windows = frames - n
    pairs = windows * m**2 * (n - m + 1) + windows * m * (m - 1) * (2 * m - 1) / 3 - m**2 * (m**2 - 1) / 6
    return 2.0 * pairs / (windows * (frames - m))


def line_weights(lags: Integers, frames: int) -> Floats:
    """Give the (2, lags) weights that make a line of the values at some lags: its intercept and its slope.

    They depend on the lags alone, not on the values, so that the slope is unbiased wherever the curve is a line.
    """
    covariance = random_walk_covariance(lags, frames)
    scale = np.sqrt(np.diag(covariance))
    design = np.stack([np.ones(len(lags)), lags.astype(float)], axis=1) / scale[:, None]
    solved = np.linalg.solve(covariance / np.outer(scale, scale), design)
    weights: Floats = np.linalg.solve(design.T @ solved, solved.T) / scale
    return weights


@dataclass(frozen=True)
class Line:
    """The straight part of a curve, per frame of lag."""

    start: int | None
    """First lag of it [frames]; None where no part is straight."""
    slope: float
    """Its slope; of the last octave of lags where no part is straight."""
    error: float
    """Standard error of the slope."""
    intercept: float
    """Where it cuts the axis: what the particles do besides diffusing."""
    diffusive: bool
    """Whether it shows diffusion: straight, steeper than twice its error, and above its intercept at the last lag."""

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the slope: twice the number of independent squared displacements that it is worth."""
        return 2.0 * (self.slope / self.error) ** 2

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the slope: a mean of squares follows the gamma distribution, a count of few jumps does too."""
        from scipy.stats import chi2

        ends = np.array([1.0 + CONFIDENCE, 1.0 - CONFIDENCE]) / 2.0
        low, high = self.slope * self.freedom / chi2.ppf(ends, self.freedom)
        return float(low), float(high)


def fit_line(values: Floats, lags: Integers, frames: int, dimensions: int) -> Line:
    """Find the straight part of a mean-square displacement and its slope.

    Parameters
    ----------
    values
        (particles, lags) mean squared displacement of each particle.
    lags
        Lags as :func:`lags_of` gives them [frames].
    frames
        Frames of the trajectory.
    dimensions
        Axes that the displacement has.

    Notes
    -----
    The curve is straight from a lag on where its rise from twice to four times the lag is twice that from the lag to
    its double, within two standard errors, there and for an octave beyond; the line begins at three times that lag,
    where what is left of a decaying memory is far below the error. The error of the slope is the larger of two: of the
    random walk's covariance, and of the spread of the particles' own slopes, which knows of cages, of rare jumps, and
    of ions that sit unlike each other. Both take the particles as independent.
    """
    from scipy.stats import t as student

    count = len(values)
    mean = values.mean(axis=0)
    start = _start(values, lags, frames, dimensions)
    used = lags >= (lags[-1] // 2 if start is None else start)
    of_intercept, weights = line_weights(lags[used], frames)
    slopes = values[:, used] @ weights
    slope = float(slopes.mean())
    error = _walk_error(weights, mean[used], lags[used], frames, count * dimensions)
    if count > 1:
        factor = student.ppf((1.0 + CONFIDENCE) / 2.0, count - 1) / student.ppf((1.0 + CONFIDENCE) / 2.0, np.inf)
        error = max(error, float(factor * slopes.std(ddof=1) / np.sqrt(count)))
    intercept = float(of_intercept @ mean[used])
    seen = start is not None and slope > 0.0 and error <= RESOLVED * slope and intercept <= slope * lags[-1]
    return Line(start, slope, error, intercept, bool(seen))


def _walk_error(weights: Floats, mean: Floats, lags: Integers, frames: int, walks: int) -> float:
    """Give the standard error of a weighted sum of values by the walk's covariance, at the size of the values."""
    scale = mean / lags
    return float(np.sqrt(weights @ (random_walk_covariance(lags, frames) * np.outer(scale, scale)) @ weights / walks))


def _start(values: Floats, lags: Integers, frames: int, dimensions: int) -> int | None:
    """Find the lag from which the curve is straight."""
    place = {int(lag): k for k, lag in enumerate(lags)}
    tested = [lag for lag in place if 4 * lag in place]
    straight = []
    mean = values.mean(axis=0)
    for lag in tested:
        at = np.array([place[lag], place[2 * lag], place[4 * lag]])
        weights = np.array([2.0, -3.0, 1.0])
        bends = values[:, at] @ weights
        error = _walk_error(weights, mean[at], lags[at], frames, len(values) * dimensions)
        if len(values) > 1:
            error = max(error, float(bends.std(ddof=1) / np.sqrt(len(values))))
        straight.append(abs(float(bends.mean())) <= STRAIGHT * error)
    for lag in tested:
        if 2 * lag in place and all(s for other, s in zip(tested, straight, strict=True) if lag <= other <= 2 * lag):
            return int(lags[np.searchsorted(lags, MARGIN * lag)])
    return None
