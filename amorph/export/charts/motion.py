"""How ions move and leave: displacements by lag, diffusion by temperature, voltage by what is removed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp
from typing import Any

import numpy as np
from ase import units

from amorph.analysis.electrochemistry import Voltage
from amorph.analysis.transport import Arrhenius, Diffusion
from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.style import Palette


def displacements(measured: Mapping[str, Diffusion]) -> Chart:
    """Draw the mean-square displacement of every element with the line fitted to it, and α2, against the lag."""
    ions = {
        _named(name, one, element, measured): ion for name, one in measured.items() for element, ion in one.ions.items()
    }
    fits = {}
    for name, ion in ions.items():
        if ion.start_ps is not None and ion.diffusivity_cm2_s is not None:
            lag = ion.curves["lag_ps"]
            straight = lag[lag >= ion.start_ps * (1.0 - 1e-9)]
            fits[name] = (straight, ion.intercept_A2 + 6e4 * ion.diffusivity_cm2_s * straight)
    return displacement_curves({name: ion.curves for name, ion in ions.items()}, fits)


def displacement_curves(tables: Mapping[str, Columns], fits: Mapping[str, tuple[Any, Any]] | None = None) -> Chart:
    """Draw curves `lag_ps`, `msd_A2` and `non_gaussian` by name, and the lines fitted to some of them."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        first, second = panels
        for number, (name, curves) in enumerate(tables.items()):
            look = colors.line(number)
            first.loglog(curves["lag_ps"], curves["msd_A2"], label=name, **look)
            if name in (fits or {}):
                first.plot(*(fits or {})[name], color=look["color"], linewidth=4, alpha=0.3)
            second.semilogx(curves["lag_ps"], curves["non_gaussian"], **look)
        first.set(xlabel="lag [ps]", ylabel="mean-square displacement [Å²]")
        first.legend()
        second.set(xlabel="lag [ps]", ylabel="non-Gaussian parameter α2")

    listed = "; ".join(f"{name} {curves['msd_A2'][-1]:.3g} Å² at the longest lag" for name, curves in tables.items())
    fitted = " The broad line is the one fitted." if fits else ""
    return Chart("displacements", "Mean-square displacement", f"{listed}.{fitted}", tables, draw, panels=2, height=3.0)


def activation(line: Arrhenius, measured: Sequence[Diffusion] = ()) -> Chart:
    """Draw D over the inverse temperature, with 95 % intervals, and the line down to room temperature."""
    hottest = max(line.temperatures_K)
    kelvin = np.array([hottest, *sorted(line.temperatures_K, reverse=True)[1:], 300.0])
    fitted = np.array([line.prefactor_cm2_s * exp(-line.activation_energy_eV / (units.kB * t)) for t in kelvin])

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        color = colors.series[0]
        for one in measured:
            ion, at = one.ions[line.element], 1000 / (one.temperature_K or float("nan"))
            if ion.diffusivity_cm2_s is not None and ion.interval_95 is not None:
                axes.plot([at, at], ion.interval_95, "-", color=color)
                axes.plot(at, ion.diffusivity_cm2_s, "o", color=color)
            elif ion.upper_limit_cm2_s is not None:
                axes.plot(at, ion.upper_limit_cm2_s, "v", color=colors.faint)
        axes.plot(1000 / kelvin, fitted, "--", color=color, linewidth=1)
        axes.plot([1000 / 300.0] * 2, line.diffusivity_300K_interval_95, "-", color=color, linewidth=3, alpha=0.4)
        axes.set(xlabel="1000 K / T", ylabel=f"D of {line.element} [cm²/s]", yscale="log")

    low, high = line.activation_energy_interval_95
    text = (
        f"Activation energy {line.activation_energy_eV:.3g} eV, {low:.3g} to {high:.3g} eV with 95 %; the thick line "
        "is the interval of what the line says of 300 K."
    )
    points: dict[str, Any] = {"temperature_K": kelvin, "fitted_cm2_s": fitted}
    tables = {"line": points} | {
        f"{one.temperature_K:g} K": {
            "temperature_K": [one.temperature_K],
            "D_cm2_s": [one.ions[line.element].diffusivity_cm2_s],
            "from_cm2_s": [(one.ions[line.element].interval_95 or (None, None))[0]],
            "to_cm2_s": [(one.ions[line.element].interval_95 or (None, one.ions[line.element].upper_limit_cm2_s))[1]],
        }
        for one in measured
    }
    return Chart("arrhenius", f"Diffusion of {line.element} by temperature", text, tables, draw, height=3.0)


def voltages(found: Voltage) -> Chart:
    """Draw the average voltage between the steps of removal, with its standard error."""
    removed = [step.removed for step in found.steps]
    values = [float("nan") if step.voltage_V is None else step.voltage_V for step in found.steps[1:]]
    errors = [step.voltage_standard_error_V or 0.0 for step in found.steps[1:]]

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        axes.stairs(values, removed, baseline=None, color=colors.series[0], linewidth=1.4)
        middles = [(low + high) / 2 for low, high in pairwise(removed)]
        axes.errorbar(middles, values, errors, fmt="none", color=colors.series[0], capsize=3)
        axes.axhline(found.average_voltage_V, color=colors.faint, linewidth=0.8, label="average")
        axes.set(xlabel=f"share of {found.ion} removed", ylabel="voltage [V]", xlim=(0, None))
        axes.legend()

    text = f"{found.average_voltage_V:.2f} V on average, {found.capacity_mAh_per_g:.0f} mAh/g of {found.formula}."
    table = {
        "removed_from": removed[:-1],
        "removed_to": removed[1:],
        "voltage_V": values,
        "standard_error_V": [step.voltage_standard_error_V for step in found.steps[1:]],
    }
    return Chart("voltage", f"Voltage against {found.ion} removed", text, {"": table}, draw, height=2.8)


def _named(name: str, one: Diffusion, element: str, measured: Mapping[str, Diffusion]) -> str:
    if len(measured) == 1:
        return element
    return f"{element}, {name.rpartition('/')[2] if one.temperature_K is None else f'{one.temperature_K:g} K'}"
