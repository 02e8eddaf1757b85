"""What a finished run left in its directory, as the report reads it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import tomli_w
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray

from amorph.analysis.bvs import bvs_map_of
from amorph.analysis.percolation import MigrationPath, migration_path
from amorph.reading import read_field
from amorph.run import check_outputs, read_json, read_run_toml, read_structure, refuse_links

FRAMES: Final = 100
"""Frames of a movie at most."""


@dataclass(frozen=True)
class Branch:
    """One structure that was analysed: an exchanged glass or the crystal control."""

    analysis: Path
    """Folder of its analysis."""
    figures: Mapping[str, Any]
    """Figures of its stages."""

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Files that the analysis wrote and nobody removed; one killed in the middle may have left others."""
        made = read_json(self.analysis / "stage.json")["outputs"]
        return frozenset(name for name in made if (self.analysis / name).exists())

    @cached_property
    def atoms(self) -> Atoms:
        """The structure."""
        return read_structure(self.analysis / "structure.extxyz")

    @cached_property
    def bvs(self) -> Any:
        """The bond-valence map that the run kept."""
        return bvs_map_of(*read_field(self.analysis / "bvs.npz"))

    @cached_property
    def energies(self) -> Any:
        """The map of site energies; None where the study asks for none."""
        return read_field(self.analysis / "bvse.npz")[0] if "bvse.npz" in self.outputs else None

    @property
    def ion(self) -> str:
        """The mobile ion: "Mg2+"."""
        return str(self.figures["analysis"]["bvs"]["all"]["ion"])

    @cached_property
    def way(self) -> MigrationPath | None:
        """The path of the lowest barrier by site energy, without such by bond valence; None where there is none."""
        field = self.bvs.field if self.energies is None else self.energies
        try:
            return migration_path(field)
        except ValueError:  # none runs through the crystal: the page then shows none
            return None

    def table(self, name: str) -> dict[str, Any] | None:
        """Read one of the analysis's tables by column; None where it made none."""
        file = f"{name}.csv"
        return columns(self.analysis / file) if file in self.outputs else None


@dataclass(frozen=True)
class FoundRun:
    """A finished run."""

    directory: Path
    summary: Mapping[str, Any]
    """Its summary.json."""
    tables: Mapping[str, Any]
    """The study with every default, as its run.toml has it, without the tables that are not used."""
    provenance: Mapping[str, Any]
    """What made its numbers."""
    branches: Mapping[str, Branch]
    """"glass", the first of its replicas, and "crystal" where there is a control; none of a run that only melts."""

    @property
    def study(self) -> str:
        """The study as a file."""
        return tomli_w.dumps(self.tables)

    @property
    def dynamics(self) -> list[Path]:
        """Folders of the stages that moved atoms in time, in order."""
        folders = (path.parent for path in self.directory.glob("*/thermo.csv"))
        return sorted(folders, key=lambda path: int(path.name.partition("_")[0]))


def found_run(directory: Path) -> FoundRun:
    """Read what a finished run left.

    Raises
    ------
    ValueError
        The directory holds no finished run, or a file of it is damaged.
    """
    mark = directory / "summary.json"
    if not mark.exists():
        begun = (directory / "run.toml").exists()
        raise ValueError(
            f"{directory} holds no finished run: there is no summary.json; "
            + ("continue it with amorph run STUDY.toml --dir" if begun else "give the directory of amorph run")
            + (f" {directory}" if begun else "")
        )
    refuse_links(directory)
    try:
        summary = read_json(mark)
        tables = read_run_toml(directory)
        provenance = tables.pop("provenance")
        study = {name: table for name, table in tables.items() if table}
        exchanged, crystal = summary["exchanged"], summary["crystal"]
        branches = {}
        if exchanged:
            home = directory / "replica_0" if len(exchanged) > 1 else directory
            branches["glass"] = Branch(_analysis(home), exchanged[0])
        if crystal is not None:
            branches["crystal"] = Branch(_analysis(directory / "crystal"), crystal)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{directory} holds no run that can be read: {type(error).__name__}: {error}; "
            "amorph run writes its summary anew when it is called on it again"
        ) from None
    for mark in directory.glob("**/[0-9]*_*/stage.json"):
        check_outputs(mark.parent, all_there=False)
    return FoundRun(directory, summary, study, provenance, branches)


def columns(path: Path) -> dict[str, Any]:
    """Read a table of a run by column: numbers where all are numbers, words else."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return {name: _numbers([row[k] for row in rows[1:]]) for k, name in enumerate(rows[0])}


def movie_frames(folder: Path) -> tuple[list[Atoms], int]:
    """Read as many frames of a trajectory as a movie shows at most, evenly chosen; and say how many there are."""
    path = folder / "trajectory.extxyz"
    count = len(columns(folder / "thermo.csv")["step"])
    with path.open(encoding="utf-8") as file:
        frames = read(file, index=f"::{-(-count // FRAMES)}", format="extxyz")
    return list(frames), count


def _analysis(home: Path) -> Path:
    found = sorted(home.glob("*_analysis"))
    if not found:
        raise ValueError(f"{home} has no folder of an analysis")
    return found[0]


def _numbers(texts: list[str]) -> NDArray[Any]:
    try:
        return np.array([float(text or "nan") for text in texts])
    except ValueError:
        return np.array(texts)
