"""The largest spheres between atoms: ours against scipy's Voronoi diagram; pore sizes against spheres painted in numpy.

Run ``python benchmarks/grid_voids.py``.
"""

import itertools

import numpy as np
from ase import Atoms
from ase.build import bulk
from scipy.spatial import Voronoi, cKDTree
from timing import Comparison, compare, show

from amorph.analysis.voids import voids
from amorph.analysis.voids.holes import Holes, find_holes
from amorph.fields import ScalarField


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare both, on fewer atoms and points when quick."""
    repeats = 3 if quick else 5
    atoms = shaken(repeats)
    small, points = shaken(2), 24 if quick else 40
    field = voids(small, radii={"O": 0.9, "Mg": 0.6}, grid=(points,) * 3).field
    return [
        compare(
            f"every hole, {len(atoms)} atoms (windows and passages only in ours)",
            "scipy.spatial.Voronoi, 27 images, and the radius of its vertices",
            lambda: find_holes(atoms),
            lambda: largest_vertex(atoms),
            agree_on_holes,
            rounds=3,
            repeats=1,
        ),
        compare(
            f"pore sizes, {points}³ points (distances and spheres included in ours)",
            "numpy, one sphere at a time from the smallest up",
            lambda: voids(small, radii={"O": 0.9, "Mg": 0.6}, grid=(points,) * 3).pore_radii.values,
            lambda: painted(field),
            agree_on_sizes,
            rounds=3,
            repeats=1,
        ),
    ]


def shaken(repeats: int) -> Atoms:
    """Rocksalt with a third of its cations gone and every atom displaced."""
    rng = np.random.default_rng(0)
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((repeats,) * 3)
    cations = np.flatnonzero(atoms.symbols == "Mg")
    del atoms[rng.choice(cations, len(cations) // 3, replace=False)]
    atoms.positions += rng.uniform(-0.25, 0.25, atoms.positions.shape)
    return atoms


def largest_vertex(atoms: Atoms) -> float:
    """Find the largest included radius from a Voronoi diagram of all images that can matter."""
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ atoms.cell.array
    points = (atoms.positions + shifts[:, None]).reshape(-1, 3)
    vertices = Voronoi(points).vertices
    fractional = vertices @ np.linalg.inv(atoms.cell.array)
    inside = vertices[((fractional >= 0.0) & (fractional < 1.0)).all(axis=1)]
    return float(cKDTree(points).query(inside)[0].max())


def painted(field: ScalarField) -> np.ndarray:
    """Paint every sphere of an orthogonal field over the smaller ones."""
    values = field.values
    n = np.array(values.shape)
    steps = np.diag(field.cell) / n
    reach = np.ceil(values.max() / steps).astype(int)
    axes = [np.arange(-r, r + 1) for r in reach]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(offsets * steps, axis=1)
    order = np.argsort(lengths)
    offsets, lengths = offsets[order], lengths[order]
    sizes = np.zeros_like(values)
    for index in np.argsort(values, axis=None):
        radius = values.flat[index]
        if radius > 0.0:
            center = np.array(np.unravel_index(index, values.shape))
            covered = (center + offsets[: np.searchsorted(lengths, radius + 1e-9)]) % n
            sizes[tuple(covered.T)] = radius
    return np.where(values > 0.0, sizes, 0.0)


def agree_on_holes(ours: Holes, theirs: float) -> str:
    """Say how far the largest included spheres differ."""
    difference = abs(float(ours.radii[0]) - theirs)
    if difference > 1e-8:
        raise SystemExit(f"the largest included radii differ by {difference:.1e} Å")
    return f"largest radius within {difference:.0e} Å"


def agree_on_sizes(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Say how far the pore sizes differ."""
    difference = float(np.abs(ours - theirs).max())
    if difference > 1e-12:
        raise SystemExit(f"pore radii differ by {difference:.1e} Å")
    return f"within {difference:.0e} Å"


def main() -> None:
    """Print the rows."""
    show(rows())


if __name__ == "__main__":
    main()
