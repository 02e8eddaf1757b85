"""Where compiled kernels are kept, and what is said when they are compiled."""

import ast
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from numba.core import config

from amorph.machine import kernel_cache


def test_a_temporary_folder_where_nothing_else_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    kernel_cache.provide_cache_folder()
    folder = Path(config.CACHE_DIR).parent
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_of_the_sources_inside_the_one_the_user_names(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    kernel_cache.provide_cache_folder()
    kernel_cache.provide_cache_folder()
    assert Path(config.CACHE_DIR) == tmp_path / f"amorph-kernels-{kernel_cache.sources_digest()}"


CALLED = "from numba.extending import register_jitable\n@register_jitable\ndef value():\n    return {}\n"
KERNEL = """
from numba import njit
from pathlib import Path
from numba.core import config
from amorph.machine.kernel_cache import sources_digest
config.CACHE_DIR = str(Path(__file__).parent / "cache" / sources_digest(Path(__file__).parent))
from called import value

@njit(cache=True)
def kernel():
    return value()

print(kernel(), sum(kernel.stats.cache_hits.values()))
"""


def test_a_change_in_another_file_compiles_anew(tmp_path):
    def run(number: int) -> str:
        (tmp_path / "called.py").write_text(CALLED.format(number))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(kernel_cache.__file__).parents[2])])}
        command = [sys.executable, str(tmp_path / "kernel.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "kernel.py").write_text(KERNEL)
    assert [run(1), run(1), run(2)] == ["1 0", "1 1", "2 0"]


def test_a_link_or_an_open_folder_in_the_place_of_the_temporary_one_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = kernel_cache._temporary_folder()
    assert kernel_cache._temporary_folder() == own
    own.chmod(0o777)
    assert kernel_cache._temporary_folder() != own
    own.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o700)
    own.symlink_to(tmp_path / "elsewhere")
    assert kernel_cache._temporary_folder() != own


@pytest.mark.parametrize(("mode", "trusted"), [(0o755, True), (0o700, True), (0o777, False), (0o1777, False)])
def test_a_folder_that_others_may_write_to_keeps_no_kernels(tmp_path, mode, trusted):
    tmp_path.chmod(mode)
    assert kernel_cache._trusted(tmp_path / "kernels") is trusted
    assert kernel_cache._trusted(tmp_path) is trusted


@pytest.mark.parametrize(
    ("name", "members", "trusted"),
    [("me", [], True), ("me", ["me"], True), ("me", ["me", "you"], False), ("us", [], False), (None, [], False)],
)
def test_a_group_may_write_only_where_it_is_the_user_s_own(monkeypatch, tmp_path, name, members, trusted):
    def group(number):
        if name is None:
            raise KeyError(number)
        return SimpleNamespace(gr_name=name, gr_mem=members)

    monkeypatch.setattr("grp.getgrgid", group)
    monkeypatch.setattr("pwd.getpwuid", lambda _: SimpleNamespace(pw_name="me", pw_gid=tmp_path.stat().st_gid))
    tmp_path.chmod(0o775)
    assert kernel_cache._trusted(tmp_path) is trusted


def test_a_folder_of_a_foreign_owner_keeps_no_kernels(monkeypatch, tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root gives a folder away")
    os.chown(tmp_path, 1234, -1)
    assert not kernel_cache._trusted(tmp_path)
    monkeypatch.setattr("os.getuid", lambda: 1234)
    assert kernel_cache._trusted(tmp_path)


@pytest.mark.parametrize("inner", [False, True])
def test_a_named_folder_that_others_may_write_to_is_not_used(monkeypatch, tmp_path, caplog, inner):
    folder = tmp_path / "named"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    kernel_cache.provide_cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700  # made here
    kept = folder / f"amorph-kernels-{kernel_cache.sources_digest()}"
    kept.mkdir()
    (kept if inner else folder).chmod(0o777)
    for value in (folder, kept):
        monkeypatch.setattr(config, "CACHE_DIR", str(value))
        kernel_cache.provide_cache_folder()
        assert not Path(config.CACHE_DIR).is_relative_to(folder)
    assert "others may write there" in caplog.text


def kernel(folder):
    return SimpleNamespace(stats=SimpleNamespace(cache_misses=Counter(), cache_path=str(folder)))


def test_compiling_is_told_before_and_after_whoever_waited_for_it(caplog, monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "not yet there"))
    caplog.set_level(logging.INFO)
    kernels, at_once = [kernel(tmp_path) for _ in range(3)], Counter()

    def first_use():
        with kernel_cache.announced(kernels):
            at_once["now"] += 1
            at_once["most"] = max(at_once["most"], at_once["now"])
            time.sleep(0.02)
            if not kernels[0].stats.cache_misses:
                for compiled in kernels[:2]:
                    compiled.stats.cache_misses["signature"] += 1
                (tmp_path / "kernel.nbi").touch()
            at_once["now"] -= 1

    threads = [threading.Thread(target=first_use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before, after = caplog.records
    assert "once in this installation" in before.message
    assert re.fullmatch(rf"compiled 2 CHGNet kernels in \d+ s; later runs read them from {tmp_path}", after.message)
    assert at_once["most"] == 1


def test_a_process_waits_for_another_that_compiles_but_not_for_ever(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    code = (
        "import sys, time; from numba.core import config; from amorph.machine import kernel_cache\n"
        f"config.CACHE_DIR = {str(tmp_path)!r}\n"
        "with kernel_cache.announced([]): print('holds', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "holds\n"
        monkeypatch.setattr(kernel_cache, "PATIENCE", 0.5)
        started = time.monotonic()
        with kernel_cache.announced([]):
            waited = time.monotonic() - started
        assert 0.5 <= waited < 10
        monkeypatch.setattr(kernel_cache, "PATIENCE", 60)
        started = time.monotonic()
        threading.Timer(0.5, other.stdin.close).start()
        with kernel_cache.announced([]):
            waited = time.monotonic() - started
        assert 0.5 <= waited < 50


def names_the_folder(path: Path) -> bool:
    """Whether a file points numba to the folder before it defines kernels, itself or by what it imports first."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if any(ast.unparse(node) == "provide_cache_folder()" for node in tree.body):
        return True
    imported = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    files = [kernel_cache.PACKAGE.parent / f"{module.replace('.', '/')}.py" for module in imported]
    return any(file.exists() and file.is_relative_to(kernel_cache.PACKAGE) and names_the_folder(file) for file in files)


KERNELS = [path for path in kernel_cache.PACKAGE.rglob("*.py") if "cache=True" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.name)
def test_every_file_with_kernels_keeps_them_in_the_folder(path):
    assert names_the_folder(path)
