"""How much memory an evaluation needs, known before anything large is allocated."""

from pathlib import Path

import numpy as np

PER_ATOM = 7_500
"""Bytes of the features and products of an atom."""
PER_ATOM_AND_THREAD = 1_280
"""Bytes of the sums that each thread, or each part of a serial evaluation, keeps for itself."""
PER_BOND = 110
PER_LISTED_PAIR = 200
"""Bytes of a directed pair while the Verlet list is rebuilt."""
PER_SHORT_EDGE = 5_000
PER_ANGLE = 600
STOCK_PER_ANGLE = 64_000
"""Bytes of the chgnet package for an angle, which are most of what it takes: 15 GB for 1000 atoms of an oxide."""
TABLES = 250_000_000
"""Bytes of the weights, tables and compiled kernels of one model."""


def estimate_bytes(
    atoms: int,
    volume: float,
    *,
    cutoff: float = 6.0,
    bond_cutoff: float = 3.0,
    skin: float = 1.0,
    threads: int = 1,
    itemsize: int = 4,
) -> int:
    """Estimate the peak memory of one evaluation above the interpreter's.

    Parameters
    ----------
    atoms, volume
        Number of atoms and volume of the cell [Å³].
    threads
        Threads of the engine.
    itemsize
        Bytes of a number of the engine: 4 in float32, 8 in float64.

    Notes
    -----
    From the mean number of neighbors 4/3 π r³ ρ. A structure that fills its cell unevenly (a slab) needs more.
    """
    density = atoms / volume
    edges = _short_edges(density, bond_cutoff)
    per_atom = (
        PER_ATOM
        + PER_ATOM_AND_THREAD * threads
        + PER_BOND * _sphere(density, cutoff) / 2
        + PER_LISTED_PAIR * _sphere(density, cutoff + skin)
        + PER_SHORT_EDGE * edges
        + PER_ANGLE * edges * edges
    )
    return int(TABLES + atoms * per_atom * itemsize / 4)


def estimate_stock_bytes(atoms: int, volume: float, *, bond_cutoff: float = 3.0) -> int:
    """Estimate the peak memory of one evaluation of energy and forces by the chgnet package; stress takes more."""
    return int(TABLES + atoms * STOCK_PER_ANGLE * _short_edges(atoms / volume, bond_cutoff) ** 2)


def _sphere(density: float, radius: float) -> float:
    return float(4 / 3 * np.pi * radius**3 * density)


def _short_edges(density: float, bond_cutoff: float) -> float:
    """Neighbors of an atom within the cutoff; they come in shells, so the number varies: 1.2 covers oxides."""
    return 1.2 * _sphere(density, bond_cutoff)


def available_bytes() -> int | None:
    """Return the memory that is free for new allocations, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        pages = dict(line.split() for line in Path("/sys/fs/cgroup/memory.stat").read_text().splitlines())
        if limit != "max":  # files that were read or written lately make room when it is needed
            free = min(free, int(limit) - used + int(pages.get("inactive_file", 0)))
    except (OSError, ValueError):
        pass
    return free


class MemoryGuard:
    """Compares what evaluations need with what is free, before it is taken; what was granted once is held since."""

    def __init__(self) -> None:
        self._granted = 0

    def check(self, atoms: int, volume: float, *, threads: int = 1, itemsize: int = 4, package: bool = False) -> None:
        """Refuse a structure that would not fit.

        Parameters
        ----------
        package
            The chgnet package evaluates it, not the compiled kernels.

        Raises
        ------
        ValueError
            The estimate, less what was granted before, is more than what is free.
        """
        need = (
            estimate_stock_bytes(atoms, volume)
            if package
            else estimate_bytes(atoms, volume, threads=threads, itemsize=itemsize)
        )
        if need <= self._granted:
            return
        more, free = need - self._granted, available_bytes()
        if free is not None and more > free:
            raise ValueError(
                f"{atoms} atoms in {volume:.0f} Å³ need about {more / 1e9:.1f} GB for CHGNet and {free / 1e9:.1f} GB "
                "are free; use a smaller cell or a machine with more memory"
            )
        self._granted = need
