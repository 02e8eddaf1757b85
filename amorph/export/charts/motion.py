"""How ions move and leave: displacements by lag, diffusion by temperature, voltage by what is removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp
from typing import Any, Final

import numpy as np
from ase import units

from amorph.analysis.electrochemistry import Voltage
from amorph.analysis.transport import Arrhenius, Diffusion, Tracer
from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.style import Palette

Fit = tuple[Any, Any]
"""Lags and displacements of a fitted line."""
_MARKS: Final = "osD^"
"""Marks of series in a figure of diffusion by temperature."""


@dataclass(frozen=True)
class Rate:
    """How fast an ion diffuses at one temperature, or what that is at most."""

    temperature_K: float
    diffusivity_cm2_s: float | None
    """D [cm²/s]; None where no diffusion is seen."""
    interval_95: tuple[float, float] | None
    """Interval that holds it with 95 % [cm²/s]."""
    upper_limit_cm2_s: float | None
    """Where no diffusion is seen, what it is at most [cm²/s]."""
    stands: bool = True
    """Whether the host survives the temperature: the line leaves it out where not."""


def displacements(measured: Mapping[str, Diffusion]) -> Chart:
    """Draw the mean-square displacement of every element with the line fitted to it, and α2, against the lag."""
    ions = {_named(name, element, measured): ion for name, one in measured.items() for element, ion in one.ions.items()}
    fits = {name: line for name, ion in ions.items() if (line := _fitted(ion)) is not None}
    return displacement_curves({name: ion.curves for name, ion in ions.items()}, fits)


def displacement_curves(tables: Mapping[str, Columns], fits: Mapping[str, Fit] | None = None) -> Chart:
    """Draw curves `lag_ps`, `msd_A2` and `non_gaussian` by name, and the lines fitted to some of them."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        first, second = panels
        for number, (name, curves) in enumerate(tables.items()):
            _displaced(first, name, curves, (fits or {}).get(name), colors.line(number))
            second.semilogx(curves["lag_ps"], curves["non_gaussian"], **colors.line(number))
        first.set(xlabel="lag [ps]", ylabel="mean-square displacement [Å²]")
        first.legend()
        second.set(xlabel="lag [ps]", ylabel="non-Gaussian parameter α2")

    listed = "; ".join(f"{name} {curves['msd_A2'][-1]:.3g} Å² at the longest lag" for name, curves in tables.items())
    fitted = " The broad line is the one fitted." if fits else ""
    return Chart("displacements", "Mean-square displacement", f"{listed}.{fitted}", tables, draw, panels=2, height=3.0)


