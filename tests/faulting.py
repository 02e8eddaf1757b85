"""Faults at system calls: runs of a toy in which one goes wrong, and what becomes of them.

faulty.c stands before libc in every process of these runs. A trial draws what goes wrong: from which finished stage
the run goes on, at which call of which kind, and how. Whatever happens, the same command has to end with the bytes of a
run that nothing disturbed, and a run that the fault ended has to have said so in one line.
"""

import errno
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dying import HERE, Runs
from toy_run import BRIEF, assert_same, content, written

CALLS = ("open", "write", "fsync", "rename", "unlink", "mkdir", "truncate", "lock", "read", "close")
ACTS = {
    "fails": CALLS,
    "fails from then on": CALLS,
    "is done and reported failed": ("open", "write", "fsync", "rename", "unlink", "mkdir", "truncate", "close"),
    "is cut short": ("write", "read"),
    "killed before": CALLS,
    "killed inside": ("write",),
    "killed after": CALLS,
}
"""What happens to a call, and the calls to which it can happen."""
ERRORS = {
    "fails": ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE", "EMFILE", "EACCES", "EINTR"),
    "fails from then on": ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE", "EMFILE", "EACCES"),
    "is done and reported failed": ("EIO", "ESTALE", "EEXIST", "ENOENT"),  # as network file systems do
}
OUTCOMES = ("killed, then continued", "told in one line, then continued", "without effect")
DONE = (0, 4)


def tiny_study():
    """Every stage of a run in a second: 16 atoms, some steps with constant pressure, a checkpoint after each."""
    text = BRIEF.replace("supercell = [2, 2, 2]", "supercell = [2, 1, 1]")
    text = text.replace("sample_every = 2", "sample_every = 1").replace("sample_every = 5", "sample_every = 2")
    text = text.replace("duration_ps = 0.1 ", "duration_ps = 0.04 ").replace("checkpoint_minutes = 0.1", "")
    text = text.replace('"quench", ensemble = "NVT"', '"quench", ensemble = "NPT", pressure_GPa = 1.0')
    text = text.replace("duration_ps = 0.25 ", "duration_ps = 0.02 ").replace("spacing = 0.5", "spacing = 1.0")
    text = text.replace("fmax = 0.2\npressure_tolerance_GPa = 0.5", "max_steps = 4")
    text = text.replace("seed = 0", "seed = 0\ncheckpoint_minutes = 0.0")
    return text + "[voids]\nspacing = 1.0\n[control]\ncrystal = false\n"


def moving_study():
    """The stages that the tiny study leaves out: the crystal, moving ions and their removal, of glass and crystal."""
    text = tiny_study().replace("crystal = false", "crystal = true").replace("[voids]\nspacing = 1.0\n", "")
    text += "[diffusion]\ntemperatures_K = [600]\nduration_ps = 0.07\nequilibration_ps = 0.004\nsample_every = 1\n"
    return text + "[voltage]\nremoved = [0.0, 1.0]\nchoices = 1\n"


def built_injector(folder):
    """Compile faulty.c; returns the path of the library."""
    library = folder / "faulty.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, "-o", library, HERE / "faulty.c", "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a trial."""

    begin: int
    """Number of stages that are finished before."""
    call: str
    place: int
    """Which of these calls, from 1."""
    act: str
    error: str
    """Name of the error that is reported; empty where there is none."""

    @property
    def plan(self):
        """Numbers as faulty.c takes them."""
        return CALLS.index(self.call), self.place, 1 + list(ACTS).index(self.act), getattr(errno, self.error or "EIO")


class Trials:
    """Runs of the toy, each with a fault."""

    def __init__(self, folder, seed, text=None):
        self.folder, self.rng = Path(folder), np.random.default_rng(seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.study = written(self.folder / "study.toml", text or tiny_study())

    def __enter__(self):
        self.runs = Runs(library=built_injector(self.folder)).__enter__()
        outcome = self.runs(self.study, self.folder / "whole", fault=(0, 0, 0, 0))
        assert outcome.status in DONE, outcome.said
        self.status, self.whole = outcome.status, content(self.folder / "whole")
        log = (self.folder / "whole/run.log").read_text(encoding="utf-8")
        self.stages = [Path(name).relative_to(self.folder / "whole") for name in re.findall(r"— (\S+)$", log, re.M)]
        self.calls = []
        """Calls of each kind that a run makes whose first stages are finished."""
        for begin in range(len(self.stages)):
            directory = self.begun(begin)
            self.calls.append(self.runs(self.study, directory, fault=(0, 0, 0, 0)).calls)
            assert_same(content(directory), self.whole)
        return self

    def __exit__(self, *error):
        self.runs.__exit__(*error)

    def begun(self, begin):
        """A directory as a kill after so many stages leaves it."""
        directory = self.folder / "run"
        shutil.rmtree(directory, ignore_errors=True)
        if begin:
            directory.mkdir()
            shutil.copy(self.folder / "whole/run.toml", directory)
        for stage in self.stages[:begin]:
            shutil.copytree(self.folder / "whole" / stage, directory / stage)
        return directory

    def draw(self):
        """Draw a fault; calls of every kind are equally likely, however rare they are."""
        act = str(self.rng.choice(list(ACTS)))
        begin = int(self.rng.integers(len(self.stages)))
        there = [call for call in ACTS[act] if self.calls[begin][CALLS.index(call)]]
        call = str(self.rng.choice(there))
        place = int(self.rng.integers(1, self.calls[begin][CALLS.index(call)] + 1))
        return Fault(begin, call, place, act, str(self.rng.choice(ERRORS.get(act, [""]))))

    def __call__(self, fault):
        """Run with a fault and continue without; what became of it, or an error if a promise was broken."""
        directory = self.begun(fault.begin)
        stopped = self.runs(self.study, directory, fault=fault.plan)
        outcome = OUTCOMES[2]
        assert stopped.met, fault
        if stopped.status not in DONE:
            killed = stopped.status == -signal.SIGKILL
            told = stopped.status in (1, 2) and stopped.said.count("\n") == 1 and "--debug" not in stopped.said
            assert killed == fault.act.startswith("killed"), (fault, stopped)
            assert killed or told, (fault, stopped)
            outcome = OUTCOMES[0 if killed else 1]
            again = self.runs(self.study, directory, fault=(0, 0, 0, 0))
            assert again.status == self.status, (fault, stopped, again)
        else:
            assert stopped.status == self.status, (fault, stopped)
        try:
            assert_same(content(directory), self.whole)
        except AssertionError as error:
            raise AssertionError(f"{fault}, {stopped}: {error}") from None
        return outcome
