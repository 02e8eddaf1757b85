"""Where compiled kernels are kept."""

import os
import subprocess
import sys
from pathlib import Path

from numba.core import config

from amorph import kernel_cache


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
from amorph.kernel_cache import sources_digest
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
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(kernel_cache.__file__).parents[1])])}
        command = [sys.executable, str(tmp_path / "kernel.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "kernel.py").write_text(KERNEL)
    assert [run(1), run(1), run(2)] == ["1 0", "1 1", "2 0"]
