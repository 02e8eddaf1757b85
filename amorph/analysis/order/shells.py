"""Coordination numbers and bond lengths."""

import logging
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.grids import Task
from amorph.analysis.order.bonds import BIN, SEARCH, Cutoffs, bonds_of, resolve_cutoffs
from amorph.analysis.order.distributions import distributions
from amorph.analysis.order.samples import Measured, Samples, Structures, samples_of
from amorph.figures import Result, Row
from amorph.parameters import checked

log = logging.getLogger(__name__)

_MOST: Final = 64
"""Largest coordination number of a histogram; what is beyond counts there."""


@dataclass(frozen=True)
class Shell(Result):
    """The atoms b around an atom a, up to a cutoff; means over independent structures."""

    mean: float
    """Mean number of b around an a."""
    standard_error: float | None
    """Standard error of the mean over the structures; None for one."""
    cutoff_A: float
    """The cutoff [Å]: part of the figure."""
    histogram: dict[int, float]
    """Share of the a that have each number of b."""
    bond_length_A: float | None
    """Mean length of the bonds [Å]; None where there is none."""
    bond_length_standard_error_A: float | None
    """Its standard error over the structures [Å]."""
    bond_length_sd_A: float | None
    """Standard deviation over the bonds [Å]: their spread, not an error."""


@dataclass(frozen=True, kw_only=True)
class Coordination(Measured):
    """Coordination numbers and bond lengths."""

    coordination: dict[str, Shell]
    """Of each pair that bonds, from both its ends: "Ti-O" is O around Ti."""

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each pair."""
        return [
            {
                "pair": pair,
                "coordination": shell.mean,
                "standard_error": shell.standard_error,
                "cutoff_A": shell.cutoff_A,
                "bond_length_A": shell.bond_length_A,
                "bond_length_sd_A": shell.bond_length_sd_A,
                "histogram": " ".join(f"{n}: {100 * share:.0f} %" for n, share in shell.histogram.items()),
            }
            for pair, shell in self.coordination.items()
        ]

    def rows(self) -> list[Row]:
        """Give coordination, its cutoff and the bond length of each pair from its first end: O around Ti."""
        pairs = list(self.coordination)
        firsts = [pair for n, pair in enumerate(pairs) if "-".join(reversed(pair.split("-"))) not in pairs[:n]]
        shells = [(pair, self.coordination[pair]) for pair in firsts]
        return [
            *(Row(f"{pair} coordination", shell.mean) for pair, shell in shells),
            *(Row(f"{pair} cutoff", shell.cutoff_A, "Å") for pair, shell in shells),
            *(Row(f"{pair} bond length", shell.bond_length_A, "Å") for pair, shell in shells),
        ]


def _shortest(samples: Samples, a: str, b: str) -> str:
    """Say how near two elements come."""
    made = distributions(samples, SEARCH, BIN)
    met = np.flatnonzero(made.g_r[f"{a}-{b}"])
    return f": the shortest distance is {made.r[met[0]]:.2f} Å; raise it, or leave it out" if met.size else ""


@checked
def coordination(
    structures: Structures, *, cutoffs: Cutoffs | None = None, progress: Task | None = None
) -> Coordination:
    """Count the neighbors of each atom by pairs of elements, and measure their bonds.

    Parameters
    ----------

    Raises
    ------
    ValueError
        A structure that makes no sense, an element that is not there, or a g(r) without a minimum.

    Examples
    --------
    >>> from ase.build import bulk
    >>> made = coordination(bulk("MgO", "rocksalt", a=4.212), cutoffs={"Mg-O": 2.6})
    >>> made.coordination["Mg-O"].histogram, round(made.coordination["O-Mg"].bond_length_A, 3)
    ({6: 1.0}, 2.106)
    """
    samples = samples_of(structures)
    limits = resolve_cutoffs(samples, cutoffs)
    ends = [
        (a, b, cutoff)
        for name, cutoff in limits.items()
        for a, b in dict.fromkeys([tuple(name.split("-")), tuple(name.split("-"))[::-1]])
    ]

    def measure(atoms: Atoms) -> NDArray[np.float64]:
        bonds = bonds_of(samples, atoms, limits)
        values = []
        for first, second, _ in ends:
            a, b = samples.species.index(first), samples.species.index(second)
            mine = bonds.select((bonds.kinds[bonds.i] == a) & (bonds.kinds[bonds.j] == b))
            numbers = mine.numbers[bonds.kinds == a]
            shares = np.bincount(np.minimum(numbers, _MOST), minlength=_MOST + 1) / len(numbers)
            length = mine.d.mean() if mine.d.size else np.nan
            square = (mine.d**2).mean() if mine.d.size else np.nan
            values.append([numbers.mean(), length, square, *shares])
        return np.array(values)

    made = samples.average(measure, "coordination", progress)
    for k, (a, b, cutoff) in enumerate(ends):
        if made.mean[k, 0] == 0.0 and f"{a}-{b}" in limits:
            log.warning("no %s-%s is within its cutoff of %g Å%s", a, b, cutoff, _shortest(samples, a, b))
    shells = {}
    for k, (a, b, cutoff) in enumerate(ends):
        length = made.at(k, 1)
        shells[f"{a}-{b}"] = Shell(
            float(made.mean[k, 0]),
            made.at(k, 0).standard_error,
            cutoff,
            {n: share for n, share in enumerate(made.mean[k, 3:].tolist()) if share > 0.0},
            length.mean,
            length.standard_error,
            None if length.mean is None else math.sqrt(max(made.mean[k, 2] - length.mean**2, 0.0)),
        )
    return Coordination(coordination=shells, **samples.measured())
