"""Molecular dynamics along a schedule, frame by frame; stopped and continued without a trace."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms, units as ase_units
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from amorph.calculators import GPA_PER_EV_A3, evaluate
from amorph.figures import plain
from amorph.meltquench.barostat import IsotropicNPT
from amorph.meltquench.lammps import Engine, LammpsIntegrator, check_engine
from amorph.meltquench.rescaling import Bussi
from amorph.meltquench.schedule import QuenchSchedule, Schedule, Segment, named
from amorph.meltquench.stability import Stability, temperature_K
from amorph.parameters import Rng, checked, generator_of
from amorph.run import State
from amorph.structure import periodic_atoms


@dataclass(frozen=True)
class Thermo:
    """The thermodynamic state of one step."""

    step: int
    time_ps: float
    """Time since the start [ps]."""
    segment: str
    """Name of the segment."""
    temperature_K: float
    """Kinetic temperature over 3N − 3 degrees of freedom [K]."""
    target_K: float
    """Target temperature [K]."""
    potential_energy_eV: float
    kinetic_energy_eV: float
    total_energy_eV: float
    volume_A3: float
    """Volume of the cell [Å³]."""
    pressure_GPa: float
    """Virial and kinetic part, −tr σ/3 + 2 E_kin/(3 V) [GPa]; NaN if the calculator has no stress."""
    virial_pressure_GPa: float
    """Virial part alone, −tr σ/3 [GPa]."""


@dataclass(frozen=True, eq=False)
class DynamicsState(State):
    """Everything that the steps to come depend on.

    With forces that are a pure function of positions and cell, a run continued from it repeats the uninterrupted run
    bit by bit.
    """

    step: int
    """Last step done."""
    positions: NDArray[np.float64]
    """(n, 3) positions, never wrapped into the cell [Å]."""
    momenta: NDArray[np.float64]
    """(n, 3) momenta [ASE units]."""
    cell: NDArray[np.float64]
    """(3, 3) cell [Å]."""
    forces: NDArray[np.float64]
    """(n, 3) forces on the atoms [eV/Å]."""
    start_volume: float
    """Volume at step 0 [Å³]."""
    rng: str
    """State of the random bit generator, as JSON."""
    chains: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """State of the barostat and the Nosé–Hoover chains; empty without pressure control."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One step of the running dynamics; what it shows is gone when the next step is taken."""

    step: int
    time_ps: float
    """Time since the start [ps]."""
    segment: str
    """Name of the segment."""
    target_K: float
    """Target temperature [K]."""
    atoms: Atoms
    """The live atoms, unwrapped, with momenta and calculator; keep a :meth:`snapshot`, never these."""
    state: Callable[[], DynamicsState] = field(repr=False)
    """Gives what a later call of :func:`dynamics` needs to continue after this step."""

    def snapshot(self) -> Atoms:
        """Return a copy of the atoms with their momenta, without calculator and constraint."""
        copy = self.atoms.copy()
        copy.set_constraint()
        return copy

    def thermo(self) -> Thermo:
        """Work out the thermodynamic state; only here the calculator is asked for the stress."""
        atoms = self.atoms
        volume = float(atoms.get_volume())
        kinetic = float(atoms.get_kinetic_energy())
        evaluate(atoms, ["energy", "stress"])
        try:
            virial = -float(atoms.get_stress()[:3].sum()) / 3.0 * GPA_PER_EV_A3
        except PropertyNotImplementedError:
            virial = float("nan")
        potential = float(atoms.get_potential_energy())
        return Thermo(
            step=self.step,
            time_ps=self.time_ps,
            segment=self.segment,
            temperature_K=temperature_K(atoms),
            target_K=self.target_K,
            potential_energy_eV=potential,
            kinetic_energy_eV=kinetic,
            total_energy_eV=potential + kinetic,
            volume_A3=volume,
            pressure_GPa=virial + 2.0 * kinetic / (3.0 * volume) * GPA_PER_EV_A3,
            virial_pressure_GPa=virial,
        )


