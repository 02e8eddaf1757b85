"""Damaged files: no unexpected exception, no hang beyond 10 s, no more than 1 GB."""

import subprocess
import sys

import pytest
from dying import HERE
from fuzzing import KINDS


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_line(kind):
    done = subprocess.run(
        [sys.executable, HERE / "fuzzing.py", kind, "500", "0"], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{kind}: 500 damaged files, 0 wrong" in done.stdout
