"""The verb of pages: report."""

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show_json, start

log = logging.getLogger(__name__)


def report(
    directory: Annotated[Path, Parameter(help="Directory of a finished run, or of an ensemble.")],
    /,
    *,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the page of a run: what was made and whether to trust it, the 3-D view, every curve, how to make it again.

    Of an ensemble: how many members are done and what they are, every figure as a mean with its 95 % interval, glass
    against crystal, and where each member's page is. One HTML file that any browser opens from disk and that asks for
    no network; by default report.html in the directory, where amorph run and amorph ensemble run have put it already.
    """
    start(quiet=quiet)
    check_output(output, lambda path: None)
    path = _written(directory, output)
    if json:
        show_json({"file": path})
    elif not quiet:
        say(f"written to {path}")


def tried_page(directory: Path) -> Path | None:
    """Make the page of what is done; it is done, whatever becomes of its page."""
    try:
        return _written(directory)
    except Exception as error:
        log.warning("no page was made (%s: %s); amorph report %s tries again", type(error).__name__, error, directory)
        return None


def _written(directory: Path, path: Path | None = None) -> Path:
    from amorph.report import is_ensemble, write_ensemble_report, write_report

    return (write_ensemble_report if is_ensemble(directory) else write_report)(directory, path)
