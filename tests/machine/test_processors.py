"""The processors that this process may keep busy: affinity, quota, and what a queue says."""

import os

import pytest

from amorph.chgnet import CHGNetCalculator
from amorph.machine.processors import available_processors, own_cores

GROUP = {"proc/self/cgroup": "0::/job/step"}
OLD = {"proc/self/cgroup": "7:cpu,cpuacct:/docker/1\n6:memory:/docker/1"}


def quota(folder, quota, period=100_000):
    return {f"cgroup/{folder}/cpu.cfs_quota_us": quota, f"cgroup/{folder}/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "environment", "count"),
    [
        ({}, {}, 8),
        (GROUP | {"cgroup/job/cpu.max": "max 100000"}, {}, 8),
        (GROUP | {"cgroup/job/cpu.max": "350000 100000"}, {}, 3),
        (GROUP | {"cgroup/job/cpu.max": "50000 100000"}, {}, 1),
        (GROUP | {"cgroup/job/step/cpu.max": "600000 100000", "cgroup/cpu.max": "200000 100000"}, {}, 2),
        (GROUP | {"cgroup/job/cpu.max": "6400000 100000"}, {}, 8),
        (OLD | quota("cpu/docker/1", 300_000), {}, 3),
        (OLD | quota("cpu", 400_000), {}, 4),  # what a container sees
        (OLD | quota("cpu", -1), {}, 8),
        ({}, {"OMP_NUM_THREADS": "4,2"}, 4),
        ({}, {"OMP_NUM_THREADS": "4", "NUMBA_NUM_THREADS": "3"}, 3),
        ({}, {"OMP_NUM_THREADS": "0", "NUMBA_NUM_THREADS": "many"}, 8),
        ({}, {"OMP_NUM_THREADS": "999"}, 8),
        (GROUP | {"cgroup/cpu.max": "200000 100000"}, {"OMP_NUM_THREADS": "4"}, 2),
    ],
)
def test_the_least_of_what_is_allowed_counts(machine, monkeypatch, files, environment, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    folders = machine(files)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert available_processors(*folders) == count


def test_where_affinity_is_unknown_all_cores_count(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_processors(*machine({})) == len(own_cores()) == 6


def test_the_engine_takes_at_most_sixteen_threads(machine, monkeypatch):
    machine({})
    monkeypatch.setattr("amorph.chgnet.calculator.available_processors", lambda: 64)
    assert CHGNetCalculator(device="cpu").threads == 16
