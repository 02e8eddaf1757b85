"""How much memory an evaluation needs, known before anything large is allocated."""

import contextlib
from collections.abc import Iterator
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
TABLES = 250_000_000
"""Bytes of the weights, tables and compiled kernels of one model and one set of six elements (206 MB)."""


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

    def sphere(radius: float) -> float:
        return 4 / 3 * np.pi * radius**3 * density

    # Neighbors come in shells, so the number of short edges of an atom varies: 1.2 covers oxides.
    edges = 1.2 * sphere(bond_cutoff)
    per_atom = (
        PER_ATOM
        + PER_ATOM_AND_THREAD * threads
        + PER_BOND * sphere(cutoff) / 2
        + PER_LISTED_PAIR * sphere(cutoff + skin)
        + PER_SHORT_EDGE * edges
        + PER_ANGLE * edges * edges
    )
    return int(TABLES + atoms * per_atom * itemsize / 4)


def available_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory that is free for new allocations, or None where the system does not say.

    That of the machine, or what is left to this process in any of the control groups around it: the limits of a
    container, and of a job of SLURM.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
    return min([free, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> Iterator[int]:
    try:
        groups = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers:  # version 2
            root, limit, used, inactive = cgroups, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used, inactive = (
                cgroups / "memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        # In a container the path may be the host's: then only the root is there, and it is the container's group.
        parts = Path(path.lstrip("/")).parts
        for folder in (root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)):
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no limit
                left = int((folder / limit).read_text()) - int((folder / used).read_text())
                pages = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                # Files that were read or written lately make room when it is needed.
                yield left + int(pages.get(inactive, 0))


class MemoryGuard:
    """Compares what evaluations need with what is free, before it is taken; what was granted once is held since."""

    def __init__(self) -> None:
        self._granted = 0

    def check(self, atoms: int, volume: float, *, threads: int = 1, itemsize: int = 4) -> None:
        """Refuse a structure that would not fit.

        Raises
        ------
        ValueError
            The estimate, less what was granted before, is more than what is free.
        """
        need = estimate_bytes(atoms, volume, threads=threads, itemsize=itemsize)
        if need <= self._granted:
            return
        more, free = need - self._granted, available_bytes()
        if free is not None and more > free:
            raise ValueError(
                f"{atoms} atoms in {volume:.0f} Å³ need about {more / 1e9:.1f} GB for CHGNet and {free / 1e9:.1f} GB "
                "are free; use a smaller cell or a machine with more memory"
            )
        self._granted = need
