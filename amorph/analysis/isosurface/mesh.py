"""A periodic triangle mesh."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph.figures import Result

_SHIFT_DIGITS = np.array([9, 3, 1])
"""Weights that make one number of a cell shift whose components are −1, 0 or 1."""


@dataclass(frozen=True, eq=False)
class Mesh(Result):
    """A triangulated surface in a periodic cell.

    The surface that :func:`contour` returns is welded across the cell faces: each vertex is stored once, inside the
    cell, and `shifts` says in which image of the cell each corner of a face lies. A surface without shifts (from
    :meth:`cut` or with caps) is an ordinary mesh, as files hold it.
    """

    vertices: NDArray[np.float64]
    """(n, 3) positions [Å]."""
    faces: NDArray[np.int64]
    """(m, 3) vertices of each triangle, counter-clockwise seen from the side of the larger values."""
    shifts: NDArray[np.int8]
    """(m, 3, 3) cell shift of each corner of each triangle."""
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    quantity: str
    """What is constant on the surface."""
    unit: str
    """Unit of `level`."""
    level: float
    """The constant, in `unit`."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """How the surface and its field were made, JSON-serialisable."""
    ion: str | None = None
    """The mobile ion that the field belongs to; None where it is that of no ion."""

    def figures(self) -> dict[str, Any]:
        """Give what is constant on the surface, its area [Å²] and its size."""
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "level": self.level,
            "area": self.area,
            "triangles": len(self.faces),
            "vertices": len(self.vertices),
            "open_edges": len(self.open_edges),
        }

    @property
    def corners(self) -> NDArray[np.float64]:
        """(m, 3, 3) positions of the corners of each triangle, in one piece across cell faces [Å]."""
        return self.vertices[self.faces] + self.shifts @ self.cell

    @property
    def area(self) -> float:
        """Area of the surface in one cell [Å²]."""
        return float(np.linalg.norm(self._area_vectors, axis=1).sum())

    @property
    def normals(self) -> NDArray[np.float64]:
        """(n, 3) unit normals at the vertices, towards larger values: the area-weighted mean over the faces."""
        weighted = self._area_vectors
        sums = np.zeros_like(self.vertices)
        for axis in range(3):
            for corner in range(3):
                sums[:, axis] += np.bincount(self.faces[:, corner], weighted[:, axis], len(sums))
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # Only faces without area meet where the field equals the level exactly: any direction will do.
        return np.where(length > 0, sums / np.where(length > 0, length, 1.0), [0.0, 0.0, 1.0])

    @property
    def open_edges(self) -> NDArray[np.int64]:
        """(k, 2) vertices of the edges that belong to one triangle only; none in a closed surface."""
        ends = np.concatenate([self.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
        images = np.concatenate([self.shifts[:, b] - self.shifts[:, a] for a, b in ((0, 1), (1, 2), (2, 0))])
        image = images.astype(np.int64) @ _SHIFT_DIGITS
        # In a closed surface every edge is run through as often in one direction as in the other. An edge from a
        # vertex to its own image has its direction in the image alone.
        backwards = (ends[:, 0] > ends[:, 1]) | ((ends[:, 0] == ends[:, 1]) & (image < 0))
        sign = np.where(backwards, -1, 1)
        ends.sort(axis=1)
        key = (ends[:, 0] * len(self.vertices) + ends[:, 1]) * 27 + sign * image
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return ends[first[np.bincount(inverse, sign) != 0]]

    @property
    def enclosed_volume(self) -> float:
        """Volume on the side of the smaller values [Å³], for a surface with caps.

        Raises
        ------
        ValueError
            The surface has open edges or continues through the cell faces, and so encloses nothing.
        """
        if self.shifts.any() or len(self.open_edges):
            raise ValueError("an open or periodic surface encloses no volume; contour with capped=True")
        # From the middle of the cell, so that rounding does not grow with the distance from the origin.
        a, b, c = np.moveaxis(self.vertices[self.faces] - self.cell.sum(axis=0) / 2, 1, 0)
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)

    def cut(self) -> "Mesh":
        """Cut the surface open at the cell faces, so that it lies within one cell and needs no shifts."""
        if not self.shifts.any():
            return self
        key = self.faces * 27 + self.shifts.astype(np.int64) @ _SHIFT_DIGITS
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        return replace(
            self,
            vertices=self.corners.reshape(-1, 3)[first],
            faces=inverse.reshape(-1, 3),
            shifts=np.zeros_like(self.shifts),
        )

    @property
    def _area_vectors(self) -> NDArray[np.float64]:
        a, b, c = np.moveaxis(self.corners, 1, 0)
        return np.cross(b - a, c - a) / 2
