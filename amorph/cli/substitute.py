"""The verb that exchanges ions."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph import substitution
from amorph.cli.flags import takes, whole_numbers
from amorph.cli.options import File, Json, Output, Quiet, Seed, check_output
from amorph.cli.output import say, show, show_json, start
from amorph.export import structure_writer, write_structure
from amorph.parameters import arguments_of, generator_of
from amorph.reading import read_structure


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
        made = [substitution.substitute(atoms, **how, rng=generator_of(seed))]
    else:
        made = substitution.substitute_replicas(atoms, replicas, **how, rng=generator_of(seed))
    if output is not None:
        for path, substituted in zip(outputs, made, strict=True):
            assert path is not None  # all or none
            write_structure(path, substituted.atoms)
    if json:
        figures = [one.figures() | {"file": path} for one, path in zip(made, outputs, strict=False)]
        show_json(figures[0] if replicas is None else {"replicas": figures})
    elif not quiet:
        one = made[0]
        show(one.table(), title=one.formula)
        if one.charge_assumed:
            say("the file has no oxidation states: its charge before the exchange counts as zero")
        written = ", ".join(str(path) for path in outputs if path is not None)
        say(f"\nwritten to {written}" if written else "\nnothing written: -o FILE keeps the structure")


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}_{number}{path.suffix}")
