"""The verb of surfaces: isosurface."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from amorph.analysis.bvs import BvsMap, bvs_map
from amorph.analysis.isosurface import Mesh
from amorph.analysis.isosurface import isosurface as surface_of
from amorph.cli.flags import arguments_of, takes
from amorph.cli.maps import exclusion_of
from amorph.cli.verb import Json, Output, Quiet, check_output, say, show_json, show_pairs, start
from amorph.export.mesh import MESH_WRITERS, write_mesh
from amorph.export.suffixes import writer_for
from amorph.parameters import parse
from amorph.reading import read_field


@takes(surface_of)
def isosurface(
    file: Annotated[Path, Parameter(help="Bond-valence map, as amorph bvs writes it to .npz.")],
    /,
    *,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Find the surface around the points of a bond-valence map whose mismatch is within a window.

    The suffix of --output chooses the format: ply, stl or glb for the surface; png for a picture of the structure with
    the surface in it.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, {**MESH_WRITERS, ".png": None}, "surface or picture"))
    made = _read_map(file)
    mesh = surface_of(made, **arguments_of(surface_of, parameters))
    if output is not None:
        _write(output, made, mesh)
    figures = {
        "ion": made.ion,
        "window": mesh.level,
        "area": mesh.area,
        "triangles": len(mesh.faces),
        "vertices": len(mesh.vertices),
        "open_edges": len(mesh.open_edges),
        "blocking": made.blocking,
        "file": output,
    }
    if json:
        show_json(figures)
    elif not quiet:
        show_pairs(
            {
                "surface": f"{mesh.quantity} = {mesh.level:g} {mesh.unit}",
                "area [Å²]": mesh.area,
                "triangles": len(mesh.faces),
                "excluded": exclusion_of(made),
            }
        )
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the surface")


def _read_map(file: Path) -> BvsMap:
    """Make the map again that a file holds, from the structure and the parameters in it, and check that it is the same.

    The surface needs the sums inside the excluded spheres too, which the file does not hold.
    """
    field, atoms = read_field(file)
    if not field.quantity.startswith("bond valence sum of "):
        raise ValueError(f"{file} holds the {field.quantity}; give a bond-valence map, as amorph bvs writes it")
    try:
        arguments = parse(bvs_map, field.parameters)
        made = bvs_map(atoms, **{**arguments, "grid": field.grid})
    except ValueError as error:
        raise ValueError(f"{file}: its parameters do not make a map: {error}") from None
    # 1e-9 v.u.: the same sums on another processor differ by 1e-14
    if not np.allclose(made.field.values, field.values, rtol=0, atol=1e-9, equal_nan=True):
        raise ValueError(f"{file}: its values are not those that its structure and parameters give; make it again")
    return made


def _write(path: Path, made: BvsMap, mesh: Mesh) -> None:
    if path.suffix.lower() != ".png":
        write_mesh(path, mesh)
        return
    from amorph.export.picture import write_picture

    caption = f"{made.atoms.get_chemical_formula(mode='metal')}; excluded: {exclusion_of(made)}"
    write_picture(path, made.atoms, mesh, mobile=made.ion, caption=caption)
