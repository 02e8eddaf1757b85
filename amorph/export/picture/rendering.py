"""A small renderer: triangles, spheres and panes under a sky, with shadows, on the processor alone.

It needs neither a display nor a graphics library. A depth buffer decides what is seen. The light on each visible point
is the sum over many distant lamps, each with a depth map of its own that tells what it reaches: lamps all over the sky
give the soft darkening of hollows, a cluster of stronger ones the shadows.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.export.picture._raster import blend, fill_discs, fill_triangles, gather_light, surface_normals
from amorph.machine.processors import available_processors

Array = NDArray[np.floating[Any]]

_SKY_LAMPS: Final = 48
_SKY_FLOOR: Final = -0.4
"""Lamps stand no further behind the scene than this cosine: what faces the viewer hardly sees those behind."""
_SKY_LIGHT: Final = 0.75
_KEY_LAMPS: Final = 16
_KEY_LIGHT: Final = 0.95
_KEY_DIRECTION: Final = np.array([-0.47, 0.68, 0.56])
"""Where the shadows come from, seen from the viewer: left, above, in front."""
_KEY_SPREAD: Final = 0.12
"""Half the angle that the key lamps cover [rad]: the softness of the shadows."""
_CHUNK: Final = 1 << 18
"""Points that a thread lights at a time."""
_SHINE: Final = 0.18
_SHINE_EXPONENT: Final = 40.0
_TALLEST: Final = 1.25
"""Height of an image over the width that it is asked for, at most."""
_OUTLINE_GAP: Final = 0.6
"""Step in depth [Å] from which on an outline is drawn."""
_OUTLINE: Final = 0.75
"""Darkness of outlines."""


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles with a normal at each vertex and one color each."""

    vertices: Array
    """(n, 3) positions [Å]."""
    normals: Array
    """(n, 3) unit normals; either side may face the viewer."""
    faces: NDArray[np.int64]
    """(m, 3) vertices of each triangle."""
    colors: Array
    """(m, 3) linear red, green, blue between 0 and 1."""


@dataclass(frozen=True, eq=False)
class Spheres:
    """Spheres with one color each."""

    centers: Array
    """(n, 3) positions [Å]."""
    radii: Array
    """(n,) radii [Å]."""
    colors: Array
    """(n, 3) linear red, green, blue between 0 and 1."""


@dataclass(frozen=True, eq=False)
class Panes:
    """Flat triangles of colored glass, which cast no shadow."""

    corners: Array
    """(m, 3, 3) positions [Å]."""
    colors: Array
    """(m, 3) linear red, green, blue between 0 and 1."""
    opacity: float
    """Share of the light that a pane stops, seen straight on."""

    @property
    def middles(self) -> Array:
        """(m, 3) middle of each pane [Å]."""
        return self.corners.mean(axis=1)


