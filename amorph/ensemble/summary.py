"""Every figure of the chain over the members of an ensemble: mean, spread, and how sure the mean is."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amorph.ensemble.status import FINISHED, member_status, summary_of
from amorph.summary import figure_rows

CONFIDENCE = 0.95
"""Probability that the interval holds the mean of infinitely many members, if the figure is normally distributed."""


@dataclass(frozen=True)
class Statistics:
    """One figure over the members of one combination of varied values."""

    point: Mapping[str, str]
    """The varied keys and their values, as text."""
    figure: str
    """Name of the figure."""
    unit: str
    """Its unit."""
    structure: Literal["glass", "crystal"]
    """The exchanged glass, or the crystal control."""
    values: tuple[float, ...]
    """Value of each member that counts, in `unit`."""

    @property
    def mean(self) -> float:
        """Mean over the members."""
        return float(np.mean(self.values))

    @property
    def standard_deviation(self) -> float | None:
        """Standard deviation with the divisor n − 1; None for one member."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, s/√n; None for one member."""
        sd = self.standard_deviation
        return None if sd is None else sd / math.sqrt(len(self.values))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean by Student's t with n − 1 degrees of freedom; None for one member."""
        from scipy.special import stdtrit

        if self.standard_error is None:
            return None
        half = float(stdtrit(len(self.values) - 1, (1 + CONFIDENCE) / 2)) * self.standard_error
        return self.mean - half, self.mean + half

    def row(self) -> dict[str, Any]:
        """Give the row of a table."""
        low, high = self.interval or (None, None)
        return {
            **self.point,
            "figure": self.figure,
            "unit": self.unit,
            "structure": self.structure,
            "n": len(self.values),
            "mean": self.mean,
            "sd": self.standard_deviation,
            "standard error": self.standard_error,
            "low 95 %": low,
            "high 95 %": high,
        }


@dataclass(frozen=True)
class EnsembleSummary:
    """What an ensemble found."""

    statistics: tuple[Statistics, ...]
    """Each figure of each combination, over the members that are done with every check passed."""
    apart: Mapping[str, str]
    """Members that are done and not counted, and the check that failed: no glass, not converged."""
    missing: tuple[str, ...]
    """Members that are not done."""

    def table(self) -> list[dict[str, Any]]:
        """One row per combination, figure and structure."""
        return [entry.row() for entry in self.statistics]


def summarize_ensemble(directory: Path) -> EnsembleSummary:
    """Average every figure over the members that are done and passed their checks.

    Raises
    ------
    ValueError
        The directory holds no ensemble.
    """
    apart: dict[str, str] = {}
    missing = []
    collected: dict[tuple[tuple[tuple[str, str], ...], str, str, str], list[float]] = {}
    for name, point in _members(directory):
        status = member_status(directory, name)
        summary = summary_of(directory / name)
        if status.state not in FINISHED or summary is None:
            missing.append(name)
        elif status.state == "check failed":
            apart[name] = status.note
        else:
            for row in figure_rows(summary["exchanged"], summary["crystal"]):
                for structure in ("glass", "crystal"):
                    value = row.get(structure)
                    if isinstance(value, int | float) and not isinstance(value, bool):
                        key = (tuple(point.items()), row["figure"], row["unit"], structure)
                        collected.setdefault(key, []).append(float(value))
    return EnsembleSummary(
        tuple(
            Statistics(dict(point), figure, unit, "glass" if structure == "glass" else "crystal", tuple(values))
            for (point, figure, unit, structure), values in collected.items()
        ),
        apart,
        tuple(missing),
    )


def _members(directory: Path) -> Sequence[tuple[str, dict[str, str]]]:
    """List the members with the values that vary."""
    try:
        with (directory / "members.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [(row["member"], {k: v for k, v in row.items() if k not in {"member", "seed"}}) for row in rows]
    except (OSError, KeyError, UnicodeDecodeError):
        raise ValueError(f"{directory} holds no members.csv; give the --dir of amorph ensemble run") from None
