"""How often the verdict errs: on a library of labelled cells, and on shaken crystals of twelve structure types.

Run ``python benchmarks/verdict.py LIBRARY``: a folder with labels.json, a list of ``{"file", "label",
"crystal_fraction"}``, and the structures that it names; without LIBRARY, on the crystals alone. The limits of the
verdict were chosen on the cells of the library whose names hold the seed s1, and tested on the others; no crystal chose
any.
"""

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.spacegroup import crystal
from scipy.stats import binomtest

from amorph.analysis.crystallinity import Crystallinity, crystallinity
from amorph.structure import MINIMUM_DISTANCE, pair_list

STRUCTURES = Path(__file__).parent.parent / "structures"
CALLED = ("amorphous", "amorphous with embryo", "cannot exclude a crystal", "partly crystalline", "crystalline")
HEAD = ("amorphous", "embryo", "cannot exclude", "partly", "crystalline")
DISPLACEMENTS = (0.05, 0.10, 0.15, 0.20, 0.25)
"""Standard deviations of each coordinate [Å]."""
SIZES = (100, 200, 500)
"""Atoms of a shaken crystal, about."""
GOALS: dict[str, Callable[[float, Crystallinity], bool]] = {
    "glass of 50 anions or more, called crystal": lambda share, one: not share and (one.n_judged or 0) >= 50,
    "crystal of 10 to 50 %, missed": lambda share, one: 0.1 <= share < 0.5,
    "crystal of 20 to 50 %, missed": lambda share, one: 0.2 <= share < 0.5,
    "crystal of 10 % or more, missed": lambda share, one: share >= 0.1,
    "crystal of 20 % or more, missed": lambda share, one: share >= 0.2,
    "crystal, half or more, missed": lambda share, one: share >= 0.5,
    "crystal of visible size to 50 %, missed": lambda share, one: (one.smallest_visible_crystal or 1) <= share < 0.5,
}
"""Which cells, by the share that is crystal and the verdict, an error rate is of."""

