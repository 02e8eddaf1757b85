"""How the share of the window depends on the width of the window and on the grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Len
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis.bvs.maps import bvs_map
from amorph.analysis.bvs.result import Blocking, BvsMap
from amorph.analysis.grids import Task, resolve_points
from amorph.fields import Precision
from amorph.parameters import Count, Length, NonNegativeLength, Valence, checked
from amorph.structure import periodic_atoms

Windows = Annotated[tuple[Valence, ...], Len(1)]
Edges = Annotated[tuple[Count, ...], Len(1)]


@dataclass(frozen=True, eq=False)
class WindowConvergence:
    """Shares of the cell with |v − V| < w, for several w on several grids."""

    ion: str
    """The ion whose valence is summed: "Mg2+"."""
    target_valence: float
    """V, the valence of the ion [v.u.]."""
    windows: tuple[float, ...]
    """Half widths w of the window [v.u.]."""
    grids: tuple[tuple[int, int, int], ...]
    """Points of each grid along each lattice vector."""
    spacings: tuple[float, ...]
    """Largest distance between neighbouring points of each grid [Å]."""
    excluded_fractions: tuple[float, ...]
    """Share of the cell's points that are excluded, on each grid."""
    window_fractions_of_cell: NDArray[np.float64]
    """(grids, windows) share of the cell's points that are in the window."""
    blocking: Blocking
    """Whether all atoms block, or the framework only: without the ions of the mobile element."""
    exclusion_radius: float
    """Points nearer than this to a blocking atom are excluded [Å]."""
    source: str
    """Where r0 and b come from."""

    @property
    def window_fractions_of_accessible(self) -> NDArray[np.float64]:
        """(grids, windows) share of the points not excluded that are in the window; 0 where all are excluded."""
        accessible = 1.0 - np.array(self.excluded_fractions)[:, None]
        return np.divide(
            self.window_fractions_of_cell,
            accessible,
            out=np.zeros_like(self.window_fractions_of_cell),
            where=accessible > 0,
        )

    def table(self) -> list[dict[str, str | float]]:
        """Give one row for each grid: its spacing [Å], the excluded share, and the share of each window."""
        rows = []
        for n, grid in enumerate(self.grids):
            row: dict[str, str | float] = {
                "grid": " × ".join(map(str, grid)),
                "spacing_A": self.spacings[n],
                "excluded": self.excluded_fractions[n],
            }
            shares = self.window_fractions_of_cell[n].tolist()
            rows.append(row | {f"w = {w:g}": share for w, share in zip(self.windows, shares, strict=True)})
        return rows


@checked
def window_convergence(
    atoms: Atoms,
    ion: str,
    *,
    windows: Windows = (0.1, 0.2, 0.3, 0.4, 0.5),
    grids: Edges = (50, 100, 200),
    cutoff: Length = 6.0,
    exclusion_radius: NonNegativeLength = 1.7,
    anion_exclusion_radius: NonNegativeLength | None = None,
    blocking: Blocking = "all",
    r0: Length | None = None,
    b: Length | None = None,
    anion: str = "O",
    parameters: Path | None = None,
    precision: Precision = "float64",
    threads: Count | None = None,
    progress: Task | None = None,
) -> WindowConvergence:
    """Find the share of the window for several widths on several grids.

    Parameters
    ----------
    atoms
        Structure, periodic in three directions; any cell.
    ion
        The mobile ion: "Mg2+".
    windows
        Half widths of the window around the valence of the ion [v.u.].
    grids
        Points along the longest lattice vector; along the others as many as make the spacing no larger.
    cutoff, exclusion_radius, anion_exclusion_radius, blocking, r0, b, anion, parameters, precision, threads, progress
        As in :func:`amorph.analysis.bvs.bvs_map`.

    Returns
    -------
    WindowConvergence
        The shares; each is what :func:`amorph.analysis.bvs.bvs_map` gives for that window on that grid.

    Raises
    ------
    ValueError
        As in :func:`amorph.analysis.bvs.bvs_map`.

    Examples
    --------
    Of 10³ points in MgO without its Mg, the four sites of Mg alone are in the window:

    >>> from ase.build import bulk
    >>> crystal = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    >>> made = window_convergence(crystal, "Mg2+", windows=(0.4,), grids=(10,), blocking="framework", threads=1)
    >>> made.grids, made.window_fractions_of_cell.tolist()
    (((10, 10, 10),), [[0.004]])
    """
    atoms = periodic_atoms(atoms)
    lengths = atoms.cell.lengths()
    # every grid is refused or settled before the first map
    item = np.dtype(precision).itemsize
    points = [resolve_points(atoms.cell.array, None, float(lengths.max() / n), bytes_per_point=item) for n in grids]
    excluded, shares = [], []
    for grid in points:
        made = bvs_map(
            atoms,
            ion,
            grid=grid,
            cutoff=cutoff,
            exclusion_radius=exclusion_radius,
            anion_exclusion_radius=anion_exclusion_radius,
            blocking=blocking,
            r0=r0,
            b=b,
            anion=anion,
            parameters=parameters,
            precision=precision,
            threads=threads,
            progress=progress,
        )
        excluded.append(made.excluded_fraction)
        shares.append(_shares(made, windows))
        found, valence, source = made.ion, made.target_valence, made.source
        del made  # one map at a time in memory
    return WindowConvergence(
        ion=found,
        target_valence=valence,
        windows=windows,
        grids=tuple(points),
        spacings=tuple(float(max(lengths / grid)) for grid in points),
        excluded_fractions=tuple(excluded),
        window_fractions_of_cell=np.array(shares),
        blocking=blocking,
        exclusion_radius=exclusion_radius,
        source=source,
    )


def _shares(made: BvsMap, windows: tuple[float, ...]) -> NDArray[Any]:
    counts = np.zeros(len(windows), dtype=np.int64)
    for plane in made.field.values:
        mismatch = np.abs(plane[~np.isnan(plane)].astype(np.float64) - made.target_valence)
        counts += [np.count_nonzero(mismatch < window) for window in windows]
    return counts / made.field.values.size
