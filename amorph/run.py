"""The run directory: resolved configuration, stage marks, lock.

A run is a directory. ``run.toml`` holds the fully resolved configuration, each stage has a numbered folder, and a
stage's ``stage.json``, written last and by atomic rename, marks it finished. Running again skips what is finished,
refuses to mix what does not match, and continues what is not.
"""

import contextlib
import io
import json
import logging
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import ase.io
import numpy as np
import tomli_w
from ase import Atoms

from amorph.durable import UNFINISHED, make_folder, remove_unfinished, sha256_of, sync, write_atomically
from amorph.locking import locked
from amorph.runlog import kept_log

log = logging.getLogger(__name__)

SUMMARY = "summary.json"
"""What a run of a study writes last: as long as it is there, the run is finished."""


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def structure_text(atoms: Atoms) -> bytes:
    """Extended XYZ of one structure, the form in which stages hand structures on."""
    text = io.StringIO()
    plain = atoms.copy()
    plain.calc = None
    ase.io.write(text, plain, format="extxyz")
    return text.getvalue().encode()


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
        object.__setattr__(self, "made_for", {"parameters": jsonable(self.parameters), "inputs": inputs})

    @property
    def name(self) -> str:
        """Name without the number: "melt_quench" for 2_melt_quench."""
        return self.directory.name.partition("_")[2]

    @property
    def structure(self) -> Path:
        """The structure that the stage ends with."""
        return self.directory / "structure.extxyz"

    def finished(self) -> dict[str, Any] | None:
        """Return the figures of a finished stage, checkpoints cleared away, or None where it is still to be done.

        Raises
        ------
        ValueError
            As :meth:`look`.
        """
        figures = self.look()
        if figures is not None:
            self._clear()
        return figures

    def look(self) -> dict[str, Any] | None:
        """Return what :meth:`finished` does, and leave the folder of an unforced stage as it is: it may be another's.

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
            record = json.loads(mark.read_text())
            stored, inputs, outputs, figures = (
                dict(record[key]) for key in ("parameters", "inputs", "outputs", "figures")
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{mark} is damaged ({error}); remove the folder {self.directory} to redo it") from None
        remedy = f"use a new --dir, or remove {self.directory} and the folders after it to redo them"
        now = self.made_for["parameters"]
        if stored != now and now not in (accepted := record.get("accepted_for", [])):
            if not self.force:
                raise ValueError(
                    f"{self.directory} was made with other parameters: {difference(stored, now)}; {remedy}, or "
                    "keep it as it is with --force"
                )
            log.warning("%s is kept, although made with other parameters: %s", self.directory, difference(stored, now))
            record["accepted_for"] = [*accepted, now]
            _write_json(mark, record)
        for role, path in self.inputs.items():
            if inputs.get(role) != self.made_for["inputs"][role]:
                raise ValueError(f"{self.directory} was made from another {path}; {remedy}")
        for name, digest in outputs.items():
            if not (self.directory / name).exists() or sha256_of(self.directory / name) != digest:
                raise ValueError(f"{self.directory / name} is missing or was changed since it was made; {remedy}")
        return figures

    def finish(self, figures: Mapping[str, Any], *, started: float) -> dict[str, Any]:
        """Mark the stage finished: everything in its folder is an output, checkpoints excepted."""
        outputs = {
            path.name: sha256_of(path)
            for path in sorted(self.directory.iterdir())
            if path.is_file() and path.name != "stage.json" and not path.name.startswith((".", "checkpoint"))
        }
        for name in outputs:
            sync(self.directory / name)
        record = {
            "stage": self.name,
            **self.made_for,
            "outputs": outputs,
            "figures": jsonable(_without_nan(figures)),
            "wall_time_s": round(time.time() - started, 3),
        }
        _write_json(self.directory / "stage.json", record)
        self._clear()
        done: dict[str, Any] = record["figures"]
        return done

    def _clear(self) -> None:
        """Remove what only an unfinished stage needs."""
        for leftover in self.directory.glob("checkpoint*"):
            leftover.unlink()

    def write_structure(self, atoms: Atoms) -> None:
        """Write the structure that the stage ends with."""
        write_atomically(self.structure, structure_text(atoms))

    def read_structure(self) -> Atoms:
        """Read the structure that the stage ended with."""
        return read_structure(self.structure)


def read_structure(path: Path) -> Atoms:
    """Read a structure that a stage wrote."""
    atoms = ase.io.read(path, format="extxyz", index=-1)
    assert isinstance(atoms, Atoms)  # one index, one structure
    return atoms


@dataclass
class RunDirectory:
    """A run directory, locked for the time it is open.

    Raises
    ------
    ValueError
        Another process works in the directory, or it holds a run of another configuration and nothing forces it.
    """

    path: Path
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    force: bool = False
    """Continue a run of another configuration, and record the difference."""
    forced: Sequence[Mapping[str, str]] = field(default=(), init=False)
    """When the run was continued by force, and with what."""
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False, repr=False)
    """Lock and log."""

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; give the run a directory")
        existing = self.path / "run.toml"
        if self.path.exists() and not existing.exists() and any(map(_foreign, self.path.iterdir())):
            raise ValueError(f"{self.path} is not empty and holds no run.toml; give the run a directory of its own")
        make_folder(self.path)
        with contextlib.ExitStack() as opened:
            left = opened.enter_context(locked(self.path))
            remove_unfinished(self.path)
            noted = self._claim(existing)
            opened.enter_context(kept_log(self.path / "run.log"))
            self._open = opened.pop_all()
        if left:
            log.warning(
                "%s was not given back by %s: if that still runs, this file system keeps locks to each machine; stop "
                "one of the two",
                self.path,
                left,
            )
        if noted:
            log.warning("%s is continued with %s: the same bytes as in one go are not promised", self.path, noted)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def stage(self, folder: str, parameters: Mapping[str, Any], inputs: Mapping[str, Path] | None = None) -> Stage:
        """Open the folder of a stage, made if missing, without what killed processes left there."""
        directory = self.path / folder
        make_folder(directory)
        remove_unfinished(directory)
        return Stage(directory, parameters, inputs or {}, self.force)

    def _claim(self, path: Path) -> str:
        """Write the run's configuration, or compare it with the one there; return what differs and does not bind."""
        whole = _whole(self.config, self.provenance)
        if not path.exists():
            write_atomically(path, tomli_w.dumps(whole).encode())
            return ""
        try:
            stored = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is damaged ({error}); use a new --dir") from None
        made_by = stored.get("provenance", {})
        self.forced = made_by.get("forced", [])
        changed = difference(binding(stored), binding(whole))
        noted = "" if (self.path / SUMMARY).exists() else difference(_free(stored), _free(whole))
        if changed and not self.force:
            raise ValueError(
                f"{self.path} holds a run with {changed}; use a new --dir, or continue it all the same with --force"
            )
        date = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if changed:
            log.warning("%s is continued by force with %s", self.path, changed)
            self.forced = made_by["forced"] = [*self.forced, {"date": date, "changed": changed}]
        if noted:
            made_by["continued"] = [*made_by.get("continued", []), {"date": date, "changed": noted}]
        made_by.pop("commit", None)  # one that is not known here is not the one before
        if changed or noted:
            # What only the first call knew stays: the parameters that the study comes down to, say.
            whole["provenance"] = made_by | whole["provenance"]
            write_atomically(path, tomli_w.dumps(whole).encode())
        return noted


