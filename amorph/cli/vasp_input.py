"""The verb that writes the input of a VASP relaxation."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.cli.flags import takes
from amorph.cli.options import File, Json, Quiet
from amorph.cli.output import say, show_json, start
from amorph.export import write_vasp_input
from amorph.parameters import arguments_of
from amorph.reading import read_structure


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
        show_json(written.figures())
    elif not quiet:
        say(f"{written.directory}: INCAR, KPOINTS, POSCAR and POTCAR.spec of {written.formula}")
        say(f"make the POTCAR of these data sets, in this order: {' '.join(written.potcar_symbols)}")
