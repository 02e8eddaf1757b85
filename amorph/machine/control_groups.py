"""The control groups of this process: where containers and batch jobs are limited."""

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
MOUNT = Path("/sys/fs/cgroup")


def folders_of(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[tuple[Path, int]]:
    """Yield the folder of each group around this process that a controller may limit, and its version, 1 or 2.

    Schedulers and containers limit a group or one above it. In a container the path may be the host's: then only the
    mount is there, and it is the container's own group.
    """
    try:
        lines = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, _, named = line.partition(":")
        controllers, separator, group = named.partition(":")
        if not separator or (controllers and controller not in controllers.split(",")):
            continue
        root, version = (mount / controller, 1) if controllers else (mount, 2)
        parts = Path(group.lstrip("/")).parts
        yield from ((root.joinpath(*parts[:depth]), version) for depth in range(len(parts) + 1))
