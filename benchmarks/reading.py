"""A CIF against ASE's reader, in P 1 and under a group of eight operations; and what files of 1.4 million atoms take.

Run ``python benchmarks/reading.py``; ``--large`` reads the large files alone. Cells and distances of both are compared;
ours checks formula, occupancies and shared sites as well.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read as ase_read, write as write_trajectory
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
            write(path, 3 if quick else 5)
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


LARGE = {
    "CIF": "a.cif",
    "POSCAR": "POSCAR",
    "XDATCAR": "XDATCAR",
    "extended XYZ": "a.extxyz",
    "extended XYZ, ions": "ions.extxyz",
    "LAMMPS dump": "a.lammpstrj",
    "LAMMPS dump, ions": "ions.lammpstrj",
    "LAMMPS data": "a.data",
    "XSF": "a.xsf",
    "DFTB+ gen": "a.gen",
    "ASE trajectory": "a.traj",
}
"""Formats that are read at once with many atoms, and names of their files."""
READ = """
import sys, time
from amorph.reading import read_structure
begun, used = time.perf_counter(), time.process_time()
number = len(read_structure(sys.argv[1]))
begun, used = time.perf_counter() - begun, time.process_time() - used
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{number} atoms: {begun:.1f} s, {used:.1f} s of processor time, {peak / 1e6:.2f} GB")
"""
"""Reads a file and prints the time it took, and the most memory that the process has had, modules and all."""


def large(repeats: int) -> None:
    """Print what reading MgO in that many cells along each axis takes, each format in a process of its own."""
    atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=0)
    for kind, name in LARGE.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            if path.suffix == ".traj":
                write_trajectory(path, atoms)
            else:
                with path.open("w") as file:
                    file.writelines(_text(name, atoms))
            said = subprocess.run([sys.executable, "-c", READ, path], check=True, capture_output=True, text=True).stdout
            print(f"{kind}, {path.stat().st_size / 1e6:.0f} MB, {said.strip()}", flush=True)


def _text(name: str, atoms: Atoms) -> Iterator[str]:
    """Write a file of a format as its own programs do."""
    number, edge, suffix = len(atoms), atoms.cell.lengths()[0], name.rpartition(".")[2]
    lattice = f"{edge} 0 0\n0 {edge} 0\n0 0 {edge}\n"
    names = np.array(["O2-", "Mg2+"] if name.startswith("ions") else ["O", "Mg"])[(atoms.numbers == 12).astype(int)]
    if suffix in {"POSCAR", "XDATCAR"}:
        atoms, names = atoms[np.argsort(atoms.numbers)[::-1]], [""] * number
    places = atoms.get_scaled_positions() if suffix in {"cif", "POSCAR", "XDATCAR"} else atoms.positions
    columns = [f"_atom_site_{name}\n" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z")]
    sides = "".join(f"_cell_{name} {90 if 'angle' in name else edge}\n" for name in NAMES)
    bounds = "".join(f"0 {edge} {axis}lo {axis}hi\n" for axis in "xyz")
    yield {
        "cif": f"data_a\n{sides}loop_\n{''.join(columns)}",
        "POSCAR": f"MgO\n1.0\n{lattice}Mg O\n{number // 2} {number // 2}\nDirect\n",
        "XDATCAR": f"MgO\n1.0\n{lattice}Mg O\n{number // 2} {number // 2}\nDirect configuration= 1\n",
        "extxyz": f'{number}\nLattice="{" ".join(lattice.split())}" Properties=species:S:1:pos:R:3 pbc="T T T"\n',
        "lammpstrj": f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{number}\nITEM: BOX BOUNDS pp pp pp\n"
        f"{3 * f'0 {edge}{chr(10)}'}ITEM: ATOMS id element x y z\n",
        "data": f"MgO\n\n{number} atoms\n2 atom types\n{bounds}\nMasses\n\n1 15.999\n2 24.305\n\nAtoms # atomic\n\n",
        "xsf": f"CRYSTAL\nPRIMVEC\n{lattice}PRIMCOORD\n{number} 1\n",
        "gen": f"{number} S\nO Mg\n",
    }[suffix]
    begin = {"cif": "{name}{k} {name} ", "extxyz": "{name} ", "lammpstrj": "{k} {name} ", "data": "{k} {kind} "}
    row = begin.get(suffix, {"xsf": "{z} ", "gen": "{k} {kind} "}.get(suffix, "")) + "{x:.8f} {y:.8f} {z_:.8f}\n"
    for k, (name_, z, (x, y, z_)) in enumerate(zip(names, atoms.numbers, places.tolist(), strict=True), 1):
        yield row.format(k=k, name=name_, kind=1 + (z == 12), z=z, x=x, y=y, z_=z_)
    if suffix == "gen":
        yield f"0 0 0\n{lattice}"


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
    parser.add_argument("--large", action="store_true", help="nothing but the large files")
    chosen = parser.parse_args()
    if not chosen.large:
        show(rows(quick=chosen.quick))
    large(5 if chosen.quick else 56)
