"""Barriers of known crystals by spacing, by where the grid begins, and by which points are neighbors.

Run ``python benchmarks/barrier_grids.py``: for each crystal and spacing the barriers with 6, 18 and 26 neighbors,
and with 26 the range over origins of the grid drawn at random.
"""

import argparse
from pathlib import Path

import numpy as np

from amorph.analysis.bvse import bvse_map
from amorph.analysis.percolation import percolation_thresholds
from amorph.analysis.percolation._regions import sweep
from amorph.analysis.percolation.regions import STEPS
from amorph.fields import ScalarField
from amorph.reading import read_structure

CRYSTALS = (("LiFePO4", "Li+"), ("LiCoO2", "Li+"), ("MgTi2O4", "Mg2+"), ("MgAl2O4", "Mg2+"))
NEIGHBORS = {6: 1, 18: 2}
"""Number of neighbors: the most indices that one of them may differ in."""


def barriers_with(field: ScalarField, indices: int) -> list[float]:
    """Find the barriers with the neighbors that differ in at most so many indices."""
    values = np.asarray(field.values, dtype=np.float64).ravel()
    order = np.argsort(values, kind="stable")
    steps = STEPS[np.abs(STEPS).sum(axis=1) <= indices]
    closed = sweep(values, order, field.grid, steps, 0.0, 3, -1, -1)[0]
    return [float(values[point] - values[order[0]]) for point in closed]


def written(barriers: object) -> str:
    """Write three barriers [eV]."""
    return " / ".join(f"{barrier:.3f}" for barrier in barriers)  # type: ignore[attr-defined]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--origins", type=int, default=10, help="origins drawn for each crystal and spacing")
    origins = parser.parse_args().origins
    for name, ion in CRYSTALS:
        atoms = read_structure(Path(__file__).parents[1] / "structures" / f"{name}.cif")
        for spacing in (0.2, 0.1):
            field = bvse_map(atoms, ion, spacing=spacing).field
            few = [f"{count} neighbors {written(barriers_with(field, most))}" for count, most in NEIGHBORS.items()]
            print(
                f"{name}, {spacing} Å:",
                *few,
                f"26 neighbors {written(percolation_thresholds(field).barriers)}",
                sep="  ",
            )
            rng = np.random.default_rng(0)
            found = []
            for _ in range(origins):
                moved = atoms.copy()
                moved.positions += rng.uniform(0.0, spacing, 3)
                found.append(percolation_thresholds(bvse_map(moved, ion, spacing=spacing).field).barriers)
            print(
                f"  {origins} origins: {written(np.min(found, axis=0))} to {written(np.max(found, axis=0))}", flush=True
            )


if __name__ == "__main__":
    main()
