"""The name of a file chooses the format."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.run import durable


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`, which must exist, and rename it once everything is on disk."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    with durable.replacing(path) as temporary:
        yield temporary


def check_room(path: str | Path, needed: int, content: str) -> None:
    """Refuse a file that takes more bytes than are free on its disk; `content` says what would take them."""
    folder = Path(path).parent
    if folder.is_dir() and needed > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"cannot write {path}: {content} take {needed / 1e9:.1f} GB in this format, and {free / 1e9:.1f} GB are "
            "free on the disk; give fewer points, or another place"
        )


def check_cell(what: str, cell: NDArray[np.float64], atoms: Atoms) -> None:
    """Refuse what lies in another cell than the structure that it is written with."""
    if not np.allclose(cell, atoms.cell.array, rtol=0, atol=1e-6):
        raise ValueError(
            f"the {what} lies in the cell {cell.tolist()} Å, the structure in {atoms.cell.array.tolist()} Å; pass the "
            f"structure that the {what} was made from"
        )


Writer = TypeVar("Writer")


def writer_for(path: str | Path, writers: Mapping[str, Writer], content: str) -> Writer:
    """Find the writer for a file name by its suffix, or by how the name begins.

    A key of `writers` that is no suffix is the beginning of names: "CHGCAR" stands for "CHGCAR_bvs" too.
    """
    name, suffix = Path(path).name, Path(path).suffix.lower()
    for known in (suffix, *writers):
        if known in writers and (known == suffix or (known[0] != "." and name.upper().startswith(known))):
            return writers[known]
    raise ValueError(
        f"cannot write a {content} as '{name}': the suffix '{suffix}' names no format; known are {', '.join(writers)}"
    )
