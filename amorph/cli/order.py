"""The verb that makes ordered cells of a disordered crystal."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.cli.flags import takes, whole_numbers
from amorph.cli.options import Json, Output, Quiet, Seed, check_output
from amorph.cli.output import say, show, show_json, show_pairs, start
from amorph.export import structure_writer, write_structures
from amorph.parameters import arguments_of, generator_of
from amorph.reading import read_disordered
from amorph.structure import ordered_cells


@takes(ordered_cells, read_disordered)
def order(
    file: Annotated[Path, Parameter(help="CIF, or a structure of pymatgen as JSON, with partial occupancies.")],
    /,
    *,
    number: Annotated[
        int, Parameter(name=("--number", "-n"), converter=whole_numbers, help="Ordered cells to make.")
    ] = 1,
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Make ordered cells from partial occupancies, at random or with little Coulomb energy.

    With --trials each cell is the one of so many random arrangements that has the lowest Coulomb energy.
    """
    start(quiet=quiet)
    check_output(output, lambda path: structure_writer(path, number))
    crystal = read_disordered(file, **arguments_of(read_disordered, parameters))
    made = ordered_cells(crystal, number=number, **arguments_of(ordered_cells, parameters), rng=generator_of(seed))
    if output is not None:
        write_structures(output, made.cells)
    if json:
        show_json(made.figures() | {"file": output})
    elif not quiet:
        show(made.table(), title=f"{len(made.cells)} ordered cells {made.formula} of {file.name}")
        say("")
        pairs: dict[str, Any] = {"oxidation states": made.charges}
        pairs |= {"charge by occupancy [e]": made.charge_of_file, "charge of each cell [e]": made.charge}
        if made.coulomb_energies_eV is not None:
            pairs["Coulomb energies [eV]"] = made.coulomb_energies_eV
        show_pairs(pairs)
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the cells")
