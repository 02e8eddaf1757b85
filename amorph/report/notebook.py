"""How results show themselves in a notebook: structures, maps and surfaces by a view, all by their table."""

from functools import singledispatch
from html import escape
from typing import Any, Final

import numpy as np
from ase import Atoms

from amorph.analysis.bvs import BvsMap
from amorph.analysis.bvse import BvseMap
from amorph.analysis.glass_report import StructureReport
from amorph.analysis.isosurface import Mesh, nested_surfaces
from amorph.analysis.percolation import MigrationPath
from amorph.analysis.voids import Voids
from amorph.export.charts import Plot
from amorph.export.html_table import table_html
from amorph.report import scenes
from amorph.report.page import page_text

_HEIGHT: Final = 480
"""Height of a view [pixels]."""
_TRIANGLES: Final = 6000
"""Triangles of a surface at most: a notebook keeps every view that was ever shown."""


@singledispatch
def html_of(shown: Any) -> str:
    """Write a result as HTML that needs no server and no network."""
    atoms = getattr(shown, "atoms", None)
    ion = getattr(shown, "by", None) or getattr(shown, "ion", None)
    view = _framed(scenes.structure_scene("structure", atoms, ion)) if isinstance(atoms, Atoms) else ""
    return table_html(shown) + view


plot_of = Plot.of


@html_of.register
def _(report: StructureReport) -> str:
    return "".join(map(table_html, report.parts))


@html_of.register
def _(atoms: Atoms) -> str:
    drawable = len(atoms) > 0 and atoms.cell.rank == 3 and atoms.numbers.all()
    if not drawable or not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return f"<code>{escape(repr(atoms))}</code>"
    return _framed(scenes.structure_scene(atoms.get_chemical_formula(mode="metal"), atoms, None))


@html_of.register(BvsMap)
@html_of.register(BvseMap)
@html_of.register(Voids)
def _(made: Any) -> str:
    ion = getattr(made, "ion", None)
    scene = scenes.structure_scene("structure", made.atoms, ion)
    surfaces = nested_surfaces(made.field, made.atoms)
    scene["surfaces"] = [scenes.surfaces_of(surfaces, start=getattr(made, "window", None), most=_TRIANGLES)]
    return table_html(made) + _framed(scene)


@html_of.register
def _(mesh: Mesh) -> str:
    scene = scenes.bare_scene(mesh.quantity, mesh.cell)
    scene["surfaces"] = [scenes.surfaces_of([mesh], most=_TRIANGLES)]
    return table_html(mesh) + _framed(scene)


@html_of.register
def _(way: MigrationPath) -> str:
    scene = scenes.bare_scene(way.quantity, way.cell)
    scene["path"] = scenes.path_of(way)
    return table_html(way) + _framed(scene)


def _framed(scene: dict[str, Any]) -> str:
    """Put a view into a frame of its own, which holds its page and can reach nothing else."""
    page = page_text("view.html", title=scene["name"], scenes=[scene], framed=True)
    return (
        f'<iframe title="3-D view of {escape(scene["name"], quote=True)}" sandbox="allow-scripts allow-downloads" '
        f'style="width:100%;height:{_HEIGHT}px;border:0" srcdoc="{escape(page, quote=True)}"></iframe>'
    )
