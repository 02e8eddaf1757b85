"""Pictures of structures: coordination polyhedra, ions, an isosurface and a path in the cell, as PNG."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from annotated_types import Interval
from ase import Atoms
from ase.data import atomic_numbers
from ase.data.colors import jmol_colors

from amorph.analysis.isosurface import Mesh
from amorph.analysis.percolation import MigrationPath
from amorph.export.picture.legend import Pixels, below, describe
from amorph.export.picture.rendering import Array, Camera, render
from amorph.export.picture.scenes import SceneParts, Style
from amorph.export.whole_files import check_cell, replacing, writer_for
from amorph.parameters import Fraction, Unit, checked
from amorph.structure import anion_mask, periodic_atoms
from amorph.tables import element_of, radius

_ALKALI: Final = frozenset({"Li", "Na", "K", "Rb", "Cs"})
_POLYHEDRA: Final = ((74, 134, 212), (148, 103, 189), (23, 160, 160), (206, 109, 155), (128, 133, 64), (120, 130, 145))
_MOBILE: Final = (52, 168, 83)
_OXYGEN: Final = (216, 58, 48)
_ION_SIZE: Final = 0.44
"""Radius of a cation's sphere over its covalent radius."""
_ANION_SIZE: Final = 0.33
_CENTER_SIZE: Final = 0.2
"""Radius of the sphere of a cation within its polyhedron over its covalent radius."""
_EYE: Final = 2.2
"""Distance of the eye over the longest diagonal of the cell."""


@checked
def write_picture(
    path: str | Path,
    atoms: Atoms,
    mesh: Mesh | None = None,
    *,
    pathway: MigrationPath | None = None,
    mobile: str = "Mg2+",
    polyhedra: Sequence[str] | None = None,
    surface_label: str | None = None,
    caption: str | None = None,
    width: Annotated[int, Interval(ge=200, le=4000), Unit("px")] = 1600,
    azimuth: Annotated[float, Interval(ge=-360, le=360), Unit("°")] = 24.0,
    elevation: Annotated[float, Interval(ge=-89, le=89), Unit("°")] = 14.0,
    opacity: Fraction = 0.55,
) -> None:
    """Draw a structure, and a surface or a path in it, as a PNG.

    Cations are drawn as coordination polyhedra or as spheres, anions as small spheres, the cell by its edges. Neither
    a display nor a graphics library is needed.

    Parameters
    ----------
    path
        Name of the file, ``.png``.
    atoms
        Structure to draw.
    mesh
        Surface to draw with it, in the same cell.
    pathway
        Migration path to draw with it, in the same cell: a tube in one piece, its sites as spheres, its color from
        yellow at its lowest value to purple at its barrier.
    mobile
        The mobile ion, or its element: drawn as spheres.
    polyhedra
        Elements drawn as polyhedra; by default every cation that is neither `mobile` nor an alkali metal.
    surface_label
        What the legend calls the surface; by default the mesh's quantity and level.
    caption
        Line below the legend; by default formula and cell.
    width
        Width of the picture: 1600 fill a page in print, 800 one on a screen, in a third of the time.
    azimuth
        Angle about z from which the structure is seen; at 0 the viewer looks along y.
    elevation
        Angle above the xy plane from which the structure is seen.
    opacity
        Share of light that a face of a polyhedron stops; at 1 polyhedra are solid.

    Raises
    ------
    ValueError
        Suffix other than ``.png``; a mesh or a path from another cell; an ion that cannot be read.
    """
    save = writer_for(path, {".png": _save_png}, "picture")
    atoms = periodic_atoms(atoms)
    atoms.wrap()
    cell = atoms.cell.array
    for name, part in (("surface", mesh), ("path", pathway)):
        if part is not None:
            check_cell(name, part.cell, atoms)
    styles = styles_of(atoms, mobile, polyhedra)
    if pathway is not None:  # smaller spheres leave the tube to be seen
        styles = [style if style.ligands else replace(style, size=0.6 * style.size) for style in styles]
    parts = SceneParts(opacity)
    parts.add_cell(cell)
    parts.add_atoms(atoms, styles)
    if mesh is not None:
        parts.add_surface(mesh)
    if pathway is not None:
        parts.add_path(pathway.positions, _heights(pathway), pathway.sites)
    axes = _viewing_axes(azimuth, elevation)
    diagonal = max(float(np.linalg.norm(signs @ cell)) for signs in product((1, -1), repeat=3))
    scene = parts.scene()
    camera = Camera.framing(scene, axes, cell.sum(axis=0) / 2, distance=_EYE * diagonal, width=width)
    picture = render(scene, camera, map_size=min(1024, width))
    caption = describe(atoms) if caption is None else caption
    image = below(picture, styles, opacity, mesh, pathway, surface_label=surface_label, caption=caption)
    with replacing(path) as temporary:
        save(temporary, image)


def styles_of(atoms: Atoms, mobile: str, polyhedra: Sequence[str] | None) -> list[Style]:
    """Choose how each element is drawn: polyhedra, then other cations, then anions; arguments as of a picture."""
    mobile = element_of(mobile)
    symbols = np.array(atoms.get_chemical_symbols())
    anion = anion_mask(atoms)
    anions, cations = (sorted(set(symbols[mask].tolist()), key=atomic_numbers.get) for mask in (anion, ~anion))
    if polyhedra is None:
        polyhedra = [element for element in cations if element != mobile and element not in _ALKALI]
    elif unknown := sorted(set(polyhedra) - set(cations)):
        raise ValueError(f"no {' or '.join(unknown)} among the cations {', '.join(cations)}; draw others as polyhedra")

    def size(element: str, share: float) -> float:
        return share * radius("cordero_covalent", element)

    def color(element: str) -> tuple[int, int, int]:
        given = {"O": _OXYGEN, mobile: _MOBILE}
        red, green, blue = given.get(element, np.rint(255 * jmol_colors[atomic_numbers[element]]).astype(int).tolist())
        return red, green, blue

    drawn = [element for element in cations if element in polyhedra and anions]
    return [
        *(
            Style(element, _POLYHEDRA[k % len(_POLYHEDRA)], size(element, _CENTER_SIZE), tuple(anions))
            for k, element in enumerate(drawn)
        ),
        *(Style(element, color(element), size(element, _ION_SIZE)) for element in cations if element not in drawn),
        *(Style(element, color(element), size(element, _ANION_SIZE)) for element in anions),
    ]


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
