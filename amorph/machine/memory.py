"""How much memory this process may still take: what is free, under the limits of containers and batch jobs."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from amorph.machine.control_groups import MOUNT, PROC, folders_of


def refuse_beyond_memory(needed: int, asked: str, remedy: str) -> None:
    """Raise a ValueError that says how much memory is needed and how much there is, where that is not enough."""
    available = available_memory()
    if needed > available:
        raise ValueError(f"{asked} needs {_size(needed)} of memory, and {_size(available)} are available; {remedy}")


def available_memory(proc: Path = PROC, cgroups: Path = MOUNT) -> int:
    """Estimate the memory that this process can still take [bytes].

    The least of what is free on the machine, what every control group around the process leaves of its limit, and what
    the process leaves of its job's share in SLURM.
    """
    try:
        # the count of free pages would leave out the file cache, which gives way
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        import psutil

        free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_left_in_groups(proc, cgroups), *_left_in_slurm(proc)]))


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    for folder, version in folders_of("memory", proc, cgroups):
        limit, usage, cache = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if version == 1
            else ("memory.max", "memory.current", "inactive_file")
        )
        with contextlib.suppress(OSError, ValueError):  # no such group, or no limit: "max"
            left = int((folder / limit).read_text()) - int((folder / usage).read_text())
            pages = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # Files that were read or written lately make room when it is needed.
            yield left + int(pages.get(cache, 0))


def _left_in_slurm(proc: Path) -> Iterator[int]:
    """Yield what this process leaves of its job's memory on this node; SLURM names it also where no group confines it.

    Where one does, the group's own count is the tighter: it holds the other processes of the job too.
    """
    amounts = {name: os.environ.get(name, "") for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU")}
    per_node, per_cpu = (int(text) * 2**20 if text.isdecimal() else 0 for text in amounts.values())
    processors = os.environ.get("SLURM_CPUS_ON_NODE", "")
    share = per_node or per_cpu * (int(processors) if processors.isdecimal() else 0)
    if share:  # 0: the whole node
        held = 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            held = int((proc / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        yield share - held


def _size(number: int) -> str:
    for unit, size in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
