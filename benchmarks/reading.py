"""A CIF of 10 648 atoms against ASE's reader: in P 1, and 1320 rows under a group of eight operations.

Run ``python benchmarks/reading.py``. Cells and distances of both are compared; ours checks formula, occupancies and
shared sites as well.
"""

import argparse
import tempfile
from pathlib import Path

import gemmi
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read as ase_read
from timing import Comparison, compare, show

from amorph.export import write_structure
from amorph.reading import read_structure

NAMES = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare both files."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("P 1", _plain), ("P n m a", _symmetric)):
            path = Path(folder) / f"{name.replace(' ', '')}.cif"
            write(path, 3 if quick else 11)
            number = len(read_structure(path))
            found.append(
                compare(
                    f"CIF in {name}, {number} atoms",
                    "ASE",
                    lambda path=path: read_structure(path),
                    lambda path=path: ase_read(path),
                    _agreement,
                    rounds=1,
                    repeats=1,
                )
            )
    return found


def _plain(path: Path, repeats: int) -> None:
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=0)
    write_structure(path, atoms)


def _symmetric(path: Path, repeats: int) -> None:
    """Write points of the asymmetric unit of P n m a, none near a special position."""
    steps = (2 * repeats, repeats - 1, 6 if repeats > 6 else 2)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in steps], indexing="ij"), axis=-1).reshape(-1, 3)
    fractions = (grid + 0.5) / steps * [0.5, 0.25, 1.0]
    operations = [operation.triplet() for operation in gemmi.find_spacegroup_by_name("P n m a").operations()]
    cell = "".join(f"_cell_{name} {90 if 'angle' in name else 60}\n" for name in NAMES)
    symmetry = "loop_\n_space_group_symop_operation_xyz\n" + "".join(f"'{text}'\n" for text in operations)
    sites = "".join(f"O{k} O {x:.5f} {y:.5f} {z:.5f}\n" for k, (x, y, z) in enumerate(fractions))
    columns = "".join(f"_atom_site_{name}\n" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z"))
    path.write_text(f"data_a\n{cell}_space_group_name_H-M_alt 'P n m a'\n{symmetry}loop_\n{columns}{sites}")


def _agreement(ours: Atoms, theirs: Atoms) -> str:
    if len(ours) != len(theirs):
        raise SystemExit(f"{len(ours)} atoms against {len(theirs)}")
    first, second = (
        np.sort(np.round(atoms.get_scaled_positions() % 1.0 @ [1.0, np.pi, np.e], 6)) for atoms in (ours, theirs)
    )
    return f"positions within {np.abs(first - second).max():.1e}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small files: to see that it runs")
    show(rows(quick=parser.parse_args().quick))
