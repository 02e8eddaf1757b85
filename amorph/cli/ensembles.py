"""The verbs of ensembles: ensemble run, ensemble status and ensemble summary."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from amorph.cli.verb import (
    CheckFailed,
    Json,
    MaxHours,
    Output,
    Quiet,
    Stopped,
    check_output,
    say,
    show,
    show_json,
    start,
)
from amorph.progress import Progress

Directory = Annotated[Path, Parameter(name="--dir", help="The ensemble's directory; made, or continued.")]


def ensemble_run(
    file: Annotated[Path, Parameter(help="TOML file of the ensemble.")],
    /,
    *,
    directory: Directory,
    engine: Annotated[
        Literal["local", "slurm", "parsl"],
        Parameter(
            help="local: processes on this machine. slurm: an sbatch array, written out and submitted. "
            "parsl: Parsl's workers, here or in the jobs of a queue, by the table [parsl]."
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        Parameter(help="Members at a time; by default one for each GPU, or one for each core."),
    ] = None,
    max_hours: MaxHours = None,
    dry_run: Annotated[bool, Parameter(negative="", help="List the members and what varies, and do nothing.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run what is missing of an ensemble: every combination of the varied values, each member once.

    Each member is an ordinary run directory. The same command finishes what is missing; more members may be asked for.
    """
    from amorph.ensemble.local import run_local
    from amorph.ensemble.plan import prepare, read_ensemble
    from amorph.pipeline import stop_on_signal
    from amorph.recording import StopRequest, Work

    start(quiet=quiet)
    if workers is not None and workers < 1:
        raise ValueError(f"workers = {workers} must be at least 1; leave it out for one for each core")
    if engine == "slurm" and max_hours is not None:
        raise ValueError(
            f"max_hours = {max_hours:g} h is for the other engines; give the queue's time in [slurm] options"
        )
    if engine == "parsl" and workers is not None:
        raise ValueError(f"workers = {workers} is for the engines local and slurm; give workers in [parsl]")
    stop = StopRequest(max_hours=max_hours)
    plan = read_ensemble(file)
    if dry_run:
        rows = [{"member": member.name, **member.varied, "seed": member.seed} for member in plan.members]
        if json:
            show_json(rows)
        else:
            show(rows, title=f"{plan.title}: {len(rows)} members")
        return
    prepare(plan, directory)
    if engine == "slurm":
        from amorph.ensemble.slurm import submit

        say(submit(plan, directory, at_a_time=workers))
        return
    with (
        stop_on_signal(Work(stop=stop)),
        Progress(visible=not quiet).task("members", len(plan.members)) as update,
    ):
        if engine == "parsl":
            from amorph.ensemble.parsl import run_parsl

            outcome = run_parsl(plan, directory, stop=stop, update=update)
        else:
            outcome = run_local(plan.members, directory, workers=workers, stop=stop, update=update)
    states = _states(directory)
    if json:
        show_json(states)
    elif not quiet:
        _show_states(states)
    if outcome.failed:
        name, error = next(iter(outcome.failed.items()))
        raise RuntimeError(f"{len(outcome.failed)} of {len(plan.members)} members failed; {name}: {error}")
    if outcome.stopped:
        raise Stopped(f"stopped by {stop.by or 'a signal to a member'}; run the same command again to continue")
    if left := [name for name in outcome.elsewhere if name not in _finished(states)]:
        raise Stopped(f"another process works on {', '.join(left)}; run the same command again when it has ended")
    if failed := [state["member"] for state in states if state["state"] == "check failed"]:
        raise CheckFailed(f"done and kept, but a check failed in {', '.join(failed)}; see amorph ensemble summary")


def ensemble_status(
    directory: Annotated[Path, Parameter(help="The ensemble's directory.")],
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where the members of an ensemble stand: waiting, running, interrupted, done, check failed."""
    start(quiet=quiet)
    states = _states(directory)
    if json:
        show_json(states)
    elif not quiet:
        show(states)
        say("")
        _show_states(states)


def ensemble_summary(
    directory: Annotated[Path, Parameter(help="The ensemble's directory.")],
    /,
    *,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Average every figure over the members of an ensemble: mean, standard deviation, standard error, 95 % interval.

    Members that are no glass or did not converge are listed apart and count nowhere. The suffix of --output chooses a
    table (csv) or a plot (png, pdf, svg).
    """
    from amorph.ensemble.plot import check_suffix, write_summary
    from amorph.ensemble.summary import summarize_ensemble

    start(quiet=quiet)
    check_output(output, check_suffix)
    summary = summarize_ensemble(directory)
    if output is not None:
        write_summary(output, summary)
    if json:
        show_json({"figures": summary.table(), "apart": summary.apart, "missing": summary.missing})
    elif not quiet:
        show(summary.table())
        for name, reason in summary.apart.items():
            say(f"apart: {name}: {reason}")
        if summary.missing:
            say(f"not done: {', '.join(summary.missing)}")
        if output is not None:
            say(f"written to {output}")


def _states(directory: Path) -> list[dict[str, Any]]:
    from amorph.ensemble.status import member_names, member_status

    return [member_status(directory, name).row() for name in member_names(directory)]


def _finished(states: list[dict[str, Any]]) -> list[str]:
    from amorph.ensemble.status import FINISHED

    return [state["member"] for state in states if state["state"] in FINISHED]


def _show_states(states: list[dict[str, Any]]) -> None:
    counts = Counter(state["state"] for state in states)
    say(f"{len(states)} members: " + ", ".join(f"{number} {state}" for state, number in counts.items()))
