"""Numbers as a page holds them: packed in base64, surfaces thinned to what a laptop turns smoothly."""

import base64
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_TRIANGLES: Final = 30_000
"""Triangles of one surface at most: ten of them, for glass and crystal, stay below 10 MB."""
_GROWTH: Final = 1.2
"""How much larger the cubes become from one attempt at thinning to the next."""


def packed(values: Any, kind: str) -> str:
    """Pack numbers as little-endian "f4", "u1", "u2" or "u4" in base64."""
    return base64.b64encode(np.ascontiguousarray(values, f"<{kind}").tobytes()).decode("ascii")


def packed_points(points: Array) -> dict[str, Any]:
    """Pack points as whole numbers of 16 bits between the corners of the box around them: exact to 1/65535 of it."""
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(3), np.ones(3))
    size = np.where(high > low, high - low, 1.0)
    return {
        "low": low.round(6).tolist(),
        "size": size.round(6).tolist(),
        "points": packed(np.rint((points - low) / size * 65535), "u2"),
    }


def packed_surface(vertices: Array, faces: NDArray[np.integer[Any]], most: int = MOST_TRIANGLES) -> dict[str, Any]:
    """Pack a surface, thinned to at most so many triangles, and say so.

    Returns
    -------
    dict
        Points and faces packed, "triangles" packed and "of" before, "thinned_A" the edge of the cubes within which
        vertices were made one [Å], None where nothing was.
    """
    kept, corners, edge = thinned(vertices, faces, most)
    wide = len(kept) > 65536
    return {
        **packed_points(kept),
        "faces": packed(corners, "u4" if wide else "u2"),
        "wide": wide,
        "triangles": len(corners),
        "of": len(faces),
        "thinned_A": None if edge is None else round(edge, 3),
    }


def thinned(
    vertices: Array, faces: NDArray[np.integer[Any]], most: int
) -> tuple[Array, NDArray[np.integer[Any]], float | None]:
    """Make one vertex of all within a cube, triangles that lose a corner left out, until at most `most` are left.

    Returns the vertices, the faces and the edge of the cubes [Å]; None for it where nothing had to be thinned.
    """
    if len(faces) <= most:
        return vertices, faces, None
    low = vertices.min(axis=0)
    sides = vertices[faces] - vertices[np.roll(faces, 1, axis=1)]
    edge = float(np.linalg.norm(sides, axis=2).mean())
    while True:
        edge *= _GROWTH
        cubes = np.floor((vertices - low) / edge).astype(np.int64)
        _, group = np.unique(np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(axis=0) + 1)), return_inverse=True)
        corners = group[faces]
        whole = (corners != np.roll(corners, 1, axis=1)).all(axis=1)
        if whole.sum() <= most:
            break
    counts = np.bincount(group)
    means = np.stack([np.bincount(group, vertices[:, axis]) / counts for axis in range(3)], axis=1)
    return means, corners[whole], edge
