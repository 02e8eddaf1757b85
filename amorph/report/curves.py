"""Every curve of a finished run, glass and crystal together."""

from typing import Any

from amorph.analysis.bvs import sum_as_mapped
from amorph.export.charts import Chart, course, powder, profile, radial, scattering, spheres, valences, volumes
from amorph.pipeline.mobility import MOBILITY
from amorph.report.found import FoundRun, columns
from amorph.report.moving import leaving, moving
from amorph.tables import element_of


def curves_of(run: FoundRun) -> dict[str, list[Chart]]:
    """Give the charts of a run by what they are about: its course, its structure, its room, its ion on the move."""
    about = {
        "course": [
            course(f"course-{folder.name}", f"Stage {folder.name.replace('_', ' ')}", columns(folder / "thermo.csv"))
            for folder in run.dynamics
            if not (folder / MOBILITY).exists()  # what is measured there has figures of its own
        ]
    }
    if not run.branches:
        return about
    return about | {"structure": _order(run), "room": _room(run), "motion": moving(run), "voltage": leaving(run)}


def _order(run: FoundRun) -> list[Chart]:
    tables = {name: _both(run, name) for name in ("g_r", "s_q", "pattern")}
    if "glass" not in tables["g_r"]:  # a cell too small for bonds to be measured
        return []
    anions = run.branches["glass"].figures["analysis"]["bvs"]["all"]["anion"].split(",")
    return [radial(tables["g_r"], anions), scattering(tables["s_q"]), powder(tables["pattern"])]


def _room(run: FoundRun) -> list[Chart]:
    bvs, way = run.branches["glass"].bvs, run.branches["glass"].way
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
        volumes(_both(run, "voronoi_atoms")),
        valences(values, ions, bvs.ion, bvs.target_valence, bvs.window),
        spheres(sizes),
    ]
    return made if way is None else [*made, profile(way, "Along the migration path of the glass")]


def _both(run: FoundRun, name: str) -> dict[str, Any]:
    found = {kind: branch.table(name) for kind, branch in run.branches.items()}
    return {kind: table for kind, table in found.items() if table is not None}
