"""Checkpoints of a stage: written whole, kept twice, read back or refused."""

import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.run.configuration import difference, toml_form
from amorph.run.durable import HELD, write_atomically
from amorph.run.stage import Stage, structure_text
from amorph.run.stopping import Work

log = logging.getLogger(__name__)


def write_checkpoint(directory: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``checkpoint.npz`` with its own checksum; the one before stays as ``checkpoint_previous.npz``."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwds for allow_pickle
    body = content.getvalue()
    path = directory / "checkpoint.npz"
    if held := HELD.get():
        held.note(path)  # before one of another run could be moved
    if path.exists() and not _read(path)[1]:  # a damaged one must not push out the whole one before it
        path.replace(directory / "checkpoint_previous.npz")
    write_atomically(path, hashlib.sha256(body).digest() + body)


def read_checkpoint(directory: Path) -> dict[str, NDArray[Any]] | None:
    """Read the newest checkpoint whose checksum holds; None where there is none.

    Raises
    ------
    ValueError
        There are checkpoints, and none is whole.
    """
    candidates = [directory / "checkpoint.npz", directory / "checkpoint_previous.npz"]
    present = [path for path in candidates if path.exists()]
    for path in present:
        body, fault = _read(path)
        if not fault:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return dict(arrays)
        log.warning("%s is damaged: %s", path, fault)
    if present:
        raise ValueError(f"every checkpoint in {directory} is damaged; remove the folder to redo the stage")
    return None


def _read(checkpoint: Path) -> tuple[bytes, str]:
    """Return what a checkpoint holds behind its checksum, and what is wrong with it: nothing, if it is whole."""
    try:
        raw = checkpoint.read_bytes()
    except PermissionError:  # it may be whole
        raise
    except OSError as error:
        return b"", str(error.strerror)
    sound = len(raw) > 32 and hashlib.sha256(raw[32:]).digest() == raw[:32]
    return (raw[32:], "") if sound else (b"", "its checksum does not match")


@dataclass(frozen=True, eq=False)
class State:
    """What the steps to come depend on: arrays, plain values, and groups of arrays by name."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays that ``numpy.savez`` writes and ``numpy.load`` reads without pickle."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, value in vars(self).items():
            group = {f"{name}.{part}": array for part, array in value.items()} if isinstance(value, dict) else None
            arrays |= {name: np.asarray(value)} if group is None else group
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make a state from the arrays of :meth:`to_arrays`, or refuse them where one is missing; others are left."""
        values: dict[str, Any] = {}
        for entry in fields(cls):
            prefix = f"{entry.name}."
            group = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            if entry.name in arrays:
                array = np.array(arrays[entry.name])
                values[entry.name] = array if array.ndim else array.item()
            elif group or entry.default_factory is dict:
                values[entry.name] = group
            else:
                raise ValueError(f"the {cls.__name__} lacks {entry.name}; start the stage again")
        return cls(**values)


class Checkpoints:
    """Reads a stage's checkpoint, decides when it writes one, and stops it where that was asked for."""

    def __init__(self, stage: Stage, atoms: Atoms, work: Work) -> None:
        self.stage, self.work, self.last = stage, work, time.monotonic()
        digest = hashlib.sha256(structure_text(atoms)).hexdigest()
        self.made_for = {**stage.made_for, "start": {"formula": atoms.get_chemical_formula(), "sha256": digest}}

    def read(self) -> dict[str, NDArray[Any]] | None:
        """Return the newest checkpoint of this very stage; None where there is none.

        Raises
        ------
        ValueError
            It was made from another input, or with other parameters (unless forced).
        """
        saved = read_checkpoint(self.stage.directory)
        if saved is None:
            return None
        remedy = f"remove {self.stage.directory} to redo it"
        if "made_for" not in saved:
            raise ValueError(f"the checkpoint in {self.stage.directory} does not say what it was made for; {remedy}")
        made_for = json.loads(str(saved["made_for"]))
        if toml_form(made_for) == toml_form(self.made_for):
            return saved
        changed = difference(made_for, self.made_for)
        # The study's own record has what was forced; a structure half made from another one is no structure of either.
        if {**made_for, "parameters": None} != {**self.made_for, "parameters": None}:
            raise ValueError(f"{self.stage.directory} was begun from another input: {changed}; {remedy}")
        if not self.stage.force:
            raise ValueError(
                f"{self.stage.directory} was begun with other parameters: {changed}; {remedy}, or continue it all the "
                "same with --force"
            )
        log.warning("%s is continued, although begun with other parameters: %s", self.stage.directory, changed)
        self._write(saved)  # from now on without force
        return saved

    def due(self) -> bool:
        return self.work.stop.asked or time.monotonic() - self.last > 60.0 * self.work.checkpoint_minutes

    def save(self, arrays: Mapping[str, NDArray[Any]], step: int) -> None:
        """Write the checkpoint of a step.

        Raises
        ------
        RuntimeError
            It holds what is no number: the one before is worth more.
        """
        for name, values in arrays.items():
            if values.dtype.kind == "f" and np.isnan(values).any():  # a minimiser begins with an infinite energy
                raise RuntimeError(
                    f"{name.replace('_', ' ')} at step {step} of {self.stage.name} is no number, so no checkpoint is "
                    "written; the same command continues from the one before, check the calculator"
                )
        self._write(arrays)
        self.last = time.monotonic()
        self.work.stop.check(f"after step {step} of {self.stage.name}")

    def _write(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        write_checkpoint(self.stage.directory, {**arrays, "made_for": np.array(json.dumps(self.made_for))})
