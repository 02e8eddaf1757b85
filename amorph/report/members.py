"""The page of an ensemble: what was made, how sure every figure is, and where each member is."""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from amorph.ensemble.plan import KEPT
from amorph.ensemble.plot import ensemble_chart
from amorph.ensemble.status import FINISHED, MemberStatus, member_rows, member_status, summary_of
from amorph.ensemble.summary import OF_A_MEMBER, EnsembleSummary, summarize_ensemble
from amorph.export.charts import number
from amorph.reading import read_toml
from amorph.report.citations import bibtex, keys_of_study
from amorph.report.drawing import Drawing, inlined
from amorph.report.page import write_page
from amorph.report.whole import REPORT
from amorph.run import read_run_toml

_MADE_BY: Final = {"versions": "", "weights_sha256": "weights of ", "engines": "engine of ", "input_sha256": ""}
"""What of the provenance of a run is told, and what its names are of."""


@dataclass(frozen=True)
class Found:
    """One member, and what it left."""

    row: Mapping[str, str]
    """Its row in the table of members."""
    status: MemberStatus
    summary: Mapping[str, Any] | None
    """Its summary; None as long as it is not done."""
    config: Mapping[str, Any]
    """Its study and provenance; empty as long as it is not done."""

    @property
    def point(self) -> dict[str, str]:
        """Values of the varied keys."""
        return {key: value for key, value in self.row.items() if key not in OF_A_MEMBER}


def is_ensemble(directory: Path) -> bool:
    """Tell the directory of an ensemble from that of a run."""
    return (directory / "members.csv").exists()


def write_ensemble_report(directory: Path, path: Path | None = None) -> Path:
    """Write the page of an ensemble; returns its path, by default ``report.html`` in the ensemble's directory.

    Raises
    ------
    ValueError
        The directory holds no ensemble, a member of it cannot be read, or the page cannot be written there.
    """
    path = directory / REPORT if path is None else path
    members = [_found(directory, row) for row in member_rows(directory)]
    summary = summarize_ensemble(directory)
    kept = {name: (directory / name).read_text("utf-8") for name in KEPT if (directory / name).exists()}
    done = [member for member in members if member.summary is not None]
    write_page(
        path,
        "ensemble.html",
        title=_title(directory, kept, done),
        counts=Counter(member.status.state for member in members),
        warnings=_warnings(summary, members),
        notes=_shared_notes(done),
        melts=summary.of_melts,
        points=_points(members),
        members=_rows(directory, path, members),
        tables=[(point, _figures(summary.of(None), point), _figures(summary, point)) for point in summary.points],
        drawings=_drawings(summary),
        provenance=_provenance(done),
        kept=kept,
        again=shlex.quote(f"{directory.name}-again"),
        bibtex=bibtex(
            key
            for member in done
            for key in keys_of_study(member.config, member.config.get("provenance", {}), analysed=True)
        ),
    )
    return path


def _found(directory: Path, row: Mapping[str, str]) -> Found:
    name = row["member"]
    status = member_status(directory, name)
    summary = summary_of(directory / name) if status.state in FINISHED else None
    config = {} if summary is None else read_run_toml(directory / name)
    return Found(row, status, summary, config)


def _title(directory: Path, kept: Mapping[str, str], done: Sequence[Found]) -> str:
    if KEPT[0] in kept:
        return str(read_toml(directory / KEPT[0], "an ensemble's")["ensemble"]["title"])
    return str(done[0].summary["title"]) if done and done[0].summary else directory.name


def _warnings(summary: EnsembleSummary, members: Sequence[Found]) -> list[str]:
    """Say which members count nowhere, and which means have no interval."""
    said = [f"{name} counts nowhere: {reason}" for name, reason in summary.apart.items()]
    said += [
        f"{member.status.name} is not done ({member.status.state})" for member in members if member.summary is None
    ]
    said += [entry.text for entry in summary.incomplete]
    bare = [entry for entry in summary.statistics if entry.interval is None]
    if bare:
        said.append(
            f"{len(bare)} of {len(summary.statistics)} means have no interval: fewer than two independent members count"
        )
    return said


def _shared_notes(done: Iterable[Found]) -> list[str]:
    """Give the notes that every finished member has; those of one stand in its row."""
    notes = [list(map(str, member.summary["notes"])) for member in done if member.summary is not None]
    return [note for note in notes[0] if all(note in others for others in notes)] if notes else []


def _points(members: Iterable[Found]) -> list[dict[str, Any]]:
    """Say for each combination what was made."""
    rows = []
    for point in dict.fromkeys(tuple(member.point.items()) for member in members):
        there = [member for member in members if tuple(member.point.items()) == point]
        states = Counter(member.status.state for member in there)
        verdicts = Counter(str(member.summary["verdict"]) for member in there if member.summary is not None)
        rows.append(
            {
                **dict(point),
                "members": len(there),
                "done": states["done"],
                "check failed": states["check failed"],
                "not done": len(there) - states["done"] - states["check failed"],
                "verdict": ", ".join(f"{verdict} ({number})" for verdict, number in verdicts.items()),
            }
        )
    return rows


def _rows(directory: Path, path: Path, members: Sequence[Found]) -> list[dict[str, Any]]:
    shared = _shared_notes([member for member in members if member.summary is not None])
    rows = []
    for member in members:
        page = directory / member.status.name / REPORT
        own = [note for note in (member.summary or {"notes": ()})["notes"] if note not in shared]
        rows.append(
            {
                "link": quote(os.path.relpath(page, path.parent)) if page.exists() else None,
                "name": member.status.name,
                "varied": member.point,
                "seed": member.row["seed"],
                "state": member.status.state,
                "verdict": "" if member.summary is None else member.summary["verdict"],
                "note": "; ".join(filter(None, [member.status.note, *map(str, own)])),
            }
        )
    return rows


def _figures(summary: EnsembleSummary, point: Mapping[str, str]) -> list[dict[str, Any]]:
    """Set the means of glass and crystal and of their difference or ratio side by side, a row for each figure."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in summary.statistics:
        if entry.point == point:
            told = {"figure": entry.figure, "unit": entry.unit, "share": entry.share}
            row = rows.setdefault(entry.figure, told | {"glass": None, "crystal": None, "difference": None})
            row["difference" if entry.structure == "ratio" else entry.structure] = entry
    return list(rows.values())


def _drawings(summary: EnsembleSummary) -> list[Drawing]:
    """Draw every figure with its members: first those that say most, then the others."""
    if not summary.statistics:
        return []
    first = summary.of(None)
    told = {entry.figure for entry in first.statistics}
    others = replace(summary, statistics=tuple(e for e in summary.statistics if e.figure not in told))
    parts = [("members", "The figures that say most", first), ("members-others", "The other figures", others)]
    text = "Each point is a member, the mark with its bar the mean with its 95 % interval; the tables hold the numbers."
    return [
        inlined(replace(ensemble_chart(part), name=name, title=title, text=text))
        for name, title, part in parts
        if part.statistics
    ]


def _provenance(done: Iterable[Found]) -> dict[str, str]:
    """Give what made the numbers, by name; where members differ, each of it."""
    found: dict[str, dict[str, None]] = {}
    for member in done:
        made_by = member.config.get("provenance", {})
        listed = {"commit": made_by.get("commit")} if "commit" in made_by else {}
        for table, about in _MADE_BY.items():
            listed |= {f"{about}{name}": value for name, value in made_by.get(table, {}).items()}
        for name, value in listed.items():
            found.setdefault(name, {})[number(value)] = None
    return {name: "; ".join(values) for name, values in found.items()}
