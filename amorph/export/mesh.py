"""Surfaces as files: PLY, STL, OBJ, GLB and VTP.

All hold the surface cut at the cell faces, so that it lies within one cell, with lengths in Å.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.isosurface import Mesh
from amorph.export.vtk_xml import Appended, write_vtk_xml
from amorph.export.whole_files import replacing, writer_for

_COLOR: Final = (0.95, 0.78, 0.15, 1.0)
_LINES: Final = 10_000
"""Lines of text made at a time."""


def write_mesh(path: str | Path, mesh: Mesh) -> None:
    """Write a surface in the format that the suffix names.

    Parameters
    ----------
    path
        Name of the file: ``.ply``, ``.stl``, ``.glb``, ``.obj`` or ``.vtp``.
    mesh
        Surface to write; a periodic one is cut at the cell faces.

    Raises
    ------
    ValueError
        Unknown suffix.
    """
    writer_for(path, MESH_WRITERS, "surface")(path, mesh)


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """Write a surface with vertex normals as binary PLY."""
    mesh = mesh.cut()
    vertices = np.hstack([mesh.vertices, mesh.normals]).astype("<f4")
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"] = 3
    faces["vertices"] = mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {_title(mesh)}",
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode())
        file.write(vertices.tobytes())
        file.write(faces.tobytes())


def write_stl(path: str | Path, mesh: Mesh) -> None:
    """Write a surface as binary STL: loose triangles with face normals."""
    mesh = mesh.cut()
    facets = np.zeros(len(mesh.faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
    corners = mesh.corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    facets["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    facets["corners"] = corners
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(_title(mesh).encode()[:80].ljust(80))
        file.write(np.uint32(len(facets)).astype("<u4").tobytes())
        file.write(facets.tobytes())


def write_glb(path: str | Path, mesh: Mesh) -> None:
    """Write a surface with vertex normals as binary glTF 2.0; one unit of length is 1 Å."""
    mesh = mesh.cut()
    extras = {"quantity": mesh.quantity, "unit": mesh.unit, "level": mesh.level, "parameters": mesh.parameters}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "amorph", "extras": {"length_unit": "Å"}},
        "scene": 0,
        "scenes": [{"name": mesh.quantity, "extras": extras}],
    }
    body = b""
    if len(mesh.faces):  # glTF knows no empty arrays: an empty surface is an empty scene
        body = _add_surface(document, mesh)
    # every chunk of a GLB file is a multiple of four bytes long, JSON filled with blanks
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    chunks = _chunk(text + b" " * (-len(text) % 4), b"JSON") + (_chunk(body, b"BIN\0") if body else b"")
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(b"glTF" + np.array([2, 12 + len(chunks)], "<u4").tobytes() + chunks)


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """Write a surface with vertex normals as Wavefront OBJ, positions to eight digits."""
    mesh = mesh.cut()
    sections = (
        ("v %.8g %.8g %.8g\n", mesh.vertices),
        ("vn %.5g %.5g %.5g\n", mesh.normals),
        # counted from 1; the normal of a vertex has its number
        ("f %d//%d %d//%d %d//%d\n", np.repeat(mesh.faces + 1, 2, axis=1)),
    )
    with replacing(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"# {_title(mesh)}\n")
        for line, rows in sections:
            for start in range(0, len(rows), _LINES):
                file.write("".join([line % tuple(row) for row in rows[start : start + _LINES].tolist()]))


def write_vtp(path: str | Path, mesh: Mesh) -> None:
    """Write a surface with vertex normals as VTK PolyData; quantity, level and parameters stand in the field data."""
    mesh = mesh.cut()
    n, m = len(mesh.vertices), len(mesh.faces)
    arrays = [
        Appended("PointData", "Normals", "<f4", 3, n, [mesh.normals]),
        Appended("Points", "Points", "<f4", 3, n, [mesh.vertices]),
        Appended("Polys", "connectivity", "<i8", 1, 3 * m, [mesh.faces]),
        Appended("Polys", "offsets", "<i8", 1, m, [3 * np.arange(1, m + 1)]),
    ]
    facts: dict[str, NDArray[Any] | str] = {
        "quantity": f"{mesh.quantity} [{mesh.unit}]",
        "level": np.array([mesh.level]),
        "lattice_vectors": mesh.cell,
        "parameters": json.dumps(mesh.parameters),
    }
    piece = f'NumberOfPoints="{n}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="{m}"'
    write_vtk_xml(path, "PolyData", "", piece, arrays, facts)


MESH_WRITERS: Final = {
    ".ply": write_ply,
    ".stl": write_stl,
    ".glb": write_glb,
    ".obj": write_obj,
    ".vtp": write_vtp,
}
"""Writer of each format by its suffix."""


def _add_surface(document: dict[str, Any], mesh: Mesh) -> bytes:
    """Describe a surface in a glTF document and return the buffer that the description points into."""
    positions = mesh.vertices.astype("<f4")
    arrays: list[tuple[NDArray[Any], int, int, dict[str, Any]]] = [
        # array, target (vertices or indices), component type (float or unsigned int), shape
        (positions, 34962, 5126, {"type": "VEC3", "min": positions.min(0).tolist(), "max": positions.max(0).tolist()}),
        (mesh.normals.astype("<f4"), 34962, 5126, {"type": "VEC3"}),
        (mesh.faces.astype("<u4").ravel(), 34963, 5125, {"type": "SCALAR"}),
    ]
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for array, target, component, shape in arrays:
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": len(accessors), "componentType": component, "count": len(array), **shape})
        offset += array.nbytes
    document["scenes"][0]["nodes"] = [0]
    document["nodes"] = [{"mesh": 0, "name": mesh.quantity}]
    document["meshes"] = [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}]}]
    surface = {"baseColorFactor": _COLOR, "metallicFactor": 0.0, "roughnessFactor": 0.6}
    document["materials"] = [{"pbrMetallicRoughness": surface, "doubleSided": True}]
    document["accessors"], document["bufferViews"] = accessors, views
    document["buffers"] = [{"byteLength": offset}]
    return b"".join(array.tobytes() for array, *_ in arrays)


def _chunk(content: bytes, kind: bytes) -> bytes:
    return np.uint32(len(content)).astype("<u4").tobytes() + kind + content


def _title(mesh: Mesh) -> str:
    """One line of ASCII, which is all that these headers take."""
    title = f"{mesh.quantity} = {mesh.level:g} {mesh.unit}, lengths in Angstrom, written by amorph"
    return " ".join(title.split()).encode("ascii", "replace").decode()