def displacements_by(name: str, title: str, measured: Mapping[str, Diffusion]) -> Chart:
    """Draw the mean-square displacement of every element in a panel for each temperature, with the lines fitted."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        for axes, (at, one) in zip(panels, measured.items(), strict=True):
            for number, (element, ion) in enumerate(one.ions.items()):
                _displaced(axes, element, ion.curves, _fitted(ion), colors.line(number))
            axes.set(title=at, xlabel="lag [ps]", ylabel="displacement² [Å²]")
        panels[0].legend(fontsize=8)

    said = "; ".join(
        f"{at}: " + ", ".join(f"{element} {_said(ion)}" for element, ion in one.ions.items())
        for at, one in measured.items()
    )
    text = (
        f"Mean square at the longest lag. {said}. A broad line is one fitted, which begins where the curve is straight."
    )
    tables = {f"{element}, {at}": ion.curves for at, one in measured.items() for element, ion in one.ions.items()}
    return Chart(name, title, text, tables, draw, panels=len(measured), height=2.6)


def activation(line: Arrhenius, measured: Sequence[Diffusion] = ()) -> Chart:
    """Draw D over the inverse temperature, with 95 % intervals, and the line down to room temperature."""
    element = line.element
    rates = [
        Rate(one.temperature_K, ion.diffusivity_cm2_s, ion.interval_95, ion.upper_limit_cm2_s)
        for one, ion in ((one, one.ions[element]) for one in measured)
        if one.temperature_K is not None
    ]
    return diffusion_by_temperature({element: rates}, {element: line})


def diffusion_by_temperature(rates: Mapping[str, Sequence[Rate]], lines: Mapping[str, Arrhenius]) -> Chart:
    """Draw D of several series over the inverse temperature, upper limits as limits, and the lines to 300 K.

    What a host does not survive is hollow.
    """
    fits = {name: _to_room_temperature(line) for name, line in lines.items()}

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        for number, (name, points) in enumerate(rates.items()):
            look = {"color": colors.line(number)["color"], "linestyle": "", "label": name}
            look |= {"marker": _MARKS[number % len(_MARKS)], "markersize": 5, "capsize": 3}
            for rate in points:
                _rate(axes, rate, look)
                look.pop("label", None)
            if (line := lines.get(name)) is not None:
                kelvin, fitted = fits[name]
                axes.plot(1000 / kelvin, fitted, color=look["color"], linestyle=(0, (4, 2)), linewidth=1)
                room = {"color": look["color"], "linewidth": 3, "alpha": 0.4}
                axes.plot([1000 / 300.0] * 2, line.diffusivity_300K_interval_95, **room)
        axes.set(xlabel="1000 K / T", ylabel="D [cm²/s]", yscale="log")
        if len(rates) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)

    tables: dict[str, Columns] = {name: _rates_table(points) for name, points in rates.items() if points}
    tables |= {
        f"{name}, line": {"temperature_K": kelvin, "fitted_cm2_s": fitted} for name, (kelvin, fitted) in fits.items()
    }
    text = " ".join(_said_of_line(name, points, lines.get(name)) for name, points in rates.items())
    title = f"Diffusion of {' and '.join(rates)} by temperature" if len(rates) == 1 else "Diffusion by temperature"
    return Chart("arrhenius", title, text, tables, draw, height=3.2)


def voltages(found: Mapping[str, Voltage]) -> Chart:
    """Draw the average voltage between the steps of removal, with its standard error, of each structure by name."""
    tables = {name: _steps_table(one) for name, one in found.items()}

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        for number, (name, one) in enumerate(found.items()):
            table, look = tables[name], colors.line(number)
            edges = [*table["removed_from"], table["removed_to"][-1]]
            axes.stairs(table["voltage_V"], edges, baseline=None, label=name or "between two steps", **look)
            middles = [(low + high) / 2 for low, high in pairwise(edges)]
            errors = [error or 0.0 for error in table["standard_error_V"]]
            axes.errorbar(middles, table["voltage_V"], errors, fmt="none", color=look["color"], capsize=3)
            mean = {"color": look["color"], "linewidth": 0.8, "linestyle": (0, (1, 2))}
            axes.axhline(one.average_voltage_V, **mean, label=f"{name} average".strip())
        axes.set(xlabel=f"share of {ion} removed", ylabel="voltage [V]", xlim=(0, None))
        axes.legend()

    ion = next(iter(found.values())).ion
    text = " ".join(
        f"{name.capitalize()}: {one.average_voltage_V:.2f} V on average, {one.capacity_mAh_per_g:.0f} mAh/g of "
        f"{one.formula}.".removeprefix(": ")
        for name, one in found.items()
    )
    return Chart("voltage", f"Voltage against {ion} removed", text, tables, draw, height=2.8)


def _displaced(axes: Any, name: str, curves: Columns, fit: Fit | None, look: dict[str, Any]) -> None:
    """Draw one displacement by lag, and its line from where it begins."""
    axes.loglog(curves["lag_ps"], curves["msd_A2"], label=name, **look)
    if fit is not None:
        begins = {"marker": "|", "markersize": 12, "markevery": [0]}
        axes.plot(*fit, color=look["color"], linewidth=4, alpha=0.3, **begins)


def _fitted(ion: Tracer) -> Fit | None:
    """Give the line of a diffusion coefficient over the lags that it is fitted to; None without one."""
    if ion.start_ps is None or ion.diffusivity_cm2_s is None:
        return None
    lag = ion.curves["lag_ps"]
    straight = lag[lag >= ion.start_ps * (1.0 - 1e-9)]
    return straight, ion.intercept_A2 + 6e4 * ion.diffusivity_cm2_s * straight


def _said(ion: Tracer) -> str:
    fitted = ion.start_ps is not None and ion.diffusivity_cm2_s is not None
    return f"{ion.msd_A2:.3g} Å²" + (f", straight from {ion.start_ps:.3g} ps" if fitted else "")


def _to_room_temperature(line: Arrhenius) -> Fit:
    kelvin = np.array([*sorted(line.temperatures_K, reverse=True), 300.0])
    return kelvin, np.array([line.prefactor_cm2_s * exp(-line.activation_energy_eV / (units.kB * t)) for t in kelvin])


def _rate(axes: Any, rate: Rate, look: Mapping[str, Any]) -> None:
    """Draw a point with its interval, or an arrow down from what it is at most."""
    at, hollow = 1000 / rate.temperature_K, {} if rate.stands else {"markerfacecolor": "none"}
    if rate.diffusivity_cm2_s is not None and rate.interval_95 is not None:
        low, high = rate.interval_95
        error = [[rate.diffusivity_cm2_s - low], [high - rate.diffusivity_cm2_s]]
        axes.errorbar(at, rate.diffusivity_cm2_s, error, **look, **hollow)
    elif rate.upper_limit_cm2_s is not None:
        limit = rate.upper_limit_cm2_s
        axes.errorbar(at, limit, [[0.5 * limit], [0.0]], uplims=True, **look, **hollow)


def _rates_table(points: Sequence[Rate]) -> Columns:
    return {
        "temperature_K": [rate.temperature_K for rate in points],
        "D_cm2_s": [rate.diffusivity_cm2_s for rate in points],
        "from_cm2_s": [None if rate.interval_95 is None else rate.interval_95[0] for rate in points],
        "to_cm2_s": [rate.upper_limit_cm2_s if rate.interval_95 is None else rate.interval_95[1] for rate in points],
        "host_stands": [rate.stands for rate in points],
    }


def _said_of_line(name: str, points: Sequence[Rate], line: Arrhenius | None) -> str:
    limits = dict.fromkeys(f"{rate.temperature_K:.0f} K" for rate in points if rate.diffusivity_cm2_s is None)
    fallen = dict.fromkeys(f"{rate.temperature_K:.0f} K" for rate in points if not rate.stands)
    said = "no line goes through its temperatures"
    if line is not None:
        low, high = line.activation_energy_interval_95
        said = (
            f"activation energy {line.activation_energy_eV:.3g} eV, {low:.3g} to {high:.3g} eV with 95 %; the thick "
            "line is the interval of what the line says of 300 K"
        )
    said += f"; an arrow is what D is at most, {', '.join(limits)}" if limits else ""
    said += f"; hollow where its host does not survive, {', '.join(fallen)}" if fallen else ""
    return f"{name}: {said}."


def _steps_table(one: Voltage) -> dict[str, Any]:
    """Give the voltage between two steps against the share of the ions that are removed."""
    shares = [step.removed / (step.removed + step.left) for step in one.steps]
    return {
        "removed_from": shares[:-1],
        "removed_to": shares[1:],
        "voltage_V": [float("nan") if step.voltage_V is None else step.voltage_V for step in one.steps[1:]],
        "standard_error_V": [step.voltage_standard_error_V for step in one.steps[1:]],
    }


def _named(name: str, element: str, measured: Mapping[str, Diffusion]) -> str:
    """Name the curve of an element by temperature or file, and by the whole path where that is not one trajectory's."""
    if len(measured) == 1:
        return element
    briefly = {
        path: path.rpartition("/")[2] if one.temperature_K is None else f"{one.temperature_K:g} K"
        for path, one in measured.items()
    }
    return f"{element}, {briefly[name] if list(briefly.values()).count(briefly[name]) == 1 else name}"
