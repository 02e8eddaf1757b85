"""Files of 200³ points against ASE's and pymatgen's writers.

Run ``python benchmarks/grid_files.py``. The field is finite everywhere; both files are read back and compared.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ase.io.cube import read_cube, write_cube as ase_write_cube
from grid_bvs import shaken_cell
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Chgcar, Poscar
from timing import Comparison, compare, show

from amorph.analysis.bvs import bvs_map, window_field
from amorph.export.fields import write_field


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare CUBE with ASE and CHGCAR, a quarter as long, with pymatgen."""
    with tempfile.TemporaryDirectory() as folder:
        return [_cube(Path(folder), 40 if quick else 200), _chgcar(Path(folder), 40 if quick else 100)]


def _cube(folder: Path, n: int) -> Comparison:
    atoms = shaken_cell(np.random.default_rng(0))
    field = window_field(bvs_map(atoms, "Mg2+", grid=(n, n, n)))
    ours, theirs = folder / "ours.cube", folder / "theirs.cube"

    def by_ase() -> None:
        with theirs.open("w") as file:
            ase_write_cube(file, atoms, field.values)

    def agreement(*_: None) -> str:
        data = []
        for path in (ours, theirs):
            with path.open() as file:
                data.append(read_cube(file)["data"])
        return _difference(*data)

    return compare(
        f"CUBE file, {n}³ points",
        "ase.io.cube.write_cube",
        lambda: write_field(ours, field, atoms),
        by_ase,
        agreement,
        rounds=3,
    )


def _chgcar(folder: Path, n: int) -> Comparison:
    atoms = shaken_cell(np.random.default_rng(0))
    atoms = atoms[np.argsort(atoms.numbers, kind="stable")]
    field = window_field(bvs_map(atoms, "Mg2+", grid=(n, n, n)))
    ours, theirs = folder / "CHGCAR_ours", folder / "CHGCAR_theirs"
    peer = Chgcar(Poscar(AseAtomsAdaptor.get_structure(atoms)), {"total": field.values * field.cell_volume})

    def agreement(*_: None) -> str:
        return _difference(*(Chgcar.from_file(path).data["total"] for path in (ours, theirs)))

    return compare(
        f"CHGCAR, {n}³ points",
        "pymatgen Chgcar.write_file",
        lambda: write_field(ours, field, atoms),
        lambda: peer.write_file(theirs),
        agreement,
        rounds=3,
    )


def _difference(ours: np.ndarray, theirs: np.ndarray) -> str:
    worst = float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-99)))
    if ours.shape != theirs.shape or not worst < 1.1e-5:  # half a unit of the sixth digit in either
        raise SystemExit(f"the files differ by {worst:.1e}")
    return f"read back, the values differ by {worst:.0e} at most"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40³ points")
    show(rows(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
