"""Figures as inline SVG whose colors the page decides, so that one drawing serves light, dark and paper."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#010101"
FAINT: Final = "#010102"
GLASS: Final = "#010103"
CRYSTAL: Final = "#010104"
SHADE: Final = "#010105"
_VARIABLES: Final = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GLASS: "var(--glass)",
    CRYSTAL: "var(--crystal)",
    SHADE: "var(--shade)",
}
"""Colors that stand for a variable of the page's style sheet."""

LINES: Final[dict[str, dict[str, Any]]] = {
    "glass": {"color": GLASS, "linestyle": "-", "linewidth": 1.4},
    "crystal": {"color": CRYSTAL, "linestyle": (0, (4, 1.5)), "linewidth": 1.1},
}
"""How a structure's curves are drawn: told apart by dashes as well as by color."""

_WIDTH: Final = 6.6
"""Width of every figure [inches]; the page scales it."""
_STYLE: Final = {
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


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


class Panels:
    """Axes in rows and columns that become one drawing."""

    def __init__(self, axes: list["Axes"]) -> None:
        self.axes = axes
        self.svg = Markup()


@contextmanager
def panels(name: str, count: int, *, columns: int = 2, height: float = 2.4, share_x: bool = False) -> Iterator[Panels]:
    """Give axes to draw in; at the end the drawing is in `svg`.

    `name` keeps the names inside apart from those of the page's other drawings.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, height * rows), layout="constrained")
        FigureCanvasSVG(figure)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x).ravel()
        for unused in grid[count:]:
            unused.remove()
        made = Panels(list(grid[:count]))
        yield made
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    made.svg = _inlined(text.getvalue(), name)


def _inlined(text: str, name: str) -> Markup:
    """Make an SVG file a part of a page: no header, no size of its own, names and colors of the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1
    )
    text = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    return Markup(
        text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    )  # drawn by us, from no one's words
