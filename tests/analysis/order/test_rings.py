from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from analysis.order.crystals import corundum, cristobalite, diamond, mgo, quartz, rutile, tridymite
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from hypothesis import given, settings, strategies as st

from amorph.analysis.order import find_rings, rings
from amorph.analysis.order.bonds import Links
from amorph.analysis.order.cycles import search_rings

Node = tuple[int, tuple[int, int, int]]
"""An atom and its image."""


class Net:
    """A periodic net in plain Python; its rings by the letter of their definitions, from all its cycles."""

    def __init__(self, n: int, links: list[tuple[int, int, tuple[int, int, int]]]) -> None:
        self.n = n
        self.neighbors: dict[int, set[Node]] = {i: set() for i in range(n)}
        for i, j, shift in links:
            self.neighbors[i].add((j, shift))
            self.neighbors[j].add((i, tuple(-s for s in shift)))

    def around(self, node: Node) -> list[Node]:
        return [(j, tuple(a + b for a, b in zip(node[1], s, strict=True))) for j, s in self.neighbors[node[0]]]

    def cycles(self, largest: int) -> list[list[Node]]:
        """All simple cycles of the endless net with a node in the cell, each once but for translations."""
        found = {}

        def extend(path: list[Node]) -> None:
            for node in self.around(path[-1]):
                if node == path[0] and len(path) > 2:
                    found.setdefault(canonical(path), path.copy())
                elif len(path) < largest and node not in path:
                    extend([*path, node])

        for i in range(self.n):
            extend([(i, (0, 0, 0))])
        return list(found.values())

    def distance(self, start: Node, end: Node, limit: int) -> int:
        seen, front = {start}, {start}
        for steps in range(limit + 1):
            if end in front:
                return steps
            front = {other for node in front for other in self.around(node)} - seen
            seen |= front
        return limit + 1

    def rings(self, criterion: str, largest: int) -> Counter:
        cycles = self.cycles(largest)
        if criterion == "primitive":
            kept = [ring for ring in cycles if self.is_primitive(ring)]
        else:
            parts = {"king": triples, "guttman": edges}[criterion]
            shortest: dict[object, int] = {}
            for ring in cycles:
                for part in parts(ring):
                    shortest[part] = min(len(ring), shortest.get(part, largest))
            kept = [ring for ring in cycles if any(len(ring) == shortest[part] for part in parts(ring))]
        return Counter(turned([atom for atom, _ in ring]) for ring in kept)

    def is_primitive(self, ring: list[Node]) -> bool:
        n = len(ring)
        return all(
            self.distance(ring[i], ring[j], n) == min(j - i, n - j + i) for i in range(n) for j in range(i + 1, n)
        )


def shifted(nodes: list[Node], origin: Node) -> tuple[Node, ...]:
    return tuple((i, tuple(a - b for a, b in zip(s, origin[1], strict=True))) for i, s in nodes)


def canonical(ring: list[Node]) -> tuple[Node, ...]:
    """One of all the ways to write a ring: any start, either way round, any image."""
    n = len(ring)
    return min(shifted([way[(k + m) % n] for m in range(n)], way[k]) for way in (ring, ring[::-1]) for k in range(n))


def turned(atoms: list[int]) -> tuple[int, ...]:
    n = len(atoms)
    return min(tuple(way[(k + m) % n] for m in range(n)) for way in (atoms, atoms[::-1]) for k in range(n))


def triples(ring: list[Node]) -> set[object]:
    """Each node with its two neighbors on the ring, as they are for the image of the node in the cell."""
    n = len(ring)
    return {(ring[k][0], frozenset(shifted([ring[k - 1], ring[(k + 1) % n]], ring[k]))) for k in range(n)}


def edges(ring: list[Node]) -> set[object]:
    n = len(ring)
    return {(ring[k][0], shifted([ring[m % n]], ring[k])) for k in range(n) for m in (k - 1, k + 1)}


def random_net(seed: int, n: int, count: int) -> list[tuple[int, int, tuple[int, int, int]]]:
    rng = np.random.default_rng(seed)
    links = set()
    while len(links) < count:
        i, j = rng.integers(0, n, 2).tolist()
        shift = tuple(rng.choice([-1, 0, 0, 0, 1], 3).tolist())
        back = tuple(-s for s in shift)
        if (i, j, shift) != (j, i, back) and (j, i, back) not in links:
            links.add((i, j, shift))
    return sorted(links)


