"""The curves of whatever a path names: a run, a stage, a table, a field, a structure or a trajectory."""

import csv
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import bvs_map_of
from amorph.analysis.glass_report import structure_report
from amorph.analysis.percolation import migration_path
from amorph.analysis.transport import diffusion
from amorph.analysis.voronoi import tessellate
from amorph.export.charts import Chart, charts_of, profile, spread, table_charts, volumes
from amorph.reading import is_field, read_field, read_trajectory
from amorph.report.curves import curves_of
from amorph.report.found import columns, found_run
from amorph.report.members import is_ensemble
from amorph.report.moving import moved_in_stage
from amorph.report.steady import check_ensembles, target_temperature, timed
from amorph.run import SUMMARY, refuse_links

log = logging.getLogger(__name__)


def charts_from(path: Path) -> list[Chart]:
    """Give every curve of a run directory, a stage of it, or a file.

    Raises
    ------
    ValueError
        It holds none, or cannot be read.
    """
    if path.is_dir():
        charts = _of_folder(path)
    elif path.suffix.lower() == ".csv":
        charts = table_charts(path.name, _table(path))
    elif is_field(path):
        charts = _of_field(path)
    else:
        charts = _of_frames(path, read_trajectory(path))
    if not charts:
        raise ValueError(
            f"{path} holds no curve that is known: give a run, a stage, a table that amorph wrote, a field, a "
            "structure or a trajectory"
        )
    return charts


def _table(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the name")
    if not path.is_file():
        raise ValueError(f"{path} is no regular file; give one")
    try:
        return columns(path)
    except (ValueError, IndexError, csv.Error) as error:
        raise ValueError(f"{path} is no table that can be read: {error}; give one as amorph wrote it") from None


def _of_folder(path: Path) -> list[Chart]:
    refuse_links(path)
    if is_ensemble(path):
        raise ValueError(f"{path} is an ensemble; amorph ensemble summary {path} -o FILE.pdf draws it")
    if (path / SUMMARY).exists():
        return [chart for charts in curves_of(found_run(path)).values() for chart in charts]
    tables = sorted(path.glob("*.csv"))
    found = [(file.stem, chart) for file in tables for chart in table_charts(path.name, _table(file))]
    times = Counter(chart.name for _, chart in found)
    charts = [replace(chart, name=f"{chart.name}_{stem}") if times[chart.name] > 1 else chart for stem, chart in found]
    charts += moved_in_stage(path)
    if not charts:
        found_run(path)  # says why this is no run either
    return charts


def _of_field(path: Path) -> list[Chart]:
    field, atoms = read_field(path)
    charts: list[Chart] = []
    if field.kind == "bond_valence" and field.parameters:
        made = bvs_map_of(field, atoms)
        charts = charts_of(made)
    elif field.kind != "site_energy":
        return [spread(field)]
    try:
        return [*charts, profile(migration_path(field))]
    except ValueError as error:
        log.warning("%s: no path is drawn: %s", path, error)
        return charts or [spread(field)]


def _of_frames(path: Path, frames: list[Atoms]) -> list[Chart]:
    charts: list[Chart] = []
    try:
        charts += charts_of(structure_report([frames]))
    except ValueError as error:  # a cell too small for a g(r) with a minimum, say
        log.warning("%s: order and scattering are not drawn: %s", path, error)
    cells = tessellate(frames[-1])
    charts.append(volumes({"": {"species": np.array(cells.symbols), "volume_A3": cells.volumes}}))
    if len(frames) > 1 and all("time_ps" in frame.info for frame in frames):
        try:
            steady, interval_ps = timed(frames)
            target_temperature(steady)
            check_ensembles(path, steady, langevin=False, told=True)  # displacements need no temperature
            charts += charts_of(diffusion(steady, frame_interval_ps=interval_ps))
        except ValueError as error:
            log.warning("%s: displacements are not drawn: %s (flags are those of amorph diffusion)", path, error)
    return charts
