"""Scenes of atoms, coordination polyhedra, surfaces and cells."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh
from amorph.analysis.polyhedra import Polyhedron, coordination_polyhedra
from amorph.export.picture.periodic import drawn_atoms, images_on_faces, whole_polyhedra, within
from amorph.export.picture.rendering import Array, Panes, Scene, Spheres, Triangles, linear_color

SURFACE: Final = (250, 204, 60)
_CELL: Final = (55, 55, 60)
_CELL_EDGE: Final = 0.06
"""Radius of the edges of the cell [Å]."""
_POLYHEDRON_EDGE: Final = 0.025
"""Radius of the edges of polyhedra [Å]."""
_PATH: Final = 0.2
"""Radius of a path [Å]."""
_SITE: Final = 0.42
"""Radius of a site on a path [Å]."""
PATH_LOW: Final = (255, 208, 20)
PATH_HIGH: Final = (190, 20, 120)
"""Colors of a path where it is lowest and where its barrier is."""
_BOND: Final = 0.08
"""Radius of the bonds of cations with too few anions for a polyhedron [Å]."""


@dataclass(frozen=True)
class Style:
    """How the atoms of one element are drawn."""

    element: str
    color: tuple[int, int, int]
    """sRGB color in bytes."""
    size: float
    """Radius of the sphere [Å]."""
    ligands: tuple[str, ...] = ()
    """Elements of the anions, where the element is drawn as polyhedra."""
    corners: int = 0
    """How many corners most of its polyhedra have."""

    @property
    def label(self) -> str:
        """What a legend says."""
        return f"{self.element}–{','.join(self.ligands)}" if self.ligands else self.element


@dataclass
class SceneParts:
    """A scene that is being put together."""

    opacity: float
    triangles: list[tuple[Array, Array, NDArray[Any], Array]] = field(default_factory=list)
    spheres: list[tuple[Array, Array, Array]] = field(default_factory=list)
    panes: list[tuple[Array, Array]] = field(default_factory=list)

    def add_surface(self, mesh: Mesh, corners: Sequence[Any] = (0.0,)) -> None:
        """Add a surface, cut at the cell faces, in cells with these corners."""
        mesh = mesh.cut()
        for corner in corners:
            self.triangles.append((mesh.vertices + corner, mesh.normals, mesh.faces, linear_color(*SURFACE)))

    def add_path(self, positions: Array, heights: Array, sites: Sequence[int], cell: Array) -> None:
        """Add a path as a tube within a cell with its sites as spheres; `heights` runs from 0 to 1 at its barrier."""
        low, high = linear_color(*PATH_LOW), linear_color(*PATH_HIGH)
        colors = low + np.outer(heights, high - low)
        sizes = np.full(len(positions), _PATH)
        sizes[list(sites)] = _SITE
        for number, (start, end) in enumerate(within(positions, cell)):
            if not np.array_equal(start, end):
                self.add_rod(start, end, _PATH, colors[number] / 2 + colors[number + 1] / 2, sides=12)
            both = slice(number, number + 2)
            self.spheres.append((np.stack([start, end]), sizes[both], colors[both]))

    def add_cell(self, cell: Array, corners: Sequence[Any] = (0.0,)) -> None:
        """Add the twelve edges of each cell with one of these corners."""
        for corner in corners:
            for axis in range(3):
                others = [k for k in range(3) if k != axis]
                for shift in product((0, 1), repeat=2):
                    start = corner + np.array(shift) @ cell[others]
                    self.add_rod(start, start + cell[axis], _CELL_EDGE, linear_color(*_CELL), sides=16)
            self.add_spheres(corner + np.array(list(product((0, 1), repeat=3))) @ cell, _CELL_EDGE, _CELL)

    def add_atoms(self, atoms: Atoms, styles: Sequence[Style], *, hidden: Collection[str] = ()) -> None:
        """Add the atoms in the cell and on its faces, with whole polyhedra and their corners; all but hidden elements.

        Where "polyhedra" are hidden, their centers and corners stay.
        """
        images = images_on_faces(atoms)
        drawn: list[Polyhedron] = []
        for style in styles:
            if style.ligands and style.element not in hidden:
                polyhedra = whole_polyhedra(coordination_polyhedra(atoms, [style.element]), images)
                drawn += polyhedra
                for polyhedron in polyhedra if "polyhedra" not in hidden else ():
                    self.add_polyhedron(polyhedron, style)
        numbers, places = drawn_atoms(atoms, images, drawn)
        symbols = np.array(atoms.get_chemical_symbols())[numbers]
        for style in styles:
            if style.element not in hidden:
                self.add_spheres(places[symbols == style.element], style.size, style.color)

    def add_polyhedron(self, polyhedron: Polyhedron, style: Style) -> None:
        """Add faces and edges, or bonds where there are too few corners for faces."""
        color = linear_color(*style.color)
        corners = polyhedron.corners
        self.panes.append((corners[polyhedron.faces], color))
        for start, end in corners[polyhedron.edges]:
            self.add_rod(start, end, _POLYHEDRON_EDGE, 0.45 * color)
        if not len(polyhedron.faces):
            for corner in corners:
                self.add_rod(polyhedron.position, corner, _BOND, color)

    def add_spheres(self, centers: Array, size: float, color: tuple[int, int, int]) -> None:
        """Add spheres of one radius [Å] and color."""
        colors = np.tile(linear_color(*color), (len(centers), 1))
        self.spheres.append((centers, np.full(len(centers), size), colors))

    def add_rod(self, start: Array, end: Array, radius: float, color: Array, sides: int = 6) -> None:
        """Add a round rod."""
        along = (end - start) / np.linalg.norm(end - start)
        across = np.cross(np.eye(3)[np.argmin(np.abs(along))], along)
        across /= np.linalg.norm(across)
        turn = 2 * np.pi * np.arange(sides) / sides
        normals = np.outer(np.cos(turn), across) + np.outer(np.sin(turn), np.cross(along, across))
        near, far = np.arange(sides), np.arange(sides) + sides
        faces = np.vstack(
            [np.stack([near, np.roll(near, -1), far], 1), np.stack([np.roll(near, -1), np.roll(far, -1), far], 1)]
        )
        ends = np.vstack([start + radius * normals, end + radius * normals])
        self.triangles.append((ends, np.vstack([normals, normals]), faces, color))

    def scene(self) -> Scene:
        """Put the parts together."""
        counts = np.cumsum([0, *(len(vertices) for vertices, *_ in self.triangles)])
        none = np.zeros((0, 3))
        triangles = Triangles(
            np.vstack([none, *(vertices for vertices, *_ in self.triangles)]),
            np.vstack([none, *(normals for _, normals, *_ in self.triangles)]),
            np.vstack([none.astype(int), *(part[2] + n for part, n in zip(self.triangles, counts, strict=False))]),
            np.vstack([none, *(np.tile(color, (len(faces), 1)) for _, _, faces, color in self.triangles)]),
        )
        spheres = Spheres(
            np.vstack([none, *(centers for centers, _, _ in self.spheres)]),
            np.concatenate([none[:, 0], *(radii for _, radii, _ in self.spheres)]),
            np.vstack([none, *(colors for _, _, colors in self.spheres)]),
        )
        corners = np.concatenate([np.zeros((0, 3, 3)), *(corners for corners, _ in self.panes)])
        colors = np.vstack([none, *(np.tile(color, (len(corners), 1)) for corners, color in self.panes)])
        if self.opacity < 1:
            return Scene(triangles, spheres, Panes(corners, colors, self.opacity))
        # nothing shines through: ordinary triangles, which cast shadows
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        loose = np.arange(corners[..., 0].size).reshape(-1, 3) + len(triangles.vertices)
        solid = Triangles(
            np.vstack([triangles.vertices, corners.reshape(-1, 3)]),
            np.vstack([triangles.normals, np.repeat(normals, 3, axis=0)]),
            np.vstack([triangles.faces, loose]),
            np.vstack([triangles.colors, colors]),
        )
        return Scene(solid, spheres, Panes(corners[:0], none, self.opacity))
