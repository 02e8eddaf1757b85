"""Damaged files: no unexpected exception, no hang beyond 10 s, no more than 1 GB."""

import subprocess
import sys

import pytest
from dying import HERE
from fuzzing import KINDS

BAD_READERS = """\
import mmap
import time
from pathlib import Path
import fuzzing

def catches(take, caught):
    try:
        take()
    except caught as error:
        raise ValueError("refused") from error

cases = {
    "slept": lambda path: catches(lambda: time.sleep(30), Exception),
    "hid the alarm": lambda path: catches(lambda: time.sleep(30), BaseException),
    "took": lambda path: mmap.mmap(-1, 1_500_000_000).close(),
    "asked": lambda path: bytearray(3_000_000_000),
    "right": lambda path: catches(lambda: int("x"), Exception),
}
limit = fuzzing.limited()
for name, read in cases.items():
    print(name, fuzzing.faults_of(read, Path("any"), limit, 1))
"""


def test_readers_that_hang_or_take_too_much_are_told_whatever_they_catch():
    done = subprocess.run([sys.executable, "-c", BAD_READERS], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    slept, hid, took, asked, right = done.stdout.splitlines()
    assert slept == "slept ['more than 1 s']"
    assert hid == "hid the alarm ['more than 1 s']"
    assert took.startswith("took [") and "more memory than the 1 GB allowed" in took
    assert asked == "asked ['MemoryError: ']"
    assert right == "right []"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["0", "drawn"])  # bytes by a seed, edits by hypothesis
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(kind, how):
    done = subprocess.run(
        [sys.executable, HERE / "fuzzing.py", kind, "500", how], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{kind}: 500 damaged files, 0 wrong" in done.stdout
