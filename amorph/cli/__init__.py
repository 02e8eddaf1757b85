"""The command line: one file per group of verbs, loaded when its verb is called."""

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

VERBS = {
    "build": "structures",
    "substitute": "structures",
    "vasp-input": "structures",
    "melt-quench": "dynamics",
    "relax": "dynamics",
    "verdict": "analyses",
    "free-volume": "analyses",
    "bvs": "maps",
    "isosurface": "maps",
    "run": "runs",
}

DONE, FAILED, BAD_INPUT, STOPPED, CHECK_FAILED = range(5)


def make_app() -> "App":
    """Make the command line's app; a verb's module is imported when the verb is called."""
    import cyclopts

    import amorph

    app = cyclopts.App(
        name="amorph",
        help="From a composition to a glass, its ions exchanged, and where the new ions can live and move.",
        version=amorph.__version__,
        help_flags=["--help", "-h"],
        help_format="plaintext",
    )
    for verb, module in VERBS.items():
        app.command(f"amorph.cli.{module}:{verb.replace('-', '_')}", name=verb)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit status (see ``docs/guide.md``)."""
    from cyclopts import CycloptsError

    from amorph.cli.verb import CheckFailed, Stopped

    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    status = DONE
    message = ""
    try:
        make_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        status, message = BAD_INPUT, " ".join(str(error).split())
    except CheckFailed as error:
        status, message = CHECK_FAILED, str(error)
    except Stopped as error:
        status, message = STOPPED, str(error)
    except (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        status, message = BAD_INPUT, str(error)
        debug and traceback.print_exc()  # type: ignore[func-returns-value]
    except KeyboardInterrupt:
        status, message = STOPPED, "interrupted; run the same command again to continue"
    except BrokenPipeError:
        sys.stderr.close()
    except Exception as error:
        known = isinstance(error, RuntimeError | OSError | MemoryError)
        kind = "" if known else f"{type(error).__name__}: "
        hint = "" if known or debug else " (--debug shows where)"
        status, message = FAILED, f"{kind}{error}{hint}" if str(error) else f"{type(error).__name__}{hint}"
        debug and traceback.print_exc()  # type: ignore[func-returns-value]
    finally:
        logging.shutdown()
    if message:
        sys.stderr.write(f"amorph: {' '.join(message.split())}\n")
    return status
