"""How fast the ions of one trajectory move: alone, and together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.transport.paths import Paths, unwrapped_paths
from amorph.analysis.transport.regression import CONFIDENCE, FEWEST_FRAMES, Line, fit_line, lags_of
from amorph.figures import Plottable, Result, Row
from amorph.parameters import Duration, Kelvin, checked
from amorph.progress import task_of

Floats = NDArray[np.float64]

CM2_S_PER_A2_PS: Final = 1e-4
"""One Å²/ps in cm²/s."""
S_PER_CM_PER_A2_PS: Final = units._e * 1e10 * 1e12 / 100.0
"""One e²/(eV Å ps) in S/cm."""
JUMP_A: Final = 3.0
"""A jump between sites [Å], for what a trajectory without one says: sites of Li, Na and Mg in oxides lie 2.5 to 3.5 Å
apart."""
_NEUTRAL: Final = 1e-6
"""Share of their sizes to which charges of all atoms add up to 0."""
VAN_HOVE_LAGS: Final = 5
VAN_HOVE_BINS: Final = 120
VAN_HOVE_WINDOWS: Final = 200_000
"""Displacements that a curve of the van Hove function is counted from, about; more do not change the picture."""


@dataclass(frozen=True, eq=False)
class Tracer(Result):
    """How one element moves."""

    element: str
    ions: int
    """Number of its atoms."""
    charge: float | None
    """Mean charge of its ions [e]; None where none was given."""
    diffusivity_cm2_s: float | None
    """Tracer diffusion coefficient [cm²/s]; None where no diffusion is seen."""
    standard_error: float | None
    """Its standard error [cm²/s]."""
    interval_95: tuple[float, float] | None
    """Interval that holds it with 95 % [cm²/s]."""
    upper_limit_cm2_s: float | None
    """Where no diffusion is seen, what it is at most, with 95 % [cm²/s]; None where it is."""
    start_ps: float | None
    """Lag from which the curve is straight [ps]; None where it is nowhere."""
    intercept_A2: float
    """Where the line cuts the axis [Å²]: what the ion does besides diffusing, in its cage above all."""
    exponent: float
    """Slope of the log–log curve at the longest lag: 1 for diffusion, 0 for an ion in its cage."""
    msd_A2: float
    """Mean-square displacement at the longest lag [Å²]."""
    collective_cm2_s: float | None
    """Diffusion coefficient of the sum of all its ions' displacements [cm²/s]; None where none is seen."""
    conductivity_S_per_cm: float | None
    """Conductivity by its ions from that sum [S/cm]; None without it, a charge or a temperature."""
    conductivity_interval_95: tuple[float, float] | None
    """Interval that holds it with 95 % [S/cm]: one sum has no neighbors to average over, so it is wide."""
    nernst_einstein_S_per_cm: float | None
    """Conductivity of ions that move independently [S/cm]."""
    haven_ratio: float | None
    """Tracer over collective diffusion coefficient: below 1 where ions move together."""
    haven_interval_95: tuple[float, float] | None
    """Interval that holds it with 95 %, by that of the collective one, which is by far the wider."""
    curves: dict[str, Floats]
    """By lag: `lag_ps`, `msd_A2`, its `standard_error_A2`, `collective_A2` (per ion) and the `non_gaussian` parameter
    α2 = 3⟨r⁴⟩/(5⟨r²⟩²) − 1."""
    van_hove: dict[str, Floats]
    """Self part 4πr²G_s(r, t) [1/Å] by distance `r_A`, one curve for each of a few lags."""
    _large: ClassVar[frozenset[str]] = frozenset({"curves", "van_hove"})


