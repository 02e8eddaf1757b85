"""Pictures of structures: coordination polyhedra, ions, an isosurface and a path in the cell, as PNG."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from annotated_types import Interval
from ase import Atoms
from ase.data import atomic_numbers

from amorph.analysis.isosurface import Mesh
from amorph.analysis.percolation import MigrationPath
from amorph.analysis.polyhedra import coordination_polyhedra
from amorph.export.picture.colors import POLYHEDRA, Colors, element_color
from amorph.export.picture.legend import Pixels, below, describe
from amorph.export.picture.periodic import cells_of
from amorph.export.picture.rendering import Array, Camera, Scene, render
from amorph.export.picture.scenes import SceneParts, Style
from amorph.export.whole_files import check_cell, replacing, writer_for
from amorph.parameters import Count, Fraction, Unit, checked
from amorph.structure import anion_mask, periodic_atoms
from amorph.tables import element_of, radius

_MONOVALENT: Final = frozenset({"H", "Li", "Na", "K", "Rb", "Cs"})
_ION_SIZE: Final = 0.44
"""Radius of a cation's sphere over its covalent radius."""
_ANION_SIZE: Final = 0.33
_CENTER_SIZE: Final = 0.2
"""Radius of the sphere of a cation within its polyhedron over its covalent radius."""
_BEYOND: Final = 1.1
"""How far beyond its end a lattice vector is named [Å]."""
_PARTS: Final = ("cell", "labels", "polyhedra", "legend")
"""What can be hidden beside elements."""
Axis = Literal["a", "b", "c"]
_MOST_ATOMS: Final = 20_000
"""Atoms at most of a structure that is repeated: more are finer than a pixel."""
_EYE: Final = 2.2
"""Distance of the eye over the longest diagonal of the cell."""


_FAR: Final = 60.0
"""The same for a view along an axis, in which what lies behind one another must stay there."""


@checked
def write_picture(
    path: str | Path,
    atoms: Atoms,
    mesh: Mesh | None = None,
    *,
    pathway: MigrationPath | None = None,
    mobile: str | None = "Mg2+",
    polyhedra: Sequence[str] | None = None,
    surface_label: str | None = None,
    caption: str | None = None,
    width: Annotated[int, Interval(ge=200, le=4000), Unit("px")] = 1600,
    azimuth: Annotated[float, Interval(ge=-360, le=360), Unit("°")] = 24.0,
    elevation: Annotated[float, Interval(ge=-89, le=89), Unit("°")] = 14.0,
    along: Axis | None = None,
    repeat: tuple[Count, Count, Count] = (1, 1, 1),
    colors: Colors = "distinct",
    opacity: Fraction = 0.55,
    hide: Sequence[str] = (),
) -> None:
    """Draw a structure, and a surface or a path in it, as a PNG.

    Cations are drawn as whole coordination polyhedra or as spheres, anions as small spheres, atoms on faces of the cell
    on both sides, the cell by its edges with a, b and c. Neither a display nor a graphics library is needed.

    Parameters
    ----------
    path
        Name of the file, ``.png``.
    atoms
        Structure to draw.
    mesh
        Surface to draw with it, in the same cell.
    pathway
        Migration path to draw in it, within the cell: a tube, yellow at its lowest value to purple at its barrier.
    mobile
        The mobile ion, or its element: drawn as spheres. None where there is none.
    polyhedra
        Elements drawn as polyhedra; by default every cation that is neither `mobile` nor hydrogen nor an alkali metal.
    surface_label
        What the legend calls the surface; by default the mesh's quantity and level.
    caption
        Line below the legend; by default formula and cell.
    width
        Width of the picture: 1600 fill a page in print, 800 one on a screen, in a third of the time. A tall picture is
        narrower, so that it is no higher than 5/4 of this, legend apart.
    azimuth
        Angle about z from which the structure is seen; at 0 the viewer looks along y.
    elevation
        Angle above the xy plane from which the structure is seen.
    along
        Lattice vector along which the structure is seen, in place of the angles.
    repeat
        Cells along each lattice vector.
    colors
        Colors of the elements: told apart, those of VESTA, or CPK (Jmol's).
    opacity
        Share of light that a face of a polyhedron stops; at 1 polyhedra are solid.
    hide
        Elements, or cell, labels, polyhedra, legend, that are left out.
    """
    save = writer_for(path, {".png": _save_png}, "picture")
    atoms = periodic_atoms(atoms)
    for name, part in (("surface", mesh), ("path", pathway)):
        if part is not None:
            check_cell(name, part.cell, atoms)
    _check_repeat(repeat, len(atoms))
    styles = styles_of(atoms, mobile, polyhedra, colors)
    _check_hidden(hide, styles)
    scene = _scene(atoms, styles, mesh, pathway, repeat, opacity, hide)
    axes = _viewing_axes(azimuth, elevation) if along is None else _axes_along(along, atoms.cell.array)
    picture, marks = _seen(scene, axes, atoms.cell.array, repeat, width, far=along is not None)
    shown = [style for style in styles if style.element not in hide]
    if "polyhedra" in hide:
        shown = [replace(style, ligands=()) for style in shown]
    image = below(
        picture, shown, opacity, mesh, pathway, surface_label=surface_label, axes={} if "labels" in hide else marks,
        caption=describe(atoms) if caption is None else caption, legend="legend" not in hide,
    )  # fmt: skip
    with replacing(path) as temporary:
        save(temporary, image)


