"""Connected regions of a 200³ field with their windings, against scipy's labels made periodic, which tell no winding.

Run ``python benchmarks/grid_percolation.py``: the two alternate in one process, one thread each. The field is the
distance to the nearest atom in a shaken rocksalt of 834 atoms; three thresholds leave about 3, 10 and 30 % of the
points. Both start from the field and end with a label for every point, periodic and for all 26 neighbors. Ours also has
the winding lattice, the size and the extreme of every region.
"""

import argparse

import numpy as np
from grid_bvs import shaken_cell
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from timing import Comparison, compare, show

from amorph.analysis.distance import distance_map
from amorph.analysis.percolation import Percolation, percolation

SHARES = (0.03, 0.1, 0.3)
"""Shares of the points that are inside."""
Labels = NDArray[np.int32]


def label_and_merge(values: NDArray[np.float64], threshold: float) -> Labels:
    """Label with scipy, then merge the labels that meet across the faces of the cell."""
    labels, count = ndimage.label(values >= threshold, structure=np.ones((3, 3, 3)))
    pairs = []
    for axis in range(3):
        first, last = (np.take(labels, k, axis) for k in (0, -1))
        # a point meets nine across a face, some of them also across an edge or a corner of the cell
        for shift in np.ndindex(3, 3):
            other = np.roll(first, np.subtract(shift, 1), (0, 1))
            both = (last > 0) & (other > 0)
            pairs.append(np.stack([last[both], other[both]]))
    one, other = np.unique(np.concatenate(pairs, axis=1), axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count + 1, count + 1))
    _, merged = connected_components(graph, directed=False)
    return merged.astype(np.int32)[labels]


def agreement(ours: Percolation, theirs: Labels) -> str:
    """Both must split the points into the same regions."""
    pairs = np.unique(np.stack([ours.labels.ravel(), theirs.ravel()]), axis=1).T
    outside = theirs[ours.labels == 0]
    if any(len(np.unique(column)) != len(column) for column in pairs.T) or (outside.size and np.ptp(outside) > 0):
        raise SystemExit("the two label different regions")
    return f"the same {len(ours)} regions, of which {int((ours.dimensions > 0).sum())} percolate"


def rows(*, quick: bool = False) -> list[Comparison]:
    """Measure at each share."""
    n = 64 if quick else 200
    field = distance_map(shaken_cell(np.random.default_rng(0)), grid=(n, n, n))
    made = []
    for share in SHARES:
        threshold = float(np.quantile(field.values, 1 - share))
        made.append(
            compare(
                f"regions with windings, {n}³ points, {share:.0%} inside",
                "scipy.ndimage.label + merge over the faces, 1 thread, no winding",
                lambda threshold=threshold: percolation(field, threshold=threshold, side="above"),
                lambda threshold=threshold: label_and_merge(field.values, threshold),
                agreement,
                rounds=3 if quick else 5,
            )
        )
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64³ points")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
