"""Where numba keeps compiled kernels, and the one line in the log when it has to compile them.

numba knows a compiled kernel by its own file only, but kernels call functions of other files. So kernels are kept in a
folder whose name is a digest of every source of this package that imports numba: a change in any of them compiles anew.
The folder is beside the sources or, where that is read-only, in the user's cache folder. Where neither can be written
(a container with a read-only home) kernels go to a temporary folder of this user: compiled once per start of the
machine instead of once per process.
"""

import functools
import getpass
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def provide_cache_folder() -> None:
    """Point numba to the folder for kernels of these sources; to be called before a module defines kernels."""
    from numba.core import config

    name = f"amorph-kernels-{sources_digest()}"
    if config.CACHE_DIR and Path(config.CACHE_DIR).name == name:
        return
    if config.CACHE_DIR:
        base = Path(config.CACHE_DIR)
    else:
        candidates = (Path(__file__).parent / "__pycache__", _user_cache())
        base = next((folder for folder in candidates if _writable(folder)), None) or _temporary_folder()
    config.CACHE_DIR = str(base / name)


@functools.cache
def sources_digest(package: Path = Path(__file__).parent) -> str:
    """Digest the sources that import numba: all that a compiled kernel can hold."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        if b"from numba" in content or b"import numba" in content:
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"amorph-numba-{getpass.getuser() if _has_name() else os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Whoever else made a folder of this name could plant kernels in it.
    if folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="amorph-numba-"))
    return folder


@contextmanager
def announced(kernels: list[Callable[..., Any]]) -> Iterator[None]:
    """Log one line if kernels are compiled meanwhile: how many, how long, where they are kept."""
    before = [_misses(kernel) for kernel in kernels]
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


def _misses(kernel: Any) -> int:
    return sum(kernel.stats.cache_misses.values())


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "numba"


def _has_name() -> bool:
    try:
        getpass.getuser()
    except (KeyError, OSError):
        return False
    return True


def _writable(folder: Path) -> bool:
    """Tell whether a folder, or the nearest one above it that exists, can be written to; root is tried, not asked."""
    while not folder.exists():
        if folder.parent == folder:
            return False
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
