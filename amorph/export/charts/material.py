"""How atoms are arranged and how they scatter, and the energy along a path."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from amorph.analysis.percolation import MigrationPath
from amorph.analysis.scattering import Comparison, PairFunction
from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.style import Palette
from amorph.export.charts.words import beside, number
from amorph.figures import ERROR

_PANELS: Final = 16
"""Pairs of elements at most whose g(r) is drawn, with that of all atoms: all pairs of five elements."""
_SAME: Final = 0.1
"""Hops whose profiles differ by less than this share of the barrier, and lengths by less than this share, are one."""
_POINTS_OF_A_HOP: Final = 41

MEASURED: Final = {
    "sq": ("q [1/Å]", "S(q)"),
    "gr": ("r [Å]", "G(r) [1/Å²]"),
    "xrd": ("2θ [°]", "intensity"),
}
"""Axes of the curves that an experiment measures."""


def radial(tables: Mapping[str, Columns], anions: Sequence[str] = ()) -> Chart:
    """Draw g(r): in all, and of every pair with an anion, of every pair where no anion is named."""
    first = next(iter(tables.values()))
    names = [name for name in first if name.startswith("g_") and name != "g_total" and not name.endswith(ERROR)]
    names = [name for name in names if not anions or name.rpartition("-")[2] in anions]
    names, left = ["g_total", *names[: _PANELS - 1]], len(names[_PANELS - 1 :])

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        for axes, name in zip(panels, names, strict=True):
            for place, (kind, table) in enumerate(tables.items()):
                if name in table:
                    axes.plot(table["r_A"], table[name], label=kind, **colors.line(place))
                    _band(axes, table, "r_A", name, colors.line(place)["color"])
            axes.axhline(1, color=colors.faint, linewidth=0.8)
            axes.set(title=_pair(name), xlabel="r [Å]", ylabel="g(r)", xlim=(0, None))
        _legend(panels[0], tables)

    peaks = [f"{_pair(name)} {first['r_A'][int(np.argmax(first[name]))]:.2f} Å" for name in names[1:]]
    text = f"Highest peaks{_of(tables)}: {', '.join(peaks)}." + (f" {left} pairs more are not drawn." if left else "")
    columns, height = (3, 1.9) if len(names) > 4 else (2, 2.4)
    title = "Pair distributions g(r)"
    return Chart("radial", title, text, tables, draw, panels=len(names), columns=columns, height=height)


def scattering(tables: Mapping[str, Columns]) -> Chart:
    """Draw S(q) as neutrons and X-rays see it."""
    first = next(iter(tables.values()))
    probes = {"s_neutron": "neutrons", "s_xray": "X-rays"}

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        for axes, (name, probe) in zip(panels, probes.items(), strict=True):
            for place, (kind, table) in enumerate(tables.items()):
                axes.plot(table["q_per_A"], table[name], label=kind, **colors.line(place))
                _band(axes, table, "q_per_A", name, colors.line(place)["color"])
            axes.axhline(1, color=colors.faint, linewidth=0.8)
            axes.set(title=probe, xlabel="q [1/Å]", ylabel="S(q)")
            axes.set_ylim(top=1.15 * max(np.nanmax(first[name]), 1.0))
        _legend(panels[0], tables)

    tops = [f"{probe} {first['q_per_A'][int(np.nanargmax(first[name]))]:.2f} 1/Å" for name, probe in probes.items()]
    cut = " Peaks of the others beyond the frame are cut off." if len(tables) > 1 else ""
    text = f"Highest peaks{_of(tables)}: {', '.join(tops)}.{cut}"
    return Chart("scattering", "Structure factors S(q)", text, tables, draw, panels=2)


def powder(tables: Mapping[str, Columns], wavelength_A: float | None = None) -> Chart:
    """Draw the powder pattern, each structure's above the other; each by its own highest line.

    The axis has the wavelength where it is known: a table of angles does not say it.
    """
    angle = "2θ [°]" if wavelength_A is None else f"2θ [°], λ = {wavelength_A:.4g} Å"

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        for row, (kind, table) in enumerate(tables.items()):
            height = table["intensity"] / max(float(np.max(table["intensity"])), 1e-300)
            thin = {**colors.line(row), "linestyle": "-", "linewidth": 0.8}
            axes.plot(table["two_theta_deg"], height + 1.1 * row, label=kind, **thin)
            place = {"xycoords": ("axes fraction", "data"), "ha": "right", "color": thin["color"]}
            axes.annotate(kind, (1.0, 1.1 * row + 0.5), **place)
        axes.set(xlabel=angle, ylabel="intensity, scaled", yticks=[])

    lines = ", ".join(
        f"{kind} {table['two_theta_deg'][int(np.argmax(table['intensity']))]:.1f}°".strip()
        for kind, table in tables.items()
    )
    text = f"Strongest lines: {lines}. A small cell has few vectors: a glass shows spikes where a large one has a halo."
    return Chart("powder", "X-ray powder pattern", text, tables, draw, height=2.8)


def transformed(made: PairFunction, probe: str | None = None) -> Chart:
    """Draw G(r), the sine transform of S(q)."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        axes.plot(made.r_pdf_A, made.g_pdf, **colors.line(0))
        axes.axhline(0, color=colors.faint, linewidth=0.8)
        axes.set(xlabel="r [Å]", ylabel="G(r)" + ("" if probe is None else f", {probe}") + " [1/Å²]", xlim=(0, None))

    text = f"Transformed up to {made.q_max_per_A:.4g} 1/Å; highest at {made.r_pdf_A[int(np.argmax(made.g_pdf))]:.2f} Å."
    table = {"r_A": made.r_pdf_A, "g_pdf_per_A2": made.g_pdf, "t_r_per_A2": made.t_r}
    return Chart("pair_function", "Pair distribution function G(r)", text, {"": table}, draw)


