"""The verb of site energies: bvse."""

from typing import Any

from amorph.analysis.bvse import BvseMap, bvse_map
from amorph.cli.flags import takes
from amorph.cli.maps import origin_pairs, site_energy_pairs
from amorph.cli.options import File, Json, Output, Quiet, check_field, check_output
from amorph.cli.output import density_of, named, say, show, show_json, show_pairs, start
from amorph.export import writer_for
from amorph.export.fields import FIELD_WRITERS, write_field
from amorph.parameters import arguments_of
from amorph.progress import Progress
from amorph.reading import read_structure


@takes(bvse_map, read_structure)
def bvse(
    file: File,
    /,
    *,
    ion: str,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Map the bond-valence site energy that an ion would have at every point of a grid over the cell.

    The name of --output chooses the format: npz (which loses nothing), cube, xsf, CHGCAR, vti,
    vts.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, FIELD_WRITERS, "field"))
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    check_field(output, atoms, parameters)
    progress = None if quiet else Progress(visible=True).task
    made = bvse_map(atoms, ion, progress=progress, **arguments_of(bvse_map, parameters))
    if output is not None:
        write_field(output, made.field, made.atoms)
    if json:
        show_json(made.figures() | density_of(made.atoms) | {"file": output})
    elif not quiet:
        show(made.table(), title=f"bond valence site energy of {made.ion} in {named(file, made.atoms)}")
        say("")
        show_pairs(_summary(made))
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the map")


def _summary(made: BvseMap) -> dict[str, Any]:
    excluded = "none" if made.exclusion_radius == 0 else f"nearer than {made.exclusion_radius:g} Å to the framework"
    return {
        "lowest site energy [eV]": made.minimum,
        "at x y z [Å]": made.minimum_position,
        "highest site energy [eV]": made.maximum,
        "grid": " × ".join(map(str, made.grid)),
        **site_energy_pairs(made.field, made.atoms),
        "excluded points": excluded,
        **origin_pairs(made.field),
    }
