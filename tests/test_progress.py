"""Progress: a bar on a terminal, lines elsewhere, silence by default."""

import contextlib
import logging
import os
import sys
import threading
from types import SimpleNamespace

import pytest
import rich.progress

from amorph import progress
from amorph.cli.output import finish, start
from amorph.progress import Progress, task_of


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def lines(monkeypatch, caplog):
    """The lines that go to the log where there is no terminal."""
    monkeypatch.setattr(logging.getLogger("amorph"), "propagate", True)
    caplog.set_level(logging.INFO, logger="amorph")
    return caplog


class Terminal:
    """A pseudo-terminal, to be entered in place of stderr; `drawn` tells what was drawn on it."""

    def __init__(self):
        self.master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w")
        self.chunks = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                chunk = os.read(self.master, 4096)
            except OSError:  # EIO: the other end is closed
                return
            if not chunk:
                return
            self.chunks.append(chunk)

    def __enter__(self):
        # here and not in the fixture, after which pytest puts its own stderr in place
        self.redirection = contextlib.redirect_stderr(self.stream)
        self.redirection.__enter__()

    def __exit__(self, *exception):
        self.redirection.__exit__(*exception)

    def close(self):
        if not self.stream.closed:
            self.stream.close()
            self.reader.join(5)
            os.close(self.master)

    def drawn(self):
        self.close()
        return b"".join(self.chunks).decode()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    terminal = Terminal()
    yield terminal
    terminal.close()


# off a terminal


def test_a_line_gives_rate_and_time_left(lines, clock):
    with Progress(visible=True).task("melt_quench", 1000) as update:
        clock.now += 20.0
        update(100, "2950 K")
    # 100 steps in 20 s: 5/s, and 900 more take 180 s
    assert lines.messages == ["melt_quench: 100 of 1000, 5.0/s, 3 min left, 2950 K"]


def test_the_rate_counts_only_what_this_process_did(lines, clock):
    with Progress(visible=True).task("relax", 1000, done=800) as update:
        clock.now += 20.0
        update(900, "")
    assert lines.messages == ["relax: 900 of 1000, 5.0/s, 20 s left"]


def test_lines_keep_their_distance_and_the_end_always_shows(lines, clock):
    with Progress(visible=True, seconds_between_lines=15.0).task("relax", 100) as update:
        for step in range(1, 101):
            clock.now += 1.0
            update(step, "")
    assert [int(line.split()[1]) for line in lines.messages] == [15, 30, 45, 60, 75, 90, 100]


def test_without_a_step_the_time_left_is_unknown(lines, clock):
    with Progress(visible=True).task("relax", 1000, done=5) as update:
        clock.now += 20.0
        update(5, "")
    assert lines.messages == ["relax: 5 of 1000, 0.0/s, time left unknown"]


@pytest.mark.parametrize(("seconds", "text"), [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (36_000, "10.0 h")])
def test_time_left_is_said_as_a_person_says_it(lines, clock, seconds, text):
    with Progress(visible=True).task("melt", 1000 + seconds) as update:
        clock.now += 1000.0
        update(1000, "")
    assert f" {text} left" in lines.messages[0]


def test_by_default_nothing_shows(lines, clock, capsys):
    with Progress().task("relax", 10) as update:
        clock.now += 100.0
        update(10, "")
    assert not lines.messages
    assert capsys.readouterr() == ("", "")


# on a terminal


def test_a_terminal_gets_a_bar_that_goes_away(terminal):
    with terminal, Progress(visible=True).task("melt_quench", 200, done=50) as update:
        update(60, "2950 K")
    drawn = terminal.drawn()
    for part in ("melt_quench", "60/200", "/s", "left", "2950 K"):
        assert part in drawn
    assert drawn.rfind("\x1b[2K") > drawn.rfind("melt_quench")  # the line is erased
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l")  # and the cursor comes back


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_closes_the_bar_and_goes_on(terminal, error):
    with pytest.raises(error), terminal, Progress(visible=True).task("relax", 200) as update:
        update(3, "")
        raise error
    for thread in threading.enumerate():
        if "Refresh" in type(thread).__name__:
            thread.join(5)
            assert not thread.is_alive()
    drawn = terminal.drawn()
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l")


def test_a_label_is_text_and_no_markup(terminal):
    with terminal, Progress(visible=True).task("[bold]odd[/nonsense]", 2) as update:
        update(1, "[/] 3 K")
    drawn = terminal.drawn()
    assert "[bold]odd[/nonsense]" in drawn
    assert "[/] 3 K" in drawn


def test_the_log_speaks_on_lines_of_its_own_while_the_bar_runs(terminal):
    with terminal:
        start(quiet=False)
        try:
            with Progress(visible=True).task("relax", 200) as update:
                update(3, "")
                logging.getLogger("amorph").warning("two [words]")
                update(4, "")
        finally:
            finish()
    drawn = terminal.drawn()
    before, after = drawn[: drawn.index("two [words]")], drawn[drawn.index("two [words]") + len("two [words]") :]
    assert before.endswith("\r\x1b[2K")  # the bar's line was erased first
    assert after.lstrip(" ").startswith("\r\n")  # and the bar begins a new one


@pytest.mark.parametrize("method", ["start", "stop"])
def test_a_terminal_that_goes_away_ends_nothing_and_hides_nothing(terminal, monkeypatch, method):
    usual = getattr(rich.progress.Progress, method)

    def gone(bars):
        usual(bars)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(rich.progress.Progress, method, gone)
    with terminal, pytest.raises(ValueError, match="what ended"), Progress(visible=True).task("melt", 10) as update:
        update(1, "")
        raise ValueError("what ended the task")


# unasked


def test_unasked_it_waits_and_then_appears_on_a_terminal(terminal, clock):
    with terminal, task_of(None)("map", 100) as update:
        update(1, "")
        clock.now += 1.0
        update(50, "")
        clock.now += 1.5
        update(75, "")
    drawn = terminal.drawn()
    assert "75/100" in drawn
    assert "50/100" not in drawn


def test_unasked_nothing_is_said_off_a_terminal(lines, clock):
    with task_of(None)("map", 100) as update:
        clock.now += 60.0
        update(50, "")
    assert not lines.messages


def test_what_is_shown_already_is_shown_once(terminal, clock):
    with terminal, Progress(visible=True).task("outer", 10), task_of(None)("inner", 100) as update:
        clock.now += 60.0
        update(50, "")
    assert "inner" not in terminal.drawn()


def test_true_shows_it_at_once_and_false_never(lines, clock):
    with task_of(True)("loud", 10) as loud, task_of(False)("silent", 10) as silent:
        loud(10, "")
        silent(10, "")
    assert [line.partition(":")[0] for line in lines.messages] == ["loud"]


def test_a_notebook_shows_a_bar_that_goes_away(monkeypatch, clock):
    shown = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=str, display=lambda made, display_id: shown.append(made) or handle)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with task_of(None)("a < b", 100) as update:
        clock.now += 3.0
        update(40, "")
        clock.now += 1.0
        update(50, "300 K")
    first, second, last = shown
    assert 'value="40" max="100"' in first
    assert "a &lt; b" in first
    assert "50 of 100" in second
    assert "300 K" in second
    assert last == ""
