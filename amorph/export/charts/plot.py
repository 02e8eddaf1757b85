"""A result's curves as a notebook shows them and a script keeps them."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amorph.export.charts.chart import Chart, drawn, write_charts
from amorph.export.charts.results import charts_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Plot:
    """Curves of a result: shown by a notebook, drawn by matplotlib, written to a file."""

    def __init__(self, charts: Sequence[Chart]) -> None:
        self.charts = list(charts)

    @classmethod
    def of(cls, result: Any) -> "Plot":
        """Plot a result.

        Raises
        ------
        ValueError
            No curve is in it.
        """
        charts = charts_of(result)
        if not charts:
            raise ValueError(f"a {type(result).__name__} holds no curve; its table() and figures() hold what it says")
        return cls(charts)

    @property
    def figure(self) -> "Figure":
        """A new figure of matplotlib, to be changed at will."""
        return drawn(self.charts)

    def write(self, path: str | Path) -> None:
        """Write it as ``.pdf``, ``.svg`` or ``.png``.

        Raises
        ------
        ValueError
            Another suffix.
        """
        write_charts(path, self.charts)

    def __repr__(self) -> str:
        return f"Plot({', '.join(chart.title for chart in self.charts)})"

    def _repr_html_(self) -> str:
        picture = io.BytesIO()
        self.figure.savefig(picture, format="png", dpi=150)
        text = escape(" ".join(chart.text for chart in self.charts), quote=True)
        source = base64.b64encode(picture.getvalue()).decode("ascii")
        return f'<img alt="{text}" style="max-width:100%;width:42em" src="data:image/png;base64,{source}">'
