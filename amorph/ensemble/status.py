"""Where the members of an ensemble stand, read from their run directories."""

import csv
import fcntl
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from amorph.run import SUMMARY, csv_rows, read_json, refuse_links

State = Literal["waiting", "running", "interrupted", "done", "check failed"]

FINISHED: tuple[State, ...] = ("done", "check failed")
"""States that are not run again."""

_SEAL = "sha256"
_COLUMNS = ("member", "seed", "melt", "snapshot", _SEAL)


@dataclass(frozen=True)
class MemberStatus:
    """Where one member stands."""

    name: str
    """Its folder."""
    state: State
    """Waiting: not begun. Interrupted: begun, not finished, and no process works on it."""
    stage: str
    """Folder of the stage at hand; empty where none was begun or all are done."""
    step: int | None
    """Last sampled step of the stage, where it has steps."""
    note: str
    """Who runs it, why it stopped, or which check failed; of a shared melt, what snapshots it holds."""

    def row(self) -> dict[str, Any]:
        """Give the row of a table."""
        return {"member": self.name, "state": self.state, "stage": self.stage, "step": self.step, "note": self.note}


def member_rows(directory: Path) -> list[dict[str, str]]:
    """Read the table of members of an ensemble's directory.

    Raises
    ------
    ValueError
        The directory holds no ensemble.
    """
    refuse_links(directory)
    try:
        with (directory / "members.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        raise ValueError(f"{directory} holds no members.csv; give the --dir of amorph ensemble run") from None
    except (UnicodeDecodeError, csv.Error):  # said below
        rows = []
    # The columns of varied keys have a dot. A table of before has no checksum.
    columns = [key for row in rows[:1] for key in row if key in _COLUMNS or "." in str(key)]
    whole = bool(rows) and all(list(row) == columns and row["member"] for row in rows)
    bare = [{key: value for key, value in row.items() if key != _SEAL} for row in rows]
    if not whole or (_SEAL in columns and rows != sealed(bare)):
        raise ValueError(f"{directory / 'members.csv'} is damaged; amorph ensemble run writes it anew")
    return bare


def sealed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the checksum of the whole table to each row of it."""
    digest = hashlib.sha256(csv_rows(rows, header=True).encode()).hexdigest()[:16] if rows else ""
    return [{**row, _SEAL: digest} for row in rows]


def member_names(directory: Path) -> list[str]:
    """List the members of an ensemble's directory."""
    return [row["member"] for row in member_rows(directory)]


def melt_names(directory: Path) -> list[str]:
    """List the melts that members of an ensemble's directory share."""
    return list(dict.fromkeys(row["melt"] for row in member_rows(directory) if row.get("melt")))


def member_state(directory: Path, name: str) -> State:
    """Say in a word where a member stands; quick, also where the directory is large."""
    return _state(directory / name)[0]


def member_status(directory: Path, name: str) -> MemberStatus:
    """Say where a member stands."""
    run = directory / name
    refuse_links(run)
    state, note = _state(run)
    if state not in ("running", "interrupted"):
        return MemberStatus(name, state, "", None, note)
    stage, step = _stage_at_hand(run)
    return MemberStatus(name, state, stage, step, note or _last_line(directory / "logs" / f"{name}.log"))


def _state(run: Path) -> tuple[State, str]:
    """Say in a word where a run stands, with a note: who runs it, which check failed."""
    if (owner := _owner(run)) is not None:
        return "running", owner
    if (summary := summary_of(run)) is not None:
        failed = list(map(str, summary["failed"]))
        said = failed or (list(map(str, summary["notes"])) if summary.get("snapshots") else [])
        return "check failed" if failed else "done", "; ".join(said)
    if (run / SUMMARY).exists():
        return "interrupted", "its summary.json is damaged, or of an earlier version of amorph; run the ensemble again"
    return "interrupted" if (run / "run.toml").exists() else "waiting", ""


def summary_of(run: Path) -> Mapping[str, Any] | None:
    """Read the summary that a finished run leaves; None where there is none yet, or one that is damaged."""
    try:
        content = read_json(run / SUMMARY)
    except (OSError, ValueError, RecursionError):
        return None
    whole = all(isinstance(content.get(key), list) for key in ("failed", "comparison"))
    return content if whole else None


def _owner(run: Path) -> str | None:
    """Name the process that works in a run directory; None where none does."""
    for place in (run / "lock", run):  # the folder is locked too, where its file system can do that
        with suppress(OSError):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                name = ""
                with suppress(OSError, UnicodeDecodeError):
                    name = (run / "lock").read_text(encoding="utf-8").strip()
                return name or "another process"
            finally:
                os.close(descriptor)
    return None


def _stage_at_hand(run: Path) -> tuple[str, int | None]:
    folders = [path for path in run.glob("**/[0-9]*_*") if path.is_dir() and not (path / "stage.json").exists()]
    if not folders:
        return "", None
    folder = max(folders, key=lambda path: path.stat().st_mtime)
    for table in ("thermo.csv", "relaxation.csv"):
        step = _last_line(folder / table).partition(",")[0]
        if step.isdigit():
            return str(folder.relative_to(run)), int(step)
    return str(folder.relative_to(run)), None


def _last_line(path: Path) -> str:
    """Read the last whole line of a file, however long the file is."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
