"""Flipped bits in every file of a run, finished or half done: each is told in one line or without effect."""

import shutil
from pathlib import Path

import numpy as np
from dying import Runs
from faulting import DONE, tiny_study
from toy_run import content, written

HALF_DONE = (6, 70)
"""Force calls at which the half-done runs were killed: in the first dynamics, and late."""


class Flips:
    """Directories of the toy, and what becomes of a run in one of them of which a bit is another."""

    def __init__(self, folder, seed):
        self.folder, self.rng = Path(folder), np.random.default_rng(seed)
        self.study = written(self.folder / "study.toml", tiny_study())

    def __enter__(self):
        self.runs = Runs().__enter__()
        self.status = self.runs(self.study, self.folder / "whole").status
        assert self.status in DONE
        self.whole = content(self.folder / "whole")
        for call in HALF_DONE:
            self.runs(self.study, self.folder / f"half_{call}", die=("call", call))
        self.bases = [self.folder / "whole", *(self.folder / f"half_{call}" for call in HALF_DONE)]
        self.files = [
            (base, path.relative_to(base))
            for base in self.bases
            for path in sorted(base.rglob("*"))
            if path.is_file() and path.stat().st_size and path.name not in {"run.log", "lock"}
        ]
        return self

    def __exit__(self, *error):
        self.runs.__exit__(*error)

    def drawn(self, number):
        """Draw flips, every file as often as any other: base, file, byte, bit."""
        order = self.rng.permutation(len(self.files))
        for k in range(number):
            base, file = self.files[order[k % len(order)]]
            yield base, file, int(self.rng.integers((base / file).stat().st_size)), int(self.rng.integers(8))

    def __call__(self, base, file, byte, bit):
        """Flip a bit and run the same command: whether that was told, or an error if it passed with other bytes."""
        directory = self.folder / "run"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(base, directory)
        changed = bytearray((directory / file).read_bytes())
        changed[byte] ^= 1 << bit
        (directory / file).write_bytes(changed)
        ended = self.runs(self.study, directory)
        where = (base.name, str(file), byte, bit, ended)
        if ended.status in (1, 2):
            assert ended.said.count("\n") == 1, where
            assert "--debug" not in ended.said, where
            return True
        assert ended.status == self.status, where
        now = content(directory)
        assert [name for name in {**now, **self.whole} if now.get(name) != self.whole.get(name)] == [], where
        return False
