"""Is the running dynamics or minimisation still sane? Checked at every step."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms, units as ase_units
from numpy.typing import NDArray

from amorph.meltquench.schedule import Segment
from amorph.structure.closeness import _Closeness, _not_finite

TEMPERATURE_LIMIT = 3.0
"""Largest ratio of temperature to the recent target in a run that is still sane; more in cells of a few atoms."""
TEMPERATURE_FLOOR_K = 1000.0
"""Added to that limit [K]: what a strained starting structure may release at a low target."""
VOLUME_LIMIT = 2.0
"""Largest ratio of the volume to the starting volume, either way, under pressure control."""


class Stability:
    """What stops a run within the step in which it becomes unstable."""

    def __init__(self, start_volume: float, timestep_fs: float) -> None:
        self.remedy = f"reduce timestep_fs (now {timestep_fs:g}) or relax the structure first"
        self._start_volume = start_volume
        self._closeness = _Closeness()

    def check(
        self,
        atoms: Atoms,
        forces: NDArray[np.float64],
        step: int,
        segment: Segment,
        target_K: float,
        barostat: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        """Stop the run if it is unstable; `target_K` is the highest that the thermostat may not have forgotten.

        `barostat` is what the next step under pressure control depends on beside the atoms, the stress among it.

        Raises
        ------
        RuntimeError
            What is wrong, at which step and atoms, the limit, and what to do.
        """
        self._finite(atoms, forces, step)
        if broken := [name for name, values in (barostat or {}).items() if not np.isfinite(values).all()]:
            raise RuntimeError(
                f"not finite at step {step} under pressure control: {', '.join(broken).replace('_', ' ')}: the run is "
                f"unstable; {self.remedy}"
            )
        # 16 standard deviations of the canonical kinetic energy: only cells below 50 atoms exceed the plain limit.
        ratio = max(TEMPERATURE_LIMIT, 1.0 + 16.0 * (2.0 / (3 * len(atoms) - 3)) ** 0.5)
        kelvin, limit = temperature_K(atoms), ratio * target_K + TEMPERATURE_FLOOR_K
        if kelvin > limit:
            raise RuntimeError(
                f"temperature {kelvin:.0f} K at step {step} is above the limit of {limit:.0f} K for the "
                f"{target_K:.0f} K target, atom {(k := _fastest(atoms))} ({atoms.symbols[k]}) the fastest: the run is "
                f"unstable; {self.remedy}"
            )
        volume = float(atoms.get_volume())
        if not self._start_volume / VOLUME_LIMIT < volume < self._start_volume * VOLUME_LIMIT:
            raise RuntimeError(
                f"the volume is {volume:.1f} Å³ at step {step}, {volume / self._start_volume:.2f} times the start: the "
                f"cell runs away under {segment.pressure_GPa:g} GPa; raise the pressure or use NVT"
            )
        if close := self._closeness.said(atoms, f"at step {step}"):
            raise RuntimeError(
                f"{close}: the run is unstable; {self.remedy}, or, in a hot melt, choose a calculator "
                'with repulsion = "zbl"'
            )

    def _finite(self, atoms: Atoms, forces: NDArray[np.float64], step: int) -> None:
        energy = getattr(atoms.calc, "results", {}).get("energy", 0.0)
        vectors = {"force on": forces, "position of": atoms.positions, "momentum of": atoms.get_momenta()}
        if broken := _not_finite(atoms, vectors, energy):
            raise RuntimeError(f"{broken} is not finite at step {step}: the run is unstable; {self.remedy}")


def temperature_K(atoms: Atoms) -> float:
    """Return the kinetic temperature over 3N − 3 degrees of freedom [K]."""
    return float(2.0 * atoms.get_kinetic_energy() / ((3 * len(atoms) - 3) * ase_units.kB))


def _fastest(atoms: Atoms) -> int:
    return int(np.argmax((atoms.get_momenta() ** 2).sum(axis=1) / atoms.get_masses()))
