"""Bond-valence maps of 834 atoms on 200³ points against numpy with scipy's k-d tree, and against bvlain's search.

Run ``python benchmarks/grid_bvs.py``: two programs alternate in one process, the ratio is the median over the rounds,
and the maps must agree. The cell has the composition and density of the glass of the reference study (20.38 Å), its
rocksalt sites shaken until about 3 % of the points survive the exclusion, as in the glass.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from timing import Comparison, compare, show

from amorph.analysis.bvs import BvsMap, bvs_map

EDGE = 20.38
R0, B, CUTOFF, EXCLUSION, VALENCE, WINDOW = 1.693, 0.37, 6.0, 1.7, 2.0, 0.4
CHUNK = 200_000
NEIGHBORS = 100
"""The k of bvlain's k nearest neighbors, its default; the comparison fails where an anion is left out."""

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


def plain_map(atoms: Atoms, n: int, workers: int) -> Map:
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
        distance, _ = nearest.query(points, distance_upper_bound=EXCLUSION, workers=workers)
        free = np.flatnonzero(distance >= EXCLUSION)
        if not free.size:
            continue
        lists = tree.query_ball_point(points[free], CUTOFF, return_sorted=False, workers=workers)
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        which = np.repeat(np.arange(len(lists)), counts)
        separation = points[free][which] - anions[np.concatenate(lists).astype(np.int64)]
        separation -= EDGE * np.round(separation / EDGE)
        d = np.sqrt(np.einsum("ij,ij->i", separation, separation))
        values[start + free] = np.bincount(which, np.exp((R0 - d) / B), len(lists))
    share = float(np.mean(np.abs(values - VALENCE) < WINDOW))
    return values.reshape(n, n, n), share


def bvlain_map(atoms: Atoms, n: int) -> NDArray[np.float64]:
    """Sum exp[(r0 − d)/b] at every point over what bvlain's own mesh and search find, as it sums its Morse terms.

    bvlain has no map of bond valence sums. Its mesh holds the end points too: (n + 1)³ points for n steps.
    """
    from bvlain import Lain

    engine = Lain(verbose=False)
    engine.atoms = atoms[atoms.symbols == "O"]
    engine.atoms.wrap()
    engine.cell = engine.atoms.cell
    # it makes ⌊edge / resolution⌋ points
    _, distances, ids, _ = engine._neighbors(r_cut=CUTOFF, resolution=EDGE / (n + 1.5), k=NEIGHBORS)
    if np.isfinite(distances[:, -1]).any():
        raise SystemExit(f"some point has more than {NEIGHBORS} anions in reach: bvlain leaves some out")
    r0 = np.take(np.append(np.full(len(engine.supercell), R0), np.nan), ids, axis=-1)
    b = np.take(np.append(np.full(len(engine.supercell), B), np.nan), ids, axis=-1)
    valences = np.nan_to_num(np.exp((r0 - distances) / b), copy=False, nan=0.0)
    return valences.sum(axis=1).reshape(engine.size)


def same_map(tolerance: float, made: BvsMap, peer: Map) -> str:
    """Compare the excluded points and the sums."""
    values, (expected, share) = made.field.values, peer
    free = ~np.isnan(expected)
    if not np.array_equal(free, ~np.isnan(values)):
        raise SystemExit("the two maps exclude different points")
    if abs(made.window_fraction_of_cell - share) > tolerance:
        raise SystemExit(f"the two maps have {made.window_fraction_of_cell} and {share} of the cell in the window")
    worst = float(np.max(np.abs(values[free] - expected[free]) / np.maximum(1.0, expected[free])))
    if worst > tolerance:
        raise SystemExit(f"the two maps differ by {worst:.1e} v.u.")
    return f"{free.mean():.2%} of the points survive, the same; largest difference {worst:.1e} v.u."


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare; `quick` on a small grid, once."""
    atoms = shaken_cell(np.random.default_rng(0))
    n, rounds, repeats = (48, 1, 1) if quick else (200, 3, 3)
    done = []
    for precision, threads, tolerance in (("float64", 1, 1e-12), ("float32", 1, 4e-6), ("float64", 2, 1e-12)):
        done.append(
            compare(
                f"bond valence sums outside 1.7 Å of {len(atoms)} atoms, {n}³ points, {precision}, {threads} thread(s)",
                f"numpy + cKDTree in float64, {threads} worker(s)",
                lambda precision=precision, threads=threads: bvs_map(
                    atoms, "Mg2+", grid=(n, n, n), precision=precision, threads=threads
                ),
                lambda threads=threads: plain_map(atoms, n, threads),
                lambda made, peer, tolerance=tolerance: same_map(tolerance, made, peer),
                rounds=rounds,
                repeats=repeats,
            )
        )
    return [*done, *rows_against_bvlain(atoms, n, 12 if quick else 48, rounds)]


def rows_against_bvlain(atoms: Atoms, n: int, peer_n: int, rounds: int) -> list[Comparison]:
    """Compare the sums at every point, per point: bvlain's memory would not hold 200³ points."""

    def agreement(_: BvsMap, peer: NDArray[np.float64]) -> str:
        made = bvs_map(atoms, "Mg2+", grid=(peer_n,) * 3, exclusion_radius=0.0).field.values
        expected = peer[:-1, :-1, :-1]
        worst = float(np.max(np.abs(made - expected) / np.maximum(1.0, expected)))
        if not worst < 1e-12:
            raise SystemExit(f"the sums differ from those over bvlain's neighbors by {worst:.1e} v.u.")
        return f"largest difference on {peer_n}³ common points {worst:.1e} v.u."

    done = []
    for precision, threads in (("float64", 1), ("float64", 2), ("float32", 2)):
        made = compare(
            f"bond valence sums at every point, per point, {precision}, {threads} thread(s)",
            "bvlain's mesh and search, all processors, + numpy",
            lambda precision=precision, threads=threads: bvs_map(
                atoms, "Mg2+", grid=(n, n, n), exclusion_radius=0.0, precision=precision, threads=threads
            ),
            lambda: bvlain_map(atoms, peer_n),
            agreement,
            rounds=rounds,
            repeats=1,
        )
        points, peer_points = n**3, (peer_n + 1) ** 3
        done.append(
            replace(
                made,
                seconds=made.seconds / points,
                peer_seconds=made.peer_seconds / peer_points,
                ratios=tuple(ratio * points / peer_points for ratio in made.ratios),
            )
        )
    return done


def memory() -> str:
    """Measure the peak memory of a 200³ map beyond its own array, in a fresh process (Linux)."""
    code = "import grid_bvs; print(grid_bvs.memory_beyond_the_array(200))"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    return f"peak memory of a 200³ float64 map beyond its own 64 MB: {float(finished.stdout):.1f} MB, 2 threads"


def memory_beyond_the_array(n: int) -> float:
    """Give the peak of this process's memory over a map, less what it held before and the map [MB]."""
    atoms = shaken_cell(np.random.default_rng(0))
    bvs_map(atoms, "Mg2+", grid=(48, 48, 48), threads=2)  # loads the kernels
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _status("VmRSS")
    made = bvs_map(atoms, "Mg2+", grid=(n, n, n), threads=2)
    return _status("VmHWM") - before - made.field.values.nbytes * 1e-6


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024e-6 * float(next(line.split()[1] for line in lines if line.startswith(name + ":")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small grid, once: whether it works, no figures")
    arguments = parser.parse_args()
    show(rows(quick=arguments.quick))
    print(memory())


if __name__ == "__main__":
    main()