def counted(found: dict[int, np.ndarray]) -> Counter:
    return Counter(turned(ring) for members in found.values() for ring in members.tolist())


# closed form


@pytest.mark.parametrize("criterion", ["primitive", "king", "guttman"])
@pytest.mark.parametrize(
    "atoms", [diamond(), cristobalite(), tridymite()], ids=["diamond", "cristobalite", "tridymite"]
)
def test_nets_of_six_rings_only(atoms, criterion):
    # 12 six-rings through each node, six nodes in each
    assert rings(atoms, criterion=criterion).sizes == {6: 2.0}
    assert rings(atoms * (1, 3, 2), criterion=criterion).sizes == {6: 2.0}


@pytest.mark.parametrize("criterion", ["primitive", "king"])
def test_quartz_has_six_and_eight_rings(criterion):
    for cell in (quartz(), quartz() * (2, 1, 3)):
        sizes = rings(cell, criterion=criterion).sizes
        assert sizes.keys() == {6, 8}
        # its vertex symbol 6·6·6₂·6₂·8₇·8₇: six six-rings through a node, six nodes in each
        assert sizes[6] == 1.0


def test_vertex_symbol_of_quartz_from_the_members():
    """6·6·6₂·6₂·8₇·8₇: the shortest rings without shortcuts at each of the six angles of a node."""
    cell = quartz() * (4, 4, 4)
    found = find_rings(cell, criterion="primitive")
    at_angle = Counter(
        (size, frozenset((before, after)))
        for size, members in found.members.items()
        for ring in members.tolist()
        for before, here, after in zip([ring[-1], *ring], ring, [*ring[1:], ring[0]], strict=False)
        if here == 0
    )
    shortest = {}
    for (size, angle), number in sorted(at_angle.items(), key=lambda entry: entry[0][0]):
        shortest.setdefault(angle, (size, number))
    assert sorted(shortest.values()) == [(6, 1), (6, 1), (6, 2), (6, 2), (8, 7), (8, 7)]


def test_ladder_and_square_lattice():
    # the square lattice has one four-ring per node and no other primitive ring
    flat = bulk("Po", "sc", a=3.0)
    flat.set_cell([3.0, 3.0, 20.0])
    assert rings(flat, cutoffs={"Po-Po": 3.1}).sizes == {4: 1.0}
    # simple cubic: three squares per node, and the four hexagons around the diagonals of a cube
    assert rings(bulk("Po", "sc", a=3.0), cutoffs={"Po-Po": 3.1}).sizes == {4: 3.0, 6: 4.0}


def test_a_row_of_atoms_through_the_cell_is_no_ring():
    row = Atoms("Si3", positions=[[0, 0, 0], [2, 0, 0], [4, 0, 0]], cell=[6, 20, 20], pbc=True)
    for criterion in ("primitive", "king", "guttman"):
        assert rings(row, criterion=criterion, cutoffs={"Si-Si": 2.2}).sizes == {}


# invariance


@pytest.mark.parametrize("criterion", ["primitive", "king", "guttman"])
@pytest.mark.parametrize("atoms", [rutile(), corundum(), mgo()], ids=["rutile", "corundum", "MgO"])
def test_cell_gives_what_its_supercell_gives(atoms, criterion):
    small = rings(atoms, criterion=criterion, largest=8)
    large = rings(atoms * (2, 1, 2), criterion=criterion, largest=8)
    assert large.sizes == pytest.approx(small.sizes, rel=1e-12)


def test_other_lattice_vectors_and_atoms_outside_of_the_cell_change_nothing():
    atoms = quartz() * (2, 2, 2)
    del atoms[[3, 20]]
    expected = rings(atoms, cutoffs={"Si-O": 2.2}).sizes
    rng = np.random.default_rng(0)
    moved = atoms[rng.permutation(len(atoms))]
    moved.positions += rng.integers(-30, 30, (len(moved), 3)) @ atoms.cell.array
    moved.set_cell([[1, 0, 0], [2, 1, 0], [-1, 3, 1]] @ atoms.cell.array)
    assert rings(moved, cutoffs={"Si-O": 2.2}).sizes == pytest.approx(expected, rel=1e-12)


