"""Files that a kill leaves whole: replaced by rename, only growing, or kept with a checksum and the one before."""

import contextlib
import errno
import hashlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`: what is written there takes that name once it is on disk, or goes."""
    # The suffix stays at the end, for some writers look at it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.amorph-tmp{path.suffix}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there: temporary name, sync, rename."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, and force their names to disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Not every file system syncs a folder, and one that can be written to need not be readable.
        if error.errno not in {errno.EINVAL, errno.EACCES} or not path.is_dir():
            raise


UNFINISHED = re.compile(r"\..+\.\d+\.amorph-tmp(\..+)?")
"""Temporary names, with a process id, of files whose writer was killed."""


def remove_unfinished(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_file() and UNFINISHED.fullmatch(path.name):
            path.unlink()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class AppendedFile:
    """A text file that only grows, and can be cut back to where a checkpoint knew it."""

    path: Path
    size: int = 0

    def __post_init__(self) -> None:
        # Lines written after the last checkpoint are written again by the continued run, so they go.
        self._file = self.path.open("ab")
        if (length := self.path.stat().st_size) < self.size:
            self._file.close()
            raise ValueError(
                f"{self.path} has {length} bytes where its checkpoint knows {self.size}: it was cut since; remove the "
                f"folder {self.path.parent} to redo the stage"
            )
        self._file.truncate(self.size)

    def append(self, text: str) -> None:
        """Append in one write, so that a reader (or a kill) finds whole records."""
        self._file.write(text.encode())
        self._file.flush()

    def sync(self) -> int:
        """Force the content to disk and return its length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.path.stat().st_size

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self._file.close()


def appended(path: Path, size: int) -> contextlib.closing[AppendedFile]:
    """Open a growing file, cut to `size` bytes, for the time of a stage."""
    return contextlib.closing(AppendedFile(path, size))
