"""Marching cubes on a periodic grid: from values to numbered vertices and triangles."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.isosurface.mesh import Mesh
from amorph.fields import ScalarField
from amorph.machine.processors import available_processors
from amorph.parameters import Threads, checked

_PLANES: Final = 8
"""Planes that a thread takes at a time."""
_FEW_POINTS: Final = 100_000
"""A grid of fewer points is not worth a second thread."""


class Cubes(NamedTuple):
    """The cubes that the surface runs through, as the kernels take them."""

    planes: NDArray[np.uint64]
    """(nx, ny, words) bits of the points below the level."""
    nz: int
    """Points of a row."""
    mixed: NDArray[np.uint64]
    """Bits of the cubes whose corners are on both sides."""
    starts: NDArray[np.int64]
    """(nx, 2) first vertex and first triangle of each plane."""


@checked
def contour(field: ScalarField, level: float, *, capped: bool = False, threads: Threads | None = None) -> Mesh:
    """Triangulate the surface on which a field equals a level.

    Marching cubes on the periodic grid. How the triangles hang together follows from which points lie at or above the
    level alone, each vertex standing for one edge of the grid: the surface closes through the cell faces without
    comparing coordinates, and every edge belongs to two triangles. Where a vertex lies on its edge is interpolated in
    float64.

    Parameters
    ----------
    field
        Finite everywhere: a surface cannot be drawn through points that have no value.
    level
        Value on the surface, in the field's unit. Points that equal it count as above.
    capped
        Close the region of smaller values with flat caps at the cell faces, instead of leaving the surface periodic.

    Raises
    ------
    ValueError
        The field or the level is not finite.

    Notes
    -----
    Beside the field, which is not copied, a grid takes four bits for each point and its surface about 50 bytes for each
    triangle.

    Examples
    --------
    A sphere of radius 3 Å, as a field that is the distance from the centre of the cell:

    >>> from amorph.fields import ScalarField
    >>> points = np.stack(np.meshgrid(*[np.arange(40) * 0.25 - 5] * 3, indexing="ij"))
    >>> distance = ScalarField(np.linalg.norm(points, axis=0), np.eye(3) * 10, "distance", "Å")
    >>> sphere = contour(distance, 3.0)
    >>> round(sphere.area / (4 * np.pi * 3**2), 2), len(sphere.open_edges)
    (1.0, 0)
    """
    vertices, faces, shifts = _march(field, level, capped, threads)
    return Mesh(
        vertices=vertices,
        faces=faces,
        shifts=shifts,
        cell=field.cell,
        quantity=field.quantity,
        unit=field.unit,
        level=level,
        parameters=dict(field.parameters),
        ion=field.ion,
    )


def _march(
    field: ScalarField, level: float, capped: bool, threads: int | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int8]]:
    """Give the vertices, faces and shifts of the surface."""
    from amorph.analysis.isosurface import _kernels as kernels
    from amorph.analysis.isosurface._cases import tables_of_cases

    values = np.ascontiguousarray(field.values)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    margin = int(capped)
    shape = tuple(n + 2 * margin for n in values.shape)
    planes = np.empty((*shape[:2], shape[2] // kernels.WORD + 1), np.uint64)
    if values.size < _FEW_POINTS:
        threads = 1

    def classify(first: int, n: int) -> int:
        inner = planes[first + margin : first + margin + n, margin : margin + values.shape[1]]
        return int(kernels.classify(values[first : first + n], level, margin, inner))

    if broken := sum(_over_planes(classify, len(values), threads)):
        raise ValueError(
            f"{field.quantity} has no value at {broken} of {field.values.size} grid points: "
            "a surface needs a field that is finite everywhere"
        )
    if capped:
        _surround(planes, shape)

    crossed, table = tables_of_cases()
    mixed = np.empty_like(planes)
    numbers = np.empty((*planes.shape, 3), np.int32)
    starts = np.zeros((shape[0] + 1, 2), np.int64)
    counts = starts[1:]
    _over_planes(
        lambda first, n: kernels.count_planes(planes, first, n, shape[2], mixed, numbers, table, counts),
        shape[0],
        threads,
    )
    np.cumsum(counts, axis=0, out=counts)
    n_vertices, n_faces = starts[-1]
    vertices = np.empty((n_vertices, 3))
    outside = np.zeros(n_vertices if capped else 0, np.int64)
    faces = np.empty((n_faces, 3), np.int64)
    shifts = np.empty((n_faces, 3, 3), np.int8)
    steps = np.ascontiguousarray(field.cell / np.array(values.shape)[:, None])
    mirrored = bool(np.linalg.det(field.cell) < 0)

    cubes = Cubes(planes, shape[2], mixed, starts)

    def fill(first: int, n: int) -> None:
        kernels.place_vertices(cubes, first, n, values, level, margin, steps, vertices, outside)
        kernels.connect(cubes, first, n, numbers, crossed, table, mirrored, faces, shifts)

    _over_planes(fill, shape[0], threads)
    if capped:
        vertices, faces = _merge(vertices, faces, outside)
        shifts = np.zeros((len(faces), 3, 3), np.int8)
    return vertices, faces, shifts


def _over_planes(work: Callable[[int, int], Any], n_planes: int, threads: int | None) -> list[Any]:
    """Call `work` with the first of a few planes and how many they are, in threads; results in order."""
    firsts = range(0, n_planes, _PLANES)
    sizes = [min(_PLANES, n_planes - first) for first in firsts]
    threads = min(available_processors() if threads is None else threads, len(sizes))
    if threads == 1:
        return list(map(work, firsts, sizes))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, firsts, sizes))


def _surround(planes: NDArray[np.uint64], shape: tuple[int, ...]) -> None:
    """Repeat the first row and plane behind the last, and put one more all round that lies above the level."""
    bits = np.zeros(8 * planes.itemsize * planes.shape[2], np.uint8)
    bits[: shape[2] + 1] = 1
    above = np.packbits(bits, bitorder="little").view("<u8")
    planes[:, -1] = planes[:, 1]
    planes[-1] = planes[1]
    planes[0] = above
    planes[:, 0] = above


def _merge(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], outside: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Make one vertex of those that were moved to the same point, and drop the triangles of no extent."""
    key = np.where(outside > 0, -outside, np.arange(len(outside)))
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    faces = inverse[faces]
    real = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return vertices[first], np.ascontiguousarray(faces[real])
