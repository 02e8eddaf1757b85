"""The verb of a run's page: report."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show_json, start
from amorph.report import write_report


def report(
    directory: Annotated[Path, Parameter(help="Run directory of a finished run.")],
    /,
    *,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the page of a run: what was made and whether to trust it, the 3-D view, every curve, how to make it again.

    One HTML file that any browser opens from disk and that asks for no network; by default report.html in the run
    directory, where amorph run has put it already.
    """
    start(quiet=quiet)
    check_output(output, lambda path: None)
    path = write_report(directory, output)
    if json:
        show_json({"file": path})
    elif not quiet:
        say(f"written to {path}")
