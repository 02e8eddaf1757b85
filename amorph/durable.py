"""Files that a kill leaves whole: replaced by rename, only growing, or kept with a checksum and the one before."""

import contextlib
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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there: temporary name, sync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


UNFINISHED = re.compile(r"\..+\.\d+(\.\w+)?")
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
    if path.exists() and _body(path) is not None:  # a damaged one must not push out the whole one before it
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
        if (body := _body(path)) is not None:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return dict(arrays)
        log.warning("%s is damaged: its checksum does not match", path)
    if present:
        raise ValueError(f"every checkpoint in {directory} is damaged; remove the folder to redo the stage")
    return None


def _body(checkpoint: Path) -> bytes | None:
    """Return what a checkpoint holds behind its checksum; None where the checksum does not match."""
    raw = checkpoint.read_bytes()
    return raw[32:] if len(raw) > 32 and hashlib.sha256(raw[32:]).digest() == raw[:32] else None
