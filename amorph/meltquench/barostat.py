"""Isotropic constant-pressure dynamics that follows a ramp and can be saved and continued exactly."""

from typing import Any

import numpy as np
from ase import Atoms, units as ase_units
from numpy.typing import NDArray
from scipy.special import exprel

from amorph.calculators import evaluate

_YOSHIDA = (1 / (2 - 2 ** (1 / 3)), -(2 ** (1 / 3)) / (2 - 2 ** (1 / 3)), 1 / (2 - 2 ** (1 / 3)))
"""Parts of a step of fourth order, doi:10.1016/0375-9601(90)90092-3."""


class Chain:
    """Three Nosé–Hoover thermostats: the first on the momenta p of some degrees of freedom, each other on the last.

    Their coordinates are η, momenta p_η and virtual masses Q = kT τ², the first `weight` times that.
    """

    def __init__(self, freedoms: int, weight: int, time: float, temperature_K: float) -> None:
        self._freedoms, self._weight, self._time = freedoms, weight, time
        self.eta, self.p_eta, self.masses = np.zeros(3), np.zeros(3), np.ones(3)
        self.set_temperature(temperature_K)

    def set_temperature(self, temperature_K: float) -> None:
        """Set the temperature [K]; velocities stay, so that momenta scale with the masses."""
        self._kT = ase_units.kB * temperature_K
        masses = np.array([self._weight * self._kT * self._time**2] + 2 * [self._kT * self._time**2])
        self.p_eta = self.p_eta * (masses / self.masses)
        self.masses = masses

    def propagate(self, p: Any, mass: Any, time: float) -> Any:
        """Advance the chain by a time and return the momenta that it has scaled."""
        for part in _YOSHIDA:
            delta = part * time
            for j in (2, 1, 0):
                self._push(j, p, mass, delta)
            self.eta += delta * self.p_eta / self.masses
            p = p * np.exp(-delta * self.p_eta[0] / self.masses[0])
            for j in (0, 1, 2):
                self._push(j, p, mass, delta)
        return p

    def _push(self, j: int, p: Any, mass: Any, delta: float) -> None:
        """Let its force act on thermostat j for half of delta, between two halves of the drag of the next one."""
        drag = np.exp(-(delta / 4) * self.p_eta[j + 1] / self.masses[j + 1]) if j < 2 else 1.0
        twice_kinetic = np.sum(p**2 / mass) if j == 0 else self.p_eta[j - 1] ** 2 / self.masses[j - 1]
        force = twice_kinetic - (self._freedoms if j == 0 else 1) * self._kT
        self.p_eta[j] = (self.p_eta[j] * drag + delta / 2 * force) * drag

    def energy(self) -> float:
        """Return its part of the conserved energy [eV]."""
        kinetic = np.sum(0.5 * self.p_eta**2 / self.masses)
        return float(kinetic + self._kT * (self._freedoms * self.eta[0] + self.eta[1] + self.eta[2]))


