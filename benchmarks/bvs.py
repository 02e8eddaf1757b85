"""Bond-valence map of 834 atoms on 200³ points against the same work in numpy with scipy's k-d tree.

Run ``python benchmarks/bvs.py``: the two alternate in one process, the ratio is the median over the rounds, and the
maps must agree to 1e-12 v.u. The cell has the composition and density of the glass of the reference study (20.38 Å),
its rocksalt sites shaken until about 3 % of the points survive the exclusion, as in the glass.
"""

import argparse
import gc
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from amorph.analysis.bvs import bvs_map

EDGE = 20.38
R0, B, CUTOFF, EXCLUSION, VALENCE, WINDOW = 1.693, 0.37, 6.0, 1.7, 2.0, 0.4
CHUNK = 200_000

Map = tuple[NDArray[np.float64], float]
"""The values, and the share of the window."""


def shaken_cell(rng: np.random.Generator) -> Atoms:
    """Make Mg167Ti56Mo111O500 on shaken rocksalt sites, vacancies left out."""
    atoms = bulk("MgO", "rocksalt", a=EDGE / 5, cubic=True).repeat(5)
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Mg"))
    atoms.symbols[cations[167:223]] = "Ti"
    atoms.symbols[cations[223:334]] = "Mo"
    del atoms[cations[334:]]
    atoms.positions += rng.normal(0.0, 0.3, atoms.positions.shape)
    return atoms


def plain_map(atoms: Atoms, n: int) -> Map:
    """Do the same work in numpy: mask by the nearest atom, then sum over pairs of points and anions, in chunks."""
    positions = atoms.positions % EDGE
    nearest = cKDTree(positions, boxsize=EDGE)
    anions = positions[atoms.symbols == "O"]
    tree = cKDTree(anions, boxsize=EDGE)
    axis = np.arange(n) * EDGE / n
    values = np.full(n**3, np.nan)
    for start in range(0, n**3, CHUNK):
        index = np.unravel_index(np.arange(start, min(start + CHUNK, n**3)), (n, n, n))
        points = np.stack([axis[i] for i in index], axis=1)
        distance, _ = nearest.query(points, distance_upper_bound=EXCLUSION)
        free = np.flatnonzero(distance >= EXCLUSION)
        if not free.size:
            continue
        lists = tree.query_ball_point(points[free], CUTOFF, return_sorted=False)
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        which = np.repeat(np.arange(len(lists)), counts)
        separation = points[free][which] - anions[np.concatenate(lists).astype(np.int64)]
        separation -= EDGE * np.round(separation / EDGE)
        d = np.sqrt(np.einsum("ij,ij->i", separation, separation))
        values[start + free] = np.bincount(which, np.exp((R0 - d) / B), len(lists))
    share = float(np.mean(np.abs(values - VALENCE) < WINDOW))
    return values.reshape(n, n, n), share


def timed(work: Callable[[], Map]) -> tuple[Map, float, float]:
    """Do some work; returns its result, the seconds it took and the processor seconds."""
    started, processor_started = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - started, time.process_time() - processor_started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="grid points along each edge")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of one plain map and three compiled ones")
    parser.add_argument("--threads", type=int, default=1, help="threads of the compiled map; the plain one has one")
    arguments = parser.parse_args()
    n = arguments.points
    atoms = shaken_cell(np.random.default_rng(0))

    def compiled() -> Map:
        made = bvs_map(atoms, "Mg2+", grid=(n, n, n), threads=arguments.threads)
        return made.field.values, made.window_fraction_of_cell

    started = time.perf_counter()
    compiled()
    print(f"{len(atoms)} atoms, {n}³ points, {platform.processor() or platform.machine()}")
    print(f"first compiled map, kernels loaded or compiled: {time.perf_counter() - started:.2f} s")
    rounds = []
    for _ in range(arguments.rounds):
        gc.collect()
        (expected, expected_share), *plain = timed(lambda: plain_map(atoms, n))
        quick = []
        for _ in range(3):
            (values, share), *seconds = timed(compiled)
            quick.append(seconds)
        rounds.append([*plain, *np.median(quick, axis=0)])
    free = ~np.isnan(expected)
    if not np.array_equal(free, ~np.isnan(values)) or share != expected_share:
        raise SystemExit("the two maps exclude different points")
    worst = float(np.max(np.abs(values[free] - expected[free])))
    if worst > 1e-12 * max(1.0, float(expected[free].max())):
        raise SystemExit(f"the two maps differ by {worst:.1e} v.u.")
    print(f"points that survive the exclusion: {free.mean():.2%}; in the window: {share:.2%} of the cell")
    print(f"largest difference: {worst:.1e} v.u.")
    wall, cpu, quick_wall, quick_cpu = np.median(rounds, axis=0)
    print(f"numpy + cKDTree, 1 thread:  {wall:8.3f} s, processor time {cpu:8.3f} s")
    print(f"amorph, threads: {arguments.threads}          {quick_wall:8.3f} s, processor time {quick_cpu:8.3f} s")
    for name, column in (("ratio", 0), ("ratio of processor times, for a busy machine", 1)):
        ratios = [row[column] / row[column + 2] for row in rounds]
        print(f"{name}: {statistics.median(ratios):.0f} (from {min(ratios):.0f} to {max(ratios):.0f})")


if __name__ == "__main__":
    main()
