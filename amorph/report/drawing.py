"""Figures as inline SVG whose colors the page decides, so that one drawing serves light, dark and paper."""

import re
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from amorph.export.charts import Chart, Palette, drawn_svg
from amorph.export.charts.style import FURTHER

_PAGE: Final = Palette("#010101", "#010102", "#010105", ("#010103", "#010104", *FURTHER))
_VARIABLES: Final = {
    _PAGE.ink: "var(--ink)",
    _PAGE.faint: "var(--faint)",
    _PAGE.series[0]: "var(--glass)",
    _PAGE.series[1]: "var(--crystal)",
    _PAGE.shade: "var(--shade)",
}
"""Colors that stand for a variable of the page's style sheet."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page."""

    name: str
    """Its name within the page."""
    title: str
    """What it shows, in a few words."""
    text: str
    """What a reader who does not see it must know."""
    svg: Markup
    """The drawing."""


def inlined(chart: Chart) -> Drawing:
    """Draw a chart as a part of a page: no header, no size of its own, names and colors of the page."""
    name = chart.name
    text = drawn_svg([chart], _PAGE, salt=name, clear=True)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1
    )
    text = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    svg = Markup(
        text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    )  # drawn by us, from no one's words
    return Drawing(name, chart.title, chart.text, svg)
