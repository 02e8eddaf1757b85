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
        folder = None if sheet else output
        figures = [output] if folder is None else [folder / f"{chart.name}.{suffix}" for chart in charts]
        tables = _tables(output, charts) if folder is None else [figure.with_suffix(".csv") for figure in figures]
        _check_free(path, figures, tables)
        if folder is not None:
            make_folder(folder)
        for k, figure in enumerate(figures):
            write_charts(figure, charts if folder is None else [charts[k]])
        for table, chart in zip(tables, charts, strict=True):
            write_chart_table(table, chart)
        files = [*figures, *tables]
    if json:
        show_json({"curves": {chart.name: chart.title for chart in charts}, "files": files})
    elif not quiet:
        show_pairs({chart.name: chart.title for chart in charts})
        where = "nothing written: -o FOLDER draws each, -o FILE.pdf all on one sheet"
        number = f"{len(charts)} table{'s' * (len(charts) != 1)} (csv)"
        say(f"written to {output}, the numbers to {number} {'beside' if sheet else 'in'} it" if output else where)


def _tables(sheet: Path, charts: Sequence[Chart]) -> list[Path]:
    """Name the table of each chart beside the sheet that has them all."""
    names = [f"{sheet.stem}_{chart.name}" if len(charts) > 1 else sheet.stem for chart in charts]
    return [sheet.with_name(f"{name}.csv") for name in names]


def _check_free(given: Path, figures: Sequence[Path], tables: Sequence[Path]) -> None:
    """Refuse to write over what is drawn, over files of a finished stage, and over tables that plot did not write.

    Plot writes a figure beside each table: a table without one is another's.
    """
    remedy = "choose another name with -o"
    for path in filter(Path.exists, [*figures, *tables]):
        if path.samefile(given) or (path in tables and path.parent.samefile(given)):  # of a folder every table is
            raise ValueError(f"{path} is what is drawn, and would be written over; {remedy}")
        if (path.parent / "stage.json").exists():
            raise ValueError(f"{path} is a file in a finished stage, and would be written over; {remedy}")
    beside = figures if len(figures) == len(tables) else [figures[0]] * len(tables)
    for table, figure in zip(tables, beside, strict=True):
        if table.exists() and not figure.exists():
            raise ValueError(f"{table} is there without {figure.name}, so that plot did not write it; {remedy}")
