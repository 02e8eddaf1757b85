"""The verb of connectivity: percolation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.distance import distance_map
from amorph.analysis.grids import Task
from amorph.analysis.percolation import (
    MigrationPath,
    Percolation,
    PercolationThresholds,
    RefinedPath,
    Side,
    bond_valence_window,
    migration_path,
    percolation as regions_of,
    percolation_thresholds,
    refine_path,
)
from amorph.calculators import calculator_name, make_calculator
from amorph.cli.flags import takes
from amorph.cli.maps import QUANTITIES, map_again, origin_pairs, site_energy_pairs
from amorph.cli.options import Json, Quiet, check_output
from amorph.cli.output import CheckFailed, density_of, named, say, show, show_json, show_pairs, start
from amorph.export import PATH_WRITERS, write_path, writer_for
from amorph.fields import ScalarField
from amorph.parameters import arguments_of, model_of, parse
from amorph.progress import Progress
from amorph.reading import OWN_FIELDS, is_field, read_field, read_structure
from amorph.relaxation import relax

Quantity = Literal["bvse", "bvs", "mismatch", "distance"]
Site = tuple[float, float, float] | None
_STAGES: dict[str, Any] = {"bvse": bvse_map, "bvs": bvs_map, "mismatch": bvs_map, "distance": distance_map}


@takes(bvse_map, bvs_map, distance_map, read_structure, refine_path, make_calculator, skip=("window",))
def percolation(
    file: Annotated[Path, Parameter(help="Structure; or a field that amorph wrote, a CUBE, XSF, CHGCAR or LOCPOT.")],
    /,
    *,
    ion: Annotated[str | None, Parameter(help="The mobile ion of a structure: Li+.")] = None,
    quantity: Annotated[
        Quantity | None,
        Parameter(
            help="What is mapped of a structure: bvse, the site energy (default); bvs, the bond valence sum; mismatch, "
            "its distance from the ion's valence; distance, to the nearest atom. For bvs and mismatch the defaults "
            "are those of amorph bvs: a cutoff of 6.0 Å and an exclusion radius of 1.7 Å."
        ),
    ] = None,
    side: Annotated[
        Side | None,
        Parameter(help="Whether the ion keeps below or above the threshold; by default above for distances alone."),
    ] = None,
    threshold: Annotated[
        float | None, Parameter(help="List the regions at this threshold, in the field's unit.")
    ] = None,
    path: Annotated[
        Path | None, Parameter(help="File for a migration path: csv, xyz (the structure with it) or png, a picture.")
    ] = None,
    origin: Annotated[
        Site, Parameter(name="--from", negative_iterable=(), help="Where the path starts: x y z [Å].")
    ] = None,
    target: Annotated[
        Site, Parameter(name="--to", negative_iterable=(), help="Where it ends, in any image [Å].")
    ] = None,
    dimension: Annotated[
        Literal[1, 2, 3] | None,
        Parameter(help="Without sites the path crosses the cell where a region reaches this dimension (default 1)."),
    ] = None,
    refine: Annotated[
        bool,
        Parameter(
            negative="",
            help="Relax the path's hops by the potential (--model, --factory): elastic bands with a climbing image.",
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Find at which threshold a map runs through the crystal in one, two and three directions, and the path it opens.

    Of the site energy these are the migration barriers: the barrier counts from the lowest point of the cell, the
    region barrier from the lowest point of the region that runs through.
    """
    start(quiet=quiet)
    check_output(path, lambda name: writer_for(name, PATH_WRITERS, "path"))
    how, parameters = _split(parameters)
    _check_asked(path is not None or refine, origin, target, dimension)
    if how and not refine:
        raise ValueError(f"{_flag(how)} belongs to the potential that relaxes a path; give --refine, or leave it out")
    progress = None if quiet else Progress(visible=True).task
    refiner = _refiner(how, progress) if refine else None
    field, atoms = _field(file, ion, quantity, parameters, progress)
    if side is None:
        side = "above" if field.kind == "distance" else "below"
    found = percolation_thresholds(field, side=side)
    regions = None if threshold is None else regions_of(field, threshold=threshold, side=side)
    way = None
    if path is not None or refine:
        way = migration_path(field, start=origin, end=target, dimension=dimension or 1, side=side)
    if way is not None and path is not None:
        write_path(path, way, atoms)
    refined, model = (None, "") if refiner is None or way is None else refiner(way, atoms)
    if json:
        parts: Any = {"regions": (regions, {}), "path": (way, {"file": path}), "refined": (refined, {"model": model})}
        made = {name: part.figures() | also for name, (part, also) in parts.items() if part is not None}
        show_json(found.figures() | density_of(atoms) | field.origin | made)
    elif not quiet:
        _show(file, atoms, field, found, regions)
        if way is not None:
            _show_path(way, path)
        if refined is not None:
            _show_refined(refined, model)
    if refined is not None and not refined.converged:
        raise CheckFailed("a hop did not converge, so that its barrier is none yet; raise --max-steps")


def _check_asked(wanted: bool, origin: Site, target: Site, dimension: int | None) -> None:
    """Refuse half a pair of sites, two kinds of path, and where one would lead that nobody asks for."""
    if not wanted and (origin or target or dimension):
        raise ValueError("--from, --to and --dimension belong to a path; give --path FILE to write it, or --refine")
    if (origin is None) != (target is None):
        raise ValueError(f"--{'to' if target is None else 'from'} is missing; give both sites, or none")
    if origin and dimension:
        raise ValueError("--from and --to lead from site to site, --dimension across the cell; give one of them")


