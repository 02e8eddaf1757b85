"""The members of an ensemble as an array of SLURM jobs: a plain sbatch script, written out and submitted."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from amorph.ensemble.plan import Ensemble
from amorph.ensemble.status import FINISHED, member_status
from amorph.run import write_atomically

_OURS: Final = ("array", "output", "open-mode", "signal", "requeue", "job-name")
"""Options of sbatch that the script sets."""

_SCRIPT: Final = "array.sh"
"""Name of the batch script in the ensemble's directory."""

_THREADS: Final = """\
# CPUs of this job, for queues that count them without confining a job to them.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
export MKL_NUM_THREADS=$OMP_NUM_THREADS NUMBA_NUM_THREADS=$OMP_NUM_THREADS"""

_BODY: Final = """
name=${members[$SLURM_ARRAY_TASK_ID]}
cd "$start" || exit 1
"$python" -P -X utf8 -m amorph run "$directory/studies/$name.toml" --dir "$directory/$name" --quiet \\
    >>"$directory/logs/$name.log" 2>&1 &
run=$!

# USR1 comes before the time limit: the run writes a checkpoint and ends with status 3, and the job goes back into the
# queue. TERM comes from scancel, or from a preemption that queues the job again by itself.
again=no
trap 'again=yes; kill -USR1 $run' USR1
trap 'kill -TERM $run' TERM
wait $run
status=$?
while kill -0 $run 2>/dev/null; do  # a trap has ended the wait, not the run
    wait $run
    status=$?
done

unheard=$((128 + $(kill -l USR1)))  # asked before it had begun to listen
if [ $again = yes ] && { [ $status -eq 3 ] || [ $status -eq $unheard ]; }; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    sleep 60  # the queue ends this turn
fi
# Done is what left its summary, where it stands too which check failed.
if [ $status -eq 0 ] || [ $status -eq 4 ]; then [ -e "$directory/$name/summary.json" ]; status=$?; fi
exit $status
"""


def script(plan: Ensemble, directory: Path, *, at_a_time: int | None = None) -> str | None:
    """Write the text of the batch script for the members that are missing; None where none is.

    Where they are more than the queue takes in one array, the script is for the first of them.

    Raises
    ------
    ValueError
        An option that the script itself sets; a time limit that leaves no time to run.
    """
    directory = directory.resolve()
    queued = _queued(directory / _SCRIPT)
    names = [
        member.name
        for member in plan.members
        if (state := member_status(directory, member.name).state) not in FINISHED
        and state != "running"
        and member.name not in queued
    ]
    if not names:
        return None
    if (most := _most_tasks()) == 0:
        raise ValueError("the queue takes no arrays (MaxArraySize = 0); use --engine parsl")
    names = names[:most]
    chosen = plan.slurm
    for option in chosen["options"]:
        if option in _OURS:
            raise ValueError(f"slurm.options.{option}: the script sets it; leave it out")
    limit = _seconds(str(chosen["options"].get("time", "")))
    if limit is not None and limit <= chosen["seconds_to_stop"]:
        raise ValueError(
            f"slurm.seconds_to_stop = {chosen['seconds_to_stop']} s is not below the time of the queue, {limit} s: "
            "every run would be asked to stop at its start, and queued again for ever; give more time"
        )
    options: dict[str, str | int] = {
        "job-name": f"amorph-{directory.name}",
        "array": f"0-{len(names) - 1}" + (f"%{at_a_time}" if at_a_time else ""),
        "output": f"{str(directory).replace('%', '%%')}/logs/slurm-%A_%a.txt",
        "open-mode": "append",
        "signal": f"B:USR1@{chosen['seconds_to_stop']}",
        **chosen["options"],
    }
    head = [f"#SBATCH --{name}={_quoted(value)}" for name, value in options.items()]
    if broken := next((line for line in head if not line.isprintable()), None):
        raise ValueError(f"{broken!r} is no one line of a batch script; mend [slurm], or the name of --dir")
    lines = [
        "#!/bin/bash",
        *head,
        "#SBATCH --requeue",
        "",
        _THREADS,
        *chosen["setup"],
        f"python={shlex.quote(sys.executable)}",
        f"start={shlex.quote(str(Path.cwd()))}",
        f"directory={shlex.quote(str(directory))}",
        f"members=({' '.join(names)})",
    ]
    return "\n".join(lines) + "\n" + _BODY


def _most_tasks() -> int | None:
    """Largest array that the queue takes; None where there is no queue."""
    if shutil.which("scontrol") is None:
        return None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _said("scontrol", "show", "config"), re.M)
    return int(found[1]) if found else None


def _queued(path: Path) -> set[str]:
    """Name the members that wait or run in the queue: those of the arrays that a script at this path was submitted for.

    Each array keeps the script as it was then, whatever has been written over it since.
    """
    if shutil.which("squeue") is None:
        return set()
    tasks = _said("squeue", "--me", "--noheader", "--array", "--format=%F %A %K %o").splitlines()
    names: set[str] = set()
    members: dict[str, list[str]] = {}
    for array, job, index, command in (task.split(maxsplit=3) for task in tasks if len(task.split()) > 3):
        if command.strip() != str(path):
            continue
        if array not in members:
            listed = re.search(r"^members=\((.*)\)$", _said("scontrol", "write", "batch_script", job, "-"), re.M)
            if listed is None:
                raise RuntimeError(
                    f"{path} of job {job} in the queue names no members; scancel {array} and submit again"
                )
            members[array] = listed[1].split()
        if index.isdigit() and int(index) < len(members[array]):
            names.add(members[array][int(index)])
    return names


def _said(*command: str) -> str:
    """Ask the queue.

    Raises
    ------
    RuntimeError
        It does not answer: what it holds is not known, and nothing must be submitted twice.
    """
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise RuntimeError(f"{command[0]} does not answer ({said}); run the same command again later")
    return done.stdout


def _quoted(value: str | int) -> str:
    """Write a value as sbatch reads it, which ends one at a blank."""
    text = str(value)
    if re.fullmatch(r"[\w.,:;/@%+=&|*!()\[\]-]*", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _seconds(time: str) -> int | None:
    """Read a time limit as sbatch does: 90, 90:00, 1:30:00, 1-12, 1-12:30 or 1-12:30:00; None for any other."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time.strip())
    if found is None:
        return None
    days, first, second, third = (int(part or 0) for part in found.groups())
    if found[1] or found[4]:
        return 86400 * days + 3600 * first + 60 * second + third
    return 60 * first + second


def submit(plan: Ensemble, directory: Path, *, at_a_time: int | None = None) -> str:
    """Write the batch script into the ensemble's directory and submit it; returns one line about it.

    Raises
    ------
    ValueError
        There is no sbatch here; the script lies in the directory all the same.
    RuntimeError
        The queue refuses it.
    """
    text = script(plan, directory, at_a_time=at_a_time)
    if text is None:
        return "every member is done, at work or in the queue: nothing to submit"
    path = directory.resolve() / _SCRIPT
    write_atomically(path, text.encode())
    if shutil.which("sbatch") is None:
        raise ValueError(f"there is no sbatch on this machine; {path} is written: submit it where there is one")
    try:
        said = _said("sbatch", "--parsable", str(path))
    except RuntimeError as error:
        raise RuntimeError(f"{path} is not submitted: {error}") from None
    number = text.partition("\nmembers=(")[2].partition(")")[0].count(" ") + 1
    return (
        f"submitted {number} members in {path} as job {said.strip()}; amorph ensemble status {directory} shows "
        "where they stand, and the same command submits what is missing"
    )
