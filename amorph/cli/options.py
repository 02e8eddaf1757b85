"""Options that several verbs share, and their checks."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter

from amorph.cli.flags import whole_numbers
from amorph.export import writer_for

if TYPE_CHECKING:
    from ase import Atoms

File = Annotated[Path, Parameter(help="Structure file: most formats that ASE or pymatgen reads.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON, and nothing else.")]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", help="Print errors only.")]
Output = Annotated[Path | None, Parameter(name=("--output", "-o"), help="File to write; the suffix names the format.")]
Seed = Annotated[
    int,
    Parameter(name="--seed", converter=whole_numbers, help="Seed of the random generator, 0 or a whole number above."),
]
MaxHours = Annotated[
    float | None,
    Parameter(help="Stop after this wall time with a checkpoint and status 3, before the queue's own limit [h]."),
]
Force = Annotated[
    bool,
    Parameter(
        negative="", help="Continue although the study, the weights or a package changed; the difference is recorded."
    ),
]


def check_output(path: Path | None, writer: Callable[[Path], object]) -> None:
    """Refuse a file that cannot be written, before any work is done for it; `writer` refuses unknown suffixes."""
    if path is None:
        return
    writer(path)
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: the folder {path.parent} is read-only; choose another")


def check_table(path: Path | None) -> None:
    """Refuse a file of a table that is no CSV or cannot be written."""
    check_output(path, lambda path: writer_for(path, {".csv": None}, "table"))


def check_field(path: Path | None, atoms: "Atoms", parameters: Mapping[str, Any]) -> None:
    """Refuse a map's file that no disk can hold, before the map is made; `parameters` have its grid and precision."""
    from amorph.analysis.grids import resolve_points
    from amorph.export.fields import check_field_file

    grid, spacing = parameters.get("grid"), parameters.get("spacing")
    sound = (spacing is None or spacing > 0) and (grid is None or min(grid) > 0)  # the map itself refuses others
    if path is not None and sound:
        precision: Any = parameters.get("precision") or "float64"
        points = resolve_points(atoms.cell.array, grid, spacing, bytes_per_point=np.dtype(precision).itemsize)
        check_field_file(path, points, precision=precision)