Judged = tuple[Mapping[str, object], Crystallinity]
"""A cell's entry in the library, and the verdict on it."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", nargs="?", type=Path, help="folder of labels.json and the cells that it labels")
    parser.add_argument("--quick", action="store_true", help="crystals of the smallest size only: to see that it runs")
    parser.add_argument("--time", action="store_true", help="print the seconds that large cells take, and nothing else")
    given = parser.parse_args()
    if given.time:
        timed()
        return
    if given.library is not None:
        labelled(given.library)
    shaken(SIZES[:1] if given.quick else SIZES, draws=range(1 if given.quick else 3))


def timed() -> None:
    """Print the seconds of processor time that a shaken crystal takes, the second time that it is judged."""
    rng = np.random.default_rng(0)
    for repeats in (10, 23):
        atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(repeats)
        atoms.positions += rng.normal(scale=0.25, size=atoms.positions.shape)
        crystallinity(atoms)
        started = time.process_time()
        crystallinity(atoms)
        print(f"{len(atoms)} atoms: {time.process_time() - started:.2g} s of one processor")


def labelled(library: Path) -> None:
    """Judge the cells of the library, those that chose the limits apart from those that test them."""
    entries = json.loads((library / "labels.json").read_text(encoding="utf-8"))
    judged = [(entry, crystallinity(read(library / entry["file"]))) for entry in entries]
    tests = [(entry, one) for entry, one in judged if "_s1" not in entry["file"]]
    chose = [(entry, one) for entry, one in judged if "_s1" in entry["file"]]
    for title, part in (("chose the limits (seed s1)", chose), ("tests them (other seeds)", tests)):
        rows: dict[tuple[str, str], Counter[str]] = {}
        for entry, one in part:
            for name in kinds(entry):
                rows.setdefault((name, size_of(one)), Counter())[one.verdict] += 1
        show(f"library, the part that {title}", rows)
        errors(part)
    rates(judged, tests)


def fraction_of(entry: Mapping[str, object]) -> float:
    """Give the fraction that is crystal: of a glass 0, of a cell that recrystallised unmeasured 1."""
    if entry["label"] == "amorphous":
        return 0.0
    fraction = entry["crystal_fraction"]
    return fraction if isinstance(fraction, float) else 1.0


def kinds(entry: Mapping[str, object]) -> list[str]:
    """Name the classes that a cell belongs to."""
    fraction = fraction_of(entry)
    if not fraction:
        return ["glass"]
    if fraction >= 0.5:
        return ["crystal, half or more"]
    return ["crystal of 10 to 50 %", *(["  of these 20 % or more"] if fraction >= 0.2 else [])]


def size_of(one: Crystallinity) -> str:
    """Name the size of what was judged: of a cell that repeats, less than the whole."""
    atoms = one.n_judged or 0
    return "below 50 anions" if atoms < 50 else "50 to 149 anions" if atoms < 150 else "from 150 anions"


def rates(judged: Sequence[Judged], tests: Sequence[Judged]) -> None:
    """Print how often glasses are called crystal and crystals are missed, where an embryo counts as one and where not.

    An embryo passes: the run says so and ends with status 0. Intervals are Clopper–Pearson's of 95 %.
    """
    print("wrong verdicts\n\n| | part | where an embryo counts as a crystal | where it passes |\n|---|---|---|---|")
    for (name, belongs), (title, part) in itertools.product(GOALS.items(), (("all", judged), ("test", tests))):
        verdicts = [one.verdict for entry, one in part if belongs(fraction_of(entry), one)]
        wrong = []
        for alarms in (("amorphous with embryo", *CALLED[3:]), CALLED[3:]):
            seen = sum(verdict in alarms for verdict in verdicts)
            wrong.append(interval(seen if name.startswith("glass") else len(verdicts) - seen, len(verdicts)))
        print(f"| {name} | {title} | {' | '.join(wrong)} |")
    print()


def interval(count: int, of: int) -> str:
    """Say a share of cells, and between what it lies with 95 %."""
    if not of:
        return "–"
    low, high = binomtest(count, of).proportion_ci(0.95, method="exact")
    return f"{count} of {of}: {100 * count / of:.0f} % ({100 * low:.0f} % to {100 * high:.0f} %)"


def errors(part: Iterable[Judged]) -> None:
    """Print how far crystal fractions are from the measured, where a crystal was grown on purpose."""
    pulls, differences = [], []
    for entry, one in part:
        known = entry["crystal_fraction"]
        if isinstance(known, float) and known > 0.05 and one.n_judged and one.n_judged >= 50:
            differences.append((one.crystal_fraction or 0.0) - known)
            pulls.append(abs(differences[-1]) / (one.crystal_fraction_sd or np.nan))
    print(
        f"crystal fraction less the measured, {len(pulls)} cells: mean {np.mean(differences):+.2f}, rms "
        f"{np.sqrt(np.mean(np.square(differences))):.2f}; within one standard deviation "
        f"{np.mean(np.less(pulls, 1)):.0%}, within two {np.mean(np.less(pulls, 2)):.0%}\n"
    )


def shaken(sizes: Iterable[int], draws: Iterable[int]) -> None:
    """Judge the twelve crystals, each coordinate displaced by a normal deviate; anew where atoms meet."""
    by_type: dict[tuple[str, str], Counter[str]] = {}
    by_size: dict[tuple[str, str], Counter[str]] = {}
    for draw, (seed, (name, cell)), size, displacement in itertools.product(
        draws, enumerate(crystals().items()), sizes, DISPLACEMENTS
    ):
        rng = np.random.default_rng([draw, seed, size, round(100 * displacement)])
        moved = still = repeated(cell, size)
        while moved is still or pair_list(moved, MINIMUM_DISTANCE).d.size:
            moved = still.copy()
            moved.positions += rng.normal(scale=displacement, size=moved.positions.shape)
        verdict = crystallinity(moved).verdict
        by_type.setdefault((name, "all"), Counter())[verdict] += 1
        by_size.setdefault((f"shaken by {displacement:.2f} Å", f"about {size} atoms"), Counter())[verdict] += 1
    show("shaken crystals, by type", by_type)
    show("shaken crystals, by displacement", by_size)


def crystals() -> dict[str, Atoms]:
    """Give the conventional cells of twelve structure types; parameters that are not of structures/ are unverified."""
    quartz = [(0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7858)]
    made = {
        "rocksalt": bulk("MgO", "rocksalt", a=4.212, cubic=True),
        "cesium chloride": bulk("CsCl", "cesiumchloride", a=4.12),
        "fluorite": bulk("CaF2", "fluorite", a=5.463, cubic=True),
        "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.207),
        "perovskite": crystal(
            ["Sr", "Ti", "O"],
            [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
            spacegroup=221,
            cellpar=3 * [3.905] + 3 * [90],
        ),
        "quartz": crystal(["Si", "O"], quartz, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120]),
        "cristobalite": crystal(
            ["Si", "O"], [(0, 0, 0), (1 / 8, 1 / 8, 1 / 8)], spacegroup=227, setting=1, cellpar=3 * [7.16] + 3 * [90]
        ),
        "corundum": crystal(
            ["Al", "O"], [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.76, 4.76, 12.99, 90, 90, 120]
        ),
    }
    files = {"rutile": "TiO2_rutile", "anatase": "TiO2_anatase", "spinel": "MgAl2O4", "olivine": "LiFePO4"}
    return made | {name: read(STRUCTURES / f"{file}.cif") for name, file in files.items()}


def repeated(cell: Atoms, size: int) -> Atoms:
    """Repeat a cell to about so many atoms, as near a cube as it gets."""
    times = [1, 1, 1]
    while len(cell) * np.prod(times) < 0.8 * size:
        times[int(np.argmin(cell.cell.lengths() * times))] += 1
    return cell * tuple(times)


def show(title: str, rows: Mapping[tuple[str, str], Counter[str]]) -> None:
    """Print a table in Markdown: how many cells of each class were called what."""
    print(f"{title}\n\n| class | size | cells | {' | '.join(HEAD)} |\n|---{'|---' * (2 + len(HEAD))}|")
    for (name, size), counts in sorted(rows.items(), key=lambda row: row[0][1]):
        print(f"| {name} | {size} | {counts.total()} | {' | '.join(str(counts[verdict]) for verdict in CALLED)} |")
    print()


if __name__ == "__main__":
    main()
