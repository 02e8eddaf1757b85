"""Scalar fields from files."""

import json
import zipfile
from pathlib import Path

import numpy as np
from ase import Atoms

from amorph.fields import ScalarField
from amorph.reading.files import numeric, reason_of, regular_file, sound


def read_field(path: str | Path) -> tuple[ScalarField, Atoms]:
    """Read a scalar field and the structure it was made from, as :func:`amorph.export.npz.write_npz` writes them.

    Raises
    ------
    ValueError
        The file is missing, is no such archive, or holds arrays that do not belong together.
    """
    path = regular_file(path)
    remedy = "give a field that amorph wrote as .npz"
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"{path} is damaged at {broken!r}; {remedy}")
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except ValueError as error:
        reason = str(error) if str(error).startswith(str(path)) else f"{path} is no field: {reason_of(error)}; {remedy}"
        raise ValueError(reason) from None
    except Exception as error:  # a garbled archive raises what it likes, from BadZipFile to MemoryError
        raise ValueError(f"{path} is no field: {reason_of(error)}; {remedy}") from None
    names = ("values", "cell", "quantity", "unit", "parameters", "numbers", "positions", "pbc")
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"{path} has no {', '.join(missing)}; {remedy}")
    try:
        field = ScalarField(
            values=numeric(content["values"]),
            cell=np.array(content["cell"], dtype=np.float64),
            quantity=str(content["quantity"]),
            unit=str(content["unit"]),
            parameters=dict(json.loads(str(content["parameters"]))),
        )
        if np.isinf(field.values).any():
            raise ValueError("a value of the field is infinite")
        atoms = Atoms(
            numeric(content["numbers"]).astype(int),
            positions=numeric(content["positions"]),
            cell=field.cell,
            pbc=content["pbc"],
        )
        if "oxidation_states" in content:
            atoms.set_array("oxidation_states", numeric(content["oxidation_states"]).astype(np.float64))
    except Exception as error:
        raise ValueError(f"{path} is no field: {reason_of(error)}; {remedy}") from None
    return field, sound(path, atoms)
