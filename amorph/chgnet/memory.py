"""How much memory an evaluation needs, known before anything large is allocated."""

from pathlib import Path

import numpy as np

PER_ATOM = 10_000
"""Bytes of features, products and private sums of an atom, with two threads."""
PER_BOND = 110
PER_LISTED_PAIR = 200
"""Bytes of a directed pair while the Verlet list is rebuilt."""
PER_SHORT_EDGE = 5_000
PER_ANGLE = 540
TABLES = 250_000_000
"""Bytes of the weights, tables and compiled kernels of one model."""


def estimate_bytes(
    atoms: int,
    volume: float,
    *,
    cutoff: float = 6.0,
    bond_cutoff: float = 3.0,
    skin: float = 1.0,
    itemsize: int = 4,
) -> int:
    """Estimate the peak memory of one evaluation above the interpreter's.

    Parameters
    ----------
    atoms, volume
        Number of atoms and volume of the cell [Å³].
    itemsize
        Bytes of a number of the engine: 4 in float32, 8 in float64.

    Notes
    -----
    From the mean number of neighbors 4/3 π r³ ρ. A structure that fills its cell unevenly (a slab) needs more.
    """
    density = atoms / volume

    def sphere(radius: float) -> float:
        return 4 / 3 * np.pi * radius**3 * density

    # Neighbors come in shells, so the number of short edges of an atom varies: 1.2 covers oxides.
    edges = 1.2 * sphere(bond_cutoff)
    per_atom = (
        PER_ATOM
        + PER_BOND * sphere(cutoff) / 2
        + PER_LISTED_PAIR * sphere(cutoff + skin)
        + PER_SHORT_EDGE * edges
        + PER_ANGLE * edges * edges
    )
    return int(TABLES + atoms * per_atom * itemsize / 4)


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
        if limit != "max":
            free = min(free, int(limit) - used)
    except (OSError, ValueError):
        pass
    return free


def check_memory(atoms: int, volume: float, *, itemsize: int = 4) -> None:
    """Refuse a structure that would not fit.

    Raises
    ------
    ValueError
        The estimate is more than what is free.
    """
    need, free = estimate_bytes(atoms, volume, itemsize=itemsize), available_bytes()
    if free is not None and need > free:
        raise ValueError(
            f"{atoms} atoms in {volume:.0f} Å³ need about {need / 1e9:.1f} GB for CHGNet and {free / 1e9:.1f} GB are "
            "free; use a smaller cell or a machine with more memory"
        )
