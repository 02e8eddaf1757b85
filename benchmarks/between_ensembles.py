"""Do two ensembles differ? Every figure of the glass, with the volume before the exchange, by Welch's test.

With ``--paired`` by the t test of the differences of members of one name, whose seeds are the same. A member that
failed a check counts with ``--include-failed``.

Run ``python benchmarks/between_ensembles.py docs/data/ensemble docs/data/ensemble_slower``; of ensembles that vary
something, ``--combinations 0 1`` takes the first of one and the second of the other. Of 40 figures two differ by chance
at p < 0.05.
"""

import argparse
from pathlib import Path

import numpy as np
from ase.formula import Formula
from scipy.stats import ttest_ind, ttest_rel

from amorph.ensemble.status import member_rows, summary_of
from amorph.ensemble.summary import summarize_ensemble

BEFORE = "volume per anion, before the exchange [Å³]"


def figures(folder: Path, combination: int, *, failed: bool) -> dict[str, dict[str, float]]:
    """Give the values of each figure of the glass that all members that count have, by their names."""
    found = summarize_ensemble(folder, include_failed=failed)
    point = found.points[combination]
    named = {
        f"{one.figure} [{one.unit}]" if one.unit else one.figure: one.values
        for one in found.statistics
        if one.structure == "glass" and one.point == point
    }
    members = [
        row["member"]
        for row in member_rows(folder)
        if row["member"] not in {*(() if failed else found.apart), *found.missing} and point.items() <= row.items()
    ]
    named = {BEFORE: tuple(volume_before(folder / member) for member in members)} | named
    whole = {name: values for name, values in named.items() if len(values) == len(members)}
    return {name: dict(zip(members, values, strict=True)) for name, values in whole.items()}


def volume_before(member: Path) -> float:
    """Give the volume of the relaxed glass per anion, O, of a member [Å³]."""
    host = (summary_of(member) or {})["host"]
    anions: int = Formula(host["build"]["formula"]).count()["O"]
    return float(host["relax"]["cell_volume"]) / anions


def main() -> None:
    """Print a line for each figure that both have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ensembles", nargs=2, type=Path, metavar="FOLDER")
    parser.add_argument("--combinations", nargs=2, type=int, default=(0, 0), metavar="N")
    parser.add_argument("--paired", action="store_true")
    parser.add_argument("--include-failed", action="store_true")
    given = parser.parse_args()
    first, second = (
        figures(folder, number, failed=given.include_failed)
        for folder, number in zip(given.ensembles, given.combinations, strict=True)
    )
    print(f"{'figure':<48}{'first':>9}{'second':>9}{'change':>9}{'from 95 %':>10}{'to':>9}{'p':>8}")
    for name in first:
        one, other = first[name], second.get(name, {})
        if given.paired:
            common = one.keys() & other.keys()
            one, other = ({member: values[member] for member in sorted(common)} for values in (one, other))
        x, y = np.array([*one.values()]), np.array([*other.values()])
        if min(len(x), len(y)) < 2 or np.ptp([*x, *y]) == 0.0:
            continue
        test = ttest_rel(y, x) if given.paired else ttest_ind(y, x, equal_var=False)
        low, high = test.confidence_interval(0.95)
        a, b = x.mean(), y.mean()
        print(f"{name:<48}{a:9.4g}{b:9.4g}{b - a:9.3g}{low:10.2g}{high:9.2g}{test.pvalue:8.3f}")


if __name__ == "__main__":
    main()
