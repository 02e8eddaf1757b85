"""Files that are whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amorph import durable


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
