r"""The powder pattern I(2θ) of a glass or a crystal.

The intensity per atom that a detector sees at one angle is :math:`I(q) = \frac{1}{N}\langle|F|^2\rangle`, over
orientations: every vector of the cell adds :math:`|F|^2/N` spread over the sphere of its length,
:math:`(2\pi)^3/(V\,4\pi q^2)`. With :math:`d(2\theta)/dq = \lambda/(2\pi\cos\theta)` a family of m vectors has the
area :math:`\propto m|F|^2/(\sin^2\theta\cos\theta)`: multiplicity and Lorentz factor are in the sum, and no other
is multiplied on. At high angles the intensity of a glass goes to Σ c f². Compton scattering, absorption, anomalous
dispersion and thermal factors other than the atoms' own displacements are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import numpy as np
from annotated_types import Gt, Interval
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.samples import Structures, average, samples_of
from amorph.analysis.scattering.partials import FormFactors, form_factors_of
from amorph.analysis.scattering.vectors import Shells, pairs_of, shells_of
from amorph.figures import Plottable, Result
from amorph.parameters import Fraction, Length, Meaning, Unit, checked
from amorph.tables import WAVELENGTHS

Angle = Annotated[float, Gt(0), Unit("°")]
Wavelength = Annotated[Length | str, Meaning('"MoKa" (0.7107 Å), "CuKa" (1.5418 Å), or a number [Å].')]
_TwoTheta = Annotated[float, Interval(ge=0, lt=180), Unit("°")]
TwoTheta = Annotated[tuple[_TwoTheta, _TwoTheta], Meaning("First and last angle of the pattern [°].")]
LineWidth = Annotated[Angle, Meaning("Full width of a line at half maximum, of the instrument [°].")]
LorentzianShare = Annotated[
    Fraction,
    Meaning(
        "Share of the Lorentzian in a line's profile: none is a Gaussian, 1 a Lorentzian, between them a pseudo-Voigt."
    ),
]
Broadening = Annotated[
    float,
    Interval(ge=0),
    Unit("1/Å"),
    Meaning(
        "Full width of a Gaussian in q that is added to the profile [1/Å]; 0 for a crystal. A glass in a periodic cell "
        "scatters at the vectors of the cell only, 2π/L apart: about that much makes a smooth halo of them."
    ),
]
Polarization = Annotated[bool, Meaning("Times (1 + cos² 2θ)/2, as an unpolarized beam of a laboratory has it.")]

_FINE: Final = 0.0005
"""Width of the shells of |q| that are drawn as one line [1/Å]: 0.003° of 2θ for Mo Kα."""
_MARGIN: Final = 5.0
"""Lines beyond the end of the range by this many widths still reach into it."""
_TAIL: Final = 100.0
"""So many widths of lines with a Lorentzian part: 0.16 % of its area lie farther out on one side."""
LARGEST_STRETCH: Final = 1.04
"""Lattice factor up to which a stretched pattern has all its lines: those from beyond the range are kept."""
_PROMINENT: Final = 0.005
"""A line of the table rises above its surroundings by this share of the highest."""


@dataclass(frozen=True, eq=False)
class PowderPattern(Result, Plottable):
    """Coherent intensity of X-rays per atom against the angle, of every orientation alike."""

    _large = frozenset({"shells", "chosen_form_factors"})

    two_theta_deg: NDArray[np.float64]
    """(n,) diffraction angle [°]."""
    intensity: NDArray[np.float64]
    """(n,) mean over the samples of the intensity per atom [electron units]."""
    intensity_standard_error: NDArray[np.float64] | None
    """(n,) its standard error over the samples; None for one."""
    wavelength_A: float
    """Wavelength [Å]."""
    width_deg: float
    """Full width of the instrument at half maximum [°]."""
    lorentzian_share: float
    """Share of the Lorentzian in the pseudo-Voigt profile; 0 is a Gaussian."""
    broadening_per_A: float
    """Full width of the Gaussian that the sample adds to every line [1/Å]."""
    polarization: bool
    """Whether the intensity is times (1 + cos² 2θ)/2."""
    smallest_two_theta_deg: float
    """Angle of the shortest reciprocal vector; nothing stands below it but its profile [°]."""
    mass_u: float
    """Mean mass of an atom [u]."""
    form_factors: str
    """The form factors, in words."""
    samples: int
    """Independent structures."""
    shells: tuple[Shells, ...]
    """Sums over the reciprocal vectors of each structure: its lines."""
    chosen_form_factors: Mapping[str, str] | None
    """Form factors by element, where they are not those of the neutral atoms."""

    def stretched(self, factor: float, width_deg: float | None = None) -> NDArray[np.float64]:
        """Draw the same structures with every length times a factor: each line where Bragg's law then has it.

        `width_deg` is another width of the instrument, by default that of the pattern [°].

        Returns
        -------
        (n,) array
            Intensity per atom at the same angles, complete up to a factor of 1.04 [electron units].
        """
        width = self.width_deg if width_deg is None else width_deg
        profile = (self.wavelength_A, width, self.lorentzian_share, self.broadening_per_A, self.polarization)
        curves = []
        for shells in self.shells:
            other = replace(shells, lengths=shells.lengths / factor, volume=shells.volume * factor**3)
            curves.append(_drawn(other, self.two_theta_deg, *profile, self.chosen_form_factors)[0])
        return average(curves).mean

    def table(self) -> list[dict[str, Any]]:
        """Give the maxima: angle, height, height against the highest, and spacing λ/(2 sin θ)."""
        from scipy.signal import find_peaks

        highest = float(self.intensity.max())
        places, _ = find_peaks(self.intensity, prominence=_PROMINENT * highest)
        return [
            {
                "two_theta_deg": float(self.two_theta_deg[n]),
                "intensity": float(self.intensity[n]),
                "relative": 100.0 * float(self.intensity[n]) / highest,
                "spacing_A": self.wavelength_A / (2.0 * float(np.sin(np.radians(0.5 * self.two_theta_deg[n])))),
            }
            for n in places
        ]


@checked
def powder_pattern(
    structures: Structures,
    *,
    wavelength: Wavelength = "CuKa",
    two_theta: TwoTheta = (5.0, 90.0),
    step: Angle = 0.02,
    width: LineWidth = 0.1,
    lorentzian_share: LorentzianShare | None = None,
    broadening: Broadening = 0.0,
    polarization: Polarization = False,
    form_factors: FormFactors | None = None,
    progress: Task | None = None,
) -> PowderPattern:
    r"""Compute the X-ray powder pattern from the sum over all atoms at every reciprocal vector of the cell.

    Parameters
    ----------
    step
        Distance between angles [°].

    Raises
    ------
    ValueError
        A structure that makes no sense, an unknown wavelength or form factor, or a range that is none.

    Examples
    --------
    >>> from ase.build import bulk
    >>> rows = powder_pattern(bulk("Cu", a=3.615), two_theta=(40, 60), wavelength=1.5406).table()
    >>> [round(row["two_theta_deg"], 1) for row in rows]
    [43.3, 50.4]
    """
    length = _wavelength(wavelength)
    first, last = two_theta
    if not first + step < last:
        raise ValueError(f"two_theta from {first:g} to {last:g}° in steps of {step:g}°; give a rising range")
    samples = samples_of(structures).of_one_composition()
    angles = np.array(first + step * np.arange(int((last - first) / step + 1e-9) + 1), np.float64)
    profile = (length, width, lorentzian_share or 0.0, broadening, polarization)
    reach = _farthest(angles[-1], *profile[:4])
    every = tuple(shells_of(samples, reach * LARGEST_STRETCH, _FINE, progress))
    drawn = [_drawn(shells, angles, *profile, form_factors) for shells in every]
    intensity, smallest = average([curve for curve, _, _ in drawn]), min(least for _, least, _ in drawn)
    lowest = float(2.0 * np.degrees(np.arcsin(min(smallest * length / (4.0 * np.pi), 1.0))))
    about = (float(samples.frames[0][0].get_masses().mean()), drawn[0][2], len(drawn), every, form_factors)
    return PowderPattern(angles, intensity.mean, intensity.error, *profile, lowest, *about)


def _drawn(
    shells: Shells,
    angles: NDArray[np.float64],
    length: float,
    width: float,
    lorentzian_share: float,
    broadening: float,
    polarization: bool,
    form_factors: Mapping[str, str] | None,
) -> tuple[NDArray[np.float64], float, str]:
    """Give the intensity of one sample at evenly spaced angles, its smallest q, and the form factors' source."""
    from amorph.analysis.scattering._kernels import draw_profiles

    reach = _farthest(angles[-1], length, width, lorentzian_share, broadening)
    theta, areas, slope, least, said = _lines(shells, reach, length, form_factors)
    if polarization:
        areas *= 0.5 * (1.0 + np.cos(2.0 * theta) ** 2)
    curve = np.zeros(angles.size)
    widths = np.hypot(width, broadening * slope)
    draw_profiles(np.degrees(2.0 * theta), areas, widths, lorentzian_share, angles[0], angles[1] - angles[0], curve)
    return curve, least, said


