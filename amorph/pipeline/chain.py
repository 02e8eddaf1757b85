"""Stages in a row, each beginning with what the one before ended with."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from amorph.figures import Result, restored
from amorph.run import SUMMARY, Finished, RunDirectory, Stage, StopRequest, read_structure

log = logging.getLogger(__name__)


@dataclass
class Chain:
    """Stages in a row: each reads the structure file of the one before, also in an uninterrupted run."""

    run: RunDirectory
    folder: str = ""
    number: int = 0
    last: Stage | None = None
    found: dict[str, Finished] = field(default_factory=dict)
    """What each stage found, as its folder keeps it."""
    folders: dict[str, Path] = field(default_factory=dict)
    """Folder of each stage."""
    results: dict[str, Any] = field(default_factory=dict)
    """The same as a result, of the stages that the pipeline itself asks."""
    stop: StopRequest = field(default_factory=StopRequest)

    def then(
        self,
        name: str,
        parameters: Any,
        work: Callable[[Stage, Atoms], Result],
        kind: type[Result] | None = None,
        **inputs: Path,
    ) -> None:
        """Do the next stage, or skip it where it is finished; it begins with the last structure or with the given."""
        self.number += 1
        if self.last is not None:
            inputs.setdefault("structure", self.last.structure)
        stage = self.run.stage(f"{self.folder}{self.number}_{name}", parameters, inputs)
        found = stage.finished()
        if found is None:
            # A summary from before would pass the run off as finished, with figures that are about to change.
            (self.run.path / SUMMARY).unlink(missing_ok=True)
            self.stop.check(f"before {stage.directory}")
            log.info("— %s", stage.directory)
            started = time.monotonic()
            atoms = read_structure(inputs["structure"]) if "structure" in inputs else Atoms()
            found = stage.finish(work(stage, atoms), started=started)
        else:
            log.info("— %s is done", stage.directory)
        self.found[name], self.folders[name] = found, stage.directory
        if kind is not None:
            try:
                self.results[name] = restored(kind, found.figures)
            except ValueError as error:
                raise ValueError(
                    f"{stage.directory} was made by another version of amorph ({error}); remove it and the folders "
                    "after it to redo them"
                ) from None
        if stage.structure.exists():
            self.last = stage

    def branch(self, folder: str) -> "Chain":
        """Start a row of stages of its own from where this one stands."""
        place = f"{self.folder}{folder}/" if folder else self.folder
        return Chain(self.run, place, self.number, self.last, stop=self.stop)
