"""Coordination numbers from the faces of Voronoi cells."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from amorph.analysis.voronoi.cells import Tessellation
from amorph.figures import Result
from amorph.parameters import Fraction, checked


@dataclass(frozen=True, slots=True)
class PairCoordination:
    """Faces of the cells of one species towards another; means over all atoms of the first."""

    species: str
    """Chemical symbol of the atoms whose cells are counted."""
    neighbor: str
    """Chemical symbol of the atoms behind the faces; "any" for all of them."""
    coordination_number: float
    """Mean number of faces of at least the smallest share."""
    effective_coordination_number: float
    """Mean of (Σ a)²/Σ a² over all faces towards the neighbor's species; 0 for an atom without any."""
    area: float
    """Mean area of all faces towards the neighbor's species [Å²]."""
    share: float
    """Mean share of the surface that these faces have."""


@dataclass(frozen=True, eq=False)
class FaceCoordination(Result):
    """Coordination by the area of Voronoi faces."""

    coordination_numbers: NDArray[np.int64]
    """(n,) faces of at least the smallest share of the atom's surface."""
    effective_coordination_numbers: NDArray[np.float64]
    """(n,) (Σ a)²/Σ a² over all faces of the atom: their number if they were equal. 0 for an empty cell."""
    counted: NDArray[np.bool_]
    """(m,) the faces that count, in the order of the tessellation."""
    pairs: tuple[PairCoordination, ...]
    """Means by species and species of the neighbors, in alphabetical order, "any" after each species' own."""
    smallest_share: float
    """The smallest share of the surface that counts."""
    _large: ClassVar[frozenset[str]] = frozenset({"coordination_numbers", "effective_coordination_numbers", "counted"})

    def table(self) -> list[dict[str, str | float]]:
        """Give one row per pair of species."""
        return [
            {
                "species": pair.species,
                "neighbor": pair.neighbor,
                "coordination": pair.coordination_number,
                "effective_coordination": pair.effective_coordination_number,
                "area_A2": pair.area,
                "share_of_the_surface": pair.share,
            }
            for pair in self.pairs
        ]


@checked
def face_coordination(cells: Tessellation, *, smallest_share: Fraction = 0.05) -> FaceCoordination:
    r"""Count the neighbors of each atom by the faces that its cell shares with them.

    Parameters
    ----------
    cells
        Voronoi or power tessellation.
    smallest_share
        Smallest share of an atom's surface that a face must have to count. Faces of 1 % or 2 % are those of the
        second shell, seen between the atoms of the first.

    Notes
    -----
    The effective coordination number :math:`(\sum_j a_{ij})^2 / \sum_j a_{ij}^2` weighs the faces by their area a and
    needs no threshold: n for n equal faces, and a face that vanishes leaves it continuously. This form (the
    participation number of the areas) is ours.

    Examples
    --------
    >>> from ase.build import bulk
    >>> cells = tessellate(bulk("Fe", "bcc", a=4.0))
    >>> [face_coordination(cells, smallest_share=share).coordination_numbers.item() for share in (0.01, 0.05)]
    [14, 8]
    """
    n = len(cells.volumes)
    counted = cells.shares >= smallest_share
    effective = _effective(cells.i, cells.areas, n)
    species = sorted(set(cells.symbols))
    kind = np.array([species.index(symbol) for symbol in cells.symbols])
    behind = kind[cells.j]
    pairs = []
    for a, name in enumerate(species):
        own = kind == a
        for b, neighbor in [*enumerate(species), (None, "any")]:
            towards = np.ones(len(cells.i), bool) if b is None else behind == b
            i, areas = cells.i[towards], cells.areas[towards]
            pairs.append(
                PairCoordination(
                    name,
                    neighbor,
                    float(np.bincount(i[counted[towards]], minlength=n)[own].mean()),
                    float(_effective(i, areas, n)[own].mean()),
                    float(np.bincount(i, areas, n)[own].mean()),
                    float(np.bincount(i, cells.shares[towards], n)[own].mean()),
                )
            )
    return FaceCoordination(
        np.bincount(cells.i[counted], minlength=n), effective, counted, tuple(pairs), smallest_share
    )


def _effective(i: NDArray[np.int64], areas: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    total, squares = np.bincount(i, areas, n), np.bincount(i, areas**2, n)
    return np.divide(total**2, squares, out=np.zeros(n), where=squares > 0.0)
