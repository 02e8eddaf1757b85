"""The memory that maps, engines and estimates may take: the machine's, a group's, a job's."""

import os
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from amorph.machine import memory
from amorph.machine.memory import available_memory, refuse_beyond_memory

FREE = {"proc/meminfo": "MemTotal:    99999 kB\nMemAvailable:    8000 kB"}
SLURM = "0::/system.slice/slurmstepd.scope/job_7/step_0"
OLD = "5:cpuset:/slurm/job_7\n4:cpu,memory:/slurm/uid_1/job_7\n0::/user.slice"


def limit(folder, size, usage=1_000_000, cache=500, *, version=2):
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    stat = f"anon 9\n{'total_' if version == 1 else ''}inactive_file {cache}\nslab 5"
    return {
        f"cgroup/{folder}/{name}": text for name, text in zip((*names, "memory.stat"), (size, usage, stat), strict=True)
    }


@pytest.mark.parametrize(
    ("group", "limited", "free"),
    [
        (SLURM, None, 8_192_000),
        (SLURM, "system.slice/slurmstepd.scope/job_7", 2_000_500),  # the job's limit; the step has none of its own
        (SLURM, "system.slice/slurmstepd.scope/job_7/step_0", 2_000_500),
        (SLURM, ".", 2_000_500),
        (SLURM, "system.slice/slurmstepd.scope/job_8", 8_192_000),  # another's
        ("0::/../../host/path", ".", 2_000_500),  # a container's
        (OLD, None, 8_192_000),
        (OLD, "memory/slurm/uid_1/job_7", 2_000_500),
        (OLD, "memory", 2_000_500),
        (OLD, "memory/slurm/job_7", 8_192_000),
        ("3:cpu:/job", "memory", 8_192_000),  # no group of memory
        (None, None, 8_192_000),
        ("junk\n\n" + OLD, "memory", 2_000_500),
    ],
)
def test_the_limit_of_a_job_or_container_counts(machine, group, limited, free):
    files = FREE | ({} if group is None else {"proc/self/cgroup": group})
    files |= limit("system.slice", "max") | limit("memory/slurm", 2**63 - 4096, version=1)  # none
    if limited is not None:
        files |= limit(limited, 3_000_000, version=1 if limited.startswith("memory") else 2)
    assert available_memory(*machine(files)) == free


def test_the_tightest_of_the_group_and_those_above_counts(machine):
    files = limit("a/b", "max") | limit("a", 1000, 900, 0) | limit(".", 5000, 10, 0)
    assert available_memory(*machine(FREE | {"proc/self/cgroup": "0::/a/b/c"} | files)) == 100


def test_a_group_over_its_limit_leaves_nothing(machine):
    assert available_memory(*machine(FREE | {"proc/self/cgroup": "0::/job"} | limit("job", 100, 300, 0))) == 0


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({"SLURM_MEM_PER_NODE": "7"}, 7),
        ({"SLURM_MEM_PER_CPU": "3", "SLURM_CPUS_ON_NODE": "2"}, 6),
        ({"SLURM_MEM_PER_NODE": "0"}, None),  # all of the node
        ({"SLURM_MEM_PER_NODE": "4000"}, None),  # more than is free
        ({"SLURM_MEM_PER_CPU": "3"}, None),
        ({"SLURM_MEM_PER_CPU": "3G", "SLURM_CPUS_ON_NODE": "2"}, None),
    ],
)
def test_a_job_that_no_group_confines_keeps_to_its_share(machine, monkeypatch, environment, share):
    files = FREE | {"proc/self/statm": "900 100 30 1 0 80 0"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    held = 100 * os.sysconf("SC_PAGE_SIZE")
    assert available_memory(*machine(files)) == (8_192_000 if share is None else share * 2**20 - held)


def test_a_system_without_proc_is_asked_through_psutil(machine, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4321))
    assert available_memory(*machine({})) == 4321


def test_maps_engines_and_estimates_ask_the_same(monkeypatch):
    from amorph.chgnet.cpu import memory as cpu
    from amorph.pipeline import estimate
    from amorph.reading import fields

    assert {module.available_memory for module in (cpu, estimate, fields)} == {memory.available_memory}
    monkeypatch.setattr(memory, "available_memory", lambda: 1_500_000)
    with pytest.raises(ValueError, match=r"^a map needs 2\.0 MB of memory, and 1\.5 MB are available; give less$"):
        refuse_beyond_memory(np.empty(250_000).nbytes, "a map", "give less")
