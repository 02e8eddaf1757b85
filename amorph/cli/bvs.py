"""The verb of bond-valence maps: bvs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.bvs import BvsMap, bond_valence_sums, bvs_map, bvs_maps
from amorph.cli.flags import takes
from amorph.cli.maps import bond_pairs, origin_pairs
from amorph.cli.options import File, Json, Output, Quiet, check_field, check_output, check_table
from amorph.cli.output import density_of, named, say, show, show_json, show_pairs, start
from amorph.export import writer_for
from amorph.export.fields import FIELD_WRITERS, write_field
from amorph.parameters import arguments_of
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.run import write_csv
from amorph.structure import with_oxidation_states


def _with_states(
    atoms: Atoms, *, oxidation_states: str | Mapping[str, float] | None = None, parameters: Path | None = None
) -> Atoms:
    """Give the atoms oxidation states, which say what counts as an anion.

    Parameters
    ----------
    oxidation_states
        Which atoms count as anions, those in a negative state: "given", the states that the structure has; "formal",
        balanced by composition; "fitted", by bond lengths; or those of elements, as in S=6. By default those of the
        structure, and in a structure without its elements and bonds decide.
    """
    if oxidation_states is None:
        return atoms
    return with_oxidation_states(atoms, oxidation_states, parameters=parameters)


@takes(bvs_map, _with_states, read_structure)
def bvs(
    file: File,
    /,
    *,
    ion: Annotated[
        list[str] | None,
        Parameter(
            help='The mobile ion: "Mg2+"; once for each of several. Without one the atoms are summed.', negative=()
        ),
    ] = None,
    quantity: Annotated[
        Literal["sum", "mismatch", "signed-mismatch"],
        Parameter(help="What --output holds: the sum v, |v − V| or v − V, V being the valence of the ion."),
    ] = "sum",
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Map the bond valence sum that an ion would have at every point of a grid over the cell.

    Without --ion it shows the bond valence sum of every atom beside its oxidation state, and the global instability
    index; -o FILE.csv keeps that of every atom.

    The name of --output chooses the format: npz (which loses nothing), cube, xsf, CHGCAR, vti,
    vts. With several ions each has its file: of -o bvs.npz, bvs_Mg2+.npz and bvs_Ca2+.npz.
    """
    start(quiet=quiet)
    if ion:
        check_output(output, lambda path: writer_for(path, FIELD_WRITERS, "field"))
    else:
        _sums(file, output, json=json, quiet=quiet, parameters=parameters)
        return
    if len(ion) > 1 and (given := [name for name in ("r0", "b") if parameters.get(name) is not None]):
        raise ValueError(f"--{given[0]} belongs to one ion, and {len(ion)} are given; map them one at a time")
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    check_field(output, atoms, parameters)
    atoms = _with_states(atoms, **arguments_of(_with_states, parameters))
    progress = None if quiet else Progress(visible=True).task
    arguments = arguments_of(bvs_map, parameters)
    if len(ion) == 1:
        maps: tuple[BvsMap, ...] = (bvs_map(atoms, ion[0], progress=progress, **arguments),)
    else:
        maps = bvs_maps(atoms, ion, progress=progress, **arguments_of(bvs_maps, parameters))
    written = [_write_map(output, made, quantity, alone=len(maps) == 1) for made in maps]
    if json:
        figures = [made.figures() | {"file": path} for made, path in zip(maps, written, strict=True)]
        show_json((figures[0] if len(figures) == 1 else {"maps": figures}) | density_of(maps[0].atoms))
    elif not quiet:
        for made, path in zip(maps, written, strict=True):
            _show_map(made, file, path)


def _sums(file: Path, output: Path | None, *, json: bool, quiet: bool, parameters: Mapping[str, Any]) -> None:
    """Show the bond valence sums of the atoms themselves."""
    known = {**arguments_of(read_structure, parameters), **arguments_of(bond_valence_sums, parameters)}
    if strangers := [name for name, value in parameters.items() if name not in known and value is not None]:
        flag = strangers[0].replace("_", "-")
        raise ValueError(f"--{flag} belongs to a map: give the ion that is mapped, as in --ion Mg2+")
    try:
        check_table(output)
    except ValueError as error:
        raise ValueError(f"{error}; a map needs its ion, as in --ion Mg2+") from None
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    made = bond_valence_sums(atoms, **arguments_of(bond_valence_sums, parameters))
    if output is not None:
        write_csv(output, made.per_atom_table())
    if json:
        show_json(made.figures() | density_of(made.atoms) | {"file": output})
    elif not quiet:
        show(made.table(), title=f"bond valence sums of the atoms in {named(file, made.atoms)}")
        say("")
        show_pairs(
            {
                "global instability index": f"{made.global_instability_index:.3f} v.u.",
                "oxidation states": made.charges,
                **bond_pairs(made.parameters),
            }
        )
        say(f"written to {output}" if output else "nothing written: -o FILE.csv keeps the sum of every atom")


def _show_map(made: BvsMap, file: Path, path: Path | None) -> None:
    show(made.table(), title=f"bond valence sum of {made.ion} in {named(file, made.atoms)}")
    say("")
    show_pairs(
        {
            "grid": " × ".join(map(str, made.grid)),
            "window": f"± {made.window:g} v.u., {made.window / made.target_valence:.2g} of the valence",
            **origin_pairs(made.field),
            "anions": f"{made.anions}, within {made.cutoff:g} Å",
            "excluded": exclusion_of(made),
        }
    )
    if made.excluded_fraction > 0.99:
        share = "every point is" if made.excluded_fraction == 1.0 else f"{100 * made.excluded_fraction:.2f} % is"
        others = " --blocking framework leaves out those of the mobile element;" if made.blocking == "all" else ""
        say(f"{share} excluded:{others} --exclusion-radius gives the atoms less room")
    say(f"written to {path}" if path else "nothing written: -o FILE keeps the map")


def _write_map(output: Path | None, made: BvsMap, quantity: str, *, alone: bool) -> Path | None:
    if output is None:
        return None
    path = output if alone else output.with_stem(f"{output.stem}_{made.ion}")
    field = {"sum": "field", "mismatch": "mismatch", "signed-mismatch": "signed_mismatch"}[quantity]
    write_field(path, getattr(made, field), made.atoms)
    return path


def exclusion_of(made: BvsMap) -> str:
    which = "any atom" if made.blocking == "all" else "the framework, its mobile ions left out"
    same = made.anion_exclusion_radius == made.exclusion_radius
    anions = "" if same else f", {made.anion_exclusion_radius:g} Å from {made.anion}"
    return f"points nearer than {made.exclusion_radius:g} Å to {which}{anions}"
