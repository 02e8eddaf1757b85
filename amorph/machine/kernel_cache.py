"""Where numba keeps compiled kernels, and what the log says when it has to compile them.

numba knows a compiled kernel by its own file only, but kernels call functions of other files. So kernels are kept in a
folder whose name is a digest of every source of this package that imports numba: a change in any of them compiles anew.
The folder is beside the sources or, where that is read-only, in the user's cache folder. Where neither can be written
(a container with a read-only home) kernels go to a temporary folder of this user: compiled once per start of the
machine instead of once per process.
"""

import contextlib
import functools
import grp
import hashlib
import logging
import os
import pwd
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amorph.machine.locks import lock_within

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
"""The folder of amorph: kernels call functions of any of its rooms."""

PATIENCE = 180.0
"""Time that a process waits for another one that compiles [s]; it takes half a minute on an idle machine."""

_compiling = threading.Lock()


def provide_cache_folder() -> None:
    """Point numba to the folder for kernels of these sources; to be called before a module defines kernels."""
    from numba.core import config

    name = f"amorph-kernels-{sources_digest()}"
    named = Path(config.CACHE_DIR) if config.CACHE_DIR else None
    if named is not None and named.name == name:
        named = named.parent
    if named is not None:
        with contextlib.suppress(OSError):  # before somebody else does, where everybody may
            named.mkdir(mode=0o700, parents=True)
    if named is not None and not (_trusted(named) and _trusted(named / name)):
        logger.warning("NUMBA_CACHE_DIR, %s, is not used: others may write there, and so plant code", named)
        named = None
    candidates = (PACKAGE / "__pycache__", _user_cache())
    usable = (folder for folder in candidates if _trusted(folder) and _trusted(folder / name) and _writable(folder))
    config.CACHE_DIR = str((named or next(usable, None) or _temporary_folder()) / name)


@functools.cache
def sources_digest(package: Path = PACKAGE) -> str:
    """Digest the sources that import numba: all that a compiled kernel can hold."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        if b"from numba" in content or b"import numba" in content:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"amorph-numba-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Whoever else made a folder or a link of this name, or may write there, could plant kernels in it.
    if not stat.S_ISDIR(folder.lstat().st_mode) or folder.lstat().st_uid != os.getuid() or not _trusted(folder):
        folder = Path(tempfile.mkdtemp(prefix="amorph-numba-"))
    return folder


@contextmanager
def announced(kernels: list[Callable[..., Any]]) -> Iterator[None]:
    """Log a line before kernels are first compiled, and one after: how many, how long, where they are kept.

    One thread of one process at a time: the others wait and read what the first one compiled. numba itself would let
    them all compile, and its index of what is kept loses entries that two processes write at once.
    """
    with _compiling, _one_process():
        before = [_misses(kernel) for kernel in kernels]
        if kernels and not any(Path(kernels[0].stats.cache_path).glob("*.nbi")):  # type: ignore[attr-defined]
            logger.info("compiling CHGNet's kernels, once in this installation; half a minute on an idle machine")
        start = time.perf_counter()
        yield
        compiled = sum(_misses(kernel) > misses for kernel, misses in zip(kernels, before, strict=True))
        if compiled:
            logger.info(
                "compiled %d CHGNet kernels in %.0f s; later runs read them from %s",
                compiled,
                time.perf_counter() - start,
                kernels[0].stats.cache_path,  # type: ignore[attr-defined]
            )


@contextmanager
def _one_process() -> Iterator[None]:
    """Hold a lock in the folder of the kernels, where its file system has locks and lets us write."""
    from numba.core import config

    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            folder = Path(config.CACHE_DIR)
            folder.mkdir(parents=True, exist_ok=True)
            file = held.enter_context((folder / "compiling").open("w"))
            lock_within(file, PATIENCE)  # but not for one who stopped while holding it
        yield


def _misses(kernel: Any) -> int:
    return sum(kernel.stats.cache_misses.values())


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "numba"


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))


def _trusted(folder: Path) -> bool:
    """Tell whether a folder, or the nearest one above it that exists, is ours or root's, and no other may write there.

    Kernels are code, which whoever writes there could plant. The group may where it is the user's own, as on systems
    whose umask is 002.
    """
    place = _existing(folder)
    found = place.stat()
    others = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _private(found.st_gid))
    return not others and found.st_uid in (0, os.getuid())


def _private(group: int) -> bool:
    """Tell whether a group is the user's own: it has his name, is his first one, and has no other member."""
    try:
        user, found = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
    except KeyError:  # a container may know neither
        return False
    return user.pw_gid == group and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _writable(folder: Path) -> bool:
    """Tell whether a folder, or the nearest one above it that exists, can be written to. Root is tried, not asked."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return True
    except OSError:
        return False
