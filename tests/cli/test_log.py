"""The log of the command line on standard error."""

import logging
import signal
import sys

import pytest
from ase.build import bulk
from ase.io import write

from amorph.cli import main
from amorph.cli.output import finish, start


class Gone:
    """A stream whose reader has gone."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_reader_that_has_gone_ends_no_verb_and_costs_the_others_no_line(monkeypatch, caplog):
    start(quiet=False)
    log = logging.getLogger("amorph")
    log.addHandler(caplog.handler)
    monkeypatch.setattr(sys, "stderr", Gone())
    try:
        log.info("one")
        log.info("two")
    finally:
        monkeypatch.undo()
        log.removeHandler(caplog.handler)
        finish()
    assert caplog.messages == ["one", "two"]


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_caller_of_the_command_line_finds_the_signals_as_they_were(handler, monkeypatch):
    before = signal.signal(signal.SIGUSR1, handler)
    monkeypatch.setattr(
        "amorph.cli.entry._run", lambda *_, **__: (signal.signal(signal.SIGUSR1, signal.SIG_IGN) and 0, "")
    )
    try:
        main(["run"])
        assert signal.getsignal(signal.SIGUSR1) == handler
    finally:
        signal.signal(signal.SIGUSR1, before)


ENDING = """
import sys
from toys import Toy

class Ending(Toy):
    def evaluate(self, atoms):
        sys.exit({})
"""


@pytest.mark.parametrize("status", [0, 4, None])
def test_code_that_ends_python_gives_no_status_of_its_own(monkeypatch, tmp_path, capsys, status):
    (tmp_path / "ending.py").write_text(ENDING.format(status))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ending", raising=False)
    write(tmp_path / "mgo.extxyz", bulk("MgO", "rocksalt", a=4.2))
    words = ["relax", str(tmp_path / "mgo.extxyz"), "--factory", "ending:Ending", "-o", str(tmp_path / "out.extxyz")]
    assert main(words) == 1
    assert f"ended Python (exit status {status})" in capsys.readouterr().err
    assert not (tmp_path / "out.extxyz").exists()
