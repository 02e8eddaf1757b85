"""How every curve looks: one set of lines, colors and sizes, for paper and for pages."""

from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 6.6
"""Width of a figure [inches]: two columns of a journal."""


@dataclass(frozen=True)
class Palette:
    """Colors of a figure."""

    ink: str
    """Text and lines that belong to no curve."""
    faint: str
    """Axes and lines that guide the eye."""
    shade: str
    """Surfaces behind curves."""
    series: tuple[str, ...]
    """Curves, in their order; glass first, crystal second."""

    def line(self, number: int) -> dict[str, Any]:
        """Give the look of the curve of a number: told apart by dashes as well as by color."""
        dashes: list[Any] = ["-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5))]
        return {
            "color": self.series[number % len(self.series)],
            "linestyle": dashes[number % len(dashes)],
            "linewidth": 1.1 if number else 1.4,
        }


FURTHER: Final = ("#2a8f6b", "#a2568f", "#8a7420", "#5a6b7d")
"""Curves after the second: hues of middling lightness, which stand out from white as from black."""

PAPER: Final = Palette("#1b2430", "#8793a0", "#dbe3ec", ("#00588f", "#b1480c", *FURTHER))


def style(palette: Palette) -> Any:
    """Give matplotlib's settings."""
    return {
        "svg.fonttype": "none",  # text stays text: it can be read out, searched and edited
        "pdf.fonttype": 42,
        "font.size": 10,
        "axes.edgecolor": palette.faint,
        "axes.labelcolor": palette.ink,
        "axes.titlesize": 10,
        "axes.titlecolor": palette.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": palette.ink,
        "text.parse_math": False,
        "xtick.color": palette.ink,
        "ytick.color": palette.ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
    }
