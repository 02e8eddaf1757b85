"""The log of the command line on standard error."""

import logging
import signal
import sys

import pytest

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
