"""Where numba keeps compiled kernels, and the one line in the log when it has to compile them.

numba writes beside the source file or, where that is read-only, to the user's cache folder. Where neither can be
written (a container with a read-only home) kernels go to a temporary folder of this user: compiled once per start of
the machine instead of once per process.
"""

import getpass
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def provide_cache_folder(source: str) -> None:
    """Give numba a folder it can write to, unless it has one for the source file `source`."""
    from numba.core import config

    if config.CACHE_DIR or _writable(Path(source).parent / "__pycache__") or _writable(_user_cache()):
        return
    folder = Path(tempfile.gettempdir()) / f"amorph-numba-{getpass.getuser() if _has_name() else os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Whoever else made a folder of this name could plant kernels in it.
    if folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="amorph-numba-"))
    config.CACHE_DIR = str(folder)


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