@checked
def dynamics(
    atoms: Atoms,
    calculator: BaseCalculator,
    schedule: Schedule,
    *,
    rng: Rng,
    engine: Engine | None = None,
    state: DynamicsState | None = None,
) -> Iterator[Frame]:
    r"""Run molecular dynamics along a schedule.

    Velocities are drawn once, from the Maxwell–Boltzmann distribution at the first target temperature, with the centre
    of mass at rest; it stays at rest. The target follows a ramp at every step.

    Parameters
    ----------
    atoms
        Structure to start from (ASE or pymatgen); it is not changed.
    calculator
        Any ASE calculator with forces; with stress for NPT segments.
    schedule
        Segments to follow, or the name of a shipped schedule.
    rng
        Source of the velocities and of the thermostat's noise, or its seed. On continuation it takes the state saved.
    engine
        What takes the steps: our own integrators, or lammps. LAMMPS has its own random numbers, whose state it does not
        give: continued there, a run goes on from the same positions and velocities with new noise.
    state
        State to continue from, made by :meth:`Frame.state`.

    Yields
    ------
    Frame
        Step 0, then every step; on continuation the state's own step once more, then every step after it.

    Raises
    ------
    ValueError
        Fewer than two atoms; constraints on the atoms; a state that belongs to another structure or schedule; LAMMPS is
        not installed, or asked for an NPT segment.
    RuntimeError
        The run has become unstable: energy, forces, positions, momenta or, under pressure control, stress and barostat
        are not finite; the temperature exceeds three times the highest target of the last ten damping times by more
        than 1000 K (more in cells of few atoms); two atoms are closer than 0.5 Å; under pressure control the volume
        has doubled or halved.

    Notes
    -----
    NVT is the Langevin propagator of Vanden-Eijnden and Ciccotti (2006), doi:10.1016/j.cplett.2006.07.086, with
    friction 1/τ; Bussi stochastic velocity rescaling, doi:10.1063/1.2408420; NVE velocity Verlet; NPT isotropic
    Martyna–Tobias–Klein chains, doi:10.1063/1.467468. In LAMMPS, NVT is ``fix langevin`` with ``fix nve``, NVE
    ``fix nve`` alone.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> heat = QuenchSchedule((Segment("heat", "NVT", 300.0, 600.0, 0.01),))
    >>> frames = dynamics(bulk("Cu", cubic=True), EMT(), heat, rng=np.random.default_rng(0))
    >>> [frame.target_K for frame in frames][:3]
    [300.0, 330.0, 360.0]
    """
    rng = generator_of(rng)
    schedule = named(schedule)
    work = periodic_atoms(atoms)
    if len(work) < 2:
        raise ValueError("dynamics of one atom with the centre of mass at rest is no motion; repeat the cell")
    if work.constraints:
        raise ValueError(
            f"the atoms carry a constraint ({type(work.constraints[0]).__name__}), which dynamics does not keep; "
            "remove it with atoms.set_constraint()"
        )
    check_engine(engine, schedule)
    if state is not None:
        _check_state(state, work, schedule)
    return _Run(work, calculator, schedule, rng, engine, state).frames()


