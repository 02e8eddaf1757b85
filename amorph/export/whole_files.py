"""The name of a file chooses the format."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from amorph.run import durable


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`, and rename it to `path` once everything is on disk.

    Raises
    ------
    ValueError
        `path` is a folder, or its folder does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
    with durable.replacing(path) as temporary:
        yield temporary


def check_room(path: str | Path, needed: int, content: str) -> None:
    """Refuse a file that takes more bytes than are free on its disk; `content` says what would take them.

    Raises
    ------
    ValueError
        It does.
    """
    folder = Path(path).parent
    if folder.is_dir() and needed > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"cannot write {path}: {content} take {needed / 1e9:.1f} GB in this format, and {free / 1e9:.1f} GB are "
            "free on the disk; give fewer points, or another place"
        )


Writer = TypeVar("Writer")


def writer_for(path: str | Path, writers: Mapping[str, Writer], content: str) -> Writer:
    """Find the writer for a file name by its suffix, or by how the name begins.

    A key of `writers` that is no suffix is the beginning of names: "CHGCAR" stands for "CHGCAR_bvs" too.

    Raises
    ------
    ValueError
        No writer has this suffix or name.
    """
    name = Path(path).name
    suffix = Path(path).suffix.lower()
    if suffix in writers:
        return writers[suffix]
    for beginning in writers:
        if not beginning.startswith(".") and name.upper().startswith(beginning):
            return writers[beginning]
    raise ValueError(
        f"cannot write a {content} as '{name}': the suffix '{suffix}' names no format; known are {', '.join(writers)}"
    )
