"""The verbs that make structures and hand them on: build, substitute, vasp-input."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph import rocksalt, substitution
from amorph.calculators import make_calculator
from amorph.cli.flags import arguments_of, takes, whole_numbers
from amorph.cli.relaxing import relaxed_figures, relaxed_with_progress
from amorph.cli.verb import (
    CheckFailed,
    File,
    Json,
    Output,
    Quiet,
    Seed,
    check_output,
    figures_of,
    generator,
    say,
    show,
    show_json,
    show_pairs,
    start,
)
from amorph.export.structures import structure_writer, write_structure
from amorph.export.vasp import write_vasp_input
from amorph.parameters import parse
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.relaxation import relax


@takes(rocksalt.build, relax, make_calculator, skip=("cell",))
def build(
    composition: str,
    /,
    *,
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Build a rocksalt supercell with the cations at random on the cation sublattice.

    With --lattice-constant relaxed the cell is relaxed isotropically with the calculator, to which --fmax and the flags
    after it belong.
    """
    start(quiet=quiet)
    check_output(output, structure_writer)
    to_relax = parameters.get("lattice_constant") == "relaxed"
    for_relaxing = arguments_of(relax, parameters) | arguments_of(make_calculator, parameters)
    if for_relaxing and not to_relax:
        name, value = next(iter(for_relaxing.items()))
        raise ValueError(f"{name} = {value} is for a relaxation; leave it out or give --lattice-constant relaxed")
    built = rocksalt.build(composition, **arguments_of(rocksalt.build, parameters), rng=generator(seed))
    atoms, figures = built.atoms, figures_of(built)
    relaxed = None
    if to_relax:
        calculator = make_calculator(**arguments_of(make_calculator, parameters))
        how = parse(relax, {"cell": "isotropic", **arguments_of(relax, parameters)})
        relaxed = relaxed_with_progress(atoms, calculator, how, Progress(visible=not quiet))
        atoms = relaxed.atoms
        figures["relaxation"] = relaxed_figures(relaxed, calculator)
        ratio = relaxed.volume / relaxed.start_volume
        figures["lattice_constant"] *= ratio ** (1 / 3)
        figures["density_g_cm3"] /= ratio
        figures["lattice_constant_source"] = f"relaxed by {figures['relaxation']['model']}"
    if output is not None:
        write_structure(output, atoms)
    if json:
        show_json(figures | {"atoms": len(atoms), "file": output})
    elif not quiet:
        show(built.table(), title=f"{built.formula}: {len(atoms)} atoms")
        if relaxed is not None:
            show(relaxed.table(), title=f"\nrelaxation, {relaxed.steps} steps")
        say("")
        show_pairs(
            {
                "residual charge [e]": built.residual_charge,
                "largest deviation [atoms]": max(built.deviation.values(), key=abs),
                "lattice constant [Å]": f"{figures['lattice_constant']:.4f} ({figures['lattice_constant_source']})",
                "density [g/cm³]": figures["density_g_cm3"],
            }
        )
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the structure")
    if relaxed is not None and not relaxed.converged:
        raise CheckFailed(f"the relaxation did not converge in {relaxed.steps} steps; allow more with --max-steps")


@takes(substitution.substitute, read_structure)
def substitute(
    file: File,
    /,
    *,
    replicas: Annotated[
        int | None,
        Parameter(converter=whole_numbers, help="Independent exchanges, written to numbered files (x_0.extxyz, …)."),
    ] = None,
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Exchange ions at random so that the charge that leaves is the charge that comes."""
    start(quiet=quiet)
    if replicas is not None and replicas < 1:
        raise ValueError(f"replicas = {replicas} must be at least 1")
    check_output(output, structure_writer)
    outputs = [output] if replicas is None or output is None else [_numbered(output, n) for n in range(replicas)]
    for path in outputs:
        check_output(path, structure_writer)
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    how = arguments_of(substitution.substitute, parameters)
    if replicas is None:
        made = [substitution.substitute(atoms, **how, rng=generator(seed))]
    else:
        made = substitution.substitute_replicas(atoms, replicas, **how, rng=generator(seed))
    if output is not None:
        for path, substituted in zip(outputs, made, strict=True):
            assert path is not None  # all or none
            write_structure(path, substituted.atoms)
    if json:
        figures = [_exchange_figures(one) | {"file": path} for one, path in zip(made, outputs, strict=False)]
        show_json(figures[0] if replicas is None else {"replicas": figures})
    elif not quiet:
        one = made[0]
        show(one.table(), title=one.formula)
        if one.charge_assumed:
            say("the file has no oxidation states: its charge before the exchange counts as zero")
        written = ", ".join(str(path) for path in outputs if path is not None)
        say(f"\nwritten to {written}" if written else "\nnothing written: -o FILE keeps the structure")


@takes(write_vasp_input, read_structure)
def vasp_input(
    file: File,
    /,
    *,
    directory: Annotated[Path, Parameter(name="--dir", help="Folder to write to; made if it does not exist.")] = Path(
        "vasp"
    ),
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Write INCAR, KPOINTS, POSCAR and the list of PAW data sets for a relaxation with VASP."""
    start(quiet=quiet)
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    written = write_vasp_input(directory, atoms, **arguments_of(write_vasp_input, parameters))
    if json:
        show_json(figures_of(written))
    elif not quiet:
        say(f"{written.directory}: INCAR, KPOINTS, POSCAR and POTCAR.spec of {written.formula}")
        say(f"make the POTCAR of these data sets, in this order: {' '.join(written.potcar_symbols)}")


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}_{number}{path.suffix}")


def _exchange_figures(substituted: substitution.Substituted) -> dict[str, Any]:
    return figures_of(substituted) | {"atoms": len(substituted.atoms)}
