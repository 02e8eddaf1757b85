"""The verb that converts structure files."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.cli.flags import takes
from amorph.cli.options import File, Json, Quiet, check_output
from amorph.cli.output import say, show_json, start
from amorph.export import structure_writer, write_structures
from amorph.parameters import arguments_of
from amorph.reading import read_structure, read_trajectory
from amorph.structure import recell


@takes(recell, read_structure)
def convert(
    file: File,
    target: Annotated[Path, Parameter(help="File to write; the suffix names the format.")],
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Convert a structure or a trajectory to another format, in another cell where asked.

    Without --index every frame is converted; extended XYZ alone holds more than one.
    """
    start(quiet=quiet)
    check_output(target, structure_writer)
    given = arguments_of(read_structure, parameters)
    if given.get("index") is None:
        frames = read_trajectory(file, **{name: value for name, value in given.items() if name != "index"})
    else:
        frames = [read_structure(file, **given)]
    if len(frames) > 1 and parameters.get("supercell") is not None:
        raise ValueError(  # an atom that crosses a face of the cell would leap through the supercell
            f"{file} has {len(frames)} frames, and --supercell repeats one structure; choose it, as by --index -1"
        )
    frames = [recell(frame, **arguments_of(recell, parameters)) for frame in frames]
    write_structures(target, frames)
    formula = frames[-1].get_chemical_formula(mode="metal")
    if json:
        show_json({"file": target, "frames": len(frames), "formula": formula, "volume_A3": frames[-1].get_volume()})
    elif not quiet:
        many = f"{len(frames)} frames, the last " if len(frames) > 1 else ""
        say(f"{many}{formula}, {frames[-1].get_volume():.2f} Å³, written to {target}")
