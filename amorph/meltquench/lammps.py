"""Dynamics in LAMMPS: its ``fix nve`` and ``fix langevin`` in place of ours, one step at a time."""

from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.calculators import load_lammps, open_lammps
from amorph.meltquench.schedule import QuenchSchedule

Engine = Literal["lammps"]
"""What moves the atoms in place of amorph's own integrators."""


def check_engine(engine: Engine | None, schedule: QuenchSchedule) -> None:
    """Refuse an engine that is not installed, or that has no integrator for a segment of the schedule.

    Raises
    ------
    ValueError
        LAMMPS is missing; a segment is NPT or Bussi, which are left to our own integrators.
    """
    if engine is None:
        return
    if others := [segment for segment in schedule.segments if segment.ensemble not in {"NVT", "NVE"}]:
        raise ValueError(
            f"segment '{others[0].name}' is {others[0].ensemble}, and the engine lammps has NVT and NVE; leave the "
            "engine out, or drive the fix in a script of your own (workflows/kawaguchi2025_lammps.py)"
        )
    open_lammps("-log", "none", "-screen", "none").close()


class LammpsIntegrator:
    """``fix nve``, with ``fix langevin`` for a thermostat, on the atoms and with the calculator that they have.

    The total of the random forces is zero (``zero yes``), so that the centre of mass stays at rest, as in our own
    Langevin dynamics.

    Parameters
    ----------
    atoms
        Atoms with their calculator; they follow at every step.
    timestep_fs
        Time step [fs].
    damping_time_ps
        Damping time of the thermostat [ps]; None without a thermostat.
    temperature_K
        Target temperature [K].
    rng
        Source of the seed of LAMMPS' random numbers.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        timestep_fs: float,
        damping_time_ps: float | None,
        temperature_K: float,
        rng: np.random.Generator,
    ) -> None:
        self._lmp = open_lammps("-log", "none", "-screen", "none")
        self._coupled = load_lammps(self._lmp, atoms)
        commands = [f"timestep {timestep_fs / 1000.0!r}", "fix move all nve"]
        if damping_time_ps is not None:
            seed = rng.integers(1, 900_000_000)
            # Of a target that is a variable, LAMMPS reads no second one.
            commands.append(f"variable target internal {temperature_K!r}")
            commands.append(f"fix bath all langevin v_target 0.0 {damping_time_ps!r} {seed} zero yes")
        for command in [*commands, "run 0 post no"]:
            self._coupled.command(command)

    def set_temperature(self, temperature_K: float) -> None:
        """Set the target temperature [K]."""
        self._lmp.set_internal_variable("target", temperature_K)

    def step(self, _: Any) -> NDArray[np.float64]:
        """Advance by one time step and return the forces of the calculator [eV/Å]."""
        self._coupled.command("run 1 pre no post no")
        self._coupled.follow()
        return self._coupled.forces
