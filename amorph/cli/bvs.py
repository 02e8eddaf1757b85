"""The verb of bond-valence maps: bvs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.bvs import BvsMap, bvs_map, bvs_maps, window_convergence
from amorph.analysis.grids import Task
from amorph.cli.flags import takes
from amorph.cli.options import File, Json, Output, Quiet, check_field, check_output
from amorph.cli.output import say, show, show_json, show_pairs, start
from amorph.export import writer_for
from amorph.export.fields import FIELD_WRITERS, write_field
from amorph.figures import plain
from amorph.parameters import arguments_of
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.structure import with_oxidation_states

_GRID = ("grid", "spacing", "window")
_CONVERGENCE = ("grids", "windows")


def _with_states(
    atoms: Atoms, *, oxidation_states: str | Mapping[str, float] | None = None, parameters: Path | None = None
) -> Atoms:
    """Give the atoms oxidation states, which say what counts as an anion.

    Parameters
    ----------
    oxidation_states
        Which atoms of the anion's element count, those in a negative state: "given", the states that the structure has;
        "formal", balanced by composition; "fitted", by bond lengths; or those of elements, as in S=6. By default those
        of the structure, and in a structure without all atoms of the element count.
    """
    if oxidation_states is None:
        return atoms
    return with_oxidation_states(atoms, oxidation_states, parameters=parameters)


@takes(bvs_map, window_convergence, _with_states, read_structure)
def bvs(
    file: File,
    /,
    *,
    ion: Annotated[list[str], Parameter(help='The mobile ion: "Mg2+"; once for each of several.', negative=())],
    quantity: Annotated[
        Literal["sum", "mismatch", "signed-mismatch"],
        Parameter(help="What --output holds: the sum v, |v − V| or v − V, V being the valence of the ion."),
    ] = "sum",
    convergence: Annotated[
        bool, Parameter(help="Give the share of the window for several --windows on several --grids.", negative=())
    ] = False,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Map the bond valence sum that an ion would have at every point of a grid over the cell.

    The name of --output chooses the format: npz (which amorph isosurface and percolation read), cube, xsf, CHGCAR, grd,
    pgrid, vti, vts. With several ions each has its file: of -o bvs.npz, bvs_Mg2+.npz and bvs_Ca2+.npz.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, FIELD_WRITERS, "field"))
    misplaced = [name for name in (_GRID if convergence else _CONVERGENCE) if parameters.get(name) is not None]
    if misplaced:
        raise ValueError(f"--{misplaced[0]} has no place {'with' if convergence else 'without'} --convergence; omit it")
    if convergence and output is not None:
        raise ValueError(f"--convergence makes no single map to write to {output}; leave out one of the two")
    if len(ion) > 1 and (given := [name for name in ("r0", "b") if parameters.get(name) is not None]):
        raise ValueError(f"--{given[0]} belongs to one ion, and {len(ion)} are given; map them one at a time")
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    check_field(output, atoms, parameters)
    atoms = _with_states(atoms, **arguments_of(_with_states, parameters))
    progress = None if quiet else Progress(visible=True).task
    if convergence:
        _converge(atoms, file, ion, arguments_of(window_convergence, parameters), progress, json=json, quiet=quiet)
        return
    arguments = arguments_of(bvs_map, parameters)
    if len(ion) == 1:
        maps: tuple[BvsMap, ...] = (bvs_map(atoms, ion[0], progress=progress, **arguments),)
    else:
        maps = bvs_maps(atoms, ion, progress=progress, **arguments_of(bvs_maps, parameters))
    written = [_write_map(output, made, quantity, alone=len(maps) == 1) for made in maps]
    if json:
        figures = [made.figures() | {"file": path} for made, path in zip(maps, written, strict=True)]
        show_json(figures[0] if len(figures) == 1 else {"maps": figures})
    elif not quiet:
        for made, path in zip(maps, written, strict=True):
            _show_map(made, file, path)


def _show_map(made: BvsMap, file: Path, path: Path | None) -> None:
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
    if made.excluded_fraction == 1.0:
        others = " --blocking framework leaves out those of the mobile element;" if made.blocking == "all" else ""
        say(f"every point is excluded:{others} --exclusion-radius gives the atoms less room")
    say(f"written to {path}" if path else "nothing written: -o FILE keeps the map")


def _write_map(output: Path | None, made: BvsMap, quantity: str, *, alone: bool) -> Path | None:
    if output is None:
        return None
    path = output if alone else output.with_stem(f"{output.stem}_{made.ion}")
    field = {"sum": "field", "mismatch": "mismatch", "signed-mismatch": "signed_mismatch"}[quantity]
    write_field(path, getattr(made, field), made.atoms)
    return path


def _converge(
    atoms: Atoms,
    file: Path,
    ions: list[str],
    arguments: dict[str, Any],
    progress: Task | None,
    *,
    json: bool,
    quiet: bool,
) -> None:
    found = [window_convergence(atoms, ion, progress=progress, **arguments) for ion in ions]
    if json:
        figures = [
            plain(made) | {"window_fractions_of_accessible": plain(made.window_fractions_of_accessible)}
            for made in found
        ]
        show_json(figures[0] if len(figures) == 1 else {"ions": figures})
    elif not quiet:
        for made in found:
            title = f"share of the cell with |v − {made.target_valence:g}| < w v.u. for {made.ion} in {file.name}"
            show(made.table(), title=title)


def exclusion_of(made: BvsMap) -> str:
    which = "any atom" if made.blocking == "all" else "the framework, its mobile ions left out"
    same = made.anion_exclusion_radius == made.exclusion_radius
    anions = "" if same else f", {made.anion_exclusion_radius:g} Å from {made.anion}"
    return f"points nearer than {made.exclusion_radius:g} Å to {which}{anions}"
