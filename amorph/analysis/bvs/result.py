"""A map of bond-valence sums, and how its points share out."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms

from amorph.fields import ScalarField
from amorph.figures import Plottable, Result
from amorph.machine.memory import refuse_beyond_memory
from amorph.tables import BondValence, element_of

Blocking = Literal["all", "framework"]


@dataclass(frozen=True, eq=False)
class BvsMap(Result, Plottable):
    r"""Bond-valence sums of one ion on a grid, and how the points share out.

    A point is excluded, under-bonded (v ≤ V − window), in the window (\|v − V\| < window) or over-bonded
    (v ≥ V + window), where V is the valence of the ion; the four shares of the cell add up to one. The window is not
    the free volume: roomy points are under-bonded.
    """

    field: ScalarField
    """Bond valence sum at every point [v.u.], NaN where excluded; its parameters are the arguments that repeat it."""
    atoms: Atoms
    """The structure, every atom of it."""
    ion: str
    """The ion whose valence is summed: "Mg2+"."""
    target_valence: float
    """V, the valence of the ion [v.u.]."""
    window: float
    """Half width of the window around V [v.u.]."""
    parameters: tuple[BondValence, ...]
    """Of the bond with each anion: r0, b and their source."""
    anions: str
    """What counts as an anion, and by what."""
    cutoff: float
    """Anions at this distance or nearer count [Å]."""
    exclusion_radius: float
    """Points nearer than this to a blocking atom are excluded [Å]."""
    anion_exclusion_radius: float
    """The same for anions [Å]."""
    blocking: Blocking
    """Whether all atoms block, or the framework only: without the ions of the mobile element."""
    excluded_fraction: float
    """Share of the cell's points that are excluded."""
    under_bonded_fraction_of_cell: float
    """Share of the cell's points that are under-bonded."""
    window_fraction_of_cell: float
    """Share of the cell's points that are in the window."""
    over_bonded_fraction_of_cell: float
    """Share of the cell's points that are over-bonded."""
    _large: ClassVar[frozenset[str]] = frozenset({"field", "atoms"})
    _derived: ClassVar[tuple[str, ...]] = (
        "grid",
        "r0",
        "b",
        "source",
        "anion",
        "under_bonded_fraction_of_accessible",
        "window_fraction_of_accessible",
        "over_bonded_fraction_of_accessible",
    )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of points along each lattice vector."""
        return self.field.grid

    @property
    def r0(self) -> float | None:
        """Length of a bond of unit valence [Å]; None where several anions have one each."""
        return self.parameters[0].r0 if len(self.parameters) == 1 else None

    @property
    def b(self) -> float | None:
        """Softness [Å]; None where several anions have one each."""
        return self.parameters[0].b if len(self.parameters) == 1 else None

    @property
    def source(self) -> str:
        """Where r0 and b come from."""
        return "; ".join(dict.fromkeys(each.source for each in self.parameters))

    @property
    def anion(self) -> str:
        """Chemical symbols of the anions."""
        return ",".join(element_of(each.anion) for each in self.parameters)

    @property
    def under_bonded_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are under-bonded; 0 where all are excluded."""
        return self._of_accessible(self.under_bonded_fraction_of_cell)

    @property
    def window_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are in the window; 0 where all are excluded."""
        return self._of_accessible(self.window_fraction_of_cell)

    @property
    def over_bonded_fraction_of_accessible(self) -> float:
        """Share of the points not excluded that are over-bonded; 0 where all are excluded."""
        return self._of_accessible(self.over_bonded_fraction_of_cell)

    @property
    def mismatch(self) -> ScalarField:
        r"""\|v − V\| at every point [v.u.], NaN where excluded."""
        signed = self.signed_mismatch
        np.abs(signed.values, out=signed.values)
        return replace(signed, quantity=f"bond valence mismatch of {self.ion}", kind="bond_valence_mismatch")

    @property
    def signed_mismatch(self) -> ScalarField:
        """v − V at every point [v.u.]: negative where under-bonded, NaN where excluded."""
        asked = f"a mismatch of {' × '.join(map(str, self.grid))} points beside its map"
        refuse_beyond_memory(self.field.values.nbytes, asked, "give fewer points, or float32")
        values = self.field.values - self.target_valence
        quantity = f"signed bond valence mismatch of {self.ion}"
        return replace(self.field, values=values, quantity=quantity, kind="signed_bond_valence_mismatch")

    def table(self) -> list[dict[str, str | float | None]]:
        """Give the shares of the cell and of its accessible points, and the volumes [Å³], one row for each region."""
        low, high = self.target_valence - self.window, self.target_valence + self.window
        volume = self.field.cell_volume
        rows: list[dict[str, str | float | None]] = [
            {
                "region": "excluded",
                "fraction_of_cell": self.excluded_fraction,
                "fraction_of_accessible": None,
                "volume_A3": self.excluded_fraction * volume,
            }
        ]
        for region, share in (
            (f"under-bonded, v ≤ {low:g}", self.under_bonded_fraction_of_cell),
            (f"window, {low:g} < v < {high:g}", self.window_fraction_of_cell),
            (f"over-bonded, v ≥ {high:g}", self.over_bonded_fraction_of_cell),
        ):
            rows.append(
                {
                    "region": region,
                    "fraction_of_cell": share,
                    "fraction_of_accessible": self._of_accessible(share),
                    "volume_A3": share * volume,
                }
            )
        return rows

    def _of_accessible(self, share: float) -> float:
        accessible = 1.0 - self.excluded_fraction
        return share / accessible if accessible > 0.0 else 0.0
