"""Every figure of the chain over the members of an ensemble: mean, spread, and how sure the mean is."""

import difflib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.decorrelation import effective_number
from amorph.ensemble.shared_melt import snapshots_of
from amorph.ensemble.status import FINISHED, melt_names, member_rows, member_status, summary_of
from amorph.pipeline.summary import BEFORE, FLAGS

Point = tuple[tuple[str, str], ...]
"""Varied keys and their values."""
Structure = Literal["glass", "crystal", "difference", "ratio"]
_STRUCTURES: Final[tuple[Structure, ...]] = ("glass", "crystal", "difference", "ratio")
SIDES: Final[tuple[Structure, ...]] = _STRUCTURES[:2]
"""Those that have figures of their own; the others compare them."""
OF_A_MEMBER: Final = {"member", "seed", "melt", "snapshot"}
"""Columns of the table of members that tell members apart, not combinations."""

CONFIDENCE = 0.95
"""Probability that the interval holds the mean of infinitely many members, if the figure is normally distributed."""

TELLING: Final = (
    "density",
    "volume per anion",
    "f_V, reference",
    "window share of the cell, ion removed",
    "room v ≤",
    "v below which room percolates, 3D",
    "migration barrier (BVSE), 3D",
    "largest free sphere",
    "mean pore radius",
)
"""How the figures begin that a picture of an ensemble shows unasked."""

MOST_FIGURES: Final = 9
"""Panels of such a picture at most."""

_ROUNDING: Final = 1e-9
"""What rounding takes a share beyond its limits at most."""

LEAST = 1.5
"""Independent members below which no standard error is given: it would rest on less than half a degree of freedom."""


@dataclass(frozen=True)
class Statistics:
    """One figure over the members of one combination of varied values."""

    point: Mapping[str, str]
    """The varied keys and their values, as text."""
    figure: str
    """Name of the figure."""
    unit: str
    """Its unit."""
    structure: Structure
    """The exchanged glass, the crystal control, or the paired comparison, of the same member: glass less crystal, and
    of a figure over decades glass over crystal."""
    values: tuple[float, ...]
    """Value of each member that counts, in `unit`."""
    effective: float | None = None
    """Effective number of independent members, where they quenched snapshots of one melt; else all are independent."""
    apart: int = 0
    """Members of the combination that are done and do not count."""
    failed: tuple[bool, ...] = ()
    """Of each value, whether a check of its member failed; empty where no such member counts."""
    share: bool = False
    """Whether the figure is a share."""
    decades: bool = False
    """Whether the figure spans decades."""

    @property
    def independent(self) -> float:
        """Number of independent values that the mean is worth."""
        return len(self.values) if self.effective is None else self.effective

    @property
    def geometric(self) -> bool:
        """Whether logarithms are averaged: of a figure that spans decades, where every value is above 0."""
        return self.decades and min(self.values) > 0.0

    @property
    def mean(self) -> float:
        """Mean over the members; geometric where their logarithms are averaged."""
        return self._back(float(np.mean(self._averaged)))

    @property
    def standard_deviation(self) -> float | None:
        """Standard deviation of what is averaged, with the divisor n − 1; None for one member."""
        return float(np.std(self._averaged, ddof=1)) if len(self.values) > 1 else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of what is averaged, s/√n with the number of independent members; None for one."""
        sd = self.standard_deviation
        return None if sd is None or self.independent < LEAST else sd / math.sqrt(self.independent)

    @property
    def limits(self) -> tuple[float, float] | None:
        """What the mean cannot pass: 0 and 1 for a share, −1 and 1 for the difference of two; None for others."""
        if not self.share:
            return None
        low, high = (-1.0, 1.0) if self.structure == "difference" else (0.0, 1.0)
        inside = all(low - _ROUNDING <= value <= high + _ROUNDING for value in self.values)
        return (low, high) if inside else None  # an f_V below 0 says that its reference volume does not fit

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean by Student's t with n − 1 degrees of freedom for n independent members.

        What of it lies beyond the limits of a share is cut off: no mean is there. That of a geometric mean is Student's
        of the logarithms.
        """
        from scipy.special import stdtrit

        if self.standard_error is None:
            return None
        half = float(stdtrit(self.independent - 1, (1 + CONFIDENCE) / 2)) * self.standard_error
        low, high = self.limits or (-math.inf, math.inf)
        center = float(np.mean(self._averaged))
        return max(self._back(center - half), low), min(self._back(center + half), high)

    @property
    def differs(self) -> bool:
        """Whether this is a difference whose interval does not hold 0, or a ratio whose interval does not hold 1."""
        alike = {"difference": 0.0, "ratio": 1.0}.get(self.structure)
        return alike is not None and self.interval is not None and not self.interval[0] <= alike <= self.interval[1]

    @property
    def _averaged(self) -> NDArray[np.float64]:
        """What is averaged: the values, or their logarithms."""
        return np.log(self.values) if self.geometric else np.asarray(self.values)

    def _back(self, averaged: float) -> float:
        """Turn a mean of what is averaged into a value of the figure; one too large for a number is infinite."""
        with np.errstate(over="ignore"):
            return float(np.exp(averaged)) if self.geometric else averaged

    def row(self) -> dict[str, Any]:
        """Give the row of a table."""
        low, high = self.interval or (None, None)
        spread = self.standard_deviation
        cut = "t" if self.limits is None else f"t, cut at {self.limits[0]:g} and {self.limits[1]:g}"
        return {
            **self.point,
            "figure": self.figure,
            "unit": self.unit,
            "structure": self.structure,
            "n": len(self.values),
            "independent": self.independent,
            "apart": self.apart,
            "failed": sum(self.failed),
            "mean": self.mean,
            "sd": None if self.geometric else self.standard_deviation,
            "sd factor": self._back(spread) if self.geometric and spread is not None else None,
            "standard error": None if self.geometric else self.standard_error,
            "low 95 %": low,
            "high 95 %": high,
            "interval by": "t of ln" if self.geometric else cut,
        }

    def short_row(self) -> dict[str, Any]:
        """Give the row of a combination's table that a terminal has room for."""
        low, high = self.interval or (None, None)
        return {
            "figure": f"{self.figure} [{self.unit}]" if self.unit else self.figure,
            "of": {"difference": "Δ", "ratio": "glass/crystal"}.get(self.structure, self.structure),
            "n": len(self.values),
            "mean": self.mean,
            "95 % from": low,
            "to": high,
        }


