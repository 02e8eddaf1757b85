"""The verb of the 3-D view: view."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show_json, start
from amorph.export.picture import Colors
from amorph.report import write_view


def view(
    files: Annotated[
        list[Path],
        Parameter(
            help="Structures, trajectories (a movie), fields, surfaces in .ply, .stl or .obj (drawn with the "
            "structure before them)."
        ),
    ],
    /,
    *,
    ion: Annotated[str | None, Parameter(help="The mobile ion: Mg2+; by default that of a field.")] = None,
    level: Annotated[
        list[float] | None,
        Parameter(
            consume_multiple=True,
            negative_iterable=(),
            help="Levels of the fields on the slider; of a bond-valence map, half widths of the window [v.u.].",
        ),
    ] = None,
    colors: Annotated[
        Colors, Parameter(help="Colors of the elements: told apart, VESTA's, or CPK (Jmol's).")
    ] = "distinct",
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a page with a 3-D view to turn: atoms, polyhedra, surfaces at several levels, the movie of a trajectory.

    One HTML file that any browser opens from disk and that asks for no network.
    """
    start(quiet=quiet)
    if output is None:
        raise ValueError("a view needs a file; give -o view.html")
    check_output(output, lambda path: None)
    write_view(output, files, ion=ion, levels=level, colors=colors)
    if json:
        show_json({"file": output})
    elif not quiet:
        say(f"written to {output}")
