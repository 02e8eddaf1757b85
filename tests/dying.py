"""Run the command line in processes that die where a test wants.

As a script, a process that has everything imported and forks one child per request, which spares each its start.
"""

import contextlib
import ctypes
import gc
import io
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
WRITES = ("os.rename", "os.remove")


class Runs:
    """Runs ``amorph run STUDY --dir DIRECTORY`` and returns its exit status, negative for the signal it died of.

    With a `library` made from faulty.c, file operations may fail (see faulting.py).
    """

    def __init__(self, library=None):
        self.library = library

    def __enter__(self):
        # no repository: a commit in the middle of a test would count as another version of the code
        environment = {**os.environ, "GIT_DIR": "/nonexistent"}
        if self.library is not None:
            environment |= {"LD_PRELOAD": str(self.library), "FAULTY": str(self.library)}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=HERE,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def __call__(self, study, directory, *, die=None, signals=("SIGKILL",), flags=(), fault=None):
        """Run, and send itself the signals at the n-th force call, before the n-th file operation, with a part of the
        n-th write on disk, or after n seconds: ("call", n), ("file", n), ("write", n), ("time", n). EACCES and ENOMEM
        are no signals, but what :func:`befall` does. With a plan of faults, what does not touch the directory's
        promises is left out (the trial), and the calls of each kind are counted. No run makes its page.
        """
        request = {"study": str(study), "directory": str(directory), "die": die, "signals": signals, "flags": flags}
        request |= {"fault": fault}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        return SimpleNamespace(**reply)


class Cut:
    """A file whose owner may die with a part of a write on disk."""

    def __init__(self, file, die, share):
        self.file, self.die, self.share = file, die, share

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        def begin():
            self.file.write(content[: int(self.share * len(content))])
            self.file.flush()

        self.die(begin)
        return self.file.write(content)


def befall(name, directory):
    """Send this process a signal, or take from it the right to write (EACCES) or the memory it needs (ENOMEM)."""
    if name == "EACCES":
        if os.geteuid() == 0:
            os.seteuid(65534)  # no bits of a mode bind root
        else:
            for folder in [Path(directory), *Path(directory).rglob("*/")]:
                folder.chmod(0o500)
    elif name == "ENOMEM":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
        bytearray(2**30)
    else:
        os.kill(os.getpid(), signal.Signals[name])


def die_at(kind, number, signals, directory, *, share=None):
    """Arrange for the signals to come as :class:`Runs` has it; `share` is the part of the write that is on disk."""
    left = itertools.count(number - 1, -1)

    def now():
        for name in signals:
            befall(name, directory)

    def one(begin=lambda: None):
        if next(left) == 0:
            begin()
            now()

    if kind == "time":
        timer = threading.Timer(number, now)
        timer.daemon = True
        timer.start()
        return
    if kind == "write":
        opened = Path.open

        def cut(path, mode="r", *arguments, **options):
            file = opened(path, mode, *arguments, **options)
            ours = set(mode) & set("wax") and str(path).startswith(directory)
            return Cut(file, one, number % 97 / 97 if share is None else share) if ours else file

        Path.open = cut
        return

    if kind == "call":
        from toys import Ions

        evaluate = Ions.evaluate
        Ions.evaluate = lambda self, atoms: (one(), evaluate(self, atoms))[1]
        return

    def hook(event, arguments):
        written = event in WRITES or (event == "open" and set(str(arguments[1])) & set("wax+"))
        if written and str(arguments[0]).startswith(directory):
            one()

    sys.addaudithook(hook)


# In each child: the second checkpoint is written, and the process dies at a moment of its own kind.
CHECKPOINTS = """
import os, signal, sys
from pathlib import Path
import numpy as np
from amorph.run import checkpoints
from dying import die_at

folder = Path(sys.argv[1])
for number in range(int(sys.argv[2])):
    directory = folder / str(number)
    directory.mkdir()
    checkpoints.write_checkpoint(directory, {"step": np.array(1), "x": np.full(500, 1.0)})
    kind = ("file", "write", "sync")[number % 3]
    if (pid := os.fork()) == 0:
        if kind == "sync":
            sync, left = os.fsync, [number // 3 % 2]  # of the content, or of the folder once the name is there
            os.fsync = lambda it: (sync(it), left.append(left.pop() - 1), left[0] < 0 and os.kill(os.getpid(), 9))
        elif kind == "file":
            die_at(kind, 1 + number // 3 % 4, ("SIGKILL",), str(directory))
        else:
            die_at(kind, 1, ("SIGKILL",), str(directory), share=np.random.default_rng(number).random())
        checkpoints.write_checkpoint(directory, {"step": np.array(2), "x": np.full(500, 2.0)})
        os._exit(0)
    print(kind, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def kill_checkpoints(folder, number):
    """Kill so many writers inside the write of their second checkpoint; return kind and status of each."""
    command = [sys.executable, "-c", CHECKPOINTS, str(folder), str(number)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True, timeout=600)
    return [(kind, int(status)) for kind, status in (line.split() for line in done.stdout.splitlines())]


def perform(request):
    import amorph.cli.report
    from amorph.cli import main
    from amorph.run import checkpoints, stopping

    # A second passes between any two looks at the clock, so that checkpoints come after a number of steps.
    checkpoints.time = stopping.time = SimpleNamespace(monotonic=itertools.count(0.0, 1.0).__next__)
    amorph.cli.report.tried_page = lambda _: None
    if request["fault"]:
        from amorph.pipeline import whole

        whole.rehearse = lambda _: {}
        injector().fault_plan(request["directory"].encode(), *request["fault"])
    if request["die"]:
        die_at(*request["die"], request["signals"], request["directory"])
    return main(["run", request["study"], "--dir", request["directory"], "--quiet", *request["flags"]])


def injector():
    return ctypes.CDLL(os.environ["FAULTY"])


def child(request, output):
    sys.stdout = sys.stderr = os.fdopen(output, "w", encoding="utf-8")
    status = perform(request)
    sys.stderr.flush()
    os._exit(status)


def serve():
    import matplotlib.figure
    import toys

    import amorph.cli.report
    import amorph.pipeline.order

    del matplotlib, toys, amorph
    for number, line in enumerate(sys.stdin):
        request = json.loads(line)
        if number == 0:
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
                # what is imported and loaded now spares every child that
                perform({**request, "directory": folder, "die": None, "flags": ()})
            gc.freeze()
        reading, writing = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reading)
            child(request, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as file:
            said = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        reply = {"status": status, "said": said}
        if request["fault"]:
            seen = injector().fault_seen
            reply |= {"calls": [seen(call) for call in range(10)], "met": seen(10)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    serve()
