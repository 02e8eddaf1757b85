"""Canonical dynamics by stochastic velocity rescaling, which leaves diffusion alone."""

import ase.md.bussi
from ase import units as ase_units


class Bussi(ase.md.bussi.Bussi):
    """Velocity rescaling of Bussi, Donadio and Parrinello (2007), doi:10.1063/1.2408420, that follows a ramp.

    All velocities are scaled by one factor, so that the kinetic energy is canonical and the total momentum stays; of a
    single atom's path it changes next to nothing, where a Langevin thermostat rubs. The step is ASE's.
    """

    def set_temperature(self, *, temperature_K: float) -> None:
        """Set the target temperature [K]."""
        self.temp = ase_units.kB * temperature_K
        self.target_kinetic_energy = 0.5 * self.temp * self.ndof
