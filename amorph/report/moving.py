"""How the ion of a run moves and leaves: in glass and crystal, and in both before the exchange."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amorph.export.charts import Chart, Rate, diffusion_by_temperature, displacements, displacements_by, voltages
from amorph.pipeline.electrode import voltage_found
from amorph.pipeline.mobility import MOBILITY, measured_again, motion_found
from amorph.report.found import FoundRun
from amorph.run import read_json

Chain = tuple[Path, Mapping[str, Any]]
"""Folder of a row of stages, and their figures."""


def moving(run: FoundRun) -> list[Chart]:
    """Give the displacements of every row of stages that measures them, and D by temperature of all of them."""
    charts, rates, lines = [], {}, {}
    for number, (name, (home, figures)) in enumerate(_chains(run).items()):
        found, line = motion_found(figures)
        if not found:
            continue
        measured = {one.place: measured_again(_folder(home, stage)) for stage, one in found.items()}
        element = next(iter(found.values())).element
        charts.append(displacements_by(f"msd-{number}", f"Mean-square displacement in the {name}", measured))
        series = f"{element}, {name}"
        rates[series] = [
            Rate(one.measured_K, one.diffusivity_cm2_s, one.interval_95, one.upper_limit_cm2_s, one.survives)
            for one in found.values()
        ]
        if line is not None:
            lines[series] = line
    return [*charts, diffusion_by_temperature(rates, lines)] if rates else []


def leaving(run: FoundRun) -> list[Chart]:
    """Give the voltage of glass and crystal on the removal of the ion, where it was asked for."""
    found = {
        name: voltage_found(branch.figures["voltage"])
        for name, branch in run.branches.items()
        if "voltage" in branch.figures
    }
    return [voltages(found)] if found else []


def moved_in_stage(folder: Path) -> list[Chart]:
    """Give what one stage says of motion or voltage; none of any other stage."""
    if (folder / MOBILITY).exists():
        return [displacements({"": measured_again(folder)})]
    mark = folder / "stage.json"
    figures = read_json(mark)["figures"] if mark.exists() else {}
    return [voltages({"": voltage_found(figures)})] if "voltage" in figures else []


def _chains(run: FoundRun) -> dict[str, Chain]:
    """Name every row of stages in which an ion can move."""
    chains = {name: (branch.analysis.parent, branch.figures) for name, branch in run.branches.items()}
    hosts = {"glass": (run.directory / "host", run.summary["host"])}
    if "crystal" in run.branches:
        hosts["crystal"] = (run.directory / "crystal/host", run.branches["crystal"].figures.get("host", {}))
    return chains | {f"{name} before the exchange": chain for name, chain in hosts.items()}


def _folder(home: Path, stage: str) -> Path:
    found = list(home.glob(f"*_{stage}"))
    if len(found) != 1:
        raise ValueError(f"{home} has {len(found)} folders of the stage {stage}, not one; continue the run to make it")
    return found[0]
