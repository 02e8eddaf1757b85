"""Locks of files and folders, which the kernel drops with their process."""

import fcntl
import time
from typing import IO


def lock_within(file: IO[str] | int, seconds: float) -> None:
    """Lock an open file or folder, or fail with a BlockingIOError if another process still holds it after a while."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
