"""The verb that draws curves for a paper: plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show_json, show_pairs, start
from amorph.export import writer_for
from amorph.export.charts import CHART_WRITERS, Chart, write_chart_table, write_charts
from amorph.report import charts_from
from amorph.run import make_folder


def plot(
    path: Annotated[
        Path,
        Parameter(help="Finished run, stage of a run, table (csv) of amorph's, field, structure or trajectory."),
    ],
    /,
    *,
    only: Annotated[
        list[str] | None,
        Parameter(consume_multiple=True, negative_iterable=(), help="Names of the curves to draw; by default all."),
    ] = None,
    suffix: Annotated[
        Literal["pdf", "svg", "png"], Parameter(name="--format", help="Format of the figures in a folder.")
    ] = "pdf",
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw every curve for a paper, in one style, with the unit on each axis, and write its numbers as CSV beside it.

    Course of a simulation, g(r), S(q), G(r), powder pattern, volumes, valences, voids, the energy along a path,
    displacements: what there is. A name of --output that ends in pdf, svg or png is one sheet with all of them; any
    other is a folder with a figure and a table for each.
    """
    start(quiet=quiet)
    sheet = output is not None and bool(output.suffix)
    if sheet:
        check_output(output, lambda path: writer_for(path, CHART_WRITERS, "figure"))
    charts = charts_from(path)
    if only is not None:
        known = [chart.name for chart in charts]
        if strangers := [name for name in only if name not in known]:
            raise ValueError(f"{path} has no curve '{strangers[0]}'; it has {', '.join(known)}")
        charts = [chart for chart in charts if chart.name in only]
    files: list[Path] = []
    if output is not None:
        files = _sheet(output, charts) if sheet else _folder(output, charts, suffix)
    if json:
        show_json({"curves": {chart.name: chart.title for chart in charts}, "files": files})
    elif not quiet:
        show_pairs({chart.name: chart.title for chart in charts})
        where = "nothing written: -o FOLDER draws each, -o FILE.pdf all on one sheet"
        say(f"{len(files)} files written to {output}" if output else where)


def _sheet(output: Path, charts: Sequence[Chart]) -> list[Path]:
    """Draw all on one sheet, each one's table beside it; returns the files."""
    write_charts(output, charts)
    names = [f"{output.stem}_{chart.name}" if len(charts) > 1 else output.stem for chart in charts]
    return [output, *_tables([output.with_name(f"{name}.csv") for name in names], charts)]


def _folder(output: Path, charts: Sequence[Chart], suffix: str) -> list[Path]:
    """Draw each by itself in a folder, its table beside it; returns the files."""
    make_folder(output)
    figures = [output / f"{chart.name}.{suffix}" for chart in charts]
    for figure, chart in zip(figures, charts, strict=True):
        write_charts(figure, [chart])
    return [*figures, *_tables([figure.with_suffix(".csv") for figure in figures], charts)]


def _tables(paths: list[Path], charts: Sequence[Chart]) -> list[Path]:
    for path, chart in zip(paths, charts, strict=True):
        write_chart_table(path, chart)
    return paths
