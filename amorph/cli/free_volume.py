"""The verb of Voronoi volumes: free-volume."""

from collections import Counter
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.analysis import voronoi
from amorph.analysis.voronoi import FaceCoordination, Tessellation, face_coordination, tessellate
from amorph.cli.flags import takes
from amorph.cli.options import File, Json, Output, Quiet, check_table
from amorph.cli.output import density_of, named, say, show, show_json, show_pairs, start
from amorph.parameters import arguments_of
from amorph.reading import read_structure
from amorph.run import write_csv


@takes(tessellate, voronoi.free_volume, face_coordination, read_structure, skip=("threads",))
def free_volume(
    file: File,
    /,
    *,
    per_atom: Annotated[
        bool,
        Parameter(negative="", help="List the volume, faces and neighbors of every atom, and coordination by face."),
    ] = False,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Measure the volume that the atoms leave free, from Voronoi volumes; -o FILE.csv keeps that of every atom."""
    start(quiet=quiet)
    check_table(output)
    coordinating = arguments_of(face_coordination, parameters)
    if coordinating and not per_atom:
        raise ValueError("--smallest-share belongs to the coordination that --per-atom lists; give both")
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    measured = voronoi.free_volume(atoms, **arguments_of(voronoi.free_volume, parameters))
    cells = tessellate(atoms, **arguments_of(tessellate, parameters)) if per_atom else None
    coordination = None if cells is None else face_coordination(cells, **coordinating)
    if output is not None:
        write_csv(output, measured.per_atom_table())
    if json:
        figures = measured.figures() | density_of(atoms) | {"file": output}
        if cells is not None and coordination is not None:
            by_faces = coordination.figures()
            figures |= {"smallest_share": by_faces["smallest_share"], "coordination": by_faces["pairs"]}
            figures["atoms"] = _atoms(cells, coordination)
        show_json(figures)
    if json or quiet:
        return
    show(measured.table(), title=f"{measured.tessellation} Voronoi volumes of {named(file, atoms)}")
    if cells is not None and coordination is not None:
        say("")
        show(_row(atom, cells, coordination.smallest_share) for atom in _atoms(cells, coordination))
        say("")
        title = f"coordination by faces of at least {100 * coordination.smallest_share:g} % of an atom's surface"
        show(coordination.table(), title=title)
    say("")
    show_pairs(
        {
            "free volume fraction f_V": _percent(measured.free_volume_fraction),
            "the same from the anions' excess": _percent(measured.oxygen_excess_fraction),
            "free volume f_V·V_cell [Å³]": measured.free_volume,
            "cell volume [Å³]": f"{measured.cell_volume:.2f}",
            f"free volume over that of all {measured.ion or 'mobile ions'}": measured.ratio,
            "nominal formula": measured.formula,
            f"reference volume of {measured.anion} [Å³]": f"{measured.oxygen_volume:.3f} "
            f"({measured.oxygen_volume_source})",
        }
        | ({"radii": measured.radii_set} if measured.radii_set else {})
    )


def _percent(fraction: float) -> str:
    return f"{round(100 * fraction, 2) + 0.0:.2f} %"  # + 0.0: no minus zero


def _atoms(cells: Tessellation, coordination: FaceCoordination) -> list[dict[str, Any]]:
    """Give one entry per atom with all its faces."""
    neighbors: list[list[dict[str, Any]]] = [[] for _ in cells.symbols]
    columns = (cells.i, cells.j, cells.S, cells.areas, cells.shares, cells.distances)
    for i, *face in zip(*(column.tolist() for column in columns), strict=True):
        neighbors[i].append(dict(zip(("atom", "shift", "area", "share", "distance"), face, strict=True)))
    of_atoms: dict[str, Any] = {
        "atom": range(len(cells.symbols)),
        "species": cells.symbols,
        "volume": cells.volumes.tolist(),
        "surface": cells.surfaces.tolist(),
        "faces": cells.faces.tolist(),
        "coordination_number": coordination.coordination_numbers.tolist(),
        "effective_coordination_number": coordination.effective_coordination_numbers.tolist(),
        "neighbors": neighbors,
    }
    return [dict(zip(of_atoms, entry, strict=True)) for entry in zip(*of_atoms.values(), strict=True)]


def _row(atom: dict[str, Any], cells: Tessellation, smallest_share: float) -> dict[str, Any]:
    """Give the row of an atom; its neighbors are the species behind the faces that count."""
    behind = Counter(cells.symbols[face["atom"]] for face in atom["neighbors"] if face["share"] >= smallest_share)
    units = {"volume": "volume_A3", "surface": "surface_A2", "coordination_number": "coordination"}
    units["effective_coordination_number"] = "effective"
    return {units.get(name, name): value for name, value in atom.items() if name != "neighbors"} | {
        "neighbors": dict(sorted(behind.items()))
    }
