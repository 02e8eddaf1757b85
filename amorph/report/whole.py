"""The page of a finished run: what was made, whether to trust it, and everything that shows it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from amorph.analysis.isosurface import nested_surfaces
from amorph.analysis.percolation import MigrationPath
from amorph.report import scenes
from amorph.report.citations import bibtex, keys_of_run
from amorph.report.curves import curves_of
from amorph.report.drawing import inlined
from amorph.report.found import FoundRun, found_run, movie_frames
from amorph.report.page import write_page
from amorph.run import read_structure

REPORT: Final = "report.html"
"""Name of the page in a run directory."""

HEADLINES: Final = (
    "verdict, exchanged and relaxed",
    "density",
    "volume per anion",
    "f_V, ",
    "window share of the cell",
    "room v ≤",
    "migration barrier (BVSE)",
    "largest free sphere",
)
"""How the figures begin that stand at the top of the page."""


def write_report(directory: Path, path: Path | None = None) -> Path:
    """Write the page of a finished run; returns its path, by default ``report.html`` in the run directory.

    Raises
    ------
    ValueError
        The directory holds no finished run, or the page cannot be written there.
    """
    run = found_run(directory)
    path = directory / REPORT if path is None else path
    way = None if not run.branches else run.branches["glass"].way
    rows = [{"share": False, **row} for row in run.summary["comparison"]]
    write_page(
        path,
        "report.html",
        title=run.summary["title"],
        summary=run.summary,
        composition=run.summary["host"]["build"],
        exchange=_exchange(run),
        convention=_convention(run),
        headlines=[row for row in rows if row["figure"].startswith(HEADLINES)],
        rows=rows,
        replicas=len(run.summary["exchanged"]),
        scenes=_scenes(run, way),
        sections=_sections(run),
        provenance=run.provenance,
        study=run.study,
        command=f"amorph run study.toml --dir {shlex.quote(directory.name)}-again",
        bibtex=bibtex(keys_of_run(run)),
    )
    return path


def _scenes(run: FoundRun, way: MigrationPath | None) -> list[dict[str, Any]]:
    made = []
    for name, branch in run.branches.items():
        scene = scenes.structure_scene(f"exchanged {name}", branch.atoms, branch.ion)
        found = nested_surfaces(branch.bvs.field, branch.bvs.atoms)
        scene["surfaces"] = [scenes.surfaces_of(found, start=branch.bvs.window)]
        if branch.energies is not None:
            opens = None if way is None or way.unit != "eV" else way.threshold
            scene["surfaces"] += [scenes.surfaces_of(nested_surfaces(branch.energies, branch.atoms, opens=opens))]
        if name == "glass" and way is not None:
            scene["path"] = scenes.path_of(way)
        made.append(scene)
    if not made:
        folder = run.dynamics[-1]
        made = [scenes.structure_scene(run.summary["subject"], read_structure(folder / "structure.extxyz"), None)]
    if run.dynamics:
        folder = run.dynamics[0]
        frames, count = movie_frames(folder)
        captions = [
            f"{frame.info['time_ps']:.3f} ps, {frame.info['segment']}, {frame.info['target_K']:.0f} K wanted"
            for frame in frames
        ]
        made[0]["movie"] = scenes.movie_of(frames, captions, of=count)
    return made


def _sections(run: FoundRun) -> list[dict[str, Any]]:
    """Draw every figure, by section."""
    titles = {
        "course": "Melt and quench",
        "structure": "Structure",
        "room": "Volumes, valences and voids",
        "motion": "Does the ion move?",
        "voltage": "Voltage",
    }
    made = {name: [inlined(chart) for chart in charts] for name, charts in curves_of(run).items()}
    return [{"name": name, "title": titles[name], "drawings": drawings} for name, drawings in made.items() if drawings]


def _exchange(run: FoundRun) -> Mapping[str, Any] | None:
    return run.branches["glass"].figures["substitute"] if run.branches else None


def _convention(run: FoundRun) -> Mapping[str, Any] | None:
    """Give what f_V is counted with."""
    return run.branches["glass"].figures["analysis"]["free_volume"] if run.branches else None
