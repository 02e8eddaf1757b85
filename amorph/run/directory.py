"""The run directory: resolved configuration, stage marks, lock.

A run is a directory. ``run.toml`` holds the fully resolved configuration, each stage has a numbered folder, and a
stage's ``stage.json``, written last and by atomic rename, marks it finished. Running again skips what is finished,
refuses to mix what does not match, and continues what is not.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from amorph.run.configuration import _free, _whole, binding, difference, read_run_toml, write_run_toml
from amorph.run.durable import HELD, UNFINISHED, Held, make_folder, refuse_links, remove_unfinished
from amorph.run.lock import locked
from amorph.run.log import kept_log
from amorph.run.stage import Stage

log = logging.getLogger(__name__)

SUMMARY = "summary.json"
"""What a run of a study writes last: as long as it is there, the run is finished."""


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
    to_come: Callable[[], Set[str]] = frozenset
    """Gives, once the directory is locked, the keys of what binds on which nothing there depends yet."""
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
        refuse_links(self.path)
        with contextlib.ExitStack() as opened:
            left, folder = opened.enter_context(locked(self.path))
            before = HELD.set(Held(self.path, folder))
            opened.callback(HELD.reset, before)
            remove_unfinished(self.path)
            noted = self._claim(existing)
            opened.enter_context(kept_log(self.path / "run.log"))
            self._open = opened.pop_all()
        if left.endswith(f" on {socket.gethostname()}"):
            log.info("%s: %s ended there without a word: killed, or by its calculator", self.path, left)
        elif left:
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
        if held := HELD.get():
            held.check()  # or it would make a new directory where there was one
        make_folder(directory)
        remove_unfinished(directory)
        return Stage(directory, parameters, inputs or {}, self.force)

    def _claim(self, path: Path) -> str:
        """Write the run's configuration, or compare it with the one there; return what differs and does not bind."""
        whole = _whole(self.config, self.provenance)
        if not path.exists():
            write_run_toml(self.path, whole)
            return ""
        stored = read_run_toml(self.path)
        try:
            made_by = stored.setdefault("provenance", {})
            self.forced = made_by.get("forced", [])
            binding(stored)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); use a new --dir") from None
        for key in {"code_sha256", "processor"} & whole["provenance"].keys():  # a run of before does not say its own
            made_by.setdefault(key, whole["provenance"][key])
        changed = difference(binding(stored), binding(whole))
        mended = "" if difference(binding(stored), binding(whole), besides=self.to_come()) else changed
        changed = "" if mended else changed
        noted = "" if (self.path / SUMMARY).exists() else difference(_free(stored), _free(whole))
        if changed and not holds_results(self.path):
            log.info("%s holds no results yet: its study is replaced (%s)", self.path, changed)
            write_run_toml(self.path, whole)
            return ""
        if changed and not self.force:
            raise ValueError(
                f"{self.path} holds a run with {changed}; use a new --dir, or continue it all the same with --force"
            )
        date = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if changed:
            log.warning("%s is continued by force with %s", self.path, changed)
            self.forced = made_by["forced"] = [*self.forced, {"date": date, "changed": changed}]
        if mended:
            log.info("%s: %s; no stage made with it has begun", self.path, mended)
            made_by["mended"] = [*made_by.get("mended", []), {"date": date, "changed": mended}]
        if noted:
            made_by["continued"] = [*made_by.get("continued", []), {"date": date, "changed": noted}]
        made_by.pop("commit", None)  # one that is not known here is not the one before
        if changed or mended or noted:
            # What only the first call knew stays: the parameters that the study comes down to, say.
            whole["provenance"] = made_by | whole["provenance"]
            write_run_toml(self.path, whole)
        return noted


def holds_results(directory: Path) -> bool:
    """Tell whether a stage of a run has written anything yet."""
    return any(path.is_file() and path.name != "run.toml" and _foreign(path) for path in directory.rglob("*"))


def _foreign(path: Path) -> bool:
    """Tell a file that a run killed at its very start cannot have left."""
    return path.name not in {"lock", "run.log"} and not UNFINISHED.fullmatch(path.name)
