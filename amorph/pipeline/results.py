"""What the stages of a run find: a finished stage is read back as the same result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from amorph.analysis.crystallinity import Crystallinity
from amorph.analysis.transport import Arrhenius
from amorph.figures import Result, Row


@dataclass(frozen=True)
class Minimised(Result):
    """What may stop short of its tolerances."""

    model: str
    """What computed it."""
    converged: bool | None
    """Whether it is within its tolerances; None where that is unknown."""
    steps: int | None
    """Steps taken; None where they are unknown."""


@dataclass(frozen=True)
class Relaxation(Minimised):
    """A structure at the minimum of its energy."""

    cell_volume: float
    """Volume of the cell [Å³]."""
    volume_change: float
    """Its relative change."""
    density_g_cm3: float
    """Mass density [g/cm³]."""
    cell_lengths_and_angles: Sequence[float]
    """a, b, c [Å] and α, β, γ [°]."""
    crystallinity: Crystallinity
    """Verdict on the minimised structure."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the minimisation itself."""
    _large: ClassVar[frozenset[str]] = frozenset({"details"})

    def figures(self) -> dict[str, Any]:
        """Give the figures of the minimisation beside these."""
        return {**self.details, **super().figures()}

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [Row("relaxation converged", self.converged), Row("cell volume", self.cell_volume, "Å³")]


@dataclass(frozen=True)
class References(Minimised):
    """Crystals of known volume, relaxed: what the model does to volumes."""

    volume_ratio: Mapping[str, float]
    """V/V_exp of each crystal."""
    oxygen_volume: float | None
    """Volume of one oxygen in MgO by this model [Å³]; None where MgO was not asked for, or left out."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Crystals that the model cannot do, and what it says."""


@dataclass(frozen=True)
class Quench(Result):
    """Dynamics that followed a schedule, judged."""

    model: str
    """What computed it."""
    steps: int
    """Steps of the schedule."""
    duration_ps: float
    """Its duration [ps]."""
    after_quench: Crystallinity
    """Verdict on the last frames."""
    melt: Crystallinity | None = None
    """Verdict on the melt; None for a schedule without one."""
    melt_pressure_GPa: float | None = None
    """Mean pressure of the melt, kinetic part included [GPa]."""
    melt_virial_pressure_GPa: float | None = None
    """Mean virial pressure of the melt [GPa]."""


@dataclass(frozen=True)
class Snapshots(Result):
    """Independent frames of a melt, for quenches of their own."""

    melted: bool | None
    """Whether it is molten."""
    reason: str
    """The figures that say so."""
    discard_ps: float
    """Time left out at the start [ps]."""
    frames: int
    """Frames after it."""
    effective_frames: float
    """Independent frames that they are worth."""
    decorrelation_time_ps: float
    """Time in which what is slowest is forgotten [ps]."""
    slowest: str
    """What is forgotten last."""
    number: int
    """Snapshots kept."""
    spacing_ps: float
    """Time between them [ps]."""
    correlation: Sequence[float]
    """Correlation of two snapshots that are 0, 1, 2, ... snapshots apart."""

    @property
    def text(self) -> str:
        """Say it in one sentence."""
        return (
            f"{self.number} snapshots {self.spacing_ps:.3g} ps apart; {self.frames} frames are worth "
            f"{self.effective_frames:.1f} independent ones, {self.slowest} being the slowest"
        )


@dataclass(frozen=True)
class SharedMelt(Result):
    """A melt that other runs quench."""

    model: str
    """What computed it."""
    melt: Crystallinity
    """Verdict on it."""
    snapshots: Snapshots
    """What was kept of it."""
    correlations: Sequence[Mapping[str, Any]] = ()
    """How soon each thing is forgotten."""


