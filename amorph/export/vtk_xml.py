"""VTK's XML files: a description, then the arrays as they lie in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from amorph.export.whole_files import replacing

_TYPES = {"<f4": "Float32", "<f8": "Float64", "<i8": "Int64"}


class Appended(NamedTuple):
    """An array of a file, written piece by piece."""

    section: str
    """Where it belongs: "PointData", "Points", "Polys"."""
    name: str
    """What it is called there."""
    kind: str
    """Type of its numbers: "<f4", "<f8" or "<i8"."""
    components: int
    """Numbers of one tuple."""
    tuples: int
    """How many tuples."""
    pieces: Iterable[NDArray[Any]]
    """The numbers, in order."""

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return np.dtype(self.kind).itemsize * self.components * self.tuples


def write_vtk_xml(
    path: str | Path,
    kind: str,
    whole: str,
    piece: str,
    arrays: Sequence[Appended],
    facts: dict[str, NDArray[Any] | str],
) -> None:
    """Write one data set.

    Parameters
    ----------
    path
        Name of the file.
    kind
        Data set: "ImageData", "StructuredGrid" or "PolyData".
    whole
        Attributes of the data set.
    piece
        Attributes of its one piece.
    arrays
        Its arrays, those of a section one after the other.
    facts
        Field data: what is said about the whole, by name.
    """
    lines = [
        '<?xml version="1.0"?>',
        f'<VTKFile type="{kind}" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f"<{kind} {whole}>",
        "<FieldData>",
        *(_fact(name, value) for name, value in facts.items()),
        "</FieldData>",
        f"<Piece {piece}>",
    ]
    offset = 0
    for number, array in enumerate(arrays):
        if number == 0 or arrays[number - 1].section != array.section:
            lines.append(f"<{array.section}{_active(array, arrays)}>")
        lines.append(
            f'<DataArray type="{_TYPES[array.kind]}" Name={quoteattr(array.name)} '
            f'NumberOfComponents="{array.components}" format="appended" offset="{offset}"/>'
        )
        offset += 8 + array.size
        if number + 1 == len(arrays) or arrays[number + 1].section != array.section:
            lines.append(f"</{array.section}>")
    lines += ["</Piece>", f"</{kind}>", '<AppendedData encoding="raw">']
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join(lines) + "\n_").encode())
        for array in arrays:
            _append(file, array)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")


def _append(file: BinaryIO, array: Appended) -> None:
    file.write(np.array(array.size, "<u8").tobytes())
    for piece in array.pieces:
        file.write(np.ascontiguousarray(piece, dtype=array.kind).data)


def _active(array: Appended, arrays: Sequence[Appended]) -> str:
    """Name the arrays that a viewer shows at first."""
    if array.section != "PointData":
        return ""
    shown = {
        "Scalars" if entry.components == 1 else "Normals": entry.name
        for entry in arrays
        if entry.section == "PointData"
    }
    return "".join(f" {role}={quoteattr(name)}" for role, name in shown.items())


def _fact(name: str, value: NDArray[Any] | str) -> str:
    if isinstance(value, str):  # text is written as codes of its bytes, with a zero at the end
        codes = " ".join(map(str, [*value.encode(), 0]))
        return f'<DataArray type="String" Name="{name}" NumberOfTuples="1" format="ascii">{codes}</DataArray>'
    kind = "Int64" if np.issubdtype(value.dtype, np.integer) else "Float64"
    components = value.shape[1] if value.ndim == 2 else 1
    numbers = " ".join(map(repr, value.ravel().tolist()))
    return (
        f'<DataArray type="{kind}" Name="{name}" NumberOfComponents="{components}" NumberOfTuples="{len(value)}" '
        f'format="ascii">{numbers}</DataArray>'
    )
