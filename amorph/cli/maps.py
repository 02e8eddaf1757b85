"""The verb of bond-valence maps: bvs."""

from typing import Any

from amorph.analysis.bvs import BvsMap, bvs_map
from amorph.cli.flags import arguments_of, takes
from amorph.cli.verb import File, Json, Output, Quiet, check_output, figures_of, say, show, show_json, show_pairs, start
from amorph.export.fields import FIELD_WRITERS, write_field
from amorph.export.suffixes import writer_for
from amorph.reading import read_structure

_SHARES = ("under_bonded", "window", "over_bonded")


@takes(bvs_map, read_structure)
def bvs(
    file: File,
    /,
    *,
    ion: str,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Map the bond valence sum that an ion would have at every point of a grid over the cell.

    The suffix of --output chooses the format: npz (which amorph isosurface reads), cube or xsf.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, FIELD_WRITERS, "field"))
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    made = bvs_map(atoms, ion, **arguments_of(bvs_map, parameters))
    if output is not None:
        write_field(output, made.field, made.atoms)
    if json:
        show_json(_figures(made) | {"file": output})
    elif not quiet:
        show(made.table(), title=f"bond valence sum of {made.ion} in {file.name}")
        say("")
        show_pairs(
            {
                "grid": " × ".join(map(str, made.grid)),
                "bond valence": f"exp[({made.r0:g} Å − d)/{made.b:g} Å] over {made.anion} within {made.cutoff:g} Å",
                "parameters": made.source,
                "excluded": exclusion_of(made),
            }
        )
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the map")


def _figures(made: BvsMap) -> dict[str, Any]:
    figures = figures_of(made, without=("field", "atoms")) | {"grid": made.grid}
    return figures | {name: getattr(made, name) for name in (f"{share}_fraction_of_accessible" for share in _SHARES)}


def exclusion_of(made: BvsMap) -> str:
    """Say which points a map excludes."""
    which = "any atom" if made.blocking == "all" else "the framework, its mobile ions left out"
    same = made.anion_exclusion_radius == made.exclusion_radius
    anions = "" if same else f", {made.anion_exclusion_radius:g} Å from {made.anion}"
    return f"points nearer than {made.exclusion_radius:g} Å to {which}{anions}"
