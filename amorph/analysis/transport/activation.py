"""How diffusion grows with temperature: the activation energy, and what it promises at room temperature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import units

from amorph.analysis.transport.motion import Diffusion
from amorph.analysis.transport.regression import CONFIDENCE
from amorph.figures import Plottable, Result, Row

ROOM_K: Final = 300.0
HOUR_S: Final = 3600.0
NM_PER_CM: Final = 1e7


@dataclass(frozen=True, eq=False)
class Arrhenius(Result, Plottable):
    """Diffusion of one element over temperatures, D = D0 exp(−E_a / k_B T)."""

    element: str
    temperatures_K: tuple[float, ...]
    """Temperatures at which it diffuses [K]."""
    left_out_K: tuple[float, ...]
    """Temperatures at which no diffusion is seen: a limit is no point of a line [K]."""
    activation_energy_eV: float
    """E_a [eV]."""
    activation_energy_interval_95: tuple[float, float]
    """Interval that holds it with 95 % [eV]."""
    prefactor_cm2_s: float
    """D0 [cm²/s]."""
    misfit: float | None
    """χ² per degree of freedom; None for two points. Where it is above 1 the errors grow by its root."""
    diffusivity_300K_cm2_s: float
    """D extrapolated to 300 K [cm²/s]."""
    diffusivity_300K_interval_95: tuple[float, float]
    """Interval that holds it with 95 %, as far as the line goes on to 300 K [cm²/s]."""
    diffusion_length_1h_nm: float
    """l_d = √(D t) of one hour at 300 K [nm]."""
    diffusion_length_1h_interval_95: tuple[float, float]
    """Interval that holds it with 95 % [nm]."""
    passed_K: tuple[float, ...] = ()
    """Temperatures of those left out at which the line lies, with 95 %, above what diffusion is at most there [K]."""

    @property
    def caveat(self) -> str:
        """Say why the line is not to be trusted, one clause for each reason; else nothing."""
        caveats = []
        if self.activation_energy_interval_95[0] <= 0.0:
            caveats.append(
                f"that diffusion of {self.element} grows with temperature is not shown, and what the line says of "
                f"{ROOM_K:g} K is a guess; run longer, more often, or at temperatures farther apart"
            )
        if len(set(self.temperatures_K)) == 2:
            caveats.append("any two temperatures lie on a line; a third would test it")
        if self.passed_K:
            caveats.append(
                f"at {', '.join(f'{kelvin:g}' for kelvin in self.passed_K)} K the line is above what diffusion of "
                f"{self.element} is there at most, so that it does not go on to there; run longer there"
            )
        return "; ".join(caveats)

    def table(self) -> list[dict[str, Any]]:
        """Give each figure with its interval."""
        named = {
            "activation energy [eV]": (self.activation_energy_eV, self.activation_energy_interval_95),
            "D at 300 K [cm²/s]": (self.diffusivity_300K_cm2_s, self.diffusivity_300K_interval_95),
            "diffusion length, 1 h at 300 K [nm]": (
                self.diffusion_length_1h_nm,
                self.diffusion_length_1h_interval_95,
            ),
        }
        return [
            {"element": self.element, "figure": name, "value": value, "from": low, "to": high}
            for name, (value, (low, high)) in named.items()
        ]

    def rows(self) -> list[Row]:
        """Give the activation energy, and D and diffusion length at room temperature."""
        return [
            Row(f"activation energy of {self.element}", self.activation_energy_eV, "eV"),
            Row(f"D of {self.element} at 300 K, extrapolated", self.diffusivity_300K_cm2_s, "cm²/s", decades=True),
            Row(f"diffusion length of {self.element}, 1 h at 300 K", self.diffusion_length_1h_nm, "nm", decades=True),
        ]


def arrhenius(measured: Sequence[Diffusion], element: str) -> Arrhenius:
    r"""Fit the activation energy of an element to its diffusion coefficients at several temperatures.

    Parameters
    ----------
    measured
        Trajectories, each with its temperature; several may share one.
    element
        The element that moves.

    Raises
    ------
    ValueError
        A trajectory without temperature or without the element; diffusion at fewer than two temperatures.
    """
    points: list[tuple[float, float, float]] = []
    limits: list[tuple[float, float]] = []
    for one in measured:
        if one.temperature_K is None:
            raise ValueError("a trajectory has no temperature, which an activation energy needs; give temperature_K")
        if (found := one.ions.get(element)) is None:
            raise ValueError(f"there is no {element} in a trajectory; the elements are {', '.join(one.ions)}")
        if found.diffusivity_cm2_s is None or found.standard_error is None:
            limits.append((one.temperature_K, found.upper_limit_cm2_s or np.inf))
        else:
            points.append((one.temperature_K, found.diffusivity_cm2_s, found.standard_error))
    return fit_arrhenius(element, points, limits)


def fit_arrhenius(
    element: str, points: Sequence[tuple[float, float, float]], limits: Sequence[tuple[float, float]] = ()
) -> Arrhenius:
    r"""Fit the activation energy of an element to its diffusion coefficients.

    Parameters
    ----------
    element
        The element that moves.
    points
        Temperature [K], diffusion coefficient and its standard error [cm²/s], in any order.
    limits
        Temperature [K], and what the diffusion coefficient is at most [cm²/s], where none is seen; the line is laid
        without them, and compared.

    Raises
    ------
    ValueError
        Fewer than two temperatures; temperatures too near each other to reach 300 K.

    Notes
    -----
    :math:`\ln D` is fitted over :math:`1/k_B T` with the weights :math:`(D/s)^2` of the standard errors s. Errors are
    those of the weights, times √(χ²/ν) where the line does not go through them. The interval at 300 K is of the line;
    that nothing else happens on the way there is an assumption.
    """
    from scipy.stats import norm

    temperatures, values, errors = np.array(sorted(points)).reshape(-1, 3).T
    if len(np.unique(temperatures)) < 2:
        raise ValueError(
            f"{element} is seen to diffuse at {len(np.unique(temperatures))} temperature(s), and a line needs two; "
            "run longer or hotter"
        )
    inverse = -1.0 / (units.kB * temperatures)
    design = np.stack([np.ones(len(inverse)), inverse], axis=1)
    weights = (values / errors) ** 2
    covariance = np.linalg.inv(design.T @ (design * weights[:, None]))
    best = covariance @ (design.T @ (weights * np.log(values)))
    freedom = len(inverse) - 2
    misfit = None
    if freedom:
        misfit = float(weights @ (np.log(values) - design @ best) ** 2 / freedom)
        covariance = covariance * max(1.0, misfit)
    width = float(norm.ppf((1.0 + CONFIDENCE) / 2.0))
    there = np.array([1.0, -1.0 / (units.kB * ROOM_K)])
    logarithm, error = float(there @ best), float(np.sqrt(there @ covariance @ there))
    with np.errstate(over="ignore"):
        ends = np.exp(logarithm + width * error * np.array([0.0, -1.0, 1.0]))
    if not np.isfinite(ends).all():
        raise ValueError(
            f"{element} diffuses at {', '.join(f'{kelvin:g}' for kelvin in temperatures)} K, too near each other to "
            f"say anything at {ROOM_K:g} K; measure at temperatures farther apart"
        )
    passed = []
    for kelvin, most in limits:
        at = np.array([1.0, -1.0 / (units.kB * kelvin)])
        if at @ best - width * np.sqrt(at @ covariance @ at) > np.log(most):
            passed.append(kelvin)
    lengths = NM_PER_CM * np.sqrt(ends * HOUR_S)
    energy, spread = float(best[1]), width * float(np.sqrt(covariance[1, 1]))
    return Arrhenius(
        element=element,
        temperatures_K=tuple(temperatures.tolist()),
        left_out_K=tuple(sorted(kelvin for kelvin, _ in limits)),
        activation_energy_eV=energy,
        activation_energy_interval_95=(energy - spread, energy + spread),
        prefactor_cm2_s=float(np.exp(best[0])),
        misfit=misfit,
        diffusivity_300K_cm2_s=float(ends[0]),
        diffusivity_300K_interval_95=(float(ends[1]), float(ends[2])),
        diffusion_length_1h_nm=float(lengths[0]),
        diffusion_length_1h_interval_95=(float(lengths[1]), float(lengths[2])),
        passed_K=tuple(sorted(passed)),
    )
