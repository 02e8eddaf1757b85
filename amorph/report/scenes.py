"""What the 3-D view draws, as plain values for its script: atoms, polyhedra, surfaces, a path, a movie."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh
from amorph.analysis.percolation import MigrationPath
from amorph.analysis.polyhedra import Polyhedron, coordination_polyhedra
from amorph.export.picture import (
    PATH_HIGH,
    PATH_LOW,
    SURFACE,
    Colors,
    Style,
    drawn_atoms,
    images_on_faces,
    styles_of,
    whole_polyhedra,
)
from amorph.report.packing import MOST_TRIANGLES, Array, packed, packed_points, packed_surface
from amorph.tables import element_of

_EMPTY: Final = np.zeros((0, 3))


def structure_scene(name: str, atoms: Atoms, mobile: str | None, colors: Colors = "distinct") -> dict[str, Any]:
    """Draw a structure: its atoms within the cell, their images on faces and at the corners of polyhedra.

    `mobile` is the ion that is drawn as spheres and can be shown alone; None where there is none.
    """
    atoms = atoms.copy()
    atoms.wrap()
    styles = styles_of(atoms, mobile, None, colors)
    images = images_on_faces(atoms)
    polyhedra = {
        style.element: whole_polyhedra(coordination_polyhedra(atoms, [style.element]), images)
        for style in styles
        if style.ligands
    }
    symbols = np.array(atoms.get_chemical_symbols())
    numbers, places = drawn_atoms(atoms, images, [each for found in polyhedra.values() for each in found])
    kinds = [style.element for style in styles]
    element = element_of(mobile) if mobile else ""
    return {
        "name": name,
        "formula": atoms.get_chemical_formula(mode="metal"),
        "cell": atoms.cell.array.round(6).tolist(),
        "elements": [
            _element(style, int((symbols == style.element).sum()), mobile=style.element == element) for style in styles
        ],
        "atoms": packed_points(places)
        | {
            "kinds": packed([kinds.index(symbol) for symbol in symbols[numbers]], "u1"),
            "numbers": packed(numbers, "u4"),
        },
        "polyhedra": [
            {"color": _hex(style.color), "element": style.element, **_hulls(polyhedra[style.element])}
            for style in styles
            if style.ligands
        ],
        "surfaces": [],
        "path": None,
        "movie": None,
    }


def bare_scene(name: str, cell: Array | None = None) -> dict[str, Any]:
    """Draw nothing yet but the cell: the place of what comes without a structure."""
    none = packed_points(_EMPTY) | {"kinds": "", "numbers": ""}
    parts: dict[str, Any] = {
        "elements": [],
        "atoms": none,
        "polyhedra": [],
        "surfaces": [],
        "path": None,
        "movie": None,
    }
    return {"name": name, "formula": "", "cell": None if cell is None else cell.round(6).tolist(), **parts}


def surfaces_of(meshes: Sequence[Mesh], *, start: float | None = None, most: int = MOST_TRIANGLES) -> dict[str, Any]:
    """Draw the surfaces of one field, one for each step of a slider, which starts nearest to the level `start`.

    Each is thinned to at most so many triangles.
    """
    symbol = meshes[0].quantity
    levels = [mesh.level for mesh in meshes]
    first = len(levels) // 2 if start is None else int(np.argmin([abs(level - start) for level in levels]))
    return {
        "name": symbol,
        "color": _hex(SURFACE),
        "start": first,
        "levels": [{"label": f"{mesh.level:.4g} {mesh.unit}".strip(), **_packed_mesh(mesh, most)} for mesh in meshes],
    }


def surface_alone(name: str, vertices: Array, faces: NDArray[np.int64]) -> dict[str, Any]:
    """Draw a surface that a file holds."""
    level = {"label": name, **packed_surface(vertices, faces)}
    return {"name": name, "color": _hex(SURFACE), "start": 0, "levels": [level]}


def path_of(way: MigrationPath) -> dict[str, Any]:
    """Draw a migration path: a tube from yellow, where it is best, to purple at its barrier, its sites as spheres."""
    direction = " ".join(map(str, way.winding))
    heights = np.abs(way.values - way.threshold)
    heights = 1.0 - heights / max(float(heights.max()), 1e-300)
    return {
        "label": f"path of {way.length:.1f} Å along [{direction}], barrier {way.barrier:.3g} {way.unit}",
        "points": packed(way.positions, "f4"),
        "heights": packed(heights, "f4"),
        "sites": [int(site) for site in way.sites],
        "low": _hex(PATH_LOW),
        "high": _hex(PATH_HIGH),
    }


def movie_of(
    frames: Sequence[Atoms], captions: Sequence[str], *, of: int, colors: Colors = "distinct"
) -> dict[str, Any]:
    """Draw frames one after the other, their atoms within the cell; `of` says how many there were."""
    first = frames[0]
    styles = styles_of(first, "H", (), colors)
    kinds = [style.element for style in styles]
    fractions = np.stack([frame.get_scaled_positions(wrap=True) for frame in frames])
    return {
        "elements": [_element(style, 0, mobile=False) for style in styles],
        "kinds": packed([kinds.index(symbol) for symbol in first.get_chemical_symbols()], "u1"),
        "fractions": packed(np.rint(fractions * 65535), "u2"),
        "cells": packed(np.stack([frame.cell.array for frame in frames]), "f4"),
        "captions": list(captions),
        "frames": len(frames),
        "of": of,
    }


def _hulls(polyhedra: Sequence[Polyhedron]) -> dict[str, Any]:
    """Put the polyhedra of one element into one mesh with loose corners, so that faces stay flat, and their edges."""
    panes = np.concatenate([np.zeros((0, 3, 3)), *(each.corners[each.faces] for each in polyhedra)])
    edges = np.concatenate([np.zeros((0, 2, 3)), *(each.corners[each.edges] for each in polyhedra)])
    return {"panes": packed(panes, "f4"), "edges": packed(edges, "f4")}


def _packed_mesh(mesh: Mesh, most: int) -> dict[str, Any]:
    cut = mesh.cut()
    return packed_surface(cut.vertices, cut.faces, most)


def _element(style: Style, count: int, *, mobile: bool) -> dict[str, Any]:
    return {
        "symbol": style.element,
        "label": style.label,
        "color": _hex(style.color),
        "radius": round(style.size, 3),
        "count": count,
        "mobile": mobile,
        "polyhedra": bool(style.ligands),
    }


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
