"""Run the command line in processes that die where a test wants.

As a script, a process that has everything imported and forks one child per request, which spares each its start.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
WRITES = ("os.rename", "os.remove")


class Runs:
    """Runs ``amorph run STUDY --dir DIRECTORY`` and returns its exit status, negative for the signal it died of."""

    def __enter__(self):
        # no repository: a commit in the middle of a test would count as another version of the code
        environment = {**os.environ, "GIT_DIR": "/nonexistent"}
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

    def __call__(self, study, directory, *, die=None, signals=("SIGKILL",), flags=()):
        """Run, and send itself the signals at the n-th force call or file operation: ("call", n), ("file", n)."""
        request = {"study": str(study), "directory": str(directory), "die": die, "signals": signals, "flags": flags}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        return SimpleNamespace(**reply)


def die_at(kind, number, signals, directory):
    """Arrange for the signals to come at the n-th force call, or just before the n-th file operation."""
    left = itertools.count(number - 1, -1)

    def one():
        if next(left) == 0:
            for name in signals:
                os.kill(os.getpid(), signal.Signals[name])

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


def child(request, output):
    from amorph import recording
    from amorph.cli import main

    sys.stdout = sys.stderr = os.fdopen(output, "w", encoding="utf-8")
    # A second passes between any two looks at the clock, so that checkpoints come after a number of steps.
    recording.time = SimpleNamespace(monotonic=itertools.count(0.0, 1.0).__next__)
    if request["die"]:
        die_at(*request["die"], request["signals"], request["directory"])
    status = main(["run", request["study"], "--dir", request["directory"], "--quiet", *request["flags"]])
    sys.stderr.flush()
    os._exit(status)


def serve():
    import matplotlib.figure
    import toys

    import amorph.cli.runs
    import amorph.pipeline

    del matplotlib, toys, amorph
    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(reading)
            child(request, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as file:
            said = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(json.dumps({"status": status, "said": said}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    serve()