@dataclass(frozen=True, eq=False)
class Diffusion(Result, Plottable):
    """How the ions of a trajectory move."""

    ions: dict[str, Tracer]
    """By element."""
    temperature_K: float | None
    """Temperature of the trajectory [K]; None where nobody said."""
    frame_interval_ps: float
    """Time between frames [ps]."""
    duration_ps: float
    """Length of the trajectory [ps]."""
    volume_A3: float
    """Mean volume of the cell [Å³]."""
    joint_conductivity_S_per_cm: float | None
    """Conductivity by the ions of all elements that have a charge, with what they do to each other [S/cm]; None where
    fewer than two have one, without a temperature, and where none is seen or none of them is seen to diffuse."""
    joint_conductivity_interval_95: tuple[float, float] | None
    """Interval that holds it with 95 % [S/cm]."""

    def table(self) -> list[dict[str, Any]]:
        """One row per element."""
        rows = []
        for element, found in self.ions.items():
            low, high = found.interval_95 or (None, found.upper_limit_cm2_s)
            rows.append(
                {
                    "element": element,
                    "ions": found.ions,
                    "D_cm2_s": found.diffusivity_cm2_s,
                    "from_cm2_s": low,
                    "to_cm2_s": high,
                    "straight_from_ps": found.start_ps,
                    "exponent": found.exponent,
                    "msd_A2": found.msd_A2,
                    "conductivity_S_per_cm": found.conductivity_S_per_cm,
                    "of_at_least_S_per_cm": (found.conductivity_interval_95 or (None, None))[0],
                    "to_S_per_cm": (found.conductivity_interval_95 or (None, None))[1],
                    "Haven_ratio": found.haven_ratio,
                }
            )
        return rows

    def rows(self) -> list[Row]:
        """Give each element's D, or that it is at most so much."""
        at = "" if self.temperature_K is None else f" at {self.temperature_K:.0f} K"
        return [
            Row(f"D of {element}{at}", found.diffusivity_cm2_s, "cm²/s", decades=True)
            if found.diffusivity_cm2_s is not None
            else Row(f"D of {element}{at}, at most", found.upper_limit_cm2_s, "cm²/s", decades=True)
            for element, found in self.ions.items()
        ]


@checked
def diffusion(
    frames: Iterable[Atoms],
    *,
    frame_interval_ps: Duration,
    temperature_K: Kelvin | None = None,
    charges: Mapping[str, float] = {},
    progress: Task | None = None,
) -> Diffusion:
    r"""Measure how fast each element of a trajectory moves.

    Parameters
    ----------
    frames
        Frames of constant temperature in order, at equal intervals, wrapped or not; equilibration left out, and no
        Langevin thermostat, whose friction slows what is measured.
    frame_interval_ps
        Time between frames.
    temperature_K
        Temperature, for the conductivity.
    charges
        Charge of the ions of each element [e], for the conductivity: Li=1.

    Raises
    ------
    ValueError
        Fewer than 32 frames; frames that :func:`unwrapped_paths` refuses; charges of an element that is not there, or
        of all elements that do not add up to 0.

    Notes
    -----
    Mean-square displacements go over windows that overlap: all of a short lag, and eight beginnings or more within a
    long one. :math:`D = \lim \mathrm{MSD}/(6t)` is the slope that
    :func:`fit_line` finds. Where it finds none, the limit is the upper bound of a count of events (Garwood 1936,
    doi:10.1093/biomet/28.3-4.437). An event is a jump of 3 Å, which adds :math:`(3\,\text{Å})^2 / (N T)` to the slope,
    or as much more as the slope's own error says; of none seen there are at most 3.7 in the time of all ions. The
    conductivity is that of the displacement of all ions of the element together,
    :math:`\sigma = N z^2 e^2 D_c / (V k_B T)` with
    :math:`D_c = \lim \langle |\sum_i \Delta r_i|^2 \rangle / (6 N t)`; Haven's ratio is :math:`D / D_c`. Of several
    elements with charges it is also given for all together, from :math:`\sum_i z_i \Delta r_i`. Sums are seen from the
    center of mass of the atoms without a charge; of an element without one, from that of all others.
    """
    return motion(unwrapped_paths(frames), frame_interval_ps, temperature_K, charges, progress)


