"""Run one command: its exit status, its one line of error, its signals and streams."""

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amorph.cli.app import _one_line, _verb, make_app
from amorph.figures import printable

DONE, FAILED, BAD_INPUT, STOPPED, CHECK_FAILED = range(5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status (see ``docs/guide.md``).

    Without arguments the command is that of the process, which ends with it; a caller who gives them goes on, and finds
    the handlers of signals as they were.
    """
    if arguments is None:
        _open_streams()
        _leave_in_order()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()} if arguments is not None else {}
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Å shows a question mark
    # Other projects' warnings and log lines are no concern of the user's, unless something is to be found out.
    silent = logging.NullHandler()
    logging.getLogger().addHandler(silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if debug else "ignore")
            status, message = _printed(*_run(tokens, debug=debug))
    except _Terminated as error:
        _end("")
        signal.signal(error.number, signal.SIG_DFL)
        signal.raise_signal(error.number)  # whoever waits for this process learns what ended it
        raise
    finally:
        logging.getLogger().removeHandler(silent)
        for number, handler in handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
    line = printable(" ".join(message.split()))
    _end(f"amorph: {line}\n" if line else "")
    return status


def _open_streams() -> None:
    """Put the null device in the place of closed streams: a file opened later would take number and words of one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            try:
                os.fstat(number)
            except OSError:
                os.dup2(null, number)
            setattr(sys, name, os.fdopen(null, "w" if number else "r", encoding="utf-8"))


class _Terminated(BaseException):
    """The process was asked to end, where no run listens to that; what it holds open is put in order first."""

    def __init__(self, number: int) -> None:
        self.number = number


def _leave_in_order() -> None:
    """Let SIGTERM and SIGHUP end a command by way of its context managers, so that no temporary file stays."""

    def leave(number: int, _frame: Any) -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        raise _Terminated(number)

    ending = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) == signal.SIG_DFL]
    for each in ending:
        signal.signal(each, leave)


def _printed(status: int, message: str) -> tuple[int, str]:
    """Send off what was printed; a command whose output did not arrive is not done."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at the end
        if status in (DONE, CHECK_FAILED):
            # The reader of our output (head, say) may have gone.
            said = "" if isinstance(error, BrokenPipeError) else f"standard output cannot be written: {error.strerror}"
            return FAILED, said
    return status, message


def _end(message: str) -> None:
    """Write the last line to standard error, and leave nothing there that Python would fail to write at its end."""
    try:
        sys.stderr.write(message)
        sys.stderr.flush()
    except OSError:  # its reader has gone, or its disk is full: that is no status of the command
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _run(tokens: Sequence[str], *, debug: bool) -> tuple[int, str]:
    """Run a command; returns its exit status and the line to print about it."""
    import cyclopts

    from amorph.cli.output import CheckFailed, finish
    from amorph.run import Stopped

    try:
        verb = _verb(tokens)
        make_app(summaries=verb is None)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CheckFailed as error:
        return CHECK_FAILED, str(error)
    except Stopped as error:
        return STOPPED, str(error)
    except SystemExit as error:  # its status would pass for the command's own
        gone = isinstance(error.__context__, BrokenPipeError)  # the reader of a help page
        return FAILED, "" if gone else f"code that was called ended Python (exit status {error.code}); mend it"
    except KeyboardInterrupt:
        return FAILED, "interrupted; the files written before are whole"
    except BrokenPipeError:
        return FAILED, ""
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, cyclopts.CycloptsError):
            return BAD_INPUT, f"{_one_line(error)}; see amorph {verb or ''} --help"
        if isinstance(error, _BAD_INPUT):
            return BAD_INPUT, str(error) or type(error).__name__
        known = isinstance(error, RuntimeError | OSError | MemoryError) and not isinstance(error, NotImplementedError)
        kind = "" if known and str(error) else f"{type(error).__name__}: " if str(error) else type(error).__name__
        return FAILED, f"{kind}{error}{'' if known or debug else _place(error)}"
    finally:
        finish()
    return DONE, ""


def _place(error: Exception) -> str:
    """Say where an error arose that does not speak for itself: whose code it is, a calculator's or ours."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(last.filename).name}, line {last.lineno}; --debug shows the way there)"


_BAD_INPUT = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
