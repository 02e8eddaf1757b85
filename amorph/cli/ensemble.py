"""The verbs of ensembles: ensemble run, ensemble status and ensemble summary."""

import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from amorph.cli.options import Json, MaxHours, Output, Quiet, check_output
from amorph.cli.output import CheckFailed, say, show, show_json, start
from amorph.figures import text_of
from amorph.progress import Progress

if TYPE_CHECKING:
    from rich.table import Table

    from amorph.ensemble.engines.waiting import Outcome
    from amorph.ensemble.plan import Ensemble

_SECONDS_BETWEEN_LOOKS = 2.0


def ensemble_run(
    file: Annotated[Path, Parameter(help="TOML file of the ensemble.")],
    /,
    *,
    directory: Annotated[
        Path | None, Parameter(name="--dir", help="The ensemble's directory; made, or continued.")
    ] = None,
    engine: Annotated[
        Literal["local", "slurm", "parsl"],
        Parameter(
            help="local: processes on this machine. slurm: an sbatch array, written out and submitted. "
            "parsl: Parsl's workers, here or in the jobs of a queue, by the table [parsl]."
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        Parameter(help="Processes at a time; by default one for each GPU, or one for each core."),
    ] = None,
    together: Annotated[
        int,
        Parameter(help="Members that each process advances at a time, their structures evaluated as one batch."),
    ] = 1,
    max_hours: MaxHours = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Check every study, list the members and what varies, and stop there.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run what is missing of an ensemble: every combination of the varied values, each member once.

    Each member is an ordinary run directory. The same command finishes what is missing; more members may be asked for.
    """
    from amorph.ensemble.engines.local import run_local
    from amorph.ensemble.engines.waiting import Outcome
    from amorph.ensemble.plan import check_snapshots, prepare, read_ensemble, rehearse_points
    from amorph.run import StopRequest, Work, stop_on_signal

    start(quiet=quiet)
    _check_flags(engine, workers, together, max_hours)
    stop = StopRequest(max_hours=max_hours, ends_process=True)
    plan = read_ensemble(file)
    if dry_run:
        rehearse_points(plan.members)
        rows = [{"member": member.name, **member.varied, "seed": member.seed} for member in plan.members]
        if json:
            show_json(rows)
        else:
            show(rows, title=f"{plan.title}: {len(rows)} members")
        return
    if directory is None:
        raise ValueError("an ensemble needs a directory: give --dir DIR, or --dry-run to see its members")
    prepare(plan, directory)
    if engine == "slurm":
        _submit(plan, directory, workers, quiet=json or quiet)
        _end(directory, Outcome(), json=json, quiet=quiet)
        return
    with (
        stop_on_signal(Work(stop=stop)),
        Progress(visible=not quiet).task("members", len(plan.melts) + len(plan.members)) as update,
    ):

        def run(phase: "Ensemble", before: int) -> Outcome:
            def count(done: int, note: str) -> None:
                update(before + done, note)

            if engine == "parsl":
                from amorph.ensemble.engines.parsl import run_parsl

                return run_parsl(phase, directory, stop=stop, update=count)
            return run_local(phase.members, directory, workers=workers, together=together, stop=stop, update=count)

        outcome = run(replace(plan, members=plan.melts), 0) if plan.melts else Outcome()
        if len(outcome.finished) == len(plan.melts):
            check_snapshots(plan, directory)
            outcome = run(plan, len(plan.melts))
    _end(directory, outcome, json=json, quiet=quiet, stopped_by=stop.by)


def _check_flags(engine: str, workers: int | None, together: int, max_hours: float | None) -> None:
    if workers is not None and workers < 1:
        raise ValueError(f"workers = {workers} must be at least 1; leave it out for one for each core")
    if together < 1:
        raise ValueError(f"together = {together} must be at least 1; leave it out for members one by one")
    if engine != "local" and together > 1:
        raise ValueError(
            f"together = {together} is for the local engine; start that one inside the job of a queue for batches there"
        )
    if engine == "slurm" and max_hours is not None:
        raise ValueError(
            f"max_hours = {max_hours:g} h is for the other engines; give the queue's time in [slurm] options"
        )
    if engine == "parsl" and workers is not None:
        raise ValueError(f"workers = {workers} is for the engines local and slurm; give workers in [parsl]")


def _submit(plan: "Ensemble", directory: Path, workers: int | None, *, quiet: bool) -> None:
    """Hand what is missing to the queue: the melts that members share first."""
    from amorph.ensemble.engines.slurm import submit
    from amorph.ensemble.plan import check_snapshots
    from amorph.ensemble.status import melt_names

    melting = any(name not in _finished(_states(directory)) for name in melt_names(directory))
    if not melting:
        check_snapshots(plan, directory)
    said = submit(replace(plan, members=plan.melts) if melting else plan, directory, at_a_time=workers)
    if not quiet:
        say(said)
        if melting:
            say("the melts come first; run the same command again when they are done")


def _end(directory: Path, outcome: "Outcome", *, json: bool, quiet: bool, stopped_by: str = "") -> None:
    """Show where the members stand, and end with the exit status that says so."""
    from amorph.cli.report import tried_page
    from amorph.ensemble.status import member_status
    from amorph.run import Stopped

    states = _states(directory)
    page = tried_page(directory) if _finished(states) else None
    if json:
        show_json(states)
    elif not quiet:
        say(_counts(states))
        if page is not None:
            say(f"page: {page}")
    if outcome.failed:
        name, error = next(iter(outcome.failed.items()))
        raise RuntimeError(f"{len(outcome.failed)} of {_kind(states, name)} failed; {name}: {error}")
    if outcome.stopped and stopped_by:
        raise Stopped(f"stopped by {stopped_by}; run the same command again to continue")
    if outcome.stopped:
        name = outcome.stopped[0]
        said = member_status(directory, name).note.removeprefix("amorph: ")
        raise Stopped(f"{len(outcome.stopped)} of {_kind(states, name)} stopped; {name}: {said or 'no word of it'}")
    if left := [name for name in outcome.elsewhere if name not in _finished(states)]:
        raise Stopped(f"another process works on {', '.join(left)}; run the same command again when it has ended")
    if failed := [state["member"] for state in states if state["state"] == "check failed"]:
        raise CheckFailed(f"done and kept, but a check failed in {', '.join(failed)}; see amorph ensemble summary")


def _kind(states: list[dict[str, Any]], name: str) -> str:
    """Say of how many a member or a melt is one: "4 members"."""
    kind = "melt" if name.startswith("melt") else "member"
    number = sum(state["member"].startswith("melt") == (kind == "melt") for state in states)
    return f"{number} {kind}s"


def ensemble_status(
    directory: Annotated[Path, Parameter(help="The ensemble's directory.")],
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where the members of an ensemble stand: waiting, running, interrupted, done, check failed.

    On a terminal the table is live as long as a member runs; elsewhere it is printed once.
    """
    start(quiet=quiet)
    states = _states(directory)
    if not (json or quiet) and sys.stdout.isatty():
        states = _follow(directory, states)
    if json:
        show_json(states)
    elif not quiet:
        show(states)
        say("")
        say(_counts(states))


def _follow(directory: Path, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the table on a terminal up to date as long as a member runs, or until Ctrl-C; returns the last states."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, transient=True) as live, suppress(KeyboardInterrupt):
        while any(state["state"] == "running" for state in states):
            live.update(_live_table(states), refresh=True)
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            states = _states(directory)
    return states


def _live_table(states: list[dict[str, Any]]) -> "Table":
    from rich.table import Table

    table = Table(*states[0], box=None, caption=f"{_counts(states)}; Ctrl-C ends", caption_justify="left")
    for state in states:
        table.add_row(*(text_of(value) for value in state.values()))
    return table


def ensemble_summary(
    directory: Annotated[Path, Parameter(help="The ensemble's directory.")],
    /,
    *,
    figures: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative_iterable=(),
            help='Figures to show and draw, each by how its name begins: density "f_V". By default every one is '
            "listed, and a figure draws at most nine.",
        ),
    ] = None,
    include_failed: Annotated[
        bool, Parameter(negative="", help="Count members that failed a check too, and mark them.")
    ] = False,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Average every figure over the members of an ensemble: mean, standard error, 95 % interval.

    Members that are no glass or did not converge are listed apart and count nowhere, unless they are asked for. The
    suffix of --output chooses a table of everything (csv) or a figure with each member's point (png, pdf, svg).
    Intervals are Student's; those of shares are cut at 0 and 1, those of diffusion coefficients and lengths are of the
    logarithm, as their means are.
    """
    from amorph.ensemble.plot import check_suffix, write_summary
    from amorph.ensemble.summary import summarize_ensemble

    start(quiet=quiet)
    check_output(output, check_suffix)
    summary = summarize_ensemble(directory, include_failed=include_failed)
    if figures is not None:
        summary = summary.of(figures)
    if output is not None:
        write_summary(output, summary if output.suffix.lower() == ".csv" or figures else summary.of(None))
    if json:
        show_json(
            {
                "figures": summary.table(),
                "incomplete": [entry.row() for entry in summary.incomplete],
                "apart": summary.apart,
                "missing": summary.missing,
                "melts": summary.melts,
            }
        )
    elif not quiet:
        for point in summary.points:
            rows = [entry.short_row() for entry in summary.statistics if entry.point == point]
            show(rows, title=", ".join(f"{key} {value}" for key, value in point.items()) or None)
            say("")
        if any(entry.structure == "difference" for entry in summary.statistics):
            say("Δ is glass less crystal of the same member")
        if any(entry.geometric for entry in summary.statistics):
            say("means of D and of diffusion lengths, which span decades, are those of their logarithms (geometric)")
        for line in [*summary.of_melts, *(entry.text for entry in summary.incomplete)]:
            say(line)
        for name, reason in summary.apart.items():
            say(f"{'counted, though a check failed' if include_failed else 'apart'}: {name}: {reason}")
        if summary.missing:
            say(f"not done: {', '.join(summary.missing)}")
        if output is not None:
            say(f"written to {output}")


def _states(directory: Path) -> list[dict[str, Any]]:
    from amorph.ensemble.status import melt_names, member_names, member_status

    names = [*melt_names(directory), *member_names(directory)]
    return [member_status(directory, name).row() for name in names]


def _finished(states: list[dict[str, Any]]) -> list[str]:
    from amorph.ensemble.status import FINISHED

    return [state["member"] for state in states if state["state"] in FINISHED]


def _counts(states: list[dict[str, Any]]) -> str:
    members = [state["state"] for state in states if not state["member"].startswith("melt")]
    return f"{len(members)} members: " + ", ".join(f"{number} {state}" for state, number in Counter(members).items())
