"""The memory that a map may take, where a scheduler or a container limits it."""

import pytest

from amorph.machine import memory


def groups(tmp_path, membership, files):
    """Lay out a mount of control groups and the list of a process's groups."""
    (tmp_path / "self").write_text(membership, encoding="ascii")
    for name, text in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return memory.control_group_memory(tmp_path / "self", tmp_path / "mount")


def limits(folder, limit, usage, cache, *, version=2):
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    stat = f"anon 1\n{'total_' if version == 1 else ''}inactive_file {cache}\nslab 5\n"
    return {f"{folder}/{names[0]}": f"{limit}\n", f"{folder}/{names[1]}": f"{usage}\n", f"{folder}/memory.stat": stat}


# closed form


def test_a_group_leaves_its_limit_less_what_is_used_and_cannot_give_way(tmp_path):
    assert groups(tmp_path, "0::/job\n", limits("job", 1000, 700, 200)) == 500


def test_the_first_version_keeps_memory_in_a_tree_of_its_own(tmp_path):
    membership = "9:name=systemd:/\n4:cpu,memory:/slurm/job\n0::/\n"
    assert groups(tmp_path, membership, limits("memory/slurm/job", 1000, 700, 100, version=1)) == 400


def test_the_tightest_of_the_group_and_those_above_counts(tmp_path):
    files = limits("a/b", "max", 10, 0) | limits("a", 1000, 900, 0) | limits(".", 5000, 10, 0)
    assert groups(tmp_path, "0::/a/b/c\n", files) == 100


def test_a_container_sees_its_limit_at_the_mount(tmp_path):
    assert groups(tmp_path, "0::/docker/0123\n", limits(".", 800, 300, 0)) == 500


def test_a_group_over_its_limit_leaves_nothing(tmp_path):
    assert groups(tmp_path, "0::/job\n", limits("job", 100, 300, 0)) == 0


@pytest.mark.parametrize("membership", ["0::/job\n", "", "nonsense\n", "3:cpu:/job\n"])
def test_without_a_limit_there_is_none(tmp_path, membership):
    assert groups(tmp_path, membership, limits("job", "max", 10, 0)) is None
    assert memory.control_group_memory(tmp_path / "absent", tmp_path) is None


def test_the_guard_of_a_map_respects_it(monkeypatch):
    whole = memory.available_memory()
    monkeypatch.setattr(memory, "control_group_memory", lambda *_: 1_500_000)
    assert whole > 1_500_000
    assert memory.available_memory() == 1_500_000
