"""Maps of the bond-valence site energy against BVlain's, on the same points.

Run ``python benchmarks/grid_bvse.py``. BVlain sums over the k nearest atoms of each point. With its default of 100 it
does less than is asked of it (a sphere of 10 Å holds some 330 atoms, and ours counts them all); with k = 400 both do
the same work, and the maps must agree to 1e-3 eV: both tables are those of Chen & Adams (2019), BVlain's with two more
digits. BVlain searches neighbors with every processor, ours works in one thread.
"""

import argparse
import platform
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from grid_bvs import EDGE, shaken_cell
from numpy.typing import NDArray
from timing import Comparison, compare, show

from amorph.analysis.bvse import bvse_map
from amorph.reading import read_structure
from amorph.structure import to_pymatgen, with_oxidation_states

LOW = 10.0
"""Energies are compared below this [eV]: near nuclei both reach thousands."""

Values = NDArray[np.float64]


def rows(*, quick: bool = False) -> list[Comparison]:
    """Compare the maps of a crystal and of a cell with the composition of the glass."""
    crystal = read_structure(Path(__file__).parents[1] / "structures" / "LiFePO4.cif")
    glass = with_oxidation_states(shaken_cell(np.random.default_rng(0)), "formal")
    coarse = 16 if quick else 32
    compared = []
    for name, atoms, ion, spacing in (
        ("LiFePO4, 28 atoms", crystal, "Li+", 0.4 if quick else 0.2),
        ("glass, 834 atoms", glass, "Mg2+", EDGE / (coarse + 1.5)),
    ):
        for k, tolerance in ((400, 1e-3), (100, 0.1)):
            theirs = bvlain_map(atoms, ion, spacing, k)
            nx, ny, nz = theirs().shape
            row = compare(
                f"site energy of {ion}, {name}, {nx} × {ny} × {nz} points, 1 thread",
                f"bvlain with k = {k}",
                our_map(atoms, ion, (nx, ny, nz)),
                theirs,
                agreement_to(tolerance),
                rounds=1 if quick else 3,
            )
            compared.append(row)
    return compared


def our_map(atoms: Atoms, ion: str, grid: tuple[int, int, int]) -> Callable[[], Values]:
    """Prepare our map."""
    return lambda: np.asarray(bvse_map(atoms, ion, grid=grid, convention="half", threads=1).field.values)


def bvlain_map(atoms: Atoms, ion: str, spacing: float, k: int) -> Callable[[], Values]:
    """Prepare BVlain's map; its last plane along each axis is the first one again, and is taken off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bvlain import Lain
    peer = Lain(verbose=False)
    peer.read_structure(to_pymatgen(atoms), oxi_check=False)

    def make() -> Values:
        with np.errstate(all="ignore"):
            made = peer.bvse_distribution(mobile_ion=ion, r_cut=10.0, resolution=spacing, k=k)
        return np.asarray(made)[:-1, :-1, :-1]

    return make


def agreement_to(tolerance: float) -> Callable[[Values, Values], str]:
    """Make the check of two maps, to a tolerance [eV]."""

    def check(first: Values, second: Values) -> str:
        difference = float(np.abs(first - second)[first < LOW].max())
        if difference > tolerance:
            raise SystemExit(f"the maps differ by {difference:.2g} eV, more than {tolerance:g} eV")
        return f"largest difference {difference:.1e} eV below {LOW:g} eV"

    return check


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="coarser grids, one round")
    arguments = parser.parse_args()
    print(platform.processor() or platform.machine())
    show(rows(quick=arguments.quick))


if __name__ == "__main__":
    main()