def motion(
    paths: Paths,
    interval_ps: float,
    temperature_K: float | None,
    charges: Mapping[str, float],
    progress: Task | None = None,
) -> Diffusion:
    """Measure paths that are followed."""
    if paths.frames < FEWEST_FRAMES:
        raise ValueError(
            f"{paths.frames} frames are too few to tell diffusion from noise; give at least {FEWEST_FRAMES}"
        )
    elements = list(dict.fromkeys(paths.symbols))
    if unknown := [element for element in charges if element not in elements]:
        raise ValueError(f"charges names {unknown[0]}, which is not there; the elements are {', '.join(elements)}")
    charged = {element: charge for element, charge in charges.items() if charge}
    host = [element for element in elements if element not in charged]
    total = sum(charged.get(symbol, 0.0) for symbol in paths.symbols)
    if not host and abs(total) > _NEUTRAL * sum(abs(charged[symbol]) for symbol in paths.symbols):
        raise ValueError(
            f"charges of all elements add up to {total:+g} e, and what they conduct would depend on where it is seen "
            "from; give charges that add up to 0, or leave out those of the host"
        )
    ions = {}
    with task_of(progress)("displacements", len(elements)) as update:
        for number, element in enumerate(elements):
            seen_from = host if element in charged else [other for other in elements if other != element]
            ions[element] = _tracer(paths, element, seen_from, interval_ps, temperature_K, charges.get(element))
            update(number + 1, element)
    moving = any(ions[element].diffusivity_cm2_s is not None for element in charged)
    joint, interval = _together(paths, charged, host, interval_ps, temperature_K) if moving else (None, None)
    duration = (paths.frames - 1) * interval_ps
    return Diffusion(ions, temperature_K, interval_ps, duration, paths.volume_A3, joint, interval)


def _together(
    paths: Paths, charged: Mapping[str, float], host: Sequence[str], interval_ps: float, temperature_K: float | None
) -> tuple[float | None, tuple[float, float] | None]:
    """Give the conductivity by all charged elements and its interval [S/cm]."""
    if temperature_K is None or len(charged) < 2:
        return None, None
    lags = lags_of(paths.frames)
    line = fit_line(moments(paths.whole_of(charged, host), lags)[0], lags, paths.frames, 3)
    if not line.diffusive:
        return None, None
    unit = _conductivity(paths, temperature_K) / (6.0 * interval_ps)
    return unit * line.slope, _scaled(line, unit)


def _conductivity(paths: Paths, temperature_K: float) -> float:
    """Give the conductivity of one charge of 1 e in the cell that diffuses by 1 Å²/ps [S/cm]."""
    return S_PER_CM_PER_A2_PS / (paths.volume_A3 * units.kB * temperature_K)


