"""The schedule of a melt-quench: segments of constant or linearly ramped temperature."""

import difflib
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Tag

from amorph.parameters import Duration, Pressure, Temperature, Timestep, parse

MELT_SHARE: Final = 0.9
"""Share of the highest target above which a schedule without a hold there is in its melt."""

MEMORY: Final = 10.0
"""Damping times of the thermostat after which a jump of the target is forgotten."""

Ensemble = Literal["NVT", "NPT", "NVE", "Bussi"]

_WITHOUT_REST: Final = {
    "NPT": "a Nosé–Hoover chain has no mass",
    "Bussi": "there is no velocity to rescale",
}
"""Ensembles that know no 0 K, and why."""


@dataclass(frozen=True)
class Segment:
    """A stretch of molecular dynamics whose target temperature is constant or a linear ramp.

    Raises
    ------
    ValueError
        A value outside its bounds; a ramp in NVE; a pressure outside of NPT; an NPT or Bussi segment at 0 K.
    """

    name: str
    """What it is for, as in ``thermo.csv``: ``melt``, ``quench``, ..."""
    ensemble: Ensemble
    """NVT: Langevin thermostat, fixed cell. Bussi: the same by rescaling velocities, which does not slow diffusion.
    NPT: isotropic Nosé–Hoover chains. NVE: no thermostat."""
    start_K: Temperature
    """Target temperature at the start [K]; of the whole segment in NVE, where it only bounds the run."""
    end_K: Temperature
    """Target temperature at the end [K]."""
    duration_ps: Duration
    """Length in time [ps]."""
    pressure_GPa: Pressure = 0.0
    """Target pressure of an NPT segment [GPa]."""

    def __post_init__(self) -> None:
        for key, value in parse(Segment, dict(vars(self))).items():
            object.__setattr__(self, key, value)
        if self.ensemble == "NVE" and self.start_K != self.end_K:
            raise ValueError(
                f"segment '{self.name}' ramps from {self.start_K:g} to {self.end_K:g} K in NVE, which has no "
                "thermostat; make both equal or choose NVT"
            )
        if self.ensemble != "NPT" and self.pressure_GPa != 0.0:
            raise ValueError(
                f"segment '{self.name}' asks for {self.pressure_GPa:g} GPa in {self.ensemble}; only NPT holds pressure"
            )
        if (why := _WITHOUT_REST.get(self.ensemble)) and min(self.start_K, self.end_K) <= 0.0:
            raise ValueError(f"segment '{self.name}' reaches 0 K in {self.ensemble}, where {why}; choose NVT")