@dataclass(frozen=True)
class Incomplete:
    """A figure that only some of the members of one combination have.

    It has no mean: a member without it often has an ion too slow to be seen, or no path, and a mean over the others
    would be that of the fast.
    """

    point: Mapping[str, str]
    """The varied keys and their values, as text."""
    figure: str
    """Name of the figure."""
    unit: str
    """Its unit."""
    structure: Structure
    """Of what it is."""
    values: tuple[float, ...]
    """Value of each member that has it, in `unit`."""
    of: int
    """Members of the combination that count."""

    def row(self) -> dict[str, Any]:
        """Give the row of a table."""
        return {
            **self.point,
            "figure": self.figure,
            "unit": self.unit,
            "structure": self.structure,
            "n": len(self.values),
            "of": self.of,
            "least": min(self.values),
            "most": max(self.values),
        }

    @property
    def text(self) -> str:
        """Say it in a line."""
        place = "".join(f"{key} {value}, " for key, value in self.point.items())
        values = f"{min(self.values):.4g} to {max(self.values):.4g} {self.unit}".rstrip()
        return f"{place}{self.structure}: no mean of {self.figure}, {len(self.values)} of {self.of} have it: {values}"


@dataclass(frozen=True)
class EnsembleSummary:
    """What an ensemble found."""

    statistics: tuple[Statistics, ...]
    """Each figure of each combination, over the members that are done with every check passed."""
    apart: Mapping[str, str]
    """Members that are done and failed a check, and which; they count only where that was asked for."""
    missing: tuple[str, ...]
    """Members that are not done."""
    melts: Mapping[str, Mapping[str, Any]]
    """Melts that members share, and what is known of their snapshots."""
    incomplete: tuple[Incomplete, ...] = ()
    """Figures that only some of the members that count have."""

    @property
    def points(self) -> list[Mapping[str, str]]:
        """The combinations of varied values that have figures."""
        return [dict(point) for point in dict.fromkeys(tuple(entry.point.items()) for entry in self.statistics)]

    @property
    def of_melts(self) -> list[str]:
        """A sentence for each shared melt."""
        return [
            f"{name}: {found['number']} snapshots {found['spacing_ps']:.3g} ps apart, worth "
            f"{found['effective_frames']:.1f} independent ones; the errors of the glass count that"
            for name, found in self.melts.items()
        ]

    def table(self) -> list[dict[str, Any]]:
        """One row per combination, figure and structure."""
        return [entry.row() for entry in self.statistics]

    def of(self, names: Sequence[str] | None) -> "EnsembleSummary":
        """Keep the figures whose name begins with one of these; by default those that say most, nine at most.

        Raises
        ------
        ValueError
            No figure has such a name.
        """
        known = list(dict.fromkeys(entry.figure for kind in (self.statistics, self.incomplete) for entry in kind))
        if names is None:
            telling = [name for name in known if not name.endswith(BEFORE)]
            first = [name for start in TELLING for name in telling if name.startswith(start)]
            chosen = [*dict.fromkeys([*first, *known])][:MOST_FIGURES]
        else:
            found = {given: [name for name in known if name.lower().startswith(given.lower())] for given in names}
            if strangers := [given for given, matches in found.items() if not matches]:
                near = difflib.get_close_matches(strangers[0], known, n=1, cutoff=0.3)
                remedy = f"did you mean '{near[0]}'?" if near else "the summary without names lists them"
                raise ValueError(f"no figure's name begins with '{strangers[0]}'; {remedy}")
            chosen = [name for matches in found.values() for name in matches]
        kept = sorted(
            (entry for entry in self.statistics if entry.figure in chosen), key=lambda entry: chosen.index(entry.figure)
        )
        incomplete = tuple(entry for entry in self.incomplete if names is None or entry.figure in chosen)
        return replace(self, statistics=tuple(kept), incomplete=incomplete)