def _scene(
    atoms: Atoms,
    styles: Sequence[Style],
    mesh: Mesh | None,
    pathway: MigrationPath | None,
    repeat: tuple[int, int, int],
    opacity: float,
    hide: Sequence[str],
) -> Scene:
    """Put together what there is to see."""
    cell = atoms.cell.array
    corners = cells_of(repeat, cell)
    repeated = atoms.repeat(repeat)
    repeated.wrap()
    if pathway is not None:  # smaller spheres leave the tube to be seen
        styles = [style if style.ligands else replace(style, size=0.6 * style.size) for style in styles]
    parts = SceneParts(opacity)
    if "cell" not in hide:
        parts.add_cell(cell, corners)
    parts.add_atoms(repeated, styles, hidden=hide)
    if mesh is not None:
        parts.add_surface(mesh, corners)
    if pathway is not None:
        parts.add_path(pathway.positions, _heights(pathway), pathway.sites, repeated.cell.array)
    return parts.scene()


def _seen(
    scene: Scene, axes: Array, cell: Array, repeat: tuple[int, int, int], width: int, *, far: bool
) -> tuple[Pixels, dict[str, tuple[float, float]]]:
    """Draw a scene, and say where in the picture a, b and c are [pixels from the lower left]."""
    whole = cell * np.array(repeat)[:, None]
    diagonal = max(float(np.linalg.norm(signs @ whole)) for signs in product((1, -1), repeat=3))
    distance = (_FAR if far else _EYE) * diagonal
    camera = Camera.framing(scene, axes, whole.sum(axis=0) / 2, distance=distance, width=width)
    ends = cell + _BEYOND * cell / np.linalg.norm(cell, axis=1, keepdims=True)
    places = camera.project((ends - camera.target) @ axes.T)
    marks = {name: (float(x), float(y)) for name, (x, y, _) in zip("abc", places, strict=True)}
    # an axis that points at the viewer has no place of its own
    flat = np.linalg.norm((cell @ axes.T)[:, :2], axis=1) < _BEYOND
    marks = {name: place for name, place, gone in zip(marks, marks.values(), flat, strict=True) if not gone}
    return render(scene, camera, map_size=min(1024, width)), marks


def _check_hidden(hide: Sequence[str], styles: Sequence[Style]) -> None:
    known = [*(style.element for style in styles), *_PARTS]
    if strangers := [name for name in hide if name not in known]:
        raise ValueError(f"hide = {strangers[0]!r}: there is none; hide of {', '.join(known)}")
    if {style.element for style in styles} <= set(hide):
        raise ValueError(f"hide = {' '.join(hide)} leaves no element to be seen; show one")


def styles_of(
    atoms: Atoms, mobile: str | None, polyhedra: Sequence[str] | None, colors: Colors = "distinct"
) -> list[Style]:
    """Choose how each element is drawn: polyhedra, then other cations, then anions; arguments as of a picture."""
    mobile = element_of(mobile) if mobile else ""
    symbols = np.array(atoms.get_chemical_symbols())
    anion = anion_mask(atoms)
    anions, cations = (sorted(set(symbols[mask].tolist()), key=atomic_numbers.get) for mask in (anion, ~anion))
    if polyhedra is None:
        polyhedra = [element for element in cations if element != mobile and element not in _MONOVALENT]
    elif unknown := sorted(set(polyhedra) - set(cations)):
        raise ValueError(f"no {' or '.join(unknown)} among the cations {', '.join(cations)}; draw others as polyhedra")

    def size(element: str, share: float) -> float:
        return share * radius("cordero_covalent", element)

    drawn = [element for element in cations if element in polyhedra and anions]
    around = {element: coordination_polyhedra(atoms, [element]) for element in drawn}
    most = {element: _most_common([len(each.corners) for each in found]) for element, found in around.items()}
    colored = {element: element_color(element, colors, mobile=mobile) for element in {*cations, *anions}}
    if colors == "distinct":
        colored |= {element: POLYHEDRA[k % len(POLYHEDRA)] for k, element in enumerate(drawn)}
    return [
        *(Style(each, colored[each], size(each, _CENTER_SIZE), tuple(anions), most[each]) for each in drawn),
        *(Style(each, colored[each], size(each, _ION_SIZE)) for each in cations if each not in drawn),
        *(Style(each, colored[each], size(each, _ANION_SIZE)) for each in anions),
    ]


def _most_common(numbers: Sequence[int]) -> int:
    return max(set(numbers), key=numbers.count)


def _axes_along(along: Axis, cell: Array) -> Array:
    """Look down a lattice vector, the next one but one upright: c where that is another, else b."""
    towards = cell["abc".index(along)] / np.linalg.norm(cell["abc".index(along)])
    up = cell[1] if along == "c" else cell[2]
    up = up - (up @ towards) * towards
    up /= np.linalg.norm(up)
    return np.stack([np.cross(up, towards), up, towards])


def _check_repeat(repeat: tuple[int, int, int], atoms: int) -> None:
    count = atoms * math.prod(repeat)
    if max(repeat) > 1 and count > _MOST_ATOMS:
        times = " ".join(map(str, repeat))
        raise ValueError(f"repeat = {times} makes {count} atoms, and a picture holds {_MOST_ATOMS}; repeat it less")


def _viewing_axes(azimuth: float, elevation: float) -> Array:
    a, e = np.radians([azimuth, elevation])
    towards = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def _heights(pathway: MigrationPath) -> Array:
    """Measure how far each point of a path is from its best value to its barrier, from 0 to 1."""
    from_barrier = np.abs(pathway.values - pathway.threshold)
    return 1.0 - from_barrier / max(float(from_barrier.max()), 1e-300)


def _save_png(path: Path, image: Pixels) -> None:
    from matplotlib.image import imsave

    imsave(path, image, format="png", dpi=200)
