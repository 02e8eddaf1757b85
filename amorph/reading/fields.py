"""Scalar fields from files."""

import json
import zipfile
from pathlib import Path
from typing import Any, Final, cast, get_args

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.fields import FieldKind, ScalarField
from amorph.machine.memory import available_memory
from amorph.reading.files import RefusedError, aside, numeric, reason_of, regular_file, sound, too_large
from amorph.reading.frames import Unfinished
from amorph.reading.grid_text import holds_grid, is_grid_text, kind_of, read_grid_text
from amorph.reading.packed import told, unpacked
from amorph.reading.vtk_fields import read_vtk_field

_NAMES: Final = ("values", "cell", "quantity", "unit", "parameters", "numbers", "positions", "pbc")
OWN_FIELDS: Final = (".npz", ".vti", ".vts")
"""Suffixes of fields that only amorph writes with their structure."""
_STATES: Final = "oxidation_states"
_OPTIONAL: Final = ("kind", "ion", "origin", _STATES)


def read_field(path: str | Path) -> tuple[ScalarField, Atoms]:
    """Read a scalar field and the structure it belongs to.

    Parameters
    ----------
    path
        An ``.npz`` that :func:`amorph.export.fields.write_field` wrote, or a calculation's CUBE, CHGCAR, AECCAR,
        PARCHG, ELFCAR, LOCPOT or XSF, packed or not; a ``.vti`` or ``.vts`` of amorph's. Of several grids in one file
        the first is read.

    Raises
    ------
    ValueError
        The file is missing, is no such file, or holds arrays that do not belong together or take more memory than is
        free.
    """
    path = regular_file(path)
    remedy = "give a field that amorph wrote, a CUBE, XSF, CHGCAR or LOCPOT"
    kind = path.suffix.lower()
    if kind in {".vti", ".vts"} or (kind != ".npz" and is_grid_text(path.name)):
        with told(path, f"no field; {remedy}") as whole:
            field, atoms = (read_grid_text if is_grid_text(whole.name) else read_vtk_field)(whole)
        return field, sound(path, atoms)
    try:
        content = _arrays(path)
    except RefusedError as error:
        raise ValueError(f"{path} {error}; {remedy}") from None
    except MemoryError:
        raise too_large(path) from None
    except Exception as error:  # a garbled archive raises what it likes
        raise ValueError(f"{path} is no field: {reason_of(error)}; {remedy}") from None
    try:
        field = ScalarField(
            values=numeric(content["values"]),
            cell=np.array(content["cell"], dtype=np.float64),
            quantity=str(content["quantity"]),
            unit=str(content["unit"]),
            parameters=(parameters := dict(json.loads(str(content["parameters"])))),
            kind=_kind(content),
            ion=str(content["ion"] if "ion" in content else parameters.get("ion", "")) or None,
            origin=dict(json.loads(str(content.get("origin", "{}")))),
        )
        if np.isinf(field.values).any():
            raise ValueError("a value of the field is infinite")
        atoms = Atoms(
            numeric(content["numbers"]).astype(int),
            positions=numeric(content["positions"]),
            cell=field.cell,
            pbc=content["pbc"],
        )
        if _STATES in content:
            atoms.set_array(_STATES, numeric(content[_STATES]).astype(np.float64))
    except MemoryError:
        raise too_large(path) from None
    except Exception as error:
        raise ValueError(f"{path} is no field: {reason_of(error)}; {remedy}") from None
    return field, sound(path, atoms)


def is_field(path: Path) -> bool:
    """Tell whether a file holds a field: by its name, and where a structure could have that too by a look into it."""
    if path.suffix.lower() in OWN_FIELDS:
        return True
    if not is_grid_text(path.name):
        return False
    try:
        with aside(), unpacked(regular_file(path)) as whole:
            return holds_grid(whole)
    except (ValueError, RefusedError, Unfinished):  # who reads it says what is wrong
        return False


def _kind(content: dict[str, NDArray[Any]]) -> FieldKind:
    if "kind" not in content:
        return kind_of(str(content["quantity"]))
    if (kind := str(content["kind"])) not in get_args(FieldKind):
        raise ValueError(f"it is of the kind {kind!r}, which amorph does not know")
    return cast("FieldKind", kind)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a field, once their names are there and their sizes fit the memory; others are left alone.

    A map whose points are mostly excluded is packed a thousandfold with good reason, so that memory is the limit.
    """
    with zipfile.ZipFile(path) as archive:
        found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if missing := [name for name in _NAMES if name not in found]:
            raise RefusedError(f"has no {', '.join(missing)}")
        chosen = {name: found[name] for name in (*_NAMES, *_OPTIONAL) if name in found}
        needed = sum(info.file_size for info in chosen.values())
        if needed > (free := available_memory()):
            raise RefusedError(f"takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free")
        return {name: _array(archive, info) for name, info in chosen.items()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # the checksum is compared at the end
    return array
