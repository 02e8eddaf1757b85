"""Stages in a row, each beginning with what the one before ended with."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from amorph.run import SUMMARY, RunDirectory, Stage, StopRequest, read_structure

log = logging.getLogger(__name__)


@dataclass
class Chain:
    """Stages in a row: each reads the structure file of the one before, also in an uninterrupted run."""

    run: RunDirectory
    folder: str = ""
    number: int = 0
    last: Stage | None = None
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stop: StopRequest = field(default_factory=StopRequest)

    def then(
        self,
        name: str,
        parameters: Mapping[str, Any],
        work: Callable[[Stage, Atoms], Mapping[str, Any]],
        **inputs: Path,
    ) -> None:
        """Do the next stage, or skip it where it is finished; it begins with the last structure or with the given."""
        self.number += 1
        if self.last is not None:
            inputs.setdefault("structure", self.last.structure)
        stage = self.run.stage(f"{self.folder}{self.number}_{name}", parameters, inputs)
        figures = stage.finished()
        if figures is None:
            # A summary from before would pass the run off as finished, with figures that are about to change.
            (self.run.path / SUMMARY).unlink(missing_ok=True)
            self.stop.check(f"before {stage.directory}")
            log.info("— %s", stage.directory)
            started = time.time()
            atoms = read_structure(inputs["structure"]) if "structure" in inputs else Atoms()
            figures = stage.finish(work(stage, atoms), started=started)
        else:
            log.info("— %s is done", stage.directory)
        self.figures[name] = figures
        if stage.structure.exists():
            self.last = stage

    def branch(self, folder: str) -> "Chain":
        """Start a row of stages of its own from where this one stands."""
        place = f"{self.folder}{folder}/" if folder else self.folder
        return Chain(self.run, place, self.number, self.last, stop=self.stop)
