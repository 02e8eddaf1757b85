"""What moved in the dynamics of a run, measured again by the rules of today: the tables of docs/validation.md.

Run ``python benchmarks/mobility_again.py RUN -o FILE.json``; a run that was stopped has what it finished. A FILE.json
that it wrote is printed by ``python benchmarks/mobility_again.py FILE.json``. Several of either are one table. RUN may
be a directory of ``amorph melt-quench`` too, whose schedule ends with a segment ``measure``; then it is told of what
it is, and which ion moves: ``--of "crystal before it" --ion Li+``.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amorph.analysis.transport.activation import fit_arrhenius
from amorph.pipeline.mobility import MEASURED, found_in
from amorph.pipeline.recording import read_thermo, sampled_frames
from amorph.run import read_json, read_structure

PARTS = {"glass": ".", "crystal": "crystal", "glass before the exchange": "host", "crystal before it": "crystal/host"}
"""Where a run keeps the dynamics of what."""


def beginning(folder: Path) -> Path:
    """Give the structure that the dynamics in a folder of stages began with."""
    here, above = ("*_final_relax",), ("*_equilibrate", "*_relax")  # a crystal before the exchange is relaxed alone
    found = [folder.glob(f"{name}/structure.extxyz") for name in here]
    found += [folder.parent.glob(f"{name}/structure.extxyz") for name in above]
    return next(path for paths in found for path in sorted(paths))


def measured(run: Path) -> Iterator[dict[str, Any]]:
    """Give what each finished stage of dynamics found, with the structure that it is of."""
    for part, name in PARTS.items():
        folder = run / name
        stages = folder.glob("*_diffusion_*K*/stage.json")
        for stage in sorted(stages, key=lambda path: int(path.parent.name.split("_")[0])):
            found = read_json(stage.parent / "mobility.json")
            yield again(
                stage.parent,
                part,
                read_json(stage)["parameters"]["ion"],
                read_structure(beginning(folder)),
                found["temperature_K"],
                model=found["model"],
                melted=found["crystallinity"]["melted"],
                mobile=set(found["details"]) - set(found["host_displaced"]),
                seed=found["seed"],
            )


def alone(run: Path, part: str, ion: str) -> dict[str, Any]:
    """Give what dynamics by ``amorph melt-quench`` found, of which alone nobody knows whether it melted before."""
    folder = run / "1_melt_quench"
    stage = read_json(folder / "stage.json")
    first = next(sampled_frames(folder / "trajectory.extxyz"))
    kelvin = stage["parameters"]["schedule"]["segments"][-1]["end_K"]
    return again(folder, part, ion, first, kelvin, model=stage["figures"]["model"], melted="glass" in part)


def again(folder: Path, part: str, ion: str, atoms: Atoms, kelvin: float, **how: Any) -> dict[str, Any]:
    """Measure the dynamics that a folder holds by the rules of today."""
    made = read_json(folder / "stage.json")["parameters"]
    every, step_fs = made["sample_every"], made["schedule"]["timestep_fs"]
    pressures = [row.pressure_GPa for row in read_thermo(folder / "thermo.csv") if row.segment == MEASURED]
    found = found_in(folder, atoms, ion, kelvin, every, step_fs, **how)
    return {"of": part, "pressure_GPa": float(np.mean(pressures))} | found.figures()


def interval(found: dict[str, Any]) -> str:
    """Write a D and its interval, or its limit [1e-5 cm²/s]."""
    if found["interval_95"] is None:
        return f"none seen, at most {1e5 * found['upper_limit_cm2_s']:.2g}"
    low, high = (1e5 * end for end in found["interval_95"])
    return f"{1e5 * found['diffusivity_cm2_s']:.2g} ({low:.2g} to {high:.2g})"


def line(rows: list[dict[str, Any]]) -> str:
    """Give the line through every temperature, whether its host stands or not: no activation energy of the ion."""
    seen = [(one["measured_K"], one["diffusivity_cm2_s"], one["standard_error"]) for one in rows if one["interval_95"]]
    limits = [(one["measured_K"], one["upper_limit_cm2_s"]) for one in rows if not one["interval_95"]]
    try:
        found = fit_arrhenius(rows[0]["element"], seen, limits)
    except ValueError as error:
        return str(error)
    figures = ", ".join(
        f"{row['figure']} {row['value']:.2g} ({row['from']:.2g} to {row['to']:.2g})" for row in found.table()
    )
    return f"through all temperatures, standing or not: {figures}{'; ' + found.caveat if found.caveat else ''}"


def main() -> None:
    """Print a line for each temperature."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN|FILE.json")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--of", help="what the one RUN of amorph melt-quench is of")
    parser.add_argument("--ion", help="which ion moves in it")
    given = parser.parse_args()
    if given.of and (len(given.runs) > 1 or not given.ion):
        parser.error("--of tells of one RUN of amorph melt-quench, and --ion which ion moves in it")
    if given.of:
        rows = [alone(given.runs[0], given.of, given.ion)]
    else:
        rows = [row for run in given.runs for row in (measured(run) if run.is_dir() else json.loads(run.read_text()))]
    rows.sort(key=lambda row: (list(PARTS).index(row["of"]), row["temperature_K"]))
    print(
        f"{'of':<27}{'K':>5}{'GPa':>5}  {'ion':<4}{'D [1e-5 cm²/s]':<26}{'MSD [Å²]':>9}{'change [meV]':>13}  left [%]"
    )
    for found in rows:
        ion = found["details"][found["element"]]
        left = ", ".join(f"{symbol} {100 * share:.0f}" for symbol, share in found["host_displaced"].items())
        print(
            f"{found['of']:<27}{found['temperature_K']:>5g}{found['pressure_GPa']:>5.1f}  {found['element']:<4}"
            f"{interval(found):<26}"
            f"{ion['msd_A2']:>9.2g}{found['energy_change_meV']:>7.0f} ± {found['energy_error_meV']:<3.0f}  {left}: "
            f"{'stands' if found['survives'] else 'falls'}"
        )
    for part in dict.fromkeys(found["of"] for found in rows):
        print(f"{part}: {line([found for found in rows if found['of'] == part])}")
    if given.output:
        given.output.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
