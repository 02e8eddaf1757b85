"""The verbs that move atoms with a calculator: melt-quench and relax."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from cyclopts import Parameter

from amorph import meltquench, relaxation, stages
from amorph.analysis.crystallinity import Crystallinity, crystallinity
from amorph.calculators import make_calculator
from amorph.cli.flags import arguments_of, takes
from amorph.cli.relaxing import relaxed_figures, relaxed_with_progress
from amorph.cli.verb import (
    CheckFailed,
    File,
    Force,
    Json,
    MaxHours,
    Output,
    Quiet,
    Seed,
    Stopped,
    check_output,
    generator,
    say,
    show,
    show_json,
    show_pairs,
    start,
)
from amorph.evaluation import evaluate
from amorph.export.structures import structure_writer, write_structure
from amorph.parameters import parse
from amorph.pipeline import Chain, provenance, stop_on_signal
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.reading.toml import read_toml
from amorph.recording import Stopped as StageStopped
from amorph.recording import StopRequest, Work
from amorph.run import RunDirectory, Stage
from amorph.schedule import SHIPPED, QuenchSchedule, named
from amorph.study import general

Directory = Annotated[Path, Parameter(name="--dir", help="Run directory; made, or continued where it stopped.")]
Schedule = Annotated[
    str,
    Parameter(
        help=f"Name of a shipped schedule ({', '.join(SHIPPED)}), or a TOML file with timestep_fs, damping_time_ps and "
        "[[segments]] of name, ensemble, start_K, end_K and duration_ps."
    ),
]


@takes(meltquench.melt_quench, make_calculator, general, read_structure, skip=("title", "replicas"))
def melt_quench(
    file: File,
    /,
    *,
    directory: Directory,
    schedule: Schedule = "kawaguchi2025",
    seed: Seed = 0,
    max_hours: MaxHours = None,
    force: Force = False,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Melt a structure, quench it, and judge whether it melted and became a glass.

    The same command on the same directory continues a run that was stopped. The glass is 1_melt_quench/structure.extxyz
    in the directory, and the file given with --output.
    """
    start(quiet=quiet)
    check_output(output, structure_writer)
    generator(seed)  # refuses a bad seed
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    chosen = {"schedule": _schedule(schedule), **arguments_of(meltquench.melt_quench, parameters)}
    how = parse(meltquench.melt_quench, chosen)
    meltquench.check_sampling(named(how["schedule"]), how["sample_every"])
    crystallinity(atoms, supercell=how["supercell"], anion=how["anion"])  # what it refuses is better known now
    calculator = make_calculator(**arguments_of(make_calculator, parameters))
    figures, final = _stage(
        directory,
        file,
        atoms,
        calculator,
        parameters,
        name="melt_quench",
        how=how,
        seed=seed,
        max_hours=max_hours,
        force=force,
        progress=Progress(visible=not quiet),
        work=lambda stage, work: stages.melt_quench_stage(
            stage, atoms, calculator=calculator, rng=generator(seed), melted=None, work=work
        ),
    )
    if output is not None:
        write_structure(output, final)
    glass = _judged(figures["after_quench"])
    if json:
        show_json({"verdict": glass.verdict, "reason": glass.reason, **figures})
    elif not quiet:
        show(glass.table(), title="after the quench")
        if "melt" in figures:
            show(_judged(figures["melt"]).table(), title="\nthe melt")
        say("")
        pressures = {
            "pressure of the melt [GPa]": figures.get("melt_pressure_GPa"),
            "of which virial [GPa]": figures.get("melt_virial_pressure_GPa"),
        }
        show_pairs(
            {"verdict": glass.verdict, "reason": glass.reason, "model": figures["model"]}
            | (pressures if "melt" in figures else {})
            | {"written to": ", ".join(str(path) for path in (figures["structure"], output) if path)}
        )
    if glass.verdict != "amorphous":
        raise CheckFailed(f"done and kept, but not a glass: {glass.reason}")


