"""The curves of a run, drawn: what it went through, and how glass and crystal compare."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.report.drawing import CRYSTAL, FAINT, GLASS, INK, LINES, SHADE, Drawing, panels
from amorph.report.page import number

Array = NDArray[np.float64]
Columns = Mapping[str, Any]
"""A table by column."""
Both = Mapping[str, Columns]
"""The same table of "glass" and, where there is a control, "crystal"."""

_MOST_POINTS: Final = 1500
"""Points of a curve in time at most."""
_PANELS: Final = 8
"""Pairs of elements at most whose g(r) is drawn."""
_BINS: Final = 40


def course(name: str, title: str, table: Columns) -> Drawing:
    """Draw temperature, potential energy and pressure against time, with the target."""
    step = -(-len(table["time_ps"]) // _MOST_POINTS)
    time, kept = table["time_ps"][::step], {key: column[::step] for key, column in table.items()}
    with panels(name, 3, columns=1, height=1.6, share_x=True) as made:
        temperature, energy, pressure = made.axes
        temperature.plot(time, kept["temperature_K"], color=GLASS, linewidth=1, label="measured")
        temperature.plot(time, kept["target_K"], color=INK, linewidth=1, linestyle=(0, (4, 2)), label="target")
        temperature.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
        temperature.set_ylabel("T [K]")
        energy.plot(time, kept["potential_energy_eV"], color=GLASS, linewidth=1)
        energy.set_ylabel("E pot [eV]")
        pressure.plot(time, kept["pressure_GPa"], color=GLASS, linewidth=1)
        pressure.axhline(0, color=FAINT, linewidth=0.8)
        pressure.set(ylabel="p [GPa]", xlabel="time [ps]")
        changes = np.flatnonzero(kept["segment"][1:] != kept["segment"][:-1]) + 1
        for axes in made.axes:
            for change in changes:
                axes.axvline(time[change], color=FAINT, linewidth=0.8)
        for first in [0, *changes]:
            temperature.annotate(
                kept["segment"][first], (time[first], 1.0), xycoords=("data", "axes fraction"), xytext=(3, -9),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip
    thinned = "" if step == 1 else f" One sample in {step} is drawn."
    ends = {name: (column[0], column[-1]) for name, column in table.items()}
    text = (
        f"{time[-1]:.4g} ps, segments {', '.join(dict.fromkeys(kept['segment'].tolist()))}. The temperature goes from "
        f"{ends['temperature_K'][0]:.0f} to {ends['temperature_K'][1]:.0f} K (target {ends['target_K'][1]:.0f} K), the "
        f"potential energy from {' to '.join(map(number, ends['potential_energy_eV']))} eV.{thinned}"
    )
    return Drawing(name, title, text, made.svg)


def radial(tables: Both, anion: str) -> Drawing:
    """Draw g(r): in all, and of every pair with an anion."""
    names = [name for name in tables["glass"] if name.startswith("g_") and name.rpartition("-")[2] in anion.split(",")]
    names = ["g_total", *names[: _PANELS - 1]]
    with panels("radial", len(names)) as made:
        for axes, name in zip(made.axes, names, strict=True):
            for kind, table in tables.items():
                if name in table:
                    axes.plot(table["r_A"], table[name], label=kind, **LINES[kind])
            axes.axhline(1, color=FAINT, linewidth=0.8)
            axes.set(title=name.removeprefix("g_").replace("-", "–"), xlabel="r [Å]", ylabel="g(r)", xlim=(0, None))
        made.axes[0].legend()
    peaks = []
    for name in names[1:]:
        column = tables["glass"][name]
        top = int(np.argmax(column))
        peaks.append(f"{name.removeprefix('g_').replace('-', '–')} {tables['glass']['r_A'][top]:.2f} Å")
    return Drawing("radial", "Pair distributions g(r)", f"Highest peaks of the glass: {', '.join(peaks)}.", made.svg)


def scattering(tables: Both) -> Drawing:
    """Draw S(q) as neutrons and X-rays see it."""
    probes = {"s_neutron": "neutrons", "s_xray": "X-rays"}
    with panels("scattering", 2) as made:
        for axes, (name, probe) in zip(made.axes, probes.items(), strict=True):
            for kind, table in tables.items():
                axes.plot(table["q_per_A"], table[name], label=kind, **LINES[kind])
            axes.axhline(1, color=FAINT, linewidth=0.8)
            axes.set(title=probe, xlabel="q [1/Å]", ylabel="S(q)")
            axes.set_ylim(top=1.15 * max(tables["glass"][name].max(), 1.0))
        made.axes[0].legend()
    tops = [
        f"{probe} {tables['glass']['q_per_A'][int(np.argmax(tables['glass'][name]))]:.2f} 1/Å"
        for name, probe in probes.items()
    ]
    text = f"Highest peaks of the glass: {', '.join(tops)}. Peaks of the crystal beyond the frame are cut off."
    return Drawing("scattering", "Structure factors S(q)", text, made.svg)


def powder(tables: Both) -> Drawing:
    """Draw the powder pattern, that of the crystal above the other; each by its own highest line."""
    with panels("powder", 1, height=2.8) as made:
        (axes,) = made.axes
        for row, (kind, table) in enumerate(tables.items()):
            height = table["intensity"] / max(float(table["intensity"].max()), 1e-300)
            axes.plot(
                table["two_theta_deg"],
                height + 1.1 * row,
                label=kind,
                **{**LINES[kind], "linestyle": "-", "linewidth": 0.8},
            )
            axes.annotate(
                kind,
                (1.0, 1.1 * row + 0.5),
                xycoords=("axes fraction", "data"),
                ha="right",
                color=LINES[kind]["color"],
            )
        axes.set(xlabel="2θ [°], Cu Kα", ylabel="intensity, scaled", yticks=[])
    lines = ", ".join(
        f"{kind} {table['two_theta_deg'][int(np.argmax(table['intensity']))]:.1f}°" for kind, table in tables.items()
    )
    text = (
        f"Strongest lines: {lines}. A small cell has few vectors: its glass shows spikes where a large one has a halo."
    )
    return Drawing("powder", "X-ray powder pattern", text, made.svg)


def volumes(tables: Both) -> Drawing:
    """Draw how the Voronoi volumes of each species spread."""
    species = list(dict.fromkeys(tables["glass"]["species"].tolist()))
    with panels("volumes", len(species)) as made:
        for axes, name in zip(made.axes, species, strict=True):
            found = {kind: table["volume_A3"][table["species"] == name] for kind, table in tables.items()}
            both = np.concatenate(list(found.values()))
            edges = np.linspace(both.min(), both.max() + 1e-9, min(_BINS, max(8, len(both) // 6)) + 1)
            _steps(axes, found, edges)
            axes.set(title=name, xlabel="volume [Å³]", ylabel="share per Å³")
        made.axes[0].legend()
    means = [
        f"{name} "
        + " and ".join(
            f"{table['volume_A3'][table['species'] == name].mean():.1f} Å³ ({kind})" for kind, table in tables.items()
        )
        for name in species
    ]
    return Drawing("volumes", "Voronoi volumes by species", f"Means: {'; '.join(means)}.", made.svg)


def valences(values: Mapping[str, Array], ions: Mapping[str, Array], ion: str, target: float, window: float) -> Drawing:
    """Draw how the bond valence sums of a map's points spread, with its window and the sums where the ions are."""
    with panels("valences", 1, height=2.8) as made:
        (axes,) = made.axes
        axes.axvspan(target - window, target + window, color=SHADE, linewidth=0)
        axes.axvline(target, color=INK, linewidth=0.8, linestyle=":")
        top = 2.0 * target
        _steps(axes, {kind: found[found < top] for kind, found in values.items()}, np.linspace(0, top, 2 * _BINS + 1))
        for row, (kind, found) in enumerate(ions.items()):
            axes.plot(
                found, np.full(len(found), 0.04 + 0.06 * row), "|" if kind == "glass" else "x",
                linestyle="", markersize=7,
                color=LINES[kind]["color"], transform=axes.get_xaxis_transform(), label=f"{ion} of the {kind}",
            )  # fmt: skip
        axes.set(xlabel=f"bond valence sum of {ion} [v.u.]", ylabel="share per v.u.", xlim=(0, top))
        axes.legend()
    means = ", ".join(
        f"{found.mean():.2f} ± {found.std():.2f} v.u. ({kind})" for kind, found in ions.items() if len(found)
    )
    text = (
        f"Sums at the points of the map that are not excluded; shaded the window "
        f"{target - window:g} to {target + window:g} v.u. " + (f"At the ions themselves: {means}." if means else "")
    )
    return Drawing("valences", f"Bond valence sums of {ion}", text, made.svg)


