"""An ensemble of toy runs that take a second each."""

import itertools
import os
import re
import subprocess
import time
from pathlib import Path

import psutil
import toy_run
from toy_run import content

from amorph.ensemble.status import member_names, member_status

HERE = Path(__file__).parent.parent

# Brief: no control, nothing exported, one short equilibration.
STUDY = toy_run.STUDY.replace("duration_ps = 0.7 ", "duration_ps = 0.5 ").replace(
    "duration_ps = 0.1 ", "duration_ps = 0.02 "
)
STUDY = STUDY.replace("picture = false", "picture = false\nstructures = []\nfields = []\nmeshes = []")
STUDY += "[control]\ncrystal = false\n"
STUDY = STUDY.replace("toys:Ions", "pageless:Ions")

ENSEMBLE = """
[ensemble]
study = "study.toml"
seed = 7
members = 2
"""
VARY = "[vary]\nmelt_quench.schedule.segments.quench.duration_ps = [0.25, 0.15]\n"


def write_files(folder, vary=VARY, *, slower=1):
    """Write the study and the ensemble; a slower one has a longer melt, at a temperature that the toy bears."""
    study = STUDY.replace("duration_ps = 0.5 }", f"duration_ps = {0.5 * slower} }}")
    (folder / "study.toml").write_text(study if slower == 1 else study.replace("9000", "2000"))
    (folder / "ensemble.toml").write_text(ENSEMBLE + vary)


def states(directory):
    """Where the members stand, in order."""
    return [member_status(directory, name).state for name in member_names(directory)]


def content_of(directory):
    """Every file of the members' runs but their logs and locks."""
    names = member_names(directory)
    return {f"{name}/{file}": text for name in names for file, text in content(directory / name).items()}


def process_of(directory, name):
    """The process that works on a member, as its lock tells it."""
    return psutil.Process(int(member_status(directory, name).note.split()[1]))


def processes_of(directory):
    """Every process that was started for an ensemble: its folder stands in their commands or their environments."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if any(str(directory) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


def assert_each_stage_once(directory):
    """No stage of a member was begun again after a later one, whoever ran it and however often it was continued."""
    for name in member_names(directory):
        begun = re.findall(r"— (.+/\d_\w+)$", (directory / name / "run.log").read_text(), re.M)
        in_turn = [stage for stage, _ in itertools.groupby(begun)]
        assert len(in_turn) == len(set(in_turn)) == len(list((directory / name).rglob("stage.json"))) > 5


def begun(directory):
    """Whether every member is in its melt."""
    return all((directory / name / "2_melt_quench/thermo.csv").exists() for name in member_names(directory))


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        queue = f"; the queue: {ask('squeue')}" if "SLURM_CONF" in os.environ else ""
        assert time.monotonic() < end, f"it did not happen{queue}"
        time.sleep(0.2)


def ask(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=240).stdout
