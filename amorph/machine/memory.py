"""How much memory this process may still take: what is free, under the limits of containers and batch jobs."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def refuse_beyond_memory(needed: int, asked: str, remedy: str) -> None:
    """Raise a ValueError that says how much memory is needed and how much there is, where that is not enough."""
    available = available_memory()
    if needed > available:
        raise ValueError(f"{asked} needs {_size(needed)} of memory, and {_size(available)} are available; {remedy}")


def available_memory() -> int:
    """Estimate the memory that this process can still take [bytes]: of the machine, and of its job or container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    left = control_group_memory(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    if left is not None:
        total = min(total, left)
    try:
        # the count of free pages would leave out the file cache, which gives way
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return total
    return min(total, 1024 * int(kilobytes))


def control_group_memory(membership: Path, mount: Path) -> int | None:
    """Find what the control groups of this process leave of their memory limits [bytes]; None without a limit.

    Schedulers and containers limit a group or one above it; of a container's own group only the mount may be seen.
    """
    left = []
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":
            root, limit, usage, cache = mount, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        parts = [part for part in group.split("/") if part not in {"", "."}]
        for depth in range(len(parts) + 1):
            folder = root.joinpath(*parts[:depth])
            try:
                free = int((folder / limit).read_text(encoding="ascii"))
                free -= int((folder / usage).read_text(encoding="ascii"))
                statistics = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
            except (OSError, ValueError):  # no such group, or no limit: "max"
                continue
            left.append(max(0, free + int(statistics.get(cache, 0))))
    return min(left, default=None)


def _size(number: int) -> str:
    for unit, size in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"


def available_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory that is free for new allocations, or None where the system does not say.

    That of the machine, or what is left to this process in any of the control groups around it: the limits of a
    container, and of a job of SLURM.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    return min([free, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    try:
        groups = (proc / "self/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return
    for group in groups:
        _, _, named = group.partition(":")
        controllers, _, path = named.partition(":")
        if not controllers:  # version 2
            root, limit, used, inactive = cgroups, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used, inactive = (
                cgroups / "memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        # In a container the path may be the host's: then only the root is there, and it is the container's group.
        parts = Path(path.lstrip("/")).parts
        for folder in (root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)):
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no limit
                left = int((folder / limit).read_text()) - int((folder / used).read_text())
                pages = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                # Files that were read or written lately make room when it is needed.
                yield left + int(pages.get(inactive, 0))
