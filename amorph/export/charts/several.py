"""The figures of one report or measurement, drawn below one another for a paper."""

from collections.abc import Mapping

from amorph.analysis.glass_report import StructureReport
from amorph.analysis.scattering import Comparison, PowderPattern
from amorph.analysis.transport import Arrhenius, Diffusion
from amorph.export.charts.chart import Chart
from amorph.export.charts.material import measured, powder
from amorph.export.charts.motion import activation, displacements
from amorph.export.charts.results import charts_of, pattern_columns


def report_charts(
    report: StructureReport,
    compared: Comparison | None = None,
    curve: str = "sq",
    crystal: PowderPattern | None = None,
) -> list[Chart]:
    """Give g(r), S(q), G(r) and the powder pattern, and a measured curve with the residual below.

    Parameters
    ----------
    report
        What is drawn.
    compared
        The measured curve and the computed one on its points; none is drawn by default.
    curve
        What the measured curve is: "sq", "gr" or "xrd".
    crystal
        Pattern drawn beside that of the report, each up to its highest point; none by default.
    """
    charts = charts_of(report)
    if crystal is not None:
        both = {"structure": pattern_columns(report.pattern), "crystal": pattern_columns(crystal)}
        charts[-1] = powder(both, report.pattern.wavelength_A)
    return charts if compared is None else [*charts, measured(compared, curve)]


def diffusion_charts(found: Mapping[str, Diffusion], line: Arrhenius | None = None) -> list[Chart]:
    """Give the displacements of every element with the line fitted to it, α2, and D over the inverse temperature.

    Parameters
    ----------
    found
        Trajectories by name.
    line
        Activation of one element.
    """
    return [displacements(found), *([] if line is None else [activation(line, list(found.values()))])]