def holds(directory: Path, config: Mapping[str, Any]) -> bool:
    """Tell whether a directory holds a run of this configuration, whatever made it."""
    try:
        stored = tomllib.loads((directory / "run.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return binding(stored | {"provenance": {}}) == binding(_whole(config, {}))


def _whole(config: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {**toml_form(config), "provenance": toml_form(provenance)}


def binding(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a run's configuration and provenance what its numbers depend on."""
    free = {"run": ("title", "checkpoint_minutes")}
    tables = {
        name: {key: value for key, value in table.items() if key not in free.get(name, ())}
        for name, table in content.items()
        if name != "provenance" and table  # a table that is not used is none
    }
    made_by = content.get("provenance", {})
    tables |= {key: made_by.get(key, {}) for key in ("versions", "weights_sha256", "input_sha256")}
    return tables | {"engines": _of_engines(made_by, ("engine", "device"))}


def _free(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a run's provenance what may change the last digits of its numbers."""
    made_by = content.get("provenance", {})
    return {"commit": made_by.get("commit"), "engines": _of_engines(made_by, ("threads",))}


def _of_engines(made_by: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {
        model: {key: engine[key] for key in keys if key in engine}
        for model, engine in made_by.get("engines", {}).items()
    }


def difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """Say in words where two configurations differ: "bvs.cutoff 6.0 there, 5.0 here"."""
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        name, a, b = f"{prefix}{key}", old.get(key, _NOTHING), new.get(key, _NOTHING)
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines.append(difference(a, b, f"{name}."))
        else:
            there, here = ("nothing" if value is _NOTHING else repr(value) for value in (a, b))
            lines.append(f"{name} {there} there, {here} here")
    return ", ".join(lines)


_NOTHING = object()


def _foreign(path: Path) -> bool:
    """Tell a file that a run killed at its very start cannot have left."""
    return path.name not in {"lock", "run.log"} and not UNFINISHED.fullmatch(path.name)


def jsonable(value: Any) -> Any:
    """Round-trip a value through JSON, so that a stored and a fresh one compare equal."""
    return json.loads(json.dumps(value, default=_plain, allow_nan=False))


def _without_nan(value: Any) -> Any:
    """Say None where a figure is not a number: a pressure without stress, say. JSON has no NaN."""
    if isinstance(value, np.ndarray):
        return _without_nan(value.tolist())
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float | np.floating) and not np.isfinite(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def toml_form(value: Any) -> Any:
    """JSON form without None, which TOML cannot say: a key that is missing has its default None."""
    plain = jsonable(value)

    def without_none(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: without_none(entry) for key, entry in item.items() if entry is not None}
        if isinstance(item, list):
            return [without_none(entry) for entry in item]
        return item

    return without_none(plain)
