"""The verb that minimises the energy of a structure."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from cyclopts import Parameter

from amorph.calculators import calculator_name, make_calculator
from amorph.cli.flags import takes
from amorph.cli.options import File, Force, Json, MaxHours, Output, Quiet, check_output
from amorph.cli.output import CheckFailed, say, show, show_json, show_pairs, start
from amorph.export import structure_writer, write_structure
from amorph.parameters import arguments_of, parse
from amorph.pipeline import general, stages
from amorph.pipeline.single import run_stage
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.relaxation import Relaxed, RelaxFrame, relax as minimize, relaxation


@takes(minimize, make_calculator, general, read_structure, skip=("title", "seed", "replicas"))
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
    how = parse(minimize, arguments_of(minimize, parameters))
    calculator = make_calculator(**arguments_of(make_calculator, parameters))
    progress = Progress(visible=not quiet)
    written = [] if output is None else [output]
    if directory is None:
        relaxed = relaxed_with_progress(atoms, calculator, how, progress)
        figures, final = relaxed_figures(relaxed, calculator), relaxed.atoms
    else:
        stage, found = run_stage(
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
            work=stages.relax_stage,
        )
        figures, final = {**found.figures, "structure": stage.structure}, stage.read_structure()
        written.insert(0, stage.structure)
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
                "written to": ", ".join(map(str, written)),
            }
        )
    if not figures["converged"]:
        remedy = "allow more with --max-steps" + ("" if directory is None else " in a new --dir")
        raise CheckFailed(f"written, but not converged in {figures['steps']} steps; {remedy}")


def relaxed_with_progress(
    atoms: Atoms, calculator: BaseCalculator, parameters: Mapping[str, Any], progress: Progress
) -> Relaxed:
    """Minimise the energy and show how far it is."""
    with progress.task("relax", parameters["max_steps"]) as update:

        def frames() -> Iterator[RelaxFrame]:
            for frame in relaxation(atoms, calculator, **parameters):
                note = f"largest force {frame.max_force:.3f} eV/Å"
                moving = parameters["cell"] != "fixed"
                update(frame.step, note + (f", stress {frame.stress_residual_GPa:.2f} GPa" if moving else ""))
                yield frame

        (last,) = deque(frames(), maxlen=1)
    return last.result()


def relaxed_figures(relaxed: Relaxed, calculator: BaseCalculator) -> dict[str, Any]:
    """Figures of a relaxation, and what computed it."""
    return {"model": calculator_name(calculator), **relaxed.figures()}
