"""The page of a finished run: what was made, whether to trust it, and everything that shows it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from amorph.analysis.bvs import sum_as_mapped
from amorph.analysis.isosurface import nested_surfaces
from amorph.analysis.percolation import MigrationPath, migration_path
from amorph.report import charts, scenes
from amorph.report.citations import bibtex, keys_of_run
from amorph.report.drawing import Drawing
from amorph.report.found import Branch, FoundRun, columns, found_run, movie_frames
from amorph.report.page import write_page
from amorph.run import read_structure
from amorph.tables import element_of

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
    way = None if not run.branches else _way(run.branches["glass"])
    rows = [{**row, "share": _is_share(row)} for row in run.summary["comparison"]]
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
        sections=_sections(run, way),
        provenance=run.provenance,
        study=run.study,
        command=f"amorph run study.toml --dir {shlex.quote(directory.name)}-again",
        bibtex=bibtex(keys_of_run(run)),
    )
    return path


def _way(branch: Branch) -> MigrationPath | None:
    """Find the path of the lowest barrier through the glass's site energies, or through the mismatch of its map."""
    field = branch.bvs.mismatch if branch.energies is None else branch.energies
    try:
        return migration_path(field)
    except ValueError:  # none runs through the crystal: the page then shows none
        return None


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


def _sections(run: FoundRun, way: MigrationPath | None) -> list[dict[str, Any]]:
    """Draw every figure, by section."""
    course = [
        charts.course(f"course-{folder.name}", f"Stage {folder.name.replace('_', ' ')}", columns(folder / "thermo.csv"))
        for folder in run.dynamics
    ]
    sections = [("course", "Melt and quench", course)]
    if run.branches:
        sections += [("structure", "Structure", _order(run)), ("room", "Volumes, valences and voids", _room(run, way))]
    return [{"name": name, "title": title, "drawings": made} for name, title, made in sections if made]


def _order(run: FoundRun) -> list[Drawing]:
    tables = {name: _both(run, name) for name in ("g_r", "s_q", "pattern")}
    if "glass" not in tables["g_r"]:  # a cell too small for bonds to be measured
        return []
    anion = run.branches["glass"].figures["analysis"]["bvs"]["all"]["anion"]
    return [charts.radial(tables["g_r"], anion), charts.scattering(tables["s_q"]), charts.powder(tables["pattern"])]


def _room(run: FoundRun, way: MigrationPath | None) -> list[Drawing]:
    bvs = run.branches["glass"].bvs
    values, ions, sizes = {}, {}, {}
    for name, branch in run.branches.items():
        values[name] = branch.bvs.field.values[branch.bvs.field.values > 0]
        places = branch.atoms.positions[branch.atoms.symbols == element_of(branch.ion)]
        ions[name] = sum_as_mapped(branch.bvs, places)
        voids = branch.figures["analysis"]["voids"]["framework"]
        sizes[name] = {
            "largest that fits": voids["largest_included_radius"],
            **{f"largest that passes, {each['dimension']}D": each["radius"] for each in voids["passages"]},
            "mean pore": voids["mean_pore_radius"],
        }
    known = set.intersection(*(set(each) for each in sizes.values()))
    sizes = {name: {key: value for key, value in each.items() if key in known} for name, each in sizes.items()}
    made = [
        charts.volumes(_both(run, "voronoi_atoms")),
        charts.valences(values, ions, bvs.ion, bvs.target_valence, bvs.window),
        charts.spheres(sizes),
    ]
    if way is not None:
        name = "site energy" if way.unit == "eV" else "mismatch"
        made.append(charts.profile(way.lengths, way.values, way.sites, way.unit, name))
    return made


def _both(run: FoundRun, name: str) -> dict[str, Any]:
    found = {kind: branch.table(name) for kind, branch in run.branches.items()}
    return {kind: table for kind, table in found.items() if table is not None}


def _exchange(run: FoundRun) -> Mapping[str, Any] | None:
    return run.branches["glass"].figures["substitute"] if run.branches else None


def _convention(run: FoundRun) -> Mapping[str, Any] | None:
    """Give what f_V is counted with."""
    return run.branches["glass"].figures["analysis"]["free_volume"] if run.branches else None


def _is_share(row: Mapping[str, Any]) -> bool:
    """Tell whether a figure is a share, and reads best as a percentage."""
    return not row["unit"] and (row["figure"].startswith("f_V, ") or "share" in row["figure"])
