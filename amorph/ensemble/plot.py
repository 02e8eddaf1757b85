"""The summary of an ensemble as a table in CSV or as a figure."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from amorph.ensemble.summary import SIDES, EnsembleSummary, Statistics
from amorph.export.charts import CHART_WRITERS, Chart, Palette, columns_of, write_charts
from amorph.run import write_csv

_KNOWN: Final = (".csv", *CHART_WRITERS)
_TITLE: Final = 24
"""Letters in a line of a panel's title."""


def check_suffix(path: Path) -> None:
    """Refuse a name whose suffix is no format."""
    if path.suffix.lower() not in _KNOWN:
        raise ValueError(f"cannot write a summary as '{path.name}'; name a file with one of {', '.join(_KNOWN)}")


def write_summary(path: Path, summary: EnsembleSummary) -> None:
    """Write the table as ``.csv``, or a figure with a panel for each figure as ``.png``, ``.pdf`` or ``.svg``.

    Raises
    ------
    ValueError
        Unknown suffix; no member is done.
    """
    check_suffix(path)
    if not summary.statistics:
        raise ValueError("no member is done and passed its checks, so there is nothing to write; see the status")
    if path.suffix.lower() == ".csv":
        write_csv(path, summary.table())
    else:
        write_charts(path, [ensemble_chart(summary)])


def ensemble_chart(summary: EnsembleSummary) -> Chart:
    """Draw a panel for each figure: the mean of each combination with its 95 % interval, every member as a point."""
    shown = [entry for entry in summary.statistics if entry.structure in SIDES]
    names = list(dict.fromkeys((entry.figure, entry.unit) for entry in shown))
    points = summary.points
    sides = list(dict.fromkeys(entry.structure for entry in shown))

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        for axes, (name, unit) in zip(panels, names, strict=True):
            axes.set_title(textwrap.fill(name, _TITLE), fontsize=9)
            axes.set_ylabel(unit)
            panel = [entry for entry in shown if (entry.figure, entry.unit) == (name, unit)]
            for entry in panel:
                side = sides.index(entry.structure)
                place = points.index(entry.point) + 0.24 * side - 0.12 * (len(sides) - 1)
                _members(axes, entry, place, side, colors)
            if all(entry.geometric for entry in panel):
                axes.set_yscale("log")
            axes.set_xlim(-0.6, len(points) - 0.4)
            axes.set_xticks(range(len(points)), ["\n".join(point.values()) for point in points], fontsize=8)
        first = panels[0]
        handles = dict(zip(*reversed(first.get_legend_handles_labels()), strict=True))
        first.legend(handles.values(), handles.keys(), fontsize=8)

    counted = any(any(entry.failed) for entry in summary.statistics)
    notes = [f"by {', '.join(points[0])}"] if points[0] else []
    if summary.apart:
        notes.append(
            f"{'counted (×) although' if counted else 'not counted,'} a check failed: {', '.join(summary.apart)}"
        )
    text = "; ".join(
        f"{entry.figure} of the {entry.structure} {entry.mean:.4g} {entry.unit}".rstrip() for entry in shown
    )
    return Chart(
        "ensemble",
        "Every figure over the members",
        f"{text}.",
        {"": columns_of(summary.table())},
        draw,
        panels=len(names),
        columns=3,
        height=2.3,
        note="; ".join(notes),
    )


def _members(axes: Any, entry: Statistics, place: float, side: int, colors: Palette) -> None:
    """Draw the members of one combination side by side, those that failed as crosses, and their mean."""
    look = {"color": colors.series[side], "linestyle": ""}
    count = len(entry.values)
    for number, value in enumerate(entry.values):
        failed = bool(entry.failed) and entry.failed[number]
        at = place - 0.09 + 0.06 * (number / max(count - 1, 1) - 0.5)
        axes.plot(at, value, marker="x" if failed else ".", alpha=0.5, markersize=5, **look)
    low, high = entry.interval or (entry.mean, entry.mean)
    error = [[max(entry.mean - low, 0.0)], [max(high - entry.mean, 0.0)]]
    mark = {"fmt": "s" if side else "o", "capsize": 3, "markersize": 4, "color": colors.series[side]}
    axes.errorbar(place, entry.mean, error, label=entry.structure, **mark)
