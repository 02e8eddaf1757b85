"""Isotropic constant-pressure dynamics that follows a ramp and can be saved and continued exactly."""

from typing import Any

import numpy as np
from ase import Atoms, units as ase_units
from ase.md.nose_hoover_chain import IsotropicMTKBarostat, IsotropicMTKNPT, NoseHooverChainThermostat
from numpy.typing import NDArray

from amorph.calculators import evaluate


class IsotropicNPT(IsotropicMTKNPT):
    """Isotropic Martyna–Tobias–Klein dynamics at zero total momentum.

    Three things differ from ASE's class. The 3N − 3 degrees of freedom of a system whose centre of mass rests are
    counted, where ASE counts 3N and holds N/(N − 1) times the temperature asked for. The temperature may change
    between steps. The state of chains and barostat can be read and put back.

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
        target_cell = atoms.cell.array.copy()
        if state is not None:
            # ASE measures the strain from the cell that it is given.
            atoms.set_cell(state["reference_cell"], scale_atoms=False)
        super().__init__(atoms, timestep, temperature_K, pressure, thermostat_time, barostat_time)
        self._num_atoms_global = len(atoms) - 1
        self._thermostat = NoseHooverChainThermostat(len(atoms) - 1, self.masses, temperature_K, thermostat_time)
        self._barostat = IsotropicMTKBarostat(len(atoms) - 1, temperature_K, barostat_time)
        self._evaluated: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        if state is not None:
            self._eps, self._p_eps = state["strain"].tolist()
            self._thermostat._eta, self._thermostat._p_eta = state["thermostat"].copy()
            self._barostat._xi, self._barostat._p_xi = state["barostat"].copy()
            self._evaluated = state["forces"].copy(), state["virial_stress"].copy()
            atoms.set_cell(target_cell, scale_atoms=False)

    def set_pressure(self, pressure: float) -> None:
        """Set the target pressure [eV/Å³]."""
        self._pressure_au = pressure

    def set_temperature(self, temperature_K: float) -> None:
        """Set the target temperature [K].

        The virtual masses are proportional to it, which keeps the periods; the velocities of chains and barostat stay.
        """
        thermostat, barostat = self._thermostat, self._barostat
        n = self._num_atoms_global
        new_thermostat = NoseHooverChainThermostat(n, self.masses, temperature_K, thermostat._tdamp)
        new_thermostat._eta = thermostat._eta
        new_thermostat._p_eta = thermostat._p_eta * (new_thermostat._Q / thermostat._Q)
        new_barostat = IsotropicMTKBarostat(n, temperature_K, barostat._pdamp)
        new_barostat._xi = barostat._xi
        new_barostat._p_xi = barostat._p_xi * (new_barostat._R / barostat._R)
        self._p_eps *= new_barostat.W / barostat.W
        self._thermostat, self._barostat = new_thermostat, new_barostat
        self._temperature_K, self._kT = temperature_K, ase_units.kB * temperature_K

    @property
    def forces(self) -> NDArray[np.float64]:
        """Forces at the present positions [eV/Å]."""
        return self._evaluate()[0]

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return everything but positions, momenta and cell that the next step depends on."""
        forces, virial_stress = self._evaluate()
        return {
            "reference_cell": self._cell0.copy(),
            "strain": np.array([self._eps, self._p_eps]),
            "thermostat": np.array([self._thermostat._eta, self._thermostat._p_eta]),
            "barostat": np.array([self._barostat._xi, self._barostat._p_xi]),
            "forces": forces.copy(),
            "virial_stress": virial_stress.copy(),
        }

    def _evaluate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._evaluated is None:
            self._update_atoms()
            evaluate(self.atoms, ["energy", "forces", "stress"])
            virial_stress = self.atoms.get_stress(voigt=False)
            forces = self.atoms.get_forces(md=True)
            forces -= self.masses * (forces.sum(axis=0) / self.masses.sum())
            self._evaluated = forces, virial_stress
        return self._evaluated

    def _get_forces(self) -> NDArray[np.float64]:
        return self._evaluate()[0]

    def _get_pressure(self) -> float:
        virial = -float(np.trace(self._evaluate()[1])) / 3.0
        return virial + float(np.sum(self._p**2 / self.masses)) / (3.0 * float(self._get_volume()))

    def _integrate_q(self, delta: float) -> Any:
        # The cell moves right after the positions, and nothing is evaluated in between.
        self._evaluated = None
        return super()._integrate_q(delta)
