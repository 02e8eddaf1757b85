"""A closed periodic surface of 200³ points against scikit-image's marching cubes alone.

Run ``python benchmarks/grid_surfaces.py``. The field is the window of the bond-valence map of the benchmark glass. Ours
ends as one welded mesh without an open edge; the peer's is open at the cell faces, and is not made to close there.
"""

import argparse

import numpy as np
from grid_bvs import EDGE, shaken_cell
from timing import Comparison, compare, show

from amorph.analysis.bvs import bvs_map, window_field
from amorph.analysis.isosurface import Mesh, contour
from amorph.fields import ScalarField


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare in one thread and in all."""
    from skimage.measure import marching_cubes, mesh_surface_area

    n, near = (60, 0.06) if quick else (200, 0.01)  # a coarse grid cuts the thin shells differently
    field = window_field(bvs_map(shaken_cell(np.random.default_rng(0)), "Mg2+", grid=(n, n, n)))

    def plain(field: ScalarField = field) -> tuple[np.ndarray, np.ndarray]:
        return marching_cubes(field.values, 0.0, spacing=(EDGE / n,) * 3)[:2]

    def agreement(ours: Mesh, theirs: tuple[np.ndarray, np.ndarray]) -> str:
        wrapped = ScalarField(np.pad(field.values, (0, 1), mode="wrap"), field.cell, "", "")
        expected = mesh_surface_area(*plain(wrapped))
        if len(ours.open_edges) or not abs(ours.area / expected - 1) < near:
            raise SystemExit(
                f"the surfaces differ: {ours.area:.2f} and {expected:.2f} Å², {len(ours.open_edges)} open edges"
            )
        return f"areas differ by {ours.area / expected - 1:+.1e}, {len(ours.faces)} triangles, no open edge"

    return [
        compare(
            f"field to closed surface, {n}³ points, threads: {threads or 'all'}",
            "scikit-image marching cubes, 1 thread",
            lambda threads=threads: contour(field, 0.0, threads=threads),
            plain,
            agreement,
        )
        for threads in (1, None)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60³ points")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
