"""The verb of voids: the largest spheres, what a probe reaches, and how evenly the free volume is spread."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from amorph.analysis.bvs import bvs_map
from amorph.analysis.spread import LocalFreeVolume, Uniformity, local_free_volume, uniformity
from amorph.analysis.voids import Voids, probe_curve, voids as voids_of
from amorph.cli.flags import takes
from amorph.cli.maps import origin_pairs
from amorph.cli.options import File, Json, Output, Quiet, check_field, check_output
from amorph.cli.output import density_of, named, say, show, show_json, show_pairs, start, with_error
from amorph.export import writer_for
from amorph.export.fields import FIELD_WRITERS, write_field
from amorph.fields import ScalarField
from amorph.figures import heading
from amorph.parameters import arguments_of
from amorph.reading import read_structure
from amorph.run import write_csv
from amorph.structure import Radii
from amorph.tables import element_of

_CURVE_WRITERS = {".csv": None}


@takes(voids_of, uniformity, local_free_volume, read_structure, skip=("threshold", "side", "boxes"))
def voids(
    file: File,
    /,
    *,
    ion: Annotated[
        str | None, Parameter(help="Mobile ion, Mg2+ or Mg: shares the free volume out among its ions.")
    ] = None,
    free: Annotated[
        Literal["probe", "bvs"],
        Parameter(
            help="What counts as free volume. probe: points where the center of the probe fits; bvs: points roomy "
            "enough for --ion, its bond valence sum at most a fifth above its valence, ions of its element removed."
        ),
    ] = "probe",
    curve: Annotated[
        Path | None,
        Parameter(help="CSV file to write: what probes of many radii reach, and the distribution of pore radii."),
    ] = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Measure the voids between atoms: the largest spheres, what a probe reaches, how evenly they are spread.

    The name of --output chooses the format of the map of distances: npz, cube, xsf, CHGCAR, vti, vts.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, FIELD_WRITERS, "field"))
    check_output(curve, lambda path: writer_for(path, _CURVE_WRITERS, "curve"))
    if free == "bvs" and ion is None:
        raise ValueError("--free bvs needs the ion whose bond valence is summed; give --ion, as in --ion Mg2+")
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    check_field(output, atoms, parameters)
    made = voids_of(atoms, **arguments_of(voids_of, parameters))
    field, rule = _free(made, free, ion)
    spread = uniformity(field, **rule, **arguments_of(uniformity, parameters))
    local = None
    if ion is not None and (free == "probe" or element_of(ion) in made.atoms.symbols):
        local = local_free_volume(field, made.atoms, ion, **rule, **arguments_of(local_free_volume, parameters))
    if output is not None:
        write_field(output, made.field, made.atoms)
    if curve is not None:
        _write_curve(curve, made)
    if json:
        show_json(
            made.figures()
            | density_of(made.atoms)
            | {"free": {"by": free, **rule, **field.origin}, "uniformity": spread, "local_free_volume": local}
            | {"file": output, "curve": curve}
        )
    elif not quiet:
        _print(file, made, spread, local, field, rule, ion)
        written = [str(path) for path in (output, curve) if path is not None]
        say(f"written to {' and '.join(written)}" if written else "nothing written: -o FILE keeps the map")


def _free(made: Voids, free: str, ion: str | None) -> tuple[ScalarField, dict[str, Any]]:
    """Give the field that tells free points, and the rule."""
    if free == "probe" or ion is None:
        return made.field, {"threshold": made.probe_radius, "side": "above"}
    sums = bvs_map(made.atoms, ion, grid=made.field.grid, blocking="framework")
    return sums.field, {"threshold": sums.target_valence + sums.window, "side": "below"}


def _print(
    file: Path,
    made: Voids,
    spread: Uniformity,
    local: LocalFreeVolume | None,
    free: ScalarField,
    rule: dict[str, Any],
    ion: str | None,
) -> None:
    between = "atoms as points" if made.radii is None else f"spheres, radii {_named(made.radii)}"
    show(made.table(), title=f"voids of {named(file, made.atoms)}, {between}")
    say("")
    show_pairs(
        {
            "grid": f"{' × '.join(map(str, made.field.grid))}, spacing {made.spacing:.3g} Å",
            "void, share of the cell": made.void_fraction,
            "pore radius, mean ± error of the grid [Å]": with_error(made.mean_pore_radius, made.mean_pore_radius_error),
            "probe radius [Å]": made.probe_radius,
            "its center fits, share of the cell": made.center_fraction,
            "  accessible, it travels without end": made.accessible_fraction,
            "  locked in closed pockets": made.locked_fraction,
            "  directions it travels in": made.regions.dimension,
            "it can cover, share ± error of the grid": with_error(made.occupiable_fraction, made.occupiable_error),
            "separate holes that hold it": len(made.cavities),
        }
    )
    say("")
    quantity = "bond valence sum" if free.kind == "bond_valence" else "distance"
    sign = "≥" if rule["side"] == "above" else "≤"
    row = spread.headline
    say(f"free volume: {quantity} {sign} {rule['threshold']:g} {free.unit}")
    show_pairs(origin_pairs(free))
    show_pairs(
        {
            "share of the cell": spread.free_fraction,
            f"clusters of {spread.minimum_volume:g} Å³ or more": spread.clusters,
            "  share of the largest": spread.largest_share,
            "  directions a cluster runs through": spread.dimension,
            "  mean volume Σv²/Σv [Å³]": spread.mean_cluster_volume,
            f"spread in boxes of {row.box_volume:.4g} Å³: as of random grains of [Å³]": row.grain_volume,
        }
    )
    if local is not None:
        say("")
        say(f"free volume of each of {len(local.volumes)} {local.ion}")
        about = {name: value for name, value in local.figures().items() if name not in {"ion", "ions", "volumes"}}
        show_pairs({heading(name): value for name, value in about.items()})
    elif ion is not None:
        say(f"the structure holds no {element_of(ion)} among which it would be shared out")


def _named(radii: Radii) -> str:
    return radii if isinstance(radii, str) else ", ".join(f"{name} {value:g} Å" for name, value in radii.items())


def _write_curve(path: Path, made: Voids) -> None:
    """Write one row for each bin of the pore radius, with what a probe of the radius at its lower edge reaches."""
    edges, density = made.pore_size_distribution()
    rows = probe_curve(made, probe_radii=tuple(edges.tolist())).table()
    write_csv(path, [{**row, "pore_radius_density_per_A": p} for row, p in zip(rows, density.tolist(), strict=True)])