class _Run:
    """The running dynamics: the one place that holds mutable state."""

    def __init__(
        self,
        atoms: Atoms,
        calculator: BaseCalculator,
        schedule: QuenchSchedule,
        rng: np.random.Generator,
        engine: Engine | None,
        state: DynamicsState | None,
    ) -> None:
        self.atoms, self.schedule, self.rng, self.engine = atoms, schedule, rng, engine
        self.step = 0 if state is None else state.step
        atoms.calc = calculator
        if state is None:
            atoms.set_constraint(FixCom())
            thermalize_momenta(atoms, schedule.target_K(0), rng=rng)
            self.start_volume = float(atoms.get_volume())
        else:
            rng.bit_generator.state = json.loads(state.rng)
            atoms.set_cell(state.cell, scale_atoms=False)
            atoms.set_positions(state.positions)
            atoms.set_momenta(state.momenta)
            self.start_volume = state.start_volume
        self.forces = np.empty((0, 3)) if state is None else state.forces.copy()
        self.stability = Stability(self.start_volume, schedule.timestep_fs)
        self.chains = None if state is None else (state.chains or None)
        self.segment = schedule.segments[schedule.index_at(self.step)]
        self._start(self.segment)

    def frames(self) -> Iterator[Frame]:
        yield self._frame()
        for segment, (_, last) in zip(self.schedule.segments, self.schedule.spans, strict=True):
            if self.step >= last:
                continue
            if segment.ensemble != self.segment.ensemble:
                self.chains = None
                self._start(segment)
            self.segment = segment
            if segment.ensemble == "NPT":
                self.integrator.set_pressure(segment.pressure_GPa / GPA_PER_EV_A3)
            while self.step < last:
                self._advance()
                yield self._frame()

    def _start(self, segment: Segment) -> None:
        """Make the integrator of a segment; the next one of the same ensemble goes on with it."""
        schedule, atoms = self.schedule, self.atoms
        timestep = schedule.timestep_fs * ase_units.fs
        target_K = schedule.target_K(self.step)
        ps = 1000.0 * ase_units.fs
        if self.engine == "lammps":
            atoms.set_constraint()
            self.integrator: Any = LammpsIntegrator(
                atoms,
                timestep_fs=schedule.timestep_fs,
                damping_time_ps=schedule.damping_time_ps if segment.ensemble == "NVT" else None,
                temperature_K=target_K,
                rng=self.rng,
            )
            self.forces = atoms.get_forces(md=True)
            return
        # The positions of a cell that breathes scale about the origin, so there only the momentum is held.
        atoms.set_constraint(None if segment.ensemble == "NPT" else FixCom())
        match segment.ensemble:
            case "NVT":
                friction = 1.0 / (schedule.damping_time_ps * ps)
                self.integrator = Langevin(
                    atoms, timestep, temperature_K=target_K, friction=friction, fixcm=False, rng=self.rng
                )
            case "Bussi":
                self.integrator = Bussi(
                    atoms, timestep, temperature_K=target_K, taut=schedule.damping_time_ps * ps, rng=self.rng
                )
            case "NVE":
                self.integrator = VelocityVerlet(atoms, timestep)
            case "NPT":
                self.integrator = IsotropicNPT(
                    atoms,
                    timestep=timestep,
                    temperature_K=target_K if target_K > 0 else segment.start_K,
                    pressure=segment.pressure_GPa / GPA_PER_EV_A3,
                    thermostat_time=schedule.nose_hoover_time_ps * ps,
                    barostat_time=schedule.barostat_time_ps * ps,
                    state=self.chains,
                )
        if segment.ensemble == "NPT":
            self.forces = self.integrator.forces
        elif not len(self.forces):
            self.forces = atoms.get_forces(md=True)

    def _advance(self) -> None:
        self.step += 1
        if self.segment.ensemble != "NVE":
            self.integrator.set_temperature(temperature_K=self.schedule.target_K(self.step))
        try:
            with np.errstate(invalid="ignore", over="ignore"):  # the guard says it better than numpy
                if self.segment.ensemble == "NPT":
                    self.integrator.step()
                    self.forces = self.integrator.forces
                else:
                    # Handing the forces on keeps what a frame asks of the calculator out of the next step.
                    self.forces = self.integrator.step(self.forces)
        except ValueError as error:
            raise RuntimeError(
                f"the calculator gives up at step {self.step}: {error}: the run is unstable; {self.stability.remedy}"
            ) from error

    def _frame(self) -> Frame:
        step = self.step
        self.stability.check(
            self.atoms, self.forces, step, self.segment, self.schedule.recent_target_K(step), self._barostat()
        )
        return Frame(
            step, self.schedule.time_ps(step), self.segment.name, self.schedule.target_K(step), self.atoms, self._state
        )

    def _state(self) -> DynamicsState:
        atoms = self.atoms
        return DynamicsState(
            step=self.step,
            positions=atoms.get_positions(),
            momenta=atoms.get_momenta(),
            cell=atoms.cell.array.copy(),
            forces=self.forces.copy(),
            start_volume=self.start_volume,
            rng=json.dumps(plain(self.rng.bit_generator.state)),
            chains=self._barostat(),
        )

    def _barostat(self) -> dict[str, NDArray[np.float64]]:
        return self.integrator.state() if self.segment.ensemble == "NPT" else {}


def _check_state(state: DynamicsState, atoms: Atoms, schedule: QuenchSchedule) -> None:
    if state.positions.shape != (len(atoms), 3):
        raise ValueError(
            f"the state to continue from has {len(state.positions)} atoms, the structure {len(atoms)}; "
            "they belong to different runs"
        )
    if not 0 <= state.step <= schedule.steps:
        raise ValueError(
            f"the state to continue from is at step {state.step}, the schedule ends at {schedule.steps}; durations are "
            "totals: lengthen the schedule or start anew"
        )
    if (schedule.segments[schedule.index_at(state.step)].ensemble == "NPT") != bool(state.chains):
        raise ValueError(f"the state to continue from, step {state.step}, was made in another ensemble; start anew")
