"""Files that a kill leaves whole: replaced by rename, only growing, or kept with a checksum and the one before."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Held:
    """A directory that this thread works in, what it wrote there, and whether that is still the one it began in."""

    directory: Path
    descriptor: int
    """The locked folder, open."""
    files: dict[Path, str] = field(default_factory=dict)
    """Files written, each with its SHA-256 where that was counted on the way."""

    def note(self, path: Path, sha256: str = "") -> None:
        """Take note of a file that is about to be written, or refuse: another run may have begun at that name."""
        self.check(path.parent)
        self.files[path] = sha256

    def check(self, folder: Path | None = None) -> None:
        """Refuse to go on where the directory, or a folder in it, was moved or removed."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.fstat(self.descriptor), self.directory.stat()):
                if folder is None or folder.is_dir():
                    return
                raise _gone(folder)
        raise _gone(self.directory)


def _gone(folder: Path) -> RuntimeError:
    return RuntimeError(
        f"{folder} was moved or removed while this run worked in it; nothing more is written, and the same command "
        "with its new place continues it from the last checkpoint"
    )


HELD: ContextVar[Held | None] = ContextVar("the run directory that this thread works in", default=None)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`: what is written there takes that name once it is on disk, or goes."""
    if held := HELD.get():
        held.note(path)
    # Of a name that nobody knows before. The suffix stays at the end, for some writers look at it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.amorph-tmp{path.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o666))
    try:
        yield temporary
        sync(temporary)
        if held:
            held.note(path)
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


UNFINISHED = re.compile(r"\..+\.[0-9a-f]+\.amorph-tmp(\..+)?")
"""Temporary names of files whose writer was killed."""


def remove_unfinished(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_file() and UNFINISHED.fullmatch(path.name):
            path.unlink()


_OF_A_STAGE = re.compile(r"\d+_\w+")


def refuse_links(directory: Path) -> None:
    """Refuse a directory in which links, pipes or devices stand for files or folders: they may lead anywhere.

    What lies in folders of a stage's folder is not the run's own, and left alone: input of another program, say. The
    directory may be that of a run, of an ensemble or of a stage.
    """
    left = [directory]
    while left:
        folder = left.pop()
        within_stage = _OF_A_STAGE.fullmatch(folder.name) and not (folder / "run.toml").exists()
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # of a process that works there
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode) and not within_stage:
                    left.append(path)
                if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                    what = "a link" if stat.S_ISLNK(mode) else "neither file nor folder"
                    raise ValueError(f"{path} is {what}, which is not followed; put the file itself in its place")


def refuse_other_names(descriptor: int, path: Path) -> None:
    """Refuse to append to an open file that has another name: what is written would reach that one too."""
    if os.fstat(descriptor).st_nlink > 1:
        raise ValueError(f"{path} is the same file as another (a hard link); put a copy of it in its place")


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file, as hexadecimal text; a pipe or a device would have no end."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no regular file; give one")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class AppendedFile:
    """A text file that only grows, and can be cut back to where a checkpoint knew it."""

    path: Path
    size: int = 0
    known: str = ""
    """SHA-256 of what its checkpoint knows; of a checkpoint of before, nothing."""

    def __post_init__(self) -> None:
        # Lines written after the last checkpoint are written again by the continued run, so they go.
        self._file = self.path.open("a+b")
        try:
            refuse_other_names(self._file.fileno(), self.path)
        except ValueError:
            self._file.close()
            raise
        self._digest = hashlib.sha256()
        self._file.seek(0)
        left = self.size
        while left and (part := self._file.read(min(left, 1 << 20))):
            self._digest.update(part)
            left -= len(part)
        if left or self.known not in ("", self._digest.hexdigest()):
            self._file.close()
            what = f"lacks {left} of the {self.size} bytes" if left else "holds other bytes than those"
            raise ValueError(
                f"{self.path} {what} that its checkpoint knows: it was damaged since; remove the folder "
                f"{self.path.parent} to redo the stage"
            )
        self._file.truncate(self.size)
        self._note()

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written, whatever the disk has made of it."""
        return self._digest.hexdigest()

    def append(self, text: str) -> None:
        """Append in one write, so that a reader (or a kill) finds whole records."""
        content = text.encode()
        self._digest.update(content)
        self._file.write(content)
        self._file.flush()

    def sync(self) -> int:
        """Force the content to disk and return its length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        now = os.fstat(self._file.fileno())
        if held := HELD.get():
            held.check(self.path.parent)
        if not self.path.exists() or not os.path.samestat(now, self.path.stat()):
            raise RuntimeError(
                f"{self.path} was moved, removed or replaced while this run wrote it; put it back, or remove the "
                f"folder {self.path.parent} to redo the stage"
            )
        return now.st_size

    def close(self) -> None:
        """Sync and close."""
        with self._file:
            self.sync()
        self._note()

    def _note(self) -> None:
        if held := HELD.get():
            held.note(self.path, self.sha256)


def appended(path: Path, size: int = 0, sha256: str = "") -> contextlib.closing[AppendedFile]:
    """Open a growing file, cut to the `size` bytes of that digest, for the time of a stage."""
    return contextlib.closing(AppendedFile(path, size, sha256))
