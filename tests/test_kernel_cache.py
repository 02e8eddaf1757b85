"""Where compiled kernels are kept."""

from pathlib import Path

from numba.core import config

from amorph import kernel_cache


def test_a_temporary_folder_where_nothing_else_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: False)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    kernel_cache.provide_cache_folder(__file__)
    assert Path(config.CACHE_DIR).parent == tmp_path
    assert Path(config.CACHE_DIR).stat().st_mode & 0o077 == 0


def test_leaves_numba_alone_where_it_can_write(monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: True)
    kernel_cache.provide_cache_folder(__file__)
    assert config.CACHE_DIR == ""
