"""A curve with all that belongs to it, and how it becomes a figure or a table."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from amorph.export.charts.style import PAPER, WIDTH, Palette, style
from amorph.export.whole_files import replacing, writer_for
from amorph.run import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Mapping[str, Any]
"""A table by column: arrays of one length, or one value for all rows."""

_DPI: Final = 200
_TALLEST: Final = 200.0
"""Height of a figure at most [inches]: beyond it the pixels of a PNG end."""


@dataclass(frozen=True)
class Chart:
    """One figure of one or several panels."""

    name: str
    """Its name within a page, and of its file."""
    title: str
    """What it shows, in a few words."""
    text: str
    """What a reader who does not see it must know."""
    tables: Mapping[str, Columns]
    """Its numbers, by the structure that they are of, or by what else tells the curves apart."""
    draw: Callable[[Sequence["Axes"], Palette], None]
    """Draws the panels."""
    panels: int = 1
    columns: int = 2
    """Panels side by side at most."""
    height: float = 2.4
    """Height of a panel [inches]."""
    share_x: bool = False
    """Whether the panels share their horizontal axis."""
    note: str = ""
    """A line above the panels, of what must not be overlooked."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        columns = min(self.columns, self.panels)
        return -(-self.panels // columns), columns

    def rows(self) -> list[dict[str, Any]]:
        """Give its numbers as the rows of one table; the first column says of what, where there are several."""
        rows: list[dict[str, Any]] = []
        keys = list(dict.fromkeys(key for table in self.tables.values() for key in table))
        for name, table in self.tables.items():
            about = {"of": name} if len(self.tables) > 1 else {}
            arrays = np.broadcast_arrays(*(np.asarray(column) for column in table.values()))
            listed = dict(zip(table, (array.ravel().tolist() for array in arrays), strict=True))
            length = len(next(iter(listed.values()), []))
            rows += [about | {key: listed[key][k] if key in listed else None for key in keys} for k in range(length)]
        return rows


def drawn(charts: Sequence[Chart], palette: Palette = PAPER) -> "Figure":
    """Draw charts below one another, as a figure of matplotlib."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from amorph.export.charts.decades import label_decades

    with rc_context(style(palette)):
        heights = [chart.height * chart.size[0] for chart in charts]
        figure = Figure(figsize=(WIDTH, min(sum(heights), _TALLEST)), layout="constrained")
        FigureCanvasAgg(figure)
        parts: Any = [figure]
        if len(charts) > 1:
            parts = figure.subfigures(len(charts), 1, height_ratios=heights)
        for part, chart in zip(parts, charts, strict=True):
            axes = part.subplots(*chart.size, squeeze=False, sharex=chart.share_x).ravel()
            for unused in axes[chart.panels :]:
                unused.remove()
            if chart.note:
                part.suptitle(chart.note, fontsize=8, wrap=True)
            chart.draw(list(axes[: chart.panels]), palette)
            for panel in axes[: chart.panels]:
                label_decades(panel)
    return figure


def drawn_svg(charts: Sequence[Chart], palette: Palette = PAPER, *, salt: str = "amorph", clear: bool = False) -> str:
    """Draw charts as the text of an SVG file, the same each time; on a clear ground if asked."""
    text = io.BytesIO()
    _save(text, charts, "svg", palette, salt=salt, clear=clear)
    return text.getvalue().decode("utf-8")


def write_charts(path: str | Path, charts: Sequence[Chart]) -> None:
    """Draw charts below one another as ``.pdf``, ``.svg`` or ``.png``.

    Raises
    ------
    ValueError
        Another suffix.
    """
    kind = writer_for(path, CHART_WRITERS, "figure")
    with replacing(path) as temporary, temporary.open("wb") as file:
        _save(file, charts, kind, PAPER)


def write_chart_table(path: Path, chart: Chart) -> None:
    """Write the numbers of a chart as CSV."""
    write_csv(path, chart.rows())


CHART_WRITERS: Final = {".pdf": "pdf", ".svg": "svg", ".png": "png"}
"""Formats of figures by suffix."""


def _save(
    file: Any, charts: Sequence[Chart], kind: str, palette: Palette, *, salt: str = "amorph", clear: bool = False
) -> None:
    from matplotlib import rc_context

    nothing: Iterable[str] = {"svg": ("Creator", "Date", "Format", "Type"), "pdf": ("CreationDate",)}.get(kind, ())
    with rc_context({**style(palette), "svg.hashsalt": salt}):
        drawn(charts, palette).savefig(file, format=kind, dpi=_DPI, transparent=clear, metadata=dict.fromkeys(nothing))
