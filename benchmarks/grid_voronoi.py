"""Voronoi volumes, faces and neighbors of 834 and 104 167 atoms against OVITO, and against pyvoro2 (Voro++).

Run ``python benchmarks/grid_voronoi.py``; OVITO's rows need ``pip install ovito`` and are left out without it. All get
the same atoms in memory and give the volume of each cell; ours gives the areas of the faces and the neighbors too. The
volumes must agree to 1e-10 Å³. OVITO takes minutes for the large triclinic cell; ``--quick`` leaves the large ones out.
The glass has the composition and density of the reference study (20.38 Å).
"""

import argparse
import importlib.util
import os
import resource
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from timing import Comparison, compare, show

from amorph.analysis.voronoi import Tessellation, tessellate

EDGE = 20.38
SHEAR = np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [0.2, -0.25, 1.0]])
VOLUME_DIFFERENCE = 1e-10


def glass(repeats: int, *, triclinic: bool) -> Atoms:
    """Make shaken rocksalt sites with a third of the cations left out: 834 atoms for 5 repeats, 104 167 for 25."""
    rng = np.random.default_rng(0)
    atoms = bulk("MgO", "rocksalt", a=EDGE / 5, cubic=True).repeat(repeats)
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Mg"))
    del atoms[cations[: len(cations) // 3]]
    atoms.positions += rng.uniform(-0.5, 0.5, atoms.positions.shape)
    if triclinic:
        atoms.set_cell(atoms.cell.array @ SHEAR.T, scale_atoms=True)
    return atoms


def ovito_volumes(atoms: Atoms) -> Callable[[], NDArray[np.float64]]:
    """Prepare OVITO's Voronoi analysis; it uses the threads that it chooses itself."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import VoronoiAnalysisModifier
    from ovito.pipeline import Pipeline, StaticSource

    data = ase_to_ovito(atoms)

    def volumes() -> NDArray[np.float64]:
        pipeline = Pipeline(source=StaticSource(data=data))
        pipeline.modifiers.append(VoronoiAnalysisModifier())
        return np.array(pipeline.compute().particles["Atomic Volume"])

    return volumes


def pyvoro2_volumes(atoms: Atoms) -> Callable[[], NDArray[np.float64]]:
    """Prepare pyvoro2, one thread, volumes only."""
    import pyvoro2

    domain = pyvoro2.PeriodicCell(vectors=tuple(map(tuple, atoms.cell.array.tolist())))
    alone = {"return_vertices": False, "return_adjacency": False, "return_faces": False}

    def volumes() -> NDArray[np.float64]:
        cells = pyvoro2.compute(atoms.positions, domain=domain, output="cells", **alone)
        return np.array([cell["volume"] for cell in sorted(cells, key=lambda cell: cell["id"])])

    return volumes


def agreement(ours: Tessellation, theirs: NDArray[np.float64]) -> str:
    """Compare the volumes."""
    difference = float(np.abs(ours.volumes - theirs).max())
    if not difference <= VOLUME_DIFFERENCE:
        raise SystemExit(f"the volumes differ by {difference:.1e} Å³")
    total = abs(ours.volumes.sum() / ours.cell_volume - 1.0)
    return f"volumes within {difference:.0e} Å³, their sum within {total:.0e}"


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare; `quick` leaves out 104 167 atoms."""
    made = []
    for repeats in (5,) if quick else (5, 25):
        for triclinic in (False, True):
            atoms = glass(repeats, triclinic=triclinic)
            work = f"Voronoi cells, {len(atoms)} atoms, {'triclinic' if triclinic else 'cubic'}"
            rounds, repeated = (5, 3) if repeats == 5 else (3, 3) if not triclinic else (1, 3)

            def ours(atoms: Atoms = atoms) -> Tessellation:
                return tessellate(atoms)

            peers = {"pyvoro2, 1 thread": pyvoro2_volumes(atoms)}
            if importlib.util.find_spec("ovito"):
                peers["OVITO"] = ovito_volumes(atoms)
            for peer, theirs in peers.items():
                made.append(compare(work, peer, ours, theirs, agreement, rounds=rounds, repeats=repeated))
    return made


def memory() -> str:
    """Measure by how much 104 167 atoms raise the peak memory of this process."""
    atoms = glass(25, triclinic=False)
    tessellate(glass(5, triclinic=False))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells = tessellate(atoms)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"{len(atoms)} atoms, {len(cells.i)} faces: {added / 1024:.0f} MB above the peak before"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out 104 167 atoms")
    arguments = parser.parse_args()
    if not arguments.quick:
        print(memory(), flush=True)
    show(rows(quick=arguments.quick))


if __name__ == "__main__":
    main()