@dataclass(frozen=True, eq=False)
class Scene:
    """What there is to see."""

    triangles: Triangles
    spheres: Spheres
    panes: Panes

    def turned(self, axes: Array, target: Array) -> "Scene":
        """Give the scene in other axes, for the kernels in float32."""

        def turn(points: Array, origin: Array | float = 0.0) -> Array:
            return ((points - origin) @ axes.T).astype(np.float32)

        return Scene(
            replace(
                self.triangles,
                vertices=turn(self.triangles.vertices, target),
                normals=turn(self.triangles.normals),
            ),
            Spheres(turn(self.spheres.centers, target), self.spheres.radii.astype(np.float32), self.spheres.colors),
            replace(self.panes, corners=turn(self.panes.corners, target)),
        )

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest coordinates [Å]."""
        radii = self.spheres.radii[:, None]
        points = [self.triangles.vertices, self.panes.corners.reshape(-1, 3)]
        low = np.vstack([*points, self.spheres.centers - radii]).min(axis=0)
        high = np.vstack([*points, self.spheres.centers + radii]).max(axis=0)
        return low, high


@dataclass(frozen=True, eq=False)
class Camera:
    """How a scene is looked at."""

    axes: Array
    """(3, 3) unit vectors to the right, up and towards the viewer, as rows."""
    target: Array
    """(3,) point that keeps its size in the perspective [Å]."""
    distance: float
    """Distance of the eye from `target` [Å]."""
    corner: tuple[float, float]
    """Lower left corner of the image, in the plane through `target` [Å]."""
    pixels_per_A: float
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @classmethod
    def framing(cls, scene: Scene, axes: Array, target: Array, *, distance: float, width: int) -> "Camera":
        """Choose the image so that a scene fills its width; a tall one is narrower, no higher than 5/4 of that."""
        wide = cls(axes, target, distance, (0.0, 0.0), 1.0, 0, 0)
        seen = scene.turned(axes, target)
        margin = seen.spheres.radii.max(initial=0.0) + 0.3
        points = [seen.triangles.vertices, seen.spheres.centers, seen.panes.corners.reshape(-1, 3)]
        projected = wide.project(np.vstack(points))
        low, high = projected[:, :2].min(axis=0) - margin, projected[:, :2].max(axis=0) + margin
        across, upright = (float(side) for side in high - low)
        scale = width / max(across, upright / _TALLEST)
        width, height = (round(float(side) * scale) for side in high - low)
        return replace(wide, corner=(float(low[0]), float(low[1])), pixels_per_A=scale, width=width, height=height)

    def project(self, seen: Array) -> Array:
        """Give pixel coordinates and depth of points in the viewer's axes.

        Depth grows towards the viewer and is divided like the rest, so that planes stay planes.
        """
        projected = seen / (1.0 - seen[..., 2:] / self.distance)
        projected[..., :2] = (projected[..., :2] - self.corner) * self.pixels_per_A
        return projected.astype(np.float32)

    def unproject(self, rows: NDArray[np.int64], columns: NDArray[np.int64], depth: Array) -> Array:
        """Give the points in the viewer's axes that pixels show."""
        shown = np.stack([columns, rows, depth], axis=1, dtype=np.float32, casting="same_kind")
        shown[:, :2] += 0.5
        shown[:, :2] /= self.pixels_per_A
        shown[:, :2] += np.array(self.corner, np.float32)
        shown /= 1 + shown[:, 2:] / self.distance
        return shown

    def magnification(self, seen: Array) -> Array:
        """Give how much larger than at `target` things at these points look."""
        return (1.0 / (1.0 - seen[..., 2] / self.distance)).astype(np.float32)


def render(
    scene: Scene, camera: Camera, *, fog: float = 0.25, samples: int = 2, map_size: int = 1024
) -> NDArray[np.uint8]:
    """Draw a scene on white.

    Parameters
    ----------
    scene
        What there is to see.
    camera
        How it is looked at.
    fog
        Share of white at the far end of the scene.
    samples
        Points per pixel along each axis.
    map_size
        Points along each side of a lamp's depth map.

    Returns
    -------
    (height, width, 3) array
        sRGB image, top row first.
    """
    fine = replace(
        camera,
        pixels_per_A=camera.pixels_per_A * samples,
        width=camera.width * samples,
        height=camera.height * samples,
    )
    scene = scene.turned(camera.axes, camera.target)
    depth, index, points, normals = _visible(scene, fine)
    pane_normals = _facing_normals(scene.panes.corners)
    lamps = _Lamps.over(scene, map_size)
    light, pane_light = lamps.light(points, normals), lamps.light(scene.panes.middles, pane_normals)

    low, high = scene.bounds
    thickness = max(float(high[2] - low[2]), 1e-6)

    def seen_color(color: Array, light: Array, normals: Array, z: Array) -> Array:
        haze = fog * np.clip((high[2] - z) / thickness, 0, 1)[:, None]
        return ((color * light[:, None] + _shine(normals)[:, None]) * (1 - haze) + haze).astype(np.float32)

    colors = np.vstack([scene.triangles.colors, scene.spheres.colors]).astype(np.float32)
    image = np.ones((fine.height, fine.width, 3), np.float32)
    image[index >= 0] = seen_color(colors[index[index >= 0]], light, normals, points[:, 2])
    image *= (1 - _OUTLINE * _outlines(depth, samples))[..., None]

    farthest_first = np.argsort(scene.panes.middles[:, 2])
    pane_colors = seen_color(scene.panes.colors, pane_light, pane_normals, scene.panes.middles[:, 2])
    stopped = 1 - (1 - scene.panes.opacity) ** (1 / np.maximum(pane_normals[:, 2], 0.25))  # thicker at a slant
    panes = fine.project(scene.panes.corners[farthest_first])
    blend(panes, pane_colors[farthest_first], stopped[farthest_first], depth, image)

    coarse = image.reshape(camera.height, samples, camera.width, samples, 3).mean(axis=(1, 3))[::-1].clip(0, 1)
    srgb = np.where(coarse <= 0.0031308, 12.92 * coarse, 1.055 * coarse ** (1 / 2.4) - 0.055)
    return np.rint(255 * srgb).astype(np.uint8)


