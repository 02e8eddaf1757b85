"""One stage's folder: what it was made for, what it wrote, and the mark of its end."""

import io
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from amorph.figures import Result, Row, plain
from amorph.run.configuration import difference, read_json, toml_form, write_json
from amorph.run.durable import HELD, sha256_of, sync, write_atomically

log = logging.getLogger(__name__)


def begun(folder: Path) -> bool:
    """Tell whether a stage left what it goes on from: its mark, a checkpoint, a folder for another program."""
    return any(
        path.name == "stage.json" or path.name.startswith("checkpoint") or path.is_dir() for path in folder.iterdir()
    )


_REMEDY = "use a new --dir, or remove {} and the folders after it to redo them"


def check_outputs(folder: Path, *, all_there: bool = True) -> None:
    """Refuse a finished stage whose files, those that are there at least, are not what it wrote."""
    mark, remedy = folder / "stage.json", _REMEDY.format(folder)
    try:
        outputs = dict(read_json(mark)["outputs"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{mark} is damaged ({error}); remove the folder {folder} to redo it") from None
    for name, digest in outputs.items():
        there = (folder / name).exists()
        if sha256_of(folder / name) != digest if there else all_there:
            raise ValueError(f"{folder / name} is missing or was changed since it was made; {remedy}")


def structure_text(atoms: Atoms) -> bytes:
    """Extended XYZ of one structure, the form in which stages hand structures on."""
    text = io.StringIO()
    bare = atoms.copy()
    bare.calc = None
    ase.io.write(text, bare, format="extxyz")
    return text.getvalue().encode()


def as_from(atoms: Atoms, start: Atoms) -> Atoms:
    """Wrap atoms into the cell, with the facts that the structure had from which they came."""
    wrapped = atoms.copy()
    wrapped.wrap()
    wrapped.info = dict(start.info)
    return wrapped


@dataclass(frozen=True)
class Finished:
    """What a finished stage found, as its mark keeps it."""

    figures: Mapping[str, Any]
    """Its figures by name."""
    rows: tuple[Row, ...] | None
    """Those that a summary sets side by side; None in a mark of before, which kept none."""


@dataclass(frozen=True)
class Stage:
    """One stage's folder in a run directory."""

    directory: Path
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Path]
    """Files that the stage reads, by role."""
    force: bool = False
    """Take a stage, finished or begun, although its parameters changed since."""
    made_for: Mapping[str, Any] = field(init=False, repr=False)
    """What the stage is made for: its parameters and the SHA-256 of its inputs, by role, when it was opened."""

    def __post_init__(self) -> None:
        # Before the work, so that a file which changes while the stage runs is not taken for the one that was read.
        inputs = {role: sha256_of(path) for role, path in self.inputs.items()}
        object.__setattr__(self, "made_for", {"parameters": plain(self.parameters), "inputs": inputs})

    @property
    def name(self) -> str:
        """Name without the number: "melt_quench" for 2_melt_quench."""
        return self.directory.name.partition("_")[2]

    @property
    def structure(self) -> Path:
        """The structure that the stage ends with."""
        return self.directory / "structure.extxyz"

    def finished(self) -> Finished | None:
        """Return what :meth:`look` does, checkpoints cleared away."""
        found = self.look()
        if found is not None:
            self._clear()
        return found

    def look(self) -> Finished | None:
        """Return what a finished stage found, or None; the folder of an unforced stage stays: it may be another's.

        Raises
        ------
        ValueError
            The stage was finished with other parameters (unless forced) or from another input, or an output changed
            since.
        """
        mark = self.directory / "stage.json"
        if not mark.exists():
            return None
        try:
            record = read_json(mark)
            stored, inputs, _, figures = (dict(record[key]) for key in ("parameters", "inputs", "outputs", "figures"))
            rows = tuple(Row(**row) for row in record["rows"]) if "rows" in record else None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{mark} is damaged ({error}); remove the folder {self.directory} to redo it") from None
        remedy = _REMEDY.format(self.directory)
        now = self.made_for["parameters"]
        accepted = record.get("accepted_for", [])
        # None is the default of a parameter that an earlier version did not have.
        if toml_form(now) not in map(toml_form, [stored, *accepted]):
            if not self.force:
                raise ValueError(
                    f"{self.directory} was made with other parameters: {difference(stored, now)}; {remedy}, or "
                    "keep it as it is with --force"
                )
            log.warning("%s is kept, although made with other parameters: %s", self.directory, difference(stored, now))
            record["accepted_for"] = [*accepted, now]
            write_json(mark, record)
        for role, path in self.inputs.items():
            if role not in inputs and rows is None:
                continue  # an earlier version did not read it: it is made from what that did read
            if inputs.get(role) != self.made_for["inputs"][role]:
                raise ValueError(f"{self.directory} was made from another {path}; {remedy}")
        check_outputs(self.directory)
        return Finished(figures, rows)

    def finish(self, result: Result, *, started: float) -> Finished:
        """Mark the stage finished: what this process wrote into its folder is an output, checkpoints excepted."""
        outputs = {}
        held = HELD.get()
        if held is None or held.directory not in self.directory.parents:
            raise RuntimeError(f"{self.directory} is finished only while its run directory is open in this thread")
        held.check(self.directory)
        for path, written in sorted(held.files.items()):
            if path.parent == self.directory and not path.name.startswith(("checkpoint", "stage.json")):
                outputs[path.name] = sha256_of(path)
                if written not in ("", outputs[path.name]):
                    raise RuntimeError(
                        f"{path} holds other bytes than were written: the disk has damaged it; remove {self.directory} "
                        "and run the same command again to redo the stage"
                    )
                sync(path)
        record = {
            "stage": self.name,
            **self.made_for,
            "outputs": outputs,
            "figures": plain(result.figures()),
            "rows": plain([row._asdict() for row in result.rows()]),
            "wall_time_s": round(time.monotonic() - started, 3),
        }
        write_json(self.directory / "stage.json", record)
        self._clear()
        return Finished(record["figures"], tuple(Row(**row) for row in record["rows"]))

    def _clear(self) -> None:
        """Remove what only an unfinished stage needs."""
        for leftover in self.directory.glob("checkpoint*"):
            leftover.unlink()

    def read_structure(self) -> Atoms:
        """Read the structure that the stage ended with."""
        return read_structure(self.structure)

    def write_structure(self, atoms: Atoms, *, like: Atoms | None = None) -> None:
        """Write the structure that the stage ends with; where it ran from another one, wrapped and with its facts."""
        write_atomically(self.structure, structure_text(atoms if like is None else as_from(atoms, like)))


def read_structure(path: Path) -> Atoms:
    """Read a structure that a stage wrote."""
    with path.open(encoding="utf-8") as file:
        atoms = ase.io.read(file, format="extxyz", index=-1)
    assert isinstance(atoms, Atoms)  # one index, one structure
    return atoms
