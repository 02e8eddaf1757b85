"""Kills and damaged files, counted: every run goes on, and ends with the bytes of one that nothing interrupted.

Run ``python benchmarks/faults.py``; ``--quick`` does a tenth of it, ``--calls`` the faults at system calls alone,
``--flips`` the flipped bits alone, 1000 or as many as it is given. The
runs are those of the tests: a toy of ions through every stage, and a small one of CHGNet in processes of their own.
"""

import argparse
import collections
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from dying import Runs, kill_checkpoints  # noqa: E402 (they lie among the tests)
from faulting import ACTS, OUTCOMES, Trials  # noqa: E402
from flipping import Flips  # noqa: E402
from fuzzing import KINDS  # noqa: E402
from toy_run import BRIEF, assert_same, content, written  # noqa: E402

from amorph.run import read_checkpoint  # noqa: E402

MOMENTS = {
    "call": ("within a step", 1, 80),
    "file": ("before a file operation", 1, 60),
    "write": ("inside a write", 1, 60),
    "time": ("at any time", 0.05, 2.0),
}
"""Kinds of moment with their names, and the range from which the moment is drawn [calls, operations, s]."""


def stage_at(directory: Path) -> str:
    """Name the stage in which a run was killed, by what it left."""
    log = directory / "run.log"
    begun = re.findall(r"INFO — (\S+)$", log.read_text(), re.M) if log.exists() else []
    if not begun:
        return "start"
    stage = Path(begun[-1])
    return "between stages" if (stage / "stage.json").exists() else str(stage.relative_to(directory))


def kill_toy(folder: Path, kills: int) -> collections.Counter[tuple[str, str]]:
    """Kill runs of the toy at random moments until the number is reached; compare each that ends."""
    rng = np.random.default_rng(1)
    tally: collections.Counter[tuple[str, str]] = collections.Counter()
    study = written(folder / "study.toml", BRIEF)
    with Runs() as runs:
        if (expected := runs(study, folder / "whole").status) not in (0, 4):
            raise SystemExit(f"the toy: status {expected} without a kill")
        whole = content(folder / "whole")
        ended = 0
        while tally.total() < kills or (folder / "run").exists():
            kind = str(rng.choice(list(MOMENTS)))
            name, least, most = MOMENTS[kind]
            moment = float(rng.uniform(least, most)) if kind == "time" else int(rng.integers(least, most))
            outcome = runs(study, folder / "run", die=(kind, moment) if tally.total() < kills else None)
            if outcome.status == -signal.SIGKILL:
                tally[where := (stage_at(folder / "run"), name)] += 1
                sys.stderr.write(f"kill {tally.total()}: {where[0]}, {where[1]}\n")
                continue
            if outcome.status != expected:
                raise SystemExit(f"status {outcome.status} after {tally.total()} kills: {outcome.said}")
            assert_same(content(folder / "run"), whole)
            shutil.rmtree(folder / "run")
            ended += 1
    sys.stdout.write(f"{tally.total()} kills of the toy: all went on; {ended} runs ended, all with the same bytes\n\n")
    return tally


def kill_chgnet(folder: Path, kills: int) -> collections.Counter[tuple[str, str]]:
    """Kill processes that run CHGNet after a random time; compare at the end."""
    rng = np.random.default_rng(2)
    tally: collections.Counter[tuple[str, str]] = collections.Counter()
    text = BRIEF.replace('factory = "toys:Ions"', "arguments.threads = 1").replace(
        "sample_every = 2", "sample_every = 1"
    )
    text = re.sub(r"duration_ps = 0\.(1|25) ", "duration_ps = 0.04 ", text).replace("fmax = 0.2", "max_steps = 3")
    study = written(folder / "study.toml", text.replace("checkpoint_minutes = 0.1", "checkpoint_minutes = 0.0"))

    def command(name: str) -> list[str]:
        return [sys.executable, "-m", "amorph", "run", str(study), "--dir", str(folder / name), "--quiet"]

    expected = subprocess.run(command("whole"), cwd=TESTS, capture_output=True, check=False).returncode
    longest = 0.0
    if expected not in (0, 4):
        raise SystemExit(f"CHGNet: status {expected} without a kill")
    ended = 0
    while True:
        # The first is not killed: it says how long one takes whose kernels are compiled.
        after = rng.uniform(0.2, 0.8) * longest if longest and tally.total() < kills else None
        started = time.monotonic()
        with subprocess.Popen(command("run"), cwd=TESTS, stderr=subprocess.PIPE) as process:
            try:
                said = process.communicate(timeout=after)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                tally[where := (stage_at(folder / "run"), "CHGNet, at any time")] += 1
                sys.stderr.write(f"kill {tally.total()}: {where[0]}, {where[1]}\n")
                continue
        longest = longest or time.monotonic() - started
        if process.returncode != expected:
            raise SystemExit(f"CHGNet: status {process.returncode}, expected {expected}: {said.decode()}")
        assert_same(content(folder / "run"), content(folder / "whole"))
        shutil.rmtree(folder / "run")
        ended += 1
        if tally.total() >= kills:
            said_so = f"{tally.total()} kills of CHGNet: all went on; {ended} runs ended, all with the same bytes\n\n"
            sys.stdout.write(said_so)
            return tally


