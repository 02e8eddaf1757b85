"""The command line: one file per group of verbs, loaded when its verb is called."""

import ast
import difflib
import io
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

VERBS = {
    "build": "structures",
    "melt-quench": "dynamics",
    "relax": "dynamics",
    "substitute": "structures",
    "verdict": "analyses",
    "free-volume": "volumes",
    "bvs": "maps",
    "bvse": "energies",
    "voids": "pores",
    "percolation": "connectivity",
    "isosurface": "surfaces",
    "vasp-input": "structures",
    "run": "runs",
    "ensemble run": "ensembles",
    "ensemble status": "ensembles",
    "ensemble summary": "ensembles",
}

GROUPS = {"ensemble": "Run a study many times: varied, each member with a seed of its own."}
"""Verbs that have verbs of their own."""

DONE, FAILED, BAD_INPUT, STOPPED, CHECK_FAILED = range(5)

_EPILOGUE = """\
amorph VERB --help lists the flags of a verb. Exit status: 0 done; 1 failed; 2 bad input; 3 stopped with a checkpoint, \
the same command continues; 4 done and kept, but a check failed (not a glass, not converged). --debug shows where an \
error arose.
"""


def make_app(*, summaries: bool = False) -> "App":
    """Make the command line's app; a verb's module is imported when the verb is called.

    With `summaries` each verb is listed with the first line of its docstring, read without importing it.
    """
    import cyclopts

    import amorph
    from amorph.cli.help_text import PlainHelp

    def made(name: str, about: str, **options: Any) -> "App":
        return cyclopts.App(
            name=name,
            help=about,
            help_epilogue=_EPILOGUE if summaries else None,
            help_flags=["--help", "-h"],
            help_format="plaintext",
            help_formatter=PlainHelp(),
            **options,
        )

    about = "From a composition to a glass, its ions exchanged, and where the new ions can live and move."
    app = made("amorph", about, version=amorph.__version__, suppress_keyboard_interrupt=False)
    groups = {name: made(name, text, version_flags=[], sort_key=len(VERBS)) for name, text in GROUPS.items()}
    for order, (verb, module) in enumerate(VERBS.items()):
        group_name, _, name = verb.rpartition(" ")
        function = verb.replace("-", "_").replace(" ", "_")
        (groups[group_name] if group_name else app).command(
            f"amorph.cli.{module}:{function}",
            name=name,
            sort_key=order,
            help=_summary(module, function) if summaries else None,
        )
    for group in groups.values():
        app.command(group)
    return app


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

    from amorph.cli.verb import CheckFailed, Stopped, finish

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


def _verb(tokens: Sequence[str]) -> str | None:
    """Find the verb; None where only help or the version is wanted."""
    if not tokens or tokens[0].startswith("-"):
        return None
    if tokens[0] in GROUPS and (len(tokens) == 1 or tokens[1].startswith("-")):
        return None
    verb = " ".join(tokens[:2]) if tokens[0] in GROUPS else tokens[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        raise ValueError(
            f"there is no verb '{verb}'; " + (f"did you mean {near[0]}?" if near else f"give {', '.join(VERBS)}")
        )
    return verb


def _one_line(error: "CycloptsError") -> str:
    """Put a message of cyclopts into ours: the flag, the value, the rule."""
    from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError

    if isinstance(error, UnusedCliTokensError):
        return f"too many arguments: {' '.join(error.unused_tokens or [])}"
    text = re.sub(r'^Command ".*?" parameter ', "", " ".join(str(error).split())).removesuffix(".")
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        return f"{text.split(' requires ')[0]} is missing or has too few values"
    text = re.sub(r"Literal\[(.*?)\]", r"\1", text.replace("|None", "")).replace("|", " or ")
    return text[:1].lower() + text[1:]


def _summary(module: str, function: str) -> str:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    verbs = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return (ast.get_docstring(verbs[function]) or "").partition("\n")[0]