def _refiner(how: dict[str, Any], progress: Task | None) -> Callable[[MigrationPath, Atoms], tuple[RefinedPath, str]]:
    """Make the potential that is asked for; what it gives relaxes a path by it, and names it."""
    calculator = make_calculator(**arguments_of(make_calculator, how))
    band = parse(refine_path, arguments_of(refine_path, how))
    ends = partial(relax, calculator=calculator, fmax=band["fmax"], max_steps=band["max_steps"])
    name = calculator_name(calculator)
    return lambda way, atoms: (refine_path(way, atoms, calculator, ends, **band, progress=progress), name)


def _split(parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what the potential is asked with from what the map is made with."""
    names = {*model_of(refine_path).model_fields, *model_of(make_calculator).model_fields}
    how = {name: value for name, value in parameters.items() if name in names}
    return how, {name: value for name, value in parameters.items() if name not in names}


def _field(
    file: Path, ion: str | None, quantity: Quantity | None, parameters: dict[str, Any], progress: Task | None
) -> tuple[ScalarField, Atoms]:
    """Read a field, or map what is asked of a structure."""
    # without an ion a CHGCAR or CUBE is the field in it, with one the structure
    if file.suffix.lower() in OWN_FIELDS or (ion is None and quantity is None and is_field(file)):
        asked = {"ion": ion, "quantity": quantity, **parameters}
        if given := {name: value for name, value in asked.items() if value is not None}:
            raise ValueError(f"{_flag(given)} belongs to a structure, and {file} is a field; leave it out")
        field, atoms = read_field(file)
        if field.kind not in QUANTITIES or not field.parameters:  # none: a text format, or another program
            return field, atoms
        made = map_again(file, field, atoms)
        return (field if field.kind == "bond_valence" else bond_valence_window(made, progress=progress)), atoms
    quantity = "bvse" if quantity is None else quantity
    if ion is None and quantity != "distance":
        raise ValueError(
            f"the mobile ion of {file} is missing; give it, as in --ion Li+, or --quantity distance, or a field in .npz"
        )
    stage = _STAGES[quantity]
    known = {*model_of(stage).model_fields, *model_of(read_structure).model_fields}
    if unknown := {name: value for name, value in parameters.items() if name not in known}:
        raise ValueError(f"{_flag(unknown)} has no meaning for --quantity {quantity}; leave it out")
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    given = {**arguments_of(stage, parameters), "progress": progress}
    if quantity == "distance":
        return distance_map(atoms, **given), atoms
    made = stage(atoms, ion, **given)
    if quantity == "mismatch":
        return bond_valence_window(made, threads=given.get("threads"), progress=progress), made.atoms
    return made.field, made.atoms


def _flag(parameters: dict[str, Any]) -> str:
    return f"--{next(iter(parameters)).replace('_', '-')}"


def _show(
    file: Path, atoms: Atoms, field: ScalarField, found: PercolationThresholds, regions: Percolation | None
) -> None:
    grid = " × ".join(map(str, field.grid))
    show(found.table(), title=f"percolation of the {field.quantity} in {named(file, atoms)}, grid {grid}")
    say("")
    known = field.kind == "site_energy" and field.parameters  # none: a text format
    origin = (site_energy_pairs(field, atoms) if known else {}) | origin_pairs(field)
    if origin:
        show_pairs(origin)
        say("")
    name = "lowest" if found.side == "below" else "highest"
    if found.extreme_position is None:
        say("every point is excluded")
    else:
        show_pairs({f"{name} [{field.unit}]": found.extreme, "at x y z [Å]": found.extreme_position.round(2)})
    if regions is None:
        return
    say("")
    relation = "≤" if regions.side == "below" else "≥"
    title = f"regions {relation} {regions.threshold:g} {field.unit}"
    if not len(regions):
        say(f"{title}: none")
        return
    show(regions.table(), title=title)
    say("")
    show_pairs(
        {
            "regions": len(regions),
            "share of the cell": regions.fraction_of_cell,
            "of it in 0, 1, 2, 3 dimensions": regions.fractions_by_dimension,
            "largest region's share of all": regions.largest_share,
        }
    )


def _show_refined(refined: RefinedPath, model: str) -> None:
    say("")
    show(refined.table(), title=f"hops of {refined.ion} by {model}")
    for pair in refined.one_site:
        start, end = (" ".join(f"{x:.2f}" for x in site) for site in pair)
        say(f"from {start} to {end} Å there is one site by this potential: no barrier")
    say("")
    show_pairs({"barrier of the map [eV]": refined.map_barrier_eV, "barrier of the potential [eV]": refined.barrier_eV})


def _show_path(way: MigrationPath, path: Path | None) -> None:
    say("")
    show(way.table(), title="path, from site to site")
    say("")
    show_pairs(
        {
            "length [Å]": way.length,
            f"barrier from its start [{way.unit}]": way.barrier,
            f"barrier back [{way.unit}]": way.reverse_barrier,
            "winding": way.winding,
        }
    )
    if path is not None:
        say(f"written to {path}")