def test_members_are_linked_around_the_ring():
    atoms = quartz() * (3, 3, 3)
    atoms.rattle(0.05, seed=1)
    found = find_rings(atoms)
    silicon = np.flatnonzero(atoms.symbols == "Si")
    assert found.nodes == len(silicon)
    for size, members in found.members.items():
        assert np.isin(members, silicon).all()
        assert members.shape[1] == size
        distances = [
            atoms.get_distance(a, b, mic=True)
            for ring in members[:20]
            for a, b in zip(ring, np.roll(ring, -1), strict=True)
        ]
        assert max(distances) < 3.5
        # every ring once
        assert len(np.unique(np.sort(members, axis=1), axis=0)) == len(members)


# independent reference


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), n=st.integers(1, 7), degree=st.floats(1.0, 3.0))
@pytest.mark.parametrize("criterion", ["primitive", "king", "guttman"])
def test_rings_of_random_nets_are_those_of_their_definition(criterion, seed, n, degree):
    links = random_net(seed, n, max(2, round(degree * n / 2)))
    i, j, shifts = (np.array(column) for column in zip(*links, strict=True))
    found = search_rings(n, Links(i, j, shifts, np.ones(len(i), np.int64)), criterion, 7)
    assert counted(found) == Net(n, links).rings(criterion, 7)


@pytest.mark.parametrize("criterion", ["primitive", "king", "guttman"])
def test_rings_of_a_dense_net_are_those_of_their_definition(criterion):
    links = random_net(5, 3, 7)
    i, j, shifts = (np.array(column) for column in zip(*links, strict=True))
    found = search_rings(3, Links(i, j, shifts, np.ones(7, np.int64)), criterion, 6)
    assert counted(found) == Net(3, links).rings(criterion, 6)


def shared_ligands(atoms: Atoms, reach: float) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Cations that share an O within reach, by neighbor lists of ASE."""
    cations = np.flatnonzero(atoms.numbers != 8).tolist()
    metal = atoms.symbols[cations[0]]
    found = neighbor_list("ijS", atoms, {("O", metal): reach})
    around: dict[int, list[Node]] = {}
    for o, i, shift in zip(*(part.tolist() for part in found), strict=True):
        if i in cations:
            around.setdefault(o, []).append((cations.index(i), tuple(shift)))
    links = set()
    for bound in around.values():
        for (i, s), (j, t) in combinations(bound, 2):
            ahead, back = (tuple(np.subtract(one, other).tolist()) for one, other in ((t, s), (s, t)))
            links.add(min((i, j, ahead), (j, i, back)))
    return sorted(links)


@pytest.mark.parametrize(
    ("atoms", "reach", "largest", "expected"),
    [(rutile(), 2.3, 5, {3: 4.0, 4: 6.0}), (corundum(), 2.2, 4, {3: 9.0, 4: 7.5})],
    ids=["rutile", "corundum"],
)
def test_rings_of_edge_sharing_oxides(atoms, reach, largest, expected):
    """Rings for each cation of the net of cations that share O, against all its cycles."""
    links = shared_ligands(atoms, reach)
    n = int(np.sum(atoms.numbers != 8))
    brute = Counter(len(ring) for ring in Net(n, links).rings("primitive", largest).elements())
    assert {size: number / n for size, number in brute.items()} == expected
    assert rings(atoms, largest=largest).sizes == expected
    assert rings(atoms, largest=12).sizes == expected


# frames, files, errors


def test_error_is_over_the_files():
    broken = quartz() * (2, 2, 2)
    del broken[3]
    made = rings([quartz() * (2, 2, 2), broken], cutoffs={"Si-O": 2.2})
    each = [rings(atoms, cutoffs={"Si-O": 2.2}).sizes for atoms in (quartz(), broken)]
    assert made.sizes[6] == pytest.approx(0.5 * (each[0][6] + each[1].get(6, 0.0)))
    assert made.standard_error[6] == pytest.approx(0.5 * abs(each[0][6] - each[1][6]))
    assert made.figures()["sizes"]
    assert made.table()[0]["size"] == min(made.sizes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rings(quartz(), largest=2), "largest"),
        (lambda: rings(quartz(), criterion="smallest"), "criterion"),
        (lambda: rings(quartz(), formers=("O",)), "O is an anion"),
    ],
)
def test_questions_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
