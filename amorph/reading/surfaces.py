"""Surfaces from files: PLY, STL and OBJ, as amorph and others write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.machine.memory import available_memory
from amorph.reading.files import reason_of, regular_file, too_large

Surface = tuple[NDArray[np.float64], NDArray[np.int64]]
_PLY_KINDS: Final = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_STL_FACET: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
_GROWTH: Final = 30
"""Memory that a file takes while it is read, over its size."""


def read_surface(path: str | Path) -> Surface:
    """Read a surface of triangles: its vertices [Å] and the three vertices of each face.

    Raises
    ------
    ValueError
        The file is missing, is no such surface, or takes more memory than is free.
    """
    path = regular_file(path)
    reader = SURFACE_READERS.get(path.suffix.lower())
    remedy = f"give a surface as {', '.join(SURFACE_READERS)}"
    if reader is None:
        raise ValueError(f"{path} is no surface that amorph reads: the suffix '{path.suffix}' is unknown; {remedy}")
    if _GROWTH * path.stat().st_size > available_memory():
        raise too_large(path)
    try:
        vertices, faces = reader(path.read_bytes())
        if not np.isfinite(vertices).all():
            raise ValueError("a coordinate is not finite")
        if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
            raise ValueError(f"a face names a vertex beyond the {len(vertices)} that there are")
    except Exception as error:  # a garbled file raises what it likes
        raise ValueError(f"{path} is no surface: {reason_of(error)}; {remedy}") from None
    return vertices, faces


def _read_ply(content: bytes) -> Surface:
    header, end, body = content.partition(b"end_header\n")
    lines = header.decode("ascii").split("\n")
    if lines[0].strip() != "ply" or not end:
        raise ValueError("it does not begin as PLY")
    if "format binary_little_endian 1.0" not in lines:
        raise ValueError("only binary_little_endian PLY is read")
    counts: dict[str, int] = {}
    properties: dict[str, list[tuple[str, str]]] = {}
    for words in map(str.split, lines):
        if words[:1] == ["element"]:
            counts[words[1]] = int(words[2])
            properties[words[1]] = []
        elif words[:1] == ["property"]:
            properties[list(counts)[-1]].append((words[-1], " ".join(words[1:-1])))
    if list(counts) != ["vertex", "face"] or len(properties["face"]) != 1:
        raise ValueError("only vertices and faces without properties are read")
    rows = np.dtype([(name, "<" + _PLY_KINDS[kind]) for name, kind in properties["vertex"]])
    table = np.frombuffer(body, rows, counts["vertex"])
    _, count, index = properties["face"][0][1].split()
    facet = np.dtype([("count", "<" + _PLY_KINDS[count]), ("corners", "<" + _PLY_KINDS[index], 3)])
    facets = np.frombuffer(body, facet, counts["face"], table.nbytes)
    if (facets["count"] != 3).any():
        raise ValueError("a face is no triangle")
    return np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64), facets["corners"].astype(np.int64)


def _read_stl(content: bytes) -> Surface:
    count = int(np.frombuffer(content, "<u4", 1, 80)[0])
    if len(content) != 84 + count * _STL_FACET.itemsize:
        raise ValueError("only binary STL is read")
    corners = np.frombuffer(content, _STL_FACET, count, 84)["corners"].reshape(-1, 3)
    vertices, faces = np.unique(corners, axis=0, return_inverse=True)
    return vertices.astype(np.float64), faces.reshape(-1, 3).astype(np.int64)


def _read_obj(content: bytes) -> Surface:
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    for words in map(str.split, content.decode("ascii").splitlines()):
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            if len(words) != 4:
                raise ValueError("a face is no triangle")
            faces.append([int(word.partition("/")[0]) - 1 for word in words[1:]])
    return np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)


SURFACE_READERS: Final[dict[str, Callable[[bytes], Any]]] = {".ply": _read_ply, ".stl": _read_stl, ".obj": _read_obj}
"""Reader of each format by its suffix."""