@takes(relaxation.relax, make_calculator, general, read_structure, skip=("title", "seed", "replicas"))
def relax(
    file: File,
    /,
    *,
    output: Output = None,
    directory: Annotated[
        Path | None, Parameter(name="--dir", help="Run directory, from which a relaxation that was stopped continues.")
    ] = None,
    max_hours: MaxHours = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Minimise the energy of a structure, its cell fixed, isotropic or free."""
    start(quiet=quiet)
    if output is None and directory is None:
        raise ValueError("the relaxed structure has nowhere to go; give -o FILE, or --dir DIR to be able to continue")
    if directory is None and (minutes := parameters.get("checkpoint_minutes")) is not None:
        raise ValueError(f"checkpoint_minutes = {minutes:g} is for a run directory; give --dir DIR with it")
    if directory is None and (max_hours is not None or force):
        raise ValueError(f"{'--force' if force else '--max-hours'} is for a run directory; give --dir DIR with it")
    check_output(output, structure_writer)
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    how = parse(relaxation.relax, arguments_of(relaxation.relax, parameters))
    calculator = make_calculator(**arguments_of(make_calculator, parameters))
    progress = Progress(visible=not quiet)
    if directory is None:
        relaxed = relaxed_with_progress(atoms, calculator, how, progress)
        figures = relaxed_figures(relaxed, calculator) | {"criteria": relaxed.table()}
        final = relaxed.atoms
    else:
        figures, final = _stage(
            directory,
            file,
            atoms,
            calculator,
            parameters,
            name="relax",
            how=how,
            max_hours=max_hours,
            force=force,
            progress=progress,
            work=lambda stage, work: stages.relax_stage(stage, atoms, calculator=calculator, work=work),
        )
    if output is not None:
        write_structure(output, final)
    if json:
        show_json(figures)
    elif not quiet:
        show(figures["criteria"], title=f"{final.get_chemical_formula('metal')}, cell {how['cell']}")
        say("")
        show_pairs(
            {
                "converged": figures["converged"],
                "steps": figures["steps"],
                "energy [eV]": f"{figures['energy_eV']:.4f}",
                "pressure [GPa]": figures["pressure_GPa"],
                "volume [Å³]": f"{final.get_volume():.2f} ({100 * figures['volume_change']:+.2f} %)",
                "model": figures["model"],
                "written to": ", ".join(str(path) for path in (figures.get("structure"), output) if path),
            }
        )
    if not figures["converged"]:
        remedy = "allow more with --max-steps" + ("" if directory is None else " in a new --dir")
        raise CheckFailed(f"written, but not converged in {figures['steps']} steps; {remedy}")


def _stage(
    directory: Path,
    file: Path,
    atoms: Atoms,
    calculator: BaseCalculator,
    parameters: Mapping[str, Any],
    *,
    name: str,
    how: Mapping[str, Any],
    seed: int | None = None,
    max_hours: float | None,
    force: bool,
    progress: Progress,
    work: Callable[[Stage, Work], Mapping[str, Any]],
) -> tuple[dict[str, Any], Atoms]:
    """Do one stage in a run directory of its own, or continue it there; returns its figures and its structure."""
    if not directory.exists():
        # What the calculator cannot do is better known before anything is written.
        trial = atoms.copy()
        trial.calc = calculator
        evaluate(trial, ["energy", "forces"])
    read = parse(read_structure, {"path": str(file), **arguments_of(read_structure, parameters)})
    config = {
        name: how,
        "calculator": parse(make_calculator, arguments_of(make_calculator, parameters)),
        "input": {"index": read["index"], "elements": read["elements"]},
        "run": {} if seed is None else {"seed": seed},
    }
    minutes = parse(general, arguments_of(general, parameters))["checkpoint_minutes"]
    stop = StopRequest(max_hours=max_hours, ends_process=True)
    shared = Work(progress, stop, checkpoint_minutes=minutes)
    try:
        with (
            stop_on_signal(shared),
            RunDirectory(directory, config, provenance(calculator, inputs=[file]), force=force) as run,
        ):
            chain = Chain(run, stop=shared.stop)
            chain.then(name, how, lambda stage, _: work(stage, shared), input=file)
    except StageStopped as stopped:
        raise Stopped(str(stopped)) from None
    assert chain.last is not None  # the stage wrote its structure
    return {**chain.figures[name], "structure": chain.last.structure}, chain.last.read_structure()


def _schedule(text: str) -> str | QuenchSchedule:
    """Read a schedule from a TOML file; anything else is a name."""
    if text in SHIPPED or not (text.endswith(".toml") or Path(text).exists()):
        return named(text) and text
    path = Path(text)
    content = read_toml(path, "a schedule's")
    try:
        return QuenchSchedule(**parse(QuenchSchedule, content))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _judged(figures: Mapping[str, Any]) -> Crystallinity:
    return Crystallinity(**figures)
