"""The verb of electrochemistry: voltage."""

from functools import partial
from typing import Any

from amorph.analysis.electrochemistry import Voltage, metal_crystal, moments_by, voltage as measure
from amorph.calculators import calculator_name, make_calculator
from amorph.cli.flags import takes
from amorph.cli.options import File, Json, Quiet, Seed
from amorph.cli.output import CheckFailed, density_of, say, show, show_json, show_pairs, start
from amorph.parameters import arguments_of, generator_of
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.relaxation import MovingCell, relax as minimize
from amorph.tables import parse_ion


@takes(measure, minimize, make_calculator, read_structure, skip=("metal_energy_eV",))
def voltage(
    file: File,
    /,
    *,
    cell: MovingCell = "free",
    fmax: float = 0.02,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """At what voltage does the ion leave? Voltages, capacity, volume and valences, against the ion's metal.

    The structure is the discharged one, all ions in. Every step, the first one too, and the metal are relaxed by the
    same potential.
    """
    start(quiet=quiet)
    atoms = read_structure(file, **arguments_of(read_structure, parameters))
    given = arguments_of(measure, parameters)
    ion = parse_ion(given.get("ion") or "Mg2+")
    reference = metal_crystal(ion.element)
    calculator = make_calculator(**arguments_of(make_calculator, parameters))
    how = arguments_of(minimize, parameters) | {"fmax": fmax}
    metal = minimize(reference, calculator, **how | {"cell": "free"})
    found = measure(
        atoms,
        partial(minimize, calculator=calculator, **how | {"cell": cell}),
        metal_energy_eV=metal.energy_eV / len(reference),
        rng=generator_of(seed),
        moments=moments_by(calculator, metal.atoms),
        progress=None if quiet else Progress(visible=True).task,
        **given,
    )
    model = calculator_name(calculator)
    if json:
        show_json(found.figures() | density_of(atoms) | {"model": model, "metal_converged": metal.converged})
    elif not quiet:
        _show(found, model, density_of(atoms))
    if not (found.converged and metal.converged):
        raise CheckFailed("a relaxation did not converge, so that its energy is an upper bound; raise --max-steps")


def _show(found: Voltage, model: str, density: dict[str, float]) -> None:
    show(found.table(), title=f"{found.ion} leaves {found.formula}, {found.pick} of the choices")
    say("")
    show_pairs(
        {
            "average voltage [V]": found.average_voltage_V,
            "its standard error [V]": found.standard_error,
            "capacity [mAh/g]": found.capacity_mAh_per_g,
            "capacity [mAh/cm³]": found.capacity_mAh_per_cm3,
            "energy [Wh/kg]": found.energy_Wh_per_kg,
            "volume change": f"{100 * found.volume_change:+.2f} %",
            "density, as given [g/cm³]": density["density_g_cm3"],
            "metal [eV per atom]": f"{found.metal_energy_eV:.4f}",
            "model": model,
        }
    )
