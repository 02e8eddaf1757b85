"""A crystal by its space group, cell and asymmetric unit."""

from dataclasses import dataclass
from typing import Final

from ase import Atoms
from ase.spacegroup import Spacegroup, crystal

AFLOW: Final = "as in the AFLOW library of prototypes, doi:10.1016/j.commatsci.2017.01.017"
"""Where the parameters of many crystals are printed a second time."""


@dataclass(frozen=True)
class Crystal:
    """A crystal by its space group, cell and asymmetric unit."""

    name: str
    """Stem of the file."""
    group: int
    """Number of the space group."""
    symbol: str
    """Hermann–Mauguin symbol with the setting that is used."""
    cell: tuple[float, ...]
    """a, b, c [Å], α, β, γ [°]."""
    sites: tuple[tuple[str, int, float, float, float], ...]
    """Element, oxidation state [e], fractional coordinates."""
    source: str
    """Where the parameters are published, or how they were derived."""
    status: str
    """What of it was opened: "verified", "reference", "corroborated" or "unverified"; explained in the README."""
    setting: int = 1
    """Setting of the space group in ASE: 2 is the origin at the centre of inversion."""

    @property
    def space_group(self) -> Spacegroup:
        """Operations of the space group."""
        return Spacegroup(self.group, self.setting)

    def atoms(self) -> Atoms:
        """Build the conventional cell."""
        atoms: Atoms = crystal(
            [site[0] for site in self.sites],
            basis=[site[2:] for site in self.sites],
            spacegroup=self.space_group,
            cellpar=self.cell,
        )
        return atoms
