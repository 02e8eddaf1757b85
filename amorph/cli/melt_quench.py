"""The verb that melts and quenches a structure."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph import meltquench
from amorph.analysis.crystallinity import crystallinity
from amorph.calculators import make_calculator
from amorph.cli.flags import takes
from amorph.cli.options import File, Force, Json, MaxHours, Output, Quiet, Seed, check_output
from amorph.cli.output import CheckFailed, say, show, show_json, show_pairs, start
from amorph.export import structure_writer, write_structure
from amorph.figures import restored
from amorph.meltquench import SHIPPED, QuenchSchedule, named
from amorph.parameters import arguments_of, generator_of, parse
from amorph.pipeline import general, stages
from amorph.pipeline.results import Quench
from amorph.pipeline.single import run_stage
from amorph.progress import Progress
from amorph.reading import read_structure, read_toml

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
    generator_of(seed)  # refuses a bad seed
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    chosen = {"schedule": _schedule(schedule), **arguments_of(meltquench.melt_quench, parameters)}
    how = parse(meltquench.melt_quench, chosen)
    meltquench.check_sampling(named(how["schedule"]), how["sample_every"])
    meltquench.check_engine(how["engine"], named(how["schedule"]))
    crystallinity(atoms, supercell=how["supercell"], anion=how["anion"])  # what it refuses is better known now
    calculator = make_calculator(**arguments_of(make_calculator, parameters))
    stage, found = run_stage(
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
        work=stages.quench_stage,
    )
    if output is not None:
        write_structure(output, stage.read_structure())
    quench: Quench = restored(Quench, found.figures)
    glass, melt = quench.after_quench, quench.melt
    if json:
        about = {"verdict": glass.verdict, "reason": glass.reason}
        show_json({**about, **found.figures, "structure": stage.structure})
    elif not quiet:
        show(glass.table(), title="after the quench")
        pairs: dict[str, Any] = {"verdict": glass.verdict, "reason": glass.reason, "model": quench.model}
        if melt is not None:
            show(melt.table(), title="\nthe melt")
            pairs["pressure of the melt [GPa]"] = quench.melt_pressure_GPa
            pairs["of which virial [GPa]"] = quench.melt_virial_pressure_GPa
        say("")
        show_pairs(pairs | {"written to": ", ".join(str(path) for path in (stage.structure, output) if path)})
    if glass.is_glass is False:
        raise CheckFailed(f"done and kept, but not a glass: {glass.reason}")


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
