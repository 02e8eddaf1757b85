"""The charts of a result: what a notebook plots, and what files of a result are drawn as."""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from amorph.analysis.bvs import BvsMap, sum_as_mapped
from amorph.analysis.electrochemistry import Voltage
from amorph.analysis.glass_report import StructureReport
from amorph.analysis.order import BondAngles, PairDistributions
from amorph.analysis.percolation import MigrationPath
from amorph.analysis.scattering import Comparison, PairFunction, PowderPattern, StructureFactor
from amorph.analysis.transport import Arrhenius, Diffusion
from amorph.analysis.voids import ProbeCurve, Voids
from amorph.analysis.voronoi import FreeVolume
from amorph.export.charts.chart import Chart, Columns
from amorph.export.charts.material import measured, powder, profile, radial, scattering, transformed
from amorph.export.charts.motion import activation, displacement_curves, displacements, voltages
from amorph.export.charts.room import valences, volumes
from amorph.export.charts.running import course
from amorph.export.charts.style import Palette
from amorph.tables import element_of


@singledispatch
def charts_of(result: Any) -> list[Chart]:
    """Give the charts of a result; none where no curve is in it."""
    rows = result.table()
    return table_charts(type(result).__name__, columns_of(rows)) if rows else []


def table_charts(name: str, table: Columns) -> list[Chart]:
    """Give the charts of a table, known by its columns, as amorph's CSV files have them; none where it is another."""
    if {"time_ps", "segment", "temperature_K", "target_K", "potential_energy_eV", "pressure_GPa"} <= table.keys():
        return [course("course", f"Course of {name}", table)]
    if {"r_A", "g_total"} <= table.keys():
        return [radial({"": table})]
    if {"q_per_A", "s_neutron", "s_xray"} <= table.keys():
        return [scattering({"": table})]
    if {"two_theta_deg", "intensity"} <= table.keys():
        return [powder({"": table})]
    if {"species", "volume_A3"} <= table.keys():
        return [volumes({"": table})]
    if {"element", "lag_ps", "msd_A2", "non_gaussian"} <= table.keys():
        return [displacement_curves(_by_element(table))]
    return []


def _by_element(table: Columns) -> dict[str, Columns]:
    """Part a table of displacements by element, and by file where it is of several."""
    files = table.get("file", np.full(len(table["element"]), ""))
    several = len(set(files.tolist())) > 1
    parts: dict[str, Columns] = {}
    for file, element in dict.fromkeys(zip(files.tolist(), table["element"].tolist(), strict=True)):
        mine = (table["element"] == element) & (files == file)
        parts[f"{element}, {file}" if several else element] = {key: column[mine] for key, column in table.items()}
    return parts


def columns_of(rows: Sequence[dict[str, Any]]) -> Columns:
    """Turn the rows of a table into its columns; what is missing is no number."""
    return {key: np.array([np.nan if row[key] is None else row[key] for row in rows]) for key in rows[0]}


def pattern_columns(pattern: PowderPattern) -> Columns:
    """Give the columns of a pattern's table."""
    return {"two_theta_deg": pattern.two_theta_deg, "intensity": pattern.intensity}


@charts_of.register
def _(found: PairDistributions) -> list[Chart]:
    return [radial({"": found.columns()})]


@charts_of.register
def _(found: StructureFactor) -> list[Chart]:
    return [scattering({"": columns_of(found.table())})]


@charts_of.register
def _(found: PowderPattern) -> list[Chart]:
    return [powder({"": pattern_columns(found)}, found.wavelength_A)]


@charts_of.register
def _(found: PairFunction) -> list[Chart]:
    return [transformed(found)]


@charts_of.register
def _(found: StructureReport) -> list[Chart]:
    parts = [chart for part in (found.distributions, found.scattering) for chart in charts_of(part)]
    return [*parts, transformed(found.pair_function, found.probe), *charts_of(found.pattern)]


@charts_of.register
def _(found: Comparison) -> list[Chart]:
    return [measured(found)]


@charts_of.register
def _(found: BondAngles) -> list[Chart]:
    tables = {
        name: {"angle_deg": found.angle_deg, "density_per_deg": one.density} for name, one in found.angles.items()
    }
    weighted = ", by sin θ" if found.divided_by_sine else ""
    means = "; ".join(f"{name} {one.mean_deg:.1f}° ± {one.sd_deg:.1f}°" for name, one in found.angles.items())
    return [
        _lines("angles", "Bond angles", f"Means and spreads: {means}.", tables, "angle [°]", f"density{weighted} [1/°]")
    ]


@charts_of.register
def _(found: Diffusion) -> list[Chart]:
    return [displacements({"": found})]


@charts_of.register
def _(found: Arrhenius) -> list[Chart]:
    return [activation(found)]


@charts_of.register
def _(found: Voltage) -> list[Chart]:
    return [voltages({"": found})]


@charts_of.register
def _(found: MigrationPath) -> list[Chart]:
    return [profile(found)]


@charts_of.register
def _(found: FreeVolume) -> list[Chart]:
    return [volumes({"": {"species": np.array(found.symbols), "volume_A3": found.volumes}})]


@charts_of.register
def _(found: BvsMap) -> list[Chart]:
    values = found.field.values[np.isfinite(found.field.values) & (found.field.values > 0)]
    there = found.atoms.positions[found.atoms.symbols == element_of(found.ion)]
    sums = {"": sum_as_mapped(found, there)} if len(there) else {}
    return [valences({"": values}, sums, found.ion, found.target_valence, found.window)]


@charts_of.register
def _(found: Voids) -> list[Chart]:
    edges, density = found.pore_size_distribution()
    table = {"pore_radius_A": edges, "density_per_A": density}
    text = f"Mean over the void {found.mean_pore_radius:.2f} Å."
    labels = ("pore radius [Å]", "share of the void [1/Å]")
    return [_lines("pores", "Pore sizes", text, {"": table}, *labels)]


@charts_of.register
def _(found: ProbeCurve) -> list[Chart]:
    shares = {
        "center fits": found.center_fractions,
        "accessible": found.accessible_fractions,
        "can be covered": found.occupiable_fractions,
    }
    tables = {name: {"probe_radius_A": found.probe_radii, "share": share} for name, share in shares.items()}
    return [_lines("probe", "What a probe reaches", "", tables, "probe radius [Å]", "share of the cell")]


def _lines(name: str, title: str, text: str, tables: Mapping[str, Columns], x: str, y: str) -> Chart:
    """Draw the second column of each table over its first."""

    def draw(panels: Sequence[Any], colors: Palette) -> None:
        (axes,) = panels
        for number, (label, table) in enumerate(tables.items()):
            axes.plot(*table.values(), label=label, **colors.line(number))
        axes.set(xlabel=x, ylabel=y)
        if len(tables) > 1:
            axes.legend()

    return Chart(name, title, text, tables, draw, height=2.8)