def spheres(sizes: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Draw the largest spheres and the mean pore; filled for the glass, open for the crystal."""
    names = list(sizes["glass"])
    with panels("spheres", 1, height=2.2) as made:
        (axes,) = made.axes
        for kind, found in sizes.items():
            filled = GLASS if kind == "glass" else "none"
            marks: dict[str, Any] = {
                "marker": "o" if kind == "glass" else "s",
                "linestyle": "",
                "markersize": 7,
                "markerfacecolor": filled,
            }
            axes.plot(
                list(found.values()), range(len(names)), markeredgecolor=LINES[kind]["color"], label=kind, **marks
            )
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="y", color=SHADE)
        axes.set(xlabel="radius [Å], to the centers of the atoms", ylim=(len(names) - 0.5, -0.5))
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    listed = "; ".join(
        f"{name} " + " and ".join(f"{found[name]:.2f} Å ({kind})" for kind, found in sizes.items()) for name in names
    )
    return Drawing("spheres", "Void sizes, the mobile ion removed", f"{listed}.", made.svg)


def profile(lengths: Array, values: Array, sites: Sequence[int], unit: str, quantity: str) -> Drawing:
    """Draw the field along a migration path."""
    with panels("profile", 1, height=2.2) as made:
        (axes,) = made.axes
        axes.plot(lengths, values, color=GLASS, linewidth=1.4)
        axes.plot(lengths[list(sites)], values[list(sites)], "o", color=CRYSTAL, markersize=6, label="sites")
        axes.set(xlabel="along the path [Å]", ylabel=f"{quantity} [{unit}]", xlim=(0, float(lengths[-1])))
        axes.legend()
    lowest, highest = number(float(values.min())), number(float(values.max()))
    text = f"{lengths[-1]:.2f} Å over {len(sites) - 1} hops, from {lowest} to {highest} {unit}."
    return Drawing("profile", "Along the migration path of the glass", text, made.svg)


def _steps(axes: Any, found: Mapping[str, Array], edges: Array) -> None:
    """Draw histograms as outlines."""
    for kind, numbers in found.items():
        heights = np.histogram(numbers, edges)[0] / max(len(numbers), 1) / np.diff(edges)
        axes.stairs(heights, edges, label=kind, **LINES[kind])
