"""The atom graph and the bond graph of a batch, cut exactly from the Verlet lists, by index arithmetic on the device.

Nothing here asks the device for a number: every array has a capacity, what lies beyond the true count is padding.
Padding points at rows that exist and is never summed (`torch_sums`), so it changes no result.

Bonds are numbered short ones first. Short edges are the directed edges below the bond graph's cutoff, sorted by their
center; an angle is an ordered pair of distinct short edges of one center, sorted by the first.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from amorph.chgnet.gpu.lists import Pairs
from amorph.chgnet.gpu.sums import References


class Sizes(NamedTuple):
    """How many bonds of each kind and angles there are, or there is room for."""

    shorts: int
    """Bonds of the bond graph."""
    longs: int
    """The other bonds of the atom graph."""
    angles: int


@dataclass(frozen=True, eq=False)
class Cut:
    """Which pairs of the lists are within the cutoffs."""

    pairs: Pairs
    vector: Tensor
    """(pairs, 3) from i to j [Å]."""
    square: Tensor
    """(pairs,) squared length [Å²], infinite beyond the cutoff."""
    own: Tensor
    """(pairs,) whether the pair stands for the bond, rather than its reverse."""
    short: Tensor
    """(pairs,) whether it is in the bond graph."""
    edges: Tensor
    """(pairs + 1,) number of pairs within the cutoff before each pair."""
    short_edges: Tensor
    """(pairs + 1,) the same for the bond graph's cutoff."""
    short_bonds: Tensor
    """(pairs + 1,) number of short bonds before each pair."""
    long_bonds: Tensor
    """(pairs + 1,) number of the other bonds before each pair."""
    sizes: Tensor
    """(3,) the true `Sizes`."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Bonds, directed edges, directed short edges and angles of a batch."""

    vector: Tensor
    """(bonds, 3) from the first atom of each bond to the second [Å], float64."""
    center: References
    """Of each edge to the atom it starts from."""
    neighbor: References
    """Of each edge to the atom it ends at."""
    bond: References
    """Of each edge to its bond."""
    sign: Tensor
    """(edges, 1) 1 where the edge runs as its bond does, else −1."""
    short_center: References
    """Of each short edge to the atom it starts from."""
    short_bond: References
    """Of each short edge to its short bond."""
    short_sign: Tensor
    """(short edges, 1)"""
    first: References
    """Of each angle to its first short edge."""
    second: References
    """Of each angle to its second short edge."""


def cut(pairs: Pairs, positions: Tensor, cells: Tensor, structure: Tensor, cutoff: float, bond_cutoff: float) -> Cut:
    """Measure all pairs and count those within the cutoffs.

    Parameters
    ----------
    positions
        (atoms, 3) of all structures [Å].
    cells
        (structures, 3, 3) rows are lattice vectors [Å].
    structure
        (atoms,) the structure of each atom.
    """
    away = (pairs.shift[:, :, None] * cells[structure[pairs.i]]).sum(dim=1)
    vector = positions[pairs.j] - positions[pairs.i] + away
    square = (vector**2).sum(dim=1)
    inside, short = square < cutoff**2, square < bond_cutoff**2
    own = torch.arange(len(pairs.i), device=positions.device) < pairs.reverse
    short_edges = _before(short)
    degrees = torch.diff(short_edges[pairs.starts])
    short_bonds, long_bonds = _before(own & short), _before(own & inside & ~short)
    sizes = torch.stack([short_bonds[-1], long_bonds[-1], (degrees * (degrees - 1)).sum()])
    square = torch.where(inside, square, torch.inf)
    return Cut(pairs, vector, square, own, short, _before(inside), short_edges, short_bonds, long_bonds, sizes)


def build(c: Cut, room: Sizes) -> Graph:
    """List bonds, edges and angles, with room for `room`; where that is too little, the result means nothing."""
    pairs, last = c.pairs, len(c.pairs.i) - 1
    bonds = room.shorts + room.longs
    own_short, own_long = _nth(c.short_bonds, room.shorts), _nth(c.long_bonds, room.longs)
    own = torch.cat([own_short, own_long]).clamp(max=last)
    number = torch.where(c.short, c.short_bonds[:-1], room.shorts + c.long_bonds[:-1])
    number = torch.where(c.own, number, number[pairs.reverse])
    sign = torch.where(c.own, 1.0, -1.0).to(c.vector.dtype)[:, None]

    edge = _nth(c.edges, 2 * bonds).clamp(max=last)
    starts = c.edges[pairs.starts].clamp(max=2 * bonds)
    reverse = c.edges[pairs.reverse[edge]].clamp(max=2 * bonds - 1)
    ends = torch.stack([c.edges[own], c.edges[pairs.reverse[own]]], dim=1).clamp(max=2 * bonds - 1)

    short_edge = _nth(c.short_edges, 2 * room.shorts).clamp(max=last)
    short_starts = c.short_edges[pairs.starts].clamp(max=2 * room.shorts)
    own = own_short.clamp(max=last)
    short_ends = torch.stack([c.short_edges[own], c.short_edges[pairs.reverse[own]]], dim=1)
    short_center = pairs.i[short_edge]
    first, second, mirror, angle_starts = _angles(short_center, short_starts, room)
    return Graph(
        vector=c.vector[torch.cat([own_short, own_long]).clamp(max=last)],
        center=References(pairs.i[edge], starts=starts),
        neighbor=References(pairs.j[edge], starts=starts, order=reverse),
        bond=References(number[edge].clamp(max=bonds - 1), ends=ends),
        sign=sign[edge],
        short_center=References(short_center, starts=short_starts),
        short_bond=References(
            number[short_edge].clamp(max=room.shorts - 1), ends=short_ends.clamp(max=2 * room.shorts - 1)
        ),
        short_sign=sign[short_edge],
        first=References(first, starts=angle_starts),
        second=References(second, starts=angle_starts, order=mirror),
    )


def _angles(center: Tensor, starts: Tensor, room: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pair each short edge with the others of its center.

    Returns
    -------
    (angles,) first edge; (angles,) second edge; (angles,) number of the angle with both exchanged; (short edges + 1,)
    first angle of each short edge.
    """
    edges = torch.arange(len(center), device=center.device)
    partners = (starts[center + 1] - starts[center] - 1).masked_fill(edges >= starts[-1], 0)
    before = torch.zeros(len(center) + 1, dtype=torch.long, device=center.device)
    before[1:] = partners.cumsum(0)
    angle = torch.arange(room.angles, device=center.device)
    first = torch.searchsorted(before[1:], angle, right=True).clamp(max=len(center) - 1)
    origin = starts[center[first]]
    second = origin + angle - before[first]
    # An edge makes no angle with itself.
    second = (second + (second >= first)).clamp(0, len(center) - 1)
    mirror = before[second] + first - origin - (first > second).long()
    return first, second, mirror.clamp(0, room.angles - 1), before.clamp(max=room.angles)


def _before(flags: Tensor) -> Tensor:
    """Count the flags set before each place, and all of them at the end."""
    counts = torch.zeros(len(flags) + 1, dtype=torch.long, device=flags.device)
    torch.cumsum(flags, 0, out=counts[1:])
    return counts


def _nth(before: Tensor, count: int) -> Tensor:
    """Find the places of the first `count` flags from their running count, without asking how many there are."""
    wanted = torch.arange(1, count + 1, device=before.device)
    return torch.searchsorted(before[1:], wanted)
