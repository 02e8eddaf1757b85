"""How much room there is: distributions of volumes and valences, and the sizes of voids."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.style import Palette
from amorph.export.charts.words import beside
from amorph.fields import ScalarField

Array = NDArray[np.floating[Any]]

_BINS: Final = 40
_NARROWEST_A3: Final = 1.0
"""Range of volumes at least: in a crystal they are alike [Å³]."""


def volumes(tables: Mapping[str, Columns]) -> Chart:
    """Draw how the Voronoi volumes of each species spread."""
    species = list(dict.fromkeys(next(iter(tables.values()))["species"].tolist()))

    def of(name: str) -> dict[str, Array]:
        return {kind: table["volume_A3"][table["species"] == name] for kind, table in tables.items()}

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        for axes, name in zip(panels, species, strict=True):
            both = np.concatenate(list(of(name).values()))
            margin = max(0.0, _NARROWEST_A3 - np.ptp(both)) / 2 + 1e-9
            bins = min(_BINS, max(8, len(both) // 6))
            edges = np.linspace(both.min() - margin, both.max() + margin, bins + 1)
            _steps(axes, of(name), edges, colors)
            axes.set(title=name, xlabel="volume [Å³]", ylabel="share per Å³")
        if len(tables) > 1:
            panels[0].legend()

    means = [
        f"{name} " + " and ".join(f"{found.mean():.1f} Å³{beside(kind)}" for kind, found in of(name).items())
        for name in species
    ]
    text = f"Means: {'; '.join(means)}."
    return Chart("volumes", "Voronoi volumes by species", text, tables, draw, panels=len(species))


def valences(values: Mapping[str, Array], ions: Mapping[str, Array], ion: str, target: float, window: float) -> Chart:
    """Draw how the bond valence sums of a map's points spread, with its window and the sums where the ions are."""
    top = 2.0 * target
    edges = np.linspace(0, top, 2 * _BINS + 1)

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        axes.axvspan(target - window, target + window, color=colors.shade, linewidth=0)
        axes.axvline(target, color=colors.ink, linewidth=0.8, linestyle=":")
        _steps(axes, {kind: found[found < top] for kind, found in values.items()}, edges, colors)
        for row, (kind, found) in enumerate(ions.items()):
            axes.plot(
                found, np.full(len(found), 0.04 + 0.06 * row), "x" if row else "|", linestyle="", markersize=7,
                color=colors.line(row)["color"], transform=axes.get_xaxis_transform(),
                label=f"{ion} of the {kind}" if kind else f"the {ion} there are",
            )  # fmt: skip
        axes.set(xlabel=f"bond valence sum of {ion} [v.u.]", ylabel="share per v.u.", xlim=(0, top))
        axes.legend()

    means = ", ".join(
        f"{found.mean():.2f} ± {found.std():.2f} v.u.{beside(kind)}" for kind, found in ions.items() if len(found)
    )
    text = (
        f"Sums at the points of the map that are not excluded; shaded the window "
        f"{target - window:g} to {target + window:g} v.u. " + (f"At the ions themselves: {means}." if means else "")
    )
    tables = {
        kind: {"sum_vu": (edges[:-1] + edges[1:]) / 2, "share_per_vu": _shares(found[found < top], edges)}
        for kind, found in values.items()
    }
    return Chart("valences", f"Bond valence sums of {ion}", text, tables, draw, height=2.8)


def spheres(sizes: Mapping[str, Mapping[str, float]]) -> Chart:
    """Draw the largest spheres and the mean pore; filled for the first structure, open for the others."""
    names = list(next(iter(sizes.values())))

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        for row, (kind, found) in enumerate(sizes.items()):
            color = colors.line(row)["color"]
            marks = {"marker": "s" if row else "o", "linestyle": "", "markersize": 7, "markeredgecolor": color}
            marks["markerfacecolor"] = "none" if row else color
            axes.plot(list(found.values()), range(len(names)), label=kind, **marks)
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="y", color=colors.shade)
        axes.set(xlabel="radius [Å], to the centers of the atoms", ylim=(len(names) - 0.5, -0.5))
        if len(sizes) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)

    listed = "; ".join(
        f"{name} " + " and ".join(f"{found[name]:.2f} Å{beside(kind)}" for kind, found in sizes.items())
        for name in names
    )
    tables = {kind: {"sphere": names, "radius_A": list(found.values())} for kind, found in sizes.items()}
    return Chart("spheres", "Void sizes, the mobile ion removed", f"{listed}.", tables, draw, height=2.2)


def spread(field: ScalarField) -> Chart:
    """Draw how the values of a field spread over its points."""
    finite = field.values[np.isfinite(field.values)]
    edges = np.linspace(float(finite.min()), float(finite.max()) + 1e-9, 2 * _BINS + 1)

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        _steps(axes, {"": finite}, edges, colors)
        per = f" per {field.unit}" if field.unit else ""
        axes.set(xlabel=f"{field.quantity} [{field.unit}]".removesuffix(" []"), ylabel=f"share of the points{per}")

    table = {"value": (edges[:-1] + edges[1:]) / 2, "density": _shares(finite, edges)}
    low, high, mean = (f"{found:.4g}" for found in (finite.min(), finite.max(), finite.mean()))
    text = f"From {low} to {high} {field.unit}, {mean} in the mean, at {finite.size} points of {field.values.size}."
    return Chart("spread", f"Spread of the {field.quantity}", text, {"": table}, draw, height=2.8)


def _steps(axes: Any, found: Mapping[str, Array], edges: Array, colors: Palette) -> None:
    """Draw histograms as outlines."""
    for row, (kind, numbers) in enumerate(found.items()):
        axes.stairs(_shares(numbers, edges), edges, label=kind, **colors.line(row))


def _shares(numbers: Array, edges: Array) -> Array:
    """Give the share of numbers in each bin, by its width."""
    shares: Array = np.histogram(numbers, edges)[0] / max(len(numbers), 1) / np.diff(edges)
    return shares
