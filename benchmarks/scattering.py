"""S(q) of 1000 atoms to 15 1/Å, all partials: ours against dynasor.

Run ``python benchmarks/scattering.py``. dynasor stays out of the environment of amorph: install it into a folder of its
own, ``pip install --no-deps --target /tmp/dynasor dynasor MDAnalysis GridDataFormats mrcfile mda-xdrlib mmtf-python
msgpack``, and name the folder in PYTHONPATH. Its readers of trajectories are passed over: only its sums are timed.
"""

import argparse
from importlib.metadata import version
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from timing import Comparison, compare, seconds_of, show

from amorph.analysis.order.samples import samples_of
from amorph.analysis.scattering.vectors import Shells, shells_of

WIDTH = 0.05


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare both, on fewer atoms when quick; time ours alone where dynasor is not there."""
    atoms = scattered(125 if quick else 1000)
    q_max = 8.0 if quick else 15.0
    whole = every_vector(atoms, q_max)
    half = whole[(whole @ np.array([1.0, 1e-4, 1e-8])) > 0.0]
    work = f"S(q), {len(atoms)} atoms, 10 partials, {len(whole)} vectors to {q_max:g} 1/Å"

    def ours() -> Shells:
        return shells_of(samples_of(atoms), q_max, WIDTH)[0]

    try:
        from dynasor.core.reciprocal import calc_rho_q
    except ImportError as error:
        ours()
        print(f"without dynasor: {error}; {work}: ours alone {seconds_of(ours):.4g} s")
        return []

    def theirs(vectors: np.ndarray) -> np.ndarray:
        densities = [calc_rho_q(atoms.positions[atoms.symbols == e], vectors) for e in ("Li", "Ti", "Mo", "O")]
        shell = (np.linalg.norm(vectors, axis=1) / WIDTH + 1e-6).astype(int)
        products = [
            np.bincount(shell, (a * b.conj()).real, minlength=int(q_max / WIDTH + 1e-6) + 1)
            * (len(whole) / len(vectors))
            for a, b in combinations_with_replacement(densities, 2)
        ]
        return np.array(products).T

    return [
        compare(
            work,
            f"dynasor {version('dynasor')}'s densities, {name}",
            ours,
            lambda vectors=vectors: theirs(vectors),
            agree,
            rounds=3 if quick else 5,
        )
        for name, vectors in (("every vector, as its own S(q) takes them", whole), ("half of the vectors", half))
    ]


def scattered(n: int) -> Atoms:
    """Atoms of four elements at random around the points of a cubic grid, as dense as the glass."""
    rng = np.random.default_rng(0)
    edge = round(n ** (1.0 / 3.0))
    length = 2.08 * edge
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    counts = [n // 3, n // 18, n // 9]
    symbols = rng.permutation(np.repeat(["Li", "Ti", "Mo", "O"], [*counts, n - sum(counts)]))
    positions = 2.08 * grid + rng.uniform(-0.4, 0.4, (n, 3))
    return Atoms(symbols, positions=positions, cell=[length] * 3, pbc=True)


def every_vector(atoms: Atoms, q_max: float) -> np.ndarray:
    """Give the reciprocal vectors of a cube up to a length, but 0."""
    unit = 2.0 * np.pi / atoms.cell[0, 0]
    steps = np.arange(-int(q_max / unit), int(q_max / unit) + 1)
    vectors = unit * np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    return vectors[(lengths > 0.0) & (lengths <= q_max)]


def agree(ours: Shells, theirs: np.ndarray) -> str:
    """Say how far the products of all shells differ."""
    difference = float(np.abs(ours.products - theirs).max() / np.abs(theirs).max())
    if difference > 1e-10:
        raise SystemExit(f"the sums differ by {difference:.1e} of the largest")
    return f"within {difference:.0e} of the largest"


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small work: to see that it runs")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
