"""Curves of structures, drawn for a paper: vector or pixels, each axis with its unit."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from amorph.analysis.glass_report import StructureReport
from amorph.analysis.scattering import Comparison, PowderPattern
from amorph.export.whole_files import replacing, writer_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _save(path: Path, figure: "Figure") -> None:
    figure.savefig(path, dpi=200)


PLOT_WRITERS: Final[dict[str, Callable[[Path, Any], None]]] = {".pdf": _save, ".svg": _save, ".png": _save}
"""Writers of figures by suffix."""


MEASURED: Final = {
    "sq": ("q [1/Å]", "S(q)"),
    "gr": ("r [Å]", "G(r) [1/Å²]"),
    "xrd": ("2θ [°]", "intensity"),
}
"""Axes of the curves that an experiment measures."""


def plot_report(
    path: str | Path,
    report: StructureReport,
    compared: Comparison | None = None,
    curve: str = "sq",
    crystal: PowderPattern | None = None,
) -> None:
    """Draw g(r), S(q), G(r) and the powder pattern, and a measured curve with the residual below.

    Parameters
    ----------
    path
        Name of the file: ``.pdf``, ``.svg`` or ``.png``.
    report
        What is drawn.
    compared
        The measured curve and the computed one on its points; none is drawn by default.
    curve
        What the measured curve is: "sq", "gr" or "xrd".
    crystal
        Pattern drawn below that of the report, each up to its highest point; none by default.

    Raises
    ------
    ValueError
        Another suffix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    save = writer_for(path, PLOT_WRITERS, "figure")
    rows = 2 if compared is None else 3
    figure = Figure(figsize=(9, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 2)
    first, second, third, fourth = (figure.add_subplot(grid[n // 2, n % 2]) for n in range(4))
    found = report.distributions.figures()
    for pair, values in found["g_r"].items():
        first.plot(found["r"], values, linewidth=1, label=pair)
    first.set(xlabel="r [Å]", ylabel="g(r)", xlim=(0, found["r"][-1]))
    first.legend(fontsize="x-small", ncols=2, frameon=False)
    for probe in report.scattering.weights:
        second.plot(report.scattering.q, report.scattering.total(probe), linewidth=1, label=probe)
    second.set(xlabel="q [1/Å]", ylabel="S(q)")
    second.legend(fontsize="x-small", frameon=False)
    third.plot(report.pair_function.r_pdf_A, report.pair_function.g_pdf, linewidth=1)
    third.set(xlabel="r [Å]", ylabel=f"G(r), {report.probe} [1/Å²]")
    patterns = {"structure": report.pattern} | ({} if crystal is None else {"crystal": crystal})
    for number, (label, pattern) in enumerate(patterns.items()):
        highest = 1.0 if crystal is None else pattern.intensity.max()
        fourth.plot(pattern.two_theta_deg, pattern.intensity / highest - 1.1 * number, linewidth=1, label=label)
    fourth.set(xlabel=f"2θ [°], λ = {report.pattern.wavelength_A:.4g} Å", ylabel="intensity")
    if crystal is not None:
        fourth.set(ylabel="intensity, each up to its highest point", yticks=[])
        fourth.legend(fontsize="x-small", frameon=False)
    if compared is not None:
        axes = figure.add_subplot(grid[2, :])
        axes.plot(compared.x, compared.measured, ".", markersize=2, color="0.3", label="measured")
        axes.plot(compared.x, compared.computed, linewidth=1, label=f"computed, R_w = {compared.r_w:.3g}")
        below = min(compared.measured.min(), compared.computed.min()) - compared.residual.max()
        axes.plot(compared.x, compared.residual + below, linewidth=0.7, color="0.5", label="residual, shifted")
        axes.set(xlabel=MEASURED[curve][0], ylabel=MEASURED[curve][1])
        axes.legend(fontsize="x-small", frameon=False)
    with replacing(Path(path)) as temporary:
        save(temporary, figure)
