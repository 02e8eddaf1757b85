"""The log of a run."""

import logging
import os

import pytest

from amorph.run import RunDirectory


def opened(path):
    return RunDirectory(path, {}, {})


def test_the_log_is_kept_whatever_the_caller_listens_to(tmp_path):
    logger = logging.getLogger("amorph")
    level, handlers = logger.level, list(logger.handlers)
    for n in range(2):
        with opened(tmp_path / "run"):
            logging.getLogger("amorph.pipeline.stages").info("step %d", n)
    lines = (tmp_path / "run/run.log").read_text().splitlines()
    assert [line.rpartition("INFO ")[2] for line in lines] == ["step 0", "step 1"]
    assert (logger.level, logger.handlers) == (level, handlers)


def test_a_log_without_room_is_told_once_and_ends_nothing(tmp_path, capsys, caplog, monkeypatch):
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    monkeypatch.setattr("amorph.run.directory.refuse_links", lambda _: None)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.log").symlink_to("/dev/full")  # every write finds no space
    with opened(tmp_path / "run"):
        for n in range(3):
            logging.getLogger("amorph.pipeline.stages").info("step %d", n)
    with opened(tmp_path / "run"):  # the lock is free, and the log as it was
        pass
    assert caplog.messages.count(f"{tmp_path / 'run/run.log'} cannot be written: No space left on device") == 1
    assert capsys.readouterr().err == ""
    assert all(type(handler).__name__ != "_RunLog" for handler in logging.getLogger("amorph").handlers)
