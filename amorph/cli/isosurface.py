"""The verb of surfaces: isosurface."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.bvs import BvsMap
from amorph.analysis.isosurface import Mesh, contour, isosurface as surface_of
from amorph.cli.bvs import exclusion_of
from amorph.cli.flags import takes
from amorph.cli.maps import map_again, origin_pairs
from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import density_of, say, show_json, show_pairs, start
from amorph.export import MESH_WRITERS, write_mesh, writer_for
from amorph.fields import ScalarField
from amorph.figures import heading
from amorph.parameters import arguments_of
from amorph.reading import read_field
from amorph.tables import element_of

Level = Annotated[
    float | None,
    Parameter(help="Value on the surface, in the unit of the field; for any field that is finite everywhere."),
]


@takes(surface_of, contour, skip=("value",))
def isosurface(
    file: Annotated[Path, Parameter(help="Field that amorph wrote, or a CUBE, XSF, CHGCAR or LOCPOT.")],
    /,
    *,
    level: Level = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Find the surface on which a field has a value, or the one around the window of a bond-valence map.

    With --level the surface on which the field equals it. Without, for a bond-valence map, the surface around the
    points whose mismatch is within the window. The suffix of --output chooses the format: ply, stl, glb, obj or vtp
    for the surface, cut open at the cell faces or, with --capped, closed there; png for a picture of the structure with
    the surface in it.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, {**MESH_WRITERS, ".png": None}, "surface or picture"))
    if level is None:
        made = _read_map(file)
        field = made.field
        mesh = surface_of(made, **arguments_of(surface_of, parameters))
        atoms = made.atoms
        ion: str | None = made.ion
        particular: dict[str, Any] = {"ion": ion, "window": mesh.level, "blocking": made.blocking}
        remarks = {"excluded": exclusion_of(made)}
        if not len(mesh.faces):
            remarks["note"] = "no point lies within the window, and no surface runs through the cell"
            if made.blocking == "all" and (made.atoms.symbols == element_of(made.ion)).any():
                remarks["note"] += "; its sites are occupied: map them with --blocking framework"
    else:
        if parameters.get("window") is not None:
            raise ValueError(f"--level {level:g} and --window {parameters['window']:g}: give one of them")
        field, atoms = read_field(file)
        mesh = _contour(file, field, level, arguments_of(contour, parameters))
        ion = field.ion
        low, high = float(field.values.min()), float(field.values.max())
        particular = {"level": mesh.level, "minimum": low, "maximum": high}
        remarks = {"values": f"{low:.4g} to {high:.4g} {field.unit}"}
        if not low < level <= high:
            remarks["values"] += ": the level lies outside, and no surface runs through the cell"
    if output is not None:
        _write(output, atoms, mesh, ion, remarks)
    density = density_of(atoms)
    figures = mesh.figures() | particular | density | field.origin | {"file": output}
    if json:
        show_json(figures)
    elif not quiet:
        surface = f"{mesh.quantity} = {mesh.level:g} {mesh.unit}".rstrip()
        kept = {heading(name): value for name, value in density.items()}
        drawn = {"surface": surface, "area [Å²]": mesh.area, "triangles": len(mesh.faces)}
        show_pairs(drawn | remarks | kept | origin_pairs(field))
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the surface")


def _contour(file: Path, field: ScalarField, level: float, arguments: dict[str, Any]) -> Mesh:
    if not np.isnan(field.values).any():
        return contour(field, level, **arguments)
    remedy = (
        "leave --level out" if field.kind == "bond_valence" and field.parameters else "make it without excluded points"
    )
    excluded = int(np.isnan(field.values).sum())
    raise ValueError(
        f"{file}: the {field.quantity} has no value at {excluded} of {field.values.size} points, and no surface can be "
        f"drawn through them; {remedy}"
    )


def _read_map(file: Path) -> BvsMap:
    field, atoms = read_field(file)
    if field.kind != "bond_valence" or not field.parameters:  # those of a text are not kept
        low, high = np.nanmin(field.values), np.nanmax(field.values)
        raise ValueError(
            f"{file} holds the {field.quantity}, {low:.4g} to {high:.4g} {field.unit}; give --level, the value on the "
            "surface"
        )
    return map_again(file, field, atoms)


def _write(path: Path, atoms: Atoms, mesh: Mesh, ion: str | None, remarks: dict[str, str]) -> None:
    if path.suffix.lower() != ".png":
        write_mesh(path, mesh)
        return
    from amorph.export.picture import write_picture

    caption = "; ".join(
        [atoms.get_chemical_formula(mode="metal"), *(f"{key}: {text}" for key, text in remarks.items())]
    )
    write_picture(path, atoms, mesh, caption=caption, mobile=ion)
