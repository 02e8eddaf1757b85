"""The free volume around each ion of the mobile species."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from amorph.analysis import grids
from amorph.analysis.percolation import Side
from amorph.fields import ScalarField
from amorph.figures import Result, Row, plain
from amorph.parameters import Length, Threads, checked
from amorph.structure import periodic_atoms
from amorph.tables import element_of


@dataclass(frozen=True, eq=False)
class LocalFreeVolume(Result):
    """The free volume around each ion of the mobile species."""

    ion: str
    """The species, as it was asked for."""
    indices: NDArray[np.int64]
    """(n,) the ions' places in the structure."""
    volumes: NDArray[np.float64]
    """(n,) volume of the free points that are nearer to this ion than to any other of its species [Å³]."""
    far_volume: float
    """Free volume farther than `within` from every one of them [Å³]; the volumes and this add up to all of it."""
    within: float | None
    """Farthest that a free point may be from its ion [Å]; None for any distance."""

    @property
    def mean(self) -> float:
        """Mean over the ions [Å³]."""
        return float(self.volumes.mean())

    @property
    def standard_deviation(self) -> float:
        """Standard deviation over the ions, with the divisor n [Å³]."""
        return float(self.volumes.std())

    @property
    def coefficient_of_variation(self) -> float:
        """Standard deviation over mean: 0 where every ion has the same; NaN where none has any."""
        return self.standard_deviation / self.mean if self.mean > 0.0 else math.nan

    def figures(self) -> dict[str, Any]:
        """Give every figure."""
        return {
            "ion": self.ion,
            "ions": len(self.volumes),
            "mean_A3": self.mean,
            "standard_deviation_A3": self.standard_deviation,
            "minimum_A3": float(self.volumes.min()),
            "maximum_A3": float(self.volumes.max()),
            "coefficient_of_variation": plain(self.coefficient_of_variation),
            "far_volume_A3": self.far_volume,
            "volumes": self.volumes.tolist(),
        }

    def rows(self) -> list[Row]:
        """Give what is compared with another structure."""
        return [
            Row("room per ion, mean", self.mean, "Å³"),
            Row("room per ion, coefficient of variation", plain(self.coefficient_of_variation)),
        ]


@checked
def local_free_volume(
    field: ScalarField,
    atoms: Atoms,
    ion: str,
    *,
    threshold: float,
    side: Side = "above",
    within: Length | None = None,
    threads: Threads | None = None,
) -> LocalFreeVolume:
    """Share the free volume out among the ions of the mobile species, each free point to the nearest.

    Parameters
    ----------
    field
        Field that tells free points, on the cell of the structure.
    atoms
        The structure.
    ion
        The mobile ion: "Mg2+", or the bare element.
    threshold
        Value that decides, in the field's unit.
    within
        Points farther than this from every one of the ions belong to none [Å]; by default all belong to one.

    Raises
    ------
    ValueError
        No such ion in the structure; a structure in another cell.

    Examples
    --------
    The four Mg of MgO share the volume outside spheres of 1.7 Å evenly:

    >>> from ase.build import bulk
    >>> from amorph.analysis.distance.maps import distance_map
    >>> crystal = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    >>> field = distance_map(crystal, grid=(40, 40, 40))
    >>> round(local_free_volume(field, crystal, "Mg2+", threshold=1.5).coefficient_of_variation, 1)
    0.0
    """
    from amorph.analysis.voids._pores import share_out

    atoms = periodic_atoms(atoms)
    element = element_of(ion)
    indices = np.flatnonzero(atoms.symbols == element)
    if not len(indices):
        raise ValueError(f"no {element} in {atoms.symbols.formula.format('hill')}; name an ion that it has")
    if not np.allclose(field.cell, atoms.cell.array, rtol=0, atol=1e-9):
        raise ValueError(f"the cell of the {field.quantity} is not that of the structure; pass the structure it is of")
    inside = field.values >= threshold if side == "above" else field.values <= threshold
    layout = grids.make_grid(field.cell, field.grid)
    bins = grids.make_bins(field.cell, atoms.positions[indices], np.arange(len(indices), dtype=np.float64))
    guess = (field.cell_volume / len(indices)) ** (1 / 3)
    limit = math.inf if within is None else grids.largest_square_within(within)

    def work(first: int, slab: NDArray[np.bool_]) -> NDArray[np.int64]:
        counts = np.zeros(len(indices) + 1, np.int64)
        share_out(first, slab, tuple(layout), tuple(bins), guess, limit, counts)
        return counts

    counts = np.sum(grids.over_slabs(inside, work, threads), axis=0)
    volumes = counts * field.voxel_volume
    return LocalFreeVolume(ion, indices, volumes[:-1], float(volumes[-1]), within)