def _tracer(
    paths: Paths,
    element: str,
    host: Sequence[str],
    interval_ps: float,
    temperature_K: float | None,
    charge: float | None,
) -> Tracer:
    own = paths.of(element)
    count, frames = len(own), paths.frames
    lags = lags_of(frames)
    second, fourth = moments(own, lags)
    line = fit_line(second, lags, frames, 3)
    collective = moments(paths.whole_of({element: 1.0}, host) / np.sqrt(count), lags)[0]
    joint = fit_line(collective, lags, frames, 3)
    unit = CM2_S_PER_A2_PS / (6.0 * interval_ps)
    factor = None  # from a diffusion coefficient to a conductivity
    if charge is not None and temperature_K is not None:
        factor = count * charge**2 * _conductivity(paths, temperature_K) / CM2_S_PER_A2_PS
    slope, together = (unit * found.slope if found.diffusive else None for found in (line, joint))
    if slope is None or count == len(paths.symbols):
        together = None  # a whole that moves while its parts rattle is noise, and all atoms together stand still
    mean = second.mean(axis=0)
    spread = second.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(lags), np.nan)
    half = int(np.searchsorted(lags, lags[-1] // 2))
    with np.errstate(invalid="ignore", divide="ignore"):  # an element that does not move at all
        exponent = float(np.log(mean[-1] / mean[half]) / np.log(lags[-1] / lags[half]))
        non_gaussian = 0.6 * fourth.mean(axis=0) / mean**2 - 1.0
    return Tracer(
        element=element,
        ions=count,
        charge=charge,
        diffusivity_cm2_s=slope,
        standard_error=None if slope is None else unit * line.error,
        interval_95=None if slope is None else _scaled(line, unit),
        upper_limit_cm2_s=None if slope is not None else unit * limit(line, count, frames),
        start_ps=None if line.start is None else line.start * interval_ps,
        intercept_A2=line.intercept,
        exponent=exponent,
        msd_A2=float(mean[-1]),
        collective_cm2_s=together,
        conductivity_S_per_cm=None if together is None or factor is None else factor * together,
        conductivity_interval_95=None if together is None or factor is None else _scaled(joint, factor * unit),
        nernst_einstein_S_per_cm=None if slope is None or factor is None else factor * slope,
        haven_ratio=None if slope is None or together is None else slope / together,
        haven_interval_95=None if slope is None or together is None else _over(slope, _scaled(joint, unit)),
        curves={
            "lag_ps": lags.astype(np.float64) * interval_ps,
            "msd_A2": mean,
            "standard_error_A2": spread,
            "collective_A2": collective[0],
            "non_gaussian": non_gaussian,
        },
        van_hove=_van_hove(own, lags, interval_ps),
    )


def moments(paths: Floats, lags: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Give the (particles, lags) means of r² and r⁴ over the windows of (particles, axes, frames) paths."""
    from amorph.analysis.transport._kernels import window_moments

    second, fourth = np.empty((2, len(paths), len(lags)))
    window_moments(np.ascontiguousarray(paths), lags, second, fourth)
    return second, fourth


def _scaled(line: Line, unit: float) -> tuple[float, float]:
    low, high = line.interval
    return unit * low, unit * high


def _over(value: float, interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return value / high, value / low


def limit(line: Line, count: int, frames: int) -> float:
    """Bound a slope that is not seen [Å² per frame], by the rule in the notes of :func:`diffusion`."""
    from scipy.stats import chi2

    slope = max(line.slope, 0.0)
    event = JUMP_A**2 / (count * frames)
    if line.error > 0.0:
        event = max(event, line.error**2 / max(slope, line.error))
    return event * float(chi2.ppf((1.0 + CONFIDENCE) / 2.0, 2.0 * (slope / event + 1.0))) / 2.0


def _van_hove(paths: Floats, lags: NDArray[np.int64], interval_ps: float) -> dict[str, Floats]:
    """Count how far ions have come after a few lags, evenly spaced in the logarithm."""
    chosen = np.unique(lags[np.linspace(0, len(lags) - 1, VAN_HOVE_LAGS).astype(int)])
    distances = {}
    for lag in chosen.tolist():
        stride = max(1, len(paths) * (paths.shape[2] - lag) // VAN_HOVE_WINDOWS)
        starts = np.arange(0, paths.shape[2] - lag, stride)
        distances[f"{lag * interval_ps:g}_ps"] = np.linalg.norm(paths[:, :, starts + lag] - paths[:, :, starts], axis=1)
    reach = max(float(np.quantile(moved, 0.999)) for moved in distances.values()) or 1.0
    edges = np.linspace(0.0, 1.1 * reach, VAN_HOVE_BINS + 1)
    curves = {name: np.histogram(m, edges)[0] / m.size / np.diff(edges) for name, m in distances.items()}
    return {"r_A": (edges[1:] + edges[:-1]) / 2.0, **curves}
