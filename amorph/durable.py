"""Files that a kill leaves whole: replaced by rename, only growing, or kept with a checksum and the one before."""

import contextlib
import errno
import hashlib
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@contextlib.contextmanager
def appended(path: Path, size: int) -> Iterator[AppendedFile]:
    """Open a growing file, cut to `size` bytes, for the time of a stage."""
    file = AppendedFile(path, size)
    try:
        yield file
    finally:
        file.close()


def write_checkpoint(directory: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``checkpoint.npz`` with its own checksum; the one before stays as ``checkpoint_previous.npz``."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwds for allow_pickle
    body = content.getvalue()
    path = directory / "checkpoint.npz"
    if path.exists() and not _read(path)[1]:  # a damaged one must not push out the whole one before it
        path.replace(directory / "checkpoint_previous.npz")
    write_atomically(path, hashlib.sha256(body).digest() + body)


def read_checkpoint(directory: Path) -> dict[str, NDArray[Any]] | None:
    """Read the newest checkpoint whose checksum holds; None where there is none.

    Raises
    ------
    ValueError
        There are checkpoints, and none is whole.
    """
    candidates = [directory / "checkpoint.npz", directory / "checkpoint_previous.npz"]
    present = [path for path in candidates if path.exists()]
    for path in present:
        body, fault = _read(path)
        if not fault:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return dict(arrays)
        log.warning("%s is damaged: %s", path, fault)
    if present:
        raise ValueError(f"every checkpoint in {directory} is damaged; remove the folder to redo the stage")
    return None


def _read(checkpoint: Path) -> tuple[bytes, str]:
    """Return what a checkpoint holds behind its checksum, and what is wrong with it: nothing, if it is whole."""
    try:
        raw = checkpoint.read_bytes()
    except PermissionError:  # it may be whole
        raise
    except OSError as error:
        return b"", str(error.strerror)
    sound = len(raw) > 32 and hashlib.sha256(raw[32:]).digest() == raw[:32]
    return (raw[32:], "") if sound else (b"", "its checksum does not match")
