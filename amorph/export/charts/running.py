"""What a simulation went through in time."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.style import Palette
from amorph.export.charts.words import number

_MOST_POINTS: Final = 1500
"""Points of a curve in time at most."""


def course(name: str, title: str, table: Columns) -> Chart:
    """Draw temperature, potential energy and pressure against time, with the target."""
    step = -(-len(table["time_ps"]) // _MOST_POINTS)
    time, kept = table["time_ps"][::step], {key: column[::step] for key, column in table.items()}
    changes = np.flatnonzero(kept["segment"][1:] != kept["segment"][:-1]) + 1

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        temperature, energy, pressure = panels
        curve = {"color": colors.series[0], "linewidth": 1}
        temperature.plot(time, kept["temperature_K"], **curve, label="measured")
        target = {"color": colors.ink, "linewidth": 1, "linestyle": (0, (4, 2))}
        temperature.plot(time, kept["target_K"], **target, label="target")
        temperature.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
        temperature.set_ylabel("T [K]")
        energy.plot(time, kept["potential_energy_eV"], **curve)
        energy.set_ylabel("E pot [eV]")
        pressure.plot(time, kept["pressure_GPa"], **curve)
        pressure.axhline(0, color=colors.faint, linewidth=0.8)
        pressure.set(ylabel="p [GPa]", xlabel="time [ps]")
        for axes in panels:
            for change in changes:
                axes.axvline(time[change], color=colors.faint, linewidth=0.8)
        for first in [0, *changes]:
            temperature.annotate(
                kept["segment"][first], (time[first], 1.0), xycoords=("data", "axes fraction"), xytext=(3, -9),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip

    thinned = "" if step == 1 else f" One sample in {step} is drawn."
    ends = {key: (column[0], column[-1]) for key, column in table.items()}
    text = (
        f"{time[-1]:.4g} ps, segments {', '.join(dict.fromkeys(kept['segment'].tolist()))}. The temperature goes from "
        f"{ends['temperature_K'][0]:.0f} to {ends['temperature_K'][1]:.0f} K (target {ends['target_K'][1]:.0f} K), the "
        f"potential energy from {' to '.join(map(number, ends['potential_energy_eV']))} eV.{thinned}"
    )
    return Chart(name, title, text, {"": table}, draw, panels=3, columns=1, height=1.6, share_x=True)