def linear_color(red: int, green: int, blue: int) -> Array:
    """Turn an sRGB color in bytes into linear light.

    >>> linear_color(255, 188, 0).round(2)
    array([1. , 0.5, 0. ])
    """
    color = np.array([red, green, blue]) / 255
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _visible(scene: Scene, camera: Camera) -> tuple[Array, NDArray[np.int32], Array, Array]:
    """Find depth and number of what each pixel shows, and position and normal where it shows something."""
    depth = np.full((camera.height, camera.width), -np.inf, np.float32)
    index = np.full(depth.shape, -1, np.int32)
    triangles, spheres = scene.triangles, scene.spheres
    screen, discs = camera.project(triangles.vertices), camera.project(spheres.centers)
    magnification = camera.magnification(spheres.centers)
    radii = spheres.radii * magnification * np.float32(camera.pixels_per_A)
    fill_triangles(screen, triangles.faces, depth, index)
    # depth changes by magnification² per Å, and a pixel is 1 / (magnification · pixels_per_A) wide
    fill_discs(discs, radii, magnification / np.float32(camera.pixels_per_A), depth, index, len(triangles.faces))
    rows, columns = np.nonzero(index >= 0)
    normals = surface_normals(rows, columns, index, screen, triangles.normals, triangles.faces, discs, radii)
    return depth, index, camera.unproject(rows, columns, depth[rows, columns]), normals


@dataclass(frozen=True, eq=False)
class _Lamps:
    """Distant lamps, and what each of them sees."""

    turns: Array
    """(l, 3, 3) what takes points to column, row (both in points of the map) and depth [Å] in a lamp's map."""
    starts: Array
    """(l, 3) what is added then."""
    strengths: Array
    """(l,) light on a surface that faces the lamp."""
    maps: Array
    """(l, size, size) depth of what is nearest to the lamp."""

    @classmethod
    def over(cls, scene: Scene, size: int) -> "_Lamps":
        """Set up the lamps over a scene and take their depth maps."""
        directions, strengths = _lamps()
        low, high = scene.bounds
        scale = size / (np.linalg.norm(high - low) + 2.0)
        turns = np.stack([_axes_towards(direction) * [[scale], [scale], [1.0]] for direction in directions])
        starts = np.array([size / 2, size / 2, 0.0]) - turns @ ((low + high) / 2)
        lamps = cls(
            turns.astype(np.float32),
            starts.astype(np.float32),
            strengths.astype(np.float32),
            np.full((len(turns), size, size), -np.inf, np.float32),
        )
        radii = scene.spheres.radii * np.float32(scale)
        rise = np.full(len(radii), 1 / scale, np.float32)

        def look(turn: Array, start: Array, depth: Array) -> None:
            index = np.empty((size, size), np.int32)
            fill_triangles(_place(scene.triangles.vertices, turn, start), scene.triangles.faces, depth, index)
            fill_discs(_place(scene.spheres.centers, turn, start), radii, rise, depth, index, 0)

        with ThreadPoolExecutor(available_processors()) as pool:
            list(pool.map(look, lamps.turns, lamps.starts, lamps.maps))
        return lamps

    def light(self, points: Array, normals: Array) -> Array:
        """Light that arrives at points on surfaces with these normals; 1 shows a color as it is."""
        points, normals = points.astype(np.float32), normals.astype(np.float32)
        light = np.zeros(len(points), np.float32)

        def work(first: int) -> None:
            part = slice(first, first + _CHUNK)
            gather_light(points[part], normals[part], self.turns, self.starts, self.strengths, self.maps, light[part])

        with ThreadPoolExecutor(available_processors()) as pool:
            list(pool.map(work, range(0, len(points), _CHUNK)))
        return light


