"""Scalar fields that amorph wrote for ParaView: .vti and .vts."""

import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.fields import ScalarField
from amorph.machine.memory import available_memory
from amorph.reading.files import RefusedError
from amorph.reading.grid_text import named_field

_KINDS: Final = {"Float32": "<f4", "Float64": "<f8"}
_MARK: Final = b'<AppendedData encoding="raw">'
_LONGEST_HEAD: Final = 100_000_000
"""Bytes of the description at most: it holds the structure as text, of some million atoms."""
_TAIL: Final = 20
"""Bytes at the end in which the description is closed."""
_LENGTH_BYTES: Final = 8
"""Bytes before an array, which say how long it is."""


def read_vtk_field(path: Path) -> tuple[ScalarField, Atoms]:
    """Read a field and its structure from a ``.vti`` or ``.vts`` as amorph writes them.

    Raises
    ------
    RefusedError
        It is another program's, broken off, or takes more memory than is free.
    """
    root, begin = _description(path)
    grid = [piece for kind in ("ImageData", "StructuredGrid") if (piece := root.find(kind)) is not None]
    array = grid[0].find("Piece/PointData/DataArray") if grid else None
    if array is None or array.get("format") != "appended" or root.get("header_type") != "UInt64":
        raise RefusedError("holds no field as amorph writes it; give one that it wrote, or a CUBE")
    facts = {fact.get("Name"): (fact.text or "").split() for fact in grid[0].findall("FieldData/DataArray")}
    if missing := {"lattice_vectors", "atomic_numbers", "atomic_positions"} - facts.keys():
        raise RefusedError(f"has no {', '.join(sorted(missing))} in its field data; give a field that amorph wrote")
    cell = np.array(facts["lattice_vectors"], dtype=np.float64).reshape(3, 3)
    low, high = np.array(grid[0].get("WholeExtent", "").split(), dtype=np.int64).reshape(3, 2).T
    values = _values(path, array, begin, high - low)
    if np.linalg.det(cell) < 0:  # written with the opposite lattice vectors: every axis runs backwards
        values = np.roll(values[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))
    quantity, unit = re.fullmatch(r"(.*?)(?: \[(.*)\])?", array.get("Name", "field")).groups("")  # type: ignore[union-attr]
    parameters, origin = (
        json.loads(bytes(int(code) for code in facts.get(name, [])[:-1]) or b"{}") for name in ("parameters", "origin")
    )
    field = named_field(np.ascontiguousarray(values), cell, quantity, unit, parameters, origin)
    positions = np.array(facts["atomic_positions"], dtype=np.float64).reshape(-1, 3)
    return field, Atoms(np.array(facts["atomic_numbers"], dtype=int), positions=positions, cell=cell, pbc=True)


def _description(path: Path) -> tuple[ET.Element, int]:
    """Read what stands before the arrays, and give it with the place where they begin."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEAD)
        file.seek(-min(_TAIL, path.stat().st_size), os.SEEK_END)
        if b"</VTKFile>" not in file.read():
            raise RefusedError("breaks off; give a whole file")
    end = head.find(_MARK)
    begin = head.find(b"_", end) + 1
    if end < 0 or not begin:
        raise RefusedError("has no appended data as amorph writes them; give a field that it wrote, or a CUBE")
    text = head[:end]
    if b"<!" in text:  # a document type, whose entities could grow without end
        raise RefusedError("declares a document type, which no field of amorph does; give a file that it wrote")
    return ET.fromstring(text + b"</VTKFile>"), begin


def _values(path: Path, array: ET.Element, begin: int, steps: NDArray[np.int64]) -> NDArray[Any]:
    """Read the values of an array, x fastest, and leave the end of each axis out, which repeats its beginning."""
    kind = _KINDS.get(str(array.get("type")))
    if kind is None or (steps < 1).any():
        raise RefusedError(f"holds {array.get('type')} on {' × '.join(map(str, steps))} steps; give a CUBE")
    points, begin = int(np.prod(steps + 1)), begin + int(array.get("offset", "0"))
    size = points * np.dtype(kind).itemsize
    if begin + _LENGTH_BYTES + size > path.stat().st_size:
        raise RefusedError(f"is shorter than its {points} values; give a whole file")
    if 2 * size > (free := available_memory()):
        raise RefusedError(f"takes {2 * size / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free")
    if int(np.fromfile(path, "<u8", 1, offset=begin)[0]) != size:
        raise RefusedError("has an array of another length than its grid; give a whole file")
    values = np.fromfile(path, kind, points, offset=begin + _LENGTH_BYTES)
    if np.isinf(values).any():
        raise RefusedError("has an infinite value; give a whole file")
    return values.reshape(tuple(steps[::-1] + 1)).T[:-1, :-1, :-1]
