"""g(r) against freud and ASE, rings against matscipy and sovapy: the same work, alternating in one process.

Run ``python benchmarks/order.py`` with freud-analysis, matscipy and sovapy installed, or named by PYTHONPATH; a peer
that is not there is left out and said so. Each works in one thread.
"""

import argparse
import contextlib
import importlib
import io
import logging
from importlib.metadata import version

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from ase.spacegroup import crystal
from timing import Comparison, compare, show

from amorph.analysis.order import find_rings, pair_distributions

BINS = 500


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare with every peer that is there, on fewer atoms when quick."""
    made = []
    for peer, compared in (("freud", freud_row), ("ase", ase_row), ("matscipy", matscipy_row), ("sovapy", sovapy_row)):
        try:
            importlib.import_module(peer)
        except ImportError as error:
            print(f"without {peer}: {error}")
            continue
        made.append(compared(quick))
    return made


def shaken_rocksalt(repeats: int) -> Atoms:
    """Rocksalt with every atom displaced."""
    atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((repeats,) * 3)
    atoms.positions += np.random.default_rng(0).uniform(-0.3, 0.3, atoms.positions.shape)
    return atoms


def carbon(repeats: int) -> Atoms:
    """Diamond, displaced, with a twentieth of its atoms gone: rings of many sizes."""
    rng = np.random.default_rng(1)
    atoms = bulk("C", "diamond", a=3.567, cubic=True).repeat((repeats,) * 3)
    atoms.positions += rng.uniform(-0.1, 0.1, atoms.positions.shape)
    del atoms[rng.choice(len(atoms), len(atoms) // 20, replace=False)]
    return atoms


def freud_row(quick: bool) -> Comparison:
    """Compare g(r) of all pairs to half the cell; partials and running numbers in ours only."""
    import freud

    freud.set_num_threads(1)
    atoms = shaken_rocksalt(3 if quick else 5)
    half = 0.5 * float(atoms.cell[0, 0])
    box = freud.box.Box.from_matrix(atoms.cell.array.T)
    points = box.wrap(atoms.positions)

    # made once, as for the frames of a trajectory: that alone takes ten times a frame; it refuses half the cell itself
    rdf = freud.density.RDF(bins=BINS, r_max=half * (1.0 - 1e-6))

    def theirs() -> np.ndarray:
        return np.array(rdf.compute((box, points)).rdf)

    return compare(
        f"g(r) to half the cell, {len(atoms)} atoms (partials and running numbers in ours only)",
        f"freud {freud.__version__}, 1 thread",
        lambda: pair_distributions(atoms, r_max=half, bin_width=half / BINS).total_g_r,
        theirs,
        agree_on_curves,
    )


def ase_row(quick: bool) -> Comparison:
    """Compare g(r) with ASE."""
    atoms = shaken_rocksalt(3 if quick else 5)
    reach = 0.49 * float(atoms.cell[0, 0])
    return compare(
        f"g(r) to 0.49 of the cell, {len(atoms)} atoms",
        f"ase {version('ase')}",
        lambda: pair_distributions(atoms, r_max=reach, bin_width=reach / BINS).total_g_r,
        lambda: np.asarray(get_rdf(atoms, reach, BINS)[0]),
        agree_on_curves,
        rounds=1 if quick else 3,
    )


def matscipy_row(quick: bool) -> Comparison:
    """Compare primitive rings of a network of one element."""
    from matscipy.rings import ring_statistics

    atoms = carbon(3 if quick else 5)
    return compare(
        f"primitive rings to 12, {len(atoms)} atoms (members in ours only)",
        f"matscipy {version('matscipy')}",
        lambda: sizes(find_rings(atoms, cutoffs={"C-C": 1.85}).members),
        # matscipy stops below its maxlength
        lambda: {size: int(n) for size, n in enumerate(ring_statistics(atoms, 1.85, maxlength=13)[:13]) if n},
        agree_on_rings,
        rounds=3,
    )


def sovapy_row(quick: bool) -> Comparison:
    """Compare primitive rings of silica, with their members; the links are given to sovapy, ours finds them."""
    from sovapy.computation.rings import enumerate_primitive_ring

    # rings shorter than the cell: longer ones could close on another image, which sovapy's pairs of atoms do not tell
    atoms, largest = (quartz(4), 6) if quick else (quartz(5), 8)
    silicon = np.flatnonzero(atoms.symbols == "Si")
    bridges = [np.flatnonzero(row) for row in atoms.get_all_distances(mic=True)[atoms.symbols == "O"][:, silicon] < 2.2]
    links = np.unique([np.sort(pair) for pair in bridges if len(pair) == 2], axis=0)
    nodes = np.arange(len(silicon))
    quiet = logging.getLogger("quiet")
    quiet.log = lambda *_: None

    def theirs() -> dict[int, int]:
        with contextlib.redirect_stdout(io.StringIO()):
            found = enumerate_primitive_ring(nodes, nodes, links, largest, messenger=quiet)
        return sizes_of([len(ring) for ring in found])

    return compare(
        f"primitive rings to {largest}, {len(atoms)} atoms of silica",
        f"sovapy {version('sovapy')}, its igraph",
        lambda: sizes(find_rings(atoms, cutoffs={"Si-O": 2.2}, largest=largest).members),
        theirs,
        agree_on_rings,
        rounds=1,
    )


def quartz(repeats: int) -> Atoms:
    """α-quartz, displaced, with a tenth of its O gone."""
    rng = np.random.default_rng(2)
    sites = [(0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7858)]
    cell = crystal(["Si", "O"], basis=sites, spacegroup=154, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])
    atoms = cell.repeat((repeats, repeats, repeats))
    atoms.positions += rng.uniform(-0.1, 0.1, atoms.positions.shape)
    oxygen = np.flatnonzero(atoms.symbols == "O")
    del atoms[rng.choice(oxygen, len(oxygen) // 10, replace=False)]
    return atoms


def sizes(members: dict[int, np.ndarray]) -> dict[int, int]:
    """Count the rings of each size."""
    return {size: len(rings) for size, rings in members.items()}


def sizes_of(lengths: list[int]) -> dict[int, int]:
    """Count the lengths that occur."""
    counts = np.bincount(lengths, minlength=1)
    return {size: int(n) for size, n in enumerate(counts) if n}


def agree_on_curves(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Say how far two g(r) differ: pairs that single precision puts into the next bin, and bins that are shells."""
    difference = float(np.abs(ours - theirs).sum() / theirs.sum())
    if difference > 0.02:
        raise SystemExit(f"g(r) differ by {100 * difference:.2g} %")
    return f"within {100 * difference:.2g} % of the area"


def agree_on_rings(ours: dict[int, int], theirs: dict[int, int]) -> str:
    """Say that two counts of rings are the same."""
    if ours != theirs:
        raise SystemExit(f"rings differ: {ours} and {theirs}")
    return f"the same {sum(ours.values())} rings"


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small work, once: to see that it runs")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