def show_tally(tally: collections.Counter[tuple[str, str]]) -> None:
    """Print a table of stages against moments."""
    stages = sorted({stage for stage, _ in tally})
    moments = list(dict.fromkeys(moment for _, moment in sorted(tally, key=lambda entry: entry[1])))
    lines = ["| killed in | " + " | ".join(moments) + " |", "|" + "---|" * (len(moments) + 1)]
    lines += [f"| {stage} | " + " | ".join(str(tally[stage, m]) for m in moments) + " |" for stage in stages]
    sys.stdout.write("\n".join(lines) + "\n\n")


def kill_inside_checkpoints(folder: Path, kills: int) -> None:
    """Kill writers of a second checkpoint and read what is left."""
    folder.mkdir()
    kinds = collections.Counter(kind for kind, status in kill_checkpoints(folder, kills) if status == -signal.SIGKILL)
    steps = collections.Counter(int((read_checkpoint(folder / str(n)) or {"step": 0})["step"]) for n in range(kills))
    if kinds.total() != kills or set(steps) - {1, 2}:
        raise SystemExit(f"a checkpoint was lost: {kinds}, steps {steps}")
    sys.stdout.write(
        f"{kills} kills inside the write of a checkpoint ({', '.join(f'{n} at {kind}' for kind, n in kinds.items())}): "
        f"the new one whole {steps[2]} times, the one before {steps[1]} times\n\n"
    )


def fail_calls(folder: Path, faults: int) -> None:
    """Let one system call of a run go wrong, so many times, and print the table of faults against outcomes."""
    tally: collections.Counter[tuple[str, str]] = collections.Counter()
    with Trials(folder, seed=3) as trials:
        for number in range(faults):
            fault = trials.draw()
            tally[fault.act, outcome := trials(fault)] += 1
            sys.stderr.write(f"fault {number + 1}: {fault.call} {fault.place} {fault.act} {fault.error}: {outcome}\n")
    sys.stdout.write(f"{faults} faults at system calls: all went on and ended with the same bytes\n\n")
    lines = ["| a call | " + " | ".join(OUTCOMES) + " |", "|" + "---|" * (len(OUTCOMES) + 1)]
    lines += [f"| {act} | " + " | ".join(str(tally[act, outcome]) for outcome in OUTCOMES) + " |" for act in ACTS]
    sys.stdout.write("\n".join(lines) + "\n\n")


def flip_bits(folder: Path, number: int) -> None:
    """Flip bits in files of a finished and of two half-done runs, one at a time."""
    folder.mkdir()
    with Flips(folder, seed=4) as flips:
        told = 0
        for count, flip in enumerate(flips.drawn(number), 1):
            told += flips(*flip)
            sys.stderr.write(f"flip {count}: {flip[0].name}/{flip[1]}, bit {flip[3]} of byte {flip[2]}\n")
        sys.stdout.write(
            f"{number} flipped bits in {len(flips.files)} files: {told} told, {number - told} without effect\n\n"
        )


def fuzz(number: int) -> None:
    """Read damaged files of every kind, each kind in a process of its own."""
    for kind in KINDS:
        command = [sys.executable, str(TESTS / "fuzzing.py"), kind, str(number), "1"]
        done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
        sys.stdout.write(done.stdout + done.stderr[-2000:])
        sys.stdout.flush()
        if done.returncode != 0:
            raise SystemExit(f"{kind}: status {done.returncode}")


def main() -> None:
    """Run all, or a tenth of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the faults, the kills and the files")
    parser.add_argument(
        "--flips", type=int, nargs="?", const=1000, metavar="NUMBER", help="nothing but so many flipped bits (1000)"
    )
    parser.add_argument("--calls", action="store_true", help="nothing but the faults at system calls")
    chosen = parser.parse_args()
    share = 10 if chosen.quick else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not chosen.calls:
            flip_bits(folder / "flips", (chosen.flips or 1000) // share)
        if chosen.flips is not None:
            return
        fail_calls(folder / "calls", 1000 // share)
        if chosen.calls:
            return
        show_tally(kill_toy(folder / "toy", 200 // share))
        kill_inside_checkpoints(folder / "checkpoints", 200 // share)
        sys.stdout.flush()
        show_tally(kill_chgnet(folder / "chgnet", 10 // share))
        sys.stdout.flush()
    fuzz(2000 // share)


if __name__ == "__main__":
    main()
