"""What the places of a disordered crystal are filled with: the alternatives, and how many of each."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from amorph.structure.disorder import Alternative, Assembly, DisorderedCrystal, Share, SharedSite

_HasShares = TypeVar("_HasShares", SharedSite, Alternative)
_SLACK: Final = 5e-3
"""Share of the places by which rounded occupancies may miss 1."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Equivalent places, each filled by one of several alternatives or by none."""

    alternatives: tuple[tuple[Share, ...], ...]
    """The atoms of each alternative: one species of a site, a group of an assembly."""
    occupancies: NDArray[np.float64]
    """Share of the places that each fills."""
    positions: tuple[NDArray[np.float64], ...]
    """(m, n, 3) fractional coordinates for each alternative; one array for all species of a site."""
    is_partial: bool
    """Whether close atoms of it exclude each other."""

    @classmethod
    def of_site(cls, site: SharedSite) -> "Choice":
        """Take every species of a site for an alternative."""
        occupancies = np.array([share.occupancy for share in site.shares])
        alternatives = tuple((share,) for share in site.shares)
        return cls(alternatives, occupancies, (site.positions[:, None],), site.occupancy < 1.0 - 1e-3)

    @classmethod
    def of_assembly(cls, assembly: Assembly) -> "Choice":
        """Take every group of an assembly for an alternative."""
        groups = assembly.alternatives
        occupancies = np.array([each.occupancy for each in groups])
        return cls(tuple(each.shares for each in groups), occupancies, tuple(each.positions for each in groups), True)

    @property
    def empty(self) -> float:
        """Share of the places that are left empty; what rounded occupancies of groups miss is no vacancy."""
        share = 1.0 - float(self.occupancies.sum())
        return share if self.is_partial and share > _SLACK else 0.0

    @property
    def charges(self) -> NDArray[np.float64] | None:
        """Charge of each alternative [e]; None where a state is not known."""
        states = [[share.oxidation_state for share in shares] for shares in self.alternatives]
        if any(None in each for each in states):
            return None
        return np.array([sum(state for state in each if state is not None) for each in states], dtype=np.float64)


def choices_of(crystal: DisorderedCrystal, states: Mapping[str, float]) -> list[Choice]:
    """Give the choices of a crystal, some elements of it with the oxidation states that were asked for."""
    sites = _pooled([_stated(site, states) for site in crystal.sites])
    assemblies = _pooled_assemblies([_stated_assembly(found, states) for found in crystal.assemblies])
    return [*(Choice.of_site(site) for site in sites), *(Choice.of_assembly(found) for found in assemblies)]


def _stated(found: _HasShares, states: Mapping[str, float]) -> _HasShares:
    """Give the species of a site or group the oxidation states that were asked for."""
    shares = (replace(s, oxidation_state=states.get(s.element, s.oxidation_state)) for s in found.shares)
    return replace(found, shares=tuple(shares))


def _stated_assembly(assembly: Assembly, states: Mapping[str, float]) -> Assembly:
    return replace(assembly, alternatives=tuple(_stated(each, states) for each in assembly.alternatives))


def _pooled(sites: Sequence[SharedSite]) -> list[SharedSite]:
    """Take rows of one place each with the same species for one site: a file in P 1 writes every copy out."""
    pools: dict[object, list[SharedSite]] = {}
    for number, site in enumerate(sites):
        species = tuple((share.element, share.occupancy, share.oxidation_state) for share in site.shares)
        pools.setdefault(species if len(site.positions) == 1 else number, []).append(site)
    return [replace(pool[0], positions=np.concatenate([site.positions for site in pool])) for pool in pools.values()]


def _pooled_assemblies(assemblies: Sequence[Assembly]) -> list[Assembly]:
    """Do the same with assemblies of one place each and the same groups."""
    pools: dict[object, list[Assembly]] = {}
    for number, assembly in enumerate(assemblies):
        groups = tuple(
            (each.occupancy, *((share.element, share.oxidation_state) for share in each.shares))
            for each in assembly.alternatives
        )
        is_single = all(len(each.positions) == 1 for each in assembly.alternatives)
        pools.setdefault(groups if is_single else number, []).append(assembly)
    pooled = []
    for pool in pools.values():
        together = zip(*(assembly.alternatives for assembly in pool), strict=True)
        alternatives = (
            replace(same[0], positions=np.concatenate([each.positions for each in same])) for same in together
        )
        pooled.append(replace(pool[0], alternatives=tuple(alternatives)))
    return pooled


def with_states(choices: Sequence[Choice], states: Sequence[float]) -> list[Choice]:
    """Give the species of all choices, in their order, oxidation states."""
    left = iter(states)
    return [
        replace(
            choice,
            alternatives=tuple(
                tuple(replace(share, oxidation_state=next(left)) for share in shares) for shares in choice.alternatives
            ),
        )
        for choice in choices
    ]


def rounded(
    occupancies: Sequence[NDArray[np.float64]], charges: Sequence[NDArray[np.float64]], sizes: Sequence[int]
) -> list[NDArray[np.int64]]:
    """Round the numbers of all alternatives, by the rule in the notes of :func:`ordered_cells`."""
    target = 0.0
    reached: dict[float, tuple[float, tuple[NDArray[np.int64], ...]]] = {0.0: (0.0, ())}
    for shares, states, size in zip(occupancies, charges, sizes, strict=True):
        exact = shares * size
        target += float(states @ exact)
        down = np.floor(exact + 1e-6).astype(int)
        ups = min(round(float(exact.sum())), size) - int(down.sum())
        larger: dict[float, tuple[float, tuple[NDArray[np.int64], ...]]] = {}
        broken = np.flatnonzero(exact - down > 1e-6).tolist()  # a whole number stays
        for raised in itertools.combinations(broken, max(ups, 0)):
            counts = down.copy()
            counts[list(raised)] += 1
            change = float(np.square(counts - exact).sum())
            for charge, (before, chosen) in reached.items():
                total = round(charge + float(states @ counts), 6)
                if total not in larger or before + change < larger[total][0]:
                    larger[total] = (before + change, (*chosen, counts))
        reached = larger
    best = min(reached, key=lambda charge: (round(abs(charge - target), 6), reached[charge][0]))
    return list(reached[best][1])