def _place(points: Array, turn: Array, start: Array) -> Array:
    # faster than a matrix product, whose library is made for larger matrices
    return points[:, :1] * turn[:, 0] + points[:, 1:2] * turn[:, 1] + points[:, 2:] * turn[:, 2] + start


def _lamps() -> tuple[Array, Array]:
    """Give direction and strength of each lamp: a sky that is brighter above, and a cluster as key light."""
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(max(_SKY_LAMPS, _KEY_LAMPS))  # by the golden angle
    spiral = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    z = 1 - (1 - _SKY_FLOOR) * (np.arange(_SKY_LAMPS) + 0.5) / _SKY_LAMPS
    sky = np.hstack([np.sqrt(1 - z**2)[:, None] * spiral[:_SKY_LAMPS], z[:, None]])
    strength = 1 + 0.5 * sky[:, 1]
    strength *= _SKY_LIGHT / np.sum(strength * np.maximum(z, 0))  # on what faces the viewer under a free sky
    key = _KEY_DIRECTION / np.linalg.norm(_KEY_DIRECTION)
    radius = _KEY_SPREAD * np.sqrt((np.arange(_KEY_LAMPS) + 0.5) / _KEY_LAMPS)
    cluster = key + (radius[:, None] * spiral[:_KEY_LAMPS]) @ _axes_towards(key)[:2]
    cluster /= np.linalg.norm(cluster, axis=1, keepdims=True)
    return np.vstack([sky, cluster]), np.concatenate([strength, np.full(_KEY_LAMPS, _KEY_LIGHT / _KEY_LAMPS)])


def _axes_towards(direction: Array) -> Array:
    """Make right-handed axes of which the third points along a direction."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    first = np.cross(helper, direction)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first), direction])


def _facing_normals(corners: Array) -> Array:
    """Give the unit normals of triangles on the side that faces the viewer."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals / np.where(normals[:, 2:] < 0, -length, length)


def _shine(normals: Array) -> Array:
    """Mirror the key light towards the viewer (Blinn)."""
    half = _KEY_DIRECTION / np.linalg.norm(_KEY_DIRECTION) + [0, 0, 1]
    half = (half / np.linalg.norm(half)).astype(normals.dtype)
    return _SHINE * np.maximum(normals @ half, 0) ** _SHINE_EXPONENT


def _outlines(depth: Array, reach: int) -> Array:
    """Mark the points beside something that lies well in front of them."""
    solid = np.isfinite(depth)
    flat = np.where(solid, depth, depth.min(initial=0.0, where=solid) - 2 * _OUTLINE_GAP)
    gap = np.zeros_like(flat)
    for axis in (0, 1):
        for step in (-reach, reach):
            np.maximum(gap, np.roll(flat, step, axis) - flat, out=gap)
    return np.clip(gap / _OUTLINE_GAP - 1, 0, 1)