def summarize_ensemble(directory: Path, *, include_failed: bool = False) -> EnsembleSummary:
    """Average every figure over the members that are done and passed their checks.

    With `include_failed` those count too that failed a check, and each value says so.

    Raises
    ------
    ValueError
        The directory holds no ensemble.
    """
    apart: dict[str, str] = {}
    missing = []
    apart_at: Counter[Point] = Counter()
    counted: Counter[tuple[Point, Structure]] = Counter()
    flags: dict[str, dict[str, bool]] = {}
    rows: list[tuple[Point, dict[str, str], bool, Mapping[str, Any]]] = []
    for member in member_rows(directory):
        name = member["member"]
        point = tuple((key, value) for key, value in member.items() if key not in OF_A_MEMBER)
        status = member_status(directory, name)
        summary = summary_of(directory / name)
        if status.state not in FINISHED or summary is None:
            missing.append(name)
            continue
        failed = status.state == "check failed"
        if failed:
            apart[name] = status.note
        if failed and not include_failed:
            apart_at[point] += 1
            continue
        controlled = any("crystal" in row for row in summary["comparison"])
        counted.update((point, structure) for structure in (_STRUCTURES if controlled else _STRUCTURES[:1]))
        for row in summary["comparison"]:
            flags.setdefault(row["figure"], {}).update({flag: True for flag in FLAGS if row.get(flag)})
            rows.append((point, member, failed, row))
    collected: dict[tuple[Point, str, str, Structure], list[tuple[float, dict[str, str], bool]]] = {}
    for (
        point,
        member,
        failed,
        row,
    ) in rows:  # once all have said what their figures are: those of an earlier version do not
        for structure, value in _values(row, decades="decades" in flags[row["figure"]]).items():
            key = (point, row["figure"], "" if structure == "ratio" else row["unit"], structure)
            collected.setdefault(key, []).append((value, member, failed))
    melts = {name: found for name in melt_names(directory) if (found := snapshots_of(directory / name)) is not None}
    lost = {
        row["melt"] for row in member_rows(directory) if row.get("melt") and row["member"] not in {*missing, *apart}
    }
    if unknown := sorted(lost - melts.keys()):
        raise ValueError(
            f"{directory / unknown[0]} holds no snapshots any more, whose correlation the errors count; "
            "put the folder back, or run the ensemble again to melt anew"
        )
    statistics = [
        Statistics(
            dict(point),
            figure,
            unit,
            structure,
            tuple(value for value, *_ in found),
            # The crystal never melted: what its members share is the cell, and they differ by the exchange alone.
            None if structure == "crystal" else _independent([member for _, member, _ in found], melts),
            apart_at[point],
            tuple(failed for *_, failed in found) if include_failed else (),
            **flags[figure],
        )
        for (point, figure, unit, structure), found in collected.items()
        if len(found) == counted[point, structure]
    ]
    incomplete = [
        Incomplete(dict(point), figure, unit, structure, tuple(value for value, *_ in found), counted[point, structure])
        for (point, figure, unit, structure), found in collected.items()
        if len(found) < counted[point, structure] and structure in SIDES
    ]
    return EnsembleSummary(tuple(statistics), apart, tuple(missing), melts, tuple(incomplete))


def _values(row: Mapping[str, Any], *, decades: bool) -> dict[Structure, float]:
    """Give the numbers of a row of a member's summary, and their difference where there are both.

    Of a figure that spans decades it is their ratio: the difference would be that of the larger.
    """
    values = {side: row.get(side) for side in SIDES}
    found = {
        side: float(value)
        for side, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if len(found) < 2:
        return found
    if decades:
        return found | ({"ratio": found["glass"] / found["crystal"]} if min(found.values()) > 0.0 else {})
    return found | {"difference": found["glass"] - found["crystal"]}


def _independent(members: Sequence[Mapping[str, str]], melts: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Effective number of members of one combination, which share one melt; None where they share none."""
    if not members[0].get("melt"):
        return None
    correlation = np.array(melts[members[0]["melt"]]["correlation"])
    return effective_number([int(member["snapshot"]) for member in members], correlation)
