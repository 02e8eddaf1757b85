"""Melt and quench: molecular dynamics along a schedule, and the judgement of what it made."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.analysis.crystallinity import Crystallinity, crystallinity, settled_frames
from amorph.figures import Plottable, Result
from amorph.meltquench.dynamics import Frame, Thermo, dynamics
from amorph.meltquench.lammps import Engine
from amorph.meltquench.schedule import QuenchSchedule, Schedule, named
from amorph.parameters import Count, Rng, Supercell, checked
from amorph.progress import Task, task_of
from amorph.structure import periodic_atoms

FRAMES = 10
"""Frames that the judgement of a melt is the mean of, at least."""


class OnFrame(Protocol):
    """What is called with every step, to show progress or to write files."""

    def __call__(self, frame: Frame, /) -> object:
        """Take note of a step; the frame's atoms are live."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """Did it melt, and did it stay disordered?"""

    melt: Crystallinity | None
    """Mean over the second half of the melt, with the displacements from the starting structure; None without one."""
    glass: Crystallinity
    """Mean over the last ten frames, or over fewer: those whose target is within a tenth of the schedule's range of the
    last one. `n_frames` says how many."""
    last: Atoms
    """The last frame."""


@dataclass(frozen=True, eq=False)
class Quenched(Result, Plottable):
    """The outcome of a melt-quench."""

    atoms: Atoms
    """Final structure, wrapped into the cell, with momenta."""
    melt: Crystallinity | None
    """Crystallinity of the second half of the melt; None if the schedule has no melt."""
    glass: Crystallinity
    """Crystallinity of the last frames, at most ten, that the cooling has all but ended in."""
    melt_pressure_GPa: float | None
    """Mean pressure over the second half of the melt, kinetic part included [GPa]."""
    melt_virial_pressure_GPa: float | None
    """Mean virial pressure over the second half of the melt [GPa]."""
    thermo: tuple[Thermo, ...]
    """Thermodynamic state of the sampled steps."""
    frames: tuple[Atoms, ...]
    """Sampled structures, unwrapped, with momenta; ``info["step"]`` is the step."""
    schedule: QuenchSchedule
    """The schedule followed."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms", "thermo", "frames"})

    def table(self) -> list[dict[str, float | int | str]]:
        """One row per sampled step."""
        return [asdict(row) for row in self.thermo]


@checked
def melt_quench(
    atoms: Atoms,
    calculator: BaseCalculator,
    schedule: Schedule = "kawaguchi2025",
    *,
    rng: Rng,
    sample_every: Count = 50,
    supercell: Supercell | None = None,
    anion: str | None = None,
    engine: Engine | None = None,
    on_frame: OnFrame | None = None,
    progress: Task | bool | None = None,
) -> Quenched:
    """Melt a structure, quench it, and judge whether it melted and became a glass.

    Parameters
    ----------
    atoms
        Structure to start from (ASE or pymatgen); it is not changed.
    calculator
        Any ASE calculator.
    schedule
        Name of a shipped schedule (kawaguchi2025, kawaguchi2025_equilibrate, short, short_equilibrate) or its segments.
    rng
        Source of the velocities and of the thermostat's noise, or its seed: the same seed gives the same bytes.
    sample_every
        Steps between the frames kept.
    supercell
        The rocksalt supercell that the structure came from; without it ``atoms.info["supercell"]`` counts.
    anion
        The anion whose sublattice is searched for crystal order; found from the structure if not given.
    engine
        What takes the steps: our own integrators, or lammps, by fix langevin and fix nve.
    on_frame
        Called with every step.
    progress
        Whether to show progress, or what shows it; by default where somebody watches, after two seconds.

    Raises
    ------
    ValueError
        Bad input; fewer than ten sampled frames in the second half of the melt.
    RuntimeError
        The run has become unstable.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from amorph.meltquench.schedule import Segment
    >>> hold = QuenchSchedule((Segment("hold", "NVT", 300.0, 300.0, 0.02),), timestep_fs=2.0)
    >>> copper = bulk("Cu", cubic=True) * (3, 3, 3)
    >>> quenched = melt_quench(copper, EMT(), hold, rng=np.random.default_rng(0), sample_every=1, anion="Cu")
    >>> quenched.glass.verdict
    'crystalline'
    """
    schedule = named(schedule)
    start = periodic_atoms(atoms)
    check_sampling(schedule, sample_every)
    crystallinity(start, supercell=supercell, anion=anion)  # what would be refused at the end is better known now
    frames: list[Atoms] = []
    thermo: list[Thermo] = []
    with task_of(progress)("melt-quench", schedule.steps) as update:
        for frame in dynamics(start, calculator, schedule, rng=rng, engine=engine):
            if frame.step % sample_every == 0 or frame.step == schedule.steps:
                thermo.append(frame.thermo())
                frames.append(frame.snapshot())
                frames[-1].info["step"] = frame.step
            if on_frame is not None:
                on_frame(frame)
            update(frame.step, f"{frame.target_K:.0f} K")
    judgement = judge(frames, [row.step for row in thermo], schedule, start=start, supercell=supercell, anion=anion)
    pressure, virial_pressure = melt_pressures_GPa(thermo, schedule) or (None, None)
    found = judgement.melt, judgement.glass, pressure, virial_pressure
    return Quenched(_wrapped(frames[-1]), *found, tuple(thermo), tuple(frames), schedule)


def _wrapped(frame: Atoms) -> Atoms:
    """Give the structure of a sampled frame, within the cell."""
    atoms = frame.copy()
    atoms.wrap()
    del atoms.info["step"]
    return atoms


def judge(
    frames: Iterable[Atoms],
    steps: Sequence[int],
    schedule: QuenchSchedule,
    *,
    start: Atoms,
    supercell: Supercell | None = None,
    anion: str | None = None,
    melted: bool | None = None,
) -> Judgement:
    """Judge the sampled frames of a run along a schedule.

    Parameters
    ----------
    frames
        Unwrapped frames of the run, from its first to its last step; only those that are judged are kept.
    steps
        Step of each frame.
    schedule
        Schedule that the run followed.
    start
        Structure that the run started from: displacements in the melt are measured from it.
    supercell, anion
        As for :func:`melt_quench`.
    melted
        Whether the structure that the run started from came from a melt, where that is known.
    """
    melt, window = None, _second_half(schedule)
    molten: list[Atoms] = []
    settled = deque[Atoms](maxlen=settled_frames([schedule.target_K(step) for step in steps]))
    for step, atoms in zip(steps, frames, strict=True):
        settled.append(atoms)
        if window is not None and window[0] < step <= window[1]:
            molten.append(atoms)
    if window is not None:
        melt = crystallinity(molten, supercell=supercell, anion=anion, start=start)
        # A glass that came from a melt and is annealed here need not melt again.
        melted = melted or melt.melted
    glass = crystallinity(list(settled), supercell=supercell, anion=anion, melted=melted)
    return Judgement(melt, glass, settled[-1])


def melt_pressures_GPa(thermo: Sequence[Thermo], schedule: QuenchSchedule) -> tuple[float, float] | None:
    """Return mean pressure and mean virial pressure over the second half of the melt [GPa]; None without a melt."""
    if (window := _second_half(schedule)) is None:
        return None
    rows = [row for row in thermo if window[0] < row.step <= window[1]]
    return (
        float(np.mean([row.pressure_GPa for row in rows])),
        float(np.mean([row.virial_pressure_GPa for row in rows])),
    )


def check_sampling(schedule: QuenchSchedule, sample_every: int) -> None:
    """Refuse a sampling that leaves the melt with fewer frames than its judgement needs.

    Raises
    ------
    ValueError
        Fewer than ten sampled steps in the second half of the melt.
    """
    if (window := _second_half(schedule)) is None:
        return
    count = window[1] // sample_every - window[0] // sample_every
    if count < FRAMES:
        most = (window[1] - window[0]) // FRAMES
        raise ValueError(
            f"sample_every = {sample_every} leaves {count} frames in the second half of the melt; its judgement needs "
            f"{FRAMES}: " + (f"take at most {most}" if most else "lengthen the melt")
        )


def _second_half(schedule: QuenchSchedule) -> tuple[int, int] | None:
    """Last step before the second half of the melt, and its last step."""
    if (melt := schedule.melt) is None:
        return None
    return (melt[0] + melt[1]) // 2, melt[1]
