"""Ticks of logarithmic axes as plain text: markup of mathematics is off, so that no name can become one."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter


class _Plain(LogFormatter):
    """Labels the ticks that matplotlib would, each as its number."""

    def __call__(self, x: Any, pos: Any = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def label_decades(axes: Axes) -> None:
    """Label the logarithmic axes of a panel."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(_Plain())
            axis.set_minor_formatter(_Plain())
