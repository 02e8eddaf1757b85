"""The verb for whole studies: run."""

import logging
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from amorph.cli.options import Force, Json, MaxHours, Quiet
from amorph.cli.output import CheckFailed, say, show, show_json, start
from amorph.progress import Progress

if TYPE_CHECKING:
    from amorph.pipeline import Study

log = logging.getLogger(__name__)


def run(
    study: Annotated[Path | None, Parameter(help="TOML file of the study.")] = None,
    /,
    *,
    directory: Annotated[Path | None, Parameter(name="--dir", help="The run directory; made, or continued.")] = None,
    dry_run: Annotated[
        bool,
        Parameter(negative="", help="Check what a run checks, print the resolved plan and its cost, and stop there."),
    ] = False,
    time_factory: Annotated[
        bool, Parameter(negative="", help="With --dry-run: call the factories that the study names, and time them too.")
    ] = False,
    explain: Annotated[
        str | None,
        Parameter(metavar="KEY", help="Say what a key of a study means: bvs.spacing, spacing, or a table such as bvs."),
    ] = None,
    max_hours: MaxHours = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: composition, glass, ion exchange, free volume, bond-valence map, isosurface.

    The same command on the same directory continues a run that was stopped and skips what is finished.
    """
    from amorph.cli.report import tried_page
    from amorph.pipeline import read_study, run_study
    from amorph.run import StopRequest

    start(quiet=quiet)
    if explain is not None:
        _explain(explain, json=json)
        return
    if study is None:
        raise ValueError("a run needs a study: give a TOML file, or --explain KEY to learn what a key of one means")
    if time_factory and not dry_run:
        raise ValueError("--time-factory is for --dry-run: a run itself calls every factory that its study names")
    plan = read_study(study)
    if dry_run:
        _rehearse(plan, time_factory=time_factory, json=json)
        return
    if directory is None:
        raise ValueError("a run needs a directory: give --dir DIR, or --dry-run to see the plan")
    if foreign := ", ".join(plan.foreign_factories):
        log.info("calling the code that %s names: %s", study, foreign)
    stop = StopRequest(max_hours=max_hours, ends_process=True)
    summary = run_study(plan, directory, progress=Progress(visible=not quiet), stop=stop, force=force)
    page = tried_page(directory)
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


def _explain(asked: str, *, json: bool) -> None:
    """Say what a key of a study means and may be."""
    from amorph.pipeline import explained

    keys = explained(asked)
    if json:
        show_json([key.row() for key in keys])
        return
    for key in keys:
        unit = f" [{key.about.unit}]" if key.about.unit else ""
        say(f"{key.name}: {key.about.kind}{unit}; default: {key.default}")
        say(textwrap.indent(textwrap.fill(key.about.meaning, 96), "    "))


def _rehearse(plan: "Study", *, time_factory: bool, json: bool) -> None:
    """Try a study on its built cell, and say what it will do and cost."""
    import tomli_w

    from amorph.pipeline import duration_text, rehearse
    from amorph.pipeline.estimate import estimate

    if not json:
        say(tomli_w.dumps(plan.written))
    rehearse(plan)
    cost = estimate(plan, time_factory=time_factory)
    foreign = ", ".join(plan.foreign_factories)
    if json:
        show_json(cost.figures())
        return
    for note in cost.notes:
        say(f"note: {note}")
    if foreign and not time_factory:
        show(cost.table(), title=cost.model)
        say(
            f"\n{foreign} is code that the study names: --dry-run calls none of it, so time and memory are not "
            "known; read that code, and --time-factory measures it"
        )
        return
    show(cost.table(), title=f"{cost.model}: {1e3 * cost.seconds_per_atom:.3f} ms per atom and force call here")
    say(
        f"\nin all {duration_text(cost.seconds)}, relaxations at their step limit; memory "
        f"{cost.memory_bytes / 1e9:.2f} GB above the interpreter, {cost.available_bytes / 1e9:.1f} GB are free; "
        "reference crystals, maps and pictures take a minute or two beside that"
    )
