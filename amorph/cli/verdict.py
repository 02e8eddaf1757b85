"""The verb that judges structures: verdict."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from amorph.analysis.crystallinity import Crystallinity, crystallinity, verdict_of_trajectory
from amorph.cli.flags import takes
from amorph.cli.options import Json, Quiet
from amorph.cli.output import say, show, show_json, show_pairs, start
from amorph.parameters import arguments_of
from amorph.reading import read_structure, read_trajectory
from amorph.structure import density_g_cm3


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

    The verdict is amorphous, amorphous with embryo, partly crystalline or crystalline, or, of a small cell, cannot
    exclude a crystal; whichever it is, the exit status is 0.
    """
    start(quiet=quiet)
    reading = arguments_of(read_trajectory, parameters)
    origin = None if before is None else read_structure(before, **reading)
    judged: dict[Path, Crystallinity] = {}
    densities: dict[Path, float] = {}
    for file in files:
        frames = read_trajectory(file, **reading)
        densities[file] = density_g_cm3(frames[-1])
        try:
            judged[file] = verdict_of_trajectory(
                frames, start=origin, **arguments_of(verdict_of_trajectory, parameters)
            )
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    if json:
        figures = [{"file": file, **one.figures(), "density_g_cm3": densities[file]} for file, one in judged.items()]
        show_json(figures[0] if len(files) == 1 else figures)
    elif quiet:
        return
    elif len(judged) == 1:
        [one] = judged.values()
        show(one.table())
        say("")
        show_pairs(
            {
                "verdict": one.verdict,
                "reason": one.reason,
                "frames": one.n_frames,
                "density [g/cm³]": densities[files[0]],
            }
        )
    else:
        show(
            {
                "file": file,
                "verdict": one.verdict,
                "largest cluster": one.solid_cluster,
                "crystal fraction": one.crystal_fraction,
                "± sd": one.crystal_fraction_sd,
                "Bragg peak I/N²": one.bragg_peak,
                "at most": one.bragg_peak_limit,
                "of": one.bragg_peak_of,
                "parent order I/N²": one.parent_order,
                "space group": one.space_group,
                "melted": one.melted,
                "frames": one.n_frames,
                "density_g_cm3": densities[file],
            }
            for file, one in judged.items()
        )
