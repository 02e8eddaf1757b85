"""Run one command: its exit status, its one line of error, its signals and streams."""

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

from amorph.cli.app import _one_line, _verb, make_app

DONE, FAILED, BAD_INPUT, STOPPED, CHECK_FAILED = range(5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status (see ``docs/guide.md``).

    Without arguments the command is that of the process, which ends with it; a caller who gives them goes on, and finds
    the handlers of signals as they were.
    """
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
            status, message = _run(tokens, debug=debug)
    finally:
        logging.getLogger().removeHandler(silent)
        for number, handler in handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
    # A file's words must not steer the terminal: what cannot be printed is shown as its code.
    line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in " ".join(message.split()))
    _end(f"amorph: {line}\n" if line else "")
    return status


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
        sys.stdout.flush()
    except CheckFailed as error:
        return CHECK_FAILED, str(error)
    except Stopped as error:
        return STOPPED, str(error)
    except KeyboardInterrupt:
        return FAILED, "interrupted; the files written before are whole"
    except BrokenPipeError:
        # The reader of our output (head, say) has gone; Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        return FAILED, f"{kind}{error}{'' if known or debug else ' (--debug shows where)'}"
    finally:
        finish()
    return DONE, ""


_BAD_INPUT = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
