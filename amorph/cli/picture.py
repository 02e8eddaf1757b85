"""The verb that draws structures: picture."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.analysis.isosurface import Mesh, contour as surface_at, isosurface, without_gaps
from amorph.cli.flags import takes
from amorph.cli.maps import map_again
from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show_json, start
from amorph.export import writer_for
from amorph.export.picture import write_picture
from amorph.parameters import arguments_of
from amorph.reading import is_field, read_field, read_structure
from amorph.tables import element_of


@takes(write_picture, read_structure, skip=("surface_label", "mobile"))
def picture(
    file: Annotated[Path, Parameter(help="Structure, or field with the structure in it.")],
    /,
    *,
    ion: Annotated[
        str | None, Parameter(help="The mobile ion, drawn as spheres: Mg2+; by default that of a field.")
    ] = None,
    level: Annotated[float | None, Parameter(help="Value on the surface of a field, in its unit.")] = None,
    window: Annotated[
        float | None, Parameter(help="Half width of the window of a bond-valence map [v.u.]; by default the map's.")
    ] = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Draw a structure as a PNG: whole polyhedra, ions, the cell with a, b and c; of a field its surface too.

    Of a bond-valence map without --level it is the surface around its window.
    """
    start(quiet=quiet)
    if output is None:
        raise ValueError("a picture needs a file; give -o picture.png")
    check_output(output, lambda path: writer_for(path, {".png": None}, "picture"))
    mesh = None
    reading = arguments_of(read_structure, parameters)
    if is_field(file):
        if given := [name for name, value in reading.items() if value is not None]:
            raise ValueError(f"{file} is a field, and --{given[0]} belongs to a file of structures; leave it out")
        if level is not None and window is not None:
            raise ValueError(f"--level {level:g} and --window {window:g}: give one of them")
        mesh, atoms, ion = _surface(file, level, window, ion)
    elif level is not None or window is not None:
        raise ValueError(f"{file} is a structure, and --{'window' if level is None else 'level'} belongs to a field")
    else:
        atoms = read_structure(file, **reading)
        _check_ion(file, ion, atoms)
    write_picture(output, atoms, mesh, mobile=ion, **arguments_of(write_picture, parameters))
    if json:
        show_json({"file": output})
    elif not quiet:
        say(f"written to {output}")


def _surface(file: Path, level: float | None, window: float | None, ion: str | None) -> tuple[Mesh, Any, str | None]:
    """Make the surface of a field; returns it with the structure and the ion."""
    field, atoms = read_field(file)
    if ion != field.ion:
        _check_ion(file, ion, atoms)
    if level is not None:
        return surface_at(without_gaps(field), level), atoms, ion or field.ion
    if field.kind == "bond_valence" and field.parameters:
        return isosurface(map_again(file, field, atoms), window=window), atoms, ion or field.ion
    raise ValueError(f"{file} holds the {field.quantity}; give --level, the value on its surface [{field.unit}]")


def _check_ion(file: Path, ion: str | None, atoms: Any) -> None:
    if ion is not None and element_of(ion) not in atoms.symbols:
        known = ", ".join(dict.fromkeys(atoms.symbols))
        raise ValueError(f"--ion {ion}: {file} holds no {element_of(ion)}; it has {known}")
