"""One process at a time in a directory: a lock that the kernel drops with its process."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from amorph.machine.locks import lock_within
from amorph.run.durable import refuse_other_names

A_MOMENT: Final = 1.0
"""For so long whoever looks at the status of a run may hold its lock [s]."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[tuple[str, int]]:
    """Hold a directory's lock for the time of a block.

    The file ``lock`` says who holds it. A stale one does no harm: the lock is not the file but what the kernel knows of
    it. The folder is locked beside it where its file system can do that (NFS cannot), so that removing the file lets
    nobody in.

    Yields
    ------
    str, int
        Who held the lock and did not give it back; empty if nobody did. On another machine it may still run, where a
        file system keeps locks to each. And the folder, open.

    Raises
    ------
    ValueError
        Another process holds the lock, or the file system has none.
    """
    file = _acquire(directory / "lock")
    folder = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            try:
                lock_within(folder, A_MOMENT)
            except BlockingIOError:
                raise _in_use(directory, "another process, whose lock was removed") from None
        file.seek(0)
        left = file.read().strip()
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield left, folder
        finally:
            with contextlib.suppress(OSError):  # a full disk, or one gone read-only
                file.seek(0)
                file.truncate()
    finally:
        os.close(folder)
        with contextlib.suppress(OSError):
            file.close()


def _acquire(path: Path) -> TextIO:
    """Open a file and lock it, again if another takes its name in between."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            lock_within(file, A_MOMENT)
            refuse_other_names(file.fileno(), path)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise _in_use(path.parent, owner) from None
        except ValueError:
            file.close()
            raise
        except OSError as error:
            file.close()
            raise ValueError(
                f"{path.parent} cannot be locked ({error.strerror}), so two processes could mix their files in it; "
                "use a --dir on another file system"
            ) from None
        file.close()


def _in_use(directory: Path, owner: str) -> ValueError:
    return ValueError(f"{directory} is in use by {owner}; wait for it, or use another --dir")
