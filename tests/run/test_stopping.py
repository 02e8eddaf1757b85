"""Signals: heard while a run works, left alone elsewhere."""

import signal
import threading

import pytest

from amorph.run import StopRequest, Work, stop_on_signal


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with stop_on_signal(Work()):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
    with stop_on_signal(Work()):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ends_process", [False, True])
def test_only_a_command_that_was_stopped_hears_no_more_signals(ends_process):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
    outside = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    before = [signal.getsignal(number) for number in numbers]
    try:
        with stop_on_signal(Work(stop=StopRequest(ends_process=ends_process))):
            pass
        assert [signal.getsignal(number) for number in numbers] == before  # nobody asked it to stop
        with stop_on_signal(work := Work(stop=StopRequest(ends_process=ends_process))):
            signal.raise_signal(signal.SIGHUP)
        assert work.stop.by == "SIGHUP"
        expected = [signal.SIG_IGN] * 4 if ends_process else before
        assert [signal.getsignal(number) for number in numbers] == expected
    finally:
        for number, handler in zip(numbers, (*before[:3], outside), strict=True):
            signal.signal(number, handler)


def test_a_run_under_nohup_does_not_hear_the_terminal_go():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal(work := Work()):
            signal.raise_signal(signal.SIGHUP)
        assert work.stop.by == ""
    finally:
        signal.signal(signal.SIGHUP, before)