@dataclass(frozen=True)
class QuenchSchedule:
    """Segments of molecular dynamics, one after another, and the constants of their integrators.

    Every duration is rounded to a whole number of steps. Step n belongs to the segment that it ends in: the last step
    of a melt is still melt. Step 0 belongs to the first segment.

    Examples
    --------
    >>> schedule = named("kawaguchi2025")
    >>> schedule.steps, schedule.target_K(0), schedule.target_K(20_000), schedule.target_K(30_000)
    (30000, 3000.0, 1650.0, 300.0)
    """

    segments: tuple[Segment, ...]
    """The segments in order."""
    timestep_fs: Timestep = 1.0
    """Time step [fs]."""
    damping_time_ps: Duration = 0.02
    """Damping time of the thermostat [ps]: of NVT the inverse friction, of Bussi the time in which the kinetic energy
    relaxes."""
    nose_hoover_time_ps: Duration = 0.1
    """Period of the Nosé–Hoover thermostat [ps]. For NPT segments."""
    barostat_time_ps: Duration = 1.0
    """Period of the barostat [ps]. For NPT segments."""

    def __post_init__(self) -> None:
        for key, value in parse(QuenchSchedule, dict(vars(self))).items():
            object.__setattr__(self, key, value)
        if not self.segments:
            raise ValueError("the schedule has no segments; give at least one")
        for segment, (first, last) in zip(self.segments, self.spans, strict=True):
            if last == first:
                raise ValueError(
                    f"segment '{segment.name}' lasts {segment.duration_ps:g} ps, less than one step of "
                    f"{self.timestep_fs:g} fs; lengthen it"
                )

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """For each segment the last step before it and its last step."""
        ends = [0]
        for segment in self.segments:
            ends.append(ends[-1] + round(segment.duration_ps * 1000.0 / self.timestep_fs))
        return tuple(pairwise(ends))

    @property
    def steps(self) -> int:
        """Number of steps of the whole schedule."""
        return self.spans[-1][1]

    def index_at(self, step: int) -> int:
        """Return which segment a step belongs to."""
        if not 0 <= step <= self.steps:
            raise ValueError(f"step {step} lies outside the schedule of {self.steps} steps")
        return next(k for k, (_, last) in enumerate(self.spans) if step <= last)

    def target_K(self, step: int) -> float:
        """Return the target temperature of a step [K]: a function of the step alone."""
        k = self.index_at(step)
        segment, (first, last) = self.segments[k], self.spans[k]
        if step == last:
            return segment.end_K
        return segment.start_K + (segment.end_K - segment.start_K) * (step - first) / (last - first)

    def recent_target_K(self, step: int) -> float:
        """Return the highest target that the thermostat may not have forgotten yet [K]: a function of the step alone.

        It looks back by ten damping times of the step's thermostat; without a thermostat not at all.
        """
        damping, chains = self.damping_time_ps, self.nose_hoover_time_ps
        memory_ps = {"NVT": damping, "Bussi": damping, "NPT": chains, "NVE": 0.0}
        ensemble = self.segments[self.index_at(step)].ensemble
        since = max(0, step - round(MEMORY * memory_ps[ensemble] * 1000.0 / self.timestep_fs))
        # Between the ends of segments the target is linear.
        corners = [n for _, last in self.spans for n in (last, last + 1) if since < n < step]
        return max(self.target_K(n) for n in (since, *corners, step))

    def time_ps(self, step: int) -> float:
        """Return the time since the start [ps]."""
        return step * self.timestep_fs / 1000.0

    @property
    def holds(self) -> list[int]:
        """Numbers of the segments that hold the highest temperature, from 0."""
        hottest = max(max(segment.start_K, segment.end_K) for segment in self.segments)
        return [k for k, s in enumerate(self.segments) if s.start_K == s.end_K == hottest]

    @property
    def melt(self) -> tuple[int, int] | None:
        """Last step before the melt and its last step; None without one.

        The melt is the hold at the highest temperature, if a cooling comes after it. Where that temperature is only
        passed through, the melt is the stretch about its last peak in which the target stays within a tenth of it. A
        schedule that begins with the cooling has no melt: it took place before.
        """
        if holds := self.holds:
            if all(s.end_K >= self.segments[holds[-1]].end_K for s in self.segments[holds[-1] + 1 :]):
                return None
            return self.spans[holds[0]][0], self.spans[holds[-1]][1]
        targets = self._targets_K()
        peak = len(targets) - 1 - int(np.argmax(targets[::-1]))
        if peak in {0, len(targets) - 1}:
            return None
        cool = np.flatnonzero(targets < MELT_SHARE * targets[peak])
        before, after = cool[cool < peak], cool[cool > peak]
        return (int(before[-1]) if before.size else 0), (int(after[0]) - 1 if after.size else self.steps)

    def _targets_K(self) -> NDArray[np.float64]:
        """Target temperature of every step [K], number for number that of :meth:`target_K`."""
        pieces = [np.array([self.segments[0].start_K])]
        for segment, (first, last) in zip(self.segments, self.spans, strict=True):
            done = np.arange(1, last - first + 1)
            pieces.append(segment.start_K + (segment.end_K - segment.start_K) * done / (last - first))
            pieces[-1][-1] = segment.end_K
        return np.concatenate(pieces)


# The tags have a space so that no error message takes them for keys.
Schedule = Annotated[
    Annotated[str, Tag("a name")] | Annotated[QuenchSchedule, Tag("a table")],
    Discriminator(lambda value: "a name" if isinstance(value, str) else "a table"),
]
"""A schedule as a parameter: the name of a shipped one, or its segments."""

KAWAGUCHI2025: Final = QuenchSchedule(
    segments=(
        Segment("melt", "NVT", 3000.0, 3000.0, 10.0),
        Segment("quench", "NVT", 3000.0, 300.0, 20.0),
    )
)
"""The melt-quench of Kawaguchi et al. (2025), doi:10.1038/s43246-025-00921-0: 135 K/ps in a fixed cell."""

KAWAGUCHI2025_EQUILIBRATE: Final = QuenchSchedule(segments=(Segment("equilibrate", "NVT", 300.0, 300.0, 10.0),))
"""The equilibration that follows its isotropic relaxation; the paper does not name the thermostat, this one is ours."""

SHORT: Final = QuenchSchedule(
    segments=(
        Segment("melt", "NVT", 3000.0, 3000.0, 2.0),
        Segment("quench", "NVT", 3000.0, 300.0, 2.0),
    ),
    timestep_fs=2.0,
)
"""A melt-quench to try things out: ten times the paper's cooling rate and twice its time step."""

SHORT_EQUILIBRATE: Final = QuenchSchedule(segments=(Segment("equilibrate", "NVT", 300.0, 300.0, 0.5),), timestep_fs=2.0)
"""The equilibration that goes with ``short``."""

SHIPPED: Final = {
    "kawaguchi2025": KAWAGUCHI2025,
    "kawaguchi2025_equilibrate": KAWAGUCHI2025_EQUILIBRATE,
    "short": SHORT,
    "short_equilibrate": SHORT_EQUILIBRATE,
}
"""The schedules that a name stands for."""


def named(schedule: str | QuenchSchedule) -> QuenchSchedule:
    """Return the schedule that a name stands for, or the given schedule itself.

    Raises
    ------
    ValueError
        No schedule of that name.
    """
    if isinstance(schedule, QuenchSchedule):
        return schedule
    if schedule not in SHIPPED:
        near = difflib.get_close_matches(schedule, SHIPPED, n=1)
        remedy = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(SHIPPED)}; or give its segments"
        raise ValueError(f"no schedule is named '{schedule}'; {remedy}")
    return SHIPPED[schedule]
