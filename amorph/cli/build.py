"""The verbs that make structures and hand them on: build, substitute, vasp-input."""

from typing import Any

from amorph import rocksalt
from amorph.calculators import make_calculator
from amorph.cli.flags import takes
from amorph.cli.options import Json, Output, Quiet, Seed, check_output
from amorph.cli.output import CheckFailed, say, show, show_json, show_pairs, start
from amorph.cli.relax import relaxed_figures, relaxed_with_progress
from amorph.export import structure_writer, write_structure
from amorph.parameters import arguments_of, generator_of, parse
from amorph.progress import Progress
from amorph.relaxation import relax


@takes(rocksalt.build, relax, make_calculator, skip=("cell",))
def build(
    composition: str,
    /,
    *,
    seed: Seed = 0,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Build a rocksalt supercell with the cations at random on the cation sublattice.

    With --lattice-constant relaxed the cell is relaxed isotropically with the calculator, to which --fmax and the flags
    after it belong.
    """
    start(quiet=quiet)
    check_output(output, structure_writer)
    to_relax = parameters.get("lattice_constant") == "relaxed"
    for_relaxing = arguments_of(relax, parameters) | arguments_of(make_calculator, parameters)
    if for_relaxing and not to_relax:
        name, value = next(iter(for_relaxing.items()))
        raise ValueError(f"{name} = {value} is for a relaxation; leave it out or give --lattice-constant relaxed")
    built = rocksalt.build(composition, **arguments_of(rocksalt.build, parameters), rng=generator_of(seed))
    atoms, figures = built.atoms, built.figures()
    relaxed = None
    if to_relax:
        calculator = make_calculator(**arguments_of(make_calculator, parameters))
        how = parse(relax, {"cell": "isotropic", **arguments_of(relax, parameters)})
        relaxed = relaxed_with_progress(atoms, calculator, how, Progress(visible=not quiet))
        atoms = relaxed.atoms
        figures["relaxation"] = relaxed_figures(relaxed, calculator)
        ratio = relaxed.volume / relaxed.start_volume
        figures["lattice_constant"] *= ratio ** (1 / 3)
        figures["density_g_cm3"] /= ratio
        figures["lattice_constant_source"] = f"relaxed by {figures['relaxation']['model']}"
    if output is not None:
        write_structure(output, atoms)
    if json:
        show_json(figures | {"atoms": len(atoms), "file": output})
    elif not quiet:
        show(built.table(), title=f"{built.formula}: {len(atoms)} atoms")
        if relaxed is not None:
            show(relaxed.table(), title=f"\nrelaxation, {relaxed.steps} steps")
        say("")
        show_pairs(
            {
                "residual charge [e]": built.residual_charge,
                "largest deviation [atoms]": max(built.deviation.values(), key=abs),
                "lattice constant [Å]": f"{figures['lattice_constant']:.4f} ({figures['lattice_constant_source']})",
                "density [g/cm³]": figures["density_g_cm3"],
            }
        )
        say(f"written to {output}" if output else "nothing written: -o FILE keeps the structure")
    if relaxed is not None and not relaxed.converged:
        raise CheckFailed(f"the relaxation did not converge in {relaxed.steps} steps; allow more with --max-steps")
