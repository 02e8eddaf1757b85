"""Scalar fields on periodic grids."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["float64", "float32"]
"""The numbers that a field is kept in."""

FieldKind = Literal[
    "bond_valence",
    "bond_valence_mismatch",
    "signed_bond_valence_mismatch",
    "bond_valence_window",
    "site_energy",
    "distance",
    "pore_radius",
    "other",
]
"""What the values of a field are, for code to go by; `quantity` says it to people."""

DEFAULT_SPACING: Final = 0.1
"""Spacing of a grid for which neither a spacing nor a number of points is given [Å]."""


@dataclass(frozen=True, eq=False)
class ScalarField:
    """A periodic scalar field on a regular grid over a cell.

    ``values[i, j, k]`` belongs to the point at fractional coordinates ``(i/nx, j/ny, k/nz)``. The field is periodic:
    index ``nx`` is index 0, and the end point is never stored. Points where the quantity is not defined (inside an
    exclusion radius, say) are NaN.
    """

    values: NDArray[np.floating[Any]]
    """(nx, ny, nz) values in `unit`."""
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    quantity: str
    """What the values are, in words: "bond valence sum of Mg2+"."""
    unit: str
    """Unit of the values: "v.u.", "eV", "Å"."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """How the field was made: every parameter by name, JSON-serialisable."""
    kind: FieldKind = "other"
    """What the values are, as code tells fields apart."""
    ion: str | None = None
    """The mobile ion that the field belongs to, "Mg2+"; None where it is that of no ion."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What was looked up and assumed for it, JSON-serialisable and named as in the figures of its map: the bond-valence
    parameters with set and source, what counts as an anion, where the oxidation states come from."""

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape:
            raise ValueError(f"a scalar field needs three non-empty axes, got the shape {self.values.shape}")
        finite = np.shape(self.cell) == (3, 3) and bool(np.isfinite(self.cell).all())
        if not finite or not abs(np.linalg.det(self.cell)) > 0:
            raise ValueError(f"a scalar field needs three independent lattice vectors, got {self.cell!r}")

    def __repr__(self) -> str:
        unit = f" [{self.unit}]" if self.unit else ""
        return f"ScalarField({self.quantity}{unit}, {' × '.join(map(str, self.grid))} points)"

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of points along each lattice vector."""
        nx, ny, nz = self.values.shape
        return nx, ny, nz

    @property
    def cell_volume(self) -> float:
        """Volume of the cell [Å³]."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def voxel_volume(self) -> float:
        """Volume that one grid point stands for [Å³]."""
        return self.cell_volume / self.values.size


def grid_points(cell: NDArray[np.float64], spacing: float | None = None) -> tuple[int, int, int]:
    """Choose the number of grid points along each lattice vector for a spacing of at most `spacing` [Å] (default 0.1).

    >>> grid_points(np.diag([20.38, 10.0, 5.05]), 0.1)
    (204, 100, 51)
    """
    spacing = DEFAULT_SPACING if spacing is None else spacing
    lengths = np.linalg.norm(cell, axis=1)
    # 1e-9: a length that is a whole number of spacings must not gain a point by rounding
    nx, ny, nz = (max(1, int(np.ceil(length / spacing - 1e-9))) for length in lengths)
    return nx, ny, nz
