"""Keep a program and all that it starts on a leash.

``python -m amorph.ensemble.engines.leash PARENT PROGRAM [ARGUMENT ...]``: nothing of it outlives it, and it does
not outlive the process PARENT that started it (0: no matter who did).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import psutil

# Of Linux's prctl: the signal that a process gets when the one that started it dies; orphans among its descendants
# become its children.
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with(parent: int) -> None:
    """Let this process be asked to stop when the one that started it dies; of no effect but on Linux."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the call
            os.kill(os.getpid(), signal.SIGTERM)


def begin_child(parent: int) -> None:
    """Prepare a new process, before its program: it ends by SIGTERM at once, and when the one that started it dies."""
    # Until the program begins it has the handlers of the one that started it, which would only note the signal.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(parent)


def run_leashed(parent: int, command: Sequence[str]) -> int:
    """Run a program, ask what it leaves behind to stop, and wait for it; returns the program's exit status."""
    program: int | None = None
    asked = False

    def ask_to_stop(*_: Any) -> None:
        nonlocal asked
        asked = True
        if program is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(program, signal.SIGTERM)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's interrupt is the driver's matter
    signal.signal(signal.SIGTERM, ask_to_stop)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if parent:
        end_with(parent)
    started = subprocess.Popen(command, preexec_fn=partial(begin_child, os.getpid()))  # noqa: PLW1509 (one thread)
    program = started.pid
    if asked:
        ask_to_stop()
    pid = 0
    while pid != program:  # of any child: the orphans that this process has taken in must be laid to rest
        pid, status = os.wait()
    program, started.returncode = None, os.waitstatus_to_exitcode(status)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()  # runs write their checkpoints
    return started.returncode if started.returncode >= 0 else 128 - started.returncode


if __name__ == "__main__":
    sys.exit(run_leashed(int(sys.argv[1]), sys.argv[2:]))