def _farthest(last: float, length: float, width: float, lorentzian_share: float, broadening: float) -> float:
    """Give the q of the farthest line that reaches into a range of angles [1/Å]."""
    theta = math.radians(min(0.5 * (last + (_TAIL if lorentzian_share else _MARGIN) * width), 89.9))
    return 4.0 * math.pi / length * math.sin(theta) + _MARGIN * broadening


def _lines(
    shells: Shells, reach: float, length: float, form_factors: Mapping[str, str] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float, str]:
    """Give θ [rad] and area of each line, the slope of 2θ in q, the smallest q, and the form factors' source."""
    met = np.flatnonzero(shells.vectors)
    q = shells.lengths[met] / shells.vectors[met]
    lowest = float(q.min(initial=np.inf))
    drawn = q <= min(reach, 0.9999 * 4.0 * np.pi / length)
    met, q = met[drawn], q[drawn]
    theta = np.arcsin(q * length / (4.0 * np.pi))
    factors, said = form_factors_of(shells.elements, q, form_factors)
    slope = np.degrees(length / (2.0 * np.pi * np.cos(theta)))
    return theta, _strength(shells, met, factors) * 2.0 * np.pi**2 / q**2 * slope, slope, lowest, said


def _wavelength(given: str | float) -> float:
    if not isinstance(given, str):
        return given
    if given not in WAVELENGTHS:
        raise ValueError(f"unknown wavelength '{given}'; give {' or '.join(WAVELENGTHS)}, or a number [Å]")
    return WAVELENGTHS[given]


def _strength(shells: Shells, met: NDArray[np.int64], factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum |F|²/(N V) over the vectors of each shell, the mean over frames [electron units/Å³]."""
    products = shells.products[met]
    pairs = pairs_of(len(factors))
    sums = sum((2.0 - (a == b)) * factors[a] * factors[b] * products[:, n] for n, (a, b) in enumerate(pairs))
    return np.asarray(sums / (shells.numbers.sum() * shells.frames * shells.volume))