@dataclass(frozen=True)
class Analysed(Result):
    """What was measured on an exchanged structure."""

    volume_per_anion: float
    """Volume of the cell for each anion [Å³]."""
    density_g_cm3: float
    """Mass density [g/cm³]."""
    crystallinity: Crystallinity
    """Verdict on it."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """The result of each analysis by its name; none where a finished stage is read back."""
    _large: ClassVar[frozenset[str]] = frozenset({"found"})

    def figures(self) -> dict[str, Any]:
        """Give the figures of each analysis beside these."""
        return super().figures() | {name: result.figures() for name, result in self.found.items()}

    def rows(self) -> list[Row]:
        """Give what is compared with another structure, in the order of the analyses."""
        judged = self.crystallinity
        return [
            Row("verdict, exchanged and relaxed", judged.verdict),
            Row("parent order I/N²", judged.parent_order),
            Row("strongest Bragg peak I/N²", judged.bragg_peak),
            Row("solid share", judged.solid_share, share=True),
            Row("crystal fraction", judged.crystal_fraction, share=True),
            Row("volume per anion", self.volume_per_anion, "Å³"),
            Row("density", self.density_g_cm3, "g/cm³"),
            *(row for result in self.found.values() for row in result.rows()),
        ]


@dataclass(frozen=True)
class Mobility(Result):
    """How an ion moves at one temperature, and whether its host bears it."""

    model: str
    """What computed it."""
    element: str
    """Element of the ion."""
    temperature_K: float
    """Temperature that was asked for [K]."""
    measured_K: float
    """Mean kinetic temperature while it was measured [K]."""
    duration_ps: float
    """Time that was measured [ps]."""
    diffusivity_cm2_s: float | None
    """Tracer diffusion coefficient [cm²/s]; None where no diffusion is seen."""
    standard_error: float | None
    """Its standard error [cm²/s]."""
    interval_95: tuple[float, float] | None
    """Interval that holds it with 95 % [cm²/s]."""
    upper_limit_cm2_s: float | None
    """Where no diffusion is seen, what it is at most, with 95 % [cm²/s]."""
    conductivity_S_per_cm: float | None
    """Conductivity by the ion [S/cm]; None where the motion of all of them together is not resolved."""
    host_moved_A2: Mapping[str, float]
    """Mean-square displacement of each element of the host since the relaxed structure, vibration and all [Å²]."""
    survives: bool
    """Whether the host stands: none of its elements has left its places, and its order is what it was."""
    reason: str
    """What says so."""
    crystallinity: Crystallinity
    """Verdict on the last frames."""
    host_displaced: Mapping[str, float] = field(default_factory=dict)
    """Share of the atoms of each element of the host that left their places while it was measured."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """How each element moves."""
    seed: int = 1
    """Which of the runs at its temperature it is."""
    energy_change_meV: float | None = None
    """Mean potential energy of the last quarter of the measured time less that of the first, per atom [meV]: below 0 by
    more than twice its error where the structure still settles, which may be what moves."""
    energy_error_meV: float | None = None
    """Its standard error [meV]."""

    @property
    def place(self) -> str:
        """Say at which temperature, and in which run there where it is not the first."""
        return f"{self.temperature_K:g} K" + (f", run {self.seed}" if self.seed > 1 else "")

    @property
    def text(self) -> str:
        """Say how the ion moves in one phrase."""
        change = self.energy_change_meV
        error = self.energy_error_meV
        settled = ""
        if change is not None and error is not None and change < -2.0 * error:
            settled = f"; meanwhile the energy falls by {-change:.1f} ± {error:.1f} meV per atom"
        if self.diffusivity_cm2_s is None or self.interval_95 is None:
            return f"no diffusion of {self.element} is seen, below {self.upper_limit_cm2_s or 0.0:.2g} cm²/s{settled}"
        low, high = self.interval_95
        return f"D of {self.element} is {self.diffusivity_cm2_s:.2g} ({low:.2g} to {high:.2g}) cm²/s{settled}"

    def rows(self) -> list[Row]:
        """Give D, its limit where none is seen, and whether the host stands: always all, for means over many runs."""
        at = f"at {self.place}"
        return [
            Row(f"D of {self.element} {at}", self.diffusivity_cm2_s, "cm²/s", decades=True),
            Row(f"D of {self.element} {at}, at most", self.upper_limit_cm2_s, "cm²/s", decades=True),
            Row(f"host of {self.element} survives {at}", self.survives),
            Row(f"change of energy per atom {at}", self.energy_change_meV, "meV"),
        ]


@dataclass(frozen=True)
class Removal(Minimised):
    """The removal of an ion, step by step; its steps are those of the longest relaxation."""

    average_voltage_V: float
    """From the first step to the last, against the ion's metal [V]."""
    standard_error: float | None
    """Its standard error over the choices [V]."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the voltage, its steps among them."""
    compared: Sequence[Row] = ()
    """Its rows; none where a finished stage is read back."""
    _large: ClassVar[frozenset[str]] = frozenset({"details", "compared"})

    def figures(self) -> dict[str, Any]:
        """Give those of the voltage, steps and all, beside these."""
        return super().figures() | {"voltage": dict(self.details)}

    def rows(self) -> list[Row]:
        """Give voltage, capacity and energy."""
        return list(self.compared)


@dataclass(frozen=True)
class Activation(Result):
    """How diffusion grows with temperature."""

    element: str
    """Element of the ion."""
    line: Arrhenius | None
    """The line through the temperatures whose host stands; None where there is none."""
    reason: str
    """Why there is none."""
    fallen_K: Sequence[float]
    """Temperatures that the host does not survive [K]."""

    @property
    def text(self) -> str:
        """Say it in one sentence."""
        if self.line is None:
            return f"no activation energy of {self.element}: {self.reason}"
        figures = [
            f"{row['figure']} of {self.element} {row['value']:.3g} ({row['from']:.3g} to {row['to']:.3g})"
            for row in self.line.table()
        ]
        return "; ".join([*figures, *([self.line.caveat] if self.line.caveat else [])])

    def rows(self) -> list[Row]:
        """Give the activation energy, and D and diffusion length at room temperature."""
        return [] if self.line is None else self.line.rows()
