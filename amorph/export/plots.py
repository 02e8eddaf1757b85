"""Curves of structures, drawn for a paper: vector or pixels, each axis with its unit."""

from collections.abc import Callable, Mapping
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ase import units

from amorph.analysis.glass_report import StructureReport
from amorph.analysis.scattering import Comparison, PowderPattern
from amorph.analysis.transport import Arrhenius, Diffusion
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


def plot_diffusion(path: str | Path, measured: Mapping[str, Diffusion], line: Arrhenius | None = None) -> None:
    """Draw the displacements of every element with the line fitted to it, α2, and D over the inverse temperature.

    Parameters
    ----------
    path
        Name of the file: ``.pdf``, ``.svg`` or ``.png``.
    measured
        Trajectories by name.
    line
        Activation of one element.

    Raises
    ------
    ValueError
        Another suffix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    save = writer_for(path, PLOT_WRITERS, "figure")
    columns = 2 if line is None else 3
    figure = Figure(figsize=(4.5 * columns, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    first, second, *third = figure.subplots(1, columns)
    shades = 0
    for name, one in measured.items():
        for element, ion in one.ions.items():
            at = element if len(measured) == 1 else f"{element}, {_named(name, one)}"
            lag, color = ion.curves["lag_ps"], f"C{shades % 10}"
            shades += 1
            first.loglog(lag, ion.curves["msd_A2"], color=color, linewidth=1, label=at)
            if ion.start_ps is not None and ion.diffusivity_cm2_s is not None:
                straight = lag[lag >= ion.start_ps * (1.0 - 1e-9)]
                fitted = ion.intercept_A2 + 6e4 * ion.diffusivity_cm2_s * straight
                first.plot(straight, fitted, "--", color=color, linewidth=2, alpha=0.6)
            second.semilogx(lag, ion.curves["non_gaussian"], color=color, linewidth=1, label=at)
    first.set(xlabel="lag [ps]", ylabel="mean-square displacement [Å²]")
    first.legend(fontsize="x-small", frameon=False)
    second.set(xlabel="lag [ps]", ylabel="non-Gaussian parameter α2")
    if line is not None:
        (axes,) = third
        ions = [one.ions[line.element] for one in measured.values()]
        kelvin = [one.temperature_K or float("nan") for one in measured.values()]
        for temperature, ion in zip(kelvin, ions, strict=True):
            if ion.diffusivity_cm2_s is not None and ion.interval_95 is not None:
                axes.plot([1000 / temperature] * 2, ion.interval_95, "-", color="C0")
                axes.plot(1000 / temperature, ion.diffusivity_cm2_s, "o", color="C0")
            elif ion.upper_limit_cm2_s is not None:
                axes.plot(1000 / temperature, ion.upper_limit_cm2_s, "v", color="0.5")
        hottest = max(line.temperatures_K)
        ends = [line.prefactor_cm2_s * exp(-line.activation_energy_eV / (units.kB * t)) for t in (hottest, 300.0)]
        axes.plot([1000 / hottest, 1000 / 300.0], ends, "--", color="C0", linewidth=1)
        axes.plot([1000 / 300.0] * 2, line.diffusivity_300K_interval_95, "-", color="C0", linewidth=3, alpha=0.4)
        axes.set(xlabel="1000 K / T", ylabel=f"D of {line.element} [cm²/s]", yscale="log")
    with replacing(Path(path)) as temporary:
        save(temporary, figure)


def _named(name: str, one: Diffusion) -> str:
    return Path(name).name if one.temperature_K is None else f"{one.temperature_K:g} K"
