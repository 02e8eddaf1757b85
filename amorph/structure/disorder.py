"""Crystals whose sites are shared or partly empty, as they stand in a file."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

_FULL: Final = 1e-3
"""Occupancy by which a site may miss 1 and still be full."""


@dataclass(frozen=True)
class Share:
    """One species on a site."""

    element: str
    """Chemical symbol."""
    occupancy: float
    """Share of the sites that it fills, 0 to 1."""
    oxidation_state: float | None = None
    """Oxidation state [e]; None where the file names none."""
    label: str = ""
    """Name of the row in the file."""

    def __str__(self) -> str:
        if not self.label or self.label.startswith(self.element):
            return self.label or self.element
        return f"{self.label} ({self.element})"


@dataclass(frozen=True, eq=False)
class SharedSite:
    """Equivalent positions of a cell, and the species that share them."""

    positions: NDArray[np.float64]
    """(m, 3) fractional coordinates, one row for each equivalent position."""
    shares: tuple[Share, ...]
    """The species; what is missing to 1 is empty."""

    @property
    def occupancy(self) -> float:
        """Filled share of the positions."""
        return sum(share.occupancy for share in self.shares)

    @property
    def is_whole(self) -> bool:
        """Tell whether one element fills the site."""
        if len(self.shares) == 1:
            return abs(self.shares[0].occupancy - 1.0) <= _FULL
        return len({share.element for share in self.shares}) == 1 and abs(self.occupancy - 1.0) <= _FULL

    def __str__(self) -> str:
        return ", ".join(f"{share} {share.occupancy:g}" for share in self.shares)


@dataclass(frozen=True, eq=False)
class Alternative:
    """A group of atoms that are there together or not at all."""

    name: str
    """Name of the group in the file: "1", "2"; "-1" about a symmetry element."""
    occupancy: float
    """Share of the places that it fills, 0 to 1."""
    shares: tuple[Share, ...]
    """Its atoms at one place."""
    positions: NDArray[np.float64]
    """(m, n, 3) fractional coordinates of its n atoms at each of m equivalent places, in one piece across faces."""


@dataclass(frozen=True, eq=False)
class Assembly:
    """Alternatives of which one at most is there at each place."""

    name: str
    """Name in the file; empty where it has none."""
    alternatives: tuple[Alternative, ...]
    """The groups."""

    def __str__(self) -> str:
        groups = ", ".join(
            f"group {each.name} {each.occupancy:g} with {' '.join(dict.fromkeys(map(str, each.shares)))}"
            for each in self.alternatives
        )
        return f"assembly {self.name or '.'}: {groups}"


@dataclass(frozen=True, eq=False)
class DisorderedCrystal:
    """Average content of a cell."""

    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows [Å]."""
    sites: tuple[SharedSite, ...]
    """Sites with their equivalent positions."""
    assemblies: tuple[Assembly, ...] = ()
    """Groups of disordered atoms that exclude each other."""

    @property
    def partial(self) -> tuple[SharedSite | Assembly, ...]:
        """The sites that more or less than one element fills, and the assemblies."""
        return (*(site for site in self.sites if not site.is_whole), *self.assemblies)

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n, 3) fractional coordinates of every site and alternative."""
        placed = [site.positions for site in self.sites]
        placed += [each.positions.reshape(-1, 3) for found in self.assemblies for each in found.alternatives]
        return np.concatenate(placed)

    def atoms(self) -> Atoms:
        """Give the crystal as atoms.

        Raises
        ------
        ValueError
            A site is shared or partly empty.
        """
        if partial := self.partial:
            more = f" and {len(partial) - 1} more" if len(partial) > 1 else ""
            what = "alternatives" if isinstance(partial[0], Assembly) else "a partly occupied site"
            raise ValueError(f"has {what} ({partial[0]}){more}; make ordered cells of it with amorph order")
        numbers = [len(site.positions) for site in self.sites]
        atoms = Atoms(
            np.repeat([site.shares[0].element for site in self.sites], numbers).tolist(),
            scaled_positions=np.concatenate([site.positions for site in self.sites]),
            cell=self.cell,
            pbc=True,
        )
        states = [_mean_state(site) for site in self.sites]
        if all(state is not None for state in states):
            atoms.set_array("oxidation_states", np.repeat(np.array(states, dtype=np.float64), numbers))
        return atoms


def _mean_state(site: SharedSite) -> float | None:
    """Give the mean oxidation state on a site of one element, as of Fe2+ and Fe3+ in equal parts."""
    if len(site.shares) == 1:
        return site.shares[0].oxidation_state
    known = [(share.oxidation_state, share.occupancy) for share in site.shares if share.oxidation_state is not None]
    if len(known) < len(site.shares):
        return None
    return sum(state * occupancy for state, occupancy in known) / site.occupancy