def measured(compared: Comparison, curve: str | None = None) -> Chart:
    """Draw a measured curve ("sq", "gr" or "xrd", where that is known), the computed one, and the residual below."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        axes.plot(compared.x, compared.measured, ".", markersize=2, color=colors.ink, label="measured")
        label = f"computed, R_w = {compared.r_w:.3g}"
        axes.plot(compared.x, compared.computed, linewidth=1, color=colors.series[0], label=label)
        below = min(compared.measured.min(), compared.computed.min()) - compared.residual.max()
        shifted = {"linewidth": 0.7, "color": colors.faint, "label": "residual, shifted"}
        axes.plot(compared.x, compared.residual + below, **shifted)
        x, y = MEASURED.get(curve or "", ("x of the experiment", "measured"))
        axes.set(xlabel=x, ylabel=y)
        axes.legend()

    table = {"x": compared.x, "measured": compared.measured, "computed": compared.computed}
    residuals = f"R_w = {compared.r_w:.3g}, less background {compared.r_w_above_background:.3g}"
    text = f"{residuals}; scale {compared.scale:.3g} ({compared.scaled})."
    return Chart("experiment", "Beside the experiment", text, {"": table}, draw, height=2.8)


def profile(way: MigrationPath, title: str = "Along the migration path") -> Chart:
    """Draw the field along a path, one hop of each kind; hops that look alike, forwards or backwards, are of one."""
    kinds = _kinds_of_hops(way)
    quantity = "site energy" if way.unit == "eV" else way.quantity

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        at = 0.0
        for start, end, count in kinds:
            place = way.lengths[start : end + 1] - way.lengths[start] + at
            axes.plot(place, way.values[start : end + 1], color=colors.series[0], linewidth=1.4)
            ends = {"color": colors.series[1], "markersize": 6, "label": None if at else "sites"}
            axes.plot(place[[0, -1]], way.values[[start, end]], "o", **ends)
            if count > 1:
                middle = {"ha": "center", "va": "bottom", "fontsize": 9}
                axes.text(place.mean(), way.values[start : end + 1].max(), f"{count} times", **middle)
            at = float(place[-1])
        axes.margins(y=0.15)
        axes.set(xlabel="along the path [Å]", ylabel=f"{quantity} [{way.unit}]".removesuffix(" []"), xlim=(0, at))
        axes.legend()

    table = {
        "hop": np.concatenate([np.full(end - start + 1, k) for k, (start, end, _) in enumerate(kinds, 1)]),
        "times": np.concatenate([np.full(end - start + 1, count) for start, end, count in kinds]),
        "length_A": np.concatenate([way.lengths[start : end + 1] - way.lengths[start] for start, end, _ in kinds]),
        "value": np.concatenate([way.values[start : end + 1] for start, end, _ in kinds]),
    }
    hops = len(way.sites) - 1
    alike = f", {len(kinds)} kinds of them drawn once each" if len(kinds) < hops else ""
    lowest, highest = number(float(way.values.min())), number(float(way.values.max()))
    unit = way.unit.removesuffix(".")
    text = f"{way.lengths[-1]:.2f} Å over {hops} hop{'s' * (hops != 1)}{alike}, from {lowest} to {highest} {unit}."
    return Chart("profile", title, text, {"": table}, draw)


def _kinds_of_hops(way: MigrationPath) -> list[tuple[int, int, int]]:
    """Give first and last point of one hop of each kind, and how many there are."""
    steps = np.linspace(0.0, 1.0, _POINTS_OF_A_HOP)
    scale = max(float(np.ptp(way.values)), 1e-300)
    found: list[list[int]] = []
    shapes: list[tuple[float, Any]] = []
    for start, end in zip(way.sites[:-1], way.sites[1:], strict=True):
        along = way.lengths[start : end + 1] - way.lengths[start]
        shape = np.interp(steps * along[-1], along, way.values[start : end + 1])
        for hop, (length, known) in zip(found, shapes, strict=True):
            apart = min(np.abs(shape - known).max(), np.abs(shape[::-1] - known).max())
            if abs(along[-1] - length) < _SAME * length and apart < _SAME * scale:
                hop[2] += 1
                break
        else:
            found.append([start, end, 1])
            shapes.append((float(along[-1]), shape))
    return [(start, end, count) for start, end, count in found]


def _band(axes: Any, table: Columns, x: str, name: str, color: str) -> None:
    """Shade a standard error up and down from a curve, where the table has one."""
    if (error := table.get(f"{name}{ERROR}")) is not None:
        low, high = table[name] - error, table[name] + error
        axes.fill_between(table[x], low, high, color=color, alpha=0.25, linewidth=0)


def _pair(name: str) -> str:
    return name.removeprefix("g_").replace("-", "–")


def _of(tables: Mapping[str, Columns]) -> str:
    return beside(next(iter(tables)))


def _legend(axes: Any, tables: Mapping[str, Columns]) -> None:
    if len(tables) > 1:
        axes.legend()
