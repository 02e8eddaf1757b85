"""How many processors this process may use, and which."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from amorph.machine.control_groups import MOUNT, PROC, folders_of


def available_processors(proc: Path = PROC, cgroups: Path = MOUNT) -> int:
    """Count the processors that this process may keep busy, at least 1.

    The least of those it may run on, whole processors of the quota of every control group around it, and its share by
    OMP_NUM_THREADS and NUMBA_NUM_THREADS: queues and drivers that do not confine a process say it so.
    """
    return max(
        1, min([len(own_cores()), *_quotas(proc, cgroups), *allowed_threads("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")])
    )


def own_cores() -> list[int]:
    """List the cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _quotas(proc: Path, cgroups: Path) -> Iterator[int]:
    for folder, version in folders_of("cpu", proc, cgroups):
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if version == 1 else ("cpu.max",)
        with contextlib.suppress(OSError, ValueError):  # no such group, or no quota: "max"
            quota, period = (int(word) for name in files for word in (folder / name).read_text().split())
            if quota > 0 and period > 0:  # the first version writes -1 where there is none
                yield quota // period


def allowed_threads(*names: str) -> Iterator[int]:
    """Give the threads that variables of the environment allow, where they say so."""
    for name in names:
        share = os.environ.get(name, "").partition(",")[0].strip()
        if share.isdecimal() and int(share) > 0:
            yield int(share)
