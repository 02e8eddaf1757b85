"""The verbs that measure structures: verdict and free-volume."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.analysis import voronoi
from amorph.analysis.crystallinity import Crystallinity, crystallinity, verdict_of_trajectory
from amorph.cli.flags import arguments_of, takes
from amorph.cli.verb import File, Json, Quiet, figures_of, say, show, show_json, show_pairs, start
from amorph.reading import read_structure, read_trajectory


@takes(crystallinity, read_structure, skip=("melted", "index"))
def verdict(
    files: Annotated[list[Path], Parameter(help="Structures or trajectories: ASE's formats, LAMMPS dump, XDATCAR …")],
    /,
    *,
    before: Annotated[
        Path | None,
        Parameter(name="--start", help="The structure before the melt, for the criterion that it melted."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Is it a glass? Judge structures, or the last frames, at most ten of trajectories.

    The verdict is amorphous, partly crystalline or crystalline; whichever it is, the exit status is 0.
    """
    start(quiet=quiet)
    reading = arguments_of(read_trajectory, parameters)
    origin = None if before is None else read_structure(before, **reading)
    judged: dict[Path, Crystallinity] = {}
    for file in files:
        frames = read_trajectory(file, **reading)
        try:
            judged[file] = verdict_of_trajectory(
                frames, start=origin, **arguments_of(verdict_of_trajectory, parameters)
            )
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    if json:
        figures = [{"file": file, **figures_of(one)} for file, one in judged.items()]
        show_json(figures[0] if len(files) == 1 else figures)
    elif quiet:
        return
    elif len(judged) == 1:
        [one] = judged.values()
        show(one.table())
        say("")
        show_pairs({"verdict": one.verdict, "reason": one.reason, "frames": one.n_frames})
    else:
        show(
            {
                "file": file,
                "verdict": one.verdict,
                "parent order I/N²": one.parent_order,
                "solid share": one.solid_share,
                "melted": one.melted,
                "frames": one.n_frames,
            }
            for file, one in judged.items()
        )


@takes(voronoi.voronoi_volumes, voronoi.free_volume, read_structure)
def free_volume(
    file: File,
    /,
    *,
    per_atom: Annotated[bool, Parameter(negative="", help="List the volume of every atom too.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Measure the volume that the atoms leave free, from Voronoi volumes."""
    start(quiet=quiet)
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    measured = voronoi.free_volume(atoms, **arguments_of(voronoi.free_volume, parameters))
    if json:
        figures = figures_of(measured, without=("volumes", "symbols"))
        if per_atom:
            figures["atoms"] = [
                {"atom": index, "species": symbol, "volume": volume}
                for index, (symbol, volume) in enumerate(zip(measured.symbols, measured.volumes, strict=True))
            ]
        show_json(figures)
    if json or quiet:
        return
    show(measured.table(), title=f"{measured.tessellation} Voronoi volumes of {file.name}")
    if per_atom:
        say("")
        show(measured.per_atom_table())
    say("")
    show_pairs(
        {
            "free volume fraction f_V": f"{100 * measured.free_volume_fraction:.2f} %",
            "the same from the anions' excess": f"{100 * measured.oxygen_excess_fraction:.2f} %",
            "free volume f_V·V_cell [Å³]": measured.free_volume,
            "cell volume [Å³]": f"{measured.cell_volume:.2f}",
            f"free volume over that of all {measured.ion}": measured.ratio,
            "nominal formula": measured.formula,
            f"reference volume of {measured.anion} [Å³]": f"{measured.oxygen_volume:.3f} "
            f"({measured.oxygen_volume_source})",
        }
        | ({"radii": measured.radii_set} if measured.radii_set else {})
    )
