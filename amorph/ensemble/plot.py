"""The summary of an ensemble as a table in CSV or as a plot."""

import io
from pathlib import Path
from typing import Any, Final

from amorph.ensemble.summary import EnsembleSummary, Statistics
from amorph.run import write_atomically, write_csv

_KNOWN: Final = (".csv", ".png", ".pdf", ".svg")


def check_suffix(path: Path) -> None:
    """Refuse a name whose suffix is no format."""
    if path.suffix.lower() not in _KNOWN:
        raise ValueError(f"cannot write a summary as '{path.name}'; name a file with one of {', '.join(_KNOWN)}")


def write_summary(path: Path, summary: EnsembleSummary) -> None:
    """Write the table as ``.csv``, or a plot of every figure as ``.png``, ``.pdf`` or ``.svg``.

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
        content = io.BytesIO()
        _figure(summary).savefig(content, format=path.suffix.lower()[1:], dpi=150)
        write_atomically(path, content.getvalue())


def _figure(summary: EnsembleSummary) -> Any:
    """Draw a panel for each figure: the mean of each combination with its 95 % interval, every member as a dot."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys((entry.figure, entry.unit) for entry in summary.statistics))
    points = list(dict.fromkeys(tuple(entry.point.items()) for entry in summary.statistics))
    columns = 3
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    if summary.apart:
        figure.suptitle(f"not counted, a check failed: {', '.join(summary.apart)}", fontsize=8, wrap=True)
    for k, (name, unit) in enumerate(names):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.set_title(name, fontsize=9)
        axes.set_ylabel(unit or "–", fontsize=8)
        for entry in summary.statistics:
            if (entry.figure, entry.unit) == (name, unit) and entry.structure != "difference":
                _draw(axes, entry, points.index(tuple(entry.point.items())))
        axes.set_xlim(-0.6, len(points) - 0.4)
        axes.set_xticks(range(len(points)), ["\n".join(dict(point).values()) for point in points], fontsize=7)
        axes.tick_params(axis="y", labelsize=7)
        if k == 0:
            handles, labels = axes.get_legend_handles_labels()
            first = dict(zip(reversed(labels), reversed(handles), strict=True))
            axes.legend(first.values(), first.keys(), fontsize=7)
    if points[0]:
        figure.supxlabel("values of " + ", ".join(key for key, _ in points[0]), fontsize=8)
    return figure


def _draw(axes: Any, entry: Statistics, place: int) -> None:
    is_glass = entry.structure == "glass"
    color, x = ("tab:blue", place - 0.12) if is_glass else ("tab:gray", place + 0.12)
    axes.plot([x] * len(entry.values), entry.values, ".", color=color, alpha=0.4, markersize=4)
    low, high = entry.interval or (entry.mean, entry.mean)
    error = [[entry.mean - low], [high - entry.mean]]
    shape = "o" if is_glass else "s"
    axes.errorbar(x, entry.mean, error, fmt=shape, color=color, capsize=3, markersize=4, label=entry.structure)