class IsotropicNPT:
    """Isotropic Martyna–Tobias–Klein dynamics at zero total momentum, doi:10.1063/1.467468.

    The step is that of ASE's ``IsotropicMTKNPT`` to the last bit, but for three things. The 3N − 3 degrees of freedom
    of a system whose centre of mass rests are counted, where ASE counts 3N and holds N/(N − 1) times the temperature
    asked for. The temperature may change between steps. The state of chains and barostat can be read and put back.

    With the strain ε, the cell is h = h₀ exp(ε), and p_ε is the momentum of ε, of mass W = (3N_f + 3) kT τ².

    The net force, zero but for rounding, is taken off, so that a single-precision model cannot set the cell adrift.
    """

    def __init__(
        self,
        atoms: Atoms,
        *,
        timestep: float,
        temperature_K: float,
        pressure: float,
        thermostat_time: float,
        barostat_time: float,
        state: dict[str, NDArray[np.float64]] | None = None,
    ) -> None:
        self.atoms, self._timestep, self._barostat_time = atoms, timestep, barostat_time
        self.set_pressure(pressure)
        self._masses = atoms.get_masses()[:, None]
        self._q, self._p = atoms.get_positions(), atoms.get_momenta()
        self._moving = len(atoms) - 1
        self._thermostat = Chain(3 * self._moving, 3 * self._moving, thermostat_time, temperature_K)
        self._barostat = Chain(1, 9, barostat_time, temperature_K)
        self._cell_mass = self._cell_mass_at(temperature_K)
        self._evaluated: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._cell0 = atoms.cell.array.copy()
        self._eps, self._p_eps = 0.0, 0.0
        if state is not None:
            self._cell0 = state["reference_cell"].copy()
            self._eps, self._p_eps = state["strain"].tolist()
            self._thermostat.eta, self._thermostat.p_eta = state["thermostat"].copy()
            self._barostat.eta, self._barostat.p_eta = state["barostat"].copy()
            self._evaluated = state["forces"].copy(), state["virial_stress"].copy()
        self._volume0 = Atoms(cell=self._cell0).get_volume()

    def set_pressure(self, pressure: float) -> None:
        """Set the target pressure [eV/Å³]."""
        self._pressure = pressure

    def set_temperature(self, temperature_K: float) -> None:
        """Set the target temperature [K].

        The virtual masses are proportional to it, which keeps the periods; the velocities of chains and barostat stay.
        """
        self._thermostat.set_temperature(temperature_K)
        self._barostat.set_temperature(temperature_K)
        cell_mass = self._cell_mass_at(temperature_K)
        self._p_eps *= cell_mass / self._cell_mass
        self._cell_mass = cell_mass

    def step(self) -> None:
        """Advance by one time step."""
        half = self._timestep / 2
        self._p_eps = self._barostat.propagate(self._p_eps, self._cell_mass, half)
        self._p = self._thermostat.propagate(self._p, self._masses, half)
        self._push_cell(half)
        self._push_atoms(half)
        x = self._timestep * self._p_eps / self._cell_mass
        self._q = self._q * np.exp(x) + self._p * self._timestep / self._masses * exprel(x)
        self._eps += x
        self._evaluated = None
        self._push_atoms(half)
        self._push_cell(half)
        self._p = self._thermostat.propagate(self._p, self._masses, half)
        self._p_eps = self._barostat.propagate(self._p_eps, self._cell_mass, half)
        self._update_atoms()

    @property
    def forces(self) -> NDArray[np.float64]:
        """Forces at the present positions [eV/Å]."""
        return self._evaluate()[0]

    def conserved_energy(self) -> float:
        """Return the energy of atoms, cell and chains, which the step conserves to second order [eV]."""
        atoms = self.atoms.get_potential_energy(force_consistent=True) + self.atoms.get_kinetic_energy()
        cell = self._p_eps**2 / (2 * self._cell_mass) + self._pressure * self._volume()
        return float(atoms + cell + self._thermostat.energy() + self._barostat.energy())

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return everything but positions, momenta and cell that the next step depends on."""
        forces, virial_stress = self._evaluate()
        return {
            "reference_cell": self._cell0.copy(),
            "strain": np.array([self._eps, self._p_eps]),
            "thermostat": np.array([self._thermostat.eta, self._thermostat.p_eta]),
            "barostat": np.array([self._barostat.eta, self._barostat.p_eta]),
            "forces": forces.copy(),
            "virial_stress": virial_stress.copy(),
        }

    def _cell_mass_at(self, temperature_K: float) -> float:
        return (3 * self._moving + 3) * (ase_units.kB * temperature_K) * self._barostat_time**2

    def _volume(self) -> float:
        return float(self._volume0 * np.exp(3 * self._eps))

    def _push_atoms(self, delta: float) -> None:
        x = (1 + 1 / self._moving) * self._p_eps * delta / self._cell_mass
        self._p = self._p * np.exp(-x) + delta * self.forces * exprel(-x)

    def _push_cell(self, delta: float) -> None:
        twice_kinetic = float(np.sum(self._p**2 / self._masses))
        pressure = -float(np.trace(self._evaluate()[1])) / 3.0 + twice_kinetic / (3.0 * self._volume())
        self._p_eps += delta * (3 * self._volume() * (pressure - self._pressure) + twice_kinetic / self._moving)

    def _update_atoms(self) -> None:
        self.atoms.set_positions(self._q)
        self.atoms.set_momenta(self._p)
        # The positions have scaled by themselves.
        self.atoms.set_cell(self._cell0 * np.exp(self._eps), scale_atoms=False)

    def _evaluate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._evaluated is None:
            self._update_atoms()
            evaluate(self.atoms, ["energy", "forces", "stress"])
            virial_stress = self.atoms.get_stress(voigt=False)
            forces = self.atoms.get_forces(md=True)
            forces -= self._masses * (forces.sum(axis=0) / self._masses.sum())
            self._evaluated = forces, virial_stress
        return self._evaluated
