"""The verb for whole studies: run."""

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Force, Json, MaxHours, Quiet
from amorph.cli.output import CheckFailed, say, show, show_json, start
from amorph.progress import Progress

log = logging.getLogger(__name__)


def run(
    study: Annotated[Path, Parameter(help="TOML file of the study.")],
    /,
    *,
    directory: Annotated[Path | None, Parameter(name="--dir", help="The run directory; made, or continued.")] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print the resolved plan and its cost, and do nothing.")
    ] = False,
    max_hours: MaxHours = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: composition, glass, ion exchange, free volume, bond-valence map, isosurface.

    The same command on the same directory continues a run that was stopped and skips what is finished.
    """
    import tomli_w

    from amorph.pipeline import duration_text, read_study, run_study
    from amorph.pipeline.estimate import estimate
    from amorph.run import StopRequest, toml_form

    start(quiet=quiet)
    plan = read_study(study)
    foreign = ", ".join(plan.foreign_factories)
    if dry_run:
        cost = estimate(plan)
        if json:
            show_json(cost.figures())
            return
        say(tomli_w.dumps(toml_form(plan.tables)))
        for note in cost.notes:
            say(f"note: {note}")
        if foreign:
            show(cost.table(), title=cost.model)
            say(
                f"\n{foreign} is code that the study names: --dry-run calls none of it, so time and memory are not "
                "known; read that code, and a brief run will tell"
            )
            return
        show(cost.table(), title=f"{cost.model}: {1e3 * cost.seconds_per_atom:.3f} ms per atom and force call here")
        say(
            f"\nin all {duration_text(cost.seconds)}, relaxations at their step limit; memory "
            f"{cost.memory_bytes / 1e9:.2f} GB above the interpreter, {cost.available_bytes / 1e9:.1f} GB are free; "
            "reference crystals, maps and pictures take a minute or two beside that"
        )
        return
    if directory is None:
        raise ValueError("a run needs a directory: give --dir DIR, or --dry-run to see the plan")
    if foreign:
        log.info("calling the code that %s names: %s", study, foreign)
    stop = StopRequest(max_hours=max_hours, ends_process=True)
    summary = run_study(plan, directory, progress=Progress(visible=not quiet), stop=stop, force=force)
    page = _page(directory)
    if json:
        show_json(summary.figures())
    elif not quiet:
        show(summary.table(), title=f"{study.stem}, {summary.final_model}")
        say(f"\nverdict on {summary.subject}: {summary.verdict} ({summary.reason})")
        for note in summary.notes:
            say(f"note: {note}")
        for folder in ("analysis", "export"):
            if paths := sorted(directory.glob(f"**/*_{folder}")):
                say(f"{folder}: {', '.join(map(str, paths))}")
        if page is not None:
            say(f"page: {page}")
    if summary.failed:
        raise CheckFailed("done and kept, but " + "; ".join(summary.failed))


def _page(directory: Path) -> Path | None:
    """Make the page of the run; the run is done, whatever becomes of it."""
    from amorph.report import write_report

    try:
        return write_report(directory)
    except Exception as error:
        log.warning("no page was made (%s: %s); amorph report %s tries again", type(error).__name__, error, directory)
        return None
