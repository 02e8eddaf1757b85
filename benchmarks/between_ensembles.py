"""Do two ensembles differ? Every figure of the glass, with the volume before the exchange, by Welch's test.

Run ``python benchmarks/between_ensembles.py docs/data/ensemble docs/data/ensemble_slower``; of ensembles that vary
something, ``--combinations 0 1`` takes the first of one and the second of the other. Of 40 figures two differ by chance
at p < 0.05.
"""

import argparse
from pathlib import Path

import numpy as np
from ase.formula import Formula
from scipy.stats import ttest_ind

from amorph.ensemble.status import member_rows, summary_of
from amorph.ensemble.summary import summarize_ensemble

BEFORE = "volume per anion, before the exchange [Å³]"


def figures(folder: Path, combination: int) -> dict[str, tuple[float, ...]]:
    """Give the values of each figure of the glass over the members that count."""
    found = summarize_ensemble(folder)
    point = found.points[combination]
    named = {
        f"{one.figure} [{one.unit}]" if one.unit else one.figure: one.values
        for one in found.statistics
        if one.structure == "glass" and one.point == point
    }
    members = [
        row["member"]
        for row in member_rows(folder)
        if row["member"] not in {*found.apart, *found.missing} and point.items() <= row.items()
    ]
    return {BEFORE: tuple(volume_before(folder / member) for member in members)} | named


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
    given = parser.parse_args()
    first, second = map(figures, given.ensembles, given.combinations)
    print(f"{'figure':<48}{'first':>9}{'second':>9}{'change':>9}{'from 95 %':>10}{'to':>9}{'p':>8}")
    for name in first:
        one, other = first[name], second.get(name, ())
        if min(len(one), len(other)) < 2 or np.ptp([*one, *other]) == 0.0:
            continue
        test = ttest_ind(other, one, equal_var=False)
        low, high = test.confidence_interval(0.95)
        a, b = np.mean(one), np.mean(other)
        print(f"{name:<48}{a:9.4g}{b:9.4g}{b - a:9.3g}{low:10.2g}{high:9.2g}{test.pvalue:8.3f}")


if __name__ == "__main__":
    main()
