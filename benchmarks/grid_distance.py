"""Distances from 200³ points to the nearest of 834 atoms, or of their spheres, against scipy's k-d tree.

Run ``python benchmarks/grid_distance.py``: the two alternate in one process, the ratio is the median over the rounds,
and the fields must agree.
"""

import argparse

import numpy as np
from ase import Atoms
from grid_bvs import CHUNK, EDGE, shaken_cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from timing import Comparison, compare, show

from amorph.analysis.distance import distance_map

RADII = {"Mg": 0.72, "Ti": 0.605, "Mo": 0.65, "O": 1.4}


def plain_map(atoms: Atoms, n: int, radii: dict[str, float] | None, workers: int) -> NDArray[np.float64]:
    """Query one tree of all atoms, or with radii one of each element."""
    positions = atoms.positions % EDGE
    kinds = {0.0: np.ones(len(atoms), dtype=bool)}
    if radii is not None:
        kinds = {radius: atoms.symbols == symbol for symbol, radius in radii.items()}
    trees = [(radius, cKDTree(positions[which], boxsize=EDGE)) for radius, which in kinds.items()]
    axis = np.arange(n) * EDGE / n
    values = np.full(n**3, np.inf)
    for start in range(0, n**3, CHUNK):
        index = np.unravel_index(np.arange(start, min(start + CHUNK, n**3)), (n, n, n))
        points = np.stack([axis[i] for i in index], axis=1)
        chunk = values[start : start + CHUNK]
        for radius, tree in trees:
            np.minimum(chunk, tree.query(points, workers=workers)[0] - radius, out=chunk)
    return values.reshape(n, n, n)


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare; `quick` on a small grid, once."""
    atoms = shaken_cell(np.random.default_rng(0))
    n, rounds, repeats = (48, 1, 1) if quick else (200, 3, 3)
    done = []
    for radii, precision, threads in (
        (None, "float64", 1),
        (None, "float64", 2),
        (None, "float32", 1),
        (RADII, "float64", 1),
    ):
        tolerance = 1e-12 if precision == "float64" else 1e-5

        def agreement(made: NDArray[np.float64], peer: NDArray[np.float64], tolerance: float = tolerance) -> str:
            worst = float(np.max(np.abs(made - peer)))
            if worst > tolerance:
                raise SystemExit(f"the distances differ by {worst:.1e} Å")
            return f"largest difference {worst:.1e} Å"

        done.append(
            compare(
                f"distance to the nearest {'atom' if radii is None else 'sphere'} of {len(atoms)}, {n}³ points, "
                f"{precision}, {threads} thread(s)",
                f"cKDTree{'' if radii is None else ' of each element'} in float64, {threads} worker(s)",
                lambda radii=radii, precision=precision, threads=threads: (
                    distance_map(atoms, radii=radii, grid=(n, n, n), precision=precision, threads=threads).values
                ),
                lambda radii=radii, threads=threads: plain_map(atoms, n, radii, threads),
                agreement,
                rounds=rounds,
                repeats=repeats,
            )
        )
    return done


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small grid, once: whether it works, no figures")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
