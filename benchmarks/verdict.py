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
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.spacegroup import crystal

from amorph.analysis.crystallinity import Crystallinity, crystallinity
from amorph.structure import MINIMUM_DISTANCE, pair_list

STRUCTURES = Path(__file__).parent.parent / "structures"
CALLED = ("amorphous", "amorphous with embryo", "cannot exclude a crystal", "partly crystalline", "crystalline")
HEAD = ("amorphous", "embryo", "cannot exclude", "partly", "crystalline")
DISPLACEMENTS = (0.05, 0.10, 0.15, 0.20, 0.25)
"""Standard deviations of each coordinate [Å]."""
SIZES = (100, 200, 500)
"""Atoms of a shaken crystal, about."""


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
    for title, chosen in (("chose the limits (seed s1)", True), ("tests them (other seeds)", False)):
        part = [(entry, one) for entry, one in judged if ("_s1" in entry["file"]) is chosen]
        rows: dict[tuple[str, str], Counter[str]] = {}
        for entry, one in part:
            for name in kinds(entry):
                rows.setdefault((name, size_of(one)), Counter())[one.verdict] += 1
        show(f"library, the part that {title}", rows)
        errors(part)


def kinds(entry: Mapping[str, object]) -> list[str]:
    """Name the classes that a cell belongs to."""
    fraction = entry["crystal_fraction"]
    if entry["label"] == "amorphous":
        return ["glass"]
    if entry["label"] == "crystalline" or not isinstance(fraction, float):
        return ["crystal, half or more"]
    return ["crystal of 10 to 50 %", *(["  of these 20 % or more"] if fraction >= 0.2 else [])]


def size_of(one: Crystallinity) -> str:
    """Name the size of what was judged: of a cell that repeats, less than the whole."""
    atoms = one.n_judged or 0
    return "below 50 anions" if atoms < 50 else "50 to 149 anions" if atoms < 150 else "from 150 anions"


def errors(part: Iterable[tuple[Mapping[str, object], Crystallinity]]) -> None:
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
